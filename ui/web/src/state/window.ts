/** The selected time range: as text in the URL, as milliseconds for requests. */

export const DEFAULT_FROM = 'now-1h';
export const DEFAULT_TO = 'now';

/** `[from, to)` in milliseconds since the Unix epoch, resolved once per refresh so that all requests of a screen agree. */
export interface Window {
  from: number;
  to: number;
  fromText: string;
  toText: string;
  /** Whether it moves with the clock. */
  relative: boolean;
}

const UNIT_MS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3, w: 604_800e3 };

/** Milliseconds of `now`, `now-1h`, epoch milliseconds or an ISO 8601 time; null for anything else. */
export function parseTime(text: string, now: number): number | null {
  const relative = /^now(?:([+-])(\d{1,6})([smhdw]))?$/.exec(text.trim());
  if (relative) {
    const [, sign, count, unit] = relative;
    return now + (sign === '-' ? -1 : 1) * Number(count ?? 0) * (UNIT_MS[unit ?? 's'] ?? 0);
  }
  if (/^\d{9,16}$/.test(text)) return Number(text);
  if (/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/.test(text)) {
    const iso = text.replace(' ', 'T');
    // A time without a zone is UTC: one URL means one range for everybody.
    const at = Date.parse(/T.*(Z|[+-]\d\d:?\d\d)$/.test(iso) || !iso.includes('T') ? iso : `${iso}Z`);
    return Number.isNaN(at) ? null : at;
  }
  return null;
}

export const isTimeText = (text: string): boolean => parseTime(text, 0) !== null;

/** The window that `from` and `to` mean at `now`; the default where they are absent, unreadable or not in order. */
export function resolveWindow(from: string | undefined, to: string | undefined, now: number): Window {
  const fromText = from ?? DEFAULT_FROM;
  const toText = to ?? DEFAULT_TO;
  const start = parseTime(fromText, now);
  const end = parseTime(toText, now);
  if (start === null || end === null || start >= end) {
    return { from: now - 3600e3, to: now, fromText: DEFAULT_FROM, toText: DEFAULT_TO, relative: true };
  }
  return { from: start, to: end, fromText, toText, relative: fromText.startsWith('now') || toText.startsWith('now') };
}

/** The window as URL keys, defaults left out. */
export function windowKeys(from: string, to: string): { from: string | undefined; to: string | undefined } {
  const isDefault = from === DEFAULT_FROM && to === DEFAULT_TO;
  return { from: isDefault ? undefined : from, to: isDefault || to === DEFAULT_TO ? undefined : to };
}

/** The window moved by half its length: back for -1, forward for 1, never past `now`. */
export function shifted(window: Window, direction: -1 | 1, now: number): { from: number; to: number } {
  const length = window.to - window.from;
  const to = Math.min(window.to + (direction * length) / 2, Math.max(now, window.to));
  return { from: Math.round(to - length), to: Math.round(to) };
}

/** The window at twice its length around its middle, never past `now`. */
export function zoomedOut(window: Window, now: number): { from: number; to: number } {
  const length = (window.to - window.from) * 2;
  const to = Math.min((window.from + window.to) / 2 + length / 2, Math.max(now, window.to));
  return { from: Math.round(to - length), to: Math.round(to) };
}
