import { useQuery } from '@tanstack/react-query';
import { getJson } from '../api/client';
import { useServices, useSlots } from '../api/queries';
import type { TracesAnswer } from '../api/types';
import { To } from '../app/navigation';
import { useWindow } from '../app/window';
import { Change } from '../components/Change';
import { Dot, StatusMark, useScheme } from '../components/marks';
import { Panel } from '../components/Panel';
import { Spark } from '../components/Spark';
import { Empty, StateView } from '../components/StateView';
import { STATUS } from '../design/tokens';
import { useI18n } from '../i18n';
import { byNeed, healthOf } from '../state/health';

const MOST_SERVICES = 10;
const MOST_TRACES = 8;

/** Services that need attention first. */
export function NeedingAttention() {
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

/** The newest traces that failed. */
export function FailedTraces() {
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
