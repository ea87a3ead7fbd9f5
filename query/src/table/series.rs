//! What only depends on a series is computed once per series.
//!
//! A segment keeps the columns that its points share in a table of series (`storage::segment::SeriesTable`). An
//! expression over those columns is evaluated on that table; each row then takes the value of its `series_id`.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, UInt64Array},
    compute,
    datatypes::{DataType, FieldRef, SchemaRef, UInt64Type},
};
use datafusion::config::ConfigOptions;
use datafusion::{
    common::{Result, exec_err, internal_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
    physical_expr::{PhysicalExpr, ScalarFunctionExpr, expressions::Column},
};
use storage::{model::Table, segment::SeriesTable};

use super::adapter::{Adapter, FileFacts};

/// `series_value(series_id)`: the value that was computed for the series.
pub(crate) struct SeriesLookup {
    table: Arc<SeriesTable>,
    /// One value per row of the series table.
    values: ArrayRef,
    /// What was computed, for plans.
    meaning: String,
    signature: Signature,
}

impl SeriesLookup {
    /// `expr` (over the SQL table) as a lookup by the file's `series_id`.
    pub(crate) fn over(
        table: &Arc<SeriesTable>,
        expr: &Arc<dyn PhysicalExpr>,
        logical: &SchemaRef,
        physical: &SchemaRef,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let values = evaluate(table, expr, logical)?;
        let Ok(index) = physical.index_of("series_id") else {
            return internal_err!("a segment with a series table has no series_id");
        };
        let id: Arc<dyn PhysicalExpr> = Arc::new(Column::new("series_id", index));
        let signature = Signature::any(1, Volatility::Immutable);
        let lookup = Self { table: Arc::clone(table), values, meaning: expr.to_string(), signature };
        let function = Arc::new(ScalarUDF::from(lookup));
        Ok(Arc::new(ScalarFunctionExpr::try_new(function, vec![id], physical, Arc::new(ConfigOptions::default()))?))
    }
}

/// The expression's value for each row of the series table.
fn evaluate(table: &SeriesTable, expr: &Arc<dyn PhysicalExpr>, logical: &SchemaRef) -> Result<ArrayRef> {
    let rows = table.rows();
    let adapter = Adapter {
        // Any table with series: the time column is not among a series' columns.
        table: Table::Metrics,
        logical: Arc::clone(logical),
        physical: rows.schema(),
        facts: FileFacts::default(),
    };
    let adapted = datafusion::physical_expr_adapter::PhysicalExprAdapter::rewrite(&adapter, Arc::clone(expr))?;
    adapted.evaluate(rows)?.into_array(rows.num_rows())
}

/// Rows of the segment whose series meet `condition` (over the SQL table, on series columns only).
pub(crate) fn matching_rows(
    table: &SeriesTable,
    condition: &Arc<dyn PhysicalExpr>,
    logical: &SchemaRef,
) -> Result<Vec<Range<usize>>> {
    let met = evaluate(table, condition, logical)?;
    let met = datafusion::common::cast::as_boolean_array(&met)?;
    let number = |name: &str| {
        table.rows().column_by_name(name).and_then(|column| column.as_primitive_opt::<UInt64Type>().cloned())
    };
    let (Some(first), Some(count)) = (number("first_row"), number("row_count")) else {
        return internal_err!("a series table without row numbers");
    };
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for row in 0..met.len() {
        if met.is_valid(row) && met.value(row) {
            let start = usize::try_from(first.value(row)).unwrap_or(usize::MAX);
            let end = start.saturating_add(usize::try_from(count.value(row)).unwrap_or(usize::MAX));
            ranges.push(start..end);
        }
    }
    ranges.sort_by_key(|range| range.start);
    Ok(ranges)
}

impl ScalarUDFImpl for SeriesLookup {
    fn name(&self) -> &str {
        "series_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.values.data_type().clone())
    }

    fn return_field_from_args(&self, _: datafusion::logical_expr::ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(arrow::datatypes::Field::new(&self.meaning, self.values.data_type().clone(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ids] = args.args.as_slice() else { return exec_err!("series_value takes one argument") };
        let ids = ids.to_array(args.number_rows)?;
        let ids = ids.as_primitive::<UInt64Type>();
        let mut last: Option<(u64, Option<u64>)> = None;
        let rows: UInt64Array = ids
            .iter()
            .map(|id| {
                let id = id?;
                match last {
                    // Points of a series lie together.
                    Some((known, row)) if known == id => row,
                    _ => {
                        let row = self.table.lookup(id).map(|row| row as u64);
                        last = Some((id, row));
                        row
                    }
                }
            })
            .collect();
        Ok(ColumnarValue::Array(compute::take(&self.values, &rows, None)?))
    }
}

impl fmt::Debug for SeriesLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesLookup").field("meaning", &self.meaning).finish_non_exhaustive()
    }
}

impl PartialEq for SeriesLookup {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.table, &other.table) && self.meaning == other.meaning
    }
}

impl Eq for SeriesLookup {}

impl Hash for SeriesLookup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.meaning.hash(state);
    }
}
