import { useMemo, useState } from 'react';
import type { Operation, ServiceAnswer } from '../api/reliability';
import { To, useUrl } from '../app/navigation';
import { Change } from '../components/Change';
import { Panel } from '../components/Panel';
import { ResultLine } from '../components/ResultLine';
import { Empty } from '../components/StateView';
import { useI18n } from '../i18n';
import { atLeast, term } from '../state/filter';
import { DEGRADED_RATIO, FAILING_RATIO } from '../state/health';

const MOST = 15;
const SORTS = ['name', 'rate', 'errors', 'p50', 'p95', 'p99'] as const;
type Sort = (typeof SORTS)[number];

function sorted(operations: readonly Operation[], sort: string): Operation[] {
  const key = sort.replace('-', '') as Sort;
  const sign = sort.startsWith('-') ? -1 : 1;
  const value = (row: Operation): number | string =>
    key === 'name'
      ? row.name
      : key === 'errors'
        ? (row.error_ratio ?? -1)
        : key === 'p50'
          ? (row.p50_ms ?? -1)
          : key === 'p95'
            ? (row.p95_ms ?? -1)
            : key === 'p99'
              ? (row.p99_ms ?? -1)
              : row.rate;
  return [...operations].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return sign * (typeof x === 'string' ? x.localeCompare(String(y)) : x - Number(y));
  });
}

/** Operations of the service; each number opens the traces that it counts. */
export function ServiceOperations({ answer }: { answer: ServiceAnswer }) {
  const { t, num, perSecond, percent, duration } = useI18n();
  const [search, patch] = useUrl();
  const [all, setAll] = useState(false);
  const sort = search.sort ?? '-rate';
  const rows = useMemo(() => sorted(answer.operations, sort), [answer.operations, sort]);
  const service = answer.service.name;
  const filter = (row: Operation): string => `${term('service', service)} ${term('name', row.name)}`;
  const head = (key: Sort, title: string) => {
    const direction = sort === key ? 'ascending' : sort === `-${key}` ? 'descending' : undefined;
    const next = direction === 'descending' ? key : `-${key}`;
    return (
      <th scope="col" aria-sort={direction ?? 'none'}>
        <button type="button" onClick={() => patch({ sort: next === '-rate' ? undefined : next })}>
          {title}
          <span aria-hidden="true">{direction === 'ascending' ? ' ↑' : direction === 'descending' ? ' ↓' : ''}</span>
        </button>
      </th>
    );
  };
  const slower = (row: Operation, ms: number | null) =>
    ms === null ? (
      '–'
    ) : (
      <To path="/traces" search={{ q: filter(row), min: atLeast(ms) }} className="cell-link">
        {duration(ms)}
      </To>
    );
  return (
    <Panel title={t('service.operations')} sub={num(rows.length)}>
      {rows.length ? (
        <>
          <ResultLine stats={answer.stats} />
          <table className="plain-rows operations">
            <thead>
              <tr>
                {head('name', t('column.operation'))}
                <th scope="col">{t('column.kind')}</th>
                {head('rate', t('column.rate'))}
                {head('errors', t('column.errors'))}
                {head('p50', 'p50')}
                {head('p95', 'p95')}
                <th scope="col">{t('column.change')}</th>
                {head('p99', 'p99')}
                <th scope="col">{t('service.example')}</th>
              </tr>
            </thead>
            <tbody>
              {rows.slice(0, all ? undefined : MOST).map((row) => {
                const ratio = row.error_ratio ?? 0;
                return (
                  <tr key={`${row.name} ${row.kind}`}>
                    <td className="operation">
                      <To path="/traces" search={{ q: filter(row) }} className="cell-link strong" title={row.name}>
                        {row.name}
                      </To>
                    </td>
                    <td className="faint">{row.kind}</td>
                    <td className="num">
                      <To path="/traces" search={{ q: filter(row) }} className="cell-link" title={num(row.calls)}>
                        {perSecond(row.rate)}
                      </To>
                    </td>
                    <td className="num">
                      <To path="/traces" search={{ q: filter(row), status: 'error' }} className="cell-link">
                        <span
                          className={
                            ratio >= FAILING_RATIO ? 'crit-text' : ratio >= DEGRADED_RATIO ? 'warn-text' : 'faint'
                          }
                        >
                          {percent(row.error_ratio)}
                        </span>
                      </To>
                    </td>
                    <td className="num">{slower(row, row.p50_ms)}</td>
                    <td className="num">{slower(row, row.p95_ms)}</td>
                    <td className="num">
                      <Change now={row.p95_ms} before={row.previous?.p95_ms} />
                    </td>
                    <td className="num">{slower(row, row.p99_ms)}</td>
                    <td>
                      {row.exemplar_trace_id ? (
                        <To
                          path={`/traces/${row.exemplar_trace_id}`}
                          className="link mono"
                          title={t('service.slowest')}
                        >
                          {row.exemplar_trace_id.slice(0, 8)}
                        </To>
                      ) : (
                        <span className="faint">–</span>
                      )}
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
          {rows.length > MOST ? (
            <p className="hint pad">
              <button type="button" className="link" aria-expanded={all} onClick={() => setAll(!all)}>
                {all ? t('fewer') : t('more', { n: num(rows.length - MOST) })}
              </button>
            </p>
          ) : null}
        </>
      ) : (
        <Empty title={t('service.noOperations')} />
      )}
    </Panel>
  );
}
