import { Button, Menu, TextInput } from '@mantine/core';
import { IconColumns3, IconSearch } from '@tabler/icons-react';
import { useMemo, useRef } from 'react';
import { useServices } from '../api/queries';
import type { Service } from '../api/types';
import { To, useOpen, useUrl } from '../app/navigation';
import { useWindow } from '../app/window';
import { Change } from '../components/Change';
import { curl, ShareMenu } from '../components/copy';
import { type Column, DataTable } from '../components/DataTable';
import { Dot, StatusMark, useScheme } from '../components/marks';
import { ResultLine } from '../components/ResultLine';
import { Spark } from '../components/Spark';
import { Empty, StateView } from '../components/StateView';
import { STATUS } from '../design/tokens';
import { type Key, useI18n } from '../i18n';
import { healthOf, sortedServices } from '../state/health';
import { useKeys } from '../state/keys';

const OPTIONAL = ['rate', 'errors', 'p50', 'p95', 'p99', 'change', 'trend', 'logs', 'version'] as const;
type Optional = (typeof OPTIONAL)[number];

function useColumns(): Column<Service>[] {
  const { t, num, compact, percent, duration } = useI18n();
  const scheme = useScheme();
  return useMemo(() => {
    const status = STATUS[scheme];
    const errors = (service: Service) => {
      const health = healthOf(service);
      const ratio = percent(service.error_ratio);
      return service.errors ? (
        <To
          path="/traces"
          search={{ q: `service:${service.name}`, status: 'error' }}
          className="cell-link"
          label={`${ratio} – ${t('services.failedTraces', { name: service.name })}`}
        >
          <span className={health === 'crit' ? 'crit-text' : health === 'warn' ? 'warn-text' : ''}>{ratio}</span>
        </To>
      ) : (
        <span className="faint">{ratio}</span>
      );
    };
    return [
      {
        key: 'status',
        title: t('column.status'),
        width: '88px',
        sortable: true,
        cell: (service) => <StatusMark status={healthOf(service)} />,
      },
      {
        key: 'name',
        title: t('column.service'),
        width: 'minmax(170px, 1.6fr)',
        sortable: true,
        cell: (service) => (
          <To path={`/services/${encodeURIComponent(service.name)}`} className="chip cell-link strong">
            <Dot slot={service.slot} />
            <span>{service.name}</span>
          </To>
        ),
      },
      {
        key: 'rate',
        title: t('column.rate'),
        width: '84px',
        end: true,
        sortable: true,
        cell: (service) => (service.rate < 10 ? num(service.rate, 2) : compact(Math.round(service.rate))),
      },
      { key: 'errors', title: t('column.errors'), width: '84px', end: true, sortable: true, cell: errors },
      {
        key: 'p50',
        title: 'p50',
        width: '84px',
        end: true,
        sortable: true,
        cell: (service) => duration(service.p50_ms),
      },
      {
        key: 'p95',
        title: 'p95',
        width: '84px',
        end: true,
        sortable: true,
        cell: (service) => duration(service.p95_ms),
      },
      {
        key: 'p99',
        title: 'p99',
        width: '84px',
        end: true,
        sortable: true,
        cell: (service) => duration(service.p99_ms),
      },
      {
        key: 'change',
        title: t('column.change'),
        width: '104px',
        end: true,
        sortable: true,
        cell: (service) => <Change now={service.p95_ms} before={service.previous?.p95_ms} />,
      },
      {
        key: 'trend',
        title: t('column.trend'),
        width: '216px',
        cell: (service) =>
          service.sparkline ? (
            <span className="sparks">
              <Spark
                values={service.sparkline.calls}
                colour="var(--accent)"
                height={20}
                label={t('services.sparkCalls')}
              />
              <Spark
                values={service.sparkline.p95_ms}
                colour={healthOf(service) === 'ok' ? 'var(--ink3)' : status.warn}
                height={20}
                label={t('services.sparkP95')}
              />
            </span>
          ) : null,
      },
      {
        key: 'logs',
        title: t('column.logErrors'),
        width: '92px',
        end: true,
        sortable: true,
        cell: (service) =>
          service.log_errors ? (
            <To
              path="/logs"
              search={{ q: `service:${service.name} level>=error` }}
              className="cell-link"
              label={`${compact(service.log_errors)} – ${t('services.errorLogs', { name: service.name })}`}
            >
              {compact(service.log_errors)}
            </To>
          ) : (
            <span className="faint">{service.log_errors === 0 ? '0' : '–'}</span>
          ),
      },
      {
        key: 'version',
        title: t('column.version'),
        width: 'minmax(80px, 0.7fr)',
        sortable: true,
        cell: (service) => <span className="mono faint">{service.version ?? '–'}</span>,
      },
    ];
  }, [t, num, compact, percent, duration, scheme]);
}

const TITLES: Record<Optional, Key | 'p50' | 'p95' | 'p99'> = {
  rate: 'column.rate',
  errors: 'column.errors',
  p50: 'p50',
  p95: 'p95',
  p99: 'p99',
  change: 'column.change',
  trend: 'column.trend',
  logs: 'column.logErrors',
  version: 'column.version',
};

export function Services() {
  const { t, num } = useI18n();
  const [search, patch] = useUrl();
  const open = useOpen();
  const { window } = useWindow();
  const asked = useServices();
  const columns = useColumns();
  const input = useRef<HTMLInputElement>(null);
  useKeys({ '/': () => input.current?.focus(), e: () => patch({ status: search.status ? undefined : 'error' }) });
  const sort = search.sort ?? '-status';
  const shown = search.cols
    ?.split(',')
    .filter((each): each is Optional => (OPTIONAL as readonly string[]).includes(each)) ?? [...OPTIONAL];
  const visible = columns.filter(
    (column) => column.key === 'status' || column.key === 'name' || shown.includes(column.key as Optional),
  );
  const rows = useMemo(() => {
    const text = (search.q ?? '').toLowerCase();
    const matching = (asked.data?.services ?? []).filter(
      (service) =>
        service.name.toLowerCase().includes(text) &&
        (search.status !== 'error' || ['crit', 'warn'].includes(healthOf(service))),
    );
    return sortedServices(matching, sort);
  }, [asked.data, search.q, search.status, sort]);
  const toggle = (key: Optional): void => {
    const next = OPTIONAL.filter((each) => (each === key ? !shown.includes(each) : shown.includes(each)));
    patch({ cols: next.length === OPTIONAL.length ? undefined : next.join(',') || 'none' });
  };
  const name = (key: Optional): string => (TITLES[key].startsWith('p') ? TITLES[key] : t(TITLES[key] as Key));
  return (
    <div className="screen" data-fill="">
      <div className="crumb">
        <h1>{t('nav.services')}</h1>
        <span className="grow" />
        <TextInput
          ref={input}
          size="xs"
          w={220}
          leftSection={<IconSearch size={14} />}
          rightSection={<span className="kbd">/</span>}
          aria-label={t('services.filter')}
          placeholder={t('services.filter')}
          value={search.q ?? ''}
          onChange={(event) => patch({ q: event.currentTarget.value || undefined }, 'typing')}
        />
        <Button
          size="compact-sm"
          variant={search.status ? 'filled' : 'default'}
          aria-pressed={Boolean(search.status)}
          onClick={() => patch({ status: search.status ? undefined : 'error' })}
        >
          {t('services.unhealthy')}
        </Button>
        <Menu closeOnItemClick={false} position="bottom-end" withinPortal>
          <Menu.Target>
            <Button size="compact-sm" variant="default" leftSection={<IconColumns3 size={14} />}>
              {t('action.columns')}
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {OPTIONAL.map((key) => (
              <Menu.Item
                key={key}
                role="menuitemcheckbox"
                aria-checked={shown.includes(key)}
                onClick={() => toggle(key)}
                leftSection={<span className="tick-mark">{shown.includes(key) ? '✓' : ''}</span>}
              >
                {name(key)}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
        <ShareMenu
          more={[{ label: t('share.curl'), text: () => curl('/api/services', { from: window.from, to: window.to }) }]}
        />
      </div>
      <section className="panel" data-fill="" aria-label={t('nav.services')}>
        <StateView
          asked={asked}
          isEmpty={(data) => !data.services.length}
          empty={
            <Empty title={t('services.none')}>
              <p>{t('services.noneHint')}</p>
              <To path="/start" className="link">
                {t('nav.start')}
              </To>
            </Empty>
          }
        >
          {(data) => (
            <>
              <ResultLine
                stats={data.stats}
                running={asked.isFetching}
                lead={t('services.count', { n: num(rows.length), of: num(data.services.length) })}
              />
              {rows.length ? (
                <DataTable
                  label={t('nav.services')}
                  columns={visible}
                  rows={rows}
                  rowKey={(service) => service.name}
                  sort={sort}
                  onSort={(next) => patch({ sort: next === '-status' ? undefined : next })}
                  onOpen={(service) => open(`/services/${encodeURIComponent(service.name)}`)}
                  rowHeight={30}
                  tone={(service) => healthOf(service)}
                />
              ) : (
                <Empty title={t('state.nomatch')}>
                  <Button
                    size="compact-xs"
                    variant="default"
                    onClick={() => patch({ q: undefined, status: undefined })}
                  >
                    {t('filter.clear')}
                  </Button>
                </Empty>
              )}
            </>
          )}
        </StateView>
      </section>
    </div>
  );
}
