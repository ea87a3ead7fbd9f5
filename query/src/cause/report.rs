//! What is answered: plain data in both languages, in one order.

pub use crate::alert::words::Texts;
use crate::changes::Change;

/// Half-open range of times in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// First.
    pub from_unix_nano: i64,
    /// Not included.
    pub to_unix_nano: i64,
}

/// Whether a cause was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The first candidate stands out.
    Found,
    /// There was enough to look at, and nothing stands out.
    None,
    /// There was nothing to compare.
    NotEnoughData,
}

/// What is wrong with a service.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Indicator {
    /// `metric`, `operation`, `log_pattern`, `change`, `resource` or `latency`.
    pub kind: String,
    /// Metric, operation, template, version, node or edge.
    pub name: String,
}

/// A small table: the numbers that a line of evidence rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Table {
    /// Headings.
    pub columns: Vec<String>,
    /// Cells as text.
    pub rows: Vec<Vec<String>>,
}

/// One line of evidence.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Evidence {
    /// `error`, `gap`, `own`, `shape`, `novelty`, `metric` or `change`.
    pub family: String,
    /// What it is about.
    pub indicator: Indicator,
    /// What it says.
    pub texts: Texts,
    /// Statement that shows it.
    pub query: String,
    /// Page that shows it, relative.
    pub link: String,
    /// In the window.
    pub value: f64,
    /// In the baseline.
    pub expected: f64,
    /// `ms`, `ratio`, `count` or the metric's own.
    pub unit: String,
    /// It speaks against the candidate.
    pub contradicts: bool,
    /// The numbers.
    pub result: Table,
}

/// An attribute value in which the bad calls of a candidate are concentrated.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scope {
    /// `resource.k8s.pod.name`, `http.route`, …
    pub attribute: String,
    /// Its value.
    pub value: String,
    /// Share of bad calls that have it.
    pub bad_ratio: f64,
    /// Share of good calls that have it.
    pub good_ratio: f64,
    /// Bad calls that have it.
    pub count: u64,
}

/// A suspected cause.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Candidate {
    /// From 1.
    pub rank: usize,
    /// Service, or node of a cluster.
    pub service: String,
    /// What is wrong with it.
    pub indicator: Indicator,
    /// Sum of its evidence in units of what chance does.
    pub score: f64,
    /// When it first deviated, where that is known.
    pub first_deviation_unix_nano: Option<i64>,
    /// Strongest first, what contradicts last.
    pub evidence: Vec<Evidence>,
    /// Along calls from the entry.
    pub path: Vec<String>,
    /// Where its bad calls are.
    pub scope: Vec<Scope>,
}

/// What the entry suffered.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Impact {
    /// Calls of the entry in the window.
    pub calls: u64,
    /// How many failed.
    pub failed: u64,
    /// How many took longer than 95 of 100 in the baseline.
    pub slow: u64,
    /// Share of the error budget that the window has spent, of the objective that was asked about.
    #[serde(default)]
    pub error_budget_spent_ratio: Option<f64>,
}

/// What it cost to find out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Effort {
    /// From question to answer.
    pub elapsed_ms: u64,
    /// Spans looked at.
    pub spans: u64,
    /// Log records looked at.
    pub logs: u64,
    /// Metric points looked at.
    pub points: u64,
    /// Whether traces were sampled.
    pub sampled: bool,
}

/// The answer to "why?".
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// The entry service.
    pub service: Option<String>,
    /// When it went wrong.
    pub window: Span,
    /// What it is compared with.
    pub baseline: Span,
    /// Between the last good and the first bad moment.
    pub onset: Option<Span>,
    /// Whether a cause was found.
    pub outcome: Outcome,
    /// 0 to 1: how far the first candidate stands out.
    pub confidence: f64,
    /// Most suspect first.
    pub candidates: Vec<Candidate>,
    /// What the entry suffered.
    pub impact: Impact,
    /// Changes near the onset.
    pub changes: Vec<Change>,
    /// What limits this answer.
    pub notes: Vec<Texts>,
    /// The whole as Markdown.
    pub markdown: Texts,
    /// What it cost.
    pub effort: Effort,
}
