import { useQueryClient } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { useMemo } from 'react';
import type { SloDetail as Detail } from '../api/reliability';
import { useSlo } from '../api/reliability-queries';
import { To } from '../app/navigation';
import { AlertTable } from '../components/AlertTable';
import { BurnTable, SloMark } from '../components/Budget';
import { CopyButton, curl, ShareMenu } from '../components/copy';
import { ServiceChip, useScheme } from '../components/marks';
import { Panel, Tile } from '../components/Panel';
import { Empty, StateView } from '../components/StateView';
import { TimeSeries } from '../components/TimeSeries';
import { headline, promise, span } from '../components/words';
import { slotColour } from '../design/tokens';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { badEvents, burnNow, sloStatus, stateOf } from '../state/burn';
import { term } from '../state/filter';

const FULL = { min: 0, max: 1.04 };

function BudgetChart({ slo }: { slo: Detail }) {
  const { t, percent } = useI18n();
  const scheme = useScheme();
  const made = useMemo(
    () => ({
      times: slo.history.map((point) => epochMs(point.timestamp)),
      lines: [
        {
          name: t('slo.budgetLeft'),
          colour: slotColour(scheme, slo.slot),
          values: slo.history.map((point) => point.budget_left_ratio),
        },
      ],
      bands: slo.alerts.map((alert) => ({
        from: epochMs(alert.started_at),
        to: alert.resolved_at ? epochMs(alert.resolved_at) : epochMs(slo.evaluated_at),
        tone: alert.severity === 'page' ? ('crit' as const) : ('warn' as const),
      })),
    }),
    [slo, scheme, t],
  );
  if (slo.history.length < 2) return <Empty title={t('slo.noHistory')} />;
  return (
    <TimeSeries
      label={t('slo.budgetOver', { left: percent(slo.budget_left_ratio) })}
      times={made.times}
      lines={made.lines}
      bands={made.bands}
      range={FULL}
      format={percent}
      level={0}
      height={180}
    />
  );
}

function Spend({ slo }: { slo: Detail }) {
  const { t, percent } = useI18n();
  if (!slo.spend.length) return <Empty title={t('slo.noSpend')} />;
  const most = Math.max(...slo.spend.map((each) => each.share), 0.001);
  return (
    <table className="plain-rows spend">
      <thead>
        <tr>
          <th scope="col">{t('slo.spentOn')}</th>
          <th scope="col" className="words">
            {t('slo.share')}
          </th>
        </tr>
      </thead>
      <tbody>
        {[...slo.spend]
          .sort((a, b) => b.share - a.share)
          .map((each) => (
            <tr key={`${each.cause} ${each.incident_id}`}>
              <td>
                {each.incident_id ? (
                  <To path={`/incidents/${encodeURIComponent(each.incident_id)}`} className="link">
                    {each.cause ?? t('slo.unnamed')}
                  </To>
                ) : (
                  <span className="ink2">{each.cause ?? t('slo.noIncident')}</span>
                )}
              </td>
              <td className="words">
                <span className="meter">
                  <i
                    style={{ width: `${(each.share / most) * 100}%` }}
                    data-crit={each.incident_id ? true : undefined}
                  />
                  <span className="num">{percent(each.share)}</span>
                </span>
              </td>
            </tr>
          ))}
      </tbody>
    </table>
  );
}

function Tiles({ slo }: { slo: Detail }) {
  const i18n = useI18n();
  const { t, num, percent, nines, duration, dateTime } = i18n;
  const status = sloStatus(slo);
  const state = stateOf(slo);
  const { allowed, bad } = badEvents(slo);
  const left = slo.budget_left_ratio;
  const rate = burnNow(slo);
  const until = slo.exhausted_at ? epochMs(slo.exhausted_at) - Date.now() : null;
  return (
    <div className="tiles">
      <Tile
        label={t('slo.budgetLeft')}
        value={left === null ? '–' : left < 0 ? `−${percent(-left)}` : percent(left)}
        unit={span(i18n, slo.window_seconds)}
        tone={left !== null && left <= 0 ? 'crit' : left !== null && left < 0.25 ? 'warn' : undefined}
        note={slo.total ? t('slo.badOf', { bad: num(bad), allowed: num(allowed) }) : t('slo.nothingCounted')}
      />
      <Tile
        label={t('slo.sli')}
        value={nines(slo.sli)}
        tone={slo.sli !== null && slo.sli < slo.target_ratio ? 'crit' : undefined}
        note={t('slo.targetIs', { target: nines(slo.target_ratio) })}
      />
      <Tile
        label={t('slo.burn')}
        value={rate === null ? '–' : `×${num(rate, 1)}`}
        tone={state === 'ok' || status === 'unknown' ? undefined : status === 'crit' ? 'crit' : 'warn'}
        note={t('slo.burnNote')}
      />
      <Tile
        label={t('slo.exhaustion')}
        value={
          state === 'exhausted'
            ? t('slo.now')
            : until === null
              ? t('slo.never')
              : t('slo.in', { length: duration(Math.max(0, Math.round(until / 60_000) * 60_000)) })
        }
        tone={state === 'exhausted' ? 'crit' : until !== null && until < 86_400_000 ? 'warn' : undefined}
        note={
          state === 'exhausted'
            ? t('slo.alreadySpent')
            : slo.exhausted_at
              ? dateTime(slo.exhausted_at)
              : t('slo.atThisSpeed')
        }
      />
    </div>
  );
}

function Body({ slo }: { slo: Detail }) {
  const i18n = useI18n();
  const { t } = i18n;
  const status = sloStatus(slo);
  return (
    <>
      <div className="banner" data-tone={status}>
        <SloMark slo={slo} named />
        <div className="banner-text">
          <p className="banner-cause">{headline(i18n, slo)}</p>
          <p className="banner-sub">
            <span className="ink2">{promise(i18n, slo)}</span>
          </p>
        </div>
        {slo.incident_id ? (
          <To path={`/incidents/${encodeURIComponent(slo.incident_id)}`} className="link pad">
            {t('slo.openIncident')}
          </To>
        ) : null}
      </div>
      <Tiles slo={slo} />
      <div className="grid wide-left">
        <Panel title={t('slo.budgetLeft')} sub={span(i18n, slo.window_seconds)}>
          <BudgetChart slo={slo} />
        </Panel>
        <Panel title={t('slo.spend')} sub={t('slo.spendHint')}>
          <Spend slo={slo} />
        </Panel>
      </div>
      <Panel title={t('burn.title')} sub={t('burn.hint')}>
        <BurnTable slo={slo} />
      </Panel>
      <div className="grid wide-left">
        <Panel title={t('slo.alerts')}>
          {slo.alerts.length ? <AlertTable alerts={slo.alerts} /> : <Empty title={t('slo.noAlerts')} />}
        </Panel>
        <Panel
          title={t('slo.definition')}
          sub={<span className="mono">{slo.source}</span>}
          actions={<CopyButton text={slo.definition} label={t('action.copy')} />}
        >
          <pre className="definition" tabIndex={0}>
            {slo.definition}
          </pre>
        </Panel>
      </div>
    </>
  );
}

export function SloDetail() {
  const { id = '' } = useParams({ strict: false }) as { id?: string };
  const { t } = useI18n();
  const queries = useQueryClient();
  const asked = useSlo(id);
  const slo = asked.data;
  return (
    <div className="screen">
      <div className="crumb">
        <To path="/slos" className="link">
          {t('nav.slos')}
        </To>
        <span className="faint">/</span>
        <h1>{slo?.display_name || id}</h1>
        {slo ? (
          <To path={`/services/${encodeURIComponent(slo.service)}`} className="cell-link">
            <ServiceChip name={slo.service} slot={slo.slot} />
          </To>
        ) : null}
        <span className="grow" />
        {slo ? (
          <To
            path="/traces"
            search={{
              q: slo.operation
                ? `${term('service', slo.service)} ${term('name', slo.operation)}`
                : term('service', slo.service),
              ...(slo.indicator.kind === 'latency'
                ? { min: `${slo.indicator.threshold_ms ?? 0}ms` }
                : { status: 'error' }),
            }}
            className="link pad"
          >
            {t('slo.badRequests')}
          </To>
        ) : null}
        <ShareMenu more={[{ label: t('share.curl'), text: () => curl(`/api/slos/${encodeURIComponent(id)}`, {}) }]} />
      </div>
      <StateView asked={asked} onCancel={() => void queries.cancelQueries({ queryKey: ['slo', id] })}>
        {(data) => <Body slo={data} />}
      </StateView>
    </div>
  );
}
