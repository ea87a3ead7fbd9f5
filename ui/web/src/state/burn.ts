/** What an objective's numbers mean, decided once so that no two places of the UI can contradict each other. */
import type { BurnPair, Slo, SloState } from '../api/reliability';
import type { Status } from '../design/tokens';

export type PairState = 'firing' | 'starting' | 'easing' | 'calm' | 'unknown';

/** Both windows over the factor fire; the short one alone has just begun; the long one alone is easing off. */
export function pairState(pair: BurnPair): PairState {
  if (pair.firing) return 'firing';
  if (pair.short === null || pair.long === null) return 'unknown';
  if (pair.short >= pair.factor) return 'starting';
  return pair.long >= pair.factor ? 'easing' : 'calm';
}

export const firingPairs = (slo: Slo): BurnPair[] => slo.burn_rates.filter((pair) => pair.firing);

/** The state to show: an objective with a firing alert is never called calm. */
export function stateOf(slo: Slo): SloState {
  return slo.state === 'ok' && firingPairs(slo).length > 0 ? 'burning' : slo.state;
}

export function sloStatus(slo: Slo): Status {
  switch (stateOf(slo)) {
    case 'exhausted':
      return 'crit';
    case 'burning':
      return firingPairs(slo).some((pair) => pair.severity === 'page') ? 'crit' : 'warn';
    case 'ok':
      return 'ok';
    default:
      return 'unknown';
  }
}

/** The present speed: that of the first alert that fires, else the rate over the shortest window that has one. */
export function burnNow(slo: Slo): number | null {
  const shortest = [...slo.burn_rates].sort((a, b) => a.short_window_seconds - b.short_window_seconds);
  return (shortest.find((pair) => pair.firing) ?? shortest.find((pair) => pair.short !== null))?.short ?? null;
}

const ORDER: Record<SloState, number> = { exhausted: 0, burning: 1, missing_data: 2, no_traffic: 3, ok: 4 };

/** Least budget first; what cannot be judged stands between what burns and what is fine. */
export function byBudget(a: Slo, b: Slo): number {
  return (
    ORDER[stateOf(a)] - ORDER[stateOf(b)] ||
    (a.budget_left_ratio ?? 1) - (b.budget_left_ratio ?? 1) ||
    a.id.localeCompare(b.id)
  );
}

type SloKey = 'state' | 'name' | 'service' | 'sli' | 'budget' | 'burn';
export const SLO_SORTS: readonly SloKey[] = ['state', 'name', 'service', 'sli', 'budget', 'burn'];

export function sortedSlos(slos: readonly Slo[], sort: string): Slo[] {
  const descending = sort.startsWith('-');
  const key = sort.replace('-', '') as SloKey;
  const sign = descending ? -1 : 1;
  if (key === 'state' || !SLO_SORTS.includes(key)) return [...slos].sort((a, b) => sign * byBudget(a, b));
  const value = (slo: Slo): string | number | null =>
    key === 'name'
      ? slo.display_name || slo.id
      : key === 'service'
        ? slo.service
        : key === 'sli'
          ? slo.sli
          : key === 'burn'
            ? burnNow(slo)
            : slo.budget_left_ratio;
  return [...slos].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    return sign * (typeof x === 'string' ? x.localeCompare(String(y)) : x - Number(y)) || a.id.localeCompare(b.id);
  });
}

/** Bad events that the target allows in what was counted, and how many there were. */
export function badEvents(slo: Slo): { allowed: number; bad: number } {
  return { allowed: Math.round(slo.total * (1 - slo.target_ratio)), bad: Math.max(0, slo.total - slo.good) };
}
