import { type KeyboardEvent, type PointerEvent, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { MapEdge, MapNode } from '../api/reliability';
import { STATUS_GLYPH, type Status, slotColour, slotRepeats } from '../design/tokens';
import { type Key, useI18n } from '../i18n';
import { type Box, curve, type Layout } from '../state/boxes';
import { edgeHealth, type Graph } from '../state/graph';
import './map.css';
import { useScheme } from './marks';

const KIND_GLYPH: Record<MapNode['kind'], string> = { service: '◆', database: '▤', messaging: '≣', external: '↗' };
const KIND_NAME: Record<MapNode['kind'], Key> = {
  service: 'map.service',
  database: 'map.database',
  messaging: 'map.messaging',
  external: 'map.external',
};
const STATE_NAME: Record<MapNode['state'], Key> = {
  ok: 'status.ok',
  warn: 'status.warn',
  crit: 'status.crit',
  unknown: 'status.unknown',
};
const LINE: Record<Status, string> = {
  ok: 'var(--ink3)',
  unknown: 'var(--line)',
  warn: 'var(--status-warn)',
  crit: 'var(--status-crit)',
};
const STATUSES: Status[] = ['ok', 'warn', 'crit', 'unknown'];

interface ServiceGraphProps {
  graph: Graph;
  layout: Layout;
  label: string;
  /** Node that is selected or that the drawing is about. */
  selected?: string | undefined;
  onSelect: (name: string) => void;
  /** What a node is called, where that is not its name. */
  called?: (name: string) => string;
  /** What a node says in its second line in place of its rate and latency. */
  note?: (node: MapNode) => string | undefined;
}

const itself = (name: string): string => name;

function useNodeText(): (node: MapNode, note?: string) => { line: string; spoken: string } {
  const { t, perSecond, duration, percent } = useI18n();
  return (node, note) => {
    const bad = node.state === 'crit' || node.state === 'warn';
    const parts = [
      perSecond(node.rate),
      node.p95_ms === null ? null : duration(node.p95_ms),
      bad ? percent(node.error_ratio) : null,
    ];
    const line = note ?? parts.filter(Boolean).join(' · ');
    const spoken = `, ${t(KIND_NAME[node.kind] ?? 'map.external')}, ${t(STATE_NAME[node.state])}: `;
    return { line, spoken };
  };
}

function Edges({ graph, layout, hot }: { graph: Graph; layout: Layout; hot: string | null }) {
  const { perSecond, percent, duration } = useI18n();
  const edges = useMemo(() => new Map(graph.edges.map((edge) => [`${edge.caller}\n${edge.callee}`, edge])), [graph]);
  const said = (edge: MapEdge): string =>
    `${edge.caller} → ${edge.callee}: ${perSecond(edge.rate)}, ${percent(edge.error_ratio)}, p95 ${duration(edge.client_p95_ms)}`;
  return (
    <svg className="map-edges" width={layout.width} height={layout.height} aria-hidden="true">
      <defs>
        {STATUSES.map((status) => (
          <marker
            key={status}
            id={`arrow-${status}`}
            viewBox="0 0 8 8"
            refX="7"
            refY="4"
            markerWidth="7"
            markerHeight="7"
            markerUnits="userSpaceOnUse"
            orient="auto"
          >
            <path d="M0 0L8 4L0 8z" fill={LINE[status]} />
          </marker>
        ))}
      </defs>
      {layout.routes.map(({ caller, callee, points }) => {
        const edge = edges.get(`${caller}\n${callee}`);
        if (!edge) return null;
        const health = edgeHealth(edge);
        return (
          <path
            key={`${caller} ${callee}`}
            d={curve(points)}
            fill="none"
            stroke={LINE[health]}
            strokeWidth={1 + Math.log10(1 + edge.rate) * (health === 'ok' ? 0.4 : 0.75)}
            strokeDasharray={health === 'crit' ? '7 4' : undefined}
            data-health={health}
            data-dim={(hot !== null && hot !== caller && hot !== callee) || undefined}
            markerEnd={`url(#arrow-${health})`}
          >
            <title>{said(edge)}</title>
          </path>
        );
      })}
    </svg>
  );
}

/** The rectangle around boxes. */
function around(boxes: readonly Box[]): Box | null {
  const first = boxes[0];
  if (!first) return null;
  const [x, y] = [Math.min(...boxes.map((box) => box.x)), Math.min(...boxes.map((box) => box.y))];
  const width = Math.max(...boxes.map((box) => box.x + box.width)) - x;
  const height = Math.max(...boxes.map((box) => box.y + box.height)) - y;
  return { name: first.name, x, y, width, height };
}

/** Where to look first: at all that fails where that fits the view, else at what is selected or fails first. */
function restingPlace(boxes: readonly Box[], graph: Graph, selected: string | undefined, view: Element): Box | null {
  const failing = new Set(graph.nodes.filter((node) => node.state === 'crit').map((node) => node.name));
  const bad = boxes.filter((box) => failing.has(box.name));
  const all = around(bad);
  if (all && all.width <= view.clientWidth && all.height <= view.clientHeight) return all;
  return boxes.find((box) => box.name === selected) ?? bad[0] ?? null;
}

/** Dragging the ground moves it under the eye, as a map does. */
function usePan() {
  const grip = useRef<{ x: number; y: number; left: number; top: number } | null>(null);
  return {
    onPointerDown: (event: PointerEvent<HTMLDivElement>) => {
      if (event.button !== 0 || (event.target as HTMLElement).closest('button')) return;
      const { scrollLeft, scrollTop } = event.currentTarget;
      grip.current = { x: event.clientX, y: event.clientY, left: scrollLeft, top: scrollTop };
      event.currentTarget.setPointerCapture(event.pointerId);
    },
    onPointerMove: (event: PointerEvent<HTMLDivElement>) => {
      const from = grip.current;
      if (!from) return;
      event.currentTarget.scrollLeft = from.left - (event.clientX - from.x);
      event.currentTarget.scrollTop = from.top - (event.clientY - from.y);
    },
    onPointerUp: () => {
      grip.current = null;
    },
  };
}

/** Boxes and their calls. Boxes are buttons in reading order; the arrows move between them. */
export function ServiceGraph({ graph, layout, label, selected, onSelect, called = itself, note }: ServiceGraphProps) {
  const scheme = useScheme();
  const textOf = useNodeText();
  const [hot, setHot] = useState<string | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const pan = usePan();
  const nodes = useMemo(() => new Map(graph.nodes.map((node) => [node.name, node])), [graph]);
  const near = useMemo(() => {
    if (hot === null) return null;
    const names = new Set([hot]);
    for (const { caller, callee } of graph.edges) {
      if (caller === hot) names.add(callee);
      if (callee === hot) names.add(caller);
    }
    return names;
  }, [hot, graph]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only a new layout moves the view, not a click on a node
  useLayoutEffect(() => {
    const view = box.current;
    const rest = view && restingPlace(layout.boxes, graph, selected, view);
    if (!rest) return;
    view.scrollLeft = Math.max(0, rest.x + rest.width / 2 - view.clientWidth / 2);
    view.scrollTop = Math.max(0, rest.y + rest.height / 2 - view.clientHeight / 2);
  }, [layout]);
  useEffect(() => {
    if (selected)
      box.current?.querySelector('[aria-pressed="true"]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [selected]);
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>): void => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step || !(event.target instanceof HTMLButtonElement)) return;
    event.preventDefault();
    const all = [...event.currentTarget.querySelectorAll<HTMLButtonElement>('button')];
    all[all.indexOf(event.target) + step]?.focus();
  };
  return (
    <div ref={box} className="map-view" role="group" aria-label={label} onKeyDown={onKeyDown} {...pan}>
      <div className="map-ground" style={{ width: layout.width, height: layout.height }}>
        <Edges graph={graph} layout={layout} hot={hot} />
        {layout.boxes.map(({ name, x, y, width, height }) => {
          const node = nodes.get(name);
          if (!node) return null;
          const { line, spoken } = textOf(node, note?.(node));
          return (
            <button
              key={name}
              type="button"
              className="map-node"
              data-state={node.state}
              data-kind={node.kind}
              data-dim={(near !== null && !near.has(name)) || undefined}
              aria-pressed={name === selected}
              title={called(name)}
              style={{ left: x, top: y, width, height }}
              onClick={() => onSelect(name)}
              onPointerEnter={() => setHot(name)}
              onPointerLeave={() => setHot(null)}
              onFocus={() => setHot(name)}
              onBlur={() => setHot(null)}
            >
              <i
                className="map-slot"
                data-hatch={(node.slot !== null && slotRepeats(node.slot)) || undefined}
                style={{ backgroundColor: node.slot === null ? 'var(--ink3)' : slotColour(scheme, node.slot) }}
              />
              <span className="map-name">
                <span aria-hidden="true">{KIND_GLYPH[node.kind] ?? '↗'}</span> {called(name)}
              </span>
              <span className="offscreen">{spoken}</span>
              <span className="map-glyph glyph" data-status={node.state} aria-hidden="true">
                {STATUS_GLYPH[node.state]}
              </span>
              <span className="map-line num">{line}</span>
            </button>
          );
        })}
      </div>
    </div>
  );
}
