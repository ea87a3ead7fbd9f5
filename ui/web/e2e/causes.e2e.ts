/** From an alert to the evidence for its cause, and the other ways through objectives, incidents, causes and the map. */
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { axeViolations, openBrowser, query, settled, visit, type Watched, watchedPage } from './browser';

interface Incident {
  id: string;
  service: string;
  cause: { state: string; report_id: string | null };
}

/** The demo's first fault begins within three minutes; its alert and its report follow within two more. */
const INCIDENT_MS = 9 * 60_000;
const POLL_MS = 1000;
/** A report on a debug build whose cores are busy. */
const ANALYSIS_MS = 60_000;
const MOST_CLICKS = 4;

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

const get = async <T>(path: string): Promise<T> => (await fetch(inject('baseUrl') + path)).json() as Promise<T>;

/** The first incident whose cause has been found. */
async function explained(): Promise<Incident> {
  const deadline = Date.now() + INCIDENT_MS;
  while (Date.now() < deadline) {
    const { incidents } = await get<{ incidents: Incident[] }>('/api/incidents?limit=100');
    const found = incidents.find((incident) => incident.cause.state === 'found' && incident.cause.report_id);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`no incident with a cause within ${INCIDENT_MS / 60_000} minutes`);
}

describe('from the alert to the evidence', () => {
  it(
    'in at most four clicks',
    async () => {
      const incident = await explained();
      let clicks = 0;
      const click = async (locator: ReturnType<Page['locator']>): Promise<void> => {
        clicks += 1;
        await locator.click();
      };
      // The link of the notification opens the incident, whose first content is the report.
      await visit(page, `/incidents/${encodeURIComponent(incident.id)}`);
      await page.locator('.report .evidence').first().waitFor();
      const first = await page.locator('main section.panel').first().getAttribute('class');
      expect(first).toContain('report');
      await click(page.getByRole('link', { name: 'Whole report' }));
      await page.waitForURL(/\/causes\/[^/?]+/);
      await page.locator('.candidates [aria-pressed="true"]').waitFor();
      const evidence = page
        .locator('.evidence')
        .filter({ has: page.locator('.evidence-links a') })
        .first();
      await click(evidence.getByRole('button', { name: 'Query and result' }));
      expect((await evidence.locator('.evidence-sql pre').innerText()).length).toBeGreaterThan(10);
      await click(evidence.locator('.evidence-links a').first());
      await page.waitForURL(/\/(traces|logs|sql|services|map)/);
      await page.locator('h1').first().waitFor();
      await settled(page);
      expect(await page.locator('[data-state="failed"]').count()).toBe(0);
      expect(clicks).toBeLessThanOrEqual(MOST_CLICKS);
    },
    INCIDENT_MS + 60_000,
  );

  it('the same from the overview', async () => {
    await explained();
    await visit(page, '/');
    const banner = page.getByRole('button', { name: 'Explain cause' }).first();
    if (!(await banner.count())) return; // every incident has been resolved since
    await banner.click();
    await page.waitForURL(/\/causes\//);
    await page.locator('.evidence').first().waitFor();
  }, 120_000);

  it('the report keeps its candidate in the URL, takes a verdict, and is exported', async () => {
    const incident = await explained();
    await visit(page, `/causes/${encodeURIComponent(incident.cause.report_id ?? '')}`);
    const others = page.locator('.candidates button[aria-pressed="false"]');
    if (await others.count()) {
      await others.first().click();
      await page.waitForURL(/sel=\d/);
    }
    await page.getByRole('button', { name: 'Right' }).click();
    await page.reload();
    await page.locator('.verdict button[aria-pressed="true"]').waitFor();
    await page.getByRole('button', { name: 'Right' }).click();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('menuitem', { name: 'JSON' }).click();
    expect((await download).suggestedFilename()).toMatch(/^cause-.*\.json$/);
  }, 120_000);

  it('a note joins the timeline', async () => {
    const incident = await explained();
    await visit(page, `/incidents/${encodeURIComponent(incident.id)}`);
    const note = `rolled back ${Date.now()}`;
    await page.getByLabel('Note').last().fill(note);
    await page.getByRole('button', { name: 'Add note' }).click();
    await page.locator('.timeline').getByText(note).waitFor();
  }, 120_000);
});

describe('asking why', () => {
  it(
    'from the palette, for a service',
    async () => {
      const { services } = await get<{ services: { name: string }[] }>('/api/services?from=now-1h&to=now');
      const name = services[0]?.name ?? '';
      await visit(page, '/services');
      await page.keyboard.press('Control+K');
      await page.getByRole('textbox', { name: /Search or jump/ }).fill(`why ${name}`);
      await page.getByText(`Why ${name}?`).first().waitFor();
      await page.keyboard.press('Enter');
      await page.waitForURL(/\/causes\/(?!new)[^/?]+/, { timeout: ANALYSIS_MS });
      await page.locator('.evidence, [data-outcome]').first().waitFor();
      // The page that asked is not in the history: Back leads to where the question came from.
      await page.goBack();
      await page.waitForURL(/\/services/);
    },
    ANALYSIS_MS + 60_000,
  );
});

describe('objectives', () => {
  it('list to detail, with both windows in words', async () => {
    const { slos } = await get<{ slos: { id: string }[] }>('/api/slos');
    await visit(page, '/slos');
    if (!slos.length) {
      await page.locator('[data-state="empty"] pre').waitFor();
      return;
    }
    expect(await page.locator('.trow').count()).toBe(slos.length);
    await page.locator('.trow .cell-link').first().click();
    await page.waitForURL(/\/slos\/.+/);
    await page.locator('table.burn').waitFor();
    expect(await page.locator('table.burn tbody tr').count()).toBeGreaterThan(0);
    expect((await page.locator('.definition').innerText()).length).toBeGreaterThan(40);
  });
});

describe('service map', () => {
  it('nodes are buttons in reading order, with every failing one in view', async () => {
    await visit(page, '/map');
    await page.locator('.map-node').first().waitFor();
    const view = await page.locator('.map-view').boundingBox();
    if (!view) throw new Error('no map');
    for (const node of await page.locator('.map-node[data-state="crit"]').all()) {
      const box = await node.boundingBox();
      expect(box && box.x >= view.x - 1 && box.x + box.width <= view.x + view.width + 1).toBe(true);
      expect(box && box.y >= view.y - 1 && box.y + box.height <= view.y + view.height + 1).toBe(true);
    }
    const small = await page
      .locator('.map-node span')
      .evaluateAll((spans) =>
        spans
          .filter((span) => Number.parseFloat(getComputedStyle(span).fontSize) < 10.5)
          .map((span) => span.textContent),
      );
    expect(small).toEqual([]);
    await page.locator('.map-node').first().focus();
    await page.keyboard.press('ArrowDown');
    const second = await page.locator('.map-node').nth(1).getAttribute('title');
    await page.waitForFunction((title) => document.activeElement?.getAttribute('title') === title, second);
    await page.keyboard.press('Enter');
    await page.waitForURL(/sel=/);
    expect(query(page).get('sel')).toBe(second);
    await page.locator('.side').waitFor();
    await page.keyboard.press('Escape');
    await page.waitForURL((url) => !url.searchParams.has('sel'));
    expect(await axeViolations(page)).toEqual([]);
  });

  it('as a table, and errors only', async () => {
    await visit(page, '/map?view=table');
    await page.locator('.trow').first().waitFor();
    const all = await page.locator('[role="table"]').getAttribute('aria-rowcount');
    await page.keyboard.press('e');
    await page.waitForURL(/status=error/);
    const bad = await page.locator('[role="table"]').count();
    if (bad)
      expect(Number(await page.locator('[role="table"]').getAttribute('aria-rowcount'))).toBeLessThanOrEqual(
        Number(all),
      );
  });
});

describe('incidents', () => {
  it('shows 40 rows on a screen 1080 px high', async () => {
    await page.setViewportSize({ width: 1920, height: 1080 });
    await visit(page, '/incidents');
    const room = await page
      .locator('.scroll')
      .first()
      .evaluate((list) => {
        const head = list.querySelector('.thead')?.clientHeight ?? 0;
        const row = list.querySelector('.trow')?.getBoundingClientRect().height ?? 22;
        return (list.clientHeight - head) / row;
      });
    expect(room).toBeGreaterThanOrEqual(40);
  });

  it('go-to keys', async () => {
    await visit(page, '/services');
    for (const [key, path] of [
      ['m', /\/map/],
      ['o', /\/slos/],
      ['n', /\/incidents/],
    ] as const) {
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await page.waitForURL(path);
      await settled(page);
    }
  });
});
