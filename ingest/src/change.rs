//! A reported change -> one row of `changes`, durable before the answer.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, DictionaryArray, FixedSizeBinaryArray, RecordBatch, StringArray, TimestampNanosecondArray},
    datatypes::Int32Type,
};
use storage::{
    model::{Batch, BatchKey, Table, TableRows},
    schema,
};
use xxhash_rust::xxh3::Xxh3;

use crate::{Caller, Ingest, decode::Limits};

/// Longest text of a change, in bytes; a change is a line, not a document.
const MAX_TEXT_BYTES: usize = 4096;
/// Memory that a change takes at most, with room for its columns.
const MAX_CHANGE_BYTES: usize = 8 * MAX_TEXT_BYTES;

/// What may be reported as a change.
pub const KINDS: [&str; 5] = ["deploy", "config", "flag", "scale", "incident"];

/// A deploy, a switched flag, a new configuration: something that somebody did to a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// When it happened; the time of arrival where absent.
    pub time_unix_nano: Option<i64>,
    /// `service.name`
    pub service: String,
    /// One of [`KINDS`].
    pub kind: String,
    /// What it is at now.
    pub version: Option<String>,
    /// What it was at before.
    pub version_from: Option<String>,
    /// Who did it.
    pub author: Option<String>,
    /// Where there is more about it.
    pub link: Option<String>,
    /// What was done.
    pub message: Option<String>,
}

/// A change that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Lower-case hex. `None` for a repetition without a time of its own: it has the time, and so the id, of the first.
    pub id: Option<String>,
    /// It was reported before, and is stored once.
    pub duplicate: bool,
}

/// Why a change was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It has to be changed before it can be sent again.
    #[error("{0}")]
    Invalid(String),
    /// It may be sent again later.
    #[error("{0}")]
    Unavailable(String),
}

impl Change {
    fn check(&self) -> Result<(), ChangeError> {
        if !KINDS.contains(&self.kind.as_str()) {
            return Err(invalid(format!("kind is {:?}, expected one of {}", self.kind, KINDS.join(", "))));
        }
        if self.service.trim().is_empty() {
            return Err(invalid("service is empty, expected a service.name"));
        }
        for (name, text) in self.texts() {
            if text.is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
                return Err(invalid(format!("{name} is longer than {MAX_TEXT_BYTES} bytes")));
            }
        }
        if self.link.as_deref().is_some_and(|link| !(link.starts_with("https://") || link.starts_with("http://"))) {
            return Err(invalid("link is no http or https address"));
        }
        Ok(())
    }

    fn texts(&self) -> [(&'static str, Option<&str>); 7] {
        [
            ("service", Some(self.service.as_str())),
            ("kind", Some(self.kind.as_str())),
            ("version", self.version.as_deref()),
            ("from", self.version_from.as_deref()),
            ("author", self.author.as_deref()),
            ("link", self.link.as_deref()),
            ("message", self.message.as_deref()),
        ]
    }

    /// Hash of all that was sent.
    fn key(&self, caller: &Caller) -> u128 {
        let mut hash = Xxh3::new();
        let time = self.time_unix_nano.map(|time| time.to_string());
        let own = [("tenant", Some(caller.tenant.as_str())), ("time", time.as_deref())];
        for (name, text) in own.into_iter().chain(self.texts()) {
            // Preceded by its length: no two changes read alike.
            hash.update(name.as_bytes());
            hash.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
            hash.update(text.unwrap_or_default().as_bytes());
        }
        hash.digest128()
    }

    fn row(&self, time_unix_nano: i64, key: u128) -> Result<RecordBatch, arrow::error::ArrowError> {
        let label =
            |text: Option<&str>| -> ArrayRef { Arc::new([text].into_iter().collect::<DictionaryArray<Int32Type>>()) };
        let text = |text: &Option<String>| -> ArrayRef { Arc::new(StringArray::from(vec![text.as_deref()])) };
        let columns = vec![
            Arc::new(TimestampNanosecondArray::from(vec![time_unix_nano]).with_timezone("UTC")) as ArrayRef,
            label(Some(&self.service)),
            label(Some(&self.kind)),
            label(self.version.as_deref()),
            label(self.version_from.as_deref()),
            text(&self.author),
            text(&self.link),
            text(&self.message),
            label(Some("api")),
            Arc::new(FixedSizeBinaryArray::try_from_iter([key.to_be_bytes()].into_iter())?),
        ];
        RecordBatch::try_new(schema::wide(Table::Changes), columns)
    }
}

impl Ingest {
    /// Stores a change. When it returns, the change is on disk and the next question sees it.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub async fn report(&self, caller: &Caller, change: &Change) -> Result<Reported, ChangeError> {
        change.check()?;
        let mut share = self.inner.admission.share(&crate::Connection::default());
        share.grow(MAX_CHANGE_BYTES).map_err(|full| ChangeError::Unavailable(full.to_string()))?;
        let limits = self.change_limits();
        let asked = change.time_unix_nano.unwrap_or(limits.now_unix_nano);
        let time = u64::try_from(asked).map_err(|_| invalid("time lies before 1970"))?;
        let time = limits.admit(time).map_err(|rejection| invalid(rejection.to_string()))?;
        let key = change.key(caller);
        // Without a time of its own the same report may mean a second change, of another moment.
        let id = key ^ if change.time_unix_nano.is_some() { 0 } else { u128::from(time.unsigned_abs()) };
        let rows = change.row(time, id).map_err(|error| ChangeError::Unavailable(error.to_string()))?;
        let batch = Batch {
            tenant: caller.tenant.clone(),
            key: self.inner.settings.dedup.then_some(BatchKey(key)),
            tables: vec![TableRows { table: Table::Changes, rows }],
        };
        let durable = self.inner.storage.append(batch).await.map_err(|error| {
            if error.is_retryable() { ChangeError::Unavailable(error.to_string()) } else { invalid(error.to_string()) }
        })?;
        metrics::counter!("rootline_changes_reported_total").increment(u64::from(!durable.duplicate));
        let is_known = !durable.duplicate || change.time_unix_nano.is_some();
        Ok(Reported { id: is_known.then(|| format!("{id:032x}")), duplicate: durable.duplicate })
    }

    fn change_limits(&self) -> Limits {
        self.inner.limits(crate::Signal::Metrics)
    }
}

fn invalid(message: impl Into<String>) -> ChangeError {
    ChangeError::Invalid(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deploy() -> Change {
        Change { service: "cart".to_owned(), kind: "deploy".to_owned(), ..Change::default() }
    }

    #[test]
    fn what_is_no_change_is_refused_with_a_reason() {
        assert!(deploy().check().is_ok());
        let cases = [
            (Change { kind: "Deploy".to_owned(), ..deploy() }, "expected one of deploy"),
            (Change { service: " ".to_owned(), ..deploy() }, "service is empty"),
            (Change { message: Some("x".repeat(5000)), ..deploy() }, "message is longer than 4096"),
            (Change { link: Some("javascript:alert(1)".to_owned()), ..deploy() }, "link is no http"),
        ];
        for (change, expected) in cases {
            let message = change.check().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn equal_changes_have_equal_keys_and_no_others() {
        let caller = Caller::default();
        let moved = Change { version: Some("1".to_owned()), ..deploy() };
        let other = Change { version_from: Some("1".to_owned()), ..deploy() };
        assert_eq!(deploy().key(&caller), deploy().key(&caller));
        assert_ne!(moved.key(&caller), other.key(&caller));
        assert_ne!(moved.key(&caller), deploy().key(&caller));
    }
}
