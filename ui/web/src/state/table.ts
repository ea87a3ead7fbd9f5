import type { Json, SqlAnswer } from '../api/types';

/** What a result table can be drawn as: lines over time, or bars by name. Null when it is neither. */
export type Drawing =
  | { kind: 'lines'; times: number[]; lines: { name: string; values: (number | null)[] }[]; leftOut: number }
  | { kind: 'bars'; name: string; value: string; bars: { name: string; value: number }[]; leftOut: number };

const MOST_LINES = 12;
const MOST_BARS = 40;

const isTime = (type: string): boolean => /^(timestamp|date)/i.test(type);
const isNumber = (type: string): boolean => /^(u?int|float|double|decimal|bigint|real|smallint|tinyint)/i.test(type);

const toNumber = (value: Json | undefined): number | null => {
  if (value === null || value === undefined || value === '') return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
};

export function drawingOf({ columns, rows }: SqlAnswer): Drawing | null {
  if (rows.length < 2) return null;
  const time = columns.findIndex((column) => isTime(column.type));
  const numbers = columns.flatMap((column, i) => (isNumber(column.type) ? [i] : []));
  const names = columns.flatMap((column, i) =>
    i !== time && !isNumber(column.type) && !isTime(column.type) ? [i] : [],
  );
  if (!numbers.length) return null;
  if (time >= 0) return linesOf({ columns, rows }, time, numbers, names);
  const [name, value] = [names[0], numbers[0]];
  if (name === undefined || value === undefined || names.length > 1) return null;
  const bars = rows.flatMap((row) => {
    const number = toNumber(row[value]);
    return number === null ? [] : [{ name: String(row[name] ?? '–'), value: number }];
  });
  bars.sort((a, b) => b.value - a.value);
  return {
    kind: 'bars',
    name: columns[name]?.name ?? '',
    value: columns[value]?.name ?? '',
    bars: bars.slice(0, MOST_BARS),
    leftOut: Math.max(0, bars.length - MOST_BARS),
  };
}

/** One line per number column, or one per value of the name columns when there is one number column. */
function linesOf({ columns, rows }: SqlAnswer, time: number, numbers: number[], names: number[]): Drawing {
  const times = [...new Set(rows.map((row) => Date.parse(String(row[time]))))]
    .filter((at) => Number.isFinite(at))
    .sort((a, b) => a - b);
  const place = new Map(times.map((at, i) => [at, i]));
  const lines = new Map<string, (number | null)[]>();
  for (const row of rows) {
    const i = place.get(Date.parse(String(row[time])));
    if (i === undefined) continue;
    const group = names.map((column) => String(row[column] ?? '–')).join(' · ');
    for (const column of numbers) {
      const own = columns[column]?.name ?? '';
      const name = group ? (numbers.length > 1 ? `${group} · ${own}` : group) : own;
      let values = lines.get(name);
      if (!values) {
        values = times.map(() => null);
        lines.set(name, values);
      }
      values[i] = toNumber(row[column]);
    }
  }
  const peak = (values: (number | null)[]): number => Math.max(0, ...values.map((value) => value ?? 0));
  const made = [...lines].map(([name, values]) => ({ name, values })).sort((a, b) => peak(b.values) - peak(a.values));
  return { kind: 'lines', times, lines: made.slice(0, MOST_LINES), leftOut: Math.max(0, made.length - MOST_LINES) };
}

/** A cell as text; maps and lists as JSON. */
export function cellText(value: Json | undefined): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** A table for pasting; at most `most` rows. */
export function tableMarkdown({ columns, rows }: SqlAnswer, most = 200): string {
  const cell = (value: Json | undefined): string => cellText(value).replace(/\|/g, '\\|').replace(/\s+/g, ' ');
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(columns.map((column) => column.name)),
    line(columns.map(() => '---')),
    ...rows.slice(0, most).map((row) => line(columns.map((_, i) => cell(row[i])))),
  ].join('\n');
}

/** Line and column (from 1) of a character offset, and the word that starts there. */
export function placeOf(text: string, offset: number): { line: number; column: number; end: number } {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  const word = /^(\w+|\W)/.exec(text.slice(offset))?.[0] ?? '';
  return {
    line,
    column: offset - before.lastIndexOf('\n'),
    end: Math.min(text.length, offset + Math.max(1, word.length)),
  };
}
