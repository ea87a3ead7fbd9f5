/** Every screen in both themes and both languages: it loads, is clean, accessible, and says the same under the same URL. */

import type { BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { axeViolations, openBrowser, visit, type Watched, watchedPage } from './browser';

let context: BrowserContext;
let close: () => Promise<void>;
let watched: Watched;
let paths: [string, string][] = [];

const HEADINGS: Record<string, [string, string]> = {
  home: ['Overview', '总览'],
  services: ['Services', '服务'],
  map: ['Service map', '服务拓扑'],
  slos: ['SLOs', 'SLO'],
  incidents: ['Incidents', '故障'],
  causes: ['Cause reports', '根因报告'],
  logs: ['Logs', '日志'],
  tail: ['Live tail', '实时日志'],
  traces: ['Traces', '链路'],
  sql: ['SQL', 'SQL'],
  ingest: ['Ingest', '数据接入'],
  settings: ['Settings', '设置'],
  start: ['Get started', '快速开始'],
};

/** Details of an objective, of incidents and of reports in each state that the server has. */
async function details(): Promise<[string, string][]> {
  const get = async (path: string) => (await (await fetch(inject('baseUrl') + path)).json()) as Record<string, unknown>;
  const { slos } = (await get('/api/slos')) as { slos: { id: string; state: string }[] };
  const { incidents } = (await get('/api/incidents?limit=100')) as {
    incidents: { id: string; cause: { state: string } }[];
  };
  const { causes } = (await get('/api/causes?limit=100')) as { causes: { id: string; outcome: string }[] };
  const first = <T>(rows: T[], kind: (row: T) => string): T[] => [
    ...new Map([...rows].reverse().map((row) => [kind(row), row])).values(),
  ];
  return [
    ...first(slos, (slo) => slo.state).map((slo): [string, string] => [`slo-${slo.state}`, `/slos/${slo.id}`]),
    ...first(incidents, (each) => each.cause.state).map((each): [string, string] => [
      `incident-${each.cause.state}`,
      `/incidents/${each.id}`,
    ]),
    ...first(causes, (each) => each.outcome).map((each): [string, string] => [
      `cause-${each.outcome}`,
      `/causes/${each.id}`,
    ]),
  ];
}

beforeAll(async () => {
  const browser = await openBrowser();
  context = browser.context;
  close = browser.close;
  watched = await watchedPage(context);
  const answer = await fetch(`${inject('baseUrl')}/api/traces?status=error&limit=1&from=now-1h&to=now`);
  const { traces } = (await answer.json()) as {
    traces: { trace_id: string; root_service: string; matched?: { service: string; span_id: string } }[];
  };
  const trace = traces[0];
  const service = trace?.matched?.service ?? trace?.root_service ?? '';
  paths = [
    ['home', '/'],
    ['services', '/services'],
    ['service', `/services/${encodeURIComponent(service)}`],
    ['map', '/map'],
    ['map-table', '/map?view=table'],
    ['slos', '/slos'],
    ['incidents', '/incidents'],
    ['causes', '/causes'],
    ...(await details()),
    ['logs', '/logs'],
    ['tail', '/logs/tail'],
    ['traces', '/traces'],
    ['trace', `/traces/${trace?.trace_id}?sel=${trace?.matched?.span_id ?? ''}`],
    ['trace-statistics', `/traces/${trace?.trace_id}?view=statistics`],
    ['trace-logs', `/traces/${trace?.trace_id}?view=logs`],
    [
      'sql',
      `/sql?sql=${encodeURIComponent('SELECT service_name, count(*) AS n FROM logs GROUP BY service_name ORDER BY n DESC')}`,
    ],
    ['ingest', '/ingest'],
    ['settings', '/settings'],
    ['start', '/start'],
  ];
});
afterAll(() => close?.());

describe.each([
  // Contrast differs by theme and names by language: two runs of the slow check see all of both.
  ['light', 'en', 'checked'],
  ['dark', 'zh-CN', 'checked'],
  ['dark', 'en', 'loaded'],
  ['light', 'zh-CN', 'loaded'],
] as const)('%s %s', (theme, lang, how) => {
  it(`every screen loads without errors${how === 'checked' ? ' and is accessible' : ''}`, async () => {
    const { page, problems } = watched;
    const wrong: string[] = [];
    for (const [name, path] of paths) {
      await visit(page, `${path}${path.includes('?') ? '&' : '?'}theme=${theme}&lang=${lang}`);
      expect(await page.locator('html').getAttribute('lang')).toBe(lang);
      expect(await page.locator('html').getAttribute('data-mantine-color-scheme')).toBe(theme);
      const heading = HEADINGS[name];
      if (heading) expect(await page.locator('h1').first().textContent()).toBe(heading[lang === 'en' ? 0 : 1]);
      if (await page.locator('[data-state="failed"]').count())
        wrong.push(`${name}: ${await page.locator('[data-state="failed"]').first().innerText()}`);
      wrong.push(...problems().map((problem) => `${name}: ${problem}`));
      if (how === 'checked') wrong.push(...(await axeViolations(page)).map((violation) => `${name}: ${violation}`));
    }
    expect(wrong).toEqual([]);
  }, 240_000);
});
