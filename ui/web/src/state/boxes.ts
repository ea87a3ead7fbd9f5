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
  const left = [...new Set(callers)].filter((each) => each !== name).slice(0, most);
  const right = [...new Set(callees)].filter((each) => each !== name && !left.includes(each)).slice(0, most);
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
    const start = { x: from.x + from.width, y: from.y + from.height / 2 };
    const end = { x: to.x, y: to.y + to.height / 2 };
    return [{ caller, callee, points: [start, end] }];
  };
  const routes = [...left.flatMap((each) => route(each, name)), ...right.flatMap((each) => route(name, each))];
  return { boxes, routes, width, height };
}

/** A route as a smooth SVG path: level at every point, so that lines leave and enter boxes at their sides. */
export function curve(points: readonly Point[]): string {
  const [start, ...rest] = points;
  if (!start || !rest.length) return '';
  let from = start;
  let path = `M${start.x.toFixed(1)} ${start.y.toFixed(1)}`;
  for (const to of rest) {
    const bend = ((from.x + to.x) / 2).toFixed(1);
    path += `C${bend} ${from.y.toFixed(1)} ${bend} ${to.y.toFixed(1)} ${to.x.toFixed(1)} ${to.y.toFixed(1)}`;
    from = to;
  }
  return path;
}
