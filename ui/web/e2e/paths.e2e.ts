/** Ways through the application, as a person clicks them. */
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { openBrowser, PATIENCE, query, settled, visit, type Watched, watchedPage } from './browser';

let context: BrowserContext;
let close: () => Promise<void>;
let watched: Watched;
let page: Page;

beforeAll(async () => {
  ({ context, close } = await openBrowser());
});
afterAll(() => close?.());
beforeEach(async () => {
  watched = await watchedPage(context);
  page = watched.page;
});
afterEach(async () => {
  const problems = watched.problems();
  await page.close();
  expect(problems).toEqual([]);
});

const logRows = () => page.locator('.lrow');

describe('logs', () => {
  it('log to trace to log', async () => {
    await visit(page, '/logs?q=level%3E%3Derror');
    const withTrace = await (await fetch(`${inject('baseUrl')}/api/logs?q=level>=error&limit=100&from=now-1h&to=now`))
      .json()
      .then(
        (answer) => (answer as { rows: { trace_id?: string | null }[] }).rows.find((row) => row.trace_id)?.trace_id,
      );
    expect(withTrace).toBeTruthy();
    await visit(page, `/logs?q=trace_id:${withTrace}`);
    await logRows().first().click();
    await page.locator('.side').waitFor();
    expect(query(page).get('sel')).toBeTruthy();
    await page.locator('.side .button-link').click();
    await page.waitForURL(/\/traces\/[0-9a-f]{32}/);
    await page.locator('.wrow').first().waitFor();
    await page.getByRole('tab', { name: 'Logs' }).click();
    await logRows().first().waitFor();
    await logRows().first().click();
    await page.locator('.side .link').getByText('Lines around this one').click();
    await page.waitForURL(/\/logs\?/);
    await logRows().first().waitFor();
    expect(query(page).get('q')).toMatch(/^service:/);
  });

  it('filters by keyboard, facet and value, and Back undoes', async () => {
    await visit(page, '/logs');
    await page.keyboard.press('e');
    await page.waitForURL(/q=level/);
    expect(query(page).get('q')).toBe('level>=error');
    await settled(page);
    await page.keyboard.press('e');
    await page.waitForURL((url) => !url.searchParams.has('q'));
    const facet = page.locator('.facet').filter({ hasText: 'service' }).first().locator('li button').first();
    await facet.click();
    await page.waitForURL(/q=service/);
    const filtered = query(page).get('q') ?? '';
    await settled(page);
    const service = filtered.replace('service:', '');
    await page.locator('.lrow .service').first().filter({ hasText: service }).waitFor();
    await page.goBack();
    await page.waitForURL((url) => !url.searchParams.has('q'));
    await page.keyboard.press('/');
    await page.keyboard.type('nothing-has-this-word-9931');
    await page.keyboard.press('Enter');
    await page.locator('[data-state="empty"]').first().waitFor();
    expect(query(page).get('q')).toBe('nothing-has-this-word-9931');
  });

  it('restores filter, order and selected row from the URL', async () => {
    await visit(page, '/logs?sort=time');
    await logRows().nth(2).click();
    await page.locator('.side').waitFor();
    const body = await page.locator('.side .body-text').innerText();
    const search = query(page);
    // The same moment for both: a relative window has moved on by the time the second page asks.
    search.set('from', String(Date.now() - 3600_000));
    search.set('to', String(Date.now()));
    await visit(page, `/logs?${search}`);
    await page.locator('.side').waitFor();
    await expect.poll(() => page.locator('.side .body-text').innerText(), PATIENCE).toBe(body);
    expect(query(page).get('sort')).toBe('time');
    await page.keyboard.press('Escape');
    await page.waitForURL((now) => !now.searchParams.has('sel'));
  });

  it('says what is wrong with a filter', async () => {
    await visit(page, `/logs?q=${encodeURIComponent('(((')}`);
    await page.locator('[data-state="failed"]').first().waitFor();
    await page.locator('.state-detail').filter({ hasText: /./ }).first().waitFor();
  });

  it('selecting a part of the histogram narrows the window', async () => {
    await visit(page, '/logs');
    const plot = await page.locator('.hist-plot').boundingBox();
    if (!plot) throw new Error('no histogram');
    await page.mouse.move(plot.x + plot.width * 0.5, plot.y + 20);
    await page.mouse.down();
    await page.mouse.move(plot.x + plot.width * 0.75, plot.y + 20, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(/from=\d+/);
    const length = Number(query(page).get('to')) - Number(query(page).get('from'));
    expect(length).toBeGreaterThan(13 * 60e3);
    expect(length).toBeLessThan(17 * 60e3);
  });

  it('the live tail follows, and holds still when a row is selected', async () => {
    await visit(page, '/logs/tail');
    await logRows().first().waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText(/new rows?$/).waitFor();
    const before = await logRows().allInnerTexts();
    await page.waitForFunction(() => /^(?!1 )/.test(document.querySelector('.result button')?.textContent ?? '1 '));
    expect(await logRows().allInnerTexts()).toEqual(before);
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.locator('.status[data-status="ok"]').waitFor();
  });
});

describe('services and traces', () => {
  it('service to its traces to a span', async () => {
    await visit(page, '/services');
    await page.locator('.trow').first().waitFor();
    await page.locator('.trow .chip.cell-link').first().click();
    await page.waitForURL(/\/services\/.+/);
    await page.getByRole('button', { name: 'Traces' }).click();
    await page.waitForURL(/\/traces\?/);
    expect(query(page).get('q')).toMatch(/^service:/);
    await page.locator('.trow .cell-link').first().click();
    await page.waitForURL(/\/traces\/[0-9a-f]{32}/);
    // The span that matched the filter is open; a click on it would close it.
    await page.locator('.side .facts-grid').waitFor();
    const matched = query(page).get('sel') ?? '';
    expect(matched).toMatch(/^[0-9a-f]{16}$/);
    // Like spans beside each other are one row, which unfolds.
    const others = page.locator('.wrow:not([aria-selected="true"])').filter({ hasNotText: '×' });
    if (!(await others.count())) await page.locator('.wrow').filter({ hasText: '×' }).first().click();
    await others.first().click();
    await page.waitForURL((url) => (url.searchParams.get('sel') ?? matched) !== matched);
    await page.locator('.side .facts-grid').waitFor();
    const selected = query(page).get('sel');
    expect(selected).toMatch(/^[0-9a-f]{16}$/);
    await page.reload();
    await page.locator('.wrow[aria-selected="true"]').waitFor();
    expect(query(page).get('sel')).toBe(selected);
  });

  it('sorts and filters services in the URL', async () => {
    await visit(page, '/services?sort=name');
    const names = await page.locator('.trow .chip span').allInnerTexts();
    expect(names).toEqual([...names].sort((a, b) => a.localeCompare(b)));
    await page.getByRole('button', { name: /^Req\/s/ }).click();
    await page.waitForURL(/sort=-rate/);
    const wanted = names[0] ?? '';
    await page.getByLabel('Filter services').fill(wanted);
    await page.waitForURL(new RegExp(`q=${wanted}`));
    await page.locator('.trow .chip span').first().filter({ hasText: wanted }).waitFor();
  });

  it('collapses spans and hides what is not on the critical path', async () => {
    const { traces } = (await (await fetch(`${inject('baseUrl')}/api/traces?limit=50&from=now-1h&to=now`)).json()) as {
      traces: { trace_id: string; span_count: number }[];
    };
    const trace = traces.sort((a, b) => b.span_count - a.span_count)[0];
    await visit(page, `/traces/${trace?.trace_id}`);
    await page.locator('.wrow').first().waitFor();
    const all = await page.locator('.wrow').count();
    await page.getByRole('button', { name: 'Critical path' }).click();
    await page.waitForURL(/group=critical/);
    await page.waitForFunction((before) => document.querySelectorAll('.wrow').length <= before, all);
    await page.locator('.wbar[data-critical]').first().waitFor();
    await page.getByRole('button', { name: 'Critical path' }).click();
    await page.getByRole('button', { name: 'Collapse all' }).click();
    await page.waitForFunction((before) => document.querySelectorAll('.wrow').length < before, all);
  });

  it('says when there is no such trace', async () => {
    await visit(page, `/traces/${'0123456789abcdef'.repeat(2)}`).catch(() => undefined);
    await page.locator('[data-state="failed"], [data-state="empty"]').first().waitFor();
  });
});

describe('sql', () => {
  const editor = () => page.locator('.cm-content');
  const type = async (text: string): Promise<void> => {
    await editor().click();
    await page.keyboard.press('Control+A');
    await page.keyboard.insertText(text);
  };

  it('runs, shows the table and the chart, and keeps the text', async () => {
    await visit(page, '/sql');
    await editor().waitFor();
    await type("SELECT date_bin(INTERVAL '5 minutes', timestamp) AS t, count(*) AS n FROM logs GROUP BY t ORDER BY t");
    await page.keyboard.press('Control+Enter');
    await page.locator('[role="table"] .trow').first().waitFor();
    expect(query(page).get('sql')).toContain('date_bin');
    await page.getByText('Chart', { exact: true }).click();
    await page.locator('.chart canvas').waitFor();
    await page.reload();
    await page.locator('.chart canvas').waitFor();
    await editor().filter({ hasText: 'date_bin' }).waitFor();
  });

  it('shows where a query is wrong', async () => {
    await visit(page, '/sql');
    await editor().waitFor();
    await type('SELECT bad FROM logs');
    await page.getByRole('button', { name: 'Run' }).click();
    await page.locator('[data-state="failed"]').waitFor();
    await page.locator('.state-detail').filter({ hasText: 'bad' }).waitFor();
  });

  it('explains', async () => {
    await visit(page, '/sql');
    await editor().waitFor();
    await type('SELECT count(*) FROM logs');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.locator('pre.plan').waitFor();
    await page
      .locator('pre.plan')
      .filter({ hasText: /Scan|Projection/ })
      .waitFor();
  });

  it('cancels on the server', async () => {
    await visit(page, '/sql');
    await editor().waitFor();
    await type(
      "SELECT count(*) /* slow */ FROM logs a, logs b, logs c, logs d WHERE a.body || b.body || c.body <> d.body || 'x'",
    );
    const cancelled = page.waitForRequest(
      (request) => request.method() === 'DELETE' && request.url().includes('/api/queries/'),
    );
    await page.keyboard.press('Control+Enter');
    await page.locator('[data-state="running"]').first().waitFor();
    await page.getByRole('button', { name: 'Cancel' }).first().click();
    await cancelled;
    await page.getByText('Cancelled').waitFor();
  });
});

describe('shell', () => {
  it('the palette opens everywhere and jumps', async () => {
    await visit(page, '/sql');
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+K');
    await page.getByRole('textbox', { name: /Search or jump/ }).fill('ingest');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/ingest/);
  });

  it('go-to keys, range keys and links carry the window', async () => {
    await visit(page, '/services?from=now-6h');
    await page.keyboard.press('g');
    await page.keyboard.press('l');
    await page.waitForURL(/\/logs\?from=now-6h/);
    await settled(page);
    await page.keyboard.press('[');
    await page.waitForURL(/from=\d+.*to=\d+/);
    await page.keyboard.press('t');
    await page.getByRole('button', { name: 'Last 15 minutes' }).click();
    await page.waitForURL(/from=now-15m/);
    await page.locator('.range').filter({ hasText: 'Last 15 minutes' }).waitFor();
  });

  it('language and theme switch and stay', async () => {
    await visit(page, '/settings');
    await page.getByText('中', { exact: true }).click();
    await page.getByRole('heading', { name: '设置' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: '设置' }).waitFor();
    await page.getByText('EN', { exact: true }).click();
    await page.getByRole('heading', { name: 'Settings' }).waitFor();
    await page.getByRole('button', { name: 'Dark' }).click();
    await page.waitForFunction(() => document.documentElement.dataset.mantineColorScheme === 'dark');
    await page.reload();
    await page.waitForFunction(() => document.documentElement.dataset.mantineColorScheme === 'dark');
    await page.getByRole('button', { name: 'Light' }).click();
  });

  it('unknown pages and unknown values do no harm', async () => {
    await visit(page, '/services?from=whenever&sort=;drop&theme=pink&bogus=1');
    await page.locator('.trow').first().waitFor();
    await page.goto(`${inject('baseUrl')}/no/such/page`);
    await page.getByText('There is no such page').waitFor();
  });

  it('is usable after a cold start', async () => {
    const start = Date.now();
    await visit(page, '/services');
    await page.locator('.trow').first().waitFor();
    const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0);
    console.log(`first paint ${Math.round(paint)} ms, usable ${Date.now() - start} ms`);
  });
});
