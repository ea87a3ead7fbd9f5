import { TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useMemo, useRef } from 'react';
import type { ObjectiveFile, Slo } from '../api/reliability';
import { useSlos } from '../api/reliability-queries';
import { To, useOpen, useUrl } from '../app/navigation';
import { BudgetBar, SloMark } from '../components/Budget';
import { curl, ShareMenu } from '../components/copy';
import { type Column, DataTable } from '../components/DataTable';
import { ServiceChip } from '../components/marks';
import { Panel } from '../components/Panel';
import { ResultLine } from '../components/ResultLine';
import { Empty, StateView } from '../components/StateView';
import { promise, span } from '../components/words';
import { useI18n } from '../i18n';
import { burnNow, sloStatus, sortedSlos, stateOf } from '../state/burn';
import { useKeys } from '../state/keys';

const EXAMPLE = `apiVersion: openslo/v1
kind: SLO
metadata:
  name: checkout-availability
spec:
  service: checkout
  indicator:
    spec:
      ratioMetric:
        total:
          metricSource:
            type: Rootline
            spec: { spans: { service: checkout, bad: errors } }
  timeWindow: [{ duration: 28d, isRolling: true }]
  budgetingMethod: Occurrences
  objectives: [{ target: 0.999 }]`;

/** Files that were refused, with the place and the field: the last good version of each stays in force. */
function BadFiles({ files }: { files: readonly ObjectiveFile[] }) {
  const { t } = useI18n();
  const bad = files.filter((file) => file.error);
  if (!bad.length) return null;
  return (
    <Panel title={t('slo.badFiles')} sub={t('slo.badFilesHint')}>
      <ul className="bad-files">
        {bad.map(({ path, error }) => (
          <li key={path}>
            <span className="glyph" data-status="crit" aria-hidden="true">
              ✕
            </span>
            <span className="mono">
              {path}
              {error?.line ? `:${error.line}` : ''}
              {error?.line && error.column ? `:${error.column}` : ''}
            </span>
            {error?.field ? <code>{error.field}</code> : null}
            <span className="ink2">{error?.message}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function useColumns(): Column<Slo>[] {
  const i18n = useI18n();
  return useMemo(() => {
    const { t, num, nines, ago } = i18n;
    return [
      { key: 'state', title: t('column.status'), width: '132px', sortable: true, cell: (slo) => <SloMark slo={slo} /> },
      {
        key: 'name',
        title: t('slo.objective'),
        width: 'minmax(240px, 3fr)',
        sortable: true,
        cell: (slo) => (
          <To path={`/slos/${encodeURIComponent(slo.id)}`} className="cell-link tall" title={slo.id}>
            <b>{slo.display_name || slo.id}</b> <span className="faint">{promise(i18n, slo)}</span>
          </To>
        ),
      },
      {
        key: 'service',
        title: t('column.service'),
        width: 'minmax(110px, 0.8fr)',
        sortable: true,
        cell: (slo) => (
          <To path={`/services/${encodeURIComponent(slo.service)}`} className="cell-link tall">
            <ServiceChip name={slo.service} slot={slo.slot} />
          </To>
        ),
      },
      {
        key: 'sli',
        title: t('slo.sli'),
        width: '92px',
        end: true,
        sortable: true,
        cell: (slo) => (
          <span className={slo.sli !== null && slo.sli < slo.target_ratio ? 'crit-text' : ''}>{nines(slo.sli)}</span>
        ),
      },
      {
        key: 'target',
        title: t('slo.target'),
        width: '84px',
        end: true,
        cell: (slo) => <span className="faint">{nines(slo.target_ratio)}</span>,
      },
      {
        key: 'budget',
        title: t('slo.budgetLeft'),
        width: '178px',
        sortable: true,
        cell: (slo) => <BudgetBar slo={slo} />,
      },
      {
        key: 'burn',
        title: t('slo.burn'),
        width: '104px',
        end: true,
        sortable: true,
        cell: (slo) => {
          const rate = burnNow(slo);
          return rate === null ? (
            <span className="faint">–</span>
          ) : (
            <span className={stateOf(slo) === 'ok' ? 'faint' : ''}>×{num(rate, 1)}</span>
          );
        },
      },
      {
        key: 'exhausted',
        title: t('slo.exhaustion'),
        width: '120px',
        end: true,
        cell: (slo) =>
          slo.exhausted_at && stateOf(slo) !== 'exhausted' ? (
            <span className={sloStatus(slo) === 'ok' ? 'faint' : 'warn-text'}>{ago(slo.exhausted_at, Date.now())}</span>
          ) : (
            <span className="faint">–</span>
          ),
      },
      {
        key: 'window',
        title: t('slo.window'),
        width: '74px',
        end: true,
        cell: (slo) => <span className="faint">{span(i18n, slo.window_seconds)}</span>,
      },
    ];
  }, [i18n]);
}

export function Slos() {
  const { t, num, clock } = useI18n();
  const [search, patch] = useUrl();
  const open = useOpen();
  const queries = useQueryClient();
  const asked = useSlos();
  const columns = useColumns();
  const input = useRef<HTMLInputElement>(null);
  useKeys({ '/': () => input.current?.focus() });
  const sort = search.sort ?? 'state';
  const rows = useMemo(() => {
    const text = (search.q ?? '').toLowerCase();
    const matching = (asked.data?.slos ?? []).filter((slo) =>
      `${slo.id} ${slo.display_name ?? ''} ${slo.service}`.toLowerCase().includes(text),
    );
    return sortedSlos(matching, sort);
  }, [asked.data, search.q, sort]);
  return (
    <div className="screen" data-fill="">
      <div className="crumb">
        <h1>{t('nav.slos')}</h1>
        <span className="grow" />
        <TextInput
          ref={input}
          size="xs"
          w={220}
          leftSection={<IconSearch size={14} />}
          rightSection={<span className="kbd">/</span>}
          aria-label={t('slo.filter')}
          placeholder={t('slo.filter')}
          value={search.q ?? ''}
          onChange={(event) => patch({ q: event.currentTarget.value || undefined }, 'typing')}
        />
        <ShareMenu more={[{ label: t('share.curl'), text: () => curl('/api/slos', {}) }]} />
      </div>
      {asked.data ? <BadFiles files={asked.data.files} /> : null}
      <section className="panel" data-fill="" aria-label={t('nav.slos')}>
        <StateView
          asked={asked}
          onCancel={() => void queries.cancelQueries({ queryKey: ['slos'] })}
          isEmpty={(data) => !data.slos.length}
          empty={
            <Empty title={t('slo.none')}>
              <p>{t('slo.noneHint')}</p>
              <pre className="example" tabIndex={0}>
                {EXAMPLE}
              </pre>
            </Empty>
          }
        >
          {(data) => (
            <>
              <ResultLine
                stats={undefined}
                running={asked.isFetching}
                lead={t('slo.count', { n: num(rows.length), of: num(data.slos.length) })}
              >
                {data.evaluated_at ? (
                  <span className="pad num">{t('slo.evaluated', { time: clock(data.evaluated_at) })}</span>
                ) : null}
              </ResultLine>
              {rows.length ? (
                <DataTable
                  label={t('nav.slos')}
                  columns={columns}
                  rows={rows}
                  rowKey={(slo) => slo.id}
                  rowHeight={32}
                  sort={sort}
                  onSort={(next) => patch({ sort: next === 'state' ? undefined : next })}
                  onOpen={(slo) => open(`/slos/${encodeURIComponent(slo.id)}`)}
                  tone={sloStatus}
                />
              ) : (
                <Empty title={t('state.nomatch')} />
              )}
            </>
          )}
        </StateView>
      </section>
    </div>
  );
}
