import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError, address, postJson, send, token } from '../api/client';
import type { SqlAnswer } from '../api/types';

export interface SqlRequest {
  query: string;
  from?: number | undefined;
  to?: number | undefined;
}

export type Run =
  | { state: 'idle' }
  | { state: 'running'; startedAt: number }
  | { state: 'cancelled' }
  | { state: 'failed'; error: unknown; query: string }
  | { state: 'done'; answer: SqlAnswer; query: string }
  | { state: 'explained'; plan: string; query: string };

export const MOST_RESULT_ROWS = 10_000;

/** A plan as text, whichever of the shapes the server uses for it. */
export function planText(body: string): string {
  try {
    const parsed = JSON.parse(body) as unknown;
    if (typeof parsed === 'string') return parsed;
    const fields = parsed as Record<string, unknown>;
    const plan = fields.plan ?? fields.explain ?? fields.text;
    return typeof plan === 'string' ? plan : JSON.stringify(parsed, null, 2);
  } catch {
    return body;
  }
}

/** Runs one query at a time; a new one, `cancel` or leaving the screen ends the old one here and on the server. */
export function useSql() {
  const [run, setRun] = useState<Run>({ state: 'idle' });
  const current = useRef<{ id: string; abort: AbortController } | null>(null);
  const stop = useCallback(() => {
    const going = current.current;
    current.current = null;
    if (!going) return false;
    going.abort.abort();
    // The connection is closed as well; asking by id also reaches a server behind a buffering proxy.
    send(address(`/api/queries/${going.id}`), { method: 'DELETE' }).catch(() => undefined);
    return true;
  }, []);
  useEffect(() => () => void stop(), [stop]);

  const start = useCallback(
    async (request: SqlRequest, work: (id: string, signal: AbortSignal) => Promise<Run>) => {
      stop();
      const mine = { id: newId(), abort: new AbortController() };
      current.current = mine;
      setRun({ state: 'running', startedAt: performance.now() });
      try {
        const result = await work(mine.id, mine.abort.signal);
        if (current.current === mine) setRun(result);
      } catch (error) {
        if (current.current === mine) setRun({ state: 'failed', error, query: request.query });
      } finally {
        if (current.current === mine) current.current = null;
      }
    },
    [stop],
  );
  const execute = useCallback(
    (request: SqlRequest) =>
      start(request, async (query_id, signal) => {
        const answer = await postJson<SqlAnswer>('/api/sql', { ...request, limit: MOST_RESULT_ROWS, query_id }, signal);
        return { state: 'done', answer, query: request.query };
      }),
    [start],
  );
  const explain = useCallback(
    (request: SqlRequest) =>
      start(request, async (_id, signal) => {
        const response = await send(address('/api/sql/explain'), {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify(request),
          signal,
        });
        return { state: 'explained', plan: planText(await response.text()), query: request.query };
      }),
    [start],
  );
  const cancel = useCallback(() => {
    if (stop()) setRun({ state: 'cancelled' });
  }, [stop]);
  return { run, execute, explain, cancel };
}

function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export const FORMATS = {
  csv: 'text/csv',
  ndjson: 'application/x-ndjson',
  arrow: 'application/vnd.apache.arrow.stream',
  parquet: 'application/vnd.apache.parquet',
} as const;
export type DownloadFormat = keyof typeof FORMATS;

/** Longest query that fits into an address. */
const MOST_LINK_TEXT = 4000;

/**
 * Saves the whole result as a file. By a link where that is possible: then the browser writes to disk as the server
 * streams. A long query and a token need a request of our own, whose answer passes through memory.
 */
export async function download(request: SqlRequest, format: DownloadFormat): Promise<void> {
  const link = document.createElement('a');
  link.download = `rootline-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, '-')}.${format}`;
  if (!token.get() && request.query.length <= MOST_LINK_TEXT) {
    link.href = address('/api/sql', { ...request, format });
    link.click();
    return;
  }
  const headers = { 'Content-Type': 'application/json', Accept: FORMATS[format] };
  const response = await send(address('/api/sql'), { method: 'POST', headers, body: JSON.stringify(request) });
  link.href = URL.createObjectURL(await response.blob());
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export const positionOf = (error: unknown): number | undefined =>
  error instanceof ApiError ? error.problem.position : undefined;

const HISTORY_KEY = 'rootline.sql.history';
const DRAFT_KEY = 'rootline.sql.draft';
const MOST_HISTORY = 50;

export interface Past {
  query: string;
  at: number;
}

/** Queries that were run in this browser, newest first. */
export const past = {
  read(): Past[] {
    try {
      return JSON.parse(localStorage.getItem(HISTORY_KEY) ?? '[]') as Past[];
    } catch {
      return [];
    }
  },
  add(query: string): Past[] {
    const next = [{ query, at: Date.now() }, ...past.read().filter((each) => each.query !== query)].slice(
      0,
      MOST_HISTORY,
    );
    try {
      localStorage.setItem(HISTORY_KEY, JSON.stringify(next));
    } catch {
      // No room: the query runs all the same.
    }
    return next;
  },
  draft: (): string | null => localStorage.getItem(DRAFT_KEY),
  saveDraft(text: string): void {
    try {
      localStorage.setItem(DRAFT_KEY, text);
    } catch {
      // No room: the text stays in the editor.
    }
  },
};
