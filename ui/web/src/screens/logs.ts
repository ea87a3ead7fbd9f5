import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { getJson } from '../api/client';
import type { FieldsAnswer, Json, LogPage, LogRow } from '../api/types';
import { useWindow } from '../app/window';

export const PAGE_ROWS = 500;
export const MOST_ROWS = 10_000;

export function useLogPages(q: string, order: 'asc' | 'desc') {
  const { window } = useWindow();
  return useInfiniteQuery({
    queryKey: ['logs', q, window.from, window.to, order],
    queryFn: ({ pageParam, signal }) =>
      getJson<LogPage>(
        '/api/logs',
        { q, from: window.from, to: window.to, limit: PAGE_ROWS, order, cursor: pageParam },
        signal,
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (last, pages) =>
      pages.length * PAGE_ROWS < MOST_ROWS ? (last.next_cursor ?? undefined) : undefined,
    placeholderData: keepPreviousData,
  });
}

/** The record with this id: for one that a URL names and the list has not loaded, and for a body that was cut. */
export function useLogRecord(id: string | undefined, full: boolean, wanted: boolean) {
  return useQuery({
    queryKey: ['log-record', id, full],
    queryFn: async ({ signal }) => {
      const { rows } = await getJson<LogPage>('/api/logs', { id, full: full ? 1 : undefined }, signal);
      return rows[0] ?? null;
    },
    enabled: wanted && Boolean(id),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function useLogFields(q: string) {
  const { window } = useWindow();
  return useQuery({
    queryKey: ['log-fields', q, window.from, window.to],
    queryFn: ({ signal }) => getJson<FieldsAnswer>('/api/logs/fields', { q, from: window.from, to: window.to }, signal),
    placeholderData: keepPreviousData,
  });
}

/** The body in one line, as long as a row can show. */
export function bodyLine(row: LogRow, most = 600): string {
  const text = bodyText(row.body);
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  return cut.replace(/\r?\n/g, ' ⏎ ') || row.event_name || '';
}

export function bodyText(body: Json): string {
  if (body === null || body === undefined) return '';
  return typeof body === 'string' ? body : JSON.stringify(body);
}

/** The body for reading: JSON indented, everything else as it came. */
export function bodyPretty(body: Json): string {
  if (typeof body !== 'string') return body === null ? '' : JSON.stringify(body, null, 2);
  if (!/^\s*[[{]/.test(body) || body.length > 200_000) return body;
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

/** Name of a facet in the search language. */
export function facetField(name: string): string {
  return name === 'severity' ? 'level' : name;
}

export function asMarkdown(rows: readonly LogRow[]): string {
  const cell = (text: string): string => text.replace(/\|/g, '\\|').replace(/\s+/g, ' ');
  return [
    '| time | severity | service | body |',
    '| --- | --- | --- | --- |',
    ...rows.map(
      (row) =>
        `| ${row.timestamp} | ${row.severity_text || row.severity_number} | ${cell(row.service)} | ${cell(bodyLine(row, 300))} |`,
    ),
  ].join('\n');
}
