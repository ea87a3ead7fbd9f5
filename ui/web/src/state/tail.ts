import type { LogRow } from '../api/types';

/** Rows of a live tail: what is shown, what waits while the reader holds it, and what was lost. */
export interface Tail {
  rows: readonly LogRow[];
  waiting: readonly LogRow[];
  /** Rows that the server or this page dropped because they came faster than they could be shown. */
  dropped: number;
}

export const EMPTY_TAIL: Tail = { rows: [], waiting: [], dropped: 0 };
export const MOST_SHOWN = 5000;
export const MOST_WAITING = 5000;

/** `tail` with the rows that arrived. While held, shown rows stay as they are and new ones wait; the oldest waiting go first. */
export function arrived(tail: Tail, rows: readonly LogRow[], held: boolean): Tail {
  if (!held) return { ...tail, rows: [...tail.rows, ...tail.waiting, ...rows].slice(-MOST_SHOWN), waiting: [] };
  const waiting = [...tail.waiting, ...rows];
  const over = Math.max(0, waiting.length - MOST_WAITING);
  return { ...tail, waiting: waiting.slice(over), dropped: tail.dropped + over };
}
