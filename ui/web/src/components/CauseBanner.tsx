import { Button } from '@mantine/core';
import type { Incident } from '../api/reliability';
import { To, useOpen } from '../app/navigation';
import { type Key, useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { incidentStatus } from '../state/cause';
import { StatusMark } from './marks';
import './reliability.css';
import { indicatorText, textOf, useLength } from './words';

const WITHOUT: Record<Incident['cause']['state'], Key> = {
  running: 'cause.running',
  found: 'cause.found',
  none: 'cause.none',
  not_enough_data: 'cause.few',
  failed: 'cause.failedToRun',
};

/** The cause as far as it is known, in one line. */
export function CauseLine({ incident }: { incident: Incident }) {
  const i18n = useI18n();
  const { t, percent } = i18n;
  const { cause } = incident;
  if (cause.state !== 'found' || !cause.service || !cause.indicator) {
    return (
      <span className="ink2">
        {cause.state === 'running' ? <span className="working" aria-hidden="true" /> : null}
        {t(WITHOUT[cause.state])}
      </span>
    );
  }
  return (
    <span>
      {t('cause.likely')} <b>{cause.service}</b> · {indicatorText(i18n, cause.indicator)}
      {cause.confidence === null ? null : (
        <span className="ink2">
          {' '}
          — {t('cause.confidence', { n: percent(Math.round(cause.confidence * 100) / 100) })}
        </span>
      )}
    </span>
  );
}

/** An incident with its cause before everything else on the screen. */
export function CauseBanner({ incident, now }: { incident: Incident; now: number }) {
  const i18n = useI18n();
  const { t, clock } = i18n;
  const open = useOpen();
  const length = useLength();
  const { cause } = incident;
  const status = incidentStatus(incident);
  const found = cause.state === 'found';
  const title = (
    <To path={`/incidents/${encodeURIComponent(incident.id)}`} className={found ? 'link' : 'cell-link strong'}>
      {textOf(i18n, incident.title)}
    </To>
  );
  return (
    <div className="banner" data-tone={status}>
      <StatusMark status={status} />
      <div className="banner-text">
        <p className="banner-cause">{found ? <CauseLine incident={incident} /> : title}</p>
        <p className="banner-sub">
          {found ? title : <CauseLine incident={incident} />}
          <span className="num faint">
            {t('incident.sinceFor', {
              time: clock(incident.started_at),
              length: length(incident.started_at, incident.resolved_at, now),
            })}
          </span>
          {cause.summary ? <span className="ink2 banner-summary">{textOf(i18n, cause.summary)}</span> : null}
        </p>
      </div>
      {cause.report_id ? (
        <Button
          size="compact-sm"
          onClick={() => open(`/causes/${encodeURIComponent(cause.report_id ?? '')}`, windowOf(incident, now))}
        >
          {t(cause.state === 'found' ? 'cause.explain' : 'cause.open')}
        </Button>
      ) : null}
    </div>
  );
}

const BEFORE_MS = 30 * 60_000;
const AFTER_MS = 5 * 60_000;

/** The time of an incident with a little before and after, as URL keys. */
export function windowOf(
  incident: Pick<Incident, 'started_at' | 'resolved_at'>,
  now: number,
): { from: string; to: string } {
  const end = incident.resolved_at ? epochMs(incident.resolved_at) + AFTER_MS : now;
  return {
    from: String(Math.round(epochMs(incident.started_at) - BEFORE_MS)),
    to: String(Math.round(Math.min(now, end))),
  };
}
