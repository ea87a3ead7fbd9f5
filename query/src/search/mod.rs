//! The search language of logs and traces: text -> [`Filter`] -> the same plans as SQL.
//!
//! Bare words and "phrases" search the body of a log record (the name of a span); `field:value` and its relatives compare
//! a column or an attribute. `parse` knows only the language, `plan` only expressions.

mod parse;
mod plan;
mod severity;
mod slices;

pub use self::{
    parse::{SearchError, parse, parse_duration_nano},
    severity::Severity,
    slices::Order,
};
pub(crate) use self::{
    plan::{during, predicate, timestamp},
    slices::Slices,
};

/// What a search asks of one row. All of it must hold on that row.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Holds on every row.
    All,
    /// Words in the searched text.
    Text(Text),
    /// A comparison of a column or an attribute.
    Compare(Comparison),
    /// All of them hold.
    And(Vec<Filter>),
    /// At least one of them holds.
    Or(Vec<Filter>),
    /// It does not hold, which includes that the field is missing.
    Not(Box<Filter>),
}

/// Words in the searched text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// Its words, one after the other. One word is a phrase of its own.
    Phrase(String),
    /// A word that begins so.
    Prefix(String),
}

/// `field operator value`, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Left side.
    pub field: Field,
    /// How the sides relate.
    pub operator: Operator,
    /// Right side.
    pub value: Value,
}

/// Left side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A text column of the table.
    Column(&'static str),
    /// Trace or span id: lower-case hex.
    Id(&'static str),
    /// `severity_number` of a log record.
    Severity,
    /// `duration_nano` of a span.
    Duration,
    /// A key of one of the three attribute maps.
    Attribute {
        /// Column that holds the map.
        map: &'static str,
        /// The key.
        key: String,
    },
}

/// How the sides of a comparison relate. `!=` is parsed to `Not(Equal)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum Operator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Right side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any value: the field is there.
    Any,
    /// Text as it stands between quotes.
    Exact(String),
    /// Text without quotes: a number or a truth value is also compared as such.
    Bare(String),
    /// Pieces of text with anything between them: `a*b*` is `["a", "b", ""]`.
    Wildcard(Vec<String>),
    /// A level: the lowest and the highest severity number of it.
    Severity(std::ops::RangeInclusive<i32>),
    /// A time span in nanoseconds.
    DurationNano(i64),
}

/// What is searched: the fields and the searched text differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Log records; text is looked for in `body`.
    Logs,
    /// Spans; text is looked for in `name`.
    Spans,
}

impl Subject {
    /// Column in which bare words are looked for.
    pub const fn text_column(self) -> &'static str {
        match self {
            Self::Logs => "body",
            Self::Spans => "name",
        }
    }

    /// Fields beside the attribute maps, for hints.
    const fn field_names(self) -> &'static str {
        match self {
            Self::Logs => "service, level, severity_text, event, trace_id, span_id, scope",
            Self::Spans => "service, name, kind, status, status_message, duration, trace_id, span_id, parent, scope",
        }
    }

    fn field(self, name: &str) -> Option<Field> {
        let attribute = |map, key: &str| Field::Attribute { map, key: key.to_owned() };
        if let Some((map, key)) = name.split_once('.') {
            match map {
                "attributes" => return Some(attribute("attributes", key)),
                "resource" | "resource_attributes" => return Some(attribute("resource_attributes", key)),
                "scope" | "scope_attributes" => return Some(attribute("scope_attributes", key)),
                _ => {}
            }
        }
        Some(match (self, name) {
            (_, "service" | "service_name" | "service.name") => Field::Column("service_name"),
            (_, "scope" | "scope_name") => Field::Column("scope_name"),
            (_, "trace_id" | "trace") => Field::Id("trace_id"),
            (_, "span_id" | "span") => Field::Id("span_id"),
            (Self::Logs, "level" | "severity" | "severity_number") => Field::Severity,
            (Self::Logs, "severity_text") => Field::Column("severity_text"),
            (Self::Logs, "body") => Field::Column("body"),
            (Self::Logs, "event" | "event_name") => Field::Column("event_name"),
            (Self::Spans, "name" | "operation") => Field::Column("name"),
            (Self::Spans, "kind") => Field::Column("kind"),
            (Self::Spans, "status" | "status_code") => Field::Column("status_code"),
            (Self::Spans, "status_message") => Field::Column("status_message"),
            (Self::Spans, "duration") => Field::Duration,
            (Self::Spans, "parent" | "parent_span_id") => Field::Id("parent_span_id"),
            _ => return None,
        })
    }
}

impl Filter {
    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, filter) | (filter, Self::All) => filter,
            (Self::And(mut left), Self::And(right)) => {
                left.extend(right);
                Self::And(left)
            }
            (Self::And(mut left), right) => {
                left.push(right);
                Self::And(left)
            }
            (left, right) => Self::And(vec![left, right]),
        }
    }
}
