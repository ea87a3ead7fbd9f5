//! Pure: spans of one trace -> order, corrected times, self time, critical path.
//!
//! Nothing here recurses: a trace may be a chain of 10^6 spans. Input is arbitrary (unknown parents, cycles, repeated ids,
//! clocks that differ); what had to be bent is said in [`Tree::notes`].

use std::collections::HashMap;

/// What the tree needs to know of a span. Times are nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub span_id: &'a str,
    pub parent_span_id: Option<&'a str>,
    pub start_unix_nano: i64,
    /// Never negative.
    pub duration_nano: i64,
    /// Spans of one clock domain (a host) are never moved against each other.
    pub clock_domain: u64,
    pub kind: Kind,
}

/// Which ends of a call the rules below need to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Client,
    Server,
    Other,
}

/// Where a span stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of its parent; `None` for roots, which include spans whose parent is not there.
    pub parent: Option<usize>,
    pub depth: u32,
    /// Start after clock correction, from the start of the trace.
    pub start_offset_nano: i64,
    /// What was added to the start to correct the clock.
    pub clock_shift_nano: i64,
    /// Duration without the time in which children ran.
    pub self_nano: i64,
    /// Whether making it shorter would have made the trace shorter.
    pub critical: bool,
    /// Its parent was named but is not there.
    pub orphan: bool,
    /// It was its own ancestor until the link to its parent was cut.
    pub cycle_cut: bool,
}

/// A time in which no span of the trace ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From the start of the trace.
    pub start_offset_nano: i64,
    /// Its length.
    pub duration_nano: i64,
}

/// The spans of one trace, put in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    /// By index of the input.
    pub places: Vec<Place>,
    /// Indexes: parents before children, siblings by start.
    pub order: Vec<usize>,
    pub start_unix_nano: i64,
    pub duration_nano: i64,
    pub gaps: Vec<Gap>,
    pub notes: Vec<String>,
}

/// Longest list of one kind of note; the rest is counted.
const MAX_NOTES: usize = 5;

/// Puts the spans of one trace in order.
pub(crate) fn tree(nodes: &[Node<'_>]) -> Tree {
    let mut notes = Vec::new();
    let mut links = parents(nodes, &mut notes);
    cut_cycles(nodes, &mut links, &mut notes);
    let children = children(nodes, &links.parent);
    let (order, depth) = depth_first(nodes, &links.parent, &children);
    let shifts = clock_shifts(nodes, &links.parent, &order);
    let shifted = shifts.iter().filter(|shift| **shift != 0).count();
    if shifted > 0 {
        notes.push(format!("{shifted} spans were moved because their host's clock differs from their parent's"));
    }

    let starts: Vec<i64> =
        nodes.iter().zip(&shifts).map(|(n, shift)| n.start_unix_nano.saturating_add(*shift)).collect();
    let ends: Vec<i64> = nodes.iter().zip(&starts).map(|(n, start)| start.saturating_add(n.duration_nano)).collect();
    let start = starts.iter().copied().min().unwrap_or(0);
    let end = ends.iter().copied().max().unwrap_or(0);
    let critical = critical_path(&links.parent, &children, &order, &starts, &ends);
    let places = (0..nodes.len())
        .map(|i| Place {
            parent: links.parent[i],
            depth: depth[i],
            start_offset_nano: starts[i].saturating_sub(start),
            clock_shift_nano: shifts[i],
            self_nano: self_time(i, &children[i], &starts, &ends),
            critical: critical[i],
            orphan: links.orphan[i],
            cycle_cut: links.cycle_cut[i],
        })
        .collect();
    let gaps = gaps(&starts, &ends, start);
    Tree { places, order, start_unix_nano: start, duration_nano: end.saturating_sub(start), gaps, notes }
}

struct Links {
    parent: Vec<Option<usize>>,
    orphan: Vec<bool>,
    cycle_cut: Vec<bool>,
}

fn parents(nodes: &[Node<'_>], notes: &mut Vec<String>) -> Links {
    let mut by_id: HashMap<&str, usize> = HashMap::with_capacity(nodes.len());
    let mut repeated = 0;
    for (i, node) in nodes.iter().enumerate() {
        if *by_id.entry(node.span_id).or_insert(i) != i {
            repeated += 1;
        }
    }
    if repeated > 0 {
        notes.push(format!("{repeated} spans repeat the id of another; children hang on the first of them"));
    }
    let mut links = Links {
        parent: vec![None; nodes.len()],
        orphan: vec![false; nodes.len()],
        cycle_cut: vec![false; nodes.len()],
    };
    for (i, node) in nodes.iter().enumerate() {
        let Some(wanted) = node.parent_span_id else { continue };
        match by_id.get(wanted) {
            Some(parent) => links.parent[i] = Some(*parent),
            None => links.orphan[i] = true,
        }
    }
    let orphans = links.orphan.iter().filter(|orphan| **orphan).count();
    if orphans > 0 {
        notes.push(format!("{orphans} spans name a parent that is not stored; they stand at the top"));
    }
    links
}

/// Cuts each cycle above its span that starts first.
fn cut_cycles(nodes: &[Node<'_>], links: &mut Links, notes: &mut Vec<String>) {
    // The walk that saw a span first; 0 is unseen.
    let mut seen_by = vec![0usize; nodes.len()];
    let mut cuts = 0;
    for first in 0..nodes.len() {
        let walk = first + 1;
        let mut at = first;
        while seen_by[at] == 0 {
            seen_by[at] = walk;
            match links.parent[at] {
                Some(parent) => at = parent,
                None => break,
            }
        }
        if links.parent[at].is_none() || seen_by[at] != walk {
            continue;
        }
        // `at` was reached twice in this walk: it lies on a cycle.
        let mut earliest = at;
        let mut around = links.parent[at].unwrap_or(at);
        while around != at {
            if key(nodes, around) < key(nodes, earliest) {
                earliest = around;
            }
            around = links.parent[around].unwrap_or(at);
        }
        links.parent[earliest] = None;
        links.cycle_cut[earliest] = true;
        cuts += 1;
        if cuts <= MAX_NOTES {
            notes.push(format!("cycle cut at span {}", nodes[earliest].span_id));
        }
    }
    if cuts > MAX_NOTES {
        notes.push(format!("{} more cycles cut", cuts - MAX_NOTES));
    }
}

fn key<'a>(nodes: &[Node<'a>], i: usize) -> (i64, &'a str, usize) {
    (nodes[i].start_unix_nano, nodes[i].span_id, i)
}

fn children(nodes: &[Node<'_>], parent: &[Option<usize>]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); nodes.len()];
    for (i, parent) in parent.iter().enumerate() {
        if let Some(parent) = parent {
            children[*parent].push(i);
        }
    }
    for siblings in &mut children {
        siblings.sort_unstable_by_key(|i| key(nodes, *i));
    }
    children
}

fn depth_first(nodes: &[Node<'_>], parent: &[Option<usize>], children: &[Vec<usize>]) -> (Vec<usize>, Vec<u32>) {
    let mut roots: Vec<usize> = (0..nodes.len()).filter(|i| parent[*i].is_none()).collect();
    roots.sort_unstable_by_key(|i| std::cmp::Reverse(key(nodes, *i)));
    let mut stack = roots;
    let mut order = Vec::with_capacity(nodes.len());
    let mut depth = vec![0u32; nodes.len()];
    while let Some(i) = stack.pop() {
        order.push(i);
        depth[i] = parent[i].map_or(0, |parent| depth[parent] + 1);
        stack.extend(children[i].iter().rev());
    }
    (order, depth)
}

/// What to add to each start. A child on another host that seems to begin before its parent, or a server that seems to
/// answer after its client stopped waiting, has a clock that differs: it is moved to the middle of its parent, and all of
/// its host with it. Source: the clock-skew adjuster of Jaeger, here per host instead of per span.
fn clock_shifts(nodes: &[Node<'_>], parent: &[Option<usize>], order: &[usize]) -> Vec<i64> {
    let mut shifts = vec![0i64; nodes.len()];
    let mut of_domain: HashMap<u64, i64> = HashMap::new();
    for &i in order {
        let child = &nodes[i];
        let Some(p) = parent[i] else {
            shifts[i] = *of_domain.entry(child.clock_domain).or_insert(0);
            continue;
        };
        if nodes[p].clock_domain == child.clock_domain {
            shifts[i] = shifts[p];
            continue;
        }
        let parent_start = nodes[p].start_unix_nano.saturating_add(shifts[p]);
        let known = of_domain.get(&child.clock_domain).copied().unwrap_or(0);
        let shift = if possible(child, known, &nodes[p], parent_start) {
            known
        } else {
            let slack = (nodes[p].duration_nano - child.duration_nano).max(0);
            parent_start.saturating_add(slack / 2).saturating_sub(child.start_unix_nano)
        };
        of_domain.insert(child.clock_domain, shift);
        shifts[i] = shift;
    }
    shifts
}

fn possible(child: &Node<'_>, shift: i64, parent: &Node<'_>, parent_start: i64) -> bool {
    let start = child.start_unix_nano.saturating_add(shift);
    if start < parent_start {
        return false;
    }
    // Work that was handed over may outlive who handed it over; an answered call may not.
    let waits =
        parent.kind == Kind::Client && child.kind == Kind::Server && child.duration_nano <= parent.duration_nano;
    !waits || start.saturating_add(child.duration_nano) <= parent_start.saturating_add(parent.duration_nano)
}

/// Length of the span minus the union of its children inside it.
fn self_time(i: usize, children: &[usize], starts: &[i64], ends: &[i64]) -> i64 {
    let mut spans: Vec<(i64, i64)> =
        children.iter().map(|c| (starts[*c].max(starts[i]), ends[*c].min(ends[i]))).filter(|(s, e)| s < e).collect();
    spans.sort_unstable();
    let mut covered = 0;
    let mut until = starts[i];
    for (start, end) in spans {
        covered += (end - start.max(until)).max(0);
        until = until.max(end);
    }
    ends[i] - starts[i] - covered
}

/// Walks back from the end of the first root: at each moment, the child that finished last is what was waited for.
/// Source: Jaeger's critical path; CRISP (Zhang et al., USENIX ATC 2022).
fn critical_path(
    parent: &[Option<usize>],
    children: &[Vec<usize>],
    order: &[usize],
    starts: &[i64],
    ends: &[i64],
) -> Vec<bool> {
    let mut critical = vec![false; parent.len()];
    let longest_root = order
        .iter()
        .copied()
        .filter(|i| parent[*i].is_none())
        .max_by_key(|i| (ends[*i] - starts[*i], std::cmp::Reverse(starts[*i])));
    // A span and the moment until which it was waited for.
    let mut stack: Vec<(usize, i64)> = longest_root.map(|root| (root, ends[root])).into_iter().collect();
    while let Some((i, until)) = stack.pop() {
        critical[i] = true;
        let mut waited_until = until.min(ends[i]);
        let mut by_end: Vec<usize> = children[i].clone();
        by_end.sort_unstable_by_key(|c| std::cmp::Reverse((ends[*c].min(ends[i]), starts[*c], *c)));
        for child in by_end {
            let end = ends[child].min(ends[i]);
            if end <= waited_until && starts[child] < ends[i] && end > starts[i] {
                stack.push((child, end));
                waited_until = starts[child];
            }
        }
    }
    critical
}

fn gaps(starts: &[i64], ends: &[i64], trace_start: i64) -> Vec<Gap> {
    let mut spans: Vec<(i64, i64)> = starts.iter().copied().zip(ends.iter().copied()).collect();
    spans.sort_unstable();
    let mut gaps = Vec::new();
    let mut until = trace_start;
    for (start, end) in spans {
        if start > until {
            gaps.push(Gap { start_offset_nano: until - trace_start, duration_nano: start - until });
        }
        until = until.max(end);
    }
    gaps
}

#[cfg(test)]
mod tests;
