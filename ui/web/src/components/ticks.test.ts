import { expect, it } from 'vitest';
import { timeTicks, valueTicks } from './ticks';

it('puts ticks on round times', () => {
  const hour = Date.UTC(2026, 10, 22, 13);
  expect(timeTicks(hour + 1, hour + 3600e3, 6)).toEqual([10, 20, 30, 40, 50, 60].map((m) => hour + m * 60e3));
  expect(timeTicks(hour, hour + 30 * 86_400e3, 6).length).toBeLessThanOrEqual(6);
});
it('puts ticks on round values', () => {
  expect(valueTicks(0, 4)).toEqual([0]);
  expect(valueTicks(1280, 4)).toEqual([0, 500, 1000]);
  expect(valueTicks(0.043, 4)).toHaveLength(3);
});
