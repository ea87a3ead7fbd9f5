import type { Service } from '../api/types';
import type { Status } from '../design/tokens';

/** Until a service has objectives, its error ratio and its change against the period before decide. */
export const FAILING_RATIO = 0.05;
export const DEGRADED_RATIO = 0.01;
export const SLOWER_FACTOR = 2;
const FEW_CALLS = 20;

export function healthOf(service: Service): Status {
  if (!service.calls) return 'unknown';
  const ratio = service.error_ratio ?? 0;
  if (service.calls >= FEW_CALLS && ratio >= FAILING_RATIO) return 'crit';
  if (ratio >= DEGRADED_RATIO && service.errors > 1) return 'warn';
  const change = ratioTo(service.p95_ms, service.previous?.p95_ms);
  return change !== null && change >= SLOWER_FACTOR && service.calls >= FEW_CALLS ? 'warn' : 'ok';
}

const ORDER: Record<Status, number> = { crit: 0, warn: 1, unknown: 3, ok: 2 };

/** Worst first; among equals the busier first. */
export function byNeed(a: Service, b: Service): number {
  return ORDER[healthOf(a)] - ORDER[healthOf(b)] || (b.error_ratio ?? 0) - (a.error_ratio ?? 0) || b.rate - a.rate;
}

/** `value / before`; null without something to compare with. */
export function ratioTo(value: number | null | undefined, before: number | null | undefined): number | null {
  return value === null || value === undefined || !before ? null : value / before;
}

type SortKey = 'status' | 'name' | 'rate' | 'errors' | 'p50' | 'p95' | 'p99' | 'change' | 'logs' | 'version';

/** Services in the order of a column; `-` before its name turns the order around. What is not known comes last. */
export function sortedServices(services: readonly Service[], sort: string): Service[] {
  const descending = sort.startsWith('-');
  const key = (descending ? sort.slice(1) : sort) as SortKey;
  if (key === 'status') {
    const worstFirst = [...services].sort(byNeed);
    return descending ? worstFirst : worstFirst.reverse();
  }
  const value = (service: Service): number | string | null => {
    switch (key) {
      case 'name':
        return service.name;
      case 'version':
        return service.version ?? null;
      case 'rate':
        return service.rate;
      case 'errors':
        return service.error_ratio;
      case 'p50':
        return service.p50_ms;
      case 'p95':
        return service.p95_ms;
      case 'p99':
        return service.p99_ms;
      case 'change':
        return ratioTo(service.p95_ms, service.previous?.p95_ms);
      default:
        return service.log_errors ?? null;
    }
  };
  return [...services].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    const order = typeof x === 'string' || typeof y === 'string' ? String(x).localeCompare(String(y)) : x - y;
    return (descending ? -order : order) || a.name.localeCompare(b.name);
  });
}
