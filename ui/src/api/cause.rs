//! Causes: why a service was in trouble, asked now or kept from before.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State as Extracted},
    http::header,
    response::{IntoResponse, Response},
};
use query::{
    Limits,
    cause::{self, Kept, Outcome, Report},
};
use serde::Deserialize;

use crate::{
    State,
    api::changes,
    error::{Answer, Problem},
    json::timestamp,
    params::{self, Params},
    wire::{self, CauseBody, TimeText},
};

/// Kept reports in a list.
const MAX_LIST: usize = 500;

/// Parameters of `GET /api/causes/{id}`
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneParams {
    /// `markdown` for the report as text.
    format: Option<String>,
    /// `en` or `zh`.
    language: Option<String>,
}

/// Parameters of `GET /api/causes`
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParams {
    /// Reports at most.
    limit: Option<String>,
}

/// In which language lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

impl Language {
    fn named(text: Option<&str>) -> Answer<Self> {
        match text.unwrap_or("en") {
            "en" => Ok(Self::English),
            "zh" | "zh-CN" => Ok(Self::Chinese),
            other => Err(Problem::invalid(format!("language {other:?} is neither en nor zh"))),
        }
    }

    fn of(self, texts: &cause::Texts) -> &str {
        match self {
            Self::English => &texts.en,
            Self::Chinese => &texts.zh,
        }
    }
}

/// Looks for a cause and keeps the report.
#[utoipa::path(post, path = "/api/causes", tag = "causes", request_body = wire::CauseBody, responses((status = 200, body = wire::Cause), (status = "default", body = wire::Problem)))]
pub(crate) async fn ask(Extracted(state): Extracted<State>, body: Bytes) -> Answer<Json<wire::Cause>> {
    let body: CauseBody = match body.is_empty() {
        true => CauseBody::default(),
        false => serde_json::from_slice(&body)
            .map_err(|error| Problem::invalid(format!("the body is no such JSON: {error}")))?,
    };
    let language = Language::named(body.language.as_deref())?;
    let timeout = body.timeout.as_deref().map(params::duration).transpose()?.unwrap_or(state.config().cause.timeout);
    let timeout = timeout.min(state.config().query.max_timeout);
    let (service, objective) = asked(&state, &body).await?;
    let request = request(CauseBody { service, ..body }, objective, state.process().now_unix_nano())?;
    let longest = state.config().cause.window_max;
    let since = request.since_nano.map_or(0, i64::unsigned_abs);
    let asked = request.window.map_or(since, query::TimeRange::duration_nano);
    if u128::from(asked) > longest.as_nanos() {
        let longest = humantime::format_duration(longest);
        return Err(Problem::invalid(format!("the window is longer than {longest}, which is cause.window_max")));
    }
    let report = state.query().cause(request, Limits { timeout: Some(timeout), ..Limits::default() }).await?;
    let id = hex::encode(state.process().random_bytes());
    let kept = Kept { id, created_unix_nano: state.process().now_unix_nano(), report };
    state.query().keep_cause(&kept).await?;
    Ok(Json(shown(&state, kept, language)))
}

/// The service that the question is about, named or that of the objective or alert named, and that objective.
async fn asked(state: &State, body: &CauseBody) -> Answer<(Option<String>, Option<String>)> {
    match (&body.service, &body.slo, &body.alert) {
        (service, None, None) => Ok((service.clone(), None)),
        (None, Some(slo), None) => {
            let published = state.query().objectives().published();
            let objective = &super::slo::find(&published, slo)?.objective;
            Ok((Some(objective.indicator.service.clone()), Some(objective.id.clone())))
        }
        (None, None, Some(id)) => {
            let alerts = state.query().records()?.alerts().await?;
            let alert = alerts.into_iter().find(|alert| alert.id == *id);
            let alert = alert.ok_or_else(|| Problem::not_found(format!("there is no alert {id:?}")))?;
            Ok((Some(alert.service), Some(alert.objective)))
        }
        _ => Err(Problem::invalid("more than one of service, slo and alert is given, expected one")),
    }
}

/// A kept report.
#[utoipa::path(get, path = "/api/causes/{id}", tag = "causes", params(OneParams, ("id" = String, Path, description = "name of the report")), responses((status = 200, body = wire::Cause), (status = "default", body = wire::Problem)))]
pub(crate) async fn one(
    Extracted(state): Extracted<State>,
    Path(id): Path<String>,
    Params(params): Params<OneParams>,
) -> Answer<Response> {
    let language = Language::named(params.language.as_deref())?;
    let kept = state.query().kept_cause(&id).await?;
    match params.format.as_deref() {
        None | Some("json") => Ok(Json(shown(&state, kept, language)).into_response()),
        Some("markdown") => {
            let text = language.of(&kept.report.markdown).to_owned();
            Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response())
        }
        Some(other) => Err(Problem::invalid(format!("format {other:?} is neither json nor markdown"))),
    }
}

/// Kept reports, the newest first.
#[utoipa::path(get, path = "/api/causes", tag = "causes", params(ListParams), responses((status = 200, body = wire::Causes), (status = "default", body = wire::Problem)))]
pub(crate) async fn list(
    Extracted(state): Extracted<State>,
    Params(params): Params<ListParams>,
) -> Answer<Json<wire::Causes>> {
    let limit = params::limit(params.limit.as_deref(), 50, MAX_LIST)?;
    let causes = state.query().kept_causes(limit).await?.into_iter().map(summary).collect();
    Ok(Json(wire::Causes { causes }))
}

fn request(body: CauseBody, objective: Option<String>, now_unix_nano: i64) -> Answer<cause::Request> {
    let since_nano = match body.since.as_deref().map(params::duration).transpose()? {
        Some(since) => Some(i64::try_from(since.as_nanos()).map_err(|_| Problem::invalid("`since` is too long"))?),
        None => None,
    };
    let window = match (&body.from, &body.to) {
        (None, None) => None,
        (None, Some(_)) => return Err(Problem::invalid("`to` is given, and `from` is missing")),
        (Some(from), to) => {
            let now = TimeText::Text("now".to_owned());
            params::optional_range(Some(from), Some(to.as_ref().unwrap_or(&now)), now_unix_nano)?
        }
    };
    let baseline = match &body.baseline {
        Some(range) => params::optional_range(Some(&range.from), Some(&range.to), now_unix_nano)?,
        None => None,
    };
    let service = body.service.filter(|service| !service.is_empty());
    Ok(cause::Request { service, window, baseline, since_nano, objective })
}

fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Found => "found",
        Outcome::None => "none",
        Outcome::NotEnoughData => "not_enough_data",
    }
    .to_owned()
}

fn period(span: cause::Span) -> wire::Period {
    wire::Period { from: timestamp(span.from_unix_nano), to: timestamp(span.to_unix_nano) }
}

fn texts(texts: cause::Texts) -> wire::Texts {
    wire::Texts { en: texts.en, zh: texts.zh }
}

fn indicator(indicator: cause::Indicator) -> wire::CauseIndicator {
    wire::CauseIndicator { kind: indicator.kind, name: indicator.name }
}

fn summary(kept: Kept) -> wire::CauseSummary {
    let Report { service, outcome: found, candidates, confidence, .. } = kept.report;
    let first = candidates.into_iter().next().filter(|_| found == Outcome::Found);
    wire::CauseSummary {
        id: kept.id,
        created_at: timestamp(kept.created_unix_nano),
        service,
        outcome: outcome(found),
        top: first.map(|first| wire::CauseTop { service: first.service, indicator: indicator(first.indicator) }),
        confidence,
    }
}

/// A report as it is shown everywhere.
pub(crate) fn shown(state: &State, kept: Kept, language: Language) -> wire::Cause {
    let report = kept.report;
    wire::Cause {
        id: kept.id,
        created_at: timestamp(kept.created_unix_nano),
        service: report.service,
        slo: None,
        window: period(report.window),
        baseline: period(report.baseline),
        onset: report.onset.map(period),
        outcome: outcome(report.outcome),
        confidence: report.confidence,
        candidates: report.candidates.into_iter().map(|each| candidate(state, each, language)).collect(),
        impact: wire::CauseImpact {
            calls: report.impact.calls,
            failed: report.impact.failed,
            slow: report.impact.slow,
            error_budget_spent_ratio: report.impact.error_budget_spent_ratio,
        },
        changes: report.changes.into_iter().map(changes::shown).collect(),
        notes: report.notes.into_iter().map(texts).collect(),
        report: texts(report.markdown),
        stats: wire::CauseStats {
            elapsed_ms: report.effort.elapsed_ms,
            spans: report.effort.spans,
            logs: report.effort.logs,
            points: report.effort.points,
            sampled: report.effort.sampled,
        },
    }
}

fn candidate(state: &State, candidate: cause::Candidate, language: Language) -> wire::CauseCandidate {
    wire::CauseCandidate {
        rank: candidate.rank,
        slot: state.query().slot_of(&candidate.service),
        service: candidate.service,
        indicator: indicator(candidate.indicator),
        score: candidate.score,
        first_deviation: candidate.first_deviation_unix_nano.map(timestamp),
        evidence: candidate.evidence.into_iter().map(|each| evidence(each, language)).collect(),
        path: candidate.path,
        scope: candidate
            .scope
            .into_iter()
            .map(|scope| wire::CauseScope {
                attribute: scope.attribute,
                value: scope.value,
                bad_ratio: scope.bad_ratio,
                good_ratio: scope.good_ratio,
                count: scope.count,
            })
            .collect(),
    }
}

fn evidence(evidence: cause::Evidence, language: Language) -> wire::CauseEvidence {
    wire::CauseEvidence {
        family: evidence.family,
        indicator: indicator(evidence.indicator),
        text: language.of(&evidence.texts).to_owned(),
        texts: texts(evidence.texts),
        query: evidence.query,
        link: evidence.link,
        value: evidence.value,
        expected: evidence.expected,
        unit: evidence.unit,
        contradicts: evidence.contradicts,
        result: wire::CauseTable { columns: evidence.result.columns, rows: evidence.result.rows },
    }
}

#[cfg(test)]
mod tests {
    use query::TimeRange;

    use super::*;

    const NOW: i64 = 1_795_000_000_000_000_000;

    fn asked(json: &str) -> Answer<cause::Request> {
        request(serde_json::from_str(json).unwrap(), None, NOW)
    }

    #[test]
    fn a_window_may_be_given_or_looked_for() {
        let request = asked(r#"{"service":"checkout","from":"now-10m"}"#).unwrap();
        assert_eq!(request.window, TimeRange::new(NOW - 600_000_000_000, NOW));
        let request = asked(r#"{"since":"30m"}"#).unwrap();
        assert_eq!((request.service, request.window, request.since_nano), (None, None, Some(1_800_000_000_000)));
        for wrong in [
            r#"{"to":"now"}"#,
            r#"{"from":"now","to":"now-1h"}"#,
            r#"{"since":"soon"}"#,
            r#"{"baseline":{"from":"now","to":"now"}}"#,
        ] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }
}
