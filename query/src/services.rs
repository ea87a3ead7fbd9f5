//! Rate, errors and durations of each service, from its spans.
//!
//! One pass over the spans counts them by service, step of time and logarithmic duration bucket (16 a doubling: within
//! about 2 % of the true duration). Every quantile and the comparison with the period before follow from those counts.

use std::collections::BTreeMap;

use arrow::{array::Array, record_batch::RecordBatch};
use datafusion::common::ScalarValue;
use storage::model::TimeRange;

use crate::{
    Limits, Query, Stats,
    columns::Columns,
    cost::Cost,
    error::Result,
    red::{Red, count},
    search::timestamp,
};

/// Steps of a small chart.
const STEPS: i64 = 24;
/// Versions are read from the newest part of the window: at most so much.
const VERSION_WINDOW_NANO: i64 = 5 * 60 * 1_000_000_000;

/// Step -1 is the period before. `called` spans are of kind server or consumer; the others have no parent.
const SPANS: &str = "
    SELECT service_name, kind IN ('server', 'consumer') AS called,
        CASE WHEN start_time < $from THEN -1 ELSE (CAST(start_time AS BIGINT) - $start) / $step END AS step,
        CAST(floor(log2(CAST(greatest(duration_nano, 1) AS DOUBLE)) * 16.0) AS BIGINT) AS bucket,
        count(*) AS calls, sum(CASE WHEN status_code = 'error' THEN 1 ELSE 0 END) AS errors
    FROM spans
    WHERE start_time >= $before AND start_time < $to
        AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
    GROUP BY 1, 2, 3, 4";

const VERSIONS: &str = "
    SELECT service_name, max(resource_attributes['service.version']) AS version
    FROM spans WHERE start_time >= $from AND start_time < $to GROUP BY 1";

const LOGS: &str = "
    SELECT service_name, count(*) AS records, sum(CASE WHEN severity_number >= 17 THEN 1 ELSE 0 END) AS errors
    FROM logs WHERE timestamp >= $from AND timestamp < $to GROUP BY 1";

/// Every service seen in a window.
#[derive(Clone, Debug)]
pub struct Services {
    /// By name.
    pub services: Vec<Service>,
    /// What it cost.
    pub stats: Stats,
}

/// One service in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// `service.name`
    pub name: String,
    /// Spans of kind server or consumer; where there are none, spans without a parent.
    pub window: Red,
    /// The same length of time before; `None` where nothing was called.
    pub previous: Option<Red>,
    /// Start of the first step.
    pub start_unix_nano: i64,
    /// Length of a step.
    pub step_nano: i64,
    /// The window in steps.
    pub steps: Vec<Red>,
    /// `service.version` of its newest spans.
    pub version: Option<String>,
    /// Log records.
    pub log_records: u64,
    /// Log records of level error and fatal.
    pub log_errors: u64,
    /// Stable number from which its colour follows.
    pub slot: u32,
}

impl Query {
    /// Every service that sent spans or logs in `range`.
    ///
    /// # Errors
    /// As [`Query::sql`].
    pub async fn services(&self, range: TimeRange, limits: Limits) -> Result<Services> {
        let (start, end) = (range.start_unix_nano(), range.end_unix_nano());
        let length = i64::try_from(range.duration_nano()).unwrap_or(i64::MAX);
        let step_nano = (length / STEPS + i64::from(length % STEPS != 0)).max(1);
        let step_count =
            usize::try_from(length.div_euclid(step_nano) + i64::from(length % step_nano != 0)).unwrap_or(1);
        let before = start.saturating_sub(length);
        let times = move |names: &[(&str, i64)]| -> Vec<(String, ScalarValue)> {
            names.iter().map(|(name, nanos)| ((*name).to_owned(), timestamp(*nanos))).collect()
        };
        let mut cost = Cost::new();
        let mut services = Collected { slots: self, range, step_nano, step_count, by_name: BTreeMap::new() };

        let mut params = times(&[("before", before), ("from", start), ("to", end)]);
        params.push(("start".to_owned(), ScalarValue::Int64(Some(start))));
        params.push(("step".to_owned(), ScalarValue::Int64(Some(step_nano))));
        for batch in self.ask(&limits, "services", SPANS, params, &mut cost).await? {
            services.add_spans(&batch)?;
        }
        let newest = start.max(end.saturating_sub(VERSION_WINDOW_NANO));
        for batch in self.ask(&limits, "services", VERSIONS, times(&[("from", newest), ("to", end)]), &mut cost).await?
        {
            services.add_versions(&batch)?;
        }
        for batch in self.ask(&limits, "services", LOGS, times(&[("from", start), ("to", end)]), &mut cost).await? {
            services.add_logs(&batch)?;
        }
        let services = services.finish();
        let stats = cost.of(services.len());
        Ok(Services { services, stats })
    }
}

/// Services while they are being counted: called spans and spans without a parent apart.
struct Collected<'a> {
    slots: &'a Query,
    range: TimeRange,
    step_nano: i64,
    step_count: usize,
    by_name: BTreeMap<String, Counted>,
}

#[derive(Default)]
struct Counted {
    called: Periods,
    roots: Periods,
    version: Option<String>,
    log_records: u64,
    log_errors: u64,
}

#[derive(Default)]
struct Periods {
    window: Red,
    previous: Red,
    steps: BTreeMap<usize, Red>,
}

impl Collected<'_> {
    fn add_spans(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Columns(batch);
        let (name, called) = (columns.text("service_name")?, columns.bool("called")?);
        let (step, bucket) = (columns.int("step")?, columns.int("bucket")?);
        let (calls, errors) = (columns.int("calls")?, columns.int("errors")?);
        for row in 0..batch.num_rows() {
            let counted = self.by_name.entry(name.value(row).to_owned()).or_default();
            let periods = if called.value(row) { &mut counted.called } else { &mut counted.roots };
            let (calls, errors) = (count(calls.value(row))?, count(errors.value(row))?);
            match usize::try_from(step.value(row)) {
                Ok(step) => {
                    periods.window.add(bucket.value(row), calls, errors);
                    periods.steps.entry(step).or_default().add(bucket.value(row), calls, errors);
                }
                Err(_) => periods.previous.add(bucket.value(row), calls, errors),
            }
        }
        Ok(())
    }

    fn add_versions(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Columns(batch);
        let (name, version) = (columns.text("service_name")?, columns.text("version")?);
        for row in (0..batch.num_rows()).filter(|row| version.is_valid(*row)) {
            if let Some(counted) = self.by_name.get_mut(name.value(row)) {
                counted.version = Some(version.value(row).to_owned());
            }
        }
        Ok(())
    }

    fn add_logs(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Columns(batch);
        let name = columns.text("service_name")?;
        let (records, errors) = (columns.int("records")?, columns.int("errors")?);
        for row in 0..batch.num_rows() {
            let counted = self.by_name.entry(name.value(row).to_owned()).or_default();
            counted.log_records = u64::try_from(records.value(row)).unwrap_or(0);
            counted.log_errors = u64::try_from(errors.value(row)).unwrap_or(0);
        }
        Ok(())
    }

    fn finish(self) -> Vec<Service> {
        let Self { slots, range, step_nano, step_count, by_name } = self;
        let service = |(name, counted): (String, Counted)| {
            let Counted { called, roots, version, log_records, log_errors } = counted;
            let called_ever = called.window.calls + called.previous.calls > 0;
            let Periods { window, previous, mut steps } = if called_ever { called } else { roots };
            Service {
                slot: slots.slots().slot(&name),
                name,
                window,
                previous: (previous.calls > 0).then_some(previous),
                start_unix_nano: range.start_unix_nano(),
                step_nano,
                steps: (0..step_count).map(|step| steps.remove(&step).unwrap_or_default()).collect(),
                version,
                log_records,
                log_errors,
            }
        };
        let seen = |counted: &Counted| {
            counted.called.window.calls + counted.roots.window.calls + counted.log_records > 0
                || counted.called.previous.calls > 0
        };
        by_name.into_iter().filter(|(_, counted)| seen(counted)).map(service).collect()
    }
}
