import { describe, expect, it } from 'vitest';
import type { Span } from '../api/types';
import { rowsOf, totalsOf, treeOf, wantedSpans } from './trace';

const span = (span_id: string, parent: string | null, start: number, more: Partial<Span> = {}): Span => ({
  span_id,
  parent_span_id: parent,
  name: `op-${span_id}`,
  kind: 'internal',
  service: 'shop',
  start_time: '',
  start_offset_ms: start,
  duration_ms: 5,
  self_ms: 1,
  status_code: 'unset',
  depth: 0,
  critical: false,
  ...more,
});
const all = { collapsed: new Set<number>(), unfolded: new Set<string>(), wanted: null };
const ids = (tree: ReturnType<typeof treeOf>, rows: ReturnType<typeof rowsOf>): string[] =>
  rows.map((row) => (row.kind === 'span' ? (tree.spans[row.index]?.span_id ?? '') : `×${row.indexes.length}`));

describe('tree', () => {
  it('orders children by start under their parents', () => {
    const tree = treeOf([span('c', 'a', 9), span('a', null, 0), span('b', 'a', 3), span('d', 'b', 4)]);
    expect(ids(tree, rowsOf(tree, all))).toEqual(['a', 'b', 'd', 'c']);
    expect(tree.below[1]).toBe(3);
    expect(tree.depth[3]).toBe(2);
  });
  it('keeps spans whose parent is missing and cuts cycles', () => {
    const tree = treeOf([span('a', 'gone', 0), span('x', 'y', 1), span('y', 'x', 2), span('self', 'self', 3)]);
    expect(rowsOf(tree, all)).toHaveLength(4);
  });
  it('holds 50,000 spans, also as one chain', () => {
    const chain = Array.from({ length: 50_000 }, (_, i) => span(`s${i}`, i ? `s${i - 1}` : null, i));
    expect(rowsOf(treeOf(chain), all)).toHaveLength(50_000);
  });
});

describe('rows', () => {
  const many = treeOf([
    span('r', null, 0),
    ...Array.from({ length: 12 }, (_, i) => span(`q${i}`, 'r', i, { name: 'SELECT' })),
    span('z', 'r', 20),
  ]);
  it('folds repeated siblings until asked', () => {
    const rows = rowsOf(many, all);
    expect(ids(many, rows)).toEqual(['r', '×12', 'z']);
    const key = rows[1]?.kind === 'fold' ? rows[1].key : '';
    expect(rowsOf(many, { ...all, unfolded: new Set([key]) })).toHaveLength(14);
  });
  it('collapses', () => expect(rowsOf(many, { ...all, collapsed: new Set([0]) })).toHaveLength(1));
  it('shows what is wanted with its ancestors', () => {
    const tree = treeOf([
      span('a', null, 0),
      span('b', 'a', 1),
      span('c', 'b', 2, { status_code: 'error' }),
      span('d', 'a', 3),
    ]);
    expect(ids(tree, rowsOf(tree, { ...all, wanted: wantedSpans(tree, '', true, false) }))).toEqual(['a', 'b', 'c']);
    expect(wantedSpans(tree, 'OP-D', false, false)).toEqual(new Set([3]));
    expect(wantedSpans(tree, '', false, false)).toBeNull();
  });
});

it('adds up by operation', () => {
  expect(
    totalsOf([
      span('a', null, 0, { name: 'x', self_ms: 2 }),
      span('b', 'a', 1, { name: 'x', self_ms: 3, status_code: 'error' }),
      span('c', 'a', 1, { name: 'y', self_ms: 9 }),
    ]),
  ).toMatchObject([
    { name: 'y', count: 1, selfMs: 9 },
    { name: 'x', count: 2, errors: 1, selfMs: 5, totalMs: 10 },
  ]);
});
