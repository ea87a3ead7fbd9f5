/** Places for the boxes of a graph: pure, so that a worker and a test can call it. */
import { Graph as Dagre, layout } from '@dagrejs/dagre';

export interface Box {
  name: string;
  x: number;
  y: number;
  width: number;
  height: number;
}
export interface Point {
  x: number;
  y: number;
}
export interface Route {
  caller: string;
  callee: string;
  points: Point[];
}
export interface Layout {
  /** In reading order: column by column from the left, each from the top. */
  boxes: Box[];
  routes: Route[];
  width: number;
  height: number;
}
export interface LayoutRequest {
  /** Names in order of importance. */
  names: string[];
  edges: { caller: string; callee: string }[];
  /** Room on the screen, in CSS pixels. */
  width: number;
  height: number;
  /** How many of the names must stay when the room is too small for all. Equal to their number: nothing is left out. */
  fixed: number;
}

const MARGIN = 14;
/** Box width and height, gap between rows, gap between columns: from comfortable to as tight as text of 10.5 px allows. */
const SIZES = [
  { width: 158, height: 42, row: 14, column: 56 },
  { width: 142, height: 40, row: 8, column: 40 },
  { width: 126, height: 38, row: 5, column: 28 },
  { width: 108, height: 38, row: 5, column: 22 },
] as const;
type Size = (typeof SIZES)[number];
/** From here on a good order of ranks costs more than a person wants to wait. */
const MANY = 120;

function arranged({ names, edges }: Pick<LayoutRequest, 'names' | 'edges'>, size: Size): Layout {
  const graph = new Dagre();
  graph.setGraph({
    rankdir: 'LR',
    nodesep: size.row,
    ranksep: size.column,
    edgesep: 6,
    marginx: MARGIN,
    marginy: MARGIN,
    ranker: names.length > MANY ? 'longest-path' : 'network-simplex',
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const name of names) graph.setNode(name, { width: size.width, height: size.height });
  // A call to oneself has no place between two boxes.
  const drawn = edges.filter(({ caller, callee }) => caller !== callee);
  for (const { caller, callee } of drawn) graph.setEdge(caller, callee);
  layout(graph);
  const boxes = names.map((name) => {
    const { x, y } = graph.node(name) as Point;
    return { name, x: x - size.width / 2, y: y - size.height / 2, width: size.width, height: size.height };
  });
  boxes.sort((a, b) => a.x - b.x || a.y - b.y);
  const routes = drawn.map(({ caller, callee }) => ({
    caller,
    callee,
    points: (graph.edge(caller, callee) as { points?: Point[] }).points ?? [],
  }));
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return { boxes, routes, width, height };
}

/** The most comfortable layout that fits; where none does, the tightest, after leaving out what matters least. */
export function laidOut(request: LayoutRequest): Layout {
  let names = request.names;
  for (;;) {
    const kept = new Set(names);
    const edges = request.edges.filter(({ caller, callee }) => kept.has(caller) && kept.has(callee));
    let last: Layout | null = null;
    for (const size of names.length > MANY ? SIZES.slice(1, 2) : SIZES) {
      last = arranged({ names, edges }, size);
      if (last.width <= request.width && last.height <= request.height) return last;
    }
    if (names.length <= request.fixed && last) return last;
    names = names.slice(0, Math.max(request.fixed, names.length - 2));
  }
}

/** Callers to the left of `name`, what it calls to the right, at most `most` on each side. */
export function oneHop(name: string, callers: string[], callees: string[], width: number, most: number): Layout {
  const size = { width: Math.min(168, Math.max(118, (width - 120) / 3)), height: 40 };
  const step = size.height + 10;
  const [left, right] = [
    callers.slice(0, most),
    callees.filter((each) => !callers.slice(0, most).includes(each)).slice(0, most),
  ];
  const rows = Math.max(left.length, right.length, 1);
  const height = rows * step - 10 + 2 * MARGIN;
  const column = (names: string[], x: number): Box[] =>
    names.map((each, i) => ({
      name: each,
      x,
      y: height / 2 + (i - (names.length - 1) / 2) * step - size.height / 2,
      ...size,
    }));
  const middle = column([name], (width - size.width) / 2);
  const boxes = [...column(left, MARGIN), ...middle, ...column(right, width - size.width - MARGIN)];
  const at = new Map(boxes.map((box) => [box.name, box]));
  const route = (caller: string, callee: string): Route[] => {
    const [from, to] = [at.get(caller), at.get(callee)];
    if (!from || !to) return [];
    const [a, b] = [
      { x: from.x + from.width, y: from.y + from.height / 2 },
      { x: to.x, y: to.y + to.height / 2 },
    ];
    const bend = (a.x + b.x) / 2;
    return [{ caller, callee, points: [a, { x: bend, y: a.y }, { x: bend, y: b.y }, b] }];
  };
  const routes = [...left.flatMap((each) => route(each, name)), ...right.flatMap((each) => route(name, each))];
  return { boxes, routes, width, height };
}

/** A route as a smooth SVG path. */
export function curve(points: readonly Point[]): string {
  const [start, ...rest] = points;
  const end = rest.at(-1);
  if (!start || !end) return '';
  const at = ({ x, y }: Point): string => `${x.toFixed(1)} ${y.toFixed(1)}`;
  const bends = rest.slice(0, -1).map((point, i) => {
    const next = rest[i + 1] ?? end;
    const stop = i === rest.length - 2 ? next : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
    return `Q${at(point)} ${at(stop)}`;
  });
  return `M${at(start)}${bends.join('')}L${at(end)}`;
}
