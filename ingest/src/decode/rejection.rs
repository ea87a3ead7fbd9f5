//! Why an item was not stored, or was stored with a part changed: counted by reason, the first of each told in words.

use std::{fmt, time::Duration};

use config::Age;

/// Why one item was rejected. The words are for the sender; [`Rejection::reason`] is for counting.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rejection {
    TooOld { unix_nano: i64, setting: &'static str, age: Duration },
    TooFarAhead { unix_nano: i64, max_future: Duration },
    TimeOutOfRange { unix_nano: u64 },
    InvalidTraceId { byte_count: usize },
    InvalidSpanId { byte_count: usize },
    AttributeDepth { max: usize },
    BucketCount { buckets: usize, bounds: usize },
    Bounds { index: usize },
    Scale { scale: i32 },
    BucketOffset { offset: i32, buckets: usize },
    ZeroCount { zero_count: u64, count: u64 },
}

impl Rejection {
    /// Label of the counter.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::TooOld { .. } => "too_old",
            Self::TooFarAhead { .. } => "too_far_ahead",
            Self::TimeOutOfRange { .. } => "time_out_of_range",
            Self::InvalidTraceId { .. } => "invalid_trace_id",
            Self::InvalidSpanId { .. } => "invalid_span_id",
            Self::AttributeDepth { .. } => "attribute_depth",
            Self::BucketCount { .. } => "bucket_count",
            Self::Bounds { .. } => "bounds",
            Self::Scale { .. } => "scale",
            Self::BucketOffset { .. } => "bucket_offset",
            Self::ZeroCount { .. } => "zero_count",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld { unix_nano, setting, age } => {
                let age = Age::Limited(*age);
                write!(f, "time {} is older than its table keeps ({setting} = \"{age}\")", Instant(*unix_nano))
            }
            Self::TooFarAhead { unix_nano, max_future } => {
                let ahead = Age::Limited(*max_future);
                write!(f, "time {} is too far in the future (ingest.max_future = \"{ahead}\")", Instant(*unix_nano))
            }
            Self::TimeOutOfRange { unix_nano } => {
                write!(f, "time {unix_nano} ns since 1970 is beyond the year 2262 that 64 signed bits reach")
            }
            Self::InvalidTraceId { byte_count: 16 } => f.write_str("trace id is all zero"),
            Self::InvalidTraceId { byte_count } => write!(f, "trace id has {byte_count} bytes, expected 16"),
            Self::InvalidSpanId { byte_count: 8 } => f.write_str("span id is all zero"),
            Self::InvalidSpanId { byte_count } => write!(f, "span id has {byte_count} bytes, expected 8"),
            Self::AttributeDepth { max } => {
                write!(f, "a value nests deeper than {max} levels (ingest.max_attribute_depth)")
            }
            Self::BucketCount { buckets, bounds } => {
                write!(f, "histogram has {buckets} buckets for {bounds} bounds, expected one more than bounds, or none")
            }
            Self::Bounds { index } => write!(f, "histogram bound {index} is NaN or not above the bound before it"),
            Self::Scale { scale } => write!(f, "exponential histogram scale {scale} has no computable bucket bounds"),
            Self::BucketOffset { offset, buckets } => {
                write!(f, "{buckets} buckets from offset {offset} leave the range of 32-bit bucket indexes")
            }
            Self::ZeroCount { zero_count, count } => {
                write!(f, "zero count {zero_count} exceeds the count {count} of the whole histogram")
            }
        }
    }
}

/// An instant as people write it.
struct Instant(i64);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(self.0.into()) {
            Ok(time) => write!(f, "{time:.9}"),
            Err(_) => write!(f, "{} ns since 1970", self.0),
        }
    }
}

/// A part of a stored item that could not be kept as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adjustment {
    /// A key came twice in one map; the last value was kept.
    DuplicateKey,
    /// A log record's or an exemplar's trace or span id was none; it was stored without.
    InvalidLink,
    /// A span link named no span; it was left out.
    SpanLinkDropped,
    /// An exemplar could not be kept; its point was.
    ExemplarDropped,
    /// A time beside the item's own was out of range and was replaced or left out.
    SecondaryTime,
    /// A severity number, span kind, status or temporality outside its enum became unspecified.
    UnknownEnum,
    /// A parent id was not 8 bytes; the span was stored as a root.
    InvalidParent,
    /// A service's name was too long for a label; the label has its beginning.
    LongServiceName,
    /// A text or bytes were longer than `ingest.max_value_size`; their beginning was kept.
    TruncatedValue,
    /// Bytes in text were not UTF-8 and became U+FFFD.
    InvalidText,
}

impl Adjustment {
    pub(crate) const ALL: [Self; 10] = [
        Self::DuplicateKey,
        Self::InvalidLink,
        Self::SpanLinkDropped,
        Self::ExemplarDropped,
        Self::SecondaryTime,
        Self::UnknownEnum,
        Self::InvalidParent,
        Self::LongServiceName,
        Self::TruncatedValue,
        Self::InvalidText,
    ];

    /// Label of the counter.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::DuplicateKey => "duplicate_key",
            Self::InvalidLink => "invalid_link",
            Self::SpanLinkDropped => "span_link_dropped",
            Self::ExemplarDropped => "exemplar_dropped",
            Self::SecondaryTime => "secondary_time",
            Self::UnknownEnum => "unknown_enum",
            Self::InvalidParent => "invalid_parent",
            Self::LongServiceName => "long_service_name",
            Self::TruncatedValue => "truncated_value",
            Self::InvalidText => "invalid_text",
        }
    }
}

/// Rejections and adjustments of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    rejected: Vec<Rejected>,
    adjusted: [u64; Adjustment::ALL.len()],
}

/// Items rejected for one reason.
#[derive(Clone, Debug)]
pub(crate) struct Rejected {
    pub(crate) reason: &'static str,
    pub(crate) item_count: u64,
    /// What was wrong with the first of them.
    pub(crate) first: String,
}

impl Tally {
    pub(crate) fn reject(&mut self, rejection: &Rejection, item_count: u64) {
        let reason = rejection.reason();
        match self.rejected.iter_mut().find(|rejected| rejected.reason == reason) {
            Some(rejected) => rejected.item_count += item_count,
            None => self.rejected.push(Rejected { reason, item_count, first: rejection.to_string() }),
        }
    }

    pub(crate) fn adjust(&mut self, adjustment: Adjustment, count: usize) {
        self.adjusted[adjustment as usize] += count as u64;
    }

    /// In the order in which the reasons first came up.
    pub(crate) fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    pub(crate) fn rejected_item_count(&self) -> u64 {
        self.rejected.iter().map(|rejected| rejected.item_count).sum()
    }

    /// Adjustments that happened, with how often.
    pub(crate) fn adjusted(&self) -> impl Iterator<Item = (Adjustment, u64)> {
        Adjustment::ALL.into_iter().zip(self.adjusted).filter(|(_, count)| *count > 0)
    }
}
