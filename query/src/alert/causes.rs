//! The question that an incident asks, and what it wants to know.

use std::fmt;

use async_trait::async_trait;

use super::{incident::CauseStatus, words::Texts};
use crate::{error::Result, slo::budget::Severity};

/// Why does this service fail?
#[derive(Clone, Debug, PartialEq)]
pub struct CauseRequest {
    /// The incident that asks.
    pub incident: String,
    /// Where it was noticed.
    pub service: String,
    /// The operation that burns, where it is about one.
    pub operation: Option<String>,
    /// Id of the objective that burns.
    pub objective: String,
    /// Id of the alert.
    pub alert: String,
    /// How urgent it is.
    pub severity: Severity,
    /// When the alert fired: the trouble began before.
    pub fired_unix_nano: i64,
    /// Over which time the objective was burning when it fired.
    pub long_window_seconds: u64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct CauseAnswer {
    /// What the incident shows; `report` names the kept report.
    pub status: CauseStatus,
    /// When the data begin to deviate.
    pub onset_unix_nano: Option<i64>,
    /// Changes near that time: when, where, what.
    pub changes: Vec<(i64, String, Texts)>,
}

/// Who finds out: the cause engine.
#[async_trait]
pub trait Causes: fmt::Debug + Send + Sync {
    /// Makes a report, keeps it, and says in short what is in it.
    ///
    /// # Errors
    /// When no report could be made; the incident shows that.
    async fn explain(&self, request: CauseRequest) -> Result<CauseAnswer>;
}
