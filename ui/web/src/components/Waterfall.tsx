import { useVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from 'react';
import { slotColour, slotRepeats } from '../design/tokens';
import { useI18n } from '../i18n';
import { isError, type Tree, type WaterfallRow } from '../state/trace';
import { Dot, useScheme } from './marks';
import { valueTicks } from './ticks';
import { useWidth } from './useWidth';

const ROW = 22;
const MAP_HEIGHT = 44;

export interface TimeView {
  start: number;
  end: number;
}

/** Ticks of the visible part, in milliseconds from the trace's start. */
function ticksOf(view: TimeView): number[] {
  return valueTicks(view.end - view.start, 5).map((each) => view.start + each);
}

/** The whole trace in small; dragging chooses the visible part of its time. */
export function Minimap({
  tree,
  total,
  slotOf,
  view,
  onView,
}: {
  tree: Tree;
  total: number;
  slotOf: (service: string) => number;
  view: TimeView;
  onView: (view: TimeView) => void;
}) {
  const { t } = useI18n();
  const scheme = useScheme();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [box, width] = useWidth();
  const [drag, setDrag] = useState<[number, number] | null>(null);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext('2d');
    if (!element || !context || !width) return;
    const ratio = devicePixelRatio || 1;
    element.width = width * ratio;
    element.height = MAP_HEIGHT * ratio;
    context.scale(ratio, ratio);
    const line = (MAP_HEIGHT - 6) / Math.max(1, tree.order.length);
    tree.order.forEach((index, row) => {
      const span = tree.spans[index];
      if (!span) return;
      context.fillStyle = slotColour(scheme, slotOf(span.service));
      context.fillRect(
        (span.start_offset_ms / total) * width,
        3 + row * line,
        Math.max(1, (span.duration_ms / total) * width),
        Math.min(5, Math.max(1, line - 0.5)),
      );
    });
  }, [tree, total, slotOf, scheme, width]);
  const at = (event: PointerEvent): number => {
    const rect = event.currentTarget.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - rect.left) / rect.width));
  };
  const [left, right] = drag ? [Math.min(...drag), Math.max(...drag)] : [view.start / total, view.end / total];
  return (
    <div
      ref={box}
      className="minimap"
      title={t('trace.minimap')}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        setDrag([at(event), at(event)]);
      }}
      onPointerMove={(event) => drag && setDrag([drag[0], at(event)])}
      onPointerUp={() => {
        if (drag && Math.abs(drag[0] - drag[1]) > 0.004)
          onView({ start: Math.min(...drag) * total, end: Math.max(...drag) * total });
        setDrag(null);
      }}
      onDoubleClick={() => onView({ start: 0, end: total })}
    >
      <canvas ref={canvas} role="img" aria-label={t('trace.minimap')} />
      {left > 0 || right < 1 ? (
        <>
          <span className="shade" style={{ left: 0, width: `${left * 100}%` }} />
          <span className="shade" style={{ left: `${right * 100}%`, right: 0 }} />
        </>
      ) : null}
    </div>
  );
}

interface WaterfallProps {
  tree: Tree;
  rows: readonly WaterfallRow[];
  slotOf: (service: string) => number;
  view: TimeView;
  selected: number | null;
  collapsed: ReadonlySet<number>;
  onSelect: (index: number) => void;
  onToggle: (index: number) => void;
  onUnfold: (key: string) => void;
}

/** Spans as a tree on a time axis; only rows in view are drawn. Arrows move and fold, `Enter` opens. */
export function Waterfall({
  tree,
  rows,
  slotOf,
  view,
  selected,
  collapsed,
  onSelect,
  onToggle,
  onUnfold,
}: WaterfallProps) {
  const { t, duration, num } = useI18n();
  const scheme = useScheme();
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: 12,
  });
  const length = Math.max(1e-9, view.end - view.start);
  const rowOfSelected = selected === null ? -1 : rows.findIndex((row) => row.kind === 'span' && row.index === selected);
  const [active, setActive] = useState(rowOfSelected);
  useEffect(() => {
    if (rowOfSelected < 0) return;
    setActive(rowOfSelected);
    virtual.scrollToIndex(rowOfSelected, { align: 'auto' });
  }, [rowOfSelected, virtual]);
  const place = (start: number, ms: number): { left: number; width: number } => {
    const left = Math.max(0, (start - view.start) / length);
    const right = Math.min(1, (start + ms - view.start) / length);
    return { left: left * 100, width: Math.max(0, right - left) * 100 };
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const step =
      event.key === 'ArrowDown' || event.key === 'j' ? 1 : event.key === 'ArrowUp' || event.key === 'k' ? -1 : 0;
    const row = rows[active];
    if (step) {
      const next = Math.max(0, Math.min(rows.length - 1, active + step));
      setActive(next);
      virtual.scrollToIndex(next);
      const to = rows[next];
      if (selected !== null && to?.kind === 'span') onSelect(to.index);
    } else if (event.key === 'Enter' && row) {
      if (row.kind === 'span') onSelect(row.index);
      else onUnfold(row.key);
    } else if (
      row?.kind === 'span' &&
      event.key === 'ArrowLeft' &&
      !collapsed.has(row.index) &&
      tree.children[row.index]?.length
    )
      onToggle(row.index);
    else if (row?.kind === 'span' && event.key === 'ArrowRight' && collapsed.has(row.index)) onToggle(row.index);
    else if (row?.kind === 'fold' && event.key === 'ArrowRight') onUnfold(row.key);
    else return;
    event.preventDefault();
  };
  const label = (left: number, width: number): React.CSSProperties =>
    left + width < 86 ? { left: `${left + width}%` } : left > 14 ? { right: `${100 - left}%` } : { left: `${left}%` };
  return (
    <>
      <div className="waxis" aria-hidden="true">
        <div>
          {t('column.service')} · {t('column.operation')}
        </div>
        <div>
          {ticksOf(view).map((ms) => (
            <span key={ms} className="tick num" style={{ left: `${((ms - view.start) / length) * 100}%` }}>
              {duration(ms)}
            </span>
          ))}
        </div>
      </div>
      <div
        ref={box}
        className="scroll waterfall"
        role="tree"
        aria-label={t('trace.waterfall')}
        tabIndex={0}
        onKeyDown={onKeyDown}
        aria-activedescendant={rows[active] ? `wrow-${active}` : undefined}
      >
        <div role="presentation" style={{ height: virtual.getTotalSize(), position: 'relative' }}>
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index];
            if (!row) return null;
            const indexes = row.kind === 'span' ? [row.index] : row.indexes;
            const span = tree.spans[indexes[0] ?? 0];
            if (!span) return null;
            const depth = row.kind === 'span' ? (tree.depth[row.index] ?? 0) : row.depth;
            const slot = slotOf(span.service);
            const colour = slotColour(scheme, slot);
            const kids = row.kind === 'span' ? (tree.below[row.index] ?? 0) : 0;
            const closed = row.kind === 'span' && collapsed.has(row.index);
            const failed = indexes.filter((i) => isError(tree.spans[i] ?? span)).length;
            const spans = indexes.map((i) => tree.spans[i] ?? span);
            const sum = spans.reduce((all, each) => all + each.duration_ms, 0);
            const first = place(span.start_offset_ms, span.duration_ms);
            const lastSpan = spans.at(-1) ?? span;
            const last = place(lastSpan.start_offset_ms, lastSpan.duration_ms);
            const isSelected = row.kind === 'span' && row.index === selected;
            return (
              <div
                key={row.kind === 'span' ? span.span_id : row.key}
                id={`wrow-${item.index}`}
                className="wrow"
                role="treeitem"
                tabIndex={-1}
                aria-level={depth + 1}
                aria-expanded={kids ? !closed : undefined}
                aria-selected={isSelected}
                data-active={item.index === active || undefined}
                style={{ transform: `translateY(${item.start}px)` }}
                onClick={() => {
                  setActive(item.index);
                  if (row.kind === 'span') onSelect(row.index);
                  else onUnfold(row.key);
                }}
              >
                <div className="wname" style={{ paddingLeft: 4 + Math.min(depth, 16) * 12 }}>
                  {kids ? (
                    <button
                      type="button"
                      className="twist"
                      tabIndex={-1}
                      aria-label={t(closed ? 'trace.expand' : 'trace.collapse')}
                      onClick={(event) => {
                        event.stopPropagation();
                        if (row.kind === 'span') onToggle(row.index);
                      }}
                    >
                      {closed ? '▸' : '▾'}
                    </button>
                  ) : (
                    <span className="twist" />
                  )}
                  <Dot slot={slot} />
                  {failed ? (
                    <span className="crit-text strong" title={t('trace.failed')}>
                      ✕
                    </span>
                  ) : null}
                  {span.anomaly ? (
                    <span className="warn-text" title={span.anomaly}>
                      ▲
                    </span>
                  ) : null}
                  <b>{span.service}</b>
                  {row.kind === 'fold' ? <span className="fold num">×{num(row.indexes.length)}</span> : null}
                  <span className="op">{span.name}</span>
                  {closed ? <span className="fold num">+{num(kids)}</span> : null}
                </div>
                <div className="wline">
                  {row.kind === 'span' ? (
                    <>
                      {first.width > 0 || (span.start_offset_ms >= view.start && span.start_offset_ms <= view.end) ? (
                        <span
                          className="wbar"
                          data-critical={span.critical || undefined}
                          data-hatch={slotRepeats(slot) || undefined}
                          style={{ left: `${first.left}%`, width: `${first.width}%`, backgroundColor: colour }}
                        />
                      ) : null}
                      {(span.events ?? []).map((event, i) => {
                        const left = place(event.offset_ms, 0).left;
                        return left > 0 && left < 100 ? (
                          // biome-ignore lint/suspicious/noArrayIndexKey: events have no id
                          <i key={i} className="wevent" title={event.name} style={{ left: `${left}%` }} />
                        ) : null;
                      })}
                      <span
                        className="wdur num"
                        data-inside={first.left + first.width >= 86 && first.left <= 14 ? '' : undefined}
                        style={label(first.left, first.width)}
                      >
                        {duration(span.duration_ms)}
                      </span>
                    </>
                  ) : (
                    <>
                      {spans.slice(0, 200).map((each) => {
                        const { left, width } = place(each.start_offset_ms, each.duration_ms);
                        return (
                          <span
                            key={each.span_id}
                            className="wbar"
                            data-critical={each.critical || undefined}
                            style={{ left: `${left}%`, width: `${width}%`, backgroundColor: colour }}
                          />
                        );
                      })}
                      <span className="wdur num" style={label(last.left, last.width)}>
                        Σ {duration(sum)}
                      </span>
                    </>
                  )}
                </div>
              </div>
            );
          })}
        </div>
      </div>
    </>
  );
}
