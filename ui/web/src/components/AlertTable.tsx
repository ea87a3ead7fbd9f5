import type { Alert, Notification } from '../api/reliability';
import { To } from '../app/navigation';
import { STATUS_GLYPH, type Status } from '../design/tokens';
import { type Key, useI18n } from '../i18n';
import './reliability.css';
import { severityKey, span, useLength } from './words';

const DELIVERY: Record<Notification['state'], { status: Status; name: Key }> = {
  delivered: { status: 'ok', name: 'notify.delivered' },
  waiting: { status: 'warn', name: 'notify.waiting' },
  failed: { status: 'crit', name: 'notify.failed' },
};

function Delivery({ to }: { to: Notification }) {
  const { t, num } = useI18n();
  const { status, name } = DELIVERY[to.state];
  const tried = to.state === 'delivered' ? '' : ` · ${t('notify.attempts', { n: num(to.attempts) })}`;
  return (
    <li title={to.error ?? undefined}>
      <span className="glyph" data-status={status} aria-hidden="true">
        {STATUS_GLYPH[status]}
      </span>
      <span className="receiver">{to.receiver}</span>{' '}
      <span className="faint">
        {to.event === 'resolved' ? `${t('alert.resolved')}: ` : ''}
        {t(name)}
        {tried}
        {to.error ? ` · ${to.error}` : ''}
      </span>
    </li>
  );
}

/** Alerts with their windows, burn rates and what became of their notifications. */
export function AlertTable({ alerts, named = false }: { alerts: readonly Alert[]; named?: boolean }) {
  const i18n = useI18n();
  const { t, num, dateTime } = i18n;
  const length = useLength();
  const now = Date.now();
  return (
    <ul className="alerts">
      {[...alerts]
        .sort(
          (a, b) =>
            Number(b.state === 'firing') - Number(a.state === 'firing') ||
            Date.parse(b.started_at) - Date.parse(a.started_at),
        )
        .map((alert) => {
          const status: Status = alert.state === 'resolved' ? 'ok' : alert.severity === 'page' ? 'crit' : 'warn';
          return (
            <li key={alert.id}>
              <p>
                <span className="state-word" data-status={status}>
                  <b aria-hidden="true">{STATUS_GLYPH[status]}</b>{' '}
                  {t(alert.state === 'firing' ? 'alert.firing' : 'alert.resolved')}
                </span>
                {named ? (
                  <To path={`/slos/${encodeURIComponent(alert.slo)}`} className="link">
                    {alert.slo}
                  </To>
                ) : alert.incident_id ? (
                  <To path={`/incidents/${encodeURIComponent(alert.incident_id)}`} className="link">
                    {t('map.incident')}
                  </To>
                ) : null}
                <span className="faint">{t(severityKey(alert.severity))}</span>
                <span className="num">
                  {t('alert.rates', {
                    short: num(alert.burn_short, 1),
                    shortWindow: span(i18n, alert.short_window_seconds),
                    long: num(alert.burn_long, 1),
                    longWindow: span(i18n, alert.long_window_seconds),
                    factor: num(alert.factor, 1),
                  })}
                </span>
                <span className="grow" />
                <span className="faint num">
                  {dateTime(alert.started_at)} · {length(alert.started_at, alert.resolved_at, now)}
                </span>
              </p>
              {alert.notifications.length ? (
                <ul className="deliveries">
                  {alert.notifications.map((to) => (
                    <Delivery key={`${to.receiver} ${to.event}`} to={to} />
                  ))}
                </ul>
              ) : null}
            </li>
          );
        })}
    </ul>
  );
}
