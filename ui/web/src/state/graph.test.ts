import { describe, expect, it } from 'vitest';
import { map } from '../../fixture/map';
import type { MapNode } from '../api/reliability';
import { edgeHealth, grouped, groupKeys, MOST_NODES, shownGraph, unwellPart } from './graph';

const HOUR = 3_600_000;
const shop = map(0, HOUR, 0);
const large = map(0, HOUR, 300);
const failing = (nodes: MapNode[]): string[] => nodes.filter((node) => node.state === 'crit').map((node) => node.name);

describe('what is drawn', () => {
  it('is everything up to the cap', () => {
    const shown = shownGraph(shop, undefined);
    expect(shown.nodes.length).toBe(shop.nodes.length);
    expect(shown.leftOut).toBe(0);
  });
  it('above it is all that fails, the focus, and what is near; the rest is counted', () => {
    const shown = shownGraph(large, 'svc-120');
    expect(shown.nodes.length).toBe(MOST_NODES);
    expect(shown.leftOut).toBe(300 - MOST_NODES);
    expect(failing(shown.nodes).sort()).toEqual(failing(large.nodes).sort());
    expect(shown.nodes.map((node) => node.name)).toContain('svc-120');
    const names = new Set(shown.nodes.map((node) => node.name));
    expect(shown.edges.every((edge) => names.has(edge.caller) && names.has(edge.callee))).toBe(true);
  });
  it('holds more than the cap when more than that fail', () => {
    const burning = {
      ...large,
      nodes: large.nodes.map((node, i) => (i < 40 ? { ...node, state: 'crit' as const } : node)),
    };
    const shown = shownGraph(burning, undefined);
    expect(failing(shown.nodes).length).toBe(failing(burning.nodes).length);
  });
  it('survives nodes without calls and calls to oneself', () => {
    const [node] = shop.nodes as [MapNode];
    expect(shownGraph({ nodes: [node], edges: [] }, 'no such').nodes).toEqual([node]);
    expect(shownGraph({ nodes: [], edges: [] }, undefined)).toEqual({ nodes: [], edges: [], fixed: 0, leftOut: 0 });
  });
});

describe('errors only', () => {
  it('keeps what is unwell and who calls it', () => {
    const names = unwellPart(shop).nodes.map((node) => node.name);
    expect(names).toContain('payment');
    expect(names).toContain('checkout');
    expect(names).not.toContain('recommend');
  });
  it('judges a call by its errors, then by its latency against before', () => {
    const [edge] = shop.edges as [(typeof shop.edges)[0]];
    const calm = { ...edge, calls: 100, error_ratio: 0, client_p95_ms: 10 };
    expect(edgeHealth({ ...calm, previous: null })).toBe('ok');
    expect(edgeHealth({ ...calm, error_ratio: 0.02 })).toBe('warn');
    expect(edgeHealth({ ...calm, error_ratio: 0.06 })).toBe('crit');
    expect(edgeHealth({ ...calm, previous: { rate: 1, error_ratio: 0, client_p95_ms: 4 } })).toBe('warn');
    expect(edgeHealth({ ...calm, calls: 0 })).toBe('unknown');
  });
});

describe('groups', () => {
  it('are as unwell as their worst member and add up', () => {
    const groups = grouped(shop, 'team');
    expect(groupKeys(shop.nodes)).toEqual(['kind', 'state', 'team']);
    expect([...groups.members.values()].flat().length).toBe(shop.nodes.length);
    const calls = (nodes: MapNode[]): number => nodes.reduce((sum, node) => sum + node.calls, 0);
    expect(calls(groups.nodes)).toBe(calls(shop.nodes));
    const team = shop.nodes.find((node) => node.name === 'payment')?.labels?.team;
    expect(groups.nodes.find((node) => node.name === team)?.state).toBe('crit');
    expect(groups.edges.every((edge) => edge.caller !== edge.callee)).toBe(true);
  });
  it('gather nodes without the label', () => {
    expect(grouped(shop, 'no-such-label').nodes.map((node) => node.name)).toEqual(['–']);
  });
});
