import { useMemo } from 'react';
import type { ServiceAnswer } from '../api/reliability';
import { useWindow } from '../app/window';
import { useScheme } from '../components/marks';
import { Panel } from '../components/Panel';
import { type Line, TimeSeries } from '../components/TimeSeries';
import { changeText } from '../components/words';
import { STATUS, slotColour } from '../design/tokens';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';

/** Three lines need three rows of legend: the charts of one line are higher by two of them. */
const HEIGHT_PX = 170;
const LEGEND_ROW_PX = 25;

/** Requests, errors and latency over time, with the deploys and incidents of the service. */
export function ServiceCharts({ answer }: { answer: ServiceAnswer }) {
  const i18n = useI18n();
  const { t, perSecond, percent, duration } = i18n;
  const { window, setWindow } = useWindow();
  const scheme = useScheme();
  const { service, series, changes, incidents } = answer;
  const made = useMemo(() => {
    const times = series.calls.map((_, i) => epochMs(series.start) + i * series.step_ms);
    const seconds = series.step_ms / 1000;
    const own = slotColour(scheme, service.slot);
    const line = (name: string, values: (number | null)[], colour: string, dash = false): Line => ({
      name,
      values,
      colour,
      dash,
    });
    return {
      times,
      rate: [
        line(
          t('chart.requests'),
          series.calls.map((calls) => (calls === null ? null : calls / seconds)),
          own,
        ),
      ],
      errors: [
        line(
          t('chart.errorRatio'),
          series.errors.map((errors, i) => (series.calls[i] ? (errors ?? 0) / (series.calls[i] ?? 1) : null)),
          STATUS[scheme].crit,
        ),
      ],
      latency: [
        line('p99', series.p99_ms, slotColour(scheme, service.slot + 3)),
        line('p95', series.p95_ms, own),
        line('p50', series.p50_ms, slotColour(scheme, service.slot + 1), true),
      ],
    };
  }, [series, service.slot, scheme, t]);
  const marks = useMemo(
    () =>
      changes.map((change) => ({
        at: epochMs(change.time),
        text: `${change.service === service.name ? '' : `${change.service} `}${change.version ?? changeText(i18n, change)}`,
      })),
    [changes, service.name, i18n],
  );
  const bands = useMemo(
    () =>
      incidents.map((incident) => ({
        from: epochMs(incident.started_at),
        to: incident.resolved_at ? epochMs(incident.resolved_at) : window.to,
        tone: incident.severity === 'page' ? ('crit' as const) : ('warn' as const),
      })),
    [incidents, window.to],
  );
  const common = { times: made.times, onZoom: setWindow, marks, bands };
  const tall = HEIGHT_PX + 2 * LEGEND_ROW_PX;
  return (
    <div className="grid three">
      <Panel title={t('chart.requests')}>
        <TimeSeries label={t('chart.requests')} lines={made.rate} format={perSecond} height={tall} {...common} />
      </Panel>
      <Panel title={t('chart.errorRatio')}>
        <TimeSeries label={t('chart.errorRatio')} lines={made.errors} format={percent} height={tall} {...common} />
      </Panel>
      <Panel title={t('chart.latency')}>
        <TimeSeries label={t('chart.latency')} lines={made.latency} format={duration} height={HEIGHT_PX} {...common} />
      </Panel>
    </div>
  );
}
