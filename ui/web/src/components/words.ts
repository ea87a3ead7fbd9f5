/** Sentences about objectives, incidents and causes, put together from parts that answers carry. */
import type { Alert, BurnPair, Change, Indicator, Slo, Texts } from '../api/reliability';
import { type I18n, type Key, useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { badEvents, burnNow, firingPairs, stateOf } from '../state/burn';

export const textOf = ({ lang }: Pick<I18n, 'lang'>, texts: Texts | null | undefined): string =>
  texts ? (lang === 'en' ? texts.en || texts.zh : texts.zh || texts.en) : '';

const INDICATOR: Record<string, Key> = {
  metric: 'indicator.metric',
  operation: 'indicator.operation',
  log_pattern: 'indicator.log_pattern',
  change: 'indicator.change',
  attribute: 'indicator.attribute',
  resource: 'indicator.resource',
  latency: 'indicator.latency',
};

/** Kinds whose names speak for themselves: `deploy 2.14.1`, `errors in POST /checkout`. */
const PLAIN = ['change', 'operation'];

/** The name of an indicator, with its kind before it where the name alone does not tell. */
export function indicatorText({ t }: I18n, { kind, name }: Indicator): string {
  const known = INDICATOR[kind];
  return PLAIN.includes(kind) || !known ? name : `${t(known)} ${name}`;
}

const FAMILY: Record<string, Key> = {
  gap: 'family.gap',
  own: 'family.own',
  shape: 'family.shape',
  novelty: 'family.novelty',
  metric: 'family.metric',
  error: 'family.error',
  change: 'family.change',
  attribute: 'family.attribute',
};
export const familyText = ({ t }: I18n, family: string): string => {
  const known = FAMILY[family];
  return known ? t(known) : family;
};

/** A value with its unit, as the server names units. */
export function amount(
  { num, duration, percent, bytes, perSecond }: I18n,
  value: number | null,
  unit: string | null,
): string {
  if (value === null) return '–';
  switch (unit) {
    case 'ns':
      return duration(value / 1e6);
    case 'us':
      return duration(value / 1e3);
    case 'ms':
      return duration(value);
    case 's':
      return duration(value * 1e3);
    case 'ratio':
      return percent(value);
    case 'bytes':
    case 'By':
      return bytes(value);
    case '1/s':
      return perSecond(value);
    default: {
      const text = num(value, Math.abs(value) < 100 ? 2 : 0);
      // OpenTelemetry writes what is counted in braces: `{thread}`.
      const name = (unit ?? '').replace(/[{}]/g, '');
      return name && name !== 'count' && name !== '1' ? `${text} ${name}` : text;
    }
  }
}

export const severityKey = (severity: Alert['severity']): Key => (severity === 'page' ? 'alert.page' : 'alert.ticket');

/** 3600 s as `1 h`. */
export const span = ({ duration }: I18n, seconds: number): string => duration(seconds * 1e3);

/** What the objective promises: `99.9% of POST /checkout succeed`. */
export function promise(i18n: I18n, slo: Slo): string {
  const what = slo.operation ?? i18n.t('slo.requestsTo', { service: slo.service });
  const target = i18n.nines(slo.target_ratio);
  return slo.indicator.kind === 'latency'
    ? i18n.t('slo.promise.latency', { target, what, limit: i18n.duration(slo.indicator.threshold_ms) })
    : i18n.t('slo.promise.availability', { target, what });
}

const HEADLINE = {
  ok: 'slo.head.ok',
  burning: 'slo.head.burning',
  exhausted: 'slo.head.exhausted',
  no_traffic: 'slo.head.no_traffic',
  missing_data: 'slo.head.missing_data',
} as const satisfies Record<string, Key>;

/** The state in one sentence, from the same facts as the burn table. */
export function headline(i18n: I18n, slo: Slo): string {
  const { t, num, percent } = i18n;
  const firing = firingPairs(slo)[0];
  const rate = num(burnNow(slo), 1);
  const { allowed, bad } = badEvents(slo);
  const state = stateOf(slo);
  const says = t(HEADLINE[state], {
    rate,
    left: percent(slo.budget_left_ratio),
    bad: num(bad),
    allowed: num(allowed),
    window: span(i18n, slo.window_seconds),
  });
  if (state === 'exhausted') return `${says} ${t(firing ? 'slo.head.stillBurning' : 'slo.head.burnCalm', { rate })}`;
  if (state === 'burning' && !firing) return t('slo.head.burningNoAlert', { rate });
  return says;
}

/** One pair of windows in words. */
export function pairText(
  i18n: I18n,
  pair: BurnPair,
  state: 'firing' | 'starting' | 'easing' | 'calm' | 'unknown',
): string {
  return i18n.t(`burn.${state}`, {
    factor: i18n.num(pair.factor, 1),
    short: span(i18n, pair.short_window_seconds),
    long: span(i18n, pair.long_window_seconds),
  });
}

const CHANGE: Record<string, Key> = {
  deploy: 'change.deploy',
  config: 'change.config',
  flag: 'change.flag',
  scale: 'change.scale',
  incident: 'change.incident',
};
/** `Deploy 2.14.0 → 2.14.1`, or the kind and its message. */
export function changeText({ t }: I18n, change: Change): string {
  const known = CHANGE[change.kind];
  const kind = known ? t(known) : change.kind;
  const version = change.version ? ` ${change.version_from ? `${change.version_from} → ` : ''}${change.version}` : '';
  return `${kind}${version}`;
}

/** How long something took, or has taken until now. */
export function useLength(): (from: string, to: string | null, now: number) => string {
  const { duration } = useI18n();
  return (from, to, now) => duration(Math.max(0, Math.round(((to ? epochMs(to) : now) - epochMs(from)) / 1000) * 1000));
}
