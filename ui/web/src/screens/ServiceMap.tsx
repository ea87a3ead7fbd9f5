import { Button, NativeSelect, SegmentedControl, TextInput } from '@mantine/core';
import { IconFocus2 } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState } from 'react';
import type { MapAnswer } from '../api/reliability';
import { useMap } from '../api/reliability-queries';
import { To, useUrl } from '../app/navigation';
import { useWindow } from '../app/window';
import { curl, ShareMenu } from '../components/copy';
import { ResultLine } from '../components/ResultLine';
import { ServiceGraph } from '../components/ServiceGraph';
import { Empty, Running, StateView } from '../components/StateView';
import { useLayout } from '../components/useLayout';
import { useSize } from '../components/useSize';
import { type Key, useI18n } from '../i18n';
import { type Graph, grouped, groupKeys, MOST_NODES, shownGraph, unwellPart } from '../state/graph';
import { useKeys } from '../state/keys';
import type { LayoutRequest } from '../state/layout';
import { oneOf } from '../state/search';
import { useGroupName } from './groupName';
import { MapPanel } from './MapPanel';
import { MapTable } from './MapTable';

/** The calls of the map as SQL, for the editor. */
const EDGES_SQL = `SELECT caller, callee, callee_kind, sum(calls) AS calls, sum(errors) AS errors,
  sum(client_duration_sum_nano) / sum(calls) / 1e6 AS mean_ms
FROM service_edges GROUP BY caller, callee, callee_kind ORDER BY calls DESC`;
const BORDERS_PX = 2;
const VIEWS = ['map', 'all', 'table'] as const;

function FocusInput({
  names,
  value,
  onCommit,
}: {
  names: string[];
  value: string;
  onCommit: (name: string | undefined) => void;
}) {
  const { t } = useI18n();
  const input = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useKeys({ '/': () => input.current?.focus() });
  const commit = (typed: string): void => {
    const wanted = typed.trim();
    const found = names.find((name) => name === wanted) ?? names.find((name) => wanted && name.includes(wanted));
    if ((found ?? '') !== value) onCommit(found);
    setText(found ?? '');
  };
  return (
    <TextInput
      ref={input}
      size="xs"
      w={200}
      list="map-names"
      leftSection={<IconFocus2 size={14} />}
      rightSection={<span className="kbd">/</span>}
      aria-label={t('map.focus')}
      placeholder={t('map.focus')}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        if (names.includes(event.currentTarget.value)) commit(event.currentTarget.value);
      }}
      onBlur={() => commit(text)}
      onKeyDown={(event) => {
        if (event.key === 'Enter') commit(text);
      }}
    />
  );
}

const GROUP: Record<string, Key> = { kind: 'column.kind', state: 'column.status' };

/** The part of the graph to draw, and how many of its nodes may be left out when the room is small. */
function useDrawn(graph: Graph, focus: string, whole: boolean) {
  return useMemo(() => {
    const shown = shownGraph(graph, focus || undefined, whole ? Number.POSITIVE_INFINITY : MOST_NODES);
    const mayShrink = shown.leftOut > 0;
    return { graph: shown, fixed: mayShrink ? shown.fixed : shown.nodes.length };
  }, [graph, focus, whole]);
}

function Drawing({
  graph,
  focus,
  whole,
  groups,
  called,
  width,
}: {
  graph: Graph;
  focus: string;
  whole: boolean;
  groups: Map<string, string[]> | null;
  called: (name: string) => string;
  /** Room as if no panel were open beside the map: nothing moves when one opens. */
  width: number;
}) {
  const { t, num } = useI18n();
  const [search, patch] = useUrl();
  const [place, size] = useSize();
  const height = size?.height ?? null;
  const drawn = useDrawn(graph, focus, whole);
  const request = useMemo(
    (): LayoutRequest | null =>
      height === null
        ? null
        : {
            names: drawn.graph.nodes.map((node) => node.name),
            edges: drawn.graph.edges,
            fixed: drawn.fixed,
            width,
            height,
          },
    [drawn, height, width],
  );
  const { layout, busy } = useLayout(request);
  const shown = layout?.boxes.length ?? drawn.graph.nodes.length;
  const total = graph.nodes.length;
  return (
    <>
      <ResultLine
        stats={undefined}
        running={busy}
        lead={shown < total ? t('map.shown', { n: num(shown), of: num(total) }) : t('map.nodes', { n: num(total) })}
      >
        {shown < total ? (
          <>
            <span>{t('map.rule')}</span>
            <button type="button" className="link pad" onClick={() => patch({ view: 'all' })}>
              {t('map.all', { n: num(total) })}
            </button>
          </>
        ) : whole && total > MOST_NODES ? (
          <button type="button" className="link pad" onClick={() => patch({ view: undefined })}>
            {t('map.fewer')}
          </button>
        ) : null}
      </ResultLine>
      <div ref={place} className="map-place">
        {layout ? (
          <ServiceGraph
            graph={drawn.graph}
            layout={layout}
            label={t('nav.map')}
            selected={search.sel ?? (focus || undefined)}
            onSelect={(name) => patch({ sel: name === search.sel ? undefined : name })}
            called={called}
            {...(groups ? { note: (node) => t('map.members', { n: num(groups.get(node.name)?.length ?? 0) }) } : {})}
          />
        ) : (
          <Running />
        )}
      </div>
      <p className="map-legend">
        {(['ok', 'warn', 'crit', 'unknown'] as const).map((state) => (
          <span key={state} className="glyph-word">
            <span className="glyph" data-status={state} aria-hidden="true">
              {{ ok: '●', warn: '▲', crit: '✕', unknown: '◌' }[state]}
            </span>
            {t(`status.${state}`)}
          </span>
        ))}
        <span>◆ {t('map.service')}</span>
        <span>▤ {t('map.database')}</span>
        <span>≣ {t('map.messaging')}</span>
        <span>↗ {t('map.external')}</span>
        <span>{t('map.width')}</span>
      </p>
    </>
  );
}

function Body({ answer }: { answer: MapAnswer }) {
  const { t } = useI18n();
  const [search, patch] = useUrl();
  const view = oneOf(search.view, VIEWS);
  const keys = useMemo(() => groupKeys(answer.nodes), [answer]);
  const group = keys.find((key) => key === search.group);
  const errors = search.status === 'error';
  const focus = answer.nodes.some((node) => node.name === search.q) ? (search.q ?? '') : '';
  const part = useMemo(() => (errors ? unwellPart(answer) : answer), [answer, errors]);
  const called = useGroupName(group);
  const groups = useMemo(() => (group ? grouped(part, group) : null), [part, group]);
  const graph: Graph = groups ?? part;
  const toggle = (): void => patch({ status: errors ? undefined : 'error' });
  useKeys({ e: toggle });
  const [split, room] = useSize();
  const chosen = graph.nodes.find((node) => node.name === search.sel);
  return (
    <div ref={split} className="split">
      <section className="panel" data-fill="" aria-label={t('nav.map')}>
        <div className="toolbar">
          <FocusInput
            names={answer.nodes.map((node) => node.name)}
            value={focus}
            onCommit={(name) => patch({ q: name, sel: name })}
          />
          <datalist id="map-names">
            {answer.nodes.map((node) => (
              <option key={node.name} value={node.name} />
            ))}
          </datalist>
          <Button size="compact-sm" variant={errors ? 'filled' : 'default'} aria-pressed={errors} onClick={toggle}>
            {t('map.errors')} <span className="kbd">e</span>
          </Button>
          <NativeSelect
            size="xs"
            aria-label={t('map.group')}
            value={group ?? ''}
            onChange={(event) => patch({ group: event.currentTarget.value || undefined, sel: undefined })}
            data={[
              { value: '', label: t('map.ungrouped') },
              ...keys.map((key) => {
                const known = GROUP[key];
                return { value: key, label: t('map.by', { key: known ? t(known) : key }) };
              }),
            ]}
          />
          <span className="grow" />
          <SegmentedControl
            size="xs"
            aria-label={t('map.view')}
            value={view === 'table' ? 'table' : 'map'}
            onChange={(next) => patch({ view: next === 'map' ? undefined : next })}
            data={[
              { value: 'map', label: t('map.drawing') },
              { value: 'table', label: t('sql.table') },
            ]}
          />
        </div>
        {!graph.nodes.length ? (
          <Empty title={t('map.noErrors')}>
            <Button size="compact-xs" variant="default" onClick={toggle}>
              {t('map.everything')}
            </Button>
          </Empty>
        ) : view === 'table' ? (
          <MapTable graph={graph} called={called} />
        ) : room === null ? null : (
          <Drawing
            graph={graph}
            focus={group ? '' : focus}
            whole={view === 'all'}
            groups={groups?.members ?? null}
            called={called}
            width={room.width - BORDERS_PX}
          />
        )}
      </section>
      {chosen ? (
        <MapPanel
          key={chosen.name}
          node={chosen}
          called={called}
          graph={graph}
          members={groups?.members.get(chosen.name) ?? null}
          onClose={() => patch({ sel: undefined })}
        />
      ) : null}
    </div>
  );
}

export function ServiceMap() {
  const { t } = useI18n();
  const { window } = useWindow();
  const queries = useQueryClient();
  const asked = useMap();
  return (
    <div className="screen" data-fill="">
      <div className="crumb">
        <h1>{t('nav.map')}</h1>
        <span className="grow" />
        <ShareMenu
          more={[
            { label: t('share.sql'), text: () => EDGES_SQL },
            { label: t('share.curl'), text: () => curl('/api/map', { from: window.from, to: window.to }) },
          ]}
        />
      </div>
      <StateView
        asked={asked}
        onCancel={() => void queries.cancelQueries({ queryKey: ['map'] })}
        isEmpty={(data) => !data.nodes.length}
        empty={
          <Empty title={t('map.none')}>
            <p>{t('services.noneHint')}</p>
            <To path="/start" className="link">
              {t('nav.start')}
            </To>
          </Empty>
        }
      >
        {(answer) => <Body answer={answer} />}
      </StateView>
    </div>
  );
}
