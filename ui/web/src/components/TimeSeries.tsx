import { useEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useI18n } from '../i18n';
import { type Band, type Mark, painted } from './chartMarks';
import { useScheme } from './marks';

export interface Line {
  name: string;
  values: (number | null)[];
  colour: string;
  dash?: boolean;
}

interface TimeSeriesProps {
  label: string;
  /** Milliseconds since the epoch, ascending. */
  times: number[];
  lines: Line[];
  format: (value: number | null | undefined) => string;
  height?: number;
  legend?: boolean;
  /** Moments and stretches of time that belong to the lines. */
  marks?: readonly Mark[] | undefined;
  bands?: readonly Band[] | undefined;
  /** Smallest range of values to draw; without it from 0 to the largest value. */
  range?: { min: number; max: number } | undefined;
  /** A value to draw a line at. */
  level?: number;
  onZoom?: (from: number, to: number) => void;
}

/** Room above the largest value; more where marks write their text there. */
const ROOM = 1.08;
const MARKED_ROOM = 1.2;
const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Lines over time with a legend that is also the table of their numbers. Dragging selects a window. */
export function TimeSeries({
  label,
  times,
  lines,
  format,
  height = 180,
  legend = true,
  marks,
  bands,
  range,
  level,
  onZoom,
}: TimeSeriesProps) {
  const { t, clock, dateTime, timeZone } = useI18n();
  const scheme = useScheme();
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const zoom = useRef(onZoom);
  zoom.current = onZoom;
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [index, setIndex] = useState<number | null>(null);

  useEffect(() => {
    const element = host.current;
    if (!element || !scheme) return;
    const ink = css('--ink3');
    const grid = css('--line2');
    const long = (times.at(-1) ?? 0) - (times[0] ?? 0) > 36 * 3600e3;
    const axis = {
      stroke: ink,
      font: `11px ${getComputedStyle(document.body).fontFamily}`,
      grid: { stroke: grid, width: 1 },
      ticks: { stroke: grid, size: 4 },
    };
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height,
        legend: { show: false },
        tzDate: (seconds) => (timeZone ? uPlot.tzDate(new Date(seconds * 1e3), timeZone) : new Date(seconds * 1e3)),
        cursor: { sync: { key: 'time' }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
        scales: {
          x: { time: true },
          y: {
            range: (_u, min, max) =>
              range
                ? [Math.min(range.min, min), Math.max(range.max, max)]
                : [0, max > 0 ? max * (marks?.length ? MARKED_ROOM : ROOM) : 1],
          },
        },
        series: [
          {},
          ...lines.map((line) => ({
            label: line.name,
            stroke: line.colour,
            width: 1.6,
            spanGaps: false,
            points: { show: lines.length > 0 && times.length < 3 },
            ...(line.dash ? { dash: [6, 4] } : {}),
          })),
        ],
        axes: [
          {
            ...axis,
            space: 72,
            size: 30,
            values: (_u: uPlot, at: number[]) =>
              at.map((s) => (long ? dateTime(s * 1e3).replace(/:\d\d$/, '') : clock(s * 1e3).slice(0, 5))),
          },
          {
            ...axis,
            space: 36,
            size: (_u: uPlot, text: string[] | null) =>
              16 + 6.4 * Math.max(3, ...(text ?? []).map((each) => each.length)),
            values: (_u: uPlot, at: number[]) => at.map((value) => format(value)),
          },
        ],
        hooks: {
          ...painted(marks ?? [], bands ?? [], css, level),
          setSelect: [
            (u) => {
              if (u.select.width > 4) {
                zoom.current?.(
                  Math.round(u.posToVal(u.select.left, 'x') * 1e3),
                  Math.round(u.posToVal(u.select.left + u.select.width, 'x') * 1e3),
                );
              }
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
          setCursor: [(u) => setIndex(u.cursor.idx ?? null)],
        },
      },
      [times.map((ms) => ms / 1000), ...lines.map((line) => line.values)] as uPlot.AlignedData,
      element,
    );
    chart.current = plot;
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [times, lines, scheme, height, clock, dateTime, timeZone, format, marks, bands, range, level]);

  const numbers = useMemo(
    () =>
      lines.map(({ values }) => {
        const known = values.filter((value): value is number => value !== null);
        return {
          min: known.length ? Math.min(...known) : null,
          max: known.length ? Math.max(...known) : null,
          mean: known.length ? known.reduce((a, b) => a + b, 0) / known.length : null,
        };
      }),
    [lines],
  );
  const toggle = (name: string, i: number): void => {
    const next = new Set(hidden);
    if (!next.delete(name)) next.add(name);
    setHidden(next);
    chart.current?.setSeries(i + 1, { show: !next.has(name) });
  };
  return (
    <>
      <div ref={host} className="chart" role="img" aria-label={label} />
      {legend ? (
        <table className="legend">
          <thead>
            <tr>
              <th scope="col">{index === null ? t('chart.series') : clock(times[index] ?? 0)}</th>
              <th scope="col">{t(index === null ? 'chart.last' : 'chart.value')}</th>
              <th scope="col">{t('chart.min')}</th>
              <th scope="col">{t('chart.mean')}</th>
              <th scope="col">{t('chart.max')}</th>
            </tr>
          </thead>
          <tbody>
            {lines.map((line, i) => (
              <tr key={line.name} data-off={hidden.has(line.name) || undefined}>
                <td>
                  <button type="button" aria-pressed={!hidden.has(line.name)} onClick={() => toggle(line.name, i)}>
                    <span className="swatch" data-dash={line.dash || undefined} style={{ color: line.colour }} />
                    {line.name}
                  </button>
                </td>
                <td>{format(line.values[index ?? line.values.length - 1])}</td>
                <td>{format(numbers[i]?.min)}</td>
                <td>{format(numbers[i]?.mean)}</td>
                <td>{format(numbers[i]?.max)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
    </>
  );
}
