//! What the catalog knows about a segment: enough to choose it for a query, a merge or retention without opening it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::model::{Table, Tenant, TimeRange};

/// Name of a segment: unique for ever, ordered by nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentId(Arc<str>);

impl SegmentId {
    /// An id as the catalog stores it.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A published segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentMeta {
    /// Its name.
    pub id: SegmentId,
    /// Whose rows it holds.
    #[serde(with = "as_text")]
    pub tenant: Tenant,
    /// The table the rows belong to.
    #[serde(with = "as_text")]
    pub table: Table,
    /// Where its file lies in the object store.
    pub path: String,
    /// Length of the file.
    pub file_bytes: u64,
    /// Length of the file's end that holds its checksums, page index and footer: what is read first.
    pub tail_bytes: u64,
    /// Rows in it. Never 0.
    pub row_count: u64,
    /// Smallest range that holds the time of every row.
    #[serde(with = "as_pair")]
    pub time_range: TimeRange,
    /// Start of the time bucket that holds all its rows.
    pub bucket_start_unix_nano: i64,
    /// `schema::VERSION` of the code that wrote it.
    pub schema_version: u16,
    /// Where in the file the filter over its trace ids lies: a lookup by trace id reads one page of it and no footer. `None`
    /// for tables without traces and files of format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_filter: Option<BlobPlace>,
}

/// Where a part of a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobPlace {
    /// Its first byte.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// Values written as the text that names them.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::model::{Table, Tenant};

    pub(super) fn serialize<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) trait FromText: Sized {
        fn from_text(text: String) -> Result<Self, String>;
    }

    impl FromText for Table {
        fn from_text(text: String) -> Result<Self, String> {
            text.parse()
        }
    }

    impl FromText for Tenant {
        fn from_text(text: String) -> Result<Self, String> {
            Ok(Self::new(text))
        }
    }

    pub(super) fn deserialize<'de, T: FromText, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::from_text(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A range written as its two ends.
mod as_pair {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::model::TimeRange;

    pub(super) fn serialize<S: Serializer>(range: &TimeRange, serializer: S) -> Result<S::Ok, S::Error> {
        (range.start_unix_nano(), range.end_unix_nano()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeRange, D::Error> {
        let (start, end) = <(i64, i64)>::deserialize(deserializer)?;
        TimeRange::new(start, end).ok_or_else(|| D::Error::custom("the end of a time range is not after its start"))
    }
}
