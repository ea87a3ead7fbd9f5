import { describe, expect, it } from 'vitest';
import { incidents } from '../../fixture/incidents';
import { placeOf } from '../app/routes';
import { byUrgency, columnNames, columnPeak, factorOf, isWebLink, placeOfLink, whyOf } from './cause';
import { patternFilter } from './pattern';
import { validSearch } from './search';
import { verdicts } from './verdict';

describe('links of an answer', () => {
  it('become a screen with the state that it understands', () => {
    expect(placeOfLink('/traces?q=service:payment+status:error&min=800ms&from=1&to=now&bogus=1')).toEqual({
      path: '/traces',
      search: { q: 'service:payment status:error', min: '800ms', to: 'now' },
    });
    expect(placeOfLink('/causes/c1')).toEqual({ path: '/causes/c1', search: {} });
  });
  it('lead nowhere when they are not ours', () => {
    for (const link of [null, undefined, '', '//evil.example/x', 'javascript:alert(1)', 'https://git.example'])
      expect(placeOfLink(link)).toBeNull();
    expect(isWebLink('https://git.example/x')).toBe(true);
    expect(isWebLink('javascript:alert(1)')).toBe(false);
  });
});

describe('evidence', () => {
  it('compares with what was expected only where that means something', () => {
    expect(factorOf({ value: 812, expected: 41 })).toBeCloseTo(19.8, 1);
    for (const [value, expected] of [
      [1, 0],
      [1, null],
      [null, 1],
      [-1, 2],
    ] as const)
      expect(factorOf({ value, expected })).toBeNull();
  });
  it('reads stored results of either shape', () => {
    expect(columnNames(['a', { name: 'b' }])).toEqual(['a', 'b']);
    const rows = [
      ['x', 3, '4 ms'],
      ['y', '7', '5 ms'],
    ];
    expect([0, 1, 2, 3].map((column) => columnPeak(rows, column))).toEqual([null, 7, null, null]);
  });
});

it('incidents: what is open first, then the newest', () => {
  const sorted = incidents(Date.UTC(2026, 10, 25))
    .reverse()
    .sort(byUrgency);
  expect(sorted.slice(0, 4).map((each) => each.id)).toEqual([
    'inc-search',
    'inc-mail',
    'inc-checkout',
    'inc-inventory',
  ]);
});

it('questions of the palette', () => {
  expect(whyOf('why checkout')).toBe('checkout');
  expect(whyOf('  Why ')).toBe('');
  expect(whyOf('为什么 checkout')).toBe('checkout');
  expect(whyOf('checkout')).toBeNull();
});

it('a pattern is looked for by its longest plain words', () => {
  expect(patternFilter('payment', 'card network timeout after <*>ms order=<*>')).toBe(
    'service:payment "card network timeout after"',
  );
  expect(patternFilter('cart', '<*>')).toBe('service:cart');
  expect(patternFilter('a b', 'say "hi" to <NUM> people now please')).toBe('service:"a b" "people now please"');
});

it('the place of a path', () => {
  expect(placeOf('/slos/checkout-availability')?.path).toBe('/slos');
  expect(placeOf('/incidents/1')?.path).toBe('/incidents');
  expect(placeOf('/causes/new')?.path).toBe('/incidents');
  expect(placeOf('/map')?.path).toBe('/map');
  expect(placeOf('/mapped')).toBeUndefined();
});

it('a service in the URL is any text of a sane length', () => {
  expect(validSearch({ service: '支付' }).service).toBe('支付');
  expect(validSearch({ service: 'x'.repeat(301) }).service).toBeUndefined();
});

it('verdicts are kept and taken back', () => {
  expect(verdicts.of('c1')).toBeNull();
  verdicts.set('c1', 'right');
  verdicts.set('c2', 'wrong');
  expect([verdicts.of('c1'), verdicts.of('c2')]).toEqual(['right', 'wrong']);
  verdicts.set('c1', null);
  expect(verdicts.of('c1')).toBeNull();
});
