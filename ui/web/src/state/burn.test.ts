import { describe, expect, it } from 'vitest';
import { slos } from '../../fixture/objectives';
import type { BurnPair, Slo } from '../api/reliability';
import { headline, pairText } from '../components/words';
import { makeI18n } from '../i18n';
import { badEvents, burnNow, byBudget, pairState, sloStatus, sortedSlos, stateOf } from './burn';

const pair = (short: number | null, long: number | null, firing = false): BurnPair => ({
  severity: 'page',
  short_window_seconds: 300,
  long_window_seconds: 3600,
  factor: 14.4,
  short,
  long,
  firing,
});
const all = slos(Date.UTC(2026, 10, 25)).slos;
const find = (id: string): Slo => all.find((slo) => slo.id === id) as Slo;

describe('a pair of windows', () => {
  it('says one thing', () => {
    expect(pairState(pair(20, 15, true))).toBe('firing');
    expect(pairState(pair(20, 2))).toBe('starting');
    expect(pairState(pair(2, 20))).toBe('easing');
    expect(pairState(pair(0, 0))).toBe('calm');
    expect(pairState(pair(null, 2))).toBe('unknown');
  });
});

describe('an objective', () => {
  it('is never on track while an alert fires', () => {
    const slo: Slo = { ...find('gateway-availability'), burn_rates: [pair(20, 15, true)] };
    expect(slo.state).toBe('ok');
    expect(stateOf(slo)).toBe('burning');
    expect(sloStatus(slo)).toBe('crit');
  });
  it('keeps no traffic and missing data apart from good and bad', () => {
    expect([find('mail-relay-availability'), find('accounts-availability')].map(sloStatus)).toEqual([
      'unknown',
      'unknown',
    ]);
  });
  it.each(['en', 'zh-CN'] as const)('has a headline that its burn table agrees with (%s)', (lang) => {
    const i18n = makeI18n(lang, 'UTC');
    for (const slo of all) {
      const fires = slo.burn_rates.some((each) => pairState(each) === 'firing');
      const text = headline(i18n, slo);
      const calm = lang === 'en' ? /no alert fires|No alert fires/ : /没有告警/;
      if (fires) expect(text).not.toMatch(calm);
      if (stateOf(slo) === 'ok') expect(fires).toBe(false);
      for (const each of slo.burn_rates) expect(pairText(i18n, each, pairState(each))).not.toMatch(/[{}]/);
      expect(text).not.toMatch(/[{}]/);
    }
  });
  it('counts what the target allows', () => {
    expect(badEvents({ ...find('catalog-availability'), total: 100_000, good: 99_950, target_ratio: 0.999 })).toEqual({
      allowed: 100,
      bad: 50,
    });
  });
  it('burns as fast as its alert says, else as its shortest window does', () => {
    expect(burnNow(find('payment-latency'))).toBe(12.1);
    expect(burnNow(find('search-latency'))).toBe(0.4);
    expect(burnNow(find('checkout-availability'))).toBe(38.2);
    expect(burnNow(find('mail-relay-availability'))).toBeNull();
  });
});

describe('lists of objectives', () => {
  it('begin with the least budget', () => {
    const order = [...all].sort(byBudget).map((slo) => slo.id);
    expect(order.slice(0, 4)).toEqual([
      'payment-latency',
      'checkout-availability',
      'accounts-availability',
      'mail-relay-availability',
    ]);
    expect(sortedSlos(all, 'no-such-column').map((slo) => slo.id)).toEqual(order);
  });
  it('sort by a column with the unknown last, both ways', () => {
    expect(sortedSlos(all, 'budget').at(-1)?.id).toBe('mail-relay-availability');
    expect(sortedSlos(all, '-budget').at(-1)?.id).toBe('mail-relay-availability');
    expect(sortedSlos(all, '-budget')[0]?.id).toBe('catalog-availability');
  });
});
