import { type PointerEvent, useEffect, useMemo, useRef, useState } from 'react';
import type { HistogramAnswer } from '../api/types';
import { SEVERITIES, SEVERITY_FILL, type Severity } from '../design/tokens';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { useScheme, useSeverityName } from './marks';
import { timeTicks } from './ticks';
import { useWidth } from './useWidth';

const HEIGHT = 56;

/** Counts per bucket and severity, worst first. */
export function stacked(answer: HistogramAnswer): { counts: Record<Severity, number>; total: number }[] {
  const length = Math.max(0, ...answer.series.map((series) => series.counts.length));
  return Array.from({ length }, (_, i) => {
    const counts = Object.fromEntries(SEVERITIES.map((severity) => [severity, 0])) as Record<Severity, number>;
    let total = 0;
    for (const series of answer.series) {
      const severity = (SEVERITIES as readonly string[]).includes(series.severity)
        ? (series.severity as Severity)
        : 'unspecified';
      counts[severity] += series.counts[i] ?? 0;
      total += series.counts[i] ?? 0;
    }
    return { counts, total };
  });
}

/** Log counts over time by severity. Dragging over it selects a window. */
export function Histogram({
  answer,
  onZoom,
}: {
  answer: HistogramAnswer;
  onZoom?: (from: number, to: number) => void;
}) {
  const { t, num, clock, dateTime } = useI18n();
  const scheme = useScheme();
  const severityName = useSeverityName();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [box, width] = useWidth();
  const bins = useMemo(() => stacked(answer), [answer]);
  const [hover, setHover] = useState<number | null>(null);
  const [drag, setDrag] = useState<[number, number] | null>(null);
  const start = epochMs(answer.start);
  const end = start + bins.length * answer.step_ms;
  const peak = Math.max(0, ...bins.map((bin) => bin.total));

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext('2d');
    if (!element || !context || !width) return;
    const ratio = devicePixelRatio || 1;
    element.width = width * ratio;
    element.height = HEIGHT * ratio;
    context.scale(ratio, ratio);
    const barWidth = width / Math.max(1, bins.length);
    bins.forEach((bin, i) => {
      let y = HEIGHT;
      for (const severity of SEVERITIES) {
        const barHeight = (bin.counts[severity] / Math.max(1, peak)) * (HEIGHT - 3);
        if (!barHeight) continue;
        // A single error among thousands of lines stays one pixel high instead of vanishing.
        const drawn = severity === 'fatal' || severity === 'error' ? Math.max(1.5, barHeight) : barHeight;
        context.fillStyle = SEVERITY_FILL[scheme][severity];
        context.fillRect(i * barWidth + 0.5, y - drawn, Math.max(1, barWidth - 1), drawn);
        y -= drawn;
      }
    });
  }, [bins, peak, scheme, width]);

  const x = (event: PointerEvent): number => {
    const rect = event.currentTarget.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - rect.left) / rect.width));
  };
  const at = (share: number): number => Math.round(start + share * (end - start));
  const hovered = hover === null ? undefined : bins[hover];
  const summary = t('histogram.summary', {
    n: num(answer.total),
    peak: num(peak),
    from: dateTime(start),
    to: dateTime(end),
  });
  return (
    <div className="hist">
      <div
        ref={box}
        className="hist-plot"
        onPointerDown={(event) => {
          if (!onZoom || event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag([x(event), x(event)]);
        }}
        onPointerMove={(event) => {
          const share = x(event);
          setHover(Math.min(bins.length - 1, Math.floor(share * bins.length)));
          if (drag) setDrag([drag[0], share]);
        }}
        onPointerLeave={() => setHover(null)}
        onPointerUp={() => {
          if (drag && Math.abs(drag[0] - drag[1]) > 0.005) onZoom?.(at(Math.min(...drag)), at(Math.max(...drag)));
          setDrag(null);
        }}
      >
        <canvas ref={canvas} role="img" aria-label={summary} />
        {drag ? (
          <span
            className="hist-drag"
            style={{ left: `${Math.min(...drag) * 100}%`, width: `${Math.abs(drag[0] - drag[1]) * 100}%` }}
          />
        ) : null}
        {hovered && hover !== null ? (
          <div
            className="tip"
            style={
              hover < bins.length / 2
                ? { left: `${((hover + 1) / bins.length) * 100}%` }
                : { right: `${(1 - hover / bins.length) * 100}%` }
            }
          >
            <b className="num">{clock(start + hover * answer.step_ms)}</b>
            {SEVERITIES.filter((severity) => hovered.counts[severity]).map((severity) => (
              <span key={severity}>
                <i className="dot" style={{ background: SEVERITY_FILL[scheme][severity] }} /> {severityName(severity)}{' '}
                <b className="num">{num(hovered.counts[severity])}</b>
              </span>
            ))}
          </div>
        ) : null}
        <span className="hist-peak num">{num(peak)}</span>
      </div>
      <div className="hist-axis num" aria-hidden="true">
        {timeTicks(start, end, Math.max(2, Math.floor(width / 110))).map((tick) => (
          <span key={tick} style={{ left: `${((tick - start) / (end - start)) * 100}%` }}>
            {end - start > 36 * 3600e3
              ? dateTime(tick).replace(/:\d\d$/, '')
              : clock(tick).slice(0, end - start < 300e3 ? 8 : 5)}
          </span>
        ))}
      </div>
    </div>
  );
}

/** The histogram's numbers for people who read rather than look. */
export function HistogramTable({ answer }: { answer: HistogramAnswer }) {
  const { t, num, dateTime } = useI18n();
  const severityName = useSeverityName();
  const bins = stacked(answer);
  const used = SEVERITIES.filter((severity) => bins.some((bin) => bin.counts[severity]));
  return (
    <section className="plain-table" tabIndex={0} aria-label={t('histogram.table')}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t('column.time')}</th>
            {used.map((severity) => (
              <th key={severity} scope="col">
                {severityName(severity)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {bins.map((bin, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: buckets have no other name
            <tr key={i}>
              <td>{dateTime(epochMs(answer.start) + i * answer.step_ms)}</td>
              {used.map((severity) => (
                <td key={severity}>{num(bin.counts[severity])}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
