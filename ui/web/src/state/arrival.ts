import type { ServerStatus, SignalCounts } from '../api/types';

/** Counts of all signals at one moment. */
export interface Sample {
  at: number;
  ingest: { [signal: string]: SignalCounts };
}

export const SIGNALS = ['logs', 'spans', 'metrics'] as const;
export type Signal = (typeof SIGNALS)[number];

export const MOST_SAMPLES = 150;
export const NOTHING: SignalCounts = { received: 0, accepted: 0, rejected: 0, duplicate: 0 };

/** Samples with the newest one added; a restart of the server (counts that fall) starts anew. */
export function sampled(samples: readonly Sample[], status: ServerStatus, at: number): Sample[] {
  const last = samples.at(-1);
  const fell =
    last && SIGNALS.some((signal) => (status.ingest[signal]?.received ?? 0) < (last.ingest[signal]?.received ?? 0));
  return [...(fell ? [] : samples), { at, ingest: status.ingest }].slice(-MOST_SAMPLES);
}

/** Accepted items per second between neighbouring samples. */
export function rates(samples: readonly Sample[], signal: Signal): number[] {
  return samples.slice(1).map((sample, i) => {
    const before = samples[i] as Sample;
    const items = (sample.ingest[signal]?.accepted ?? 0) - (before.ingest[signal]?.accepted ?? 0);
    return items / Math.max(0.001, (sample.at - before.at) / 1000);
  });
}

/** Whether rows of a table are stored, in memory or on disk. */
const stored = ({ storage }: ServerStatus, table: string): boolean =>
  storage.tables.some((each) => each.name === table && each.segment_rows + each.memtable_rows > 0);

/** Whether a signal has ever arrived here. */
export function has(status: ServerStatus, signal: Signal): boolean {
  return (status.ingest[signal]?.accepted ?? 0) > 0 || stored(status, signal);
}

/** A server that has never received anything. */
export const isEmpty = ({ storage, ingest }: ServerStatus): boolean =>
  storage.tables.every((table) => table.segment_rows + table.memtable_rows === 0) &&
  Object.values(ingest).every((counts) => counts.accepted === 0);
