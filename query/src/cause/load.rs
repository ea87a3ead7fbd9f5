//! The tables -> the facts of a window and the time before it, bounded.
//!
//! Traces are taken whole or not at all: where there are too many spans, those of some trace ids are left out, and the log
//! records of the same traces with them.

use std::{collections::BTreeMap, ops::ControlFlow};

use arrow::{
    array::{Array, StringArray},
    record_batch::RecordBatch,
};
use datafusion::common::ScalarValue;
use storage::model::attributes::Attributes;

use super::{
    drill,
    facts::{Facts, Kind, Log, Name, Place, Series, Shape, Span, Stretch},
    template::template,
    window::{SLOT_NANO, Slot},
};
use crate::{
    Limits, Query,
    columns::Columns,
    cost::Cost,
    error::{Error, Result},
    search::timestamp,
};

/// Spans, and log records, looked at: about that many where there are more.
const WANTED_ROWS: u64 = 300_000;
/// Where the ids of traces are not spread evenly, or one trace has very many: never more.
const MOST_ROWS: usize = 600_000;
/// Points a series is reduced to, and the finest step.
const STEPS: i64 = 400;
const LEAST_STEP_NANO: i64 = 1_000_000_000;
/// Series looked at, at most; `SERIES` says the same.
const MAX_SERIES: usize = 20_000;
/// Spans of a trace begin at most so long before or after its root, whatever the clocks say.
const MARGIN_NANO: i64 = 30 * 1_000_000_000;

/// `$from` and `$to` bound time; `$kept` is the first byte of an id, in hex, from which traces are left out.
const SPAN_COUNT: &str = "SELECT count(*) AS rows FROM spans WHERE start_time >= $from AND start_time < $to";

const LOG_COUNT: &str = "
    SELECT count(*) AS rows FROM logs WHERE timestamp >= $from AND timestamp < $to AND trace_id IS NOT NULL";

const SPANS: &str = "
    SELECT trace_id, span_id, parent_span_id, service_name, name, kind, start_time, duration_nano,
        status_code = 'error' AS failed,
        CASE WHEN kind IN ('client', 'producer') THEN coalesce(attributes['db.namespace'], attributes['db.name'],
            attributes['messaging.destination.name'], attributes['server.address'], attributes['db.system.name'],
            attributes['db.system']) END AS peer,
        resource_attributes['k8s.pod.name'] AS pod,
        coalesce(resource_attributes['k8s.node.name'], resource_attributes['host.name']) AS node,
        resource_attributes['service.version'] AS version
    FROM spans WHERE start_time >= $from AND start_time < $to AND ($kept = '' OR right(trace_id, 2) < $kept)";

const LOGS: &str = "
    SELECT timestamp, service_name, severity_number, body, trace_id, span_id
    FROM logs
    WHERE timestamp >= $from AND timestamp < $to AND trace_id IS NOT NULL AND body IS NOT NULL
        AND ($kept = '' OR right(trace_id, 2) < $kept)";

const SERIES: &str = "
    SELECT series_id, min(metric_name) AS metric, min(unit) AS unit, min(service_name) AS service_name,
        bool_or(type = 'sum' AND temporality = 'cumulative' AND is_monotonic) AS cumulative,
        min(resource_attributes['k8s.pod.name']) AS pod,
        min(coalesce(resource_attributes['k8s.node.name'], resource_attributes['host.name'])) AS node,
        min(resource_attributes['service.version']) AS version,
        min(attributes['client']) AS client, min(attributes['server']) AS server, min(attributes_json(attributes)) AS labels
    FROM metrics WHERE timestamp >= $from AND timestamp < $to GROUP BY series_id ORDER BY series_id LIMIT 20000";

const POINTS: &str = "
    SELECT series_id, max(timestamp) AS time,
        avg(coalesce(value, CAST(value_int AS DOUBLE))) AS mean, max(coalesce(value, CAST(value_int AS DOUBLE))) AS most
    FROM metrics WHERE timestamp >= $from AND timestamp < $to
    GROUP BY series_id, (CAST(timestamp AS BIGINT) - $start) / $step";

const SLOTS: &str = "
    SELECT (CAST(start_time AS BIGINT) - $start) / $step AS slot, count(*) AS calls,
        sum(CASE WHEN status_code = 'error' THEN 1 ELSE 0 END) AS errors,
        approx_percentile_cont(duration_nano, 0.5) AS p50, approx_percentile_cont(duration_nano, 0.95) AS p95
    FROM spans
    WHERE start_time >= $from AND start_time < $to AND ($service = '' OR service_name = $service)
        AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
    GROUP BY 1";

const CALLS: &str = "
    SELECT name, duration_nano, status_code = 'error' AS failed, attributes, resource_attributes
    FROM spans
    WHERE service_name = $service AND start_time >= $from AND start_time < $to AND kind <> 'internal'
    ORDER BY trace_id, span_id LIMIT 4000";

type Param = (String, ScalarValue);

fn text(name: &str, value: &str) -> Param {
    (name.to_owned(), ScalarValue::Utf8(Some(value.to_owned())))
}

fn int(name: &str, value: i64) -> Param {
    (name.to_owned(), ScalarValue::Int64(Some(value)))
}

fn times(stretch: Stretch) -> Vec<Param> {
    vec![("from".to_owned(), timestamp(stretch.from)), ("to".to_owned(), timestamp(stretch.to))]
}

/// Asks the tables.
#[derive(Clone, Debug)]
pub(super) struct Loader<'a> {
    pub(super) query: &'a Query,
    pub(super) limits: Limits,
}

impl Loader<'_> {
    pub(super) async fn rows(&self, statement: &'static str, params: Vec<Param>) -> Result<Vec<RecordBatch>> {
        self.query.ask(&self.limits, "cause", statement, params, &mut Cost::new()).await
    }

    /// The entry's traffic in slots without holes.
    pub(super) async fn slots(&self, service: Option<&str>, stretch: Stretch) -> Result<Vec<Slot>> {
        let mut params = times(stretch);
        params.extend([int("start", stretch.from), int("step", SLOT_NANO), text("service", service.unwrap_or(""))]);
        let count = usize::try_from(stretch.length() / SLOT_NANO + 1).unwrap_or(0);
        let mut slots: Vec<Slot> =
            (0..count as i64).map(|i| Slot { start: stretch.from + i * SLOT_NANO, ..Slot::default() }).collect();
        for batch in self.rows(SLOTS, params).await? {
            let columns = Columns(&batch);
            let (slot, calls, errors) = (columns.int("slot")?, columns.int("calls")?, columns.int("errors")?);
            let (p50, p95) = (columns.int("p50")?, columns.int("p95")?);
            for row in 0..batch.num_rows() {
                let Some(found) = usize::try_from(slot.value(row)).ok().and_then(|slot| slots.get_mut(slot)) else {
                    continue;
                };
                found.calls = u32::try_from(calls.value(row)).unwrap_or(u32::MAX);
                found.errors = u32::try_from(errors.value(row)).unwrap_or(u32::MAX);
                (found.p50, found.p95) = (p50.value(row) as f64 / 1e6, p95.value(row) as f64 / 1e6);
            }
        }
        Ok(slots)
    }

    /// Spans and log records of the stretches; `true` when traces were left out.
    pub(super) async fn traces(&self, facts: &mut Facts, stretches: &[Stretch]) -> Result<bool> {
        let widened: Vec<Stretch> = stretches
            .iter()
            .map(|stretch| Stretch { from: stretch.from - MARGIN_NANO, to: stretch.to + MARGIN_NANO })
            .collect();
        let spans = self.count(SPAN_COUNT, &widened).await?;
        let logs = self.count(LOG_COUNT, &widened).await?;
        let kept = kept(spans.max(logs));
        for stretch in &widened {
            let mut params = times(*stretch);
            params.push(text("kept", &kept));
            self.each(SPANS, params.clone(), |batch| read_spans(batch, facts)).await?;
            self.each(LOGS, params, |batch| read_logs(batch, facts)).await?;
        }
        Ok(!kept.is_empty() || facts.spans.len() >= MOST_ROWS || facts.logs.len() >= MOST_ROWS)
    }

    async fn count(&self, statement: &'static str, stretches: &[Stretch]) -> Result<u64> {
        let mut sum = 0;
        for stretch in stretches {
            for batch in self.rows(statement, times(*stretch)).await? {
                let counts = Columns(&batch).int("rows")?;
                sum += counts.iter().flatten().map(|count| u64::try_from(count).unwrap_or(0)).sum::<u64>();
            }
        }
        Ok(sum)
    }

    async fn each(
        &self,
        statement: &'static str,
        params: Vec<Param>,
        read: impl FnMut(&RecordBatch) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        self.query.ask_each(&self.limits, "cause", statement, params, read).await
    }

    /// Metric series that have points in the window, with their past.
    pub(super) async fn metrics(&self, facts: &mut Facts, past: Stretch) -> Result<()> {
        let mut index = std::collections::HashMap::new();
        for batch in self.rows(SERIES, times(facts.window)).await? {
            read_series(&batch, facts, &mut index)?;
        }
        let whole = Stretch { from: past.from, to: facts.window.to };
        let mut params = times(whole);
        let step = (whole.length() / STEPS).max(LEAST_STEP_NANO);
        params.extend([int("start", whole.from), int("step", step)]);
        self.each(POINTS, params, |batch| read_points(batch, facts, &index)).await?;
        facts.series.retain(|series| !series.points.is_empty());
        Ok(())
    }

    /// Calls of a service in a stretch with their attributes; `limits` says from which duration an operation is slow.
    pub(super) async fn calls(
        &self,
        service: &str,
        stretch: Stretch,
        limits: &BTreeMap<String, i64>,
    ) -> Result<Vec<drill::Call>> {
        let mut params = times(stretch);
        params.push(text("service", service));
        let mut calls = Vec::new();
        for batch in self.rows(CALLS, params).await? {
            read_calls(&batch, limits, &mut calls)?;
        }
        Ok(calls)
    }
}

/// Hex digits below which the last byte of a trace id must lie; empty when all are kept.
fn kept(rows: u64) -> String {
    match 256 * WANTED_ROWS / rows.max(1) {
        256.. => String::new(),
        part => format!("{:02x}", part.max(1)),
    }
}

/// Reads one text column into names. Neighbours are often the same: those are not looked up.
struct Texts {
    column: StringArray,
    last: Option<(usize, Name)>,
}

impl Texts {
    fn new(columns: Columns<'_>, name: &str) -> Result<Self> {
        Ok(Self { column: columns.text(name)?, last: None })
    }

    fn name(&mut self, facts: &mut Facts, row: usize) -> Option<Name> {
        if self.column.is_null(row) {
            return None;
        }
        let text = self.column.value(row);
        if let Some((last, name)) = self.last
            && self.column.value(last) == text
        {
            return Some(name);
        }
        let name = facts.names.number(text);
        self.last = Some((row, name));
        Some(name)
    }
}

fn trace_number(text: &str) -> u128 {
    u128::from_str_radix(text, 16).unwrap_or(0)
}

fn span_number(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or(0)
}

fn kind(text: &str) -> Kind {
    match text {
        "server" => Kind::Server,
        "client" => Kind::Client,
        "producer" => Kind::Producer,
        "consumer" => Kind::Consumer,
        _ => Kind::Internal,
    }
}

fn read_spans(batch: &RecordBatch, facts: &mut Facts) -> Result<ControlFlow<()>> {
    let columns = Columns(batch);
    let (trace, id, parent) = (columns.text("trace_id")?, columns.text("span_id")?, columns.text("parent_span_id")?);
    let (start, duration) = (columns.int("start_time")?, columns.int("duration_nano")?);
    let (kinds, failed) = (columns.text("kind")?, columns.bool("failed")?);
    let texts = |name| Texts::new(columns, name);
    let (mut service, mut operation, mut peer) = (texts("service_name")?, texts("name")?, texts("peer")?);
    let (mut pod, mut node, mut version) = (texts("pod")?, texts("node")?, texts("version")?);
    facts.spans.reserve(batch.num_rows());
    for row in 0..batch.num_rows() {
        let (Some(service), Some(operation)) = (service.name(facts, row), operation.name(facts, row)) else { continue };
        let span = Span {
            trace: trace_number(trace.value(row)),
            start: start.value(row),
            id: span_number(id.value(row)),
            parent: if parent.is_valid(row) { span_number(parent.value(row)) } else { 0 },
            service,
            operation,
            kind: kind(kinds.value(row)),
            duration: duration.value(row).max(0),
            failed: failed.is_valid(row) && failed.value(row),
            peer: peer.name(facts, row),
            place: Place { pod: pod.name(facts, row), node: node.name(facts, row), version: version.name(facts, row) },
        };
        facts.spans.push(span);
    }
    Ok(enough(facts.spans.len()))
}

fn enough(rows: usize) -> ControlFlow<()> {
    if rows < MOST_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn read_logs(batch: &RecordBatch, facts: &mut Facts) -> Result<ControlFlow<()>> {
    let columns = Columns(batch);
    let (time, severity) = (columns.int("timestamp")?, columns.int("severity_number")?);
    let (body, trace, span) = (columns.text("body")?, columns.text("trace_id")?, columns.text("span_id")?);
    let mut service = Texts::new(columns, "service_name")?;
    for row in 0..batch.num_rows() {
        let Some(service) = service.name(facts, row) else { continue };
        let template = facts.names.number(&template(body.value(row)));
        facts.logs.push(Log {
            time: time.value(row),
            service,
            template,
            severity: u8::try_from(severity.value(row)).unwrap_or(0),
            trace: trace_number(trace.value(row)),
            span: if span.is_valid(row) { span_number(span.value(row)) } else { 0 },
        });
    }
    Ok(enough(facts.logs.len()))
}

type SeriesIndex = std::collections::HashMap<i64, usize>;

fn read_series(batch: &RecordBatch, facts: &mut Facts, index: &mut SeriesIndex) -> Result<()> {
    let columns = Columns(batch);
    let (id, cumulative) = (series_ids(columns)?, columns.bool("cumulative")?);
    let texts = |name| Texts::new(columns, name);
    let (mut metric, mut unit, mut service) = (texts("metric")?, texts("unit")?, texts("service_name")?);
    let (mut pod, mut node, mut version) = (texts("pod")?, texts("node")?, texts("version")?);
    let (mut client, mut server, mut labels) = (texts("client")?, texts("server")?, texts("labels")?);
    for (row, id) in id.iter().enumerate() {
        if facts.series.len() >= MAX_SERIES {
            return Ok(());
        }
        let (Some(metric), Some(service)) = (metric.name(facts, row), service.name(facts, row)) else { continue };
        let empty = facts.names.number("");
        let series = Series {
            service,
            metric,
            unit: unit.name(facts, row).unwrap_or(empty),
            shape: if cumulative.is_valid(row) && cumulative.value(row) { Shape::Cumulative } else { Shape::Level },
            place: Place { pod: pod.name(facts, row), node: node.name(facts, row), version: version.name(facts, row) },
            attributes: labels.name(facts, row).unwrap_or(empty),
            call: client.name(facts, row).zip(server.name(facts, row)),
            points: Vec::new(),
        };
        index.insert(*id, facts.series.len());
        facts.series.push(series);
    }
    Ok(())
}

/// Ids of series are unsigned: their bits are kept.
fn series_ids(columns: Columns<'_>) -> Result<Vec<i64>> {
    use arrow::{array::AsArray, datatypes::UInt64Type};
    let column = columns.column("series_id")?;
    let ids = column.as_primitive_opt::<UInt64Type>().ok_or_else(|| Error::internal("series_id is no number"))?;
    Ok(ids.values().iter().map(|id| id.cast_signed()).collect())
}

fn read_points(batch: &RecordBatch, facts: &mut Facts, index: &SeriesIndex) -> Result<ControlFlow<()>> {
    use arrow::{array::AsArray, datatypes::Float64Type};
    let columns = Columns(batch);
    let (id, time) = (series_ids(columns)?, columns.int("time")?);
    let double = |name| -> Result<_> {
        let column = columns.column(name)?;
        column.as_primitive_opt::<Float64Type>().cloned().ok_or_else(|| Error::internal(format!("{name} is no double")))
    };
    let (mean, most) = (double("mean")?, double("most")?);
    for (row, id) in id.iter().enumerate() {
        let Some(series) = index.get(id).and_then(|i| facts.series.get_mut(*i)) else { continue };
        let value = if series.shape == Shape::Cumulative { &most } else { &mean };
        if value.is_valid(row) {
            series.points.push((time.value(row), value.value(row)));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn read_calls(batch: &RecordBatch, limits: &BTreeMap<String, i64>, calls: &mut Vec<drill::Call>) -> Result<()> {
    let columns = Columns(batch);
    let (name, duration, failed) = (columns.text("name")?, columns.int("duration_nano")?, columns.bool("failed")?);
    let (attributes, resource) = (columns.binary("attributes")?, columns.binary("resource_attributes")?);
    for row in 0..batch.num_rows() {
        let slow = limits.get(name.value(row)).is_some_and(|limit| duration.value(row) > *limit);
        let mut pairs = vec![("name".to_owned(), name.value(row).to_owned())];
        for (prefix, map) in [("", attributes.value(row)), ("resource.", resource.value(row))] {
            let texts = Attributes::new(map).iter().filter_map(|(key, value)| Some((key, value.to_text()?)));
            pairs.extend(texts.map(|(key, text)| (format!("{prefix}{key}"), text.into_owned())));
        }
        calls.push(drill::Call { bad: failed.value(row) || slow, attributes: pairs });
    }
    Ok(())
}
