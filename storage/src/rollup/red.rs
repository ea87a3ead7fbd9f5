//! Spans -> calls, failures and durations of each operation in ten seconds.

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt64Array},
    datatypes::{Int64Type, UInt64Type},
};
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{
    DurationHistogram, MAX_SERVICES, OTHER, STEP_NANO,
    cells::{self, Cells, HistogramColumns},
    ids,
    kept::{self, Exemplar, kept_step},
    label_texts, labels, numbers, step_start, times,
};
use crate::{
    error::{Error, Result},
    model::{
        Table,
        attributes::{Attributes, Value},
    },
    schema,
};

/// What is counted of one operation in one step. Labels by their key in the batch's dictionaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    step: i64,
    service: i32,
    /// Negative: none.
    version: i32,
    name: i32,
    kind: i32,
    status: i32,
}

#[derive(Debug, Default)]
struct Red {
    calls: u64,
    durations: DurationHistogram,
    max_duration_nano: i64,
    exemplar: Exemplar,
}

impl Red {
    fn keep_slowest(&mut self, duration_nano: i64, trace: Option<[u8; 16]>) {
        self.max_duration_nano = self.max_duration_nano.max(duration_nano);
        self.exemplar.offer(duration_nano, trace);
    }

    /// Leaves what a segment keeps.
    fn thin(&mut self, has_failed: bool) {
        self.exemplar.thin(self.calls, has_failed);
        self.max_duration_nano = kept::rounded_up(self.max_duration_nano);
        kept::round_sum(&mut self.durations);
    }
}

/// The operations seen lately: a service that names each request differently must not make a cell of each.
#[derive(Debug)]
pub(super) struct Operations {
    max_per_service: usize,
    names: HashMap<u64, HashSet<u64>>,
}

impl Operations {
    pub(super) fn new(max_per_service: usize) -> Self {
        Self { max_per_service, names: HashMap::new() }
    }

    /// Begins to count anew.
    pub(super) fn forget(&mut self) {
        self.names.clear();
    }

    /// Whether the operation gets cells of its own. Each version of the service has its own operations.
    fn admit(&mut self, service: &str, name: &str, version: &str) -> bool {
        let service = xxh3_64(service.as_bytes());
        if self.names.len() >= MAX_SERVICES && !self.names.contains_key(&service) {
            return false;
        }
        let names = self.names.entry(service).or_default();
        let name = xxh3_64_with_seed(name.as_bytes(), xxh3_64(version.as_bytes()));
        names.contains(&name) || (names.len() < self.max_per_service && names.insert(name))
    }

    /// The rows of `span_metrics` for some spans.
    pub(super) fn count(&mut self, spans: &RecordBatch) -> Result<RecordBatch> {
        let (service, name) = (labels(spans, "service_name")?, labels(spans, "name")?);
        let (kind, status) = (labels(spans, "kind")?, labels(spans, "status_code")?);
        let (services, names) = (label_texts(service)?, label_texts(name)?);
        let (version_of, versions) = versions(spans)?;
        let resource = labels(spans, "resource_attributes")?;
        let (starts, traces) = (times(spans, "start_time")?, ids(spans, "trace_id")?);
        let durations = numbers::<Int64Type>(spans, "duration_nano")?;
        let other = i32::try_from(names.len()).map_err(|_| Error::internal("too many names"))?;

        let key = |labels: &arrow::array::DictionaryArray<_>, row: usize| labels.keys().value(row);
        let mut cells = Cells::<Key, Red>::default();
        for row in 0..spans.num_rows() {
            let mut at = Key {
                step: step_start(starts[row], STEP_NANO),
                service: key(service, row),
                version: version_of.get(key(resource, row) as usize).copied().unwrap_or(-1),
                name: key(name, row),
                kind: key(kind, row),
                status: key(status, row),
            };
            let version = usize::try_from(at.version).map_or("", |version| versions[version]);
            let is_known = cells.has(&at);
            if !is_known && !self.admit(services[at.service as usize], names[at.name as usize], version) {
                (at.name, at.version) = (other, -1);
            }
            let cell = cells.get(at);
            cell.calls += 1;
            cell.durations.record(durations[row]);
            cell.keep_slowest(durations[row], cells::trace_id(traces, row));
        }
        let dictionaries = Dictionaries {
            service: Arc::clone(service.values()),
            version: cells::texts(versions),
            name: cells::texts(names.into_iter().chain([OTHER])),
            kind: Arc::clone(kind.values()),
            status: Arc::clone(status.values()),
        };
        rows(&cells, dictionaries)
    }
}

/// For each value of the resource dictionary the place of its version among the versions; negative where it has none.
fn versions(spans: &RecordBatch) -> Result<(Vec<i32>, Vec<&str>)> {
    let resources = labels(spans, "resource_attributes")?.values();
    let resources = resources.as_binary_opt::<i32>().ok_or_else(|| Error::internal("resources are no bytes"))?;
    let (mut versions, mut places): (Vec<&str>, HashMap<&str, i32>) = (Vec::new(), HashMap::new());
    let version_of = resources.iter().map(|resource| {
        let Some(Value::String(version)) = Attributes::new(resource.unwrap_or_default()).get("service.version") else {
            return -1;
        };
        *places.entry(version).or_insert_with(|| {
            versions.push(version);
            versions.len() as i32 - 1
        })
    });
    let version_of = version_of.collect();
    Ok((version_of, versions))
}

/// Text of the label columns.
struct Dictionaries {
    service: ArrayRef,
    version: ArrayRef,
    name: ArrayRef,
    kind: ArrayRef,
    status: ArrayRef,
}

fn rows(cells: &Cells<Key, Red>, dictionaries: Dictionaries) -> Result<RecordBatch> {
    let keys = || cells.iter().map(|(key, _)| key);
    let values = || cells.iter().map(|(_, red)| red);
    let [sums, indexes, counts] = cells::histograms(values().map(|red| &red.durations));
    let columns = vec![
        cells::timestamps(keys().map(|key| key.step)),
        cells::labels(keys().map(|key| key.service), dictionaries.service)?,
        cells::labels(keys().map(|key| key.version), dictionaries.version)?,
        cells::labels(keys().map(|key| key.name), dictionaries.name)?,
        cells::labels(keys().map(|key| key.kind), dictionaries.kind)?,
        cells::labels(keys().map(|key| key.status), dictionaries.status)?,
        Arc::new(UInt64Array::from_iter_values(values().map(|red| red.calls))),
        sums,
        indexes,
        counts,
        Arc::new(Int64Array::from_iter_values(values().map(|red| red.max_duration_nano))),
        cells::trace_ids(values().map(|red| red.exemplar.trace()))?,
    ];
    Ok(RecordBatch::try_new(schema::wide(Table::SpanMetrics), columns)?)
}

/// Rows of `span_metrics` with one key as one. `united` has one dictionary a column.
pub(super) fn combined(united: &RecordBatch, fine_from_unix_nano: i64) -> Result<RecordBatch> {
    let (service, version) = (labels(united, "service_name")?, labels(united, "service_version")?);
    let (name, kind, status) = (labels(united, "name")?, labels(united, "kind")?, labels(united, "status_code")?);
    let (steps, traces) = (times(united, "timestamp")?, ids(united, "exemplar_trace_id")?);
    let calls = numbers::<UInt64Type>(united, "calls")?;
    let slowest = numbers::<Int64Type>(united, "max_duration_nano")?;
    let histograms = HistogramColumns::of(united, "")?;
    let mut cells = Cells::<Key, Red>::default();
    for row in 0..united.num_rows() {
        let key = |labels: &arrow::array::DictionaryArray<_>| {
            labels.key(row).and_then(|key| i32::try_from(key).ok()).unwrap_or(-1)
        };
        let cell = cells.get(Key {
            step: kept_step(steps[row], fine_from_unix_nano),
            service: key(service),
            version: key(version),
            name: key(name),
            kind: key(kind),
            status: key(status),
        });
        cell.calls += calls[row];
        histograms.add_to(row, &mut cell.durations);
        cell.keep_slowest(slowest[row], cells::trace_id(traces, row));
    }
    let has_failed: Vec<bool> = label_texts(status)?.into_iter().map(|status| status == "error").collect();
    for (key, red) in cells.iter_mut() {
        red.thin(usize::try_from(key.status).is_ok_and(|status| has_failed[status]));
    }
    let values = |labels: &arrow::array::DictionaryArray<_>| Arc::clone(labels.values());
    let dictionaries = Dictionaries {
        service: values(service),
        version: values(version),
        name: values(name),
        kind: values(kind),
        status: values(status),
    };
    rows(&cells, dictionaries)
}
