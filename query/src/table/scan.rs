//! Memtables and segments of one table as one source: filters, projections and sort wishes go to both.

use std::{
    any::Any,
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use datafusion::{
    common::{Result, Statistics, internal_err, stats::Precision, tree_node::TreeNodeRecursion},
    config::ConfigOptions,
    datasource::{
        listing::PartitionedFile,
        physical_plan::ParquetFileReaderFactory,
        source::{DataSource, OpenArgs},
    },
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr, projection::ProjectionExprs},
    physical_plan::{
        DisplayFormatType, Partitioning, SortOrderPushdownResult,
        execution_plan::SchedulingType,
        filter_pushdown::{FilterPushdownPropagation, PushedDown},
        metrics::ExecutionPlanMetricsSet,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::Result as ParquetResult,
    file::metadata::ParquetMetaData,
};
use storage::segment::{Segment, SegmentReader};

use crate::accounting::Cost;

/// One table of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotScan {
    /// Segments; its partitions come first.
    pub(crate) segments: Option<Arc<dyn DataSource>>,
    pub(crate) memtable: Option<Arc<dyn DataSource>>,
    pub(crate) limit: Option<usize>,
}

impl SnapshotScan {
    fn parts(&self) -> impl Iterator<Item = &Arc<dyn DataSource>> {
        self.segments.iter().chain(&self.memtable)
    }

    fn segment_partitions(&self) -> usize {
        self.segments.as_ref().map_or(0, |segments| segments.output_partitioning().partition_count())
    }

    /// Both parts changed the same way; `None` when one cannot be.
    fn both(
        &self,
        mut change: impl FnMut(&Arc<dyn DataSource>) -> Result<Option<Arc<dyn DataSource>>>,
    ) -> Result<Option<Self>> {
        let mut changed = self.clone();
        for part in changed.segments.iter_mut().chain(&mut changed.memtable) {
            match change(part)? {
                Some(new) => *part = new,
                None => return Ok(None),
            }
        }
        Ok(Some(changed))
    }
}

impl DataSource for SnapshotScan {
    fn open(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.open_with_args(OpenArgs::new(partition, context))
    }

    fn open_with_args(&self, mut args: OpenArgs) -> Result<SendableRecordBatchStream> {
        let first_memtable = self.segment_partitions();
        let stream = match (&self.segments, &self.memtable) {
            (Some(segments), _) if args.partition < first_memtable => segments.open_with_args(args)?,
            (_, Some(memtable)) => {
                args.partition -= first_memtable;
                args.sibling_state = None;
                memtable.open_with_args(args)?
            }
            _ => return internal_err!("a scan without partition {} was asked for it", args.partition),
        };
        let Some(limit) = self.limit else { return Ok(stream) };
        let schema = stream.schema();
        let limited = stream.scan(limit, |left, batch| {
            let batch = match batch {
                Ok(_) if *left == 0 => None,
                Ok(batch) => {
                    let batch = batch.slice(0, batch.num_rows().min(*left));
                    *left -= batch.num_rows();
                    Some(Ok(batch))
                }
                Err(error) => Some(Err(error)),
            };
            futures::future::ready(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, limited)))
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            part.fmt_as(format, f)?;
        }
        Ok(())
    }

    fn repartitioned(
        &self,
        target_partitions: usize,
        min_size: usize,
        ordering: Option<LexOrdering>,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        let Some(segments) = &self.segments else { return Ok(None) };
        let repartitioned = segments.repartitioned(target_partitions, min_size, ordering)?;
        Ok(repartitioned.map(|segments| Arc::new(Self { segments: Some(segments), ..self.clone() }) as _))
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.segment_partitions() + usize::from(self.memtable.is_some()))
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        match (&self.segments, &self.memtable) {
            (Some(only), None) | (None, Some(only)) => only.eq_properties(),
            // What holds for segments (a constant column, say) need not hold for memtables.
            (Some(segments), Some(_)) => EquivalenceProperties::new(Arc::clone(segments.eq_properties().schema())),
            (None, None) => EquivalenceProperties::new(Arc::new(arrow::datatypes::Schema::empty())),
        }
    }

    fn scheduling_type(&self) -> SchedulingType {
        // Memtables filter without yielding: the optimizer puts a yielding node above.
        SchedulingType::NonCooperative
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let segments = self.segment_partitions();
        match (partition, &self.segments, &self.memtable) {
            (Some(partition), Some(part), _) if partition < segments => part.partition_statistics(Some(partition)),
            (Some(partition), _, Some(part)) => part.partition_statistics(Some(partition - segments)),
            (_, Some(segments), Some(memtable)) => {
                let (segments, memtable) = (segments.partition_statistics(None)?, memtable.partition_statistics(None)?);
                let mut both = Statistics::new_unknown(self.eq_properties().schema());
                both.num_rows = segments.num_rows.add(&memtable.num_rows);
                Ok(Arc::new(both))
            }
            (_, Some(part), None) | (_, None, Some(part)) => part.partition_statistics(None),
            (_, None, None) => {
                let mut none = Statistics::new_unknown(self.eq_properties().schema());
                none.num_rows = Precision::Exact(0);
                Ok(Arc::new(none))
            }
        }
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        let mut limited = Self { limit, ..self.clone() };
        // Segments stop early by themselves; where they cannot, the cut above does.
        if let Some(segments) = limited.segments.as_mut()
            && let Some(new) = segments.with_fetch(limit)
        {
            *segments = new;
        }
        Some(Arc::new(limited))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.segments.as_ref().map(|segments| segments.metrics()).unwrap_or_default()
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(self.both(|part| part.try_swapping_with_projection(projection))?.map(|scan| Arc::new(scan) as _))
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        let mut pushed = vec![PushedDown::Yes; filters.len()];
        let changed = self.both(|part| {
            let result = part.try_pushdown_filters(filters.clone(), config)?;
            for (all, one) in pushed.iter_mut().zip(result.filters) {
                *all = all.and(one);
            }
            Ok(Some(result.updated_node.unwrap_or_else(|| Arc::clone(part))))
        })?;
        let propagation = FilterPushdownPropagation::with_parent_pushdown_result(pushed);
        Ok(match changed {
            Some(scan) => propagation.with_updated_node(Arc::new(scan) as _),
            None => propagation,
        })
    }

    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn DataSource>>> {
        let Some(segments) = &self.segments else { return Ok(SortOrderPushdownResult::Unsupported) };
        // Memtables are in arrival order: the sort stays, but segments are read in the promising order.
        Ok(match segments.try_pushdown_sort(order)? {
            SortOrderPushdownResult::Exact { inner } | SortOrderPushdownResult::Inexact { inner } => {
                let inner = Arc::new(Self { segments: Some(inner), ..self.clone() });
                SortOrderPushdownResult::Inexact { inner }
            }
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut recursion = TreeNodeRecursion::Continue;
        for part in self.parts() {
            recursion = recursion.visit_sibling(|| part.apply_expressions(f))?;
        }
        Ok(recursion)
    }

    fn create_sibling_state(&self, config: &ConfigOptions) -> Option<Arc<dyn Any + Send + Sync>> {
        self.segments.as_ref()?.create_sibling_state(config)
    }
}

/// What the reader of a file has to know; travels with the file through the plan.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) segment: Arc<Segment>,
    /// Something of it has been read.
    pub(crate) touched: AtomicBool,
}

/// Reads segments by their own checked reader, and counts.
#[derive(Debug)]
pub(crate) struct SegmentReaders {
    pub(crate) cost: Arc<Cost>,
}

impl ParquetFileReaderFactory for SegmentReaders {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let Some(file) = file.extensions.get::<Arc<SegmentFile>>() else {
            return internal_err!("a file of a scan without its segment");
        };
        let reader = file.segment.reader();
        Ok(Box::new(CountedReader { reader, file: Arc::clone(file), cost: Arc::clone(&self.cost) }))
    }
}

struct CountedReader {
    reader: SegmentReader,
    file: Arc<SegmentFile>,
    cost: Arc<Cost>,
}

impl CountedReader {
    fn count(&self, bytes: usize) {
        if !self.file.touched.swap(true, Relaxed) {
            self.cost.add_scanned_segment();
        }
        self.cost.add_bytes(bytes);
    }
}

impl AsyncFileReader for CountedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            let bytes = self.reader.get_bytes(range).await?;
            self.count(bytes.len());
            Ok(bytes)
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            let bytes = self.reader.get_byte_ranges(ranges).await?;
            self.count(bytes.iter().map(Bytes::len).sum());
            Ok(bytes)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        self.reader.get_metadata(options)
    }
}
