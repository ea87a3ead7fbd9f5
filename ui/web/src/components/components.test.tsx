import { MantineProvider } from '@mantine/core';
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { trace } from '../../fixture/data';
import { ApiError } from '../api/client';
import type { HistogramAnswer } from '../api/types';
import { I18nProvider, type Lang } from '../i18n';
import { rowsOf, treeOf } from '../state/trace';
import { DataTable } from './DataTable';
import { FilterBar } from './FilterBar';
import { stacked } from './Histogram';
import { SeverityMark, StatusMark } from './marks';
import { ResultLine } from './ResultLine';
import { StateView } from './StateView';
import { Waterfall } from './Waterfall';

const show = (node: ReactNode, lang: Lang = 'en') =>
  render(
    <MantineProvider env="test">
      <I18nProvider lang={lang} timeZone="UTC">
        {node}
      </I18nProvider>
    </MantineProvider>,
  );
// A virtual list draws what fits: give it a height.
Object.defineProperty(HTMLElement.prototype, 'offsetHeight', { configurable: true, get: () => 400 });
Object.defineProperty(HTMLElement.prototype, 'offsetWidth', { configurable: true, get: () => 800 });
afterEach(cleanup);

describe('states', () => {
  const asked = { data: undefined, error: null, isPending: true, fetchStatus: 'fetching', refetch: () => undefined };
  const view = (state: object, isEmpty = false) =>
    show(
      <StateView asked={{ ...asked, ...state } as never} isEmpty={() => isEmpty} empty={<p>nothing</p>}>
        {() => <p>answer</p>}
      </StateView>,
    );
  it('running', () => expect(view({}).container.querySelector('[data-state="running"]')).toBeTruthy());
  it('cancelled', () => {
    view({ fetchStatus: 'idle' });
    expect(screen.getByText('Cancelled')).toBeTruthy();
  });
  it('failed, with what the server said', () => {
    view({ error: new ApiError(400, { title: 'Bad Request', detail: 'no such field', hint: 'try service:' }) });
    expect(screen.getByText('no such field')).toBeTruthy();
    expect(screen.getByText('try service:')).toBeTruthy();
  });
  it('unreachable', () => {
    view({ error: new ApiError(0, { detail: 'refused' }) });
    expect(screen.getByText('The server cannot be reached')).toBeTruthy();
  });
  it('empty and answered', () => {
    view({ data: 1 }, true);
    expect(screen.getByText('nothing')).toBeTruthy();
    view({ data: 1 });
    expect(screen.getByText('answer')).toBeTruthy();
  });
});

describe('result line', () => {
  it('says exact or partial and what it cost', () => {
    show(
      <ResultLine
        stats={{ rows_scanned: 1204, segments_scanned: 1, segments_pruned: 88, elapsed_ms: 12.4, complete: true }}
      />,
    );
    expect(screen.getByText('exact')).toBeTruthy();
    expect(screen.getByText('1,204 rows scanned · 1 segment read, 88 skipped · 12.4 ms')).toBeTruthy();
    show(<ResultLine stats={{ complete: false }} />, 'zh-CN');
    expect(screen.getByText(/不完整/)).toBeTruthy();
  });
});

describe('filter bar', () => {
  it('asks on Enter only, and removes a term by its chip', () => {
    const onChange = vi.fn();
    show(<FilterBar value="service:payment timeout" onChange={onChange} placeholder="" />);
    const input = screen.getByLabelText('Filter');
    fireEvent.change(input, { target: { value: 'level>=error' } });
    expect(onChange).not.toHaveBeenCalled();
    fireEvent.submit(input.closest('form') as HTMLFormElement);
    expect(onChange).toHaveBeenCalledWith('level>=error');
    fireEvent.click(screen.getByLabelText('Remove: service:payment'));
    expect(onChange).toHaveBeenLastCalledWith('timeout');
  });
});

describe('marks', () => {
  it('never use colour alone', () => {
    show(
      <>
        <StatusMark status="crit" />
        <SeverityMark severity="warn" />
      </>,
    );
    expect(screen.getByLabelText('Failing').textContent).toBe('✕');
    expect(screen.getByTitle('Warning').textContent).toBe('W');
  });
});

describe('table', () => {
  it('sorts by its headers and draws only some of many rows', () => {
    const onSort = vi.fn();
    const rows = Array.from({ length: 1000 }, (_, i) => i);
    const columns = [{ key: 'n', title: 'Number', width: '1fr', sortable: true, cell: (row: number) => `row ${row}` }];
    const { container } = show(
      <DataTable label="numbers" columns={columns} rows={rows} rowKey={String} sort="-n" onSort={onSort} />,
    );
    fireEvent.click(screen.getByText('Number'));
    expect(onSort).toHaveBeenCalledWith('n');
    expect(screen.getByRole('columnheader').getAttribute('aria-sort')).toBe('descending');
    expect(container.querySelectorAll('.trow').length).toBeLessThan(60);
  });
});

describe('waterfall', () => {
  it('moves and folds by keyboard', () => {
    const tree = treeOf(trace(0, 40, Date.UTC(2026, 10, 22)).spans);
    const none = new Set<number>();
    const [onSelect, onToggle] = [vi.fn(), vi.fn()];
    show(
      <Waterfall
        tree={tree}
        rows={rowsOf(tree, { collapsed: none, unfolded: new Set(), wanted: null })}
        slotOf={() => 0}
        view={{ start: 0, end: 1000 }}
        selected={null}
        collapsed={none}
        onSelect={onSelect}
        onToggle={onToggle}
        onUnfold={() => undefined}
      />,
    );
    const list = screen.getByRole('tree');
    fireEvent.keyDown(list, { key: 'j' });
    fireEvent.keyDown(list, { key: 'Enter' });
    expect(onSelect).toHaveBeenCalledWith(0);
    fireEvent.keyDown(list, { key: 'ArrowLeft' });
    expect(onToggle).toHaveBeenCalledWith(0);
  });
});

it('stacks the histogram, unknown severities as unspecified', () => {
  const answer: HistogramAnswer = {
    start: '2026-11-22T13:00:00Z',
    step_ms: 1000,
    total: 6,
    series: [
      { severity: 'error', counts: [1, 2] },
      { severity: 'odd', counts: [0, 3] },
    ],
  };
  expect(stacked(answer).map((bin) => [bin.total, bin.counts.error, bin.counts.unspecified])).toEqual([
    [1, 1, 0],
    [5, 2, 3],
  ]);
});
