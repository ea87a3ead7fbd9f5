import { useMemo } from 'react';
import type { MapNode } from '../api/reliability';
import { useUrl } from '../app/navigation';
import { DataTable } from '../components/DataTable';
import { Dot, StatusMark } from '../components/marks';
import { type Key, useI18n } from '../i18n';
import type { Graph } from '../state/graph';

const KIND: Record<MapNode['kind'], Key> = {
  service: 'map.service',
  database: 'map.database',
  messaging: 'map.messaging',
  external: 'map.external',
};
const NEED: Record<MapNode['state'], number> = { crit: 0, warn: 1, ok: 2, unknown: 3 };

interface Row extends MapNode {
  callers: number;
  callees: number;
}

function rowsOf({ nodes, edges }: Graph, sort: string): Row[] {
  const count = (end: 'caller' | 'callee', name: string): number => edges.filter((edge) => edge[end] === name).length;
  const rows = nodes.map((node) => ({
    ...node,
    callers: count('callee', node.name),
    callees: count('caller', node.name),
  }));
  const sign = sort.startsWith('-') ? -1 : 1;
  const value = (row: Row): string | number => {
    switch (sort.replace('-', '')) {
      case 'name':
        return row.name;
      case 'kind':
        return row.kind;
      case 'rate':
        return row.rate;
      case 'errors':
        return row.error_ratio ?? -1;
      case 'p95':
        return row.p95_ms ?? -1;
      case 'callers':
        return row.callers;
      case 'callees':
        return row.callees;
      default:
        return -NEED[row.state];
    }
  };
  return rows.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    const order = typeof x === 'string' ? x.localeCompare(String(y)) : x - Number(y);
    return sign * order || (b.error_ratio ?? 0) - (a.error_ratio ?? 0) || b.rate - a.rate;
  });
}

/** The same nodes as rows. */
export function MapTable({ graph, called }: { graph: Graph; called: (name: string) => string }) {
  const { t, num, perSecond, percent, duration } = useI18n();
  const [search, patch] = useUrl();
  const sort = search.sort ?? '-status';
  const rows = useMemo(() => rowsOf(graph, sort), [graph, sort]);
  const number = (key: string, title: string, cell: (row: Row) => string) => ({
    key,
    title,
    width: '96px',
    end: true,
    sortable: true,
    cell,
  });
  return (
    <DataTable
      label={t('nav.map')}
      rows={rows}
      rowKey={(row) => row.name}
      sort={sort}
      onSort={(next) => patch({ sort: next === '-status' ? undefined : next })}
      onOpen={(row) => patch({ sel: row.name })}
      tone={(row) => row.state}
      columns={[
        {
          key: 'status',
          title: t('column.status'),
          width: '74px',
          sortable: true,
          cell: (row) => <StatusMark status={row.state} />,
        },
        {
          key: 'name',
          title: t('column.service'),
          width: 'minmax(180px, 2fr)',
          sortable: true,
          cell: (row) => (
            <button type="button" className="chip cell-button strong" onClick={() => patch({ sel: row.name })}>
              {row.slot === null ? null : <Dot slot={row.slot} />}
              <span>{called(row.name)}</span>
            </button>
          ),
        },
        {
          key: 'kind',
          title: t('column.kind'),
          width: '120px',
          sortable: true,
          cell: (row) => <span className="faint">{t(KIND[row.kind] ?? 'map.external')}</span>,
        },
        number('rate', t('column.rate'), (row) => perSecond(row.rate)),
        number('errors', t('column.errors'), (row) => percent(row.error_ratio)),
        number('p95', 'p95', (row) => duration(row.p95_ms)),
        number('callers', t('map.callers'), (row) => num(row.callers)),
        number('callees', t('map.callees'), (row) => num(row.callees)),
      ]}
    />
  );
}
