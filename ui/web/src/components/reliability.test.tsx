import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { createMemoryHistory, createRootRoute, createRouter, RouterProvider } from '@tanstack/react-router';
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cause } from '../../fixture/causes';
import { incident, incidents } from '../../fixture/incidents';
import { map } from '../../fixture/map';
import { alerts, slos } from '../../fixture/objectives';
import type { Incident, Slo } from '../api/reliability';
import { I18nProvider, type Lang } from '../i18n';
import { oneHop } from '../state/boxes';
import { AlertTable } from './AlertTable';
import { BudgetBar, BurnTable, SloMark } from './Budget';
import { CauseBanner } from './CauseBanner';
import { FoundCause } from './CauseView';
import { NoCause } from './NoCause';
import { ServiceGraph } from './ServiceGraph';
import { Timeline } from './Timeline';

const NOW = Date.UTC(2026, 10, 25, 12);

/** Draws inside a router, because evidence is full of links; resolves when the first drawing is there. */
async function show(node: ReactNode, lang: Lang = 'en'): Promise<HTMLElement> {
  const route = createRootRoute({
    component: () => (
      <MantineProvider env="test">
        <I18nProvider lang={lang} timeZone="UTC">
          <main>{node}</main>
        </I18nProvider>
      </MantineProvider>
    ),
  });
  const router = createRouter({ routeTree: route, history: createMemoryHistory({ initialEntries: ['/'] }) });
  const { container } = render(
    <QueryClientProvider client={new QueryClient({ defaultOptions: { queries: { retry: false } } })}>
      <RouterProvider router={router as never} />
    </QueryClientProvider>,
  );
  await screen.findByRole('main');
  return container;
}

beforeEach(() => {
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify({ services: [] }))));
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

describe('cause report', () => {
  const report = cause('cause-1', NOW);
  it('shows the chosen candidate with what speaks for and against it, and where to look', async () => {
    const choose = vi.fn();
    const container = await show(<FoundCause cause={report} selected={1} onSelect={choose} />);
    expect(container.querySelectorAll('.evidence').length).toBe(5);
    expect(container.querySelectorAll('.evidence[data-contradicts]').length).toBe(1);
    const links = screen.getAllByRole('link', { name: 'Open traces' });
    expect(links[0]?.getAttribute('href')).toContain('/traces?');
    expect(decodeURIComponent(links[0]?.getAttribute('href') ?? '')).toContain('service:payment');
    fireEvent.click(screen.getByRole('button', { name: /card-network/ }));
    expect(choose).toHaveBeenCalledWith(2);
  });
  it('opens the query and its stored result', async () => {
    const container = await show(<FoundCause cause={report} selected={1} onSelect={() => undefined} />);
    expect(container.querySelector('.evidence-sql')).toBeNull();
    fireEvent.click(screen.getAllByRole('button', { name: 'Query and result' })[0] as HTMLElement);
    expect(container.querySelector('.evidence-sql pre')?.textContent).toContain('FROM service_edges');
    expect(container.querySelectorAll('.evidence-table tbody tr').length).toBe(2);
  });
  it('speaks the language of the page', async () => {
    await show(<FoundCause cause={report} selected={1} onSelect={() => undefined} />, 'zh-CN');
    expect(screen.getByText('支持证据')).toBeTruthy();
    expect(screen.getByText('checkout 调用 payment 的 p95 为 1,840 ms，此前为 212 ms')).toBeTruthy();
  });
  it.each([
    ['cause-none', 'No root cause found'],
    ['cause-few', 'Not enough data'],
  ])('%s is an answer with ways on', async (id, title) => {
    await show(<NoCause cause={cause(id, NOW)} />);
    expect(screen.getByText(title)).toBeTruthy();
    expect(screen.getAllByRole('link', { name: /Ask again over/ }).length).toBe(2);
  });
});

describe('incidents', () => {
  const find = (id: string): Incident => incidents(NOW).find((each) => each.id === id) as Incident;
  it('begin with the cause where it is known', async () => {
    const container = await show(<CauseBanner incident={find('inc-checkout')} now={NOW} />);
    expect(container.querySelector('.banner-cause')?.textContent).toBe(
      'Likely cause: payment · deploy 2.14.1 — confidence 82%',
    );
    expect(screen.getByRole('button', { name: 'Explain cause' })).toBeTruthy();
  });
  it('say that it is being looked for', async () => {
    await show(<CauseBanner incident={find('inc-search')} now={NOW} />);
    expect(screen.getByText(/Looking for the cause/)).toBeTruthy();
    expect(screen.queryByRole('button')).toBeNull();
  });
  it('have one timeline, by time', async () => {
    const container = await show(<Timeline events={[...(incident('inc-checkout', NOW)?.timeline ?? [])].reverse()} />);
    const times = [...container.querySelectorAll('.timeline-time')].map((each) => each.textContent ?? '');
    expect(times.length).toBeGreaterThan(5);
    expect(times).toEqual([...times].sort());
    expect(screen.getByLabelText('Cause report')).toBeTruthy();
  });
  it('tell what became of their notifications', async () => {
    await show(<AlertTable alerts={alerts(NOW).slice(0, 1)} named />);
    expect(screen.getByText(/4 attempts · connection refused/)).toBeTruthy();
  });
});

describe('objectives', () => {
  const find = (id: string): Slo => slos(NOW).slos.find((each) => each.id === id) as Slo;
  it('have a burn table in words', async () => {
    await show(<BurnTable slo={find('search-latency')} />);
    expect(screen.getByText(/Easing off: over ×6 in 6 h, no longer in 30 min/)).toBeTruthy();
    expect(screen.queryByText(/Firing/)).toBeNull();
  });
  it('show states of their own, and an overspent budget below zero', async () => {
    await show(
      <>
        <SloMark slo={find('mail-relay-availability')} />
        <SloMark slo={find('accounts-availability')} named />
        <BudgetBar slo={find('payment-latency')} />
        <BudgetBar slo={{ ...find('payment-latency'), budget_left_ratio: -16.85 }} />
      </>,
    );
    expect(screen.getByText(/No traffic/)).toBeTruthy();
    expect(screen.getByText(/Missing data/)).toBeTruthy();
    expect(screen.getByText('−29%')).toBeTruthy();
    expect(screen.getByText('−17×')).toBeTruthy();
  });
});

it('service map: buttons in reading order that the arrows walk through', async () => {
  const graph = map(0, 3_600_000, 0);
  const select = vi.fn();
  const layout = oneHop('checkout', ['gateway'], ['payment', 'cart'], 900, 7);
  await show(<ServiceGraph graph={graph} layout={layout} label="map" selected="checkout" onSelect={select} />);
  const buttons = screen.getAllByRole('button');
  expect(buttons.map((button) => button.getAttribute('title'))).toEqual(['gateway', 'checkout', 'payment', 'cart']);
  expect(buttons[2]?.textContent).toContain('payment, service, Failing: ');
  buttons[1]?.focus();
  fireEvent.keyDown(buttons[1] as HTMLElement, { key: 'ArrowDown' });
  expect(document.activeElement).toBe(buttons[2]);
  fireEvent.click(buttons[2] as HTMLElement);
  expect(select).toHaveBeenCalledWith('payment');
});
