//! Reports that were made, newest first.

use std::sync::{Arc, Mutex, PoisonError};

use super::report::Report;
use crate::error::{Error, ErrorKind, Result};

/// Reports kept.
const MOST: usize = 500;

/// A report and its name.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// Its name.
    pub id: String,
    /// When it was made.
    pub created_unix_nano: i64,
    /// What it says.
    pub report: Report,
}

/// Where reports are kept.
#[derive(Clone, Debug, Default)]
pub struct Causes(Arc<Mutex<Vec<Kept>>>);

impl Causes {
    /// Keeps a report.
    ///
    /// # Errors
    /// `Unavailable` when it is not known to be kept.
    #[expect(clippy::unused_async, reason = "the catalog is asked over its own thread")]
    pub async fn keep(&self, kept: Kept) -> Result<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(0, kept);
        all.truncate(MOST);
        Ok(())
    }

    /// One report.
    ///
    /// # Errors
    /// `NotFound`.
    #[expect(clippy::unused_async, reason = "the catalog is asked over its own thread")]
    pub async fn get(&self, id: &str) -> Result<Kept> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .find(|kept| kept.id == id)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no report {id:?}")))
    }

    /// The newest reports.
    ///
    /// # Errors
    /// `Unavailable`.
    #[expect(clippy::unused_async, reason = "the catalog is asked over its own thread")]
    pub async fn list(&self, limit: usize) -> Result<Vec<Kept>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.iter().take(limit).cloned().collect())
    }
}
