export type Verdict = 'right' | 'wrong';

const KEY = 'rootline.verdicts';
const MOST = 500;

function read(): [string, Verdict][] {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? '[]') as unknown;
    return Array.isArray(kept) ? (kept as [string, Verdict][]) : [];
  } catch {
    return [];
  }
}

/** What readers of this browser thought of reports; the newest are kept. */
export const verdicts = {
  of: (id: string): Verdict | null => read().find(([each]) => each === id)?.[1] ?? null,
  set(id: string, verdict: Verdict | null): Verdict | null {
    const others = read().filter(([each]) => each !== id);
    try {
      localStorage.setItem(KEY, JSON.stringify(verdict ? [[id, verdict], ...others].slice(0, MOST) : others));
    } catch {
      // No room: the verdict holds until the page is closed.
    }
    return verdict;
  },
};
