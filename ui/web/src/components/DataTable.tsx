import { useVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, type ReactNode, useRef, useState } from 'react';
import { usePreferences } from '../app/preferences';

export interface Column<T> {
  key: string;
  title: ReactNode;
  /** A CSS grid track, `90px` or `minmax(160px, 2fr)`. */
  width: string;
  end?: boolean;
  sortable?: boolean;
  cell: (row: T, index: number) => ReactNode;
}

interface DataTableProps<T> {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  rowKey: (row: T, index: number) => string;
  /** `key` ascending, `-key` descending. */
  sort?: string | undefined;
  onSort?: (sort: string) => void;
  onOpen?: (row: T) => void;
  rowHeight?: number | undefined;
  tone?: (row: T) => string | undefined;
  id?: string;
}

/** A table that draws only the rows in view. `j` `k` and the arrows move, `Enter` opens. */
export function DataTable<T>({
  label,
  columns,
  rows,
  rowKey,
  sort,
  onSort,
  onOpen,
  rowHeight,
  tone,
  id,
}: DataTableProps<T>) {
  const box = useRef<HTMLDivElement>(null);
  const { density } = usePreferences();
  const height = rowHeight ?? (density === 'roomy' ? 32 : 26);
  const [active, setActive] = useState(-1);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => height,
    overscan: 12,
  });
  const template = columns.map((column) => column.width).join(' ');
  const onKeyDown = (event: KeyboardEvent): void => {
    const step =
      event.key === 'ArrowDown' || event.key === 'j' ? 1 : event.key === 'ArrowUp' || event.key === 'k' ? -1 : 0;
    if (step) {
      event.preventDefault();
      const next = Math.max(0, Math.min(rows.length - 1, active + step));
      setActive(next);
      virtual.scrollToIndex(next);
    }
    const row = rows[active];
    if (event.key === 'Enter' && row && event.target === event.currentTarget) onOpen?.(row);
  };
  return (
    <div className="table" role="table" aria-label={label} aria-rowcount={rows.length + 1} id={id}>
      <div ref={box} className="scroll" role="presentation">
        <div className="table-body" role="rowgroup" tabIndex={0} onKeyDown={onKeyDown} aria-label={label}>
          <div className="thead" role="row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
            {columns.map((column) => {
              const direction =
                sort === column.key ? 'ascending' : sort === `-${column.key}` ? 'descending' : undefined;
              return (
                <div
                  key={column.key}
                  role="columnheader"
                  data-end={column.end || undefined}
                  aria-sort={column.sortable ? (direction ?? 'none') : undefined}
                >
                  {column.sortable && onSort ? (
                    <button
                      type="button"
                      onClick={() => onSort(direction === 'descending' ? column.key : `-${column.key}`)}
                    >
                      {column.title}
                      <span aria-hidden="true">
                        {direction === 'ascending' ? ' ↑' : direction === 'descending' ? ' ↓' : ''}
                      </span>
                    </button>
                  ) : (
                    column.title
                  )}
                </div>
              );
            })}
          </div>
          <div role="presentation" style={{ height: virtual.getTotalSize(), position: 'relative' }}>
            {virtual.getVirtualItems().map((item) => {
              const row = rows[item.index];
              if (row === undefined) return null;
              return (
                <div
                  key={rowKey(row, item.index)}
                  className="trow"
                  role="row"
                  aria-rowindex={item.index + 2}
                  data-active={item.index === active || undefined}
                  data-open={onOpen ? '' : undefined}
                  data-tone={tone?.(row)}
                  style={{ gridTemplateColumns: template, height, transform: `translateY(${item.start}px)` }}
                  onClick={(event) => {
                    setActive(item.index);
                    if (!(event.target as HTMLElement).closest('a, button')) onOpen?.(row);
                  }}
                >
                  {columns.map((column) => (
                    <div key={column.key} role="cell" data-end={column.end || undefined}>
                      {column.cell(row, item.index)}
                    </div>
                  ))}
                </div>
              );
            })}
          </div>
        </div>
      </div>
    </div>
  );
}
