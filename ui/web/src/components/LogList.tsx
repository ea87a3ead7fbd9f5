import { useVirtualizer } from '@tanstack/react-virtual';
import { memo, type RefObject, useEffect, useImperativeHandle, useRef } from 'react';
import { useSlots } from '../api/queries';
import type { LogRow } from '../api/types';
import { usePreferences } from '../app/preferences';
import { severityOf } from '../design/tokens';
import { useI18n } from '../i18n';
import { bodyLine } from '../screens/logs';
import { highlighted } from '../state/filter';
import { Dot, SeverityMark } from './marks';

interface RowProps {
  row: LogRow;
  index: number;
  top: number;
  height: number;
  selected: boolean;
  active: boolean;
  slot: number;
  time: string;
  words: readonly string[];
  onSelect: (index: number) => void;
}

const Row = memo(function Row({ row, index, top, height, selected, active, slot, time, words, onSelect }: RowProps) {
  const severity = severityOf(row.severity_number);
  return (
    <div
      id={`log-${row.id}`}
      className="lrow"
      role="row"
      aria-rowindex={index + 1}
      aria-selected={selected}
      data-active={active || undefined}
      data-sev={severity}
      style={{ transform: `translateY(${top}px)`, height }}
      onClick={() => onSelect(index)}
    >
      <span className="bar" role="presentation" />
      <span role="gridcell">
        <SeverityMark severity={severity} />
      </span>
      <span role="gridcell" className="time">
        {time}
      </span>
      <span role="gridcell" className="service">
        <Dot slot={slot} />
        <span>{row.service}</span>
      </span>
      <span role="gridcell" className="body">
        {words.length
          ? highlighted(bodyLine(row), words).map((part, i) =>
              part.hit ? (
                // biome-ignore lint/suspicious/noArrayIndexKey: parts of one text
                <mark key={i}>{part.text}</mark>
              ) : (
                part.text
              ),
            )
          : bodyLine(row)}
      </span>
    </div>
  );
});

export interface LogListHandle {
  show: (index: number) => void;
  /** Moves to the end, where the newest row of a live tail is. */
  toEnd: () => void;
}

interface LogListProps {
  label: string;
  rows: readonly LogRow[];
  selected?: string | undefined;
  active: number;
  words?: readonly string[];
  /** Whether rows of several days are shown, so that the day has to stand with the time. */
  days?: boolean;
  onSelect: (index: number) => void;
  onEnd?: () => void;
  onScroll?: (element: HTMLElement) => void;
  handle?: RefObject<LogListHandle | null>;
}

const NO_WORDS: readonly string[] = [];

/** Log rows, of which only those in view are drawn. */
export function LogList({
  label,
  rows,
  selected,
  active,
  words = NO_WORDS,
  days = false,
  onSelect,
  onEnd,
  onScroll,
  handle,
}: LogListProps) {
  const box = useRef<HTMLDivElement>(null);
  const { clock, dateTime } = useI18n();
  const { density } = usePreferences();
  const slotOf = useSlots();
  const height = density === 'roomy' ? 28 : 22;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => height,
    overscan: 12,
    getItemKey: (index) => rows[index]?.id ?? index,
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  const end = useRef(onEnd);
  end.current = onEnd;
  useEffect(() => {
    if (rows.length && last >= rows.length - 50) end.current?.();
  }, [last, rows.length]);
  useImperativeHandle(
    handle,
    () => ({
      show: (index) => virtual.scrollToIndex(index),
      toEnd: () => virtual.scrollToIndex(rows.length - 1, { align: 'end' }),
    }),
    [virtual, rows.length],
  );
  return (
    <div
      ref={box}
      className="scroll logs"
      data-days={days || undefined}
      role="grid"
      aria-label={label}
      aria-rowcount={rows.length}
      aria-activedescendant={rows[active] ? `log-${rows[active]?.id}` : undefined}
      tabIndex={0}
      onScroll={(event) => onScroll?.(event.currentTarget)}
    >
      <div role="presentation" style={{ height: virtual.getTotalSize(), position: 'relative' }}>
        {items.map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          const time = clock(row.timestamp, true);
          return (
            <Row
              key={item.key}
              row={row}
              index={item.index}
              top={item.start}
              height={height}
              selected={row.id === selected}
              active={item.index === active}
              slot={slotOf(row.service)}
              time={days ? `${dateTime(row.timestamp).replace(/ [\d:]+$/, '')} ${time}` : time}
              words={words}
              onSelect={onSelect}
            />
          );
        })}
      </div>
    </div>
  );
}
