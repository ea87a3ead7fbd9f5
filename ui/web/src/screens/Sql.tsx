import '@mantine/core/styles/InlineInput.css';
import '@mantine/core/styles/Switch.css';
import './sql.css';
import { Button, Menu, SegmentedControl, Switch, TextInput } from '@mantine/core';
import { IconDownload, IconHistory, IconPlayerPlay, IconPlayerStop, IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { ApiError, getJson } from '../api/client';
import type { Json, SqlAnswer, SqlSchema } from '../api/types';
import { To, useUrl } from '../app/navigation';
import { useWindow } from '../app/window';
import { curl, ShareMenu } from '../components/copy';
import { type Column, DataTable } from '../components/DataTable';
import { useScheme } from '../components/marks';
import { ResultLine } from '../components/ResultLine';
import { Empty, Failed, Running, StateView } from '../components/StateView';
import { TimeSeries } from '../components/TimeSeries';
import { slotColour, slotRepeats } from '../design/tokens';
import { useI18n } from '../i18n';
import { useKeys } from '../state/keys';
import { oneOf } from '../state/search';
import { cellText, type Drawing, drawingOf, placeOf, tableMarkdown } from '../state/table';
import { type DownloadFormat, download, MOST_RESULT_ROWS, past, positionOf, useSql } from './useSql';

const SqlEditor = lazy(() => import('./SqlEditor'));

const EXAMPLE = `SELECT date_bin(INTERVAL '1 minute', timestamp) AS minute, service_name, count(*) AS errors
FROM logs
WHERE severity_number >= 17
GROUP BY minute, service_name
ORDER BY minute`;

/** Above this, the text stays out of the URL. */
const MOST_URL_TEXT = 4000;

function SchemaTree({ schema, onInsert }: { schema: SqlSchema; onInsert: (text: string) => void }) {
  const { t } = useI18n();
  const [text, setText] = useState('');
  const needle = text.trim().toLowerCase();
  return (
    <>
      <TextInput
        size="xs"
        m={8}
        leftSection={<IconSearch size={13} />}
        aria-label={t('sql.findColumn')}
        placeholder={t('sql.findColumn')}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      {schema.tables.map((table) => {
        const columns = table.columns.filter(
          (column) => !needle || column.name.toLowerCase().includes(needle) || table.name.includes(needle),
        );
        const keys = (table.attribute_keys ?? [])
          .map((key) => (typeof key === 'string' ? key : key.name))
          .filter((key) => !needle || key.toLowerCase().includes(needle));
        if (!columns.length && !keys.length) return null;
        return (
          <details key={table.name} className="schema-table" open={Boolean(needle) || table.name === 'logs'}>
            <summary title={table.description ?? undefined}>{table.name}</summary>
            <ul>
              {columns.map((column) => (
                <li key={column.name}>
                  <button
                    type="button"
                    title={column.description ?? t('sql.insert')}
                    onClick={() => onInsert(column.name)}
                  >
                    <span>{column.name}</span> <span className="faint">{column.type}</span>
                  </button>
                </li>
              ))}
              {keys.length ? <li className="schema-keys">{t('sql.attributeKeys')}</li> : null}
              {keys.map((key) => (
                <li key={key}>
                  <button
                    type="button"
                    title={t('sql.insert')}
                    onClick={() => onInsert(`attributes['${key.replace(/'/g, "''")}']`)}
                  >
                    <span>{key}</span>
                  </button>
                </li>
              ))}
            </ul>
          </details>
        );
      })}
    </>
  );
}

function Cell({ name, value }: { name: string; value: Json | undefined }) {
  if (value === null || value === undefined) return <span className="faint">NULL</span>;
  const text = cellText(value);
  if (/trace_id$/.test(name) && /^[0-9a-f]{32}$/.test(text)) {
    return (
      <To path={`/traces/${text}`} className="link mono">
        {text}
      </To>
    );
  }
  if (name === 'service_name' || name === 'service') {
    return (
      <To path={`/services/${encodeURIComponent(text)}`} className="cell-link">
        {text}
      </To>
    );
  }
  return (
    <span title={text.length > 24 ? text.slice(0, 2000) : undefined}>
      {text.length > 1000 ? `${text.slice(0, 1000)}…` : text}
    </span>
  );
}

const isNumeric = (type: string): boolean => /^(u?int|float|decimal)/i.test(type);

function ResultTable({ answer }: { answer: SqlAnswer }) {
  const { t } = useI18n();
  const columns = useMemo(
    (): Column<Json[]>[] =>
      answer.columns.map((column, i) => {
        const longest = Math.max(
          column.name.length,
          ...answer.rows.slice(0, 100).map((row) => Math.min(60, cellText(row[i]).length)),
        );
        return {
          key: String(i),
          title: <span title={column.type}>{column.name}</span>,
          width:
            `minmax(${Math.max(80, Math.min(420, longest * 7.6 + 20))}px, ${isNumeric(column.type) ? 'max-content' : '1fr'})`.replace(
              'max-content',
              '0.4fr',
            ),
          end: isNumeric(column.type),
          cell: (row) => <Cell name={column.name} value={row[i]} />,
        };
      }),
    [answer],
  );
  return (
    <DataTable
      label={t('sql.result')}
      columns={columns}
      rows={answer.rows}
      rowKey={(_row, index) => String(index)}
      rowHeight={24}
    />
  );
}

function Chart({ drawing }: { drawing: Drawing }) {
  const { t, num } = useI18n();
  const scheme = useScheme();
  const { setWindow } = useWindow();
  const format = useCallback((value: number | null | undefined) => num(value, 2), [num]);
  const lines = useMemo(
    () =>
      drawing.kind === 'lines'
        ? drawing.lines.map((line, i) => ({ ...line, colour: slotColour(scheme, i), dash: slotRepeats(i) }))
        : [],
    [drawing, scheme],
  );
  const leftOut = drawing.leftOut ? <p className="hint pad">{t('more', { n: num(drawing.leftOut) })}</p> : null;
  if (drawing.kind === 'lines') {
    return (
      <section className="scroll" tabIndex={0} aria-label={t('sql.chart')}>
        <TimeSeries
          label={t('sql.chart')}
          times={drawing.times}
          lines={lines}
          format={format}
          height={260}
          onZoom={setWindow}
        />
        {leftOut}
      </section>
    );
  }
  const most = Math.max(1e-9, ...drawing.bars.map((bar) => bar.value));
  return (
    <section className="scroll" tabIndex={0} aria-label={t('sql.chart')}>
      <table className="bars">
        <thead>
          <tr>
            <th scope="col">{drawing.name}</th>
            <th scope="col">{drawing.value}</th>
          </tr>
        </thead>
        <tbody>
          {drawing.bars.map((bar) => (
            <tr key={bar.name}>
              <td title={bar.name}>{bar.name}</td>
              <td>
                <span className="meter">
                  <i style={{ width: `${Math.max(0, (bar.value / most) * 100)}%` }} />
                  <span className="num">{num(bar.value, 2)}</span>
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {leftOut}
    </section>
  );
}

export function Sql() {
  const { t, num, dateTime } = useI18n();
  const [search, patch] = useUrl();
  const { window } = useWindow();
  const [text, setText] = useState(() => search.sql ?? past.draft() ?? EXAMPLE);
  const [history, setHistory] = useState(past.read);
  const [saving, setSaving] = useState<unknown>(null);
  const { run, execute, explain, cancel } = useSql();
  const schema = useQuery({
    queryKey: ['sql-schema'],
    queryFn: ({ signal }) => getJson<SqlSchema>('/api/sql/schema', {}, signal),
    staleTime: 5 * 60_000,
  });
  const limited = search.range !== 'off';
  const request = useCallback(
    (query: string) => (limited ? { query, from: window.from, to: window.to } : { query }),
    [limited, window.from, window.to],
  );
  const tables = useMemo(
    () =>
      Object.fromEntries(
        (schema.data?.tables ?? []).map((table) => [table.name, table.columns.map((column) => column.name)]),
      ),
    [schema.data],
  );
  const start = (query: string): void => {
    if (!query.trim()) return;
    setHistory(past.add(query));
    patch({ sql: query.length <= MOST_URL_TEXT ? query : undefined });
    void execute(request(query));
  };
  // A query that came with the URL runs at once: the same URL shows the same thing. So does a moved window.
  const arrived = useRef('');
  useEffect(() => {
    const key = `${search.sql} ${window.from} ${window.to} ${limited}`;
    if (!search.sql || arrived.current === key) return;
    const again = arrived.current !== '';
    arrived.current = key;
    setText(search.sql);
    if (!again || run.state !== 'running') void execute(request(search.sql));
  }, [search.sql, window.from, window.to, limited, execute, request, run.state]);
  useEffect(() => past.saveDraft(text), [text]);
  useKeys({ r: () => start(text), Escape: () => (run.state === 'running' ? cancel() : false) });
  const position = run.state === 'failed' && run.query === text ? positionOf(run.error) : undefined;
  const problem = useMemo(
    () => (position === undefined ? null : { from: position, to: placeOf(text, position).end }),
    [position, text],
  );
  const drawing = useMemo(() => (run.state === 'done' ? drawingOf(run.answer) : null), [run]);
  const view = drawing ? oneOf(search.view, ['table', 'chart']) : 'table';
  const insert = (piece: string): void => setText((now) => `${now.replace(/\s*$/, '')} ${piece}`);
  const save = (format: DownloadFormat): void => {
    setSaving(null);
    download(request(text), format).catch(setSaving);
  };
  return (
    <div className="screen" data-fill="">
      <div className="crumb">
        <h1>SQL</h1>
        <span className="grow" />
        <ShareMenu
          more={[
            { label: t('share.curl'), text: () => curl('/api/sql', { query: text }) },
            ...(run.state === 'done' ? [{ label: t('share.markdown'), text: () => tableMarkdown(run.answer) }] : []),
          ]}
        />
      </div>
      <div className="split">
        <section className="panel facets" aria-label={t('sql.schema')} tabIndex={0}>
          <StateView asked={schema}>{(data) => <SchemaTree schema={data} onInsert={insert} />}</StateView>
        </section>
        <div className="stack fill">
          <section className="panel editor" aria-label={t('sql.editor')}>
            <Suspense fallback={<Running />}>
              <SqlEditor
                value={text}
                label={t('sql.editor')}
                tables={tables}
                problem={problem}
                onChange={setText}
                onRun={() => start(text)}
              />
            </Suspense>
            <div className="toolbar">
              {run.state === 'running' ? (
                <Button size="compact-sm" variant="default" leftSection={<IconPlayerStop size={14} />} onClick={cancel}>
                  {t('action.cancel')}
                </Button>
              ) : (
                <Button size="compact-sm" leftSection={<IconPlayerPlay size={14} />} onClick={() => start(text)}>
                  {t('action.run')}
                </Button>
              )}
              <span className="kbd">{/Mac/.test(navigator.platform) ? '⌘' : 'Ctrl'} ⏎</span>
              <Button size="compact-sm" variant="default" onClick={() => void explain(request(text))}>
                {t('sql.explain')}
              </Button>
              <Switch
                size="xs"
                label={t('sql.limited')}
                checked={limited}
                onChange={(event) => patch({ range: event.currentTarget.checked ? undefined : 'off' })}
              />
              <span className="grow" />
              <Menu position="bottom-end" withinPortal>
                <Menu.Target>
                  <Button size="compact-sm" variant="default" leftSection={<IconHistory size={14} />}>
                    {t('sql.history')}
                  </Button>
                </Menu.Target>
                <Menu.Dropdown className="history" aria-label={t('sql.history')}>
                  {history.length ? null : <Menu.Label>{t('sql.noHistory')}</Menu.Label>}
                  {history.slice(0, 20).map((each) => (
                    <Menu.Item key={each.at} onClick={() => setText(each.query)}>
                      <span className="mono clip">{each.query.replace(/\s+/g, ' ').slice(0, 140)}</span>
                      <span className="faint">{dateTime(each.at)}</span>
                    </Menu.Item>
                  ))}
                </Menu.Dropdown>
              </Menu>
              <Menu position="bottom-end" withinPortal>
                <Menu.Target>
                  <Button size="compact-sm" variant="default" leftSection={<IconDownload size={14} />}>
                    {t('sql.download')}
                  </Button>
                </Menu.Target>
                <Menu.Dropdown>
                  <Menu.Label>{t('sql.wholeResult')}</Menu.Label>
                  {(['csv', 'ndjson', 'arrow', 'parquet'] as const).map((format) => (
                    <Menu.Item key={format} onClick={() => save(format)}>
                      {format === 'arrow' || format === 'parquet'
                        ? format[0]?.toUpperCase() + format.slice(1)
                        : format.toUpperCase()}
                    </Menu.Item>
                  ))}
                </Menu.Dropdown>
              </Menu>
            </div>
          </section>
          <section className="panel" data-fill="" aria-label={t('sql.result')}>
            {saving ? <Failed error={saving} /> : null}
            {run.state === 'idle' ? (
              <Empty title={t('sql.idle')}>
                <p>{t('sql.idleHint')}</p>
              </Empty>
            ) : null}
            {run.state === 'running' ? <Running onCancel={cancel} /> : null}
            {run.state === 'cancelled' ? <Empty title={t('state.cancelled')} /> : null}
            {run.state === 'failed' ? (
              <>
                <Failed error={run.error} />
                {position === undefined ? null : (
                  <p className="hint pad num">
                    {t('sql.position', {
                      line: placeOf(run.query, position).line,
                      column: placeOf(run.query, position).column,
                    })}
                  </p>
                )}
              </>
            ) : null}
            {run.state === 'explained' ? (
              <section className="scroll" tabIndex={0} aria-label={t('sql.explain')}>
                <pre className="plan">{run.plan}</pre>
              </section>
            ) : null}
            {run.state === 'done' ? (
              <>
                <ResultLine
                  stats={run.answer.error ? { ...run.answer.stats, complete: false } : run.answer.stats}
                  lead={
                    run.answer.rows.length >= MOST_RESULT_ROWS
                      ? t('sql.firstRows', { n: num(run.answer.rows.length) })
                      : t('logs.rows', { n: num(run.answer.rows.length) })
                  }
                >
                  {drawing ? (
                    <SegmentedControl
                      size="xs"
                      value={view}
                      aria-label={t('sql.show')}
                      onChange={(next) => patch({ view: next === 'table' ? undefined : next })}
                      data={[
                        { value: 'table', label: t('sql.table') },
                        { value: 'chart', label: t('sql.chart') },
                      ]}
                    />
                  ) : null}
                </ResultLine>
                {run.answer.error ? (
                  <Failed error={new ApiError(run.answer.error.status ?? 0, run.answer.error)} />
                ) : null}
                {!run.answer.rows.length ? (
                  <Empty title={t('sql.noRows')} />
                ) : view === 'chart' && drawing ? (
                  <Chart drawing={drawing} />
                ) : (
                  <ResultTable answer={run.answer} />
                )}
              </>
            ) : null}
          </section>
        </div>
      </div>
    </div>
  );
}
