import { type PointerEvent, useEffect, useMemo, useRef, useState } from 'react';
import type { TraceSummary } from '../api/types';
import { useScheme } from '../components/marks';
import { timeTicks } from '../components/ticks';
import { useWidth } from '../components/useWidth';
import { STATUS } from '../design/tokens';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';

const HEIGHT = 132;
const LEFT = 58;
const REACH_PX = 12;

/** Found traces by start and duration (logarithmic); failed ones are crosses. A click opens one, dragging selects a window. */
export function Scatter({
  traces,
  from,
  to,
  onOpen,
  onZoom,
}: {
  traces: readonly TraceSummary[];
  from: number;
  to: number;
  onOpen: (trace: TraceSummary) => void;
  onZoom: (from: number, to: number) => void;
}) {
  const { t, duration, clock, dateTime, num } = useI18n();
  const scheme = useScheme();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [box, width] = useWidth();
  const [near, setNear] = useState<TraceSummary | null>(null);
  const [drag, setDrag] = useState<[number, number] | null>(null);
  const scale = useMemo(() => {
    const durations = traces.map((trace) => Math.max(0.001, trace.duration_ms));
    const low = Math.floor(Math.log10(Math.min(...durations, 1e9)));
    const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...durations, 0.001))));
    return { low, high };
  }, [traces]);
  const plot = Math.max(1, width - LEFT - 8);
  const x = (trace: TraceSummary): number => LEFT + ((epochMs(trace.start_time) - from) / (to - from)) * plot;
  const y = (ms: number): number =>
    HEIGHT - 8 - ((Math.log10(Math.max(0.001, ms)) - scale.low) / (scale.high - scale.low)) * (HEIGHT - 18);
  const decades = Array.from({ length: scale.high - scale.low + 1 }, (_, i) => 10 ** (scale.low + i));

  // biome-ignore lint/correctness/useExhaustiveDependencies: x and y follow from what is listed
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext('2d');
    if (!element || !context || !width) return;
    const ratio = devicePixelRatio || 1;
    element.width = width * ratio;
    element.height = HEIGHT * ratio;
    context.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    context.strokeStyle = style.getPropertyValue('--line2');
    for (const ms of decades) {
      context.beginPath();
      context.moveTo(LEFT, Math.round(y(ms)) + 0.5);
      context.lineTo(width - 8, Math.round(y(ms)) + 0.5);
      context.stroke();
    }
    const accent = style.getPropertyValue('--accent');
    for (const trace of traces) {
      const [px, py] = [x(trace), y(trace.duration_ms)];
      if (trace.error_count) {
        context.strokeStyle = STATUS[scheme].crit;
        context.lineWidth = 1.8;
        context.beginPath();
        context.moveTo(px - 3.5, py - 3.5);
        context.lineTo(px + 3.5, py + 3.5);
        context.moveTo(px + 3.5, py - 3.5);
        context.lineTo(px - 3.5, py + 3.5);
        context.stroke();
      } else {
        context.fillStyle = accent;
        context.globalAlpha = 0.65;
        context.beginPath();
        context.arc(px, py, 3.2, 0, Math.PI * 2);
        context.fill();
        context.globalAlpha = 1;
      }
    }
  }, [traces, from, to, width, scheme, scale]);

  const at = (event: PointerEvent): [number, number] => {
    const rect = event.currentTarget.getBoundingClientRect();
    return [event.clientX - rect.left, event.clientY - rect.top];
  };
  const timeAt = (px: number): number =>
    Math.round(from + (Math.max(0, Math.min(plot, px - LEFT)) / plot) * (to - from));
  const nearest = (px: number, py: number): TraceSummary | null => {
    let best: TraceSummary | null = null;
    let bestDistance = REACH_PX;
    for (const trace of traces) {
      const distance = Math.hypot(x(trace) - px, y(trace.duration_ms) - py);
      if (distance < bestDistance) [best, bestDistance] = [trace, distance];
    }
    return best;
  };
  return (
    <div className="scatter">
      <div
        ref={box}
        className="hist-plot"
        style={{ height: HEIGHT }}
        data-near={near ? '' : undefined}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          const [px] = at(event);
          setDrag([px, px]);
        }}
        onPointerMove={(event) => {
          const [px, py] = at(event);
          if (drag) setDrag([drag[0], px]);
          setNear(nearest(px, py));
        }}
        onPointerLeave={() => setNear(null)}
        onPointerUp={() => {
          if (drag && Math.abs(drag[0] - drag[1]) > 6) onZoom(timeAt(Math.min(...drag)), timeAt(Math.max(...drag)));
          else if (near) onOpen(near);
          setDrag(null);
        }}
      >
        <canvas
          ref={canvas}
          style={{ height: HEIGHT }}
          role="img"
          aria-label={t('traces.scatter', {
            n: num(traces.length),
            low: duration(Math.min(...traces.map((trace) => trace.duration_ms))),
            high: duration(Math.max(...traces.map((trace) => trace.duration_ms))),
          })}
        />
        {decades.map((ms) => (
          <span key={ms} className="scatter-y num" style={{ top: y(ms) - 8 }}>
            {duration(ms)}
          </span>
        ))}
        {drag && Math.abs(drag[0] - drag[1]) > 6 ? (
          <span className="hist-drag" style={{ left: Math.min(...drag), width: Math.abs(drag[0] - drag[1]) }} />
        ) : null}
        {near ? (
          <div className="tip" style={x(near) < width / 2 ? { left: x(near) + 10 } : { right: width - x(near) + 10 }}>
            <b>
              {near.root_service} {near.root_name}
            </b>
            <span className="num">
              {duration(near.duration_ms)} · {t('trace.spans', { n: num(near.span_count) })} ·{' '}
              {clock(near.start_time, true)}
            </span>
          </div>
        ) : null}
      </div>
      <div className="hist-axis num" aria-hidden="true" style={{ marginLeft: LEFT, marginRight: 8 }}>
        {timeTicks(from, to, Math.max(2, Math.floor(plot / 110))).map((tick) => (
          <span key={tick} style={{ left: `${((tick - from) / (to - from)) * 100}%` }}>
            {to - from > 36 * 3600e3
              ? dateTime(tick).replace(/:\d\d$/, '')
              : clock(tick).slice(0, to - from < 300e3 ? 8 : 5)}
          </span>
        ))}
      </div>
    </div>
  );
}
