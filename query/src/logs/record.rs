//! One log record as it leaves the engine.

use std::fmt;

use arrow::{array::Array, record_batch::RecordBatch};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    columns::{Columns, optional},
    error::Result,
};

/// One log record. Attribute maps are encoded (`attributes`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the logs table")]
pub struct LogRecord {
    pub id: RowId,
    pub timestamp_unix_nano: i64,
    pub observed_unix_nano: Option<i64>,
    pub severity_number: i32,
    pub severity_text: Option<String>,
    pub service_name: String,
    pub body: Option<String>,
    pub event_name: Option<String>,
    pub trace_id: Option<String>,
    pub span_id: Option<String>,
    pub flags: u32,
    pub scope_name: String,
    pub scope_version: String,
    pub attributes: Vec<u8>,
    pub resource_attributes: Vec<u8>,
    pub scope_attributes: Vec<u8>,
}

/// Place of a record among all: the same wherever it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowId {
    /// Its time.
    pub timestamp_unix_nano: i64,
    /// Hash of everything in it.
    pub content_hash: u64,
    /// Which one of several equal records, from 0.
    pub copy: u32,
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.timestamp_unix_nano, self.content_hash)?;
        if self.copy > 0 { write!(f, "-{}", self.copy) } else { Ok(()) }
    }
}

impl std::str::FromStr for RowId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Times before 1970 begin with the same sign that separates the parts.
        let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
        let mut parts = rest.splitn(3, '-');
        let time = parts.next().ok_or(())?;
        let hash = parts.next().filter(|hash| hash.len() == 16).ok_or(())?;
        Ok(Self {
            timestamp_unix_nano: format!("{sign}{time}").parse().map_err(|_| ())?,
            content_hash: u64::from_str_radix(hash, 16).map_err(|_| ())?,
            copy: parts.next().map_or(Ok(0), str::parse).map_err(|_| ())?,
        })
    }
}

impl LogRecord {
    fn content_hash(&self) -> u64 {
        let mut hash = Xxh3::new();
        let mut part = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        let Self { severity_number, service_name, flags, scope_name, scope_version, .. } = self;
        part(&severity_number.to_le_bytes());
        part(&flags.to_le_bytes());
        part(&self.observed_unix_nano.unwrap_or(i64::MIN).to_le_bytes());
        for text in [&self.severity_text, &self.body, &self.event_name, &self.trace_id, &self.span_id] {
            part(text.as_deref().map_or(&[0xff], str::as_bytes));
        }
        for bytes in [service_name.as_bytes(), scope_name.as_bytes(), scope_version.as_bytes()] {
            part(bytes);
        }
        for map in [&self.attributes, &self.resource_attributes, &self.scope_attributes] {
            part(map);
        }
        hash.digest()
    }
}

/// Columns that make a record.
pub(crate) const COLUMNS: [&str; 15] = [
    "timestamp",
    "observed_timestamp",
    "severity_number",
    "severity_text",
    "service_name",
    "body",
    "event_name",
    "trace_id",
    "span_id",
    "flags",
    "scope_name",
    "scope_version",
    "attributes",
    "resource_attributes",
    "scope_attributes",
];

/// Rows -> records, in the same order; copies are not numbered yet.
pub(crate) fn records(batch: &RecordBatch) -> Result<Vec<LogRecord>> {
    let columns = Columns(batch);
    let (timestamp, observed) = (columns.int("timestamp")?, columns.int("observed_timestamp")?);
    let (severity_number, severity_text) = (columns.int("severity_number")?, columns.text("severity_text")?);
    let (service_name, body) = (columns.text("service_name")?, columns.text("body")?);
    let (event_name, flags) = (columns.text("event_name")?, columns.int("flags")?);
    let (trace_id, span_id) = (columns.text("trace_id")?, columns.text("span_id")?);
    let (scope_name, scope_version) = (columns.text("scope_name")?, columns.text("scope_version")?);
    let attributes = columns.binary("attributes")?;
    let resource_attributes = columns.binary("resource_attributes")?;
    let scope_attributes = columns.binary("scope_attributes")?;
    let record = |row: usize| {
        let mut record = LogRecord {
            id: RowId { timestamp_unix_nano: timestamp.value(row), content_hash: 0, copy: 0 },
            timestamp_unix_nano: timestamp.value(row),
            observed_unix_nano: observed.is_valid(row).then(|| observed.value(row)),
            severity_number: i32::try_from(severity_number.value(row)).unwrap_or(0),
            severity_text: optional(&severity_text, row),
            service_name: service_name.value(row).to_owned(),
            body: optional(&body, row),
            event_name: optional(&event_name, row),
            trace_id: optional(&trace_id, row),
            span_id: optional(&span_id, row),
            flags: u32::try_from(flags.value(row)).unwrap_or(0),
            scope_name: scope_name.value(row).to_owned(),
            scope_version: scope_version.value(row).to_owned(),
            attributes: attributes.value(row).to_vec(),
            resource_attributes: resource_attributes.value(row).to_vec(),
            scope_attributes: scope_attributes.value(row).to_vec(),
        };
        record.id.content_hash = record.content_hash();
        record
    };
    Ok((0..batch.num_rows()).map(record).collect())
}
