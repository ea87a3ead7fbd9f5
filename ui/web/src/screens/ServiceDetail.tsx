import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { useMemo } from 'react';
import { postJson } from '../api/client';
import { useServices } from '../api/queries';
import type { Service, SqlAnswer } from '../api/types';
import { To, useOpen, useUrl } from '../app/navigation';
import { useWindow } from '../app/window';
import { ShareMenu } from '../components/copy';
import { DataTable } from '../components/DataTable';
import { Dot, StatusMark, useScheme } from '../components/marks';
import { Panel, Tile } from '../components/Panel';
import { ResultLine } from '../components/ResultLine';
import { Spark } from '../components/Spark';
import { Empty, StateView } from '../components/StateView';
import { TimeSeries } from '../components/TimeSeries';
import { STATUS, slotColour } from '../design/tokens';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { term } from '../state/filter';
import { healthOf } from '../state/health';
import { Change } from './Services';

const OPERATIONS = `SELECT name, kind, count(*) AS calls,
  sum(CASE WHEN status_code = 'error' THEN 1 ELSE 0 END) AS errors,
  approx_percentile_cont(duration_nano, 0.5) / 1e6 AS p50_ms,
  approx_percentile_cont(duration_nano, 0.95) / 1e6 AS p95_ms,
  max(duration_nano) / 1e6 AS max_ms
FROM spans WHERE service_name = $1
GROUP BY name, kind ORDER BY calls DESC LIMIT 200`;

interface Operation {
  name: string;
  kind: string;
  calls: number;
  errors: number;
  p50: number | null;
  p95: number | null;
  max: number | null;
}

const number = (value: unknown): number | null => (value === null || value === undefined ? null : Number(value));

function useOperations(service: string) {
  const { window } = useWindow();
  return useQuery({
    queryKey: ['operations', service, window.from, window.to],
    queryFn: async ({ signal }) => {
      const answer = await postJson<SqlAnswer>(
        '/api/sql',
        { query: OPERATIONS, params: [service], from: window.from, to: window.to },
        signal,
      );
      const operations = answer.rows.map(
        ([name, kind, calls, errors, p50, p95, max]): Operation => ({
          name: String(name),
          kind: String(kind),
          calls: Number(calls),
          errors: Number(errors),
          p50: number(p50),
          p95: number(p95),
          max: number(max),
        }),
      );
      return { operations, stats: answer.stats };
    },
  });
}

function Charts({ service }: { service: Service }) {
  const { t, perSecond, percent, duration } = useI18n();
  const { setWindow } = useWindow();
  const scheme = useScheme();
  const spark = service.sparkline;
  const made = useMemo(() => {
    if (!spark) return null;
    const times = spark.calls.map((_, i) => epochMs(spark.start) + i * spark.step_ms);
    const perStep = spark.step_ms / 1000;
    const colour = slotColour(scheme, service.slot);
    return {
      times,
      rate: [
        {
          name: t('chart.requests'),
          colour,
          values: spark.calls.map((calls) => (calls === null ? null : calls / perStep)),
        },
      ],
      errors: [
        {
          name: t('chart.errorRatio'),
          colour: STATUS[scheme].crit,
          values: spark.errors.map((errors, i) => (spark.calls[i] ? (errors ?? 0) / (spark.calls[i] ?? 1) : null)),
        },
      ],
      latency: [{ name: 'p95', colour, values: spark.p95_ms }],
    };
  }, [spark, scheme, service.slot, t]);
  if (!made) return null;
  const common = { times: made.times, height: 170, onZoom: setWindow };
  return (
    <div className="grid three">
      <Panel title={t('chart.requests')}>
        <TimeSeries label={t('chart.requests')} lines={made.rate} format={perSecond} {...common} />
      </Panel>
      <Panel title={t('chart.errorRatio')}>
        <TimeSeries label={t('chart.errorRatio')} lines={made.errors} format={percent} {...common} />
      </Panel>
      <Panel title={t('chart.latency')} sub="p95">
        <TimeSeries label={t('chart.latency')} lines={made.latency} format={duration} {...common} />
      </Panel>
    </div>
  );
}

function Operations({ service }: { service: string }) {
  const { t, num, percent, duration } = useI18n();
  const open = useOpen();
  const [search, patch] = useUrl();
  const asked = useOperations(service);
  const sort = search.sort ?? '-calls';
  const rows = useMemo(() => {
    const key = sort.replace('-', '') as keyof Operation;
    const sign = sort.startsWith('-') ? -1 : 1;
    return [...(asked.data?.operations ?? [])].sort((a, b) => {
      const [x, y] = [a[key], b[key]];
      return sign * (typeof x === 'string' ? x.localeCompare(String(y)) : Number(x ?? 0) - Number(y ?? 0));
    });
  }, [asked.data, sort]);
  return (
    <Panel title={t('service.operations')} sub={num(rows.length)} fill>
      <StateView
        asked={asked}
        isEmpty={(data) => !data.operations.length}
        empty={<Empty title={t('service.noOperations')} />}
      >
        {(data) => (
          <>
            <ResultLine stats={data.stats} running={asked.isFetching} />
            <DataTable
              label={t('service.operations')}
              rows={rows}
              rowKey={(row) => `${row.name} ${row.kind}`}
              sort={sort}
              onSort={(next) => patch({ sort: next === '-calls' ? undefined : next })}
              onOpen={(row) => open('/traces', { q: `${term('service', service)} ${term('name', row.name)}` })}
              columns={[
                {
                  key: 'name',
                  title: t('column.operation'),
                  width: 'minmax(220px, 2fr)',
                  sortable: true,
                  cell: (row) => (
                    <To
                      path="/traces"
                      search={{ q: `${term('service', service)} ${term('name', row.name)}` }}
                      className="cell-link strong"
                    >
                      {row.name}
                    </To>
                  ),
                },
                {
                  key: 'kind',
                  title: t('column.kind'),
                  width: '90px',
                  sortable: true,
                  cell: (row) => <span className="faint">{row.kind}</span>,
                },
                {
                  key: 'calls',
                  title: t('column.calls'),
                  width: '90px',
                  end: true,
                  sortable: true,
                  cell: (row) => num(row.calls),
                },
                {
                  key: 'errors',
                  title: t('column.errors'),
                  width: '90px',
                  end: true,
                  sortable: true,
                  cell: (row) => (
                    <span className={row.errors ? 'crit-text' : 'faint'}>
                      {percent(row.calls ? row.errors / row.calls : 0)}
                    </span>
                  ),
                },
                {
                  key: 'p50',
                  title: 'p50',
                  width: '90px',
                  end: true,
                  sortable: true,
                  cell: (row) => duration(row.p50),
                },
                {
                  key: 'p95',
                  title: 'p95',
                  width: '90px',
                  end: true,
                  sortable: true,
                  cell: (row) => duration(row.p95),
                },
                {
                  key: 'max',
                  title: t('chart.max'),
                  width: '90px',
                  end: true,
                  sortable: true,
                  cell: (row) => duration(row.max),
                },
              ]}
            />
          </>
        )}
      </StateView>
    </Panel>
  );
}

export function ServiceDetail() {
  const { name = '' } = useParams({ strict: false }) as { name?: string };
  const { t, perSecond, percent, duration, num } = useI18n();
  const open = useOpen();
  const scheme = useScheme();
  const asked = useServices();
  const found = asked.data?.services.find((service) => service.name === name);
  const filter = term('service', name);
  return (
    <div className="screen">
      <div className="crumb">
        <To path="/services" className="link">
          {t('nav.services')}
        </To>
        <span className="faint">/</span>
        {found ? <Dot slot={found.slot} /> : null}
        <h1>{name}</h1>
        {found ? <StatusMark status={healthOf(found)} named /> : null}
        {found?.version ? <span className="mono faint">{found.version}</span> : null}
        <span className="grow" />
        <Button size="compact-sm" variant="default" onClick={() => open('/traces', { q: filter })}>
          {t('nav.traces')}
        </Button>
        <Button size="compact-sm" variant="default" onClick={() => open('/logs', { q: filter })}>
          {t('nav.logs')}
        </Button>
        <ShareMenu
          more={[{ label: t('share.sql'), text: () => OPERATIONS.replace('$1', `'${name.replace(/'/g, "''")}'`) }]}
        />
      </div>
      <StateView asked={asked}>
        {() =>
          found ? (
            <>
              <div className="tiles">
                <Tile
                  label={t('chart.requests')}
                  value={perSecond(found.rate).replace('/s', '')}
                  unit="/s"
                  note={found.previous ? `${perSecond(found.previous.rate)} ${t('service.before')}` : undefined}
                >
                  <Spark
                    values={found.sparkline?.calls ?? []}
                    colour="var(--accent)"
                    label={t('services.sparkCalls')}
                  />
                </Tile>
                <Tile
                  label={t('chart.errorRatio')}
                  value={percent(found.error_ratio)}
                  tone={healthOf(found) === 'crit' ? 'crit' : undefined}
                  note={found.previous ? `${percent(found.previous.error_ratio)} ${t('service.before')}` : undefined}
                >
                  <Spark
                    values={found.sparkline?.errors ?? []}
                    colour={STATUS[scheme].crit}
                    label={t('chart.errorRatio')}
                  />
                </Tile>
                <Tile
                  label={t('chart.p95')}
                  value={duration(found.p95_ms)}
                  note={
                    <>
                      <Change now={found.p95_ms} before={found.previous?.p95_ms} /> {t('service.against')}
                    </>
                  }
                >
                  <Spark
                    values={found.sparkline?.p95_ms ?? []}
                    colour={STATUS[scheme].warn}
                    label={t('services.sparkP95')}
                  />
                </Tile>
                <Tile
                  label={t('column.logErrors')}
                  value={num(found.log_errors)}
                  note={
                    <To path="/logs" search={{ q: `${filter} level>=error` }} className="link">
                      {t('service.showLogs')}
                    </To>
                  }
                />
              </div>
              <Charts service={found} />
            </>
          ) : (
            <Empty title={t('service.quiet', { name })}>
              <p>{t('service.quietHint')}</p>
            </Empty>
          )
        }
      </StateView>
      <Operations service={name} />
    </div>
  );
}
