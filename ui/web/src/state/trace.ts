import type { Span } from '../api/types';

/** A trace as a tree in drawing order: parents before children, siblings by start. */
export interface Tree {
  spans: readonly Span[];
  /** Indexes into `spans`, in drawing order. */
  order: readonly number[];
  parent: readonly number[];
  depth: readonly number[];
  children: readonly (readonly number[])[];
  /** Spans below each span. */
  below: readonly number[];
  byId: ReadonlyMap<string, number>;
}

const ROOT = -1;

/** Spans without a parent in the trace are roots. Cycles, which a broken sender can build, are cut. */
export function treeOf(spans: readonly Span[]): Tree {
  const byId = new Map(spans.map((span, i) => [span.span_id, i]));
  const parent = spans.map((span, i) => {
    const found = span.parent_span_id ? byId.get(span.parent_span_id) : undefined;
    return found === undefined || found === i ? ROOT : found;
  });
  const children: number[][] = spans.map(() => []);
  const roots: number[] = [];
  parent.forEach((p, i) => {
    (children[p] ?? roots).push(i);
  });
  const byStart = (a: number, b: number): number =>
    (spans[a]?.start_offset_ms ?? 0) - (spans[b]?.start_offset_ms ?? 0) || a - b;
  for (const list of children) list.sort(byStart);
  const order: number[] = [];
  const depth = spans.map(() => 0);
  const seen = spans.map(() => false);
  const walk = (root: number): void => {
    const stack = [root];
    while (stack.length) {
      const i = stack.pop() as number;
      if (seen[i]) continue;
      seen[i] = true;
      order.push(i);
      const kids = children[i] ?? [];
      for (let k = kids.length - 1; k >= 0; k--) {
        const kid = kids[k] as number;
        if (seen[kid]) continue;
        depth[kid] = (depth[i] ?? 0) + 1;
        stack.push(kid);
      }
    }
  };
  for (const root of roots.sort(byStart)) walk(root);
  spans.forEach((_, i) => {
    if (seen[i]) return;
    const above = children[parent[i] ?? ROOT];
    above?.splice(above.indexOf(i), 1);
    parent[i] = ROOT;
    walk(i);
  });
  const below = spans.map(() => 0);
  for (let k = order.length - 1; k >= 0; k--) {
    const i = order[k] as number;
    const p = parent[i] ?? ROOT;
    if (p !== ROOT) below[p] = (below[p] ?? 0) + (below[i] ?? 0) + 1;
  }
  return { spans, order, parent, depth, children, below, byId };
}

export type WaterfallRow =
  | { kind: 'span'; index: number }
  | { kind: 'fold'; key: string; indexes: number[]; depth: number };

/** Repeated siblings from this number on are drawn as one row. */
export const FOLD_FROM = 10;

export interface Shown {
  collapsed: ReadonlySet<number>;
  unfolded: ReadonlySet<string>;
  /** Spans that are wanted; null for all. Their ancestors stay visible. */
  wanted: ReadonlySet<number> | null;
}

/** Rows to draw: collapsed subtrees left out, unwanted spans hidden, many equal leaf siblings folded into one row. */
export function rowsOf(tree: Tree, { collapsed, unfolded, wanted }: Shown): WaterfallRow[] {
  const visible = wanted ? withAncestors(tree, wanted) : null;
  const rows: WaterfallRow[] = [];
  const roots = tree.order.filter((i) => tree.parent[i] === ROOT);
  const stack: WaterfallRow[] = [];
  const push = (siblings: readonly number[], parent: number): void => {
    const shown = visible ? siblings.filter((i) => visible.has(i)) : siblings;
    const made = foldSiblings(tree, shown, parent, unfolded);
    for (let k = made.length - 1; k >= 0; k--) stack.push(made[k] as WaterfallRow);
  };
  push(roots, ROOT);
  while (stack.length) {
    const row = stack.pop() as WaterfallRow;
    rows.push(row);
    if (row.kind === 'span' && !collapsed.has(row.index)) push(tree.children[row.index] ?? [], row.index);
  }
  return rows;
}

function foldSiblings(
  tree: Tree,
  siblings: readonly number[],
  parent: number,
  unfolded: ReadonlySet<string>,
): WaterfallRow[] {
  if (siblings.length < FOLD_FROM) return siblings.map((index) => ({ kind: 'span', index }));
  const groups = new Map<string, number[]>();
  for (const i of siblings) {
    const span = tree.spans[i];
    if (!span || tree.children[i]?.length) continue;
    const key = `${parent} ${span.service} ${span.name}`;
    const group = groups.get(key);
    if (group) group.push(i);
    else groups.set(key, [i]);
  }
  const done = new Set<string>();
  return siblings.flatMap((index): WaterfallRow[] => {
    const span = tree.spans[index];
    const key = `${parent} ${span?.service} ${span?.name}`;
    const group = tree.children[index]?.length ? undefined : groups.get(key);
    if (!group || group.length < FOLD_FROM || unfolded.has(key)) return [{ kind: 'span', index }];
    if (done.has(key)) return [];
    done.add(key);
    return [{ kind: 'fold', key, indexes: group, depth: tree.depth[index] ?? 0 }];
  });
}

function withAncestors(tree: Tree, wanted: ReadonlySet<number>): Set<number> {
  const visible = new Set<number>();
  for (const start of wanted) {
    for (let i = start; i !== ROOT && !visible.has(i); i = tree.parent[i] ?? ROOT) visible.add(i);
  }
  return visible;
}

export const isError = (span: Span): boolean => span.status_code.toLowerCase() === 'error';

/** Spans that hold `text` in name, service, kind or an attribute, and are failed or on the critical path when asked. */
export function wantedSpans(tree: Tree, text: string, errorsOnly: boolean, criticalOnly: boolean): Set<number> | null {
  const needle = text.trim().toLowerCase();
  if (!needle && !errorsOnly && !criticalOnly) return null;
  const wanted = new Set<number>();
  tree.spans.forEach((span, i) => {
    if (errorsOnly && !isError(span)) return;
    if (criticalOnly && !span.critical) return;
    if (needle) {
      const own = `${span.service} ${span.name} ${span.kind} ${span.span_id}`.toLowerCase();
      if (
        !own.includes(needle) &&
        !JSON.stringify(span.attributes ?? {})
          .toLowerCase()
          .includes(needle)
      )
        return;
    }
    wanted.add(i);
  });
  return wanted;
}

export interface OperationTotal {
  service: string;
  name: string;
  count: number;
  errors: number;
  totalMs: number;
  selfMs: number;
  maxMs: number;
}

/** Time by service and operation, the largest own time first. */
export function totalsOf(spans: readonly Span[]): OperationTotal[] {
  const totals = new Map<string, OperationTotal>();
  for (const span of spans) {
    const key = `${span.service} ${span.name}`;
    const total = totals.get(key) ?? {
      service: span.service,
      name: span.name,
      count: 0,
      errors: 0,
      totalMs: 0,
      selfMs: 0,
      maxMs: 0,
    };
    total.count += 1;
    total.errors += isError(span) ? 1 : 0;
    total.totalMs += span.duration_ms;
    total.selfMs += span.self_ms;
    total.maxMs = Math.max(total.maxMs, span.duration_ms);
    totals.set(key, total);
  }
  return [...totals.values()].sort((a, b) => b.selfMs - a.selfMs);
}
