//! Pure: spans -> who called whom, and on which side of the incident each trace lies.
//!
//! Clocks of different hosts are never compared: a trace belongs where its *root* began, and durations are compared with
//! durations.

use super::facts::{Facts, Kind, Name, Span, Stretch};

/// Which times are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sides {
    pub baseline: Stretch,
    /// From the end of the baseline to the window: a second quiet time, unless the incident began earlier.
    pub between: Stretch,
    pub window: Stretch,
}

/// Where a trace lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// First and second half of the baseline, by trace id: comparing them shows what chance does.
    BaselineEven,
    BaselineOdd,
    Between,
    Window,
    Outside,
}

impl Side {
    pub(crate) fn is_baseline(self) -> bool {
        matches!(self, Self::BaselineEven | Self::BaselineOdd)
    }
}

/// What a span's place in its trace says.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub side: Side,
    pub parent: Option<u32>,
    pub children: u32,
    /// Nanoseconds in which none of its children ran.
    pub own: i64,
    /// The service that a child belongs to, where it is another one: the span waits for it.
    pub callee: Option<Name>,
    /// A child failed.
    pub child_failed: bool,
}

/// One node a span, in the order of `facts.spans`.
#[derive(Clone, Debug)]
pub(crate) struct Forest {
    pub nodes: Vec<Node>,
}

impl Forest {
    pub(crate) fn new(facts: &Facts, sides: &Sides) -> Self {
        let spans = &facts.spans;
        let mut nodes: Vec<Node> = Vec::with_capacity(spans.len());
        let mut from = 0;
        while from < spans.len() {
            let trace = spans[from].trace;
            let length = spans[from..].partition_point(|span| span.trace == trace);
            grow(&spans[from..from + length], from, sides, &mut nodes);
            from += length;
        }
        Self { nodes }
    }

    /// Spans without a parent on some sides.
    pub(crate) fn roots(&self, side: impl Fn(Side) -> bool) -> usize {
        self.nodes.iter().filter(|node| node.parent.is_none() && side(node.side)).count()
    }
}

/// One trace.
fn grow(spans: &[Span], offset: usize, sides: &Sides, nodes: &mut Vec<Node>) {
    let mut by_id: Vec<(u64, usize)> = spans.iter().enumerate().map(|(i, span)| (span.id, i)).collect();
    by_id.sort_unstable();
    let find = |id: u64| by_id.binary_search_by_key(&id, |(id, _)| *id).ok().map(|found| by_id[found].1);
    let parents: Vec<Option<usize>> = spans
        .iter()
        .enumerate()
        .map(|(i, span)| if span.parent == 0 { None } else { find(span.parent).filter(|parent| *parent != i) })
        .collect();
    let root = spans.iter().filter(|span| span.parent == 0).map(|span| span.start).min();
    let began = root.or_else(|| spans.iter().map(|span| span.start).min()).unwrap_or(0);
    let side = side_of(began, spans[0].trace, sides);

    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    for (i, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            children[*parent].push(i);
        }
    }
    let remote = |i: usize| children[i].iter().copied().find(|child| spans[*child].service != spans[i].service);
    for (i, span) in spans.iter().enumerate() {
        // A wrapper may run beside the call it started: while the call waits, so does the wrapper.
        let siblings = parents[i].map_or(&[][..], |parent| &children[parent]);
        let beside =
            siblings.iter().copied().filter(|j| *j != i && spans[*j].start >= span.start && remote(*j).is_some());
        let within = children[i].iter().copied().chain(beside);
        nodes.push(Node {
            side,
            parent: parents[i].and_then(|parent| u32::try_from(parent + offset).ok()),
            children: u32::try_from(children[i].len()).unwrap_or(u32::MAX),
            own: span.duration - covered(span, within.map(|j| &spans[j])),
            callee: remote(i).map(|child| spans[child].service),
            child_failed: children[i].iter().any(|child| spans[*child].failed),
        });
    }
}

fn side_of(began: i64, trace: u128, sides: &Sides) -> Side {
    if sides.window.contains(began) {
        Side::Window
    } else if sides.baseline.contains(began) {
        // Ids are random, or else it does not matter: a fixed mix spreads them.
        let mixed = ((trace ^ (trace >> 64)) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if mixed >> 63 == 0 { Side::BaselineEven } else { Side::BaselineOdd }
    } else if sides.between.contains(began) {
        Side::Between
    } else {
        Side::Outside
    }
}

/// Part of `span` in which children ran. Children in the same place share its clock; of the others only the duration is
/// used.
fn covered<'a>(span: &Span, children: impl Iterator<Item = &'a Span>) -> i64 {
    let (mut here, mut elsewhere) = (Vec::new(), 0_i64);
    for child in children {
        if (child.service, child.place) == (span.service, span.place) && child.kind != Kind::Consumer {
            here.push((child.start, child.start.saturating_add(child.duration)));
        } else {
            elsewhere = elsewhere.saturating_add(child.duration);
        }
    }
    here.sort_unstable();
    let (mut sum, mut reached) = (0_i64, span.start);
    let end = span.start.saturating_add(span.duration);
    for (from, to) in here {
        let (from, to) = (from.max(reached), to.min(end));
        if to > from {
            sum += to - from;
            reached = to;
        }
    }
    sum.saturating_add(elsewhere).min(span.duration)
}
