//! What follows from telemetry on its way in: calls per operation, calls between services, log patterns, new versions.
//!
//! Rows of the tables in [`Table::DERIVED`] are made when the rows they follow from enter their memtables, and again when
//! the WAL is replayed: each derived table has a checkpoint of its own, and frames behind it count for it. What has to be
//! remembered between frames (halves of calls, known versions, mined patterns) is published with that checkpoint, so that
//! every row is counted once whatever crashes.

mod cells;
mod edges;
mod histogram;
mod kept;
mod patterns;
mod peer;
mod red;
mod versions;

use std::collections::BTreeMap;

use arrow::{
    array::{AsArray, DictionaryArray, RecordBatch},
    datatypes::{Int32Type, TimestampNanosecondType, UInt64Type},
};
use bytes::Bytes;

pub(crate) use self::kept::kept_step;
use self::{edges::Edges, patterns::Patterns, red::Operations, versions::Versions};
pub use self::{
    histogram::{DurationHistogram, SCALE, bucket_index, bucket_start_nano},
    kept::COARSE_STEP_NANO,
};
use crate::{
    error::{Error, Result},
    model::{Table, Tenant},
    store::{Place, PlacedRows},
};

/// Length of a step of `span_metrics` and `service_edges`.
pub const STEP_NANO: i64 = 10_000_000_000;

/// Text of what is left out where there are too many names.
pub(crate) const OTHER: &str = "(other)";

/// Longest name that is remembered between requests, in bytes: names are told apart by their beginning, and a sender of huge
/// ones cannot fill the memory.
const MAX_NAME_BYTES: usize = 256;
/// More services than this are not remembered apart.
const MAX_SERVICES: usize = 20_000;

/// The part of a name that is remembered.
fn remembered(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME_BYTES)]
}

/// Start of the step that holds an instant.
pub(crate) const fn step_start(unix_nano: i64, step_nano: i64) -> i64 {
    unix_nano.saturating_sub(unix_nano.rem_euclid(step_nano))
}

/// What some rows lead to.
#[derive(Debug, Default)]
struct Derived {
    /// Rows of derived tables.
    rows: Vec<(Table, RecordBatch)>,
    /// Tables whose remembered state has changed, with or without rows.
    touched: Vec<Table>,
}

/// What is remembered of one tenant's telemetry.
#[derive(Debug)]
struct Rollups {
    operations: Operations,
    edges: Edges,
    patterns: Patterns,
    versions: Versions,
}

impl Rollups {
    fn new(settings: &config::Rollup) -> Self {
        Self {
            operations: Operations::new(settings.max_operations),
            edges: Edges::new(settings),
            patterns: Patterns::new(settings.max_patterns),
            versions: Versions::default(),
        }
    }

    /// Takes rows on their way into the memtable of `table`: gives log records their pattern, and returns what follows for
    /// the derived tables that `wants` them. `now_unix_nano` is the time of arrival.
    fn derive(
        &mut self,
        table: Table,
        rows: &mut RecordBatch,
        now_unix_nano: i64,
        wants: impl Fn(Table) -> bool,
    ) -> Result<Derived> {
        let mut derived = Derived::default();
        if table == Table::Spans {
            if wants(Table::SpanMetrics) {
                derived.rows.push((Table::SpanMetrics, self.operations.count(rows)?));
            }
            if wants(Table::ServiceEdges) {
                let edges = self.edges.pair(rows, now_unix_nano)?;
                derived.touched.push(Table::ServiceEdges);
                derived.rows.extend(edges.map(|rows| (Table::ServiceEdges, rows)));
            }
        }
        if table == Table::Logs {
            let (with_patterns, counts, is_new) = self.patterns.assign(rows)?;
            *rows = with_patterns;
            if wants(Table::LogPatterns) {
                derived.touched.extend(is_new.then_some(Table::LogPatterns));
                derived.rows.push((Table::LogPatterns, counts));
            }
        }
        if wants(Table::Changes) {
            let (changes, is_new) = self.versions.see(table, rows)?;
            derived.touched.extend(is_new.then_some(Table::Changes));
            derived.rows.extend(changes.map(|rows| (Table::Changes, rows)));
        }
        Ok(derived)
    }

    /// What must be remembered when the rows of `table` so far are in segments; `None` for tables that remember nothing.
    /// The number of operations is counted anew from here on.
    fn seal(&mut self, table: Table) -> Result<Option<Bytes>> {
        Ok(match table {
            Table::SpanMetrics => {
                self.operations.forget();
                None
            }
            Table::ServiceEdges => Some(self.edges.save()?),
            Table::LogPatterns => Some(self.patterns.save()?),
            Table::Changes => Some(self.versions.save()?),
            _ => None,
        })
    }

    /// Takes over what [`Self::seal`] said of `table` before a restart.
    fn load(&mut self, table: Table, state: &[u8]) -> Result<()> {
        match table {
            Table::ServiceEdges => self.edges.load(state),
            Table::LogPatterns => self.patterns.load(state),
            Table::Changes => self.versions.load(state),
            _ => Ok(()),
        }
    }
}

/// What some placed rows lead to.
#[derive(Debug, Default)]
pub(crate) struct PlacedDerived {
    /// Rows of derived tables.
    pub(crate) rows: Vec<PlacedRows>,
    /// Tables whose remembered state has changed.
    pub(crate) touched: Vec<Place>,
}

/// What is remembered of all tenants' telemetry.
#[derive(Debug)]
pub(crate) struct AllRollups {
    settings: config::Rollup,
    by_tenant: BTreeMap<Tenant, Rollups>,
}

impl AllRollups {
    pub(crate) fn new(settings: &config::Rollup) -> Self {
        Self { settings: settings.clone(), by_tenant: BTreeMap::new() }
    }

    fn of(&mut self, tenant: &Tenant) -> &mut Rollups {
        if !self.by_tenant.contains_key(tenant) {
            self.by_tenant.insert(tenant.clone(), Rollups::new(&self.settings));
        }
        self.by_tenant.get_mut(tenant).expect("inserted above")
    }

    /// What follows from rows on their way into memtables, for the derived tables that `wants` them. What cannot be derived
    /// is said and left out: the rows themselves are safe.
    pub(crate) fn derive(
        &mut self,
        rows: &mut [PlacedRows],
        now_unix_nano: i64,
        wants: impl Fn(&Place) -> bool,
    ) -> PlacedDerived {
        let mut all = PlacedDerived::default();
        for ((tenant, table), batches) in rows {
            let place = |table| (tenant.clone(), table);
            for batch in batches {
                match self.of(tenant).derive(*table, batch, now_unix_nano, |table| wants(&place(table))) {
                    Ok(Derived { rows, touched }) => {
                        let rows = rows.into_iter().filter(|(_, rows)| rows.num_rows() > 0);
                        all.rows.extend(rows.map(|(table, rows)| (place(table), vec![rows])));
                        all.touched.extend(touched.into_iter().map(place));
                    }
                    Err(error) => {
                        metrics::counter!("rootline_rollup_errors_total", "table" => table.name()).increment(1);
                        tracing::error!(%error, %table, "nothing can be derived from these rows");
                    }
                }
            }
        }
        all
    }

    /// See [`Rollups::seal`].
    pub(crate) fn seal(&mut self, (tenant, table): &Place) -> Result<Option<Bytes>> {
        self.of(tenant).seal(*table)
    }

    /// See [`Rollups::load`]. A state that cannot be read is forgotten: some calls between services may then count twice or
    /// as calls to the outside.
    pub(crate) fn load(&mut self, (tenant, table): &Place, state: &[u8]) {
        if let Err(error) = self.of(tenant).load(*table, state) {
            tracing::error!(%error, %table, "what a table remembered cannot be read");
        }
    }
}

/// Rows with one key as one row, as segments keep them. Other tables' rows stay as they are. Steps that end before
/// `fine_from_unix_nano` become longer ones. Sorted rows stay sorted.
pub(crate) fn combined(table: Table, batches: Vec<RecordBatch>, fine_from_unix_nano: i64) -> Result<Vec<RecordBatch>> {
    if batches.is_empty() || !is_summed(table) {
        return Ok(batches);
    }
    let united = cells::united(table, &batches)?;
    Ok(vec![match table {
        Table::SpanMetrics => red::combined(&united, fine_from_unix_nano)?,
        Table::ServiceEdges => edges::combined(&united, fine_from_unix_nano)?,
        _ => patterns::combined(&united)?,
    }])
}

/// Whether rows of the table are counts: those with one key add up.
pub(crate) const fn is_summed(table: Table) -> bool {
    matches!(table, Table::SpanMetrics | Table::ServiceEdges | Table::LogPatterns)
}

/// How many spans or log records the rows of a summed table count.
pub(crate) fn counted(table: Table, rows: &RecordBatch) -> Result<u64> {
    let column = if table == Table::LogPatterns { "records" } else { "calls" };
    Ok(numbers::<UInt64Type>(rows, column)?.iter().sum())
}

/// A label column of a batch in a wide schema.
fn labels<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a DictionaryArray<Int32Type>> {
    rows.column_by_name(name)
        .and_then(|column| column.as_dictionary_opt::<Int32Type>())
        .ok_or_else(|| Error::internal(format!("{name} is no label")))
}

/// Text of each value of a label column.
fn label_texts(labels: &DictionaryArray<Int32Type>) -> Result<Vec<&str>> {
    let values = labels.values().as_string_opt::<i32>().ok_or_else(|| Error::internal("labels are no text"))?;
    Ok(values.iter().map(Option::unwrap_or_default).collect())
}

/// The instants of a time column.
fn times<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a [i64]> {
    let times = rows.column_by_name(name).and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
    Ok(times.ok_or_else(|| Error::internal(format!("{name} is no time")))?.values())
}

/// The bytes of an id column.
fn ids<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a arrow::array::FixedSizeBinaryArray> {
    rows.column_by_name(name)
        .and_then(|column| column.as_fixed_size_binary_opt())
        .ok_or_else(|| Error::internal(format!("{name} holds no ids")))
}

/// The numbers of a column.
fn numbers<'a, T: arrow::datatypes::ArrowPrimitiveType>(rows: &'a RecordBatch, name: &str) -> Result<&'a [T::Native]> {
    let column = rows.column_by_name(name).and_then(|column| column.as_primitive_opt::<T>());
    Ok(column.ok_or_else(|| Error::internal(format!("{name} holds no numbers")))?.values())
}

#[cfg(test)]
mod tests;
