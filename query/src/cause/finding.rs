//! One deviation, measured: what moved, from what to what, and how strongly.

use super::{
    facts::Name,
    tally::{End, Operation},
};

/// Kinds of evidence. A service's score takes the strongest finding of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    /// Calls that fail where nothing they called failed.
    Error,
    /// Time between the two ends of a call.
    Gap,
    /// Exclusive time of an operation.
    Own,
    /// Calls and log templates that come more or less often under an operation.
    Shape,
    /// Log templates never met before.
    Novelty,
    /// Resource and runtime metrics.
    Metric,
    /// Durations and failures that a service reports as metrics: symptoms, which callees may explain.
    Symptom,
    /// A machine on which several pods deviate.
    Node,
    /// Something was changed shortly before.
    Change,
}

impl Family {
    /// Those whose statistics are measured against what chance does.
    pub(crate) const CALIBRATED: [Self; 5] = [Self::Error, Self::Gap, Self::Own, Self::Shape, Self::Novelty];
}

/// What moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// A call between services, or to a peer without spans.
    Edge(Name, End),
    /// An operation of the service.
    Operation(Name),
    /// Failures of an operation; of the call to the other end, where it is one.
    Failure(Name, Option<End>),
    /// A call from one operation to another.
    Call(Operation, Operation),
    /// A template, under an operation where that matters.
    Log { template: Name, operation: Option<Name>, severity: u8 },
    /// A series, by index.
    Series(usize),
    /// A machine, and the series that shows it.
    Node { node: Name, series: usize },
    /// A change, by index.
    Change(usize),
}

/// One deviation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub family: Family,
    pub service: Name,
    pub subject: Subject,
    /// In units of what chance does once calibrated; 1 is what one service in ten shows without an incident.
    pub strength: f64,
    pub before: f64,
    pub after: f64,
    /// Number of observations before and after.
    pub observed: (u32, u32),
    /// First time in the window at which it shows, where that is known.
    pub first: Option<i64>,
}
