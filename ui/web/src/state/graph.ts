/** Which part of the service graph is drawn: what fails, what is looked at, and what is nearest to both by traffic. */
import type { Health, MapEdge, MapNode } from '../api/reliability';
import { DEGRADED_RATIO, FAILING_RATIO, ratioTo, SLOWER_FACTOR } from './health';

export interface Graph {
  nodes: MapNode[];
  edges: MapEdge[];
}
export interface Shown extends Graph {
  /** Nodes in order of importance; the first `fixed` of them are never left out. */
  fixed: number;
  leftOut: number;
}

/** Above this many nodes a drawing explains nothing. */
export const MOST_NODES = 24;

const NEED: Record<Health, number> = { crit: 0, warn: 1, ok: 2, unknown: 3 };
export const isUnwell = (node: MapNode): boolean => node.state === 'crit' || node.state === 'warn';

/** What the caller sees of the callee: its errors, else a latency far above the period before. */
export function edgeHealth(edge: MapEdge): Health {
  if (!edge.calls) return 'unknown';
  const ratio = edge.error_ratio ?? 0;
  if (ratio >= FAILING_RATIO) return 'crit';
  if (ratio >= DEGRADED_RATIO) return 'warn';
  const change = ratioTo(edge.client_p95_ms, edge.previous?.client_p95_ms);
  return change !== null && change >= SLOWER_FACTOR ? 'warn' : 'ok';
}

/** Names in order of importance: failing, the focus, degraded, then hop by hop along the busiest edges. */
function byImportance({ nodes, edges }: Graph, focus: string | undefined): string[] {
  const first = [...nodes]
    .filter((node) => isUnwell(node) || node.name === focus)
    .sort(
      (a, b) => NEED[a.state] - NEED[b.state] || Number(b.name === focus) - Number(a.name === focus) || b.rate - a.rate,
    )
    .map((node) => node.name);
  const found = new Set(first);
  const busiest = [...edges].sort((a, b) => b.rate - a.rate);
  for (let near = first; near.length; ) {
    const reached = new Set(near);
    near = [];
    for (const { caller, callee } of busiest) {
      const next = reached.has(caller) ? callee : reached.has(callee) ? caller : null;
      if (next === null || found.has(next)) continue;
      found.add(next);
      near.push(next);
    }
  }
  const rest = nodes.filter((node) => !found.has(node.name)).sort((a, b) => b.rate - a.rate);
  return [...found, ...rest.map((node) => node.name)];
}

/** The part with the names `kept`, nodes in that order. */
export function part({ nodes, edges }: Graph, kept: readonly string[]): Graph {
  const place = new Map(kept.map((name, i) => [name, i]));
  return {
    nodes: nodes
      .filter((node) => place.has(node.name))
      .sort((a, b) => (place.get(a.name) ?? 0) - (place.get(b.name) ?? 0)),
    edges: edges.filter((edge) => place.has(edge.caller) && place.has(edge.callee)),
  };
}

/** At most `most` nodes; all that fail and the focus are among them, whatever `most` says. */
export function shownGraph(graph: Graph, focus: string | undefined, most = MOST_NODES): Shown {
  const ordered = byImportance(graph, focus);
  const fixed = graph.nodes.filter((node) => node.state === 'crit' || node.name === focus).length;
  const kept = ordered.slice(0, Math.max(most, fixed));
  return { ...part(graph, kept), fixed, leftOut: ordered.length - kept.length };
}

/** Unhealthy nodes and the two ends of calls that fail. */
export function unwellPart(graph: Graph): Graph {
  const kept = new Set(graph.nodes.filter(isUnwell).map((node) => node.name));
  for (const edge of graph.edges) {
    if (['crit', 'warn'].includes(edgeHealth(edge))) {
      kept.add(edge.caller);
      kept.add(edge.callee);
    }
  }
  return part(graph, [...kept]);
}

/** What nodes can be grouped by: their kind, their health, and every label that at least one of them carries. */
export function groupKeys(nodes: readonly MapNode[]): string[] {
  const labels = new Set(nodes.flatMap((node) => Object.keys(node.labels ?? {})));
  return ['kind', 'state', ...[...labels].sort()];
}

const groupOf = (node: MapNode, key: string): string =>
  key === 'kind' ? node.kind : key === 'state' ? node.state : (node.labels?.[key] ?? '–');

/** One node for each value of `key`, as unwell as its worst member; percentiles cannot be added and stay unknown. */
export function grouped({ nodes, edges }: Graph, key: string): Graph & { members: Map<string, string[]> } {
  const members = new Map<string, string[]>();
  const groups = new Map<string, MapNode>();
  const of = new Map<string, string>();
  for (const node of nodes) {
    const name = groupOf(node, key);
    of.set(node.name, name);
    members.set(name, [...(members.get(name) ?? []), node.name]);
    const now = groups.get(name);
    const calls = (now?.calls ?? 0) + node.calls;
    const errors = (now?.errors ?? 0) + node.errors;
    groups.set(name, {
      name,
      kind: now && now.kind !== node.kind ? 'service' : node.kind,
      slot: now?.slot ?? node.slot,
      calls,
      rate: (now?.rate ?? 0) + node.rate,
      errors,
      error_ratio: calls ? errors / calls : null,
      p95_ms: null,
      state: now && NEED[now.state] <= NEED[node.state] ? now.state : node.state,
      incident_id: now?.incident_id ?? node.incident_id,
    });
  }
  return { nodes: [...groups.values()], edges: joined(edges, of), members };
}

/** Edges between groups, added up; what stays inside a group is not drawn. */
function joined(edges: readonly MapEdge[], of: ReadonlyMap<string, string>): MapEdge[] {
  const sums = new Map<string, MapEdge>();
  for (const edge of edges) {
    const [caller, callee] = [of.get(edge.caller), of.get(edge.callee)];
    if (caller === undefined || callee === undefined || caller === callee) continue;
    const key = JSON.stringify([caller, callee]);
    const now = sums.get(key);
    const calls = (now?.calls ?? 0) + edge.calls;
    const errors = (now?.errors ?? 0) + edge.errors;
    sums.set(key, {
      ...edge,
      caller,
      callee,
      calls,
      errors,
      rate: (now?.rate ?? 0) + edge.rate,
      error_ratio: calls ? errors / calls : null,
      client_p95_ms: null,
      server_p95_ms: null,
      previous: null,
      exemplar_trace_id: null,
    });
  }
  return [...sums.values()];
}
