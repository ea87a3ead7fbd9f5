//! Rows that are in no segment yet, as a scan that filters and projects in their stored form.

use std::{fmt, sync::Arc};

use arrow::{
    array::AsArray,
    compute,
    datatypes::SchemaRef,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use datafusion::{
    common::{Result, Statistics, exec_err, stats::Precision, tree_node::TreeNodeRecursion},
    config::ConfigOptions,
    datasource::source::DataSource,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{
        EquivalenceProperties, PhysicalExpr, conjunction, projection::ProjectionExprs, utils::reassign_expr_columns,
    },
    physical_expr_adapter::PhysicalExprAdapter,
    physical_plan::{
        DisplayFormatType, Partitioning,
        filter_pushdown::{FilterPushdownPropagation, PushedDown},
        stream::RecordBatchStreamAdapter,
    },
};
use storage::model::Table;

use super::adapter::{Adapter, FileFacts};
use crate::accounting::Cost;

/// Rows of one query's answer batch at most.
const BATCH_ROWS: usize = 8_192;

/// Memtables of one table.
#[derive(Clone, Debug)]
pub(crate) struct MemtableScan {
    pub(crate) table: Table,
    /// The SQL table.
    pub(crate) logical: SchemaRef,
    /// Rows in the wide schema.
    pub(crate) batches: Arc<[RecordBatch]>,
    pub(crate) projection: ProjectionExprs,
    pub(crate) predicate: Option<Arc<dyn PhysicalExpr>>,
    pub(crate) cost: Arc<Cost>,
}

impl MemtableScan {
    pub(crate) fn row_count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    fn output_schema(&self) -> Result<SchemaRef> {
        Ok(Arc::new(self.projection.project_schema(&self.logical)?))
    }
}

/// One batch answered: filtered in its stored form, then only what survives is converted.
fn answer(
    batch: &RecordBatch,
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    projection: &[Arc<dyn PhysicalExpr>],
    output: &SchemaRef,
) -> Result<RecordBatch> {
    let filtered;
    let mut rows = batch;
    if let Some(predicate) = predicate {
        let kept = predicate.evaluate(batch)?.into_array(batch.num_rows())?;
        filtered = compute::filter_record_batch(batch, kept.as_boolean())?;
        rows = &filtered;
    }
    let columns = projection
        .iter()
        .zip(output.fields())
        .map(|(expr, field)| {
            let column = expr.evaluate(rows)?.into_array(rows.num_rows())?;
            Ok(if column.data_type() == field.data_type() {
                column
            } else {
                compute::cast(&column, field.data_type())?
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(output), columns, &options)?)
}

impl DataSource for MemtableScan {
    fn open(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return exec_err!("memtables are one partition");
        }
        let scan = self.clone();
        let output = self.output_schema()?;
        let schema = Arc::clone(&output);
        let slices = (0..self.batches.len()).flat_map({
            let batches = Arc::clone(&self.batches);
            move |index| (0..batches[index].num_rows()).step_by(BATCH_ROWS).map(move |start| (index, start))
        });
        // Batches differ in nothing but their rows: one adapter serves all.
        let adapter = Adapter {
            table: scan.table,
            logical: Arc::clone(&scan.logical),
            physical: storage::schema::wide(scan.table),
            facts: FileFacts::default(),
        };
        let predicate = scan.predicate.as_ref().map(|p| adapter.rewrite(Arc::clone(p))).transpose()?;
        let projection = scan
            .projection
            .as_ref()
            .iter()
            .map(|p| adapter.rewrite(Arc::clone(&p.expr)))
            .collect::<Result<Vec<_>>>()?;
        let answered = slices.map(move |(index, start)| {
            let batch = &scan.batches[index];
            let slice = batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start));
            scan.cost.add_rows(slice.num_rows());
            answer(&slice, predicate.as_ref(), &projection, &output)
        });
        let answered = answered.filter(|batch| batch.as_ref().map_or(true, |batch| batch.num_rows() > 0));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(answered))))
    }

    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memtable rows={}", self.row_count())
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(1)
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new(self.output_schema().unwrap_or_else(|_| Arc::clone(&self.logical)))
    }

    fn partition_statistics(&self, _: Option<usize>) -> Result<Arc<Statistics>> {
        let rows = self.row_count();
        let mut statistics = Statistics::new_unknown(self.output_schema()?.as_ref());
        statistics.num_rows = if self.predicate.is_none() { Precision::Exact(rows) } else { Precision::Inexact(rows) };
        Ok(Arc::new(statistics))
    }

    fn with_fetch(&self, _: Option<usize>) -> Option<Arc<dyn DataSource>> {
        None
    }

    fn fetch(&self) -> Option<usize> {
        None
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn DataSource>>> {
        let projection = self.projection.try_merge(projection)?;
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        let pushed = vec![PushedDown::Yes; filters.len()];
        let filters = filters
            .into_iter()
            .map(|filter| reassign_expr_columns(self.projection.unproject_expr(&filter)?, &self.logical))
            .collect::<Result<Vec<_>>>()?;
        let predicate = conjunction(self.predicate.iter().cloned().chain(filters));
        let updated = Arc::new(Self { predicate: Some(predicate), ..self.clone() });
        Ok(FilterPushdownPropagation::with_parent_pushdown_result(pushed).with_updated_node(updated as _))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut recursion = TreeNodeRecursion::Continue;
        for expr in self.predicate.iter().chain(self.projection.as_ref().iter().map(|p| &p.expr)) {
            recursion = recursion.visit_sibling(|| f(expr))?;
        }
        Ok(recursion)
    }
}
