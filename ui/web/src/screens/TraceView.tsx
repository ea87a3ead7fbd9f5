import '@mantine/core/styles/Tabs.css';
import './trace.css';
import { Button, Tabs, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { useEffect, useMemo, useRef, useState } from 'react';
import { getJson } from '../api/client';
import type { LogPage, LogRow, Trace } from '../api/types';
import { To, useUrl } from '../app/navigation';
import { CopyButton, curl, ShareMenu } from '../components/copy';
import { DataTable } from '../components/DataTable';
import { LogDetail } from '../components/LogDetail';
import { LogList } from '../components/LogList';
import { Dot } from '../components/marks';
import { ResultLine } from '../components/ResultLine';
import { SpanDetail } from '../components/SpanDetail';
import { Empty, StateView } from '../components/StateView';
import { Minimap, type TimeView, Waterfall } from '../components/Waterfall';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { term } from '../state/filter';
import { useKeys } from '../state/keys';
import { oneOf } from '../state/search';
import { isError, type OperationTotal, rowsOf, totalsOf, treeOf, wantedSpans } from '../state/trace';

const AROUND_MS = 300_000;
const MOST_SERVICES = 10;

function TraceLogs({ trace }: { trace: Trace }) {
  const { t, num } = useI18n();
  const [row, setRow] = useState<LogRow | null>(null);
  const start = epochMs(trace.start_time);
  const q = term('trace_id', trace.trace_id);
  const asked = useQuery({
    queryKey: ['trace-logs', trace.trace_id],
    queryFn: ({ signal }) =>
      getJson<LogPage>(
        '/api/logs',
        {
          q,
          from: Math.floor(start - AROUND_MS),
          to: Math.ceil(start + trace.duration_ms + AROUND_MS),
          limit: 1000,
          order: 'asc',
        },
        signal,
      ),
  });
  return (
    <div className="split">
      <section className="panel" data-fill="" aria-label={t('nav.logs')}>
        <StateView asked={asked} isEmpty={(data) => !data.rows.length} empty={<Empty title={t('trace.noLogs')} />}>
          {(data) => (
            <>
              <ResultLine stats={data.stats} lead={t('logs.rows', { n: num(data.rows.length) })} />
              <LogList
                label={t('nav.logs')}
                rows={data.rows}
                active={-1}
                selected={row?.id}
                onSelect={(index) => setRow(data.rows[index] ?? null)}
              />
            </>
          )}
        </StateView>
      </section>
      {row ? <LogDetail key={row.id} row={row} onClose={() => setRow(null)} /> : null}
    </div>
  );
}

function Statistics({ trace, slotOf }: { trace: Trace; slotOf: (service: string) => number }) {
  const { t, num, duration, percent } = useI18n();
  const [search, patch] = useUrl();
  const totals = useMemo(() => totalsOf(trace.spans), [trace]);
  const sort = search.sort ?? '-self';
  const rows = useMemo(() => {
    const value: Record<string, (total: OperationTotal) => number | string> = {
      name: (total) => `${total.service} ${total.name}`,
      count: (total) => total.count,
      errors: (total) => total.errors,
      total: (total) => total.totalMs,
      self: (total) => total.selfMs,
      max: (total) => total.maxMs,
    };
    const by = value[sort.replace('-', '')] ?? ((total: OperationTotal) => total.selfMs);
    const sign = sort.startsWith('-') ? -1 : 1;
    return [...totals].sort((a, b) => {
      const [x, y] = [by(a), by(b)];
      return sign * (typeof x === 'string' ? x.localeCompare(String(y)) : x - Number(y));
    });
  }, [totals, sort]);
  const self = Math.max(
    1e-9,
    totals.reduce((sum, total) => sum + total.selfMs, 0),
  );
  return (
    <section className="panel" data-fill="" aria-label={t('trace.statistics')}>
      <DataTable
        label={t('trace.statistics')}
        rows={rows}
        rowKey={(row) => `${row.service} ${row.name}`}
        sort={sort}
        onSort={(next) => patch({ sort: next === '-self' ? undefined : next })}
        columns={[
          {
            key: 'name',
            title: t('column.operation'),
            width: 'minmax(260px, 2fr)',
            sortable: true,
            cell: (row) => (
              <span className="chip">
                <Dot slot={slotOf(row.service)} />
                <span>
                  <b>{row.service}</b> {row.name}
                </span>
              </span>
            ),
          },
          {
            key: 'count',
            title: t('column.spans'),
            width: '80px',
            end: true,
            sortable: true,
            cell: (row) => num(row.count),
          },
          {
            key: 'errors',
            title: t('column.errors'),
            width: '80px',
            end: true,
            sortable: true,
            cell: (row) => <span className={row.errors ? 'crit-text' : 'faint'}>{num(row.errors)}</span>,
          },
          {
            key: 'total',
            title: t('trace.total'),
            width: '100px',
            end: true,
            sortable: true,
            cell: (row) => duration(row.totalMs),
          },
          {
            key: 'max',
            title: t('chart.max'),
            width: '100px',
            end: true,
            sortable: true,
            cell: (row) => duration(row.maxMs),
          },
          {
            key: 'self',
            title: t('trace.self'),
            width: 'minmax(180px, 1fr)',
            sortable: true,
            cell: (row) => (
              <span className="meter">
                <i style={{ width: `${(row.selfMs / self) * 100}%` }} />
                <span className="num">
                  {duration(row.selfMs)} · {percent(row.selfMs / self)}
                </span>
              </span>
            ),
          },
        ]}
      />
    </section>
  );
}

function Body({ trace }: { trace: Trace }) {
  const { t, num, duration, dateTime } = useI18n();
  const [search, patch] = useUrl();
  const view = oneOf(search.view, ['waterfall', 'statistics', 'logs']);
  const tree = useMemo(() => treeOf(trace.spans), [trace]);
  const slots = useMemo(() => new Map(trace.services.map((service) => [service.name, service.slot])), [trace]);
  const slotOf = useMemo(() => (service: string) => slots.get(service) ?? 0, [slots]);
  const total = useMemo(
    () =>
      Math.max(
        trace.duration_ms,
        1e-6,
        ...trace.spans.slice(0, 100_000).map((span) => span.start_offset_ms + span.duration_ms),
      ),
    [trace],
  );
  const [time, setTime] = useState<TimeView>({ start: 0, end: total });
  useEffect(() => setTime({ start: 0, end: total }), [total]);
  const [collapsed, setCollapsed] = useState<ReadonlySet<number>>(new Set());
  const [unfolded, setUnfolded] = useState<ReadonlySet<string>>(new Set());
  const errors = search.status === 'error';
  const critical = search.group === 'critical';
  const wanted = useMemo(() => wantedSpans(tree, search.q ?? '', errors, critical), [tree, search.q, errors, critical]);
  const selected = search.sel ? (tree.byId.get(search.sel) ?? null) : null;
  const rows = useMemo(() => {
    // The selected span is never hidden in a fold.
    const open = new Set(unfolded);
    const span = selected === null ? undefined : tree.spans[selected];
    if (span && selected !== null) open.add(`${tree.parent[selected]} ${span.service} ${span.name}`);
    return rowsOf(tree, { collapsed, unfolded: open, wanted });
  }, [tree, collapsed, unfolded, wanted, selected]);
  const input = useRef<HTMLInputElement>(null);
  const select = (index: number): void => {
    const id = tree.spans[index]?.span_id;
    patch({ sel: id === search.sel ? undefined : id }, search.sel ? 'typing' : undefined);
  };
  const toggle = (index: number): void => {
    const next = new Set(collapsed);
    if (!next.delete(index)) next.add(index);
    setCollapsed(next);
  };
  useKeys({
    '/': () => input.current?.focus(),
    e: () => patch({ status: errors ? undefined : 'error' }),
    z: () => setTime({ start: 0, end: total }),
  });
  const root = tree.spans[tree.order[0] ?? 0];
  const failed = trace.spans.filter(isError).length;
  const selectedSpan = selected === null ? undefined : tree.spans[selected];
  const zoomed = time.start > 0 || time.end < total;
  return (
    <>
      <div className="crumb">
        <To path="/traces" className="link">
          {t('nav.traces')}
        </To>
        <span className="faint">/</span>
        <h1>
          {root?.service} <span className="ink2">{root?.name}</span>
        </h1>
        {failed ? (
          <span className="status" data-status="crit">
            <b aria-hidden="true">✕</b> {t('trace.failedSpans', { n: num(failed) })}
          </span>
        ) : null}
        <span className="grow" />
        <ShareMenu
          more={[
            { label: t('share.curl'), text: () => curl(`/api/traces/${trace.trace_id}`, {}) },
            {
              label: t('share.sql'),
              text: () => `SELECT * FROM spans WHERE trace_id = '${trace.trace_id}' ORDER BY start_time`,
            },
            { label: t('share.json'), text: () => JSON.stringify(trace, null, 2) },
          ]}
        />
      </div>
      <div className="trace-facts">
        <span>
          <span className="faint">{t('column.duration')}</span> <b className="num">{duration(trace.duration_ms)}</b>
        </span>
        <span>
          <span className="faint">{t('trace.start')}</span> <span className="num">{dateTime(trace.start_time)}</span>
        </span>
        <span>
          <b className="num">{num(trace.spans.length)}</b>{' '}
          <span className="faint">{t('trace.spansIn', { n: num(trace.services.length) })}</span>
        </span>
        <span className="mono faint id">
          {trace.trace_id}
          <CopyButton text={trace.trace_id} label={t('trace.copyId')} />
        </span>
      </div>
      {trace.notes?.length ? (
        <p className="callout" data-tone="warn">
          <b>▲</b> {trace.notes.join(' · ')}
        </p>
      ) : null}
      <Tabs
        value={view}
        onChange={(next) => patch({ view: next === 'waterfall' ? undefined : (next ?? undefined), sort: undefined })}
        className="tabs"
      >
        <Tabs.List>
          <Tabs.Tab value="waterfall">{t('trace.waterfall')}</Tabs.Tab>
          <Tabs.Tab value="statistics">{t('trace.statistics')}</Tabs.Tab>
          <Tabs.Tab value="logs">{t('nav.logs')}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="waterfall">
          {view === 'waterfall' ? (
            <div className="split">
              <section className="panel" data-fill="" aria-label={t('trace.waterfall')}>
                <div className="toolbar">
                  <TextInput
                    ref={input}
                    size="xs"
                    w={220}
                    leftSection={<IconSearch size={14} />}
                    rightSection={<span className="kbd">/</span>}
                    aria-label={t('trace.filter')}
                    placeholder={t('trace.filter')}
                    value={search.q ?? ''}
                    onChange={(event) => patch({ q: event.currentTarget.value || undefined }, 'typing')}
                  />
                  <Button
                    size="compact-sm"
                    variant={errors ? 'filled' : 'default'}
                    aria-pressed={errors}
                    onClick={() => patch({ status: errors ? undefined : 'error' })}
                  >
                    {t('filter.errors')} <span className="kbd">e</span>
                  </Button>
                  <Button
                    size="compact-sm"
                    variant={critical ? 'filled' : 'default'}
                    aria-pressed={critical}
                    onClick={() => patch({ group: critical ? undefined : 'critical' })}
                  >
                    <i className="critical-sample" /> {t('trace.critical')}
                  </Button>
                  {collapsed.size ? (
                    <Button size="compact-sm" variant="default" onClick={() => setCollapsed(new Set())}>
                      {t('trace.expandAll')}
                    </Button>
                  ) : (
                    <Button
                      size="compact-sm"
                      variant="default"
                      onClick={() =>
                        setCollapsed(
                          new Set(tree.order.filter((i) => (tree.depth[i] ?? 0) >= 1 && tree.children[i]?.length)),
                        )
                      }
                    >
                      {t('trace.collapseAll')}
                    </Button>
                  )}
                  {zoomed ? (
                    <Button size="compact-sm" variant="default" onClick={() => setTime({ start: 0, end: total })}>
                      {t('trace.wholeTime')} <span className="kbd">z</span>
                    </Button>
                  ) : null}
                  <span className="grow" />
                  <span className="faint num">
                    {rows.length === trace.spans.length
                      ? null
                      : t('trace.rows', { n: num(rows.length), of: num(trace.spans.length) })}
                  </span>
                </div>
                <ul className="legend-row" aria-label={t('nav.services')}>
                  {trace.services.slice(0, MOST_SERVICES).map((service) => (
                    <li key={service.name} className="chip">
                      <Dot slot={service.slot} />
                      <span>{service.name}</span> <span className="faint num">{num(service.spans)}</span>
                    </li>
                  ))}
                  {trace.services.length > MOST_SERVICES ? (
                    <li className="faint">{t('more', { n: num(trace.services.length - MOST_SERVICES) })}</li>
                  ) : null}
                </ul>
                <Minimap tree={tree} total={total} slotOf={slotOf} view={time} onView={setTime} />
                {rows.length ? (
                  <Waterfall
                    tree={tree}
                    rows={rows}
                    slotOf={slotOf}
                    view={time}
                    selected={selected}
                    collapsed={collapsed}
                    onSelect={select}
                    onToggle={toggle}
                    onUnfold={(key) => setUnfolded(new Set([...unfolded, key]))}
                  />
                ) : (
                  <Empty title={t('state.nomatch')}>
                    <Button
                      size="compact-xs"
                      variant="default"
                      onClick={() => patch({ q: undefined, status: undefined, group: undefined })}
                    >
                      {t('filter.clear')}
                    </Button>
                  </Empty>
                )}
                <ResultLine stats={trace.stats} />
              </section>
              {selectedSpan ? (
                <SpanDetail
                  span={selectedSpan}
                  traceId={trace.trace_id}
                  slot={slotOf(selectedSpan.service)}
                  onClose={() => patch({ sel: undefined })}
                />
              ) : null}
            </div>
          ) : null}
        </Tabs.Panel>
        <Tabs.Panel value="statistics">
          {view === 'statistics' ? <Statistics trace={trace} slotOf={slotOf} /> : null}
        </Tabs.Panel>
        <Tabs.Panel value="logs">{view === 'logs' ? <TraceLogs trace={trace} /> : null}</Tabs.Panel>
      </Tabs>
    </>
  );
}

export function TraceView() {
  const { id = '' } = useParams({ strict: false }) as { id?: string };
  const { t } = useI18n();
  const queries = useQueryClient();
  const asked = useQuery({
    queryKey: ['trace', id],
    queryFn: ({ signal }) => getJson<Trace>(`/api/traces/${encodeURIComponent(id)}`, {}, signal),
    staleTime: 60_000,
  });
  return (
    <div className="screen" data-fill="">
      {asked.data ? null : (
        <div className="crumb">
          <To path="/traces" className="link">
            {t('nav.traces')}
          </To>
          <span className="faint">/</span>
          <h1 className="mono">{id}</h1>
        </div>
      )}
      <StateView
        asked={asked}
        onCancel={() => void queries.cancelQueries({ queryKey: ['trace'] })}
        isEmpty={(trace) => !trace.spans.length}
        empty={<Empty title={t('trace.notFound')} />}
      >
        {(trace) => <Body trace={trace} />}
      </StateView>
    </div>
  );
}
