import { SegmentedControl } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useMemo } from 'react';
import type { Incident } from '../api/reliability';
import { useIncidents } from '../api/reliability-queries';
import { To, useOpen, useUrl } from '../app/navigation';
import { CauseLine } from '../components/CauseBanner';
import { Confidence } from '../components/confidence';
import { curl, ShareMenu } from '../components/copy';
import { type Column, DataTable } from '../components/DataTable';
import { Dot, ServiceChip, StatusMark } from '../components/marks';
import { ResultLine } from '../components/ResultLine';
import { Empty, StateView } from '../components/StateView';
import { useNow } from '../components/useNow';
import { indicatorText, severityKey, textOf, useLength } from '../components/words';
import { useI18n } from '../i18n';
import { byUrgency, incidentStatus } from '../state/cause';
import { oneOf } from '../state/search';

const MOST = 500;
/** 40 rows and more are in view on a screen 1080 px high. */
const ROW_PX = 22;
const STATES = ['all', 'open', 'resolved'] as const;

function useColumns(): Column<Incident>[] {
  const i18n = useI18n();
  const length = useLength();
  const now = useNow();
  return useMemo(() => {
    const { t, num, dateTime } = i18n;
    return [
      {
        key: 'state',
        title: t('column.status'),
        width: '104px',
        cell: (incident) => (
          <span className="state-word" data-status={incidentStatus(incident)}>
            <StatusMark status={incidentStatus(incident)} />{' '}
            {t(incident.state === 'open' ? 'incident.open' : 'incident.resolved')}
          </span>
        ),
      },
      {
        key: 'started',
        title: t('incident.started'),
        width: '156px',
        cell: (incident) => <span className="num faint">{dateTime(incident.started_at)}</span>,
      },
      {
        key: 'length',
        title: t('incident.length'),
        width: '96px',
        end: true,
        cell: (incident) => <span className="num">{length(incident.started_at, incident.resolved_at, now)}</span>,
      },
      {
        key: 'title',
        title: t('incident.one'),
        width: 'minmax(200px, 1.5fr)',
        cell: (incident) => (
          <To path={`/incidents/${encodeURIComponent(incident.id)}`} className="chip cell-link strong" inRow>
            <Dot slot={incident.slot} />
            <span>{textOf(i18n, incident.title)}</span>
          </To>
        ),
      },
      {
        key: 'cause',
        title: t('cause.title'),
        width: 'minmax(200px, 1.5fr)',
        cell: (incident) =>
          incident.cause.state === 'found' && incident.cause.service && incident.cause.indicator ? (
            <To path={`/causes/${encodeURIComponent(incident.cause.report_id ?? '')}`} className="cell-link" inRow>
              <b>{incident.cause.service}</b>{' '}
              <span className="ink2">{indicatorText(i18n, incident.cause.indicator)}</span>
            </To>
          ) : (
            <CauseLine incident={incident} />
          ),
      },
      {
        key: 'confidence',
        title: t('cause.confidenceName'),
        width: '112px',
        cell: (incident) => <Confidence value={incident.cause.confidence} />,
      },
      {
        key: 'severity',
        title: t('alert.severity'),
        width: '78px',
        cell: (incident) => <span className="ink2">{t(severityKey(incident.severity))}</span>,
      },
      {
        key: 'alerts',
        title: t('incident.alerts'),
        width: '64px',
        end: true,
        cell: (incident) => num(incident.alert_count),
      },
      {
        key: 'services',
        title: t('nav.services'),
        width: 'minmax(120px, 1fr)',
        cell: (incident) => (
          <span className="chip-row">
            <ServiceChip name={incident.service} slot={incident.slot} />
            {incident.services.length > 1 ? <span className="faint">+{incident.services.length - 1}</span> : null}
          </span>
        ),
      },
    ];
  }, [i18n, length, now]);
}

export function Incidents() {
  const { t, num } = useI18n();
  const [search, patch] = useUrl();
  const open = useOpen();
  const queries = useQueryClient();
  const state = oneOf(search.view, STATES);
  const asked = useIncidents(state === 'all' ? undefined : state, MOST);
  const columns = useColumns();
  const rows = useMemo(() => [...(asked.data?.incidents ?? [])].sort(byUrgency), [asked.data]);
  const firing = rows.filter((incident) => incident.state === 'open').length;
  return (
    <div className="screen" data-fill="">
      <div className="crumb">
        <h1>{t('nav.incidents')}</h1>
        <span className="grow" />
        <To path="/causes" className="link pad">
          {t('cause.reports')}
        </To>
        <SegmentedControl
          size="xs"
          aria-label={t('column.status')}
          value={state}
          onChange={(next) => patch({ view: next === 'all' ? undefined : next })}
          data={STATES.map((value) => ({
            value,
            label: t(value === 'all' ? 'incident.all' : value === 'open' ? 'incident.open' : 'incident.resolved'),
          }))}
        />
        <ShareMenu more={[{ label: t('share.curl'), text: () => curl('/api/incidents', { limit: MOST }) }]} />
      </div>
      <section className="panel" data-fill="" aria-label={t('nav.incidents')}>
        <StateView
          asked={asked}
          onCancel={() => void queries.cancelQueries({ queryKey: ['incidents'] })}
          isEmpty={(data) => !data.incidents.length}
          empty={
            <Empty title={t(state === 'open' ? 'incident.noneOpen' : 'incident.none')}>
              <p>{t('incident.noneHint')}</p>
              <To path="/slos" className="link">
                {t('nav.slos')}
              </To>
            </Empty>
          }
        >
          {() => (
            <>
              <ResultLine
                stats={undefined}
                running={asked.isFetching}
                lead={t('incident.count', { n: num(rows.length), open: num(firing) })}
              >
                {rows.length >= MOST ? <span className="pad">{t('incident.newest', { n: num(MOST) })}</span> : null}
              </ResultLine>
              <DataTable
                label={t('nav.incidents')}
                columns={columns}
                rows={rows}
                rowKey={(incident) => incident.id}
                rowHeight={ROW_PX}
                onOpen={(incident) => open(`/incidents/${encodeURIComponent(incident.id)}`)}
                tone={(incident) => (incident.state === 'open' ? incidentStatus(incident) : undefined)}
              />
            </>
          )}
        </StateView>
      </section>
    </div>
  );
}
