import { Button, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useServices, useSlots } from '../api/queries';
import type { CauseSummary } from '../api/reliability';
import { useCauses } from '../api/reliability-queries';
import { To, useOpen } from '../app/navigation';
import { useWindow } from '../app/window';
import { Confidence } from '../components/confidence';
import { curl, ShareMenu } from '../components/copy';
import { DataTable } from '../components/DataTable';
import { ServiceChip } from '../components/marks';
import { Panel } from '../components/Panel';
import { Empty, StateView } from '../components/StateView';
import { indicatorText } from '../components/words';
import { type Key, useI18n } from '../i18n';

const MOST = 200;
const OUTCOME: Record<CauseSummary['outcome'], Key> = {
  found: 'cause.found',
  none: 'cause.none',
  not_enough_data: 'cause.few',
};

/** Asks for the cause at a service in the selected time range. */
function AskForm() {
  const { t, dateTime } = useI18n();
  const open = useOpen();
  const { window } = useWindow();
  const services = useServices();
  const [service, setService] = useState('');
  return (
    <form
      className="ask"
      onSubmit={(event) => {
        event.preventDefault();
        if (service.trim()) open('/causes/new', { service: service.trim() });
      }}
    >
      <TextInput
        size="xs"
        w={260}
        list="ask-services"
        aria-label={t('column.service')}
        placeholder={t('cause.askPlaceholder')}
        value={service}
        onChange={(event) => setService(event.currentTarget.value)}
        autoComplete="off"
      />
      <datalist id="ask-services">
        {(services.data?.services ?? []).map(({ name }) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <Button type="submit" size="compact-sm" disabled={!service.trim()}>
        {t('cause.ask')}
      </Button>
      <span className="faint num">
        {dateTime(window.from)} – {dateTime(window.to)}
      </span>
    </form>
  );
}

export function Causes() {
  const i18n = useI18n();
  const { t, num, dateTime } = i18n;
  const open = useOpen();
  const queries = useQueryClient();
  const slotOf = useSlots();
  const asked = useCauses(MOST);
  const path = (row: CauseSummary): string => `/causes/${encodeURIComponent(row.id)}`;
  return (
    <div className="screen" data-fill="">
      <div className="crumb">
        <To path="/incidents" className="link">
          {t('nav.incidents')}
        </To>
        <span className="faint">/</span>
        <h1>{t('cause.reports')}</h1>
        <span className="grow" />
        <ShareMenu more={[{ label: t('share.curl'), text: () => curl('/api/causes', { limit: MOST }) }]} />
      </div>
      <AskForm />
      <Panel title={t('cause.kept')} sub={asked.data ? num(asked.data.causes.length) : undefined} fill>
        <StateView
          asked={asked}
          onCancel={() => void queries.cancelQueries({ queryKey: ['causes'] })}
          isEmpty={(data) => !data.causes.length}
          empty={
            <Empty title={t('cause.noneKept')}>
              <p>{t('cause.noneKeptHint')}</p>
            </Empty>
          }
        >
          {(data) => (
            <DataTable
              label={t('cause.reports')}
              rows={data.causes}
              rowKey={(row) => row.id}
              onOpen={(row) => open(path(row))}
              columns={[
                {
                  key: 'time',
                  title: t('column.time'),
                  width: '150px',
                  cell: (row) => <span className="num faint">{dateTime(row.created_at)}</span>,
                },
                {
                  key: 'service',
                  title: t('cause.noticedAt'),
                  width: 'minmax(140px, 1fr)',
                  cell: (row) => (
                    <To path={path(row)} className="cell-link strong">
                      {row.service ? <ServiceChip name={row.service} slot={slotOf(row.service)} /> : t('cause.title')}
                    </To>
                  ),
                },
                {
                  key: 'outcome',
                  title: t('cause.title'),
                  width: 'minmax(220px, 2fr)',
                  cell: (row) =>
                    row.top ? (
                      <>
                        <b>{row.top.service}</b> <span className="ink2">{indicatorText(i18n, row.top.indicator)}</span>
                      </>
                    ) : (
                      <span className="ink2">{t(OUTCOME[row.outcome])}</span>
                    ),
                },
                {
                  key: 'confidence',
                  title: t('cause.confidenceName'),
                  width: '130px',
                  cell: (row) => <Confidence value={row.outcome === 'found' ? row.confidence : null} />,
                },
              ]}
            />
          )}
        </StateView>
      </Panel>
    </div>
  );
}
