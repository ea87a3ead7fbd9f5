//! Root-cause reports as they are kept: JSON documents in the catalog. What is in them only the cause engine knows.

use std::sync::Arc;

use storage::catalog::{Catalog, Document, DocumentChange};

use crate::error::{Error, ErrorKind, Result, of_storage};

const REPORT: &str = "report";
/// Reports that are kept, whatever their age.
const KEPT: usize = 5_000;
/// Largest report.
const MAX_BYTES: usize = 4 << 20;

/// Kept reports.
#[derive(Clone, Debug)]
pub struct Reports(Arc<dyn Catalog>);

/// One kept report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptReport {
    /// Its name.
    pub id: String,
    /// When it was made.
    pub created_unix_nano: i64,
    /// The report as it was kept.
    pub json: String,
}

impl Reports {
    pub(crate) fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self(catalog)
    }

    /// Keeps a report; one of the same name is replaced, and those beyond the newest `KEPT` are forgotten.
    ///
    /// # Errors
    /// `TooLarge`; `Unavailable` when it is not known to be kept.
    pub async fn keep(&self, report: KeptReport) -> Result<()> {
        let KeptReport { id, created_unix_nano, json } = report;
        if json.len() > MAX_BYTES {
            return Err(Error::too_large(format!("the report has {} bytes, more than {MAX_BYTES}", json.len())));
        }
        let document = Document { id, updated_unix_nano: created_unix_nano, body: json };
        // Those beyond the newest go at once: nobody can fill the catalog by asking.
        let forget = DocumentChange::Forget { kind: REPORT, before_unix_nano: i64::MIN, keep: KEPT };
        self.change(&[DocumentChange::Put { kind: REPORT, document }, forget]).await
    }

    /// One report.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn get(&self, id: &str) -> Result<KeptReport> {
        let document = self.0.document(REPORT, id).await.map_err(|error| of_storage(&error))?;
        document.map(kept).ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no report {id:?}")))
    }

    /// The newest reports.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list(&self, limit: usize) -> Result<Vec<KeptReport>> {
        let documents = self.0.documents(REPORT, limit).await.map_err(|error| of_storage(&error))?;
        Ok(documents.into_iter().map(kept).collect())
    }

    /// Forgets reports older than `before`.
    ///
    /// # Errors
    /// `Unavailable`: the next run does it.
    pub async fn forget(&self, before_unix_nano: i64) -> Result<()> {
        self.change(&[DocumentChange::Forget { kind: REPORT, before_unix_nano, keep: KEPT }]).await
    }

    async fn change(&self, changes: &[DocumentChange]) -> Result<()> {
        self.0.change_documents(changes).await.map_err(|error| of_storage(&error))
    }
}

fn kept(document: Document) -> KeptReport {
    KeptReport { id: document.id, created_unix_nano: document.updated_unix_nano, json: document.body }
}

#[cfg(test)]
mod tests {
    use storage::catalog::MemoryCatalog;

    use super::*;

    #[tokio::test]
    async fn reports_are_kept_by_name_and_forgotten_by_age() {
        let reports = Reports::new(Arc::new(MemoryCatalog::new()));
        let report = |id: &str, at| KeptReport { id: id.to_owned(), created_unix_nano: at, json: "{}".to_owned() };
        for (id, at) in [("a", 1), ("b", 3), ("c", 2)] {
            reports.keep(report(id, at)).await.unwrap();
        }
        assert_eq!(reports.list(2).await.unwrap(), [report("b", 3), report("c", 2)]);
        assert_eq!(reports.get("a").await.unwrap(), report("a", 1));
        reports.forget(3).await.unwrap();
        assert_eq!(reports.list(9).await.unwrap(), [report("b", 3)]);
        assert_eq!(reports.get("a").await.unwrap_err().kind(), ErrorKind::NotFound);
        let huge = KeptReport { json: " ".repeat(MAX_BYTES + 1), ..report("d", 4) };
        assert_eq!(reports.keep(huge).await.unwrap_err().kind(), ErrorKind::TooLarge);
    }
}
