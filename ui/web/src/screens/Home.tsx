import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import { getJson } from '../api/client';
import { useLogHistogram, useServices, useSlots, useStatus } from '../api/queries';
import type { ServerStatus, TracesAnswer } from '../api/types';
import { To, useOpen } from '../app/navigation';
import { useWindow } from '../app/window';
import { ShareMenu } from '../components/copy';
import { Histogram } from '../components/Histogram';
import { Dot, StatusMark, useScheme } from '../components/marks';
import { Panel, Tile } from '../components/Panel';
import { Spark } from '../components/Spark';
import { Empty, StateView } from '../components/StateView';
import { STATUS, type Status } from '../design/tokens';
import { useI18n } from '../i18n';
import { byNeed, healthOf } from '../state/health';
import { Change } from './Services';

const MOST_SERVICES = 12;
const MOST_TRACES = 8;

const isEmpty = ({ storage, ingest }: ServerStatus): boolean =>
  storage.tables.every((table) => table.segment_rows + table.memtable_rows === 0) &&
  Object.values(ingest).every((counts) => counts.accepted === 0);

function NeedingAttention() {
  const { t, num, percent, duration, perSecond } = useI18n();
  const asked = useServices();
  const scheme = useScheme();
  return (
    <Panel
      title={t('home.services')}
      sub={t('home.worstFirst')}
      actions={
        <To path="/services" className="link pad">
          {t('home.all')}
        </To>
      }
    >
      <StateView asked={asked} isEmpty={(data) => !data.services.length} empty={<Empty title={t('services.none')} />}>
        {({ services }) => {
          const sorted = [...services].sort(byNeed);
          return (
            <>
              <table className="plain-rows">
                <thead>
                  <tr>
                    <th scope="col">{t('column.service')}</th>
                    <th scope="col">{t('column.rate')}</th>
                    <th scope="col">{t('column.errors')}</th>
                    <th scope="col">p95</th>
                    <th scope="col">{t('column.change')}</th>
                    <th scope="col" className="wide">
                      {t('column.shape')}
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {sorted.slice(0, MOST_SERVICES).map((service) => {
                    const health = healthOf(service);
                    return (
                      <tr key={service.name}>
                        <td>
                          <StatusMark status={health} />{' '}
                          <To path={`/services/${encodeURIComponent(service.name)}`} className="chip cell-link strong">
                            <Dot slot={service.slot} />
                            <span>{service.name}</span>
                          </To>
                        </td>
                        <td className="num">{perSecond(service.rate)}</td>
                        <td className="num">
                          <span
                            className={
                              health === 'crit'
                                ? 'crit-text'
                                : health === 'warn' && service.errors > 1
                                  ? 'warn-text'
                                  : 'faint'
                            }
                          >
                            {percent(service.error_ratio)}
                          </span>
                        </td>
                        <td className="num">{duration(service.p95_ms)}</td>
                        <td className="num">
                          <Change now={service.p95_ms} before={service.previous?.p95_ms} />
                        </td>
                        <td className="wide">
                          {service.sparkline ? (
                            <Spark
                              values={
                                health === 'ok' || health === 'unknown'
                                  ? service.sparkline.calls
                                  : service.sparkline.errors
                              }
                              colour={health === 'ok' || health === 'unknown' ? 'var(--ink3)' : STATUS[scheme][health]}
                              height={18}
                              width={110}
                              label={t(health === 'ok' ? 'services.sparkCalls' : 'chart.errorRatio')}
                            />
                          ) : null}
                        </td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
              {sorted.length > MOST_SERVICES ? (
                <p className="hint pad">
                  <To path="/services" className="link">
                    {t('more', { n: num(sorted.length - MOST_SERVICES) })}
                  </To>
                </p>
              ) : null}
            </>
          );
        }}
      </StateView>
    </Panel>
  );
}

function FailedTraces() {
  const { t, duration, clock } = useI18n();
  const { window } = useWindow();
  const slotOf = useSlots();
  const asked = useQuery({
    queryKey: ['home-traces', window.from, window.to],
    queryFn: ({ signal }) =>
      getJson<TracesAnswer>(
        '/api/traces',
        { from: window.from, to: window.to, status: 'error', limit: MOST_TRACES },
        signal,
      ),
  });
  return (
    <Panel
      title={t('home.failedTraces')}
      actions={
        <To path="/traces" search={{ status: 'error' }} className="link pad">
          {t('home.all')}
        </To>
      }
    >
      <StateView asked={asked} isEmpty={(data) => !data.traces.length} empty={<Empty title={t('home.noFailures')} />}>
        {({ traces }) => (
          <ul className="rows">
            {traces.map((trace) => (
              <li key={trace.trace_id}>
                <span className="num faint">{clock(trace.start_time)}</span>
                <To
                  path={`/traces/${trace.trace_id}`}
                  search={{ sel: trace.matched?.span_id }}
                  className="chip cell-link"
                >
                  {trace.root_service ? <Dot slot={slotOf(trace.root_service)} /> : null}
                  <span>
                    <b>{trace.root_service || t('trace.noRoot')}</b>{' '}
                    <span className="ink2">{trace.root_name || trace.trace_id.slice(0, 8)}</span>
                  </span>
                </To>
                <span className="grow" />
                <span className="crit-text num">✕ {trace.error_count}</span>
                <span className="num end">{duration(trace.duration_ms)}</span>
              </li>
            ))}
          </ul>
        )}
      </StateView>
    </Panel>
  );
}

function Summary({ status }: { status: ServerStatus }) {
  const { t, num, compact, bytes } = useI18n();
  const services = useServices();
  const counted = useMemo(() => {
    const counts: Record<Status, number> = { ok: 0, warn: 0, crit: 0, unknown: 0 };
    for (const service of services.data?.services ?? []) counts[healthOf(service)] += 1;
    return counts;
  }, [services.data]);
  const accepted = Object.values(status.ingest).reduce((sum, each) => sum + each.accepted, 0);
  const rejected = Object.values(status.ingest).reduce((sum, each) => sum + each.rejected, 0);
  const rows = status.storage.tables.reduce((sum, table) => sum + table.segment_rows + table.memtable_rows, 0);
  const disk =
    status.storage.disk_used_bytes ?? status.storage.tables.reduce((sum, table) => sum + table.segment_bytes, 0);
  const unwell = counted.crit + counted.warn;
  return (
    <div className="tiles">
      <Tile
        label={t('home.unwell')}
        value={services.data ? num(unwell) : '…'}
        unit={services.data ? t('home.ofServices', { n: num(services.data.services.length) }) : ''}
        tone={counted.crit ? 'crit' : undefined}
        note={(['crit', 'warn', 'ok', 'unknown'] as const)
          .filter((each) => counted[each])
          .map((each) => (
            <span key={each} className="tally">
              <StatusMark status={each} /> {num(counted[each])}
            </span>
          ))}
      />
      <Tile label={t('home.accepted')} value={compact(accepted)} note={t('home.sinceStart')} />
      <Tile
        label={t('home.rejected')}
        value={num(rejected)}
        tone={rejected ? 'warn' : undefined}
        note={
          <To path="/ingest" className="link">
            {t('nav.ingest')}
          </To>
        }
      />
      <Tile label={t('home.stored')} value={compact(rows)} unit={t('home.rows')} note={bytes(disk)} />
    </div>
  );
}

export function Home() {
  const { t, num } = useI18n();
  const open = useOpen();
  const status = useStatus();
  const { setWindow } = useWindow();
  const histogram = useLogHistogram('', 90);
  const empty = status.data ? isEmpty(status.data) : false;
  useEffect(() => {
    if (empty) open('/start');
  }, [empty, open]);
  return (
    <div className="screen">
      <div className="crumb">
        <h1>{t('home.title')}</h1>
        <span className="grow" />
        <ShareMenu />
      </div>
      <StateView asked={status}>{(data) => <Summary status={data} />}</StateView>
      <Panel
        title={t('logs.volume')}
        sub={histogram.data ? t('logs.total', { n: num(histogram.data.total) }) : undefined}
        actions={
          <To path="/logs" className="link pad">
            {t('nav.logs')}
          </To>
        }
      >
        <div className="hist-place">
          <StateView asked={histogram}>{(answer) => <Histogram answer={answer} onZoom={setWindow} />}</StateView>
        </div>
      </Panel>
      <div className="grid wide-left">
        <NeedingAttention />
        <FailedTraces />
      </div>
    </div>
  );
}
