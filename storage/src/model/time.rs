//! Ranges of event time.

use arrow::{
    array::{AsArray, RecordBatch},
    compute::{max, min},
    datatypes::TimestampNanosecondType,
};

use super::Table;

/// Half-open range of event times, `[start, end)`, in nanoseconds since the Unix epoch (UTC). Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    start_unix_nano: i64,
    end_unix_nano: i64,
}

impl TimeRange {
    /// `None` when `end` is not after `start`.
    pub const fn new(start_unix_nano: i64, end_unix_nano: i64) -> Option<Self> {
        if start_unix_nano < end_unix_nano { Some(Self { start_unix_nano, end_unix_nano }) } else { None }
    }

    /// The smallest range that holds both instants; `min <= max`, both included.
    pub const fn spanning(min_unix_nano: i64, max_unix_nano: i64) -> Self {
        Self { start_unix_nano: min_unix_nano, end_unix_nano: max_unix_nano.saturating_add(1) }
    }

    /// The smallest range that holds the time of every row of `table`; `None` without rows.
    pub fn of_rows(table: Table, rows: &RecordBatch) -> Option<Self> {
        let times = rows.column_by_name(table.time_column())?.as_primitive_opt::<TimestampNanosecondType>()?;
        Some(Self::spanning(min(times)?, max(times)?))
    }

    /// First instant inside, in nanoseconds.
    pub const fn start_unix_nano(self) -> i64 {
        self.start_unix_nano
    }

    /// First instant after, in nanoseconds.
    pub const fn end_unix_nano(self) -> i64 {
        self.end_unix_nano
    }

    /// Length in nanoseconds.
    pub const fn duration_nano(self) -> u64 {
        self.end_unix_nano.abs_diff(self.start_unix_nano)
    }

    /// Whether the instant lies inside.
    pub const fn contains(self, unix_nano: i64) -> bool {
        self.start_unix_nano <= unix_nano && unix_nano < self.end_unix_nano
    }

    /// Whether the two share an instant.
    pub const fn overlaps(self, other: Self) -> bool {
        self.start_unix_nano < other.end_unix_nano && other.start_unix_nano < self.end_unix_nano
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            start_unix_nano: self.start_unix_nano.min(other.start_unix_nano),
            end_unix_nano: self.end_unix_nano.max(other.end_unix_nano),
        }
    }
}
