import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { useSlots } from '../api/queries';
import type { IncidentDetail as Detail } from '../api/reliability';
import { useIncident } from '../api/reliability-queries';
import { To, useOpen, useUrl } from '../app/navigation';
import { AlertTable } from '../components/AlertTable';
import { windowOf } from '../components/CauseBanner';
import { FoundCause, Impact } from '../components/CauseView';
import { Confidence } from '../components/confidence';
import { curl, ShareMenu } from '../components/copy';
import { ServiceChip } from '../components/marks';
import { NoCause } from '../components/NoCause';
import { NoteForm } from '../components/NoteForm';
import { Panel } from '../components/Panel';
import { Empty, StateView } from '../components/StateView';
import { Timeline } from '../components/Timeline';
import { useNow } from '../components/useNow';
import { indicatorText, severityKey, textOf, useLength } from '../components/words';
import { STATUS_GLYPH } from '../design/tokens';
import { useI18n } from '../i18n';
import { incidentStatus } from '../state/cause';

/** The report is what an incident opens with; where there is none yet, why. */
function Report({ incident }: { incident: Detail }) {
  const i18n = useI18n();
  const { t } = i18n;
  const open = useOpen();
  const [search, patch] = useUrl();
  const { report, cause } = incident;
  const again = (
    <Button
      size="compact-xs"
      variant="default"
      onClick={() => open('/causes/new', { service: incident.service, ...windowOf(incident, Date.now()) })}
    >
      {t('cause.askAgain')}
    </Button>
  );
  if (!report) {
    return (
      <Panel title={t('cause.title')} className="report">
        {cause.state === 'running' ? (
          <Empty title={t('cause.running')}>
            <p>{t('cause.runningHint')}</p>
            <span className="working" aria-hidden="true" />
          </Empty>
        ) : (
          <Empty title={t(cause.state === 'failed' ? 'cause.failedToRun' : 'cause.noReport')}>{again}</Empty>
        )}
      </Panel>
    );
  }
  const top = report.candidates[0];
  const found = report.outcome === 'found' && top;
  return (
    <Panel
      className="report"
      title={found ? t('cause.likelyTitle') : t('cause.title')}
      sub={
        found ? (
          <>
            <b className="ink">{top.service}</b> · {indicatorText(i18n, top.indicator)}
          </>
        ) : undefined
      }
      actions={
        <>
          {found ? <Confidence value={report.confidence} named /> : null}
          <To path={`/causes/${encodeURIComponent(report.id)}`} className="link pad">
            {t('cause.wholeReport')}
          </To>
        </>
      }
    >
      {found ? (
        <>
          <Impact cause={report} />
          <FoundCause
            cause={report}
            selected={Number(search.sel ?? 1)}
            onSelect={(rank) => patch({ sel: rank === 1 ? undefined : String(rank) })}
          />
        </>
      ) : (
        <NoCause cause={report} />
      )}
    </Panel>
  );
}

function Body({ incident }: { incident: Detail }) {
  const { t, num } = useI18n();
  return (
    <div className="incident">
      <Report incident={incident} />
      <div className="stack">
        <Panel title={t('incident.timeline')} sub={num(incident.timeline.length)}>
          <Timeline events={incident.timeline} />
          <NoteForm incident={incident.id} />
        </Panel>
        <Panel title={t('incident.alerts')} sub={num(incident.alert_count)}>
          {incident.alerts.length ? <AlertTable alerts={incident.alerts} named /> : <Empty title={t('slo.noAlerts')} />}
        </Panel>
      </div>
    </div>
  );
}

export function IncidentDetail() {
  const { id = '' } = useParams({ strict: false }) as { id?: string };
  const i18n = useI18n();
  const { t, dateTime } = i18n;
  const queries = useQueryClient();
  const length = useLength();
  const slotOf = useSlots();
  const now = useNow();
  const asked = useIncident(id);
  const incident = asked.data;
  const status = incident ? incidentStatus(incident) : 'unknown';
  return (
    <div className="screen">
      <div className="crumb">
        <To path="/incidents" className="link">
          {t('nav.incidents')}
        </To>
        <span className="faint">/</span>
        <h1>{incident ? textOf(i18n, incident.title) : id}</h1>
        {incident ? (
          <>
            <span className="status" data-status={status}>
              <b aria-hidden="true">{STATUS_GLYPH[status]}</b>{' '}
              {t(incident.state === 'open' ? 'incident.open' : 'incident.resolved')}
            </span>
            <span className="faint">{t(severityKey(incident.severity))}</span>
          </>
        ) : null}
        <span className="grow" />
        <ShareMenu
          more={[
            { label: t('share.curl'), text: () => curl(`/api/incidents/${encodeURIComponent(id)}`, {}) },
            ...(incident?.report
              ? [{ label: t('share.markdown'), text: () => textOf(i18n, incident.report?.report) }]
              : []),
          ]}
        />
      </div>
      {incident ? (
        <p className="incident-facts">
          <span className="num">{t('incident.startedAt', { time: dateTime(incident.started_at) })}</span>
          <span className="num">
            {t(incident.state === 'open' ? 'incident.for' : 'incident.lasted', {
              length: length(incident.started_at, incident.resolved_at, now),
            })}
          </span>
          {incident.services.map((name) => (
            <To
              key={name}
              path={`/services/${encodeURIComponent(name)}`}
              search={windowOf(incident, now)}
              className="cell-link"
            >
              <ServiceChip name={name} slot={name === incident.service ? incident.slot : slotOf(name)} />
            </To>
          ))}
        </p>
      ) : null}
      <StateView asked={asked} onCancel={() => void queries.cancelQueries({ queryKey: ['incident', id] })}>
        {(data) => <Body incident={data} />}
      </StateView>
    </div>
  );
}
