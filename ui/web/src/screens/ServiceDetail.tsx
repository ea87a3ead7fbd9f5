import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { ApiError } from '../api/client';
import type { ServiceAnswer } from '../api/reliability';
import { useService } from '../api/reliability-queries';
import { To, useOpen } from '../app/navigation';
import { useWindow } from '../app/window';
import { BudgetBar, SloMark } from '../components/Budget';
import { CauseBanner } from '../components/CauseBanner';
import { Change } from '../components/Change';
import { ChangeList } from '../components/ChangeList';
import { curl, ShareMenu } from '../components/copy';
import { Dot, StatusMark, useScheme } from '../components/marks';
import { Panel, Tile } from '../components/Panel';
import { Spark } from '../components/Spark';
import { Empty, StateView } from '../components/StateView';
import { useNow } from '../components/useNow';
import { promise } from '../components/words';
import { STATUS } from '../design/tokens';
import { useI18n } from '../i18n';
import { byBudget } from '../state/burn';
import { byUrgency } from '../state/cause';
import { atLeast, term } from '../state/filter';
import { healthOf } from '../state/health';
import { ServiceCalls } from './ServiceCalls';
import { ServiceCharts } from './ServiceCharts';
import { ServiceOperations } from './ServiceOperations';
import { ServicePatterns } from './ServicePatterns';

/** The operations table as SQL, for the editor. */
const OPERATIONS_SQL = `SELECT name, kind, sum(calls) AS calls,
  sum(CASE WHEN status_code = 'error' THEN calls ELSE 0 END) AS errors,
  sum(duration_sum_nano) / sum(calls) / 1e6 AS mean_ms,
  max(max_duration_nano) / 1e6 AS max_ms
FROM span_metrics WHERE service_name = $1
GROUP BY name, kind ORDER BY calls DESC`;
const MOST_BANNERS = 2;
const MOST_CHANGES = 6;

/** The numbers of the window, each a link to what it counts. */
function Tiles({ answer }: { answer: ServiceAnswer }) {
  const { t, perSecond, percent, duration, num } = useI18n();
  const scheme = useScheme();
  const { service, series, slos } = answer;
  const filter = term('service', service.name);
  const slo = [...slos].sort(byBudget)[0];
  const health = healthOf(service);
  return (
    <div className="tiles">
      <Tile
        label={t('chart.requests')}
        value={
          <To path="/traces" search={{ q: filter }} className="cell-link">
            {perSecond(service.rate).replace('/s', '')}
          </To>
        }
        unit="/s"
        note={service.previous ? `${perSecond(service.previous.rate)} ${t('service.before')}` : undefined}
      >
        <Spark values={series.calls} colour="var(--accent)" label={t('services.sparkCalls')} />
      </Tile>
      <Tile
        label={t('chart.errorRatio')}
        value={
          <To path="/traces" search={{ q: filter, status: 'error' }} className="cell-link">
            {percent(service.error_ratio)}
          </To>
        }
        tone={health === 'crit' ? 'crit' : undefined}
        note={service.previous ? `${percent(service.previous.error_ratio)} ${t('service.before')}` : undefined}
      >
        <Spark values={series.errors} colour={STATUS[scheme].crit} label={t('chart.errorRatio')} />
      </Tile>
      <Tile
        label={t('chart.p95')}
        value={
          service.p95_ms === null ? (
            '–'
          ) : (
            <To path="/traces" search={{ q: filter, min: atLeast(service.p95_ms) }} className="cell-link">
              {duration(service.p95_ms)}
            </To>
          )
        }
        note={
          <span>
            <Change now={service.p95_ms} before={service.previous?.p95_ms} /> {t('service.against')}
          </span>
        }
      >
        <Spark values={series.p95_ms} colour={STATUS[scheme].warn} label={t('services.sparkP95')} />
      </Tile>
      {slo ? (
        <Tile
          label={t('slo.budgetLeft')}
          value={
            <To path={`/slos/${encodeURIComponent(slo.id)}`} className="cell-link">
              {slo.budget_left_ratio === null
                ? '–'
                : slo.budget_left_ratio < 0
                  ? `−${percent(-slo.budget_left_ratio)}`
                  : percent(slo.budget_left_ratio)}
            </To>
          }
          tone={slo.budget_left_ratio !== null && slo.budget_left_ratio <= 0 ? 'crit' : undefined}
          note={<SloMark slo={slo} />}
        />
      ) : (
        <Tile
          label={t('column.logErrors')}
          value={
            <To path="/logs" search={{ q: `${filter} level>=error` }} className="cell-link">
              {num(service.log_errors)}
            </To>
          }
          note={t('slo.noneHere')}
        />
      )}
    </div>
  );
}

function Objectives({ answer }: { answer: ServiceAnswer }) {
  const i18n = useI18n();
  const { t } = i18n;
  if (!answer.slos.length) {
    return (
      <Empty title={t('slo.noneHere')}>
        <To path="/slos" className="link">
          {t('nav.slos')}
        </To>
      </Empty>
    );
  }
  return (
    <ul className="rows slo-rows">
      {[...answer.slos].sort(byBudget).map((slo) => (
        <li key={slo.id}>
          <SloMark slo={slo} />
          <To path={`/slos/${encodeURIComponent(slo.id)}`} className="cell-link slo-name" title={promise(i18n, slo)}>
            <b>{slo.display_name || slo.id}</b> <span className="faint">{promise(i18n, slo)}</span>
          </To>
          <span className="grow" />
          <BudgetBar slo={slo} />
        </li>
      ))}
    </ul>
  );
}

function Versions({ answer }: { answer: ServiceAnswer }) {
  const { t, dateTime, compact } = useI18n();
  if (!answer.versions.length && !answer.changes.length) return <Empty title={t('service.noVersions')} />;
  return (
    <>
      {answer.versions.length ? (
        <table className="plain-rows">
          <thead>
            <tr>
              <th scope="col">{t('column.version')}</th>
              <th scope="col">{t('service.firstSeen')}</th>
              <th scope="col">{t('service.lastSeen')}</th>
              <th scope="col">{t('column.calls')}</th>
            </tr>
          </thead>
          <tbody>
            {answer.versions.map((each) => (
              <tr key={each.version}>
                <td className="mono">{each.version || '–'}</td>
                <td className="num faint">{dateTime(each.first_seen)}</td>
                <td className="num faint">{dateTime(each.last_seen)}</td>
                <td className="num">
                  <To
                    path="/traces"
                    search={{
                      q: `${term('service', answer.service.name)} ${term('resource.service.version', each.version)}`,
                    }}
                    className="cell-link"
                  >
                    {compact(each.calls)}
                  </To>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
      {answer.changes.length ? <ChangeList changes={answer.changes} most={MOST_CHANGES} own /> : null}
    </>
  );
}

function Body({ answer }: { answer: ServiceAnswer }) {
  const { t } = useI18n();
  const now = useNow();
  const open = [...answer.incidents].sort(byUrgency);
  return (
    <>
      {open.slice(0, MOST_BANNERS).map((incident) => (
        <CauseBanner key={incident.id} incident={incident} now={now} />
      ))}
      <Tiles answer={answer} />
      <ServiceCharts answer={answer} />
      <ServiceOperations answer={answer} />
      <ServiceCalls answer={answer} />
      <div className="grid wide-left">
        <ServicePatterns answer={answer} />
        <div className="stack">
          <Panel title={t('nav.slos')}>
            <Objectives answer={answer} />
          </Panel>
          <Panel title={t('service.versions')}>
            <Versions answer={answer} />
          </Panel>
        </div>
      </div>
    </>
  );
}

const isUnknown = (error: unknown): boolean => error instanceof ApiError && error.status === 404;

export function ServiceDetail() {
  const { name = '' } = useParams({ strict: false }) as { name?: string };
  const { t } = useI18n();
  const { window } = useWindow();
  const open = useOpen();
  const queries = useQueryClient();
  const asked = useService(name);
  const found = asked.data?.service;
  const filter = term('service', name);
  const quiet = (
    <section className="panel">
      <Empty title={t('service.quiet', { name })}>
        <p>{t('service.quietHint')}</p>
      </Empty>
    </section>
  );
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
        <Button size="compact-sm" variant="default" onClick={() => open('/causes/new', { service: name })}>
          {t('cause.why')}
        </Button>
        <Button size="compact-sm" variant="default" onClick={() => open('/traces', { q: filter })}>
          {t('nav.traces')}
        </Button>
        <Button size="compact-sm" variant="default" onClick={() => open('/logs', { q: filter })}>
          {t('nav.logs')}
        </Button>
        <ShareMenu
          more={[
            { label: t('share.sql'), text: () => OPERATIONS_SQL.replace('$1', `'${name.replace(/'/g, "''")}'`) },
            {
              label: t('share.curl'),
              text: () => curl(`/api/services/${encodeURIComponent(name)}`, { from: window.from, to: window.to }),
            },
          ]}
        />
      </div>
      {isUnknown(asked.error) ? (
        quiet
      ) : (
        <StateView
          asked={asked}
          onCancel={() => void queries.cancelQueries({ queryKey: ['service', name] })}
          isEmpty={(data) => !data.service.calls && !data.patterns.length && !data.operations.length}
          empty={quiet}
        >
          {(answer) => <Body answer={answer} />}
        </StateView>
      )}
    </div>
  );
}
