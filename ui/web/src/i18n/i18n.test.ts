import { describe, expect, it } from 'vitest';
import { en } from './en';
import { fill, makeFormat } from './format';
import { zh } from './zh-CN';

describe('catalogues', () => {
  it('use the same parameters in both languages', () => {
    const names = (text: string): string[] =>
      [...new Set([...text.matchAll(/\{(\w+)/g)].map((m) => m[1] ?? ''))].sort();
    const different = (Object.keys(en) as (keyof typeof en)[]).filter(
      (key) => names(en[key]).join() !== names(zh[key]).join(),
    );
    expect(different).toEqual([]);
  });
  it('have no empty text', () =>
    expect([...Object.values(en), ...Object.values(zh)].filter((text) => !text.trim())).toEqual([]));
});

describe('format', () => {
  const format = makeFormat('en', 'UTC');
  it('fills and pluralises', () => {
    expect(fill('{n} {n|span|spans}', 'en', { n: 1 })).toBe('1 span');
    expect(fill('{n} {n|span|spans}', 'en', { n: '1,204' })).toBe('1,204 spans');
    expect(fill('{n} 个 Span', 'zh-CN', { n: 2 })).toBe('2 个 Span');
  });
  it('writes durations with a unit that fits', () => {
    expect([0.0004, 0.412, 3.44, 412.3, 999.7, 1240, 125_000, 7_260_000, 3 * 86_400_000].map(format.duration)).toEqual([
      '400 ns',
      '412 µs',
      '3.44 ms',
      '412 ms',
      '1 s',
      '1.24 s',
      '2 min 5 s',
      '2 h 1 min',
      '3 d',
    ]);
  });
  it('writes bytes, ratios and rates', () => {
    expect([0, 512, 1536, 5 * 2 ** 30].map(format.bytes)).toEqual(['0 B', '512 B', '1.5 KiB', '5 GiB']);
    expect([0, 0.00012, 0.0213, 0.5].map(format.percent)).toEqual(['0%', '0.012%', '2.13%', '50%']);
    expect([0, 0.25, 12.34, 1284.6].map(format.perSecond)).toEqual(['0/s', '0.25/s', '12.3/s', '1,285/s']);
    expect(format.num(null)).toBe('–');
  });
  it('writes times in the zone', () => {
    expect(format.clock('2026-11-22T13:59:58.427123456Z', true)).toBe('13:59:58.427');
    expect(makeFormat('zh-CN', 'Asia/Shanghai').clock(Date.UTC(2026, 10, 22, 14))).toBe('22:00:00');
  });
});
