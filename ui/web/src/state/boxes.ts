/** Boxes and lines of a drawing of services, and drawings simple enough to be placed at once. */

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

const MARGIN = 14;

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
