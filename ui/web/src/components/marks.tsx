import { useComputedColorScheme } from '@mantine/core';
import {
  type Scheme,
  SEVERITY_LETTER,
  type Severity,
  STATUS_GLYPH,
  type Status,
  slotColour,
  slotRepeats,
} from '../design/tokens';
import { type Key, useI18n } from '../i18n';

export const useScheme = (): Scheme => useComputedColorScheme('light');

const STATUS_NAME: Record<Status, Key> = {
  ok: 'status.ok',
  warn: 'status.warn',
  crit: 'status.crit',
  unknown: 'status.unknown',
};
const SEVERITY_NAME: Record<Severity, Key> = {
  fatal: 'severity.fatal',
  error: 'severity.error',
  warn: 'severity.warn',
  info: 'severity.info',
  debug: 'severity.debug',
  trace: 'severity.trace',
  unspecified: 'severity.unspecified',
};

/** A status as glyph and, with `named`, as word: never colour alone. */
export function StatusMark({ status, named = false }: { status: Status; named?: boolean }) {
  const { t } = useI18n();
  const name = t(STATUS_NAME[status]);
  if (!named) {
    return (
      <span className="glyph" data-status={status} role="img" aria-label={name} title={name}>
        {STATUS_GLYPH[status]}
      </span>
    );
  }
  return (
    <span className="status" data-status={status}>
      <b aria-hidden="true">{STATUS_GLYPH[status]}</b> {name}
    </span>
  );
}

export function SeverityMark({ severity }: { severity: Severity }) {
  const { t } = useI18n();
  return (
    <span className="sev" data-sev={severity} title={t(SEVERITY_NAME[severity])}>
      {SEVERITY_LETTER[severity]}
    </span>
  );
}

export const useSeverityName = (): ((severity: Severity) => string) => {
  const { t } = useI18n();
  return (severity) => t(SEVERITY_NAME[severity]);
};

/** The service's colour as a small square; hatched where the colour is another slot's as well. */
export function Dot({ slot }: { slot: number }) {
  return (
    <i
      className="dot"
      data-hatch={slotRepeats(slot) || undefined}
      style={{ backgroundColor: slotColour(useScheme(), slot) }}
    />
  );
}

export function ServiceChip({ name, slot }: { name: string; slot: number }) {
  return (
    <span className="chip">
      <Dot slot={slot} />
      <span>{name}</span>
    </span>
  );
}
