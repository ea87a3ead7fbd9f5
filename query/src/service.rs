//! One service: its operations, whom it calls and who calls it, its versions, patterns and changes.

use arrow::{array::AsArray, datatypes::TimestampNanosecondType, record_batch::RecordBatch};
use datafusion::common::ScalarValue;
use storage::model::TimeRange;

use crate::{
    Limits, Query, Stats,
    changes::Change,
    columns::Columns,
    cost::Cost,
    error::{Error, Result},
    map::Edge,
    red::{Red, Sums, count},
    services::Service,
};

/// Points of a chart, about.
const POINTS: i64 = 120;

const KEYS: [&str; 2] = ["name", "kind"];

const COUNTS: &str = "
    SELECT name, kind, timestamp < $from AS before, sum(calls) AS calls,
        sum(CASE WHEN status_code = 'error' THEN calls ELSE 0 END) AS errors, max(exemplar_trace_id) AS exemplar
    FROM span_metrics
    WHERE timestamp >= $before AND timestamp < $to AND service_name = $service
    GROUP BY 1, 2, 3";

const DURATIONS: &str = "
    SELECT name, kind, before, bucket, sum(count) AS count FROM (
        SELECT name, kind, timestamp < $from AS before, unnest(bucket_indexes) AS bucket, unnest(bucket_counts) AS count
        FROM span_metrics
        WHERE timestamp >= $before AND timestamp < $to AND service_name = $service)
    GROUP BY 1, 2, 3, 4";

const STEPS: &str = "
    SELECT (CAST(timestamp AS BIGINT) - $start) / $step AS step, status_code = 'error' AS failed, bucket,
        sum(count) AS count FROM (
        SELECT timestamp, status_code, unnest(bucket_indexes) AS bucket, unnest(bucket_counts) AS count
        FROM span_metrics
        WHERE timestamp >= $from AND timestamp < $to AND service_name = $service
            AND (kind IN ('server', 'consumer') OR $all))
    GROUP BY 1, 2, 3";

const VERSIONS: &str = "
    SELECT service_version AS version, min(timestamp) AS first, max(timestamp) AS last, sum(calls) AS calls
    FROM span_metrics
    WHERE timestamp >= $from AND timestamp < $to AND service_name = $service AND service_version IS NOT NULL
    GROUP BY 1 ORDER BY 2, 1 LIMIT 100";

/// A pattern is new in the window when the same length of time before has none of it.
const PATTERNS: &str = "
    SELECT pattern_id, last_value(template ORDER BY timestamp) AS template, max(severity_number) AS severity,
        sum(CASE WHEN timestamp >= $from THEN records ELSE 0 END) AS records,
        sum(CASE WHEN timestamp < $from THEN records ELSE 0 END) AS records_before, min(timestamp) AS first
    FROM log_patterns
    WHERE timestamp >= $before AND timestamp < $to AND service_name = $service AND pattern_id <> 0
    GROUP BY 1 HAVING sum(CASE WHEN timestamp >= $from THEN records ELSE 0 END) > 0
    ORDER BY records_before = 0 DESC, severity DESC, records DESC, pattern_id LIMIT 50";

/// All that a page about a service shows.
#[derive(Clone, Debug)]
pub struct ServiceDetail {
    /// As in the list of services.
    pub service: Service,
    /// Start of the first step of the chart.
    pub start_unix_nano: i64,
    /// Length of a step.
    pub step_nano: i64,
    /// The window in steps.
    pub steps: Vec<Red>,
    /// The most called first.
    pub operations: Vec<Operation>,
    /// Calls to it.
    pub callers: Vec<Edge>,
    /// Calls by it.
    pub callees: Vec<Edge>,
    /// The oldest first.
    pub versions: Vec<Version>,
    /// New ones first, then the most severe.
    pub patterns: Vec<Pattern>,
    /// The newest first.
    pub changes: Vec<Change>,
    /// What it cost.
    pub stats: Stats,
}

/// What a service can be asked to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Span name.
    pub name: String,
    /// Span kind.
    pub kind: String,
    /// In the window.
    pub window: Red,
    /// The same length of time before; `None` without calls.
    pub previous: Option<Red>,
    /// Trace of a slow call.
    pub exemplar_trace_id: Option<String>,
}

/// A `service.version` seen in the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// As sent.
    pub version: String,
    /// Within ten seconds.
    pub first_unix_nano: i64,
    /// Within ten seconds.
    pub last_unix_nano: i64,
    /// Spans of it.
    pub calls: u64,
}

/// A form of log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Its number.
    pub pattern_id: u64,
    /// What its lines have in common.
    pub template: String,
    /// Of its most severe line.
    pub severity_number: i32,
    /// In the window.
    pub records: u64,
    /// There was none in the same length of time before.
    pub is_new: bool,
    /// The minute of its first line in both.
    pub first_unix_nano: i64,
}

impl Query {
    /// One service in `range`.
    ///
    /// # Errors
    /// `NotFound` when it sent nothing; else as [`Query::sql`].
    pub async fn service(&self, name: &str, range: TimeRange, limits: Limits) -> Result<ServiceDetail> {
        let mut cost = Cost::new();
        let services = self.services(range, limits.clone()).await?;
        cost.add(services.stats);
        let found = services.services.into_iter().find(|service| service.name == name);
        let service =
            found.ok_or_else(|| Error::not_found(format!("no service {name:?} sent anything in this window")))?;
        let params = self.window_params(range, Some(name));

        let operations = self.operations(&params, &limits, &mut cost).await?;
        let is_called = operations.iter().any(|operation| matches!(operation.kind.as_str(), "server" | "consumer"));
        let (start_unix_nano, step_nano, steps) = self.steps(range, &params, is_called, &limits, &mut cost).await?;
        let (mut callers, mut callees) = (Vec::new(), Vec::new());
        for edge in self.edges(range, Some(name), &limits, &mut cost).await? {
            if edge.callee == name {
                callers.push(edge.clone());
            }
            if edge.caller == name {
                callees.push(edge);
            }
        }
        let mut versions = Vec::new();
        for batch in self.ask(&limits, "service", VERSIONS, params.clone(), &mut cost).await? {
            versions.extend(read_versions(&batch)?);
        }
        let mut patterns = Vec::new();
        for batch in self.ask(&limits, "service", PATTERNS, params, &mut cost).await? {
            patterns.extend(read_patterns(&batch)?);
        }
        let changes = self.changes(range, Some(name), &limits).await?;
        let stats = cost.of(operations.len());
        Ok(ServiceDetail {
            service,
            start_unix_nano,
            step_nano,
            steps,
            operations,
            callers,
            callees,
            versions,
            patterns,
            changes,
            stats,
        })
    }

    async fn operations(&self, params: &[Param], limits: &Limits, cost: &mut Cost) -> Result<Vec<Operation>> {
        let mut sums = Sums::<2>::default();
        for batch in self.ask(limits, "service", COUNTS, params.to_vec(), cost).await? {
            sums.add_counts(&batch, KEYS)?;
        }
        for batch in self.ask(limits, "service", DURATIONS, params.to_vec(), cost).await? {
            sums.add_durations(&batch, KEYS)?;
        }
        let mut operations: Vec<Operation> = sums
            .0
            .into_iter()
            .filter(|(_, sum)| sum.window.calls > 0)
            .map(|([name, kind], sum)| Operation {
                name,
                kind,
                window: sum.window,
                previous: (sum.previous.calls > 0).then_some(sum.previous),
                exemplar_trace_id: sum.exemplar_trace_id,
            })
            .collect();
        // What others call first: what it calls itself stands with its callees.
        let rank = |operation: &Operation| match operation.kind.as_str() {
            "server" | "consumer" => 0,
            "internal" => 1,
            _ => 2,
        };
        operations.sort_by_key(|operation| (rank(operation), std::cmp::Reverse(operation.window.calls)));
        Ok(operations)
    }

    /// Start, length and content of the chart's steps.
    async fn steps(
        &self,
        range: TimeRange,
        params: &[Param],
        is_called: bool,
        limits: &Limits,
        cost: &mut Cost,
    ) -> Result<(i64, i64, Vec<Red>)> {
        let length = i64::try_from(range.duration_nano()).unwrap_or(i64::MAX);
        let counted = self.0.counted_step_nano(range.start_unix_nano());
        let step = (length / POINTS).max(1).div_euclid(counted).saturating_add(1).saturating_mul(counted);
        let start = range.start_unix_nano() - range.start_unix_nano().rem_euclid(counted);
        let step_count = usize::try_from((range.end_unix_nano() - start).div_euclid(step) + 1).unwrap_or(1);
        let mut params = params.to_vec();
        params.extend([
            ("start".to_owned(), ScalarValue::Int64(Some(start))),
            ("step".to_owned(), ScalarValue::Int64(Some(step))),
            ("all".to_owned(), ScalarValue::Boolean(Some(!is_called))),
        ]);
        let mut steps = vec![Red::default(); step_count];
        for batch in self.ask(limits, "service", STEPS, params, cost).await? {
            let columns = Columns(&batch);
            let (place, failed) = (columns.int("step")?, columns.bool("failed")?);
            let (bucket, counts) = (columns.int("bucket")?, columns.int("count")?);
            for row in 0..batch.num_rows() {
                let calls = count(counts.value(row))?;
                if let Some(red) = usize::try_from(place.value(row)).ok().and_then(|place| steps.get_mut(place)) {
                    red.add(bucket.value(row), calls, if failed.value(row) { calls } else { 0 });
                }
            }
        }
        Ok((start, step, steps))
    }
}

type Param = (String, ScalarValue);

fn read_versions(batch: &RecordBatch) -> Result<Vec<Version>> {
    let columns = Columns(batch);
    let (version, calls) = (columns.text("version")?, columns.int("calls")?);
    let (first, last) = (instants(columns, "first")?, instants(columns, "last")?);
    let version = |row| {
        Ok(Version {
            version: version.value(row).to_owned(),
            first_unix_nano: first[row],
            last_unix_nano: last[row],
            calls: count(calls.value(row))?,
        })
    };
    (0..batch.num_rows()).map(version).collect()
}

fn read_patterns(batch: &RecordBatch) -> Result<Vec<Pattern>> {
    let columns = Columns(batch);
    let ids = columns.column("pattern_id")?;
    let ids = ids.as_primitive_opt::<arrow::datatypes::UInt64Type>();
    let ids = ids.ok_or_else(|| Error::internal("a pattern without a number"))?;
    let (template, severity) = (columns.text("template")?, columns.int("severity")?);
    let (records, before) = (columns.int("records")?, columns.int("records_before")?);
    let first = instants(columns, "first")?;
    let pattern = |row| {
        Ok(Pattern {
            pattern_id: ids.value(row),
            template: template.value(row).to_owned(),
            severity_number: i32::try_from(severity.value(row)).unwrap_or_default(),
            records: count(records.value(row))?,
            is_new: before.value(row) == 0,
            first_unix_nano: first[row],
        })
    };
    (0..batch.num_rows()).map(pattern).collect()
}

fn instants(columns: Columns<'_>, name: &str) -> Result<Vec<i64>> {
    let column = columns.column(name)?;
    let times = column.as_primitive_opt::<TimestampNanosecondType>();
    Ok(times.ok_or_else(|| Error::internal(format!("{name} is no time")))?.values().to_vec())
}
