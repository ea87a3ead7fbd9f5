import { describe, expect, it } from 'vitest';
import { map } from '../../fixture/map';
import { type Box, curve, oneHop } from './boxes';
import { shownGraph } from './graph';
import { laidOut } from './layout';

const HOUR = 3_600_000;
const overlap = (a: Box, b: Box): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

function request(nodes: number, width: number, height: number) {
  const shown = shownGraph(map(0, HOUR, nodes), undefined);
  const names = shown.nodes.map((node) => node.name);
  return { names, edges: shown.edges, width, height, fixed: shown.leftOut ? shown.fixed : names.length };
}

describe('layout', () => {
  it('fits a small shop into the map at 1280 px without overlaps, in reading order', () => {
    const { boxes, width, height } = laidOut(request(0, 1058, 582));
    expect(width).toBeLessThanOrEqual(1058);
    expect(height).toBeLessThanOrEqual(582);
    for (const [i, a] of boxes.entries()) for (const b of boxes.slice(i + 1)) expect(overlap(a, b)).toBe(false);
    expect(boxes.map((box) => box.name)).toEqual(
      [...boxes].sort((a, b) => a.x - b.x || a.y - b.y).map((box) => box.name),
    );
  });
  it('leaves out the least important of many until all that fails is in view', () => {
    const asked = request(300, 1058, 400);
    const { boxes, height } = laidOut(asked);
    expect(height).toBeLessThanOrEqual(400);
    expect(boxes.length).toBeLessThan(asked.names.length);
    const drawn = boxes.map((box) => box.name);
    for (const name of asked.names.slice(0, asked.fixed)) expect(drawn).toContain(name);
  });
  it('never leaves out what must stay, however small the room', () => {
    expect(laidOut(request(0, 200, 100)).boxes.length).toBe(20);
  });
  it('lays out 300 nodes, cycles and calls to oneself', () => {
    const graph = map(0, HOUR, 300);
    const names = graph.nodes.map((node) => node.name);
    const edges = [...graph.edges, { caller: 'payment', callee: 'checkout' }, { caller: 'cart', callee: 'cart' }];
    const { boxes, routes } = laidOut({ names, edges, width: 1000, height: 600, fixed: names.length });
    expect(boxes.length).toBe(300);
    expect(routes.every((route) => route.points.length >= 2)).toBe(true);
  });
  it('has an empty layout for nothing', () => {
    expect(laidOut({ names: [], edges: [], width: 100, height: 100, fixed: 0 }).boxes).toEqual([]);
  });
});

describe('one hop', () => {
  it('puts callers left and callees right, and says nothing twice', () => {
    const { boxes, routes, width } = oneHop('b', ['a', 'c'], ['c', 'd'], 900, 7);
    expect(boxes.map((box) => box.name)).toEqual(['a', 'c', 'b', 'd']);
    expect(routes.length).toBe(3);
    expect(Math.max(...boxes.map((box) => box.x + box.width))).toBeLessThanOrEqual(width);
  });
  it('draws curves from side to side', () => {
    expect(curve([])).toBe('');
    expect(
      curve([
        { x: 0, y: 0 },
        { x: 10, y: 4 },
      ]),
    ).toBe('M0.0 0.0C5.0 0.0 5.0 4.0 10.0 4.0');
  });
});
