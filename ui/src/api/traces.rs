//! Traces: those with a span that a search describes, and one with all its spans.

use axum::{
    Json,
    extract::{Path, State as Extracted},
};
use query::{
    Limits,
    search::{Comparison, Field, Filter, Operator, Subject, Value, parse, parse_duration_nano},
    trace::{Event, Gap, Link, Span, TraceSearch, TraceService, TraceSummary},
};
use serde::Deserialize;

use crate::{
    State,
    error::{Answer, Problem},
    json::{attributes, timestamp},
    params::{self, Params},
    wire,
};

const DEFAULT_LIMIT: usize = 20;
/// Traces of one list at most: each is read whole for its summary.
const MAX_LIMIT: usize = 1000;

/// Parameters of `GET /api/traces`. All conditions hold on one span.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct TraceParams {
    /// `service:checkout name:"POST /orders" attributes.customer.tier:platinum duration>200ms status:error`
    #[serde(default)]
    q: String,
    /// Epoch ms, RFC 3339 or `now-1h`; an hour before `to` where absent.
    from: Option<String>,
    /// End of the range, not included; now where absent.
    to: Option<String>,
    /// That span's duration at least: `200ms`
    min_duration: Option<String>,
    /// That span's duration at most.
    max_duration: Option<String>,
    /// ok, error, unset
    status: Option<String>,
    /// Service of that span.
    service: Option<String>,
    /// Name of that span.
    operation: Option<String>,
    /// Traces at most; 20 where absent.
    limit: Option<String>,
    /// `30s`
    timeout: Option<String>,
    /// By which name it can be cancelled.
    query_id: Option<String>,
}

impl TraceParams {
    fn filter(&self) -> Answer<Filter> {
        let mut filter = parse(&self.q, Subject::Spans)?;
        for (name, text, operator) in [
            ("min_duration", &self.min_duration, Operator::GreaterOrEqual),
            ("max_duration", &self.max_duration, Operator::LessOrEqual),
        ] {
            let Some(text) = text else { continue };
            let nanos = parse_duration_nano(text).map_err(|error| {
                let problem = Problem::invalid(format!("{name}: {}", error.detail));
                match error.hint {
                    Some(hint) => problem.with_hint(hint),
                    None => problem,
                }
            })?;
            let value = Value::DurationNano(nanos);
            filter = filter.and(Filter::Compare(Comparison { field: Field::Duration, operator, value }));
        }
        if let Some(status) = &self.status {
            if !matches!(status.as_str(), "ok" | "error" | "unset") {
                return Err(Problem::invalid(format!("status {status:?} is none of ok, error, unset")));
            }
            filter = filter.and(equal("status_code", status));
        }
        if let Some(service) = &self.service {
            filter = filter.and(equal("service_name", service));
        }
        if let Some(operation) = &self.operation {
            filter = filter.and(equal("name", operation));
        }
        Ok(filter)
    }
}

fn equal(column: &'static str, text: &str) -> Filter {
    Filter::Compare(Comparison {
        field: Field::Column(column),
        operator: Operator::Equal,
        value: Value::Exact(text.to_owned()),
    })
}

/// Traces with a span on which all conditions hold, the newest first.
#[utoipa::path(get, path = "/api/traces", tag = "traces", params(TraceParams), responses((status = 200, body = wire::TracePage), (status = "default", body = wire::Problem)))]
pub(crate) async fn search(
    Extracted(state): Extracted<State>,
    Params(params): Params<TraceParams>,
) -> Answer<Json<wire::TracePage>> {
    let search = TraceSearch {
        filter: params.filter()?,
        range: params::range(params.from.as_deref(), params.to.as_deref(), state.process().now_unix_nano())?,
        limit: params::limit(params.limit.as_deref(), DEFAULT_LIMIT, MAX_LIMIT)?,
        timeout: params.timeout.as_deref().map(params::duration).transpose()?,
        query_id: params.query_id.clone(),
    };
    let page = state.query().traces(search).await?;
    Ok(Json(wire::TracePage { traces: page.traces.into_iter().map(summary).collect(), stats: page.stats.into() }))
}

/// One trace with all its spans, wherever in time they are.
#[utoipa::path(get, path = "/api/traces/{trace_id}", tag = "traces", responses((status = 200, body = wire::Trace), (status = "default", body = wire::Problem)))]
pub(crate) async fn one(Extracted(state): Extracted<State>, Path(trace_id): Path<String>) -> Answer<Json<wire::Trace>> {
    let trace = state.query().trace(&trace_id, Limits::default()).await?;
    let start = trace.start_unix_nano;
    Ok(Json(wire::Trace {
        trace_id: trace.trace_id,
        start_time: timestamp(start),
        duration_ms: millis(trace.duration_nano),
        services: trace.services.into_iter().map(service).collect(),
        spans: trace.spans.into_iter().map(|span| placed(span, start)).collect(),
        gaps: trace.gaps.into_iter().map(gap).collect(),
        notes: trace.notes,
        stats: trace.stats.into(),
    }))
}

fn summary(trace: TraceSummary) -> wire::TraceSummary {
    wire::TraceSummary {
        trace_id: trace.trace_id,
        start_time: timestamp(trace.start_unix_nano),
        duration_ms: millis(trace.duration_nano),
        root_service: trace.root.service_name,
        root_name: trace.root.name,
        span_count: trace.span_count,
        error_count: trace.error_count,
        services: trace.services.into_iter().map(service).collect(),
        matched: wire::MatchedSpan {
            span_id: trace.matched.span_id,
            service: trace.matched.service_name,
            name: trace.matched.name,
            duration_ms: millis(trace.matched.duration_nano),
            count: trace.matched_count,
        },
    }
}

fn service(service: TraceService) -> wire::ServiceSpans {
    wire::ServiceSpans { name: service.name, slot: service.slot, spans: service.span_count }
}

fn gap(gap: Gap) -> wire::Gap {
    wire::Gap { start_offset_ms: millis(gap.start_offset_nano), duration_ms: millis(gap.duration_nano) }
}

fn placed(span: Span, trace_start_unix_nano: i64) -> wire::Span {
    let event = |event: Event| {
        let corrected = event.timestamp_unix_nano.saturating_add(span.clock_shift_nano);
        wire::Event {
            timestamp: timestamp(event.timestamp_unix_nano),
            offset_ms: millis(corrected.saturating_sub(trace_start_unix_nano)),
            name: event.name,
            attributes: attributes(&event.attributes),
        }
    };
    let link = |link: Link| wire::Link {
        trace_id: link.trace_id,
        span_id: link.span_id,
        trace_state: link.trace_state,
        attributes: attributes(&link.attributes),
    };
    wire::Span {
        events: span.events.into_iter().map(event).collect(),
        links: span.links.into_iter().map(link).collect(),
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        name: span.name,
        kind: span.kind,
        service: span.service_name,
        start_time: timestamp(span.start_unix_nano),
        start_offset_ms: millis(span.start_offset_nano),
        clock_shift_ms: millis(span.clock_shift_nano),
        duration_ms: millis(span.duration_nano),
        self_ms: millis(span.self_nano),
        status_code: span.status_code,
        status_message: span.status_message,
        depth: span.depth,
        critical: span.is_critical,
        trace_state: span.trace_state,
        attributes: attributes(&span.attributes),
        resource_attributes: attributes(&span.resource_attributes),
        scope_name: span.scope_name,
        scope_version: span.scope_version,
        anomaly: span.anomaly,
    }
}

fn millis(nanos: i64) -> f64 {
    nanos as f64 / 1e6
}
