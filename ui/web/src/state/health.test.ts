import { expect, it } from 'vitest';
import { services } from '../../fixture/data';
import type { Service } from '../api/types';
import { byNeed, healthOf, ratioTo, sortedServices } from './health';

const base: Service = {
  name: 'a',
  rate: 1,
  calls: 1000,
  errors: 0,
  error_ratio: 0,
  p50_ms: 1,
  p95_ms: 10,
  p99_ms: 20,
  previous: { rate: 1, error_ratio: 0, p95_ms: 10 },
  slot: 0,
};

it('judges by errors first, then by the change of latency', () => {
  expect(healthOf(base)).toBe('ok');
  expect(healthOf({ ...base, calls: 0, error_ratio: null })).toBe('unknown');
  expect(healthOf({ ...base, errors: 60, error_ratio: 0.06 })).toBe('crit');
  expect(healthOf({ ...base, errors: 20, error_ratio: 0.02 })).toBe('warn');
  expect(healthOf({ ...base, p95_ms: 25 })).toBe('warn');
  expect(healthOf({ ...base, calls: 10, errors: 1, error_ratio: 0.1 })).toBe('ok');
});
it('sorts a thousand services, what is unknown last', () => {
  const many = Array.from({ length: 63 }, () => services(0, 3600e3))
    .flat()
    .map((service, i) => ({ ...service, name: `s${i}`, p95_ms: i % 7 ? service.p95_ms : null }));
  const sorted = sortedServices(many, '-p95');
  expect(sorted.at(-1)?.p95_ms).toBeNull();
  expect(sorted[0]?.p95_ms).toBeGreaterThanOrEqual(sorted[1]?.p95_ms ?? 0);
  expect(healthOf([...many].sort(byNeed)[0] as Service)).toBe('crit');
  expect(ratioTo(4, 0)).toBeNull();
});
