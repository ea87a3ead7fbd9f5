//! Runs plans: limits, cancellation, accounting.

use std::{fmt, sync::Arc, time::Duration};

use arrow::record_batch::RecordBatch;
use datafusion::{dataframe::DataFrame, prelude::SessionContext};
use storage::model::{Table, TimeRange};

use crate::{Answer, Error, Result, SqlRequest};

/// Where rows come from.
pub trait Source: fmt::Debug + Send + Sync {
    /// All tables as they are now.
    fn snapshot(&self) -> Arc<dyn TableSnapshot>;
}

/// All tables at one moment.
pub trait TableSnapshot: fmt::Debug + Send + Sync {
    /// Rows that are in no segment yet, in the wide schema.
    fn memtables(&self, table: Table) -> Vec<RecordBatch>;
}

/// What a question may cost.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// At most `query.max_timeout`; `query.timeout` when absent.
    pub timeout: Option<Duration>,
    /// Rows of the answer at most; `query.max_rows` when absent.
    pub max_rows: Option<usize>,
    /// Restricts the time column of every table.
    pub range: Option<TimeRange>,
    /// By which name it can be cancelled; made up when absent.
    pub query_id: Option<String>,
    /// What `GET /api/queries` shows for it.
    pub label: String,
}

/// A question that is being answered.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RunningQuery {
    /// Its name.
    pub query_id: String,
    /// The statement, or what it is about.
    pub text: String,
    /// How long it has been running.
    pub elapsed_ms: u64,
    /// Its cost so far.
    pub stats: crate::Stats,
}

#[derive(Debug)]
pub(crate) struct Engine {}

impl Engine {
    pub(crate) fn new(_source: Arc<dyn Source>, _config: &config::Config) -> Result<Self> {
        Ok(Self {})
    }

    pub(crate) async fn sql(&self, _request: SqlRequest) -> Result<Answer> {
        Err(Error::impossible("not yet"))
    }

    pub(crate) async fn explain(&self, _request: SqlRequest) -> Result<String> {
        Err(Error::impossible("not yet"))
    }

    pub(crate) async fn run<B, F>(&self, _limits: Limits, _build: B) -> Result<Answer>
    where
        B: FnOnce(SessionContext) -> F + Send + 'static,
        F: Future<Output = Result<DataFrame>> + Send + 'static,
    {
        Err(Error::impossible("not yet"))
    }

    pub(crate) fn running(&self) -> Vec<RunningQuery> {
        Vec::new()
    }

    pub(crate) fn cancel(&self, _query_id: &str) -> bool {
        false
    }
}
