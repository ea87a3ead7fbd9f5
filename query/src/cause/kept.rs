//! Reports that were made, kept in the catalog as JSON.

use super::report::Report;
use crate::{
    Query,
    error::{Error, Result},
    reports::KeptReport,
};

/// A report and its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Its name.
    pub id: String,
    /// When it was made.
    pub created_unix_nano: i64,
    /// What it says.
    pub report: Report,
}

impl Kept {
    /// Reads what [`Query::keep_cause`] wrote.
    ///
    /// # Errors
    /// `Internal` for what no version of ours wrote.
    pub fn read(kept: KeptReport) -> Result<Self> {
        let KeptReport { id, created_unix_nano, json } = kept;
        let report = serde_json::from_str(&json)
            .map_err(|error| Error::internal(format!("the kept report {id:?} cannot be read: {error}")))?;
        Ok(Self { id, created_unix_nano, report })
    }
}

impl Query {
    /// Keeps a report of a cause.
    ///
    /// # Errors
    /// `TooLarge`; `Unavailable` when it is not known to be kept.
    pub async fn keep_cause(&self, kept: &Kept) -> Result<()> {
        let json = serde_json::to_string(&kept.report)
            .map_err(|error| Error::internal(format!("a report cannot be written: {error}")))?;
        let (id, created_unix_nano) = (kept.id.clone(), kept.created_unix_nano);
        self.reports()?.keep(KeptReport { id, created_unix_nano, json }).await
    }

    /// A kept report.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn kept_cause(&self, id: &str) -> Result<Kept> {
        Kept::read(self.reports()?.get(id).await?)
    }

    /// The newest kept reports.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn kept_causes(&self, limit: usize) -> Result<Vec<Kept>> {
        self.reports()?.list(limit).await?.into_iter().map(Kept::read).collect()
    }
}
