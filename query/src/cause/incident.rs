//! The answer that an incident gets: a report is made and kept, and said in short.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    ask::Request,
    kept::Kept,
    report::{Outcome, Report, Texts},
};
use crate::{
    Limits, Query,
    alert::{
        causes::{CauseAnswer, CauseRequest, Causes},
        incident::{CauseState, CauseStatus},
    },
    error::Result,
};

/// How far back from now the beginning of an incident is looked for.
const SINCE_NANO: i64 = 20 * 60 * 1_000_000_000;

/// Explains incidents.
#[derive(Clone, Debug)]
pub struct Explainer {
    query: Query,
    timeout: Duration,
}

impl Explainer {
    /// Answers from the store of `query`, each time within `timeout`.
    pub fn new(query: Query, timeout: Duration) -> Self {
        Self { query, timeout }
    }
}

#[async_trait]
impl Causes for Explainer {
    async fn explain(&self, request: CauseRequest) -> Result<CauseAnswer> {
        let question = Request {
            service: Some(request.service),
            objective: Some(request.objective),
            since_nano: Some(SINCE_NANO),
            ..Request::default()
        };
        let limits = Limits { timeout: Some(self.timeout), ..Limits::default() };
        let report = self.query.cause(question, limits).await?;
        let answer = in_short(&report, &request.incident);
        let created_unix_nano = self.query.clock().now_unix_nano();
        self.query.keep_cause(&Kept { id: request.incident, created_unix_nano, report }).await?;
        Ok(answer)
    }
}

fn in_short(report: &Report, id: &str) -> CauseAnswer {
    let state = match report.outcome {
        Outcome::Found => CauseState::Found,
        Outcome::None => CauseState::None,
        Outcome::NotEnoughData => CauseState::NotEnoughData,
    };
    let first = report.candidates.first().filter(|_| state == CauseState::Found);
    let changes = report.changes.iter().map(|change| {
        let version = change.version.as_deref().unwrap_or_default();
        let what = format!("{} {version}", change.kind);
        (change.time_unix_nano, change.service.clone(), Texts::new(what.trim_end(), what.trim_end()))
    });
    CauseAnswer {
        status: CauseStatus {
            state,
            report: Some(id.to_owned()),
            service: first.map(|first| first.service.clone()),
            indicator: first.map(|first| (first.indicator.kind.clone(), first.indicator.name.clone())),
            confidence: first.map(|_| report.confidence),
            summary: first.and_then(|first| {
                let line = &first.evidence.first()?.texts;
                let service = &first.service;
                Some(Texts::new(format!("{service}: {}", line.en), format!("{service}：{}", line.zh)))
            }),
        },
        onset_unix_nano: report.onset.map(|onset| onset.from_unix_nano),
        changes: changes.collect(),
    }
}
