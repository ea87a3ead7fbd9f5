/** Numbers, units and times as text, for one language and time zone. */

export type Lang = 'en' | 'zh-CN';

export interface Format {
  num: (value: number | null | undefined, digits?: number) => string;
  /** 12,345 or 1.2M: for places too narrow for all digits. */
  compact: (value: number | null | undefined) => string;
  percent: (ratio: number | null | undefined) => string;
  /** A ratio near 1 with enough digits to tell it from 1: `99.931%`. */
  nines: (ratio: number | null | undefined) => string;
  bytes: (count: number | null | undefined) => string;
  /** Milliseconds with a unit that fits: `412 µs`, `3.4 ms`, `1.24 s`, `2 min 5 s`. */
  duration: (ms: number | null | undefined) => string;
  perSecond: (rate: number | null | undefined) => string;
  clock: (at: number | string, withMillis?: boolean) => string;
  /** Day and time; the year only where it is not the year of `now`. */
  dateTime: (at: number | string) => string;
  ago: (at: number | string, now: number) => string;
}

const NONE = '–';

/** Milliseconds since the epoch of epoch milliseconds or an RFC 3339 time of any precision. */
export function epochMs(at: number | string): number {
  return typeof at === 'number' ? at : Date.parse(at);
}

export function makeFormat(lang: Lang, timeZone: string | undefined): Format {
  const zone = timeZone ? { timeZone } : {};
  const numbers = new Map<string, Intl.NumberFormat>();
  const format = (key: string, options: Intl.NumberFormatOptions): Intl.NumberFormat => {
    let made = numbers.get(key);
    if (!made) {
      made = new Intl.NumberFormat(lang, options);
      numbers.set(key, made);
    }
    return made;
  };
  const time = new Intl.DateTimeFormat('en-GB', {
    ...zone,
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  });
  const day = new Intl.DateTimeFormat(lang, { ...zone, month: 'short', day: 'numeric' });
  const dayYear = new Intl.DateTimeFormat(lang, { ...zone, year: 'numeric', month: 'short', day: 'numeric' });
  const relative = new Intl.RelativeTimeFormat(lang, { numeric: 'always', style: 'short' });
  const has = (value: number | null | undefined): value is number =>
    value !== null && value !== undefined && Number.isFinite(value);

  const num = (value: number | null | undefined, digits = 0): string =>
    has(value) ? format(`n${digits}`, { maximumFractionDigits: digits }).format(value) : NONE;
  const significant = (value: number): string =>
    Math.abs(value) >= 100 ? num(value) : format('s3', { maximumSignificantDigits: 3 }).format(value);
  const clock = (at: number | string, withMillis = false): string => {
    const ms = epochMs(at);
    if (!Number.isFinite(ms)) return NONE;
    const text = time.format(ms);
    return withMillis ? `${text}.${String(((Math.floor(ms) % 1000) + 1000) % 1000).padStart(3, '0')}` : text;
  };
  return {
    num,
    compact: (value) =>
      has(value)
        ? format('c', { notation: Math.abs(value) < 10_000 ? 'standard' : 'compact', maximumFractionDigits: 1 }).format(
            value,
          )
        : NONE,
    percent: (ratio) => {
      if (!has(ratio)) return NONE;
      const digits = ratio !== 0 && Math.abs(ratio) < 0.001 ? 3 : Math.abs(ratio) < 0.1 ? 2 : 1;
      return format(`p${digits}`, { style: 'percent', maximumFractionDigits: digits }).format(ratio);
    },
    nines: (ratio) => {
      if (!has(ratio)) return NONE;
      const digits = ratio >= 1 || ratio < 0.9 ? 1 : Math.min(5, Math.ceil(-Math.log10(1 - ratio)) - 1);
      return format(`p${digits}`, { style: 'percent', maximumFractionDigits: digits }).format(ratio);
    },
    bytes: (count) => {
      if (!has(count)) return NONE;
      const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
      const power = count < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(count) / 10));
      return `${significant(count / 1024 ** power)} ${units[power]}`;
    },
    duration: (ms) => {
      if (!has(ms)) return NONE;
      if (ms < 0) return `−${significant(-ms)} ms`;
      if (ms === 0) return '0 ms';
      if (ms < 0.001) return `${significant(ms * 1e6)} ns`;
      if (ms < 1) return `${significant(ms * 1000)} µs`;
      if (ms < 999.5) return `${significant(ms)} ms`;
      if (ms < 60_000) return `${significant(ms / 1000)} s`;
      const [minutes, seconds] = [Math.floor(ms / 60_000), Math.round((ms % 60_000) / 1000)];
      if (minutes < 60) return `${minutes} min${seconds ? ` ${seconds} s` : ''}`;
      const hours = Math.floor(minutes / 60);
      return hours < 48
        ? `${hours} h${minutes % 60 ? ` ${minutes % 60} min` : ''}`
        : `${Math.floor(hours / 24)} d${hours % 24 ? ` ${hours % 24} h` : ''}`;
    },
    perSecond: (rate) => (has(rate) ? `${rate !== 0 && Math.abs(rate) < 100 ? significant(rate) : num(rate)}/s` : NONE),
    clock,
    dateTime: (at) => {
      const ms = epochMs(at);
      if (!Number.isFinite(ms)) return NONE;
      const sameYear = new Date(ms).getUTCFullYear() === new Date().getUTCFullYear();
      return `${(sameYear ? day : dayYear).format(ms)} ${clock(ms)}`;
    },
    ago: (at, now) => {
      const seconds = (epochMs(at) - now) / 1000;
      if (!Number.isFinite(seconds)) return NONE;
      const size = Math.abs(seconds);
      if (size < 60) return relative.format(Math.round(seconds), 'second');
      if (size < 3600) return relative.format(Math.round(seconds / 60), 'minute');
      if (size < 86_400) return relative.format(Math.round(seconds / 3600), 'hour');
      return relative.format(Math.round(seconds / 86_400), 'day');
    },
  };
}

/** Fills `{name}` and picks from `{name|one|other}` by the language's plural rule. */
export function fill(text: string, lang: Lang, params: Record<string, string | number>): string {
  return text.replace(/\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g, (whole, name: string, one?: string, other?: string) => {
    const value = params[name];
    if (value === undefined) return whole;
    if (one === undefined || other === undefined) return String(value);
    const count = typeof value === 'number' ? value : Number(String(value).replace(/\D/g, ''));
    return new Intl.PluralRules(lang).select(count) === 'one' ? one : other;
  });
}
