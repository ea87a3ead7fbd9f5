/** Places for the boxes of a graph: pure, so that a worker and a test can call it. */
import { Graph as Dagre, layout as place } from '@dagrejs/dagre';
import type { Box, Layout, Point } from './boxes';

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
const ROOMY = { width: 158, height: 42, row: 14, column: 56 };
const TIGHT = { width: 140, height: 38, row: 5, column: 48 };
type Size = typeof ROOMY;
/** Gaps between columns, the widest first, and the narrowest box that a name still fits into. */
const COLUMN_GAPS = [56, 40, 28, 20];
const GOOD_WIDTH = 140;
const LEAST_WIDTH = 106;
const MOST_WIDTH = 172;
/** Heights of boxes with the gap between rows, from comfortable to as tight as text of 10.5 px allows. */
const ROWS: readonly (readonly [height: number, row: number])[] = [
  [44, 40],
  [44, 26],
  [42, 14],
  [40, 8],
  [38, 5],
];
/** So many are never brought to fit a screen: they are laid out once, and people scroll. */
const MANY = 120;

/**
 * The points of a line from the side of one box to the side of another. Where it passes a column it stays level for the
 * width of a box, and climbs only in the gaps between columns: no line runs behind a box that it does not belong to.
 */
function throughGaps(points: Point[], from: Box | undefined, to: Box | undefined): Point[] {
  if (!from || !to) return points;
  const back = to.x < from.x;
  const start = { x: back ? from.x : from.x + from.width, y: from.y + from.height / 2 };
  const end = { x: back ? to.x + to.width : to.x, y: to.y + to.height / 2 };
  const half = (back ? -from.width : from.width) / 2;
  // The outer two points on each end are the border of the box and the gap next to it.
  const passed = points.slice(2, -2).filter((_, i) => i % 2 === 0);
  return [
    start,
    ...passed.flatMap(({ x, y }) => [
      { x: x - half, y },
      { x: x + half, y },
    ]),
    end,
  ];
}

function arranged({ names, edges }: Pick<LayoutRequest, 'names' | 'edges'>, size: Size): Layout {
  const graph = new Dagre();
  graph.setGraph({
    rankdir: 'LR',
    nodesep: size.row,
    ranksep: size.column,
    edgesep: 6,
    marginx: MARGIN,
    marginy: MARGIN,
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const name of names) graph.setNode(name, { width: size.width, height: size.height });
  // One line for all calls between two boxes; a call to oneself has no place between two.
  const once = new Map(edges.map((edge) => [JSON.stringify([edge.caller, edge.callee]), edge]));
  const drawn = [...once.values()].filter(({ caller, callee }) => caller !== callee);
  for (const { caller, callee } of drawn) graph.setEdge(caller, callee);
  place(graph);
  const boxes = names.map((name) => {
    const { x, y } = graph.node(name) as Point;
    return { name, x: x - size.width / 2, y: y - size.height / 2, width: size.width, height: size.height };
  });
  boxes.sort((a, b) => a.x - b.x || a.y - b.y);
  const at = new Map(boxes.map((box) => [box.name, box]));
  const routes = drawn.map(({ caller, callee }) => ({
    caller,
    callee,
    points: throughGaps(
      (graph.edge(caller, callee) as { points?: Point[] }).points ?? [],
      at.get(caller),
      at.get(callee),
    ),
  }));
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return { boxes, routes, width, height };
}

/** Box width and column gap with which `columns` columns fill the room. */
function columnsIn(room: number, columns: number): { width: number; column: number } {
  const widthAt = (gap: number): number => Math.floor((room - 2 * MARGIN - (columns - 1) * gap) / columns);
  const column = COLUMN_GAPS.find((gap) => widthAt(gap) >= GOOD_WIDTH) ?? COLUMN_GAPS.at(-1) ?? 0;
  return { column, width: Math.max(LEAST_WIDTH, Math.min(MOST_WIDTH, widthAt(column))) };
}

/** The most comfortable layout that fits the room, else the tightest one. */
function fitted(names: string[], edges: LayoutRequest['edges'], { width, height }: LayoutRequest): [Layout, boolean] {
  if (names.length > MANY) return [arranged({ names, edges }, TIGHT), false];
  const first = arranged({ names, edges }, ROOMY);
  const columns = columnsIn(width, new Set(first.boxes.map((box) => Math.round(box.x))).size);
  let last = first;
  for (const [tall, row] of ROWS) {
    last = arranged({ names, edges }, { ...columns, height: tall, row });
    if (last.width <= width && last.height <= height) return [last, true];
  }
  return [last, false];
}

/** All names laid out; where they do not fit, those that matter least are left out, but never the first `fixed`. */
export function laidOut(request: LayoutRequest): Layout {
  let names = request.names;
  for (;;) {
    const kept = new Set(names);
    const edges = request.edges.filter(({ caller, callee }) => kept.has(caller) && kept.has(callee));
    const [layout, fits] = fitted(names, edges, request);
    if (fits || names.length <= request.fixed) return layout;
    names = names.slice(0, Math.max(request.fixed, names.length - 2));
  }
}
