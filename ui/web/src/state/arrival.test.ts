import { expect, it } from 'vitest';
import type { ServerStatus } from '../api/types';
import { rates, type Sample, sampled } from './arrival';

const status = (accepted: number): ServerStatus =>
  ({ ingest: { logs: { received: accepted, accepted, rejected: 0, duplicate: 0 } } }) as unknown as ServerStatus;

it('turns counts into rates and starts anew after a restart', () => {
  let samples: Sample[] = [];
  samples = sampled(samples, status(10), 0);
  samples = sampled(samples, status(30), 2000);
  expect(rates(samples, 'logs')).toEqual([10]);
  expect(sampled(samples, status(5), 4000)).toHaveLength(1);
});
