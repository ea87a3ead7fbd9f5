import { isTimeText } from './window';

/**
 * Everything a screen keeps in the URL. Values are text as typed; a value that does not fit its key is dropped, never an
 * error. What a key's value means on a screen is decided there.
 */
export interface Search {
  from?: string;
  to?: string;
  tz?: string;
  refresh?: string;
  lang?: 'en' | 'zh-CN';
  theme?: 'light' | 'dark';
  q?: string;
  view?: string;
  sort?: string;
  cols?: string;
  group?: string;
  sel?: string;
  min?: string;
  max?: string;
  status?: string;
  sql?: string;
  range?: string;
  service?: string;
}

/** Kept by every link inside the application: the window and the overrides of preferences. */
export const CARRIED = ['from', 'to', 'tz', 'refresh', 'lang', 'theme'] as const;

const word = (text: string): boolean => /^[\w.:/-]{1,200}$/.test(text);
const free = (text: string): boolean => text.length > 0 && text.length <= 20_000;
const isZone = (text: string): boolean => {
  if (text === 'utc' || text === 'local') return true;
  try {
    new Intl.DateTimeFormat('en', { timeZone: text });
    return /^[A-Za-z_+\-/0-9]+$/.test(text);
  } catch {
    return false;
  }
};

const VALID: { [Key in keyof Required<Search>]: (text: string) => boolean } = {
  from: isTimeText,
  to: isTimeText,
  tz: isZone,
  refresh: (text) => /^\d{1,4}$/.test(text) && Number(text) >= 1,
  lang: (text) => text === 'en' || text === 'zh-CN',
  theme: (text) => text === 'light' || text === 'dark',
  q: free,
  view: word,
  sort: (text) => /^-?\w{1,40}$/.test(text),
  cols: (text) => /^[\w.,-]{1,400}$/.test(text),
  group: word,
  sel: (text) => text.length <= 300 && text.length > 0,
  min: (text) => /^\d+(\.\d+)?(us|µs|ms|s|m)$/.test(text),
  max: (text) => /^\d+(\.\d+)?(us|µs|ms|s|m)$/.test(text),
  status: (text) => text === 'error' || text === 'ok',
  sql: free,
  range: (text) => text === 'off',
  service: (text) => text.length > 0 && text.length <= 300,
};

/** The part of `raw` that this application understands. */
export function validSearch(raw: Record<string, unknown>): Search {
  const search: Record<string, string> = {};
  for (const [key, valid] of Object.entries(VALID)) {
    const value = raw[key];
    if (typeof value === 'string' && valid(value)) search[key] = value;
  }
  return search;
}

/** Reads a query string as plain text: `?q=123` is the text "123", not a number. */
export function parseSearch(text: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(text));
}

/** Writes a query string, leaving out what is absent or empty, with what people read in a URL left readable. */
export function writeSearch(search: Record<string, unknown>): string {
  const parts = Object.entries(search)
    .filter((entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1] !== '')
    .map(
      ([key, value]) =>
        `${key}=${encodeURIComponent(value).replace(/%3A/g, ':').replace(/%2C/g, ',').replace(/%20/g, '+')}`,
    );
  return parts.length ? `?${parts.join('&')}` : '';
}

/** `search` with `patch` applied; `undefined` or an empty text removes a key. */
export function patched(search: Search, patch: { [Key in keyof Search]?: Search[Key] | undefined }): Search {
  const next: Record<string, string | undefined> = { ...search, ...patch };
  for (const key of Object.keys(next)) if (!next[key]) delete next[key];
  return next as Search;
}

/** What a link to another screen keeps. */
export function carried(search: Search): Search {
  const kept: Record<string, string> = {};
  for (const key of CARRIED) {
    const value = search[key];
    if (value) kept[key] = value;
  }
  return kept as Search;
}

/** `value` when it is one of `allowed`, else the first of them. */
export function oneOf<T extends string>(value: string | undefined, allowed: readonly [T, ...T[]]): T {
  return allowed.find((each) => each === value) ?? allowed[0];
}
