import { expect, it } from 'vitest';
import type { SqlAnswer } from '../api/types';
import { drawingOf, placeOf, tableMarkdown } from './table';

const at = (m: number): string => `2026-11-22T13:0${m}:00.000000000Z`;

it('draws a time column with a name column as one line per name', () => {
  const answer: SqlAnswer = {
    columns: [
      { name: 'minute', type: 'Timestamp(ns)' },
      { name: 'service', type: 'Utf8' },
      { name: 'n', type: 'Int64' },
    ],
    rows: [
      [at(1), 'b', 2],
      [at(0), 'a', 9],
      [at(1), 'a', '5'],
    ],
  };
  expect(drawingOf(answer)).toMatchObject({
    kind: 'lines',
    times: [Date.parse(at(0)), Date.parse(at(1))],
    lines: [
      { name: 'a', values: [9, 5] },
      { name: 'b', values: [null, 2] },
    ],
  });
});
it('draws a name with a number as bars', () => {
  const answer: SqlAnswer = {
    columns: [
      { name: 'service', type: 'Utf8' },
      { name: 'n', type: 'UInt64' },
    ],
    rows: [
      ['a', 1],
      ['b', 3],
      ['c', null],
    ],
  };
  expect(drawingOf(answer)).toMatchObject({
    kind: 'bars',
    bars: [
      { name: 'b', value: 3 },
      { name: 'a', value: 1 },
    ],
  });
});
it('does not draw what has no numbers', () => {
  expect(drawingOf({ columns: [{ name: 'a', type: 'Utf8' }], rows: [['x'], ['y']] })).toBeNull();
});
it('copies as Markdown and finds places', () => {
  expect(tableMarkdown({ columns: [{ name: 'a', type: 'Utf8' }], rows: [['x|y']] })).toBe('| a |\n| --- |\n| x\\|y |');
  expect(placeOf('SELECT\n  bad FROM', 9)).toEqual({ line: 2, column: 3, end: 12 });
});
