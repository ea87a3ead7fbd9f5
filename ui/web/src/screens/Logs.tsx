import { ActionIcon, Button, Tooltip } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconLayoutSidebar, IconPlayerPlay, IconTable } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState } from 'react';
import { useLogHistogram } from '../api/queries';
import type { FieldsAnswer } from '../api/types';
import { useOpen, useUrl } from '../app/navigation';
import { useWindow } from '../app/window';
import { curl, ShareMenu } from '../components/copy';
import { valueText } from '../components/FieldList';
import { FilterBar } from '../components/FilterBar';
import { Histogram, HistogramTable } from '../components/Histogram';
import { LogDetail } from '../components/LogDetail';
import { LogList, type LogListHandle } from '../components/LogList';
import { Panel } from '../components/Panel';
import { ResultLine } from '../components/ResultLine';
import { Empty, Failed, Running, StateView } from '../components/StateView';
import { useI18n } from '../i18n';
import { hasTerm, showsErrorsOnly, term, textTerms, toggleErrors, withoutTerm, withTerm } from '../state/filter';
import { useKeys } from '../state/keys';
import { asMarkdown, facetField, MOST_ROWS, useLogFields, useLogPages, useLogRecord } from './logs';

const BUCKETS = 90;
/** Values of a facet that are shown before it is asked for more. */
const FEW_VALUES = 10;

function Facets({
  answer,
  filter,
  onFilter,
}: {
  answer: FieldsAnswer;
  filter: string;
  onFilter: (filter: string) => void;
}) {
  const { t, num, compact } = useI18n();
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  return (
    <>
      {answer.fields
        .filter((field) => field.values.length)
        .map((field) => {
          const most = Math.max(1, ...field.values.map((value) => value.count));
          const name = facetField(field.name);
          return (
            <section key={field.name} className="facet">
              <h3 title={field.sampled ? t('logs.sampled', { n: num(answer.sampled_rows) }) : field.name}>
                {field.name}
                {field.sampled ? ' ≈' : ''}
              </h3>
              <ul>
                {field.values.slice(0, open.has(field.name) ? undefined : FEW_VALUES).map(({ value, count }) => {
                  const text = valueText(value);
                  const own = term(name, text);
                  const on = hasTerm(filter, own);
                  return (
                    <li key={text} data-on={on || undefined}>
                      <button
                        type="button"
                        aria-pressed={on}
                        title={text}
                        onClick={() => onFilter(on ? withoutTerm(filter, own) : withTerm(filter, name, text))}
                      >
                        <span className="facet-bar" style={{ width: `${(count / most) * 100}%` }} />
                        <span className="facet-value">{text || '""'}</span>
                        <span className="facet-count num">{compact(count)}</span>
                      </button>
                      <button
                        type="button"
                        className="facet-minus"
                        aria-label={`${t('filter.exclude')}: ${field.name} ${text}`}
                        onClick={() => onFilter(withTerm(filter, name, text, true))}
                      >
                        −
                      </button>
                    </li>
                  );
                })}
              </ul>
              {field.values.length > FEW_VALUES && !open.has(field.name) ? (
                <button
                  type="button"
                  className="link facet-more"
                  onClick={() => setOpen(new Set([...open, field.name]))}
                >
                  {t('more', { n: num(field.values.length - FEW_VALUES) })}
                </button>
              ) : null}
            </section>
          );
        })}
    </>
  );
}

export function Logs() {
  const { t, num, dateTime } = useI18n();
  const [search, patch] = useUrl();
  const { window, setWindow } = useWindow();
  const open = useOpen();
  const queries = useQueryClient();
  const list = useRef<LogListHandle>(null);
  const [active, setActive] = useState(-1);
  const [asTable, setAsTable] = useState(false);
  const q = search.q ?? '';
  const order = search.sort === 'time' ? 'asc' : 'desc';
  const facets = search.view !== 'list';
  const pages = useLogPages(q, order);
  const histogram = useLogHistogram(q, BUCKETS);
  const fields = useLogFields(q);
  const rows = useMemo(() => pages.data?.pages.flatMap((page) => page.rows) ?? [], [pages.data]);
  const words = useMemo(() => textTerms(q), [q]);
  const loaded = search.sel ? rows.find((row) => row.id === search.sel) : undefined;
  const elsewhere = useLogRecord(search.sel, false, Boolean(pages.data) && !loaded);
  const selected = loaded ?? elsewhere.data ?? undefined;
  const setFilter = (next: string): void => patch({ q: next || undefined, sel: undefined });
  const cancel = (key: string) => () => void queries.cancelQueries({ queryKey: [key] });
  const select = (index: number): void => {
    setActive(index);
    const row = rows[index];
    if (row) patch({ sel: row.id === search.sel ? undefined : row.id }, search.sel ? 'typing' : undefined);
  };
  const move = (step: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, active + step));
    setActive(next);
    list.current?.show(next);
    const row = rows[next];
    if (search.sel && row) patch({ sel: row.id }, 'typing');
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Enter: (event) =>
      event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement || active < 0
        ? false
        : void select(active),
    e: () => setFilter(toggleErrors(q)),
  });
  // A row named in the URL is brought into view once it is there.
  const shown = useRef<string>(undefined);
  useEffect(() => {
    if (!search.sel || shown.current === search.sel || !rows.length) return;
    const index = rows.findIndex((row) => row.id === search.sel);
    if (index < 0) return;
    shown.current = search.sel;
    setActive(index);
    list.current?.show(index);
  }, [search.sel, rows]);
  const first = pages.data?.pages[0];
  const total = histogram.data?.total;
  return (
    <div className="screen" data-fill="">
      <div className="crumb">
        <h1>{t('nav.logs')}</h1>
        <span className="grow" />
        <Button
          size="compact-sm"
          variant="default"
          leftSection={<IconPlayerPlay size={14} />}
          onClick={() => open('/logs/tail', { q: search.q })}
        >
          {t('nav.tail')}
        </Button>
        <ShareMenu
          more={[
            {
              label: t('share.curl'),
              text: () => curl('/api/logs', { q, from: window.from, to: window.to, limit: 100 }),
            },
            { label: t('share.markdown'), text: () => asMarkdown(rows.slice(0, 50)) },
            { label: t('share.ndjson'), text: () => rows.map((row) => JSON.stringify(row)).join('\n') },
          ]}
        />
      </div>
      <FilterBar value={q} onChange={setFilter} placeholder={t('logs.placeholder')} problem={pages.error?.message}>
        <Button
          size="compact-sm"
          variant={showsErrorsOnly(q) ? 'filled' : 'default'}
          aria-pressed={showsErrorsOnly(q)}
          onClick={() => setFilter(toggleErrors(q))}
        >
          {t('filter.errors')} <span className="kbd">e</span>
        </Button>
      </FilterBar>
      <Panel
        title={t('logs.volume')}
        sub={total === undefined ? undefined : t('logs.total', { n: num(total) })}
        actions={
          <Tooltip label={t('histogram.table')}>
            <ActionIcon
              variant="subtle"
              color="gray"
              size={24}
              aria-label={t('histogram.table')}
              aria-pressed={asTable}
              onClick={() => setAsTable(!asTable)}
            >
              <IconTable size={15} />
            </ActionIcon>
          </Tooltip>
        }
      >
        <div className="hist-place">
          <StateView asked={histogram} onCancel={cancel('log-histogram')}>
            {(answer) =>
              asTable ? <HistogramTable answer={answer} /> : <Histogram answer={answer} onZoom={setWindow} />
            }
          </StateView>
        </div>
      </Panel>
      <div className="split">
        {facets ? (
          <section className="panel facets" aria-label={t('logs.facets')} tabIndex={0}>
            <StateView asked={fields} onCancel={cancel('log-fields')}>
              {(answer) => <Facets answer={answer} filter={q} onFilter={setFilter} />}
            </StateView>
          </section>
        ) : null}
        <section className="panel" data-fill="" aria-label={t('nav.logs')}>
          <ResultLine
            stats={first?.stats}
            running={pages.isFetching}
            onCancel={cancel('logs')}
            lead={
              first
                ? total !== undefined && total > rows.length
                  ? t('logs.loaded', { n: num(rows.length), of: num(total) })
                  : t('logs.rows', { n: num(rows.length) })
                : undefined
            }
          >
            <Tooltip label={t('logs.facets')}>
              <ActionIcon
                variant="subtle"
                color="gray"
                size={24}
                aria-label={t('logs.facets')}
                aria-pressed={facets}
                onClick={() => patch({ view: facets ? 'list' : undefined })}
              >
                <IconLayoutSidebar size={15} />
              </ActionIcon>
            </Tooltip>
            <Button
              size="compact-xs"
              variant="subtle"
              color="gray"
              leftSection={order === 'desc' ? <IconArrowDown size={13} /> : <IconArrowUp size={13} />}
              onClick={() => patch({ sort: order === 'desc' ? 'time' : undefined })}
            >
              {t(order === 'desc' ? 'logs.newest' : 'logs.oldest')}
            </Button>
          </ResultLine>
          {pages.error ? (
            <Failed error={pages.error} onRetry={() => void pages.refetch()} />
          ) : !first ? (
            pages.fetchStatus === 'idle' ? (
              <Empty title={t('state.cancelled')}>
                <Button size="compact-xs" variant="default" onClick={() => void pages.refetch()}>
                  {t('action.run')}
                </Button>
              </Empty>
            ) : (
              <Running onCancel={cancel('logs')} />
            )
          ) : rows.length ? (
            <LogList
              label={t('nav.logs')}
              rows={rows}
              selected={search.sel}
              active={active}
              words={words}
              days={window.to - window.from > 86_400e3}
              onSelect={select}
              onEnd={() => pages.hasNextPage && !pages.isFetchingNextPage && void pages.fetchNextPage()}
              handle={list}
            />
          ) : (
            <Empty title={t('state.nomatch')}>
              <p>
                {dateTime(window.from)} – {dateTime(window.to)}
              </p>
              <div className="row">
                {q ? (
                  <Button size="compact-xs" variant="default" onClick={() => setFilter('')}>
                    {t('filter.clear')}
                  </Button>
                ) : null}
                <Button size="compact-xs" variant="default" onClick={() => setWindow('now-24h', 'now')}>
                  {t('range.24h')}
                </Button>
              </div>
            </Empty>
          )}
          {rows.length >= MOST_ROWS ? <p className="hint pad">{t('logs.most', { n: num(MOST_ROWS) })}</p> : null}
        </section>
        {selected ? (
          <LogDetail
            key={selected.id}
            row={selected}
            onClose={() => patch({ sel: undefined })}
            onFilter={(field, value, exclude) => patch({ q: withTerm(q, field, value, exclude) })}
          />
        ) : null}
      </div>
    </div>
  );
}
