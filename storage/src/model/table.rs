//! The tables that rows are stored in.

use std::{fmt, str::FromStr};

/// A stored table. Its number is written into WAL frames and the catalog and never changes meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// A row is a log record.
    Logs = 1,
    /// A row is a span.
    Spans = 2,
    /// A row is a number data point of a gauge or a sum.
    Metrics = 3,
    /// A row is a data point of an explicit-bucket histogram.
    Histograms = 4,
    /// A row is a data point of an exponential histogram.
    ExponentialHistograms = 5,
    /// A row is a data point of a summary.
    Summaries = 6,
    /// A row is an exemplar of a data point.
    Exemplars = 7,
    /// A row counts calls of one operation in ten seconds. Derived from spans.
    SpanMetrics = 8,
    /// A row counts calls from one service to another in ten seconds. Derived from spans.
    ServiceEdges = 9,
    /// A row counts log records of one pattern in a minute. Derived from logs.
    LogPatterns = 10,
    /// A row is a change: reported, or derived from a `service.version` that was not seen before.
    Changes = 11,
}

impl Table {
    /// Every table, in the order of its number.
    pub const ALL: [Self; 11] = [
        Self::Logs,
        Self::Spans,
        Self::Metrics,
        Self::Histograms,
        Self::ExponentialHistograms,
        Self::Summaries,
        Self::Exemplars,
        Self::SpanMetrics,
        Self::ServiceEdges,
        Self::LogPatterns,
        Self::Changes,
    ];

    /// Tables with rows that follow from rows of other tables: they are derived again at replay, each from its own
    /// checkpoint on (`rollup`).
    pub const DERIVED: [Self; 4] = [Self::SpanMetrics, Self::ServiceEdges, Self::LogPatterns, Self::Changes];

    /// Name in SQL, in paths and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Spans => "spans",
            Self::Metrics => "metrics",
            Self::Histograms => "histograms",
            Self::ExponentialHistograms => "exponential_histograms",
            Self::Summaries => "summaries",
            Self::Exemplars => "exemplars",
            Self::SpanMetrics => "span_metrics",
            Self::ServiceEdges => "service_edges",
            Self::LogPatterns => "log_patterns",
            Self::Changes => "changes",
        }
    }

    /// Column that orders rows in time and that retention and pruning look at.
    pub const fn time_column(self) -> &'static str {
        match self {
            Self::Spans => "start_time",
            _ => "timestamp",
        }
    }

    /// Whether rows carry a `series_id` and their labels move to the series table of a segment.
    pub const fn has_series(self) -> bool {
        matches!(self, Self::Metrics | Self::Histograms | Self::ExponentialHistograms | Self::Summaries)
    }

    /// The table with this number; `None` for a number of a later version.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|t| *t as u8 == number)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Table {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|t| t.name() == name).ok_or_else(|| format!("no stored table is named {name:?}"))
    }
}
