import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { inject } from 'vitest';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** How long to wait for what must come: the machine may be busy with other things. */
export const PATIENCE = { timeout: 60_000 };

/** A page that remembers what went wrong in it. */
export interface Watched {
  page: Page;
  /** Console errors, exceptions, violations of the content security policy, failed and outside requests since the last call. */
  problems: () => string[];
}

export async function openBrowser(
  size = { width: 1440, height: 900 },
): Promise<{ context: BrowserContext; close: () => Promise<void> }> {
  const profile = mkdtempSync(join(tmpdir(), 'rootline-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.RL_CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    viewport: size,
    locale: 'en-US',
    timezoneId: 'UTC',
    args: FLAGS,
  });
  context.setDefaultTimeout(PATIENCE.timeout);
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`CSP: ${event.violatedDirective} blocked ${event.blockedURI} ${event.sample}`);
    });
  });
  return {
    context,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

export async function watchedPage(context: BrowserContext): Promise<Watched> {
  const page = await context.newPage();
  let found: string[] = [];
  const origin = new URL(inject('baseUrl')).origin;
  page.on('console', (message) => {
    // Answers that are errors on purpose are printed by the browser as well; the screens' own tests look at those.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) found.push(message.text());
  });
  page.on('pageerror', (error) => found.push(`exception: ${error.message}`));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !/^(data|blob|about):/.test(url)) found.push(`outside request: ${url}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 500) found.push(`${response.status()} ${response.url()}`);
  });
  return {
    page,
    problems: () => {
      const all = found;
      found = [];
      return all;
    },
  };
}

/** Opens a path of the server under test and waits until the screen has its heading and nothing is running. */
export async function visit(page: Page, path: string): Promise<void> {
  await page.goto(inject('baseUrl') + path, { waitUntil: 'load' });
  await page.locator('h1').first().waitFor();
  await settled(page);
}

/** Waits until no query of the screen is running. */
export async function settled(page: Page): Promise<void> {
  await page.waitForFunction(() => document.querySelectorAll('[data-state="running"], .pulse').length === 0);
}

/** Rules of WCAG 2.2 AA that the page breaks, with where. */
export async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: {
        run: (
          options: object,
        ) => Promise<{ violations: { id: string; nodes: { target: string[]; failureSummary?: string }[] }[] }>;
      };
    };
    const { violations } = await axe.run({
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    });
    return violations.flatMap((violation) =>
      violation.nodes
        .slice(0, 3)
        .map(
          (node) =>
            `${violation.id}: ${node.target.join(' ')} – ${node.failureSummary?.split('\n').slice(1, 3).join(' ').trim()}`,
        ),
    );
  });
}

/** Search parameters of the page's address. */
export const query = (page: Page): URLSearchParams => new URL(page.url()).searchParams;
