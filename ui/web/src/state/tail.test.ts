import { expect, it } from 'vitest';
import type { LogRow } from '../api/types';
import { arrived, EMPTY_TAIL, MOST_SHOWN, MOST_WAITING } from './tail';

const rows = (from: number, count: number): LogRow[] =>
  Array.from({ length: count }, (_, i) => ({
    id: String(from + i),
    timestamp: '',
    severity_number: 9,
    service: 's',
    body: '',
  }));

it('keeps what is shown in place while held, then lets the rest in', () => {
  const shown = arrived(EMPTY_TAIL, rows(0, 3), false);
  const held = arrived(shown, rows(3, 2), true);
  expect(held.rows).toBe(shown.rows);
  expect(held.waiting).toHaveLength(2);
  expect(arrived(held, [], false).rows.map((row) => row.id)).toEqual(['0', '1', '2', '3', '4']);
});
it('is bounded and counts what it drops', () => {
  const held = arrived(EMPTY_TAIL, rows(0, MOST_WAITING + 7), true);
  expect([held.waiting.length, held.dropped, held.waiting[0]?.id]).toEqual([MOST_WAITING, 7, '7']);
  expect(arrived(EMPTY_TAIL, rows(0, MOST_SHOWN + 1), false).rows).toHaveLength(MOST_SHOWN);
});
