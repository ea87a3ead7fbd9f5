//! Shapes of causes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Change, Texts, TimeText};

/// `POST /api/causes`
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseBody {
    /// The service in trouble; all of them where absent.
    pub service: Option<String>,
    /// The objective that burns, in the place of its service.
    pub slo: Option<String>,
    /// The alert that fires, in the place of its service.
    pub alert: Option<String>,
    /// When it was in trouble: epoch ms, RFC 3339 or `now-1h`. Looked for where absent.
    #[schema(value_type = Option<String>)]
    pub from: Option<TimeText>,
    /// End of that, not included; now where absent.
    #[schema(value_type = Option<String>)]
    pub to: Option<TimeText>,
    /// How far back an incident is looked for where `from` is absent: `30m`.
    pub since: Option<String>,
    /// What was normal; chosen where absent.
    pub baseline: Option<CauseRange>,
    /// Of `text` in evidence: `en` or `zh`.
    pub language: Option<String>,
    /// `20s`
    pub timeout: Option<String>,
}

/// A range of times in a request.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseRange {
    /// Epoch ms, RFC 3339 or `now-1h`.
    #[schema(value_type = String)]
    pub from: TimeText,
    /// Not included.
    #[schema(value_type = String)]
    pub to: TimeText,
}

/// A range of times in an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Period {
    pub from: String,
    pub to: String,
}

/// Why a service was in trouble.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "docs/http-api.md says what each means")]
pub struct Cause {
    pub id: String,
    pub created_at: String,
    pub service: Option<String>,
    pub slo: Option<String>,
    pub window: Period,
    pub baseline: Period,
    pub onset: Option<Period>,
    /// found, none, not_enough_data
    pub outcome: String,
    pub confidence: f64,
    pub candidates: Vec<CauseCandidate>,
    pub impact: CauseImpact,
    pub changes: Vec<Change>,
    pub notes: Vec<Texts>,
    pub report: Texts,
    pub stats: CauseStats,
}

/// A suspected cause.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "docs/http-api.md says what each means")]
pub struct CauseCandidate {
    pub rank: usize,
    pub service: String,
    pub slot: u32,
    pub indicator: CauseIndicator,
    pub score: f64,
    pub first_deviation: Option<String>,
    pub evidence: Vec<CauseEvidence>,
    pub path: Vec<String>,
    pub scope: Vec<CauseScope>,
}

/// What is wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CauseIndicator {
    /// metric, operation, log_pattern, change, resource, latency
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// One line of evidence.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "docs/http-api.md says what each means")]
pub struct CauseEvidence {
    pub family: String,
    pub indicator: CauseIndicator,
    pub text: String,
    pub texts: Texts,
    pub query: String,
    pub link: String,
    pub value: f64,
    pub expected: f64,
    pub unit: String,
    pub contradicts: bool,
    pub result: CauseTable,
}

/// The numbers behind a line of evidence.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CauseTable {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// An attribute value in which bad calls are concentrated.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "docs/http-api.md says what each means")]
pub struct CauseScope {
    pub attribute: String,
    pub value: String,
    pub bad_ratio: f64,
    pub good_ratio: f64,
    pub count: u64,
}

/// What the entry suffered.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CauseImpact {
    pub calls: u64,
    pub failed: u64,
    pub slow: u64,
    pub error_budget_spent_ratio: Option<f64>,
}

/// What it cost.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CauseStats {
    pub elapsed_ms: u64,
    pub spans: u64,
    pub logs: u64,
    pub points: u64,
    pub sampled: bool,
}

/// `GET /api/causes`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Causes {
    /// Newest first.
    pub causes: Vec<CauseSummary>,
}

/// A kept report in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "docs/http-api.md says what each means")]
pub struct CauseSummary {
    pub id: String,
    pub created_at: String,
    pub service: Option<String>,
    pub outcome: String,
    pub top: Option<CauseTop>,
    pub confidence: f64,
}

/// The first candidate of a kept report.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CauseTop {
    pub service: String,
    pub indicator: CauseIndicator,
}
