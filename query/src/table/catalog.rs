//! The tables of one snapshot by name, and `series`, which is made of several.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, TimestampNanosecondArray, UInt64Array},
    compute,
    datatypes::{DataType, Field, Schema, SchemaRef, TimestampNanosecondType, UInt64Type},
};
use async_trait::async_trait;
use datafusion::{
    catalog::{MemTable, Session, TableProvider},
    common::{Result, ScalarValue},
    datasource::{TableType, ViewTable, provider_as_source},
    logical_expr::{Expr, LogicalPlanBuilder, col, lit},
    physical_plan::ExecutionPlan,
};
use storage::{
    model::{Table, TimeRange},
    schema::{self, SERIES_COLUMNS},
};

use super::{
    provider::{FileSchemas, Provider},
    view_type,
};
use crate::{accounting::Cost, engine::TableSnapshot, error::from_storage};

/// Every SQL table, by name.
pub(crate) fn tables(
    snapshot: &Arc<dyn TableSnapshot>,
    schemas: &Arc<FileSchemas>,
    cost: &Arc<Cost>,
    range: Option<TimeRange>,
) -> Result<Vec<(&'static str, Arc<dyn TableProvider>)>> {
    let mut tables: Vec<(&'static str, Arc<dyn TableProvider>)> = Vec::new();
    for table in Table::ALL {
        let provider: Arc<dyn TableProvider> = Arc::new(Provider {
            table,
            snapshot: Arc::clone(snapshot),
            schemas: Arc::clone(schemas),
            cost: Arc::clone(cost),
        });
        let provider = match range {
            None => provider,
            Some(range) => {
                let scan = LogicalPlanBuilder::scan(table.name(), provider_as_source(provider), None)?;
                let plan = scan.filter(within(table.time_column(), range))?.build()?;
                Arc::new(ViewTable::new(plan, None)) as _
            }
        };
        tables.push((table.name(), provider));
    }
    let series = Arc::new(SeriesProvider { snapshot: Arc::clone(snapshot), cost: Arc::clone(cost), range });
    tables.push(("series", series));
    Ok(tables)
}

/// `start <= time < end`.
pub(crate) fn within(column: &str, range: TimeRange) -> Expr {
    let time = |nano: i64| lit(ScalarValue::TimestampNanosecond(Some(nano), Some(Arc::from("UTC"))));
    col(column).gt_eq(time(range.start_unix_nano())).and(col(column).lt(time(range.end_unix_nano())))
}

/// Columns of `series`: the id, what the points share, and where and when the points are.
pub(crate) fn series_schema() -> SchemaRef {
    let wide = schema::wide(Table::Metrics);
    let mut fields = vec![Field::new("series_id", DataType::UInt64, false)];
    for name in SERIES_COLUMNS {
        if let Ok(field) = wide.field_with_name(name) {
            fields.push(field.clone().with_data_type(view_type(field.data_type())));
        }
    }
    fields.push(Field::new("row_count", DataType::UInt64, false));
    if let Ok(time) = wide.field_with_name("timestamp") {
        fields.extend(["min_timestamp", "max_timestamp"].map(|name| time.clone().with_name(name)));
    }
    // NULL while the rows are in memory.
    fields.push(Field::new("segment", DataType::Utf8View, true));
    Arc::new(Schema::new(fields))
}

/// `series`: one row per series and segment, or memtable.
#[derive(Debug)]
struct SeriesProvider {
    snapshot: Arc<dyn TableSnapshot>,
    cost: Arc<Cost>,
    range: Option<TimeRange>,
}

impl SeriesProvider {
    async fn rows(&self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for table in Table::ALL.into_iter().filter(|table| table.has_series()) {
            for segment in self.snapshot.segments(table) {
                if self.range.is_some_and(|range| !range.overlaps(segment.meta().time_range)) {
                    continue;
                }
                if let Some(series) = segment.series().await.map_err(from_storage)? {
                    self.cost.add_rows(series.rows().num_rows());
                    batches.push(self.in_range(shaped(series.rows(), Some(segment.meta().id.as_str()))?)?);
                }
            }
            for batch in self.snapshot.memtables(table) {
                self.cost.add_rows(batch.num_rows());
                batches.push(self.in_range(shaped(&series_of(&batch)?, None)?)?);
            }
        }
        Ok(batches)
    }

    /// Series with a point that may lie in the range.
    fn in_range(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let Some(range) = self.range else { return Ok(batch) };
        let time = |name: &str| batch.column_by_name(name).map(|c| c.as_primitive::<TimestampNanosecondType>().clone());
        let (Some(min), Some(max)) = (time("min_timestamp"), time("max_timestamp")) else { return Ok(batch) };
        let kept: arrow::array::BooleanArray = min
            .values()
            .iter()
            .zip(max.values())
            .map(|(min, max)| Some(*min < range.end_unix_nano() && *max >= range.start_unix_nano()))
            .collect();
        Ok(compute::filter_record_batch(&batch, &kept)?)
    }
}

/// The series of a batch of points: its first row of each, with how many there are and when.
fn series_of(batch: &RecordBatch) -> Result<RecordBatch> {
    let column = |name: &str| {
        batch.column_by_name(name).ok_or_else(|| datafusion::common::internal_datafusion_err!("points without {name}"))
    };
    let ids = column("series_id")?.as_primitive::<UInt64Type>();
    let times = column("timestamp")?.as_primitive::<TimestampNanosecondType>();
    let mut seen: std::collections::HashMap<u64, usize> = std::collections::HashMap::new();
    let (mut first, mut count, mut min, mut max) = (Vec::new(), Vec::<u64>::new(), Vec::new(), Vec::new());
    for row in 0..batch.num_rows() {
        let time = times.value(row);
        let at = *seen.entry(ids.value(row)).or_insert_with(|| {
            first.push(row as u64);
            count.push(0);
            min.push(time);
            max.push(time);
            first.len() - 1
        });
        count[at] += 1;
        min[at] = time.min(min[at]);
        max[at] = time.max(max[at]);
    }
    let rows = compute::take_record_batch(batch, &UInt64Array::from(first))?;
    let mut fields = rows.schema().fields().to_vec();
    let mut columns = rows.columns().to_vec();
    let mut add = |name: &str, values: ArrayRef| {
        fields.push(Arc::new(Field::new(name, values.data_type().clone(), false)));
        columns.push(values);
    };
    add("row_count", Arc::new(UInt64Array::from(count)));
    add("min_timestamp", Arc::new(TimestampNanosecondArray::from(min).with_timezone("UTC")));
    add("max_timestamp", Arc::new(TimestampNanosecondArray::from(max).with_timezone("UTC")));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The columns of `series`, in their types.
fn shaped(rows: &RecordBatch, segment: Option<&str>) -> Result<RecordBatch> {
    let schema = series_schema();
    let columns = schema
        .fields()
        .iter()
        .map(|field| match rows.column_by_name(field.name()) {
            Some(column) => Ok(compute::cast(column, field.data_type())?),
            None if field.name() == "segment" => {
                ScalarValue::Utf8View(segment.map(str::to_owned)).to_array_of_size(rows.num_rows())
            }
            None => ScalarValue::try_new_null(field.data_type())?.to_array_of_size(rows.num_rows()),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

#[async_trait]
impl TableProvider for SeriesProvider {
    fn schema(&self) -> SchemaRef {
        series_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows().await?;
        MemTable::try_new(series_schema(), vec![rows])?.scan(state, projection, filters, limit).await
    }
}
