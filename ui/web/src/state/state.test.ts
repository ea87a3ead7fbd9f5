import { describe, expect, it } from 'vitest';
import { atLeast, hasTerm, highlighted, term, terms, textTerms, toggleErrors, withoutTerm, withTerm } from './filter';
import { carried, parseSearch, patched, validSearch, writeSearch } from './search';
import { parseTime, resolveWindow, shifted, windowKeys, zoomedOut } from './window';

const NOW = Date.UTC(2026, 10, 22, 14);

describe('window', () => {
  it('reads relative, epoch and ISO times', () => {
    expect(parseTime('now-1h', NOW)).toBe(NOW - 3600e3);
    expect(parseTime('now', NOW)).toBe(NOW);
    expect(parseTime('1795000000000', NOW)).toBe(1795000000000);
    expect(parseTime('2026-11-22T13:00:00Z', NOW)).toBe(NOW - 3600e3);
    expect(parseTime('2026-11-22 13:00', NOW)).toBe(NOW - 3600e3);
    for (const bad of ['', 'yesterday', 'now-', 'now-1y', '12', '2026-13-45']) expect(parseTime(bad, NOW)).toBeNull();
  });
  it('falls back to the last hour', () => {
    expect(resolveWindow('now', 'now-1h', NOW)).toMatchObject({ from: NOW - 3600e3, to: NOW, fromText: 'now-1h' });
    expect(resolveWindow(undefined, undefined, NOW).relative).toBe(true);
    expect(resolveWindow('1795000000000', '1795000001000', NOW).relative).toBe(false);
  });
  it('omits defaults', () => {
    expect(windowKeys('now-1h', 'now')).toEqual({ from: undefined, to: undefined });
    expect(windowKeys('now-6h', 'now')).toEqual({ from: 'now-6h', to: undefined });
  });
  it('shifts and zooms without leaving the present', () => {
    const window = resolveWindow('now-1h', 'now', NOW);
    expect(shifted(window, -1, NOW)).toEqual({ from: NOW - 5400e3, to: NOW - 1800e3 });
    expect(shifted(window, 1, NOW).to).toBe(NOW);
    expect(zoomedOut(window, NOW)).toEqual({ from: NOW - 7200e3, to: NOW });
  });
});

describe('search', () => {
  it('keeps text as typed and round-trips', () => {
    const typed = 'level>=error service:payment "a & b" 100% +x 中文';
    expect(parseSearch(writeSearch({ q: typed, from: 'now-1h' }))).toEqual({ q: typed, from: 'now-1h' });
    expect(validSearch(parseSearch('?q=123')).q).toBe('123');
  });
  it('drops unknown keys and values', () => {
    expect(
      validSearch({
        from: 'whenever',
        tz: 'Mars/Base',
        sort: 'a;b',
        lang: 'fr',
        theme: 'blue',
        bogus: '1',
        refresh: '0',
      }),
    ).toEqual({});
    expect(validSearch({ tz: 'Europe/Berlin', sort: '-p95', refresh: '30' })).toEqual({
      tz: 'Europe/Berlin',
      sort: '-p95',
      refresh: '30',
    });
  });
  it('carries the window, not the filter', () =>
    expect(carried({ from: 'now-6h', q: 'x', lang: 'en' })).toEqual({ from: 'now-6h', lang: 'en' }));
  it('patches', () =>
    expect(patched({ q: 'a', sel: 'b' }, { q: undefined, view: 'flame' })).toEqual({ sel: 'b', view: 'flame' }));
});

describe('filter', () => {
  it('asks for durations from a little below the one that was counted', () =>
    expect([0.412, 1.78, 55.7, 1840, 61_234].map(atLeast)).toEqual(['0.41ms', '1.7ms', '55ms', '1800ms', '61000ms']));
  it('splits outside quotes', () => {
    expect(terms('a "b c" service:"x y" -health "open')).toEqual(['a', '"b c"', 'service:"x y"', '-health', '"open']);
  });
  it('adds once and replaces the opposite', () => {
    expect(withTerm('a', 'service', 'pay ment')).toBe('a service:"pay ment"');
    expect(withTerm('service:x', 'service', 'x', true)).toBe('-service:x');
    expect(withTerm('service:x', 'service', 'x')).toBe('service:x');
    expect(withoutTerm('a service:x', 'service:x')).toBe('a');
    expect(term('attributes.k', 'say "hi"')).toBe('attributes.k:"say \\"hi\\""');
    expect(hasTerm(withTerm('', 'attributes.k', 'say "hi"'), 'attributes.k:"say \\"hi\\""')).toBe(true);
  });
  it('toggles errors', () => {
    expect(toggleErrors('level:warn a')).toBe('a level>=error');
    expect(toggleErrors('a level>=error')).toBe('a');
  });
  it('finds what to highlight', () => {
    expect(textTerms('timeout service:x -no "conn refused" level>=warn pre* AND 超时')).toEqual([
      'timeout',
      'conn refused',
      'pre',
      '超时',
    ]);
    expect(highlighted('A Timeout!', ['timeout'])).toEqual([
      { text: 'A ', hit: false },
      { text: 'Timeout', hit: true },
      { text: '!', hit: false },
    ]);
  });
});
