import { Button, TextInput } from '@mantine/core';
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { getJson } from '../api/client';
import { useSlots } from '../api/queries';
import type { TraceSummary, TracesAnswer } from '../api/types';
import { To, useOpen, useUrl } from '../app/navigation';
import { useWindow } from '../app/window';
import { curl, ShareMenu } from '../components/copy';
import { DataTable } from '../components/DataTable';
import { FilterBar } from '../components/FilterBar';
import { Dot, ServiceChip } from '../components/marks';
import { Panel } from '../components/Panel';
import { ResultLine } from '../components/ResultLine';
import { Empty, StateView } from '../components/StateView';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { useKeys } from '../state/keys';
import { Scatter } from './Scatter';

const LIMIT = 100;
const MOST_CHIPS = 3;

function DurationInput({
  label,
  value,
  onCommit,
}: {
  label: string;
  value: string | undefined;
  onCommit: (value: string | undefined) => void;
}) {
  const { t } = useI18n();
  const [text, setText] = useState(value ?? '');
  useEffect(() => setText(value ?? ''), [value]);
  const typed = text.trim() === '' ? undefined : /[a-zµ]$/.test(text.trim()) ? text.trim() : `${text.trim()}ms`;
  const bad = typed !== undefined && !/^\d+(\.\d+)?(us|µs|ms|s|m)$/.test(typed);
  const commit = (): void => {
    if (!bad && typed !== value) onCommit(typed);
  };
  return (
    <TextInput
      size="xs"
      w={96}
      aria-label={label}
      placeholder={label}
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => {
        if (event.key !== 'Enter') return;
        event.preventDefault();
        commit();
      }}
      error={bad}
      title={bad ? t('traces.badDuration') : undefined}
    />
  );
}

/** Order of the found traces, by a column of the table. */
export function sortedTraces(traces: readonly TraceSummary[], sort: string): TraceSummary[] {
  const sign = sort.startsWith('-') ? -1 : 1;
  const value = (trace: TraceSummary): number => {
    switch (sort.replace('-', '')) {
      case 'duration':
        return trace.duration_ms;
      case 'spans':
        return trace.span_count;
      case 'errors':
        return trace.error_count;
      default:
        return epochMs(trace.start_time);
    }
  };
  return [...traces].sort((a, b) => sign * (value(a) - value(b)));
}

export function Traces() {
  const { t, num, duration, dateTime, clock } = useI18n();
  const [search, patch] = useUrl();
  const { window, setWindow } = useWindow();
  const open = useOpen();
  const queries = useQueryClient();
  const slotOf = useSlots();
  const q = search.q ?? '';
  const params = {
    q,
    from: window.from,
    to: window.to,
    min_duration: search.min,
    max_duration: search.max,
    status: search.status,
    limit: LIMIT,
  };
  const asked = useQuery({
    queryKey: ['traces', params],
    queryFn: ({ signal }) => getJson<TracesAnswer>('/api/traces', params, signal),
    placeholderData: keepPreviousData,
  });
  const sort = search.sort ?? '-start';
  const rows = useMemo(() => sortedTraces(asked.data?.traces ?? [], sort), [asked.data, sort]);
  // A list that was cut shows the newest only: its drawing covers their time, not an empty window.
  const cut = rows.length >= LIMIT;
  const from = cut ? Math.min(...rows.map((row) => epochMs(row.start_time))) : window.from;
  const longest = Math.max(1, ...rows.map((row) => row.duration_ms));
  const errors = search.status === 'error';
  const toggleErrors = (): void => patch({ status: errors ? undefined : 'error' });
  useKeys({ e: toggleErrors });
  const openTrace = (trace: TraceSummary): void => open(`/traces/${trace.trace_id}`, { sel: trace.matched?.span_id });
  const sameDay = window.to - window.from < 86_400e3;
  return (
    <div className="screen" data-fill="">
      <div className="crumb">
        <h1>{t('nav.traces')}</h1>
        <span className="grow" />
        <ShareMenu more={[{ label: t('share.curl'), text: () => curl('/api/traces', params) }]} />
      </div>
      <FilterBar
        value={q}
        onChange={(next) => patch({ q: next || undefined })}
        placeholder={t('traces.placeholder')}
        problem={asked.error?.message}
      >
        <DurationInput label={t('traces.min')} value={search.min} onCommit={(min) => patch({ min })} />
        <DurationInput label={t('traces.max')} value={search.max} onCommit={(max) => patch({ max })} />
        <Button size="compact-sm" variant={errors ? 'filled' : 'default'} aria-pressed={errors} onClick={toggleErrors}>
          {t('filter.errors')} <span className="kbd">e</span>
        </Button>
      </FilterBar>
      <StateView
        asked={asked}
        onCancel={() => void queries.cancelQueries({ queryKey: ['traces'] })}
        isEmpty={(data) => !data.traces.length}
        empty={
          <Empty title={t('state.nomatch')}>
            <p>
              {dateTime(window.from)} – {dateTime(window.to)}
            </p>
            <div className="row">
              <Button
                size="compact-xs"
                variant="default"
                onClick={() => patch({ q: undefined, min: undefined, max: undefined, status: undefined })}
              >
                {t('filter.clear')}
              </Button>
              <Button size="compact-xs" variant="default" onClick={() => setWindow('now-24h', 'now')}>
                {t('range.24h')}
              </Button>
            </div>
          </Empty>
        }
      >
        {(data) => (
          <>
            <Panel
              title={t('traces.durations')}
              sub={
                <>
                  <span className="accent-text">●</span> {t('traces.fine')} <span className="crit-text">✕</span>{' '}
                  {t('traces.failed')}
                </>
              }
            >
              <Scatter traces={data.traces} from={from} to={window.to} onOpen={openTrace} onZoom={setWindow} />
            </Panel>
            <section className="panel" data-fill="" aria-label={t('nav.traces')}>
              <ResultLine
                stats={data.stats}
                running={asked.isFetching}
                lead={
                  data.traces.length >= LIMIT
                    ? t('traces.newest', { n: num(data.traces.length) })
                    : t('traces.count', { n: num(data.traces.length) })
                }
              />
              <DataTable
                label={t('nav.traces')}
                rows={rows}
                rowKey={(row) => row.trace_id}
                rowHeight={30}
                sort={sort}
                onSort={(next) => patch({ sort: next === '-start' ? undefined : next })}
                onOpen={openTrace}
                tone={(row) => (row.error_count ? 'crit' : undefined)}
                columns={[
                  {
                    key: 'start',
                    title: t('column.time'),
                    width: sameDay ? '104px' : '160px',
                    sortable: true,
                    cell: (row) => (
                      <span className="num faint">
                        {sameDay ? clock(row.start_time, true) : dateTime(row.start_time)}
                      </span>
                    ),
                  },
                  {
                    key: 'root',
                    title: t('column.trace'),
                    width: 'minmax(240px, 2.2fr)',
                    cell: (row) => (
                      <To
                        path={`/traces/${row.trace_id}`}
                        search={{ sel: row.matched?.span_id }}
                        className="chip cell-link"
                        label={t('traces.openTrace', {
                          name: `${row.root_service || ''} ${row.root_name || row.trace_id.slice(0, 8)}`,
                        })}
                      >
                        {row.root_service ? (
                          <Dot
                            slot={
                              row.services.find((each) => each.name === row.root_service)?.slot ??
                              slotOf(row.root_service)
                            }
                          />
                        ) : null}
                        <span>
                          <b>{row.root_service || t('trace.noRoot')}</b>{' '}
                          <span className="ink2">{row.root_name || row.trace_id.slice(0, 8)}</span>
                        </span>
                      </To>
                    ),
                  },
                  {
                    key: 'duration',
                    title: t('column.duration'),
                    width: 'minmax(150px, 1fr)',
                    sortable: true,
                    cell: (row) => (
                      <span className="meter">
                        <i
                          style={{ width: `${Math.max(1, (row.duration_ms / longest) * 100)}%` }}
                          data-crit={row.error_count > 0 || undefined}
                        />
                        <span className="num">{duration(row.duration_ms)}</span>
                      </span>
                    ),
                  },
                  {
                    key: 'spans',
                    title: t('column.spans'),
                    width: '74px',
                    end: true,
                    sortable: true,
                    cell: (row) => num(row.span_count),
                  },
                  {
                    key: 'errors',
                    title: t('column.errors'),
                    width: '74px',
                    end: true,
                    sortable: true,
                    cell: (row) =>
                      row.error_count ? (
                        <span className="crit-text">✕ {num(row.error_count)}</span>
                      ) : (
                        <span className="faint">0</span>
                      ),
                  },
                  {
                    key: 'services',
                    title: t('nav.services'),
                    width: 'minmax(200px, 1.6fr)',
                    cell: (row) => (
                      <span className="chip-row">
                        {row.services.slice(0, MOST_CHIPS).map((service) => (
                          <ServiceChip
                            key={service.name}
                            name={service.name}
                            slot={service.slot ?? slotOf(service.name)}
                          />
                        ))}
                        {row.services.length > MOST_CHIPS ? (
                          <span className="faint">+{row.services.length - MOST_CHIPS}</span>
                        ) : null}
                      </span>
                    ),
                  },
                ]}
              />
            </section>
          </>
        )}
      </StateView>
    </div>
  );
}
