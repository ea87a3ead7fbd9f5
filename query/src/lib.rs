//! Which rows and explanations follow from the data?
//!
//! `sql`: `guard` (may it run?) -> parameters -> one snapshot as tables (`session`, `table`) -> plan -> `run`: rows and their
//! cost as an [`Answer`]. Search, traces and services build their plans on the same session with [`Query::run`].
//!
//! `slo` and `alert` run beside questions: objectives are evaluated every few seconds, and what burns becomes alerts,
//! incidents and notifications. Their state is in the catalog.
//!
//! Everything that costs CPU runs on a runtime of its own, so that a heavy question never delays ingest or other
//! questions' sockets.

mod accounting;
pub mod alert;
mod answer;
mod beside;
pub mod cause;
pub mod changes;
mod columns;
mod cost;
mod engine;
pub mod error;
pub mod functions;
mod guard;
pub mod logs;
pub mod map;
mod output;
pub mod red;
pub mod reports;
pub mod search;
pub mod service;
pub mod services;
mod session;
pub mod slo;
mod slots;
mod sql;
mod table;
pub mod tail;
#[cfg(test)]
mod testing;
pub mod text;
pub mod trace;

use std::{sync::Arc, time::Duration};

use datafusion::{dataframe::DataFrame, prelude::SessionContext};
pub use storage::{Status as StorageStatus, TableStatus};
pub use storage::{
    model::{Table, TimeRange, attributes},
    schema::{KIND_ATTRIBUTES, KIND_KEY, KIND_VALUE},
};

pub use self::{
    answer::{Answer, Rows, Stats, StatsHandle},
    engine::{Limits, RunningQuery, Source, TableSnapshot},
    error::{Error, ErrorKind, Result},
};

/// A question in SQL from outside: untrusted.
#[derive(Clone, Debug, Default)]
pub struct SqlRequest {
    /// One read-only statement.
    pub text: String,
    /// Values of `$1`, `$2`, …
    pub params: Vec<serde_json::Value>,
    /// Restricts the time column of every table.
    pub range: Option<TimeRange>,
    /// At most `query.max_timeout`; `query.timeout` when absent.
    pub timeout: Option<Duration>,
    /// Rows of the answer at most.
    pub limit: Option<usize>,
    /// By which name it can be cancelled; made up when absent.
    pub query_id: Option<String>,
}

/// Answers questions about one store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Query(Arc<engine::Engine>, beside::Beside);

impl Query {
    /// Answers from a store.
    ///
    /// # Errors
    /// `Internal` when the runtime or the spill directory cannot be made.
    pub fn new(storage: storage::Storage, config: &config::Config) -> Result<Self> {
        let Self(engine, _) = Self::over(Arc::new(storage.clone()), config)?;
        Ok(Self(engine, beside::Beside::of(storage)))
    }

    /// Answers from the tables of `source`.
    ///
    /// # Errors
    /// `Internal` when the runtime or the spill directory cannot be made.
    pub fn over(source: Arc<dyn Source>, config: &config::Config) -> Result<Self> {
        Ok(Self(Arc::new(engine::Engine::new(source, config)?), beside::Beside::default()))
    }

    /// Answers a statement from outside.
    ///
    /// # Errors
    /// Before the first row: everything that [`ErrorKind`] names. Later errors come as the last item of the rows.
    pub async fn sql(&self, request: SqlRequest) -> Result<Answer> {
        self.0.sql(request).await
    }

    /// The plan of a statement from outside, as text; nothing is executed.
    ///
    /// # Errors
    /// As [`Self::sql`].
    pub async fn explain(&self, request: SqlRequest) -> Result<String> {
        self.0.explain(request).await
    }

    /// Answers a question that this crate has built itself: `build` gets a session over one snapshot, with every table
    /// and function, and returns the rows wanted. It runs on the query runtime, under the same limits as SQL.
    ///
    /// # Errors
    /// As [`Self::sql`].
    pub async fn run<B, F>(&self, limits: Limits, build: B) -> Result<Answer>
    where
        B: FnOnce(SessionContext) -> F + Send + 'static,
        F: Future<Output = Result<DataFrame>> + Send + 'static,
    {
        self.0.run(limits, build).await
    }

    /// The questions that are being answered.
    pub fn running(&self) -> Vec<RunningQuery> {
        self.0.running()
    }

    /// Ends a question; `false` when none of this name is running.
    pub fn cancel(&self, query_id: &str) -> bool {
        self.0.cancel(query_id)
    }
}
