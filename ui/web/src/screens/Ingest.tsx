import type { ServerStatus } from '../api/types';
import { curl, ShareMenu } from '../components/copy';
import { DataTable } from '../components/DataTable';
import { Panel, Tile } from '../components/Panel';
import { Spark } from '../components/Spark';
import { StateView } from '../components/StateView';
import { type Key, useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { NOTHING, rates, type Sample, SIGNALS, type Signal } from '../state/arrival';
import { cellText } from '../state/table';
import { useArrival } from './useArrival';

export const SIGNAL_NAME: Record<Signal, Key> = {
  logs: 'signal.logs',
  spans: 'signal.spans',
  metrics: 'signal.metrics',
};

function Signals({ status, samples }: { status: ServerStatus; samples: readonly Sample[] }) {
  const { t, num, perSecond } = useI18n();
  return (
    <div className="tiles three">
      {SIGNALS.map((signal) => {
        const counts = status.ingest[signal] ?? NOTHING;
        const series = rates(samples, signal);
        return (
          <Tile
            key={signal}
            label={t(SIGNAL_NAME[signal])}
            value={series.length ? perSecond(series.at(-1)).replace('/s', '') : '…'}
            unit="/s"
            note={
              <>
                {t('ingest.accepted', { n: num(counts.accepted) })}
                {counts.rejected ? (
                  <span className="crit-text"> ✕ {t('ingest.rejected', { n: num(counts.rejected) })}</span>
                ) : (
                  <span>{t('ingest.rejected', { n: 0 })}</span>
                )}
                {counts.duplicate ? <span>{t('ingest.duplicate', { n: num(counts.duplicate) })}</span> : null}
              </>
            }
          >
            <Spark values={series} colour="var(--accent)" width={150} height={34} label={t('ingest.rate')} />
          </Tile>
        );
      })}
    </div>
  );
}

function Facts({ facts }: { facts: readonly (readonly [string, string])[] }) {
  return (
    <dl className="facts-list">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd className="num">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Ingest() {
  const { t, num, bytes, duration, dateTime, ago } = useI18n();
  const { asked, samples } = useArrival();
  const now = samples.at(-1)?.at ?? Date.now();
  const limits = Object.entries(asked.data?.limits ?? {}).map(([name, value]): [string, string] => {
    if (typeof value !== 'number') return [name, cellText(value)];
    if (name.endsWith('_bytes')) return [name.replace(/_bytes$/, ''), bytes(value)];
    if (name.endsWith('_ms')) return [name.replace(/_ms$/, ''), duration(value)];
    return [name, num(value)];
  });
  return (
    <div className="screen">
      <div className="crumb">
        <h1>{t('nav.ingest')}</h1>
        {asked.data ? (
          <span className="status" data-status={asked.data.ready ? 'ok' : 'warn'}>
            <b aria-hidden="true">{asked.data.ready ? '●' : '▲'}</b>{' '}
            {t(asked.data.ready ? 'ingest.ready' : 'ingest.notReady')}
          </span>
        ) : null}
        <span className="grow" />
        <ShareMenu more={[{ label: t('share.curl'), text: () => curl('/api/status', {}) }]} />
      </div>
      <StateView asked={asked}>
        {(status) => {
          const { storage, memory, listeners } = status;
          const used =
            storage.disk_used_bytes ??
            storage.tables.reduce((sum, table) => sum + table.segment_bytes, 0) + storage.wal_bytes;
          return (
            <>
              <Signals status={status} samples={samples} />
              <div className="grid two">
                <Panel title={t('ingest.receivers')}>
                  <Facts
                    facts={[
                      ['OTLP/gRPC', listeners.otlp_grpc ?? t('ingest.off')],
                      ['OTLP/HTTP', listeners.otlp_http ?? t('ingest.off')],
                      ['HTTP', listeners.http ?? t('ingest.off')],
                    ]}
                  />
                </Panel>
                <Panel
                  title={t('ingest.server')}
                  sub={`${status.version}${status.commit ? ` · ${status.commit.slice(0, 8)}` : ''}`}
                >
                  <Facts
                    facts={[
                      [t('ingest.uptime'), duration(status.uptime_seconds * 1000)],
                      [t('ingest.memory'), `${bytes(memory.rss_bytes)} / ${bytes(memory.budget_bytes)}`],
                      [t('ingest.wal'), bytes(storage.wal_bytes)],
                      [
                        t('ingest.disk'),
                        t('ingest.diskText', { used: bytes(used), free: bytes(storage.disk_free_bytes) }),
                      ],
                    ]}
                  />
                </Panel>
              </div>
              <Panel title={t('ingest.tables')} className="tall">
                <DataTable
                  label={t('ingest.tables')}
                  rows={storage.tables}
                  rowKey={(table) => table.name}
                  columns={[
                    {
                      key: 'name',
                      title: t('column.table'),
                      width: 'minmax(150px, 1fr)',
                      cell: (table) => <b>{table.name}</b>,
                    },
                    {
                      key: 'rows',
                      title: t('column.rows'),
                      width: '120px',
                      end: true,
                      cell: (table) => num(table.segment_rows + table.memtable_rows),
                    },
                    {
                      key: 'mem',
                      title: t('ingest.inMemory'),
                      width: '120px',
                      end: true,
                      cell: (table) => num(table.memtable_rows),
                    },
                    {
                      key: 'segments',
                      title: t('ingest.segments'),
                      width: '90px',
                      end: true,
                      cell: (table) => num(table.segments),
                    },
                    {
                      key: 'bytes',
                      title: t('ingest.onDisk'),
                      width: '110px',
                      end: true,
                      cell: (table) => bytes(table.segment_bytes),
                    },
                    {
                      key: 'per',
                      title: t('ingest.perRow'),
                      width: '110px',
                      end: true,
                      cell: (table) =>
                        table.segment_rows ? (
                          bytes(table.segment_bytes / table.segment_rows)
                        ) : (
                          <span className="faint">–</span>
                        ),
                    },
                    {
                      key: 'oldest',
                      title: t('ingest.oldest'),
                      width: '150px',
                      end: true,
                      cell: (table) =>
                        table.oldest ? (
                          <span title={table.oldest}>{dateTime(table.oldest)}</span>
                        ) : (
                          <span className="faint">–</span>
                        ),
                    },
                    {
                      key: 'newest',
                      title: t('ingest.newest'),
                      width: '150px',
                      end: true,
                      cell: (table) =>
                        table.newest ? (
                          <span title={table.newest}>{ago(Math.min(epochMs(table.newest), now), now)}</span>
                        ) : (
                          <span className="faint">–</span>
                        ),
                    },
                  ]}
                />
              </Panel>
              {limits.length ? (
                <Panel title={t('ingest.limits')}>
                  <Facts facts={limits} />
                </Panel>
              ) : null}
            </>
          );
        }}
      </StateView>
    </div>
  );
}
