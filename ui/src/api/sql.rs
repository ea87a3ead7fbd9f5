//! SQL: questions, plans, the schema, and what is running.

use std::time::Duration;

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{Path, Request, State as Extracted},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream::Fuse};
use query::{Rows, SqlRequest, StatsHandle, attributes::Attributes};
use serde::Deserialize;

use crate::{
    State,
    error::{Answer, Problem},
    formats::{self, Encoder, Format},
    params::{self, Params},
    wire::{self, SqlBody, TimeText},
};

/// Parameters of `GET /api/sql`, and of a `POST` whose body is the statement alone.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlParams {
    /// One read-only statement.
    query: Option<String>,
    /// JSON array of the values of `$1`, `$2`, …
    params: Option<String>,
    /// Restricts the time column of every table, with `to`: epoch ms, RFC 3339 or `now-1h`.
    from: Option<String>,
    /// End of the range, not included.
    to: Option<String>,
    /// `30s`
    timeout: Option<String>,
    /// Rows at most.
    limit: Option<usize>,
    /// By which name it can be cancelled.
    query_id: Option<String>,
    /// json, ndjson, csv, arrow, parquet; the Accept header otherwise.
    format: Option<String>,
}

/// Answers a statement.
#[utoipa::path(get, path = "/api/sql", tag = "sql", params(SqlParams), responses((status = 200, body = wire::SqlAnswer), (status = "default", body = wire::Problem)))]
pub(crate) async fn get(
    Extracted(state): Extracted<State>,
    headers: HeaderMap,
    Params(params): Params<SqlParams>,
) -> Answer<Response> {
    let format = Format::wanted(params.format.as_deref(), &headers)?;
    let request = request(&state, body_of(params)?)?;
    answer(&state, request, format).await
}

/// Answers a statement.
#[utoipa::path(post, path = "/api/sql", tag = "sql", request_body(content((wire::SqlBody = "application/json"), (String = "text/plain"))), responses((status = 200, body = wire::SqlAnswer), (status = "default", body = wire::Problem)))]
pub(crate) async fn post(
    Extracted(state): Extracted<State>,
    headers: HeaderMap,
    Params(params): Params<SqlParams>,
    body: Request,
) -> Answer<Response> {
    let format = Format::wanted(params.format.as_deref(), &headers)?;
    let body = read_body(&state, &headers, params, body).await?;
    let request = request(&state, body)?;
    answer(&state, request, format).await
}

/// The plan of a statement.
#[utoipa::path(post, path = "/api/sql/explain", tag = "sql", request_body(content((wire::SqlBody = "application/json"), (String = "text/plain"))), responses((status = 200, body = wire::Explanation), (status = "default", body = wire::Problem)))]
pub(crate) async fn explain(
    Extracted(state): Extracted<State>,
    headers: HeaderMap,
    Params(params): Params<SqlParams>,
    body: Request,
) -> Answer<Json<wire::Explanation>> {
    let body = read_body(&state, &headers, params, body).await?;
    let plan = state.query().explain(request(&state, body)?).await?;
    Ok(Json(wire::Explanation { plan }))
}

fn body_of(params: SqlParams) -> Answer<SqlBody> {
    let query = params.query.ok_or_else(|| Problem::invalid("the parameter `query` is missing"))?;
    let values = match params.params.as_deref() {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Problem::invalid(format!("`params` is no JSON array: {error}")))?,
        None => Vec::new(),
    };
    Ok(SqlBody {
        query,
        params: values,
        from: params.from.map(TimeText::Text),
        to: params.to.map(TimeText::Text),
        timeout: params.timeout,
        limit: params.limit,
        query_id: params.query_id,
    })
}

async fn read_body(state: &State, headers: &HeaderMap, params: SqlParams, body: Request) -> Answer<SqlBody> {
    // Statement, its parameters, and their quotes.
    let most = state.config().query.max_statement_size.as_usize().saturating_mul(2).saturating_add(1 << 20);
    let bytes = to_bytes(body.into_body(), most)
        .await
        .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {most} bytes")))?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("text/plain");
    match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/json" => serde_json::from_slice(&bytes)
            .map_err(|error| Problem::invalid(format!("the body is no such JSON: {error}"))),
        "text/plain" | "application/sql" | "" => {
            let query = String::from_utf8(bytes.into()).map_err(|_| Problem::invalid("the statement is no UTF-8"))?;
            body_of(SqlParams { query: Some(query), ..params })
        }
        other => Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("cannot read a body of type {other:?}"))
            .with_hint(
                "send text/plain or application/json; curl: -H 'Content-Type: text/plain' --data-binary 'SELECT …'",
            )),
    }
}

fn request(state: &State, body: SqlBody) -> Answer<SqlRequest> {
    let now = state.process().now_unix_nano();
    Ok(SqlRequest {
        range: params::optional_range(body.from.as_ref(), body.to.as_ref(), now)?,
        timeout: body.timeout.as_deref().map(params::duration).transpose()?,
        text: body.query,
        params: body.params,
        limit: body.limit,
        query_id: body.query_id,
    })
}

/// Waits for the first rows, so that most failures have a status of their own, then streams.
async fn answer(state: &State, request: SqlRequest, format: Format) -> Answer<Response> {
    let answer = state.query().sql(request).await?;
    // An answer without rows has ended when its first batch is asked for.
    let mut rows = answer.rows.fuse();
    let first = rows.next().await.transpose()?;
    let failed = |error: std::io::Error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let mut encoder = Encoder::new(format, &answer.schema).map_err(failed)?;
    let mut head = encoder.begin();
    if let Some(batch) = &first {
        head.extend(encoder.rows(batch).map_err(failed)?);
    }
    let rest = Rest { rows, stats: answer.stats, encoder: Some(encoder) };
    let chunks = futures::stream::once(std::future::ready(Ok(Bytes::from(head)))).chain(rest.into_stream()).fuse();
    let mut response = Body::from_stream(chunks).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&answer.query_id) {
        headers.insert("x-query-id", id);
    }
    Ok(response)
}

/// The part of an answer that has not been sent. Dropping it cancels the query.
struct Rest {
    rows: Fuse<Rows>,
    stats: StatsHandle,
    /// `None` when the end has been written.
    encoder: Option<Encoder>,
}

impl Rest {
    fn into_stream(self) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send {
        futures::stream::unfold(self, |mut rest| async move {
            let mut encoder = rest.encoder.take()?;
            let chunk = match rest.rows.next().await {
                Some(Ok(batch)) => {
                    let rows = encoder.rows(&batch);
                    rest.encoder = Some(encoder);
                    rows
                }
                Some(Err(error)) => encoder.end(rest.stats.get().into(), Some(error.into())),
                None => encoder.end(rest.stats.get().into(), None),
            };
            Some((chunk.map(Bytes::from), rest))
        })
    }
}

/// What can be asked: tables, columns, attribute keys of recent rows.
#[utoipa::path(get, path = "/api/sql/schema", tag = "sql", responses((status = 200, body = wire::SqlSchema)))]
pub(crate) async fn schema(Extracted(state): Extracted<State>) -> Answer<Json<wire::SqlSchema>> {
    let mut tables = Vec::new();
    for (name, description) in TABLES {
        let statement = |text: String| SqlRequest {
            text,
            timeout: Some(SCHEMA_TIMEOUT),
            limit: Some(KEY_SAMPLE_ROWS),
            ..SqlRequest::default()
        };
        let answer = state.query().sql(statement(format!("SELECT * FROM {name} LIMIT 0"))).await?;
        let columns = answer
            .schema
            .fields()
            .iter()
            .map(|field| wire::SqlColumn {
                name: field.name().clone(),
                r#type: formats::type_name(field),
                description: column_description(field.name()).to_owned(),
            })
            .collect();
        let attribute_keys = if answer.schema.column_with_name("attributes").is_some() {
            let sample = format!("SELECT attributes FROM {name} LIMIT {KEY_SAMPLE_ROWS}");
            attribute_keys(&state.query().sql(statement(sample)).await?.collect().await?.0)
        } else {
            Vec::new()
        };
        let (name, description) = (name.to_owned(), description.to_owned());
        tables.push(wire::SqlTable { name, description, columns, attribute_keys });
    }
    Ok(Json(wire::SqlSchema { tables }))
}

const SCHEMA_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows in which attribute keys are looked for, and most keys listed.
const KEY_SAMPLE_ROWS: usize = 1000;
const MAX_KEYS: usize = 300;

fn attribute_keys(batches: &[arrow::record_batch::RecordBatch]) -> Vec<String> {
    use arrow::array::{Array, AsArray};
    let mut keys = std::collections::BTreeSet::new();
    for batch in batches {
        let Some(maps) = batch.column(0).as_binary_opt::<i32>() else { continue };
        for row in (0..maps.len()).filter(|row| maps.is_valid(*row)) {
            keys.extend(Attributes::new(maps.value(row)).iter().map(|(key, _)| key.to_owned()));
        }
    }
    keys.into_iter().take(MAX_KEYS).collect()
}

const TABLES: [(&str, &str); 12] = [
    ("logs", "log records"),
    ("spans", "spans of traces"),
    ("metrics", "number data points: gauges and sums"),
    ("histograms", "histogram data points with explicit buckets"),
    ("exponential_histograms", "histogram data points with exponential buckets"),
    ("summaries", "summary data points"),
    ("exemplars", "exemplars: measurements with the trace they belong to"),
    ("series", "metric series"),
    (
        "span_metrics",
        "calls, failures and durations of each operation in ten seconds, later a minute; rows with one key add up",
    ),
    ("service_edges", "calls from one service to another in ten seconds, later a minute; rows with one key add up"),
    ("log_patterns", "log records of each pattern in a minute; rows with one key add up"),
    ("changes", "deploys and other changes, reported or seen in telemetry"),
];

fn column_description(name: &str) -> &'static str {
    match name {
        "timestamp" => "when it happened",
        "observed_timestamp" => "when it was first seen",
        "start_time" => "when the span began",
        "start_timestamp" => "since when a cumulative value counts",
        "duration_nano" => "duration in nanoseconds",
        "service_name" => "resource attribute service.name; unknown_service where there is none",
        "severity_number" => "1-4 trace, 5-8 debug, 9-12 info, 13-16 warn, 17-20 error, 21-24 fatal, 0 unspecified",
        "severity_text" => "level as the sender writes it",
        "body" => "text of the record; search it with match(body, 'words')",
        "body_value" => "the body where it is not text",
        "pattern_id" => "number of the text's pattern; log_patterns has its template",
        "trace_id" | "span_id" | "parent_span_id" => "lower-case hex",
        "kind" => "internal, server, client, producer, consumer, unspecified",
        "status_code" => "unset, ok, error",
        "attributes" => "attributes['key'] is one of them",
        "resource_attributes" => "attributes of what sent it: resource_attributes['key']",
        "scope_attributes" => "attributes of the instrumentation: scope_attributes['key']",
        "anomaly" => "what was odd about the item",
        "value" => "the value as a number",
        "value_int" => "the value where it was sent as an integer",
        "temporality" => "delta or cumulative",
        "series_id" => "which series the point belongs to",
        "calls" => "how many calls",
        "errors" => "how many of them failed",
        "bucket_indexes" | "client_bucket_indexes" | "server_bucket_indexes" => {
            "durations: bucket i begins at 2^(i/16) nanoseconds"
        }
        "bucket_counts" | "client_bucket_counts" | "server_bucket_counts" => "durations: how many in each bucket",
        "exemplar_trace_id" => "trace of the slowest call",
        "template" => "what all texts of the pattern have in common",
        "source" => "api: reported; telemetry: derived",
        _ => "",
    }
}

/// Questions that are being answered.
#[utoipa::path(get, path = "/api/queries", tag = "sql", responses((status = 200, body = wire::Queries)))]
pub(crate) async fn running(Extracted(state): Extracted<State>) -> Json<wire::Queries> {
    let shown = |query: query::RunningQuery| wire::RunningQuery {
        query_id: query.query_id,
        text: query.text,
        elapsed_ms: query.elapsed_ms,
        stats: query.stats.into(),
    };
    Json(wire::Queries { queries: state.query().running().into_iter().map(shown).collect() })
}

/// Ends a question.
#[utoipa::path(delete, path = "/api/queries/{query_id}", tag = "sql", responses((status = 204), (status = 404, body = wire::Problem)))]
pub(crate) async fn cancel(Extracted(state): Extracted<State>, Path(query_id): Path<String>) -> Answer<StatusCode> {
    if state.query().cancel(&query_id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found(format!("no query named {query_id:?} is running")))
}
