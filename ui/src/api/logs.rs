//! Log records: pages, counts over time, fields, and the live tail.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::State as Extracted,
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt};
use query::{
    Limits, TimeRange,
    logs::{HistogramRequest, LogRecord, LogSearch, RowId},
    search::{Filter, Order, Severity, Subject, parse},
    tail::TailEvent,
};
use serde::Deserialize;

use crate::{
    State,
    error::{Answer, Problem},
    json::{attributes, timestamp},
    params::{self, Params},
    wire,
};

const DEFAULT_LIMIT: usize = 100;
const DEFAULT_BUCKETS: usize = 60;
const MAX_BUCKETS: usize = 1000;
/// Longer bodies are cut; `full=1` shows them whole.
const MAX_BODY_BYTES: usize = 4096;
/// A silent tail says so often that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Parameters of every route here; each uses those it needs.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogParams {
    /// `service:payment level>=warn attributes.user_id:42 "connection refused" -health`
    #[serde(default)]
    q: String,
    /// Epoch ms, RFC 3339 or `now-1h`; an hour before `to` where absent.
    from: Option<String>,
    /// End of the range, not included; now where absent.
    to: Option<String>,
    /// Records at most; 100 where absent.
    limit: Option<String>,
    /// `desc` (newest first) or `asc`.
    order: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// The one record with this id.
    id: Option<String>,
    /// `1`: bodies are not cut.
    full: Option<String>,
    /// Of the histogram; 60 where absent.
    buckets: Option<usize>,
    /// `30s`
    timeout: Option<String>,
    /// By which name it can be cancelled.
    query_id: Option<String>,
}

impl LogParams {
    fn filter(&self) -> Answer<Filter> {
        Ok(parse(&self.q, Subject::Logs)?)
    }

    fn range(&self, state: &State) -> Answer<TimeRange> {
        params::range(self.from.as_deref(), self.to.as_deref(), state.process().now_unix_nano())
    }

    fn timeout(&self) -> Answer<Option<Duration>> {
        self.timeout.as_deref().map(params::duration).transpose()
    }

    fn limits(&self, label: &str) -> Answer<Limits> {
        Ok(Limits {
            timeout: self.timeout()?,
            query_id: self.query_id.clone(),
            label: format!("{label} {}", self.q),
            ..Limits::default()
        })
    }
}

/// Records in time order.
#[utoipa::path(get, path = "/api/logs", tag = "logs", params(LogParams), responses((status = 200, body = wire::LogPage), (status = "default", body = wire::Problem)))]
pub(crate) async fn page(
    Extracted(state): Extracted<State>,
    Params(params): Params<LogParams>,
) -> Answer<Json<wire::LogPage>> {
    let is_full = params.full.as_deref().is_some_and(|full| full != "0" && full != "false");
    if let Some(id) = &params.id {
        return one(&state, id, &params, is_full).await;
    }
    let order = match params.order.as_deref() {
        None | Some("desc") => Order::Descending,
        Some("asc") => Order::Ascending,
        Some(other) => return Err(Problem::invalid(format!("order {other:?} is neither desc nor asc"))),
    };
    let search = LogSearch {
        filter: params.filter()?,
        range: params.range(&state)?,
        order,
        limit: params::limit(params.limit.as_deref(), DEFAULT_LIMIT, state.config().query.max_search_limit)?,
        after: params.cursor.as_deref().map(str::parse).transpose()?,
        timeout: params.timeout()?,
        query_id: params.query_id.clone(),
    };
    let page = state.query().logs(search).await?;
    Ok(Json(wire::LogPage {
        rows: page.rows.into_iter().map(|record| row(record, is_full)).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
        stats: page.stats.into(),
    }))
}

/// The one record with an id.
async fn one(state: &State, id: &str, params: &LogParams, is_full: bool) -> Answer<Json<wire::LogPage>> {
    let no_such = || Problem::not_found(format!("no record has the id {id:?}"));
    let wanted: RowId = id.parse().map_err(|()| no_such())?;
    let at = wanted.timestamp_unix_nano;
    let search = LogSearch {
        filter: Filter::All,
        range: TimeRange::spanning(at, at),
        order: Order::Descending,
        limit: state.config().query.max_search_limit,
        after: None,
        timeout: params.timeout()?,
        query_id: params.query_id.clone(),
    };
    let page = state.query().logs(search).await?;
    let found = page.rows.into_iter().find(|record| record.id == wanted).ok_or_else(no_such)?;
    Ok(Json(wire::LogPage { rows: vec![row(found, is_full)], next_cursor: None, stats: page.stats.into() }))
}

/// Counts over time by level.
#[utoipa::path(get, path = "/api/logs/histogram", tag = "logs", params(LogParams), responses((status = 200, body = wire::LogHistogram), (status = "default", body = wire::Problem)))]
pub(crate) async fn histogram(
    Extracted(state): Extracted<State>,
    Params(params): Params<LogParams>,
) -> Answer<Json<wire::LogHistogram>> {
    let buckets = params.buckets.unwrap_or(DEFAULT_BUCKETS);
    if !(1..=MAX_BUCKETS).contains(&buckets) {
        return Err(Problem::invalid(format!("buckets {buckets} is not between 1 and {MAX_BUCKETS}")));
    }
    let request = HistogramRequest {
        filter: params.filter()?,
        range: params.range(&state)?,
        buckets,
        limits: params.limits("log histogram")?,
    };
    let histogram = state.query().log_histogram(request).await?;
    let series =
        |(level, counts): (Severity, Vec<u64>)| wire::LogHistogramSeries { severity: level.name().to_owned(), counts };
    Ok(Json(wire::LogHistogram {
        start: timestamp(histogram.start_unix_nano),
        step_ms: histogram.step_nano as f64 / 1e6,
        series: histogram.series.into_iter().map(series).collect(),
        total: histogram.total,
        stats: histogram.stats.into(),
    }))
}

/// Fields with their most frequent values.
#[utoipa::path(get, path = "/api/logs/fields", tag = "logs", params(LogParams), responses((status = 200, body = wire::LogFields), (status = "default", body = wire::Problem)))]
pub(crate) async fn fields(
    Extracted(state): Extracted<State>,
    Params(params): Params<LogParams>,
) -> Answer<Json<wire::LogFields>> {
    let limits = params.limits("log fields")?;
    let found = state.query().log_fields(params.filter()?, params.range(&state)?, limits).await?;
    let values = |values: Vec<(String, u64)>| {
        values.into_iter().map(|(value, count)| wire::FieldValue { value, count }).collect()
    };
    let field = |field: query::logs::FieldCounts| wire::LogField {
        name: field.name,
        sampled: field.is_sampled,
        values: values(field.values),
    };
    Ok(Json(wire::LogFields {
        fields: found.fields.into_iter().map(field).collect(),
        total: found.total,
        sampled_rows: found.sampled_rows,
        stats: found.stats.into(),
    }))
}

/// Records as they arrive: events `rows` and `dropped`.
#[utoipa::path(get, path = "/api/logs/tail", tag = "logs", params(LogParams), responses((status = 200, description = "server-sent events", content_type = "text/event-stream", body = wire::TailRows), (status = "default", body = wire::Problem)))]
pub(crate) async fn tail(
    Extracted(state): Extracted<State>,
    Params(params): Params<LogParams>,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let is_full = params.full.as_deref() == Some("1");
    let events = state.query().tail(params.filter()?)?;
    let written = move |event| {
        let event = match event {
            TailEvent::Rows(records) => {
                let rows = records.into_iter().map(|record| row(record, is_full)).collect();
                Event::default().event("rows").json_data(wire::TailRows { rows })
            }
            TailEvent::Dropped { rows, at_least } => {
                Event::default().event("dropped").json_data(wire::TailDropped { count: rows, at_least })
            }
        };
        Ok(event.unwrap_or_else(|error| Event::default().comment(error.to_string())))
    };
    let stream = events.map(written).take_until(state.process().stopping());
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn row(record: LogRecord, is_full: bool) -> wire::LogRow {
    let mut body = record.body;
    let body_truncated = !is_full && body.as_ref().is_some_and(|body| body.len() > MAX_BODY_BYTES);
    if let Some(body) = body.as_mut().filter(|_| body_truncated) {
        body.truncate(body.floor_char_boundary(MAX_BODY_BYTES));
    }
    wire::LogRow {
        id: record.id.to_string(),
        timestamp: timestamp(record.timestamp_unix_nano),
        observed_timestamp: record.observed_unix_nano.map(timestamp),
        severity_number: record.severity_number,
        severity_text: record.severity_text,
        severity: Severity::of(record.severity_number).name().to_owned(),
        service: record.service_name,
        body,
        body_truncated,
        event_name: record.event_name,
        trace_id: record.trace_id,
        span_id: record.span_id,
        flags: record.flags,
        scope_name: record.scope_name,
        scope_version: record.scope_version,
        attributes: attributes(&record.attributes),
        resource_attributes: attributes(&record.resource_attributes),
        scope_attributes: attributes(&record.scope_attributes),
    }
}
