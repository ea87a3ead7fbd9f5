//! One table of a snapshot, as DataFusion asks for it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{ColumnStatistics, DFSchema, Result, ScalarValue, Statistics, stats::Precision},
    datasource::{
        TableType,
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource, parquet::ParquetRowSelection},
        source::{DataSource, DataSourceExec},
    },
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown, utils::split_conjunction},
    physical_expr::{PhysicalExpr, projection::ProjectionExprs},
    physical_plan::ExecutionPlan,
};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use storage::{
    model::Table,
    schema::SERIES_COLUMNS,
    segment::{Segment, SegmentId},
};

use super::{
    adapter::{self, AdapterFactory, FileFacts},
    memtable::MemtableScan,
    prune::Asked,
    scan::{SegmentFile, SegmentReaders, SnapshotScan},
    series, sql_schema,
    text::{self, Rows},
};
use crate::{accounting::Cost, engine::TableSnapshot, error::from_storage};

/// Arrow schemas of segment files: worked out once per file, not once per query.
#[derive(Default)]
pub(crate) struct FileSchemas(Mutex<HashMap<SegmentId, SchemaRef>>);

/// Schemas kept at most; beyond it all are dropped and worked out again.
const MAX_FILE_SCHEMAS: usize = 10_000;

impl FileSchemas {
    async fn of(&self, segment: &Segment) -> Result<SchemaRef> {
        let id = &segment.meta().id;
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Ok(Arc::clone(known));
        }
        let metadata = segment.metadata().await.map_err(from_storage)?;
        let stored = ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new())?;
        let schema = adapter::tagged(stored.schema(), id.as_str());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_FILE_SCHEMAS {
            known.clear();
        }
        known.insert(id.clone(), Arc::clone(&schema));
        Ok(schema)
    }
}

impl fmt::Debug for FileSchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSchemas").finish_non_exhaustive()
    }
}

/// Where the object store of a plan is looked up. Nothing is read through it: segments have their own reader.
pub(crate) fn segments_url() -> ObjectStoreUrl {
    ObjectStoreUrl::parse("rootline://segments").expect("a constant that a test reads")
}

/// Segments whose indexes are asked at once.
const SEGMENTS_AT_ONCE: usize = 16;

/// One table of one snapshot.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) table: Table,
    pub(crate) snapshot: Arc<dyn TableSnapshot>,
    pub(crate) schemas: Arc<FileSchemas>,
    pub(crate) cost: Arc<Cost>,
}

/// A segment that has to be read, and how.
struct Chosen {
    file: PartitionedFile,
    facts: FileFacts,
    end: i64,
}

impl Provider {
    /// How to read this segment; `None` when nothing in it can match.
    async fn choose(
        &self,
        segment: &Arc<Segment>,
        asked: &Asked,
        on_series: &[Arc<dyn PhysicalExpr>],
    ) -> Result<Option<Chosen>> {
        let meta = segment.meta();
        if !asked.may_be_in(meta.time_range) {
            return Ok(None);
        }
        if let Some(traces) = &asked.traces {
            let mut found = false;
            for trace in traces {
                if segment.may_contain_trace(trace).await.map_err(from_storage)? {
                    found = true;
                    break;
                }
            }
            if !found {
                return Ok(None);
            }
        }
        let row_count = usize::try_from(meta.row_count).unwrap_or(usize::MAX);
        let mut candidates: Option<Vec<std::ops::Range<usize>>> = None;
        if !asked.texts.is_empty()
            && let Some(index) = segment.text_index().await.map_err(from_storage)?
        {
            for query in &asked.texts {
                let found = index.candidates(query).rows;
                candidates = Some(match candidates {
                    None => found,
                    Some(before) => text::intersection(&before, &found),
                });
            }
        }
        let series = segment.series().await.map_err(from_storage)?;
        if let Some(table) = &series {
            for condition in on_series {
                let found = series::matching_rows(table, condition, &sql_schema(self.table))?;
                candidates = Some(match candidates {
                    None => found,
                    Some(before) => text::intersection(&before, &found),
                });
            }
        }
        let mut file = PartitionedFile::new(meta.path.clone(), meta.file_bytes);
        match candidates.map_or(Rows::All, |candidates| text::rows(&candidates, row_count)) {
            Rows::None => return Ok(None),
            Rows::All => {}
            Rows::Some(selection) => file = file.with_extension(ParquetRowSelection::new(selection)),
        }
        let file = file
            .with_extension(Arc::new(SegmentFile { segment: Arc::clone(segment), touched: AtomicBool::new(false) }))
            .with_arrow_schema(self.schemas.of(segment).await?)
            .with_statistics(Arc::new(self.statistics(segment)));
        let facts = FileFacts { times: Some(meta.time_range), series };
        Ok(Some(Chosen { file, facts, end: meta.time_range.end_unix_nano() }))
    }

    fn statistics(&self, segment: &Segment) -> Statistics {
        let schema = sql_schema(self.table);
        let meta = segment.meta();
        let mut statistics = Statistics::new_unknown(&schema);
        statistics.num_rows = Precision::Exact(usize::try_from(meta.row_count).unwrap_or(usize::MAX));
        statistics.total_byte_size = Precision::Inexact(usize::try_from(meta.file_bytes).unwrap_or(usize::MAX));
        if let Ok(time) = schema.index_of(self.table.time_column()) {
            let value = |nano: i64| ScalarValue::TimestampNanosecond(Some(nano), Some(Arc::from("UTC")));
            statistics.column_statistics[time] = ColumnStatistics {
                null_count: Precision::Exact(0),
                min_value: Precision::Exact(value(meta.time_range.start_unix_nano())),
                max_value: Precision::Exact(value(meta.time_range.end_unix_nano().saturating_sub(1))),
                ..ColumnStatistics::new_unknown()
            };
        }
        statistics
    }

    /// The conditions that only look at columns of series.
    fn series_conditions(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
        if !self.table.has_series() {
            return Ok(Vec::new());
        }
        let schema = DFSchema::try_from(sql_schema(self.table))?;
        filters
            .iter()
            .flat_map(split_conjunction)
            .filter(|condition| {
                let columns = condition.column_refs();
                !columns.is_empty()
                    && !condition.is_volatile()
                    && columns.iter().all(|column| SERIES_COLUMNS.contains(&column.name.as_str()))
            })
            .map(|condition| state.create_physical_expr(unqualified(condition.clone())?, &schema))
            .collect()
    }

    fn segment_source(&self, chosen: Vec<Chosen>, partitions: usize) -> Result<Arc<dyn DataSource>> {
        let schema = sql_schema(self.table);
        let mut files = HashMap::new();
        let mut rows = Precision::Exact(0);
        // Round robin over partitions: each begins with the newest segments.
        let mut groups: Vec<Vec<PartitionedFile>> = vec![Vec::new(); partitions.clamp(1, chosen.len().max(1))];
        let count = groups.len();
        for (index, Chosen { file, facts, .. }) in chosen.into_iter().enumerate() {
            if let Some(statistics) = &file.statistics {
                rows = rows.add(&statistics.num_rows);
            }
            if let Some(key) = file.arrow_schema.as_ref().and_then(|schema| schema.metadata().get(adapter::FILE_KEY)) {
                files.insert(key.clone(), facts);
            }
            groups[index % count].push(file);
        }
        let source = ParquetSource::new(Arc::clone(&schema))
            .with_parquet_file_reader_factory(Arc::new(SegmentReaders { cost: Arc::clone(&self.cost) }))
            .with_pushdown_filters(true)
            .with_reorder_filters(true)
            .with_enable_page_index(true)
            .with_bloom_filter_on_read(false);
        let mut statistics = Statistics::new_unknown(&schema);
        statistics.num_rows = rows;
        let config = FileScanConfigBuilder::new(segments_url(), Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_statistics(statistics)
            .with_expr_adapter(Some(Arc::new(AdapterFactory { table: self.table, files })))
            .build();
        Ok(Arc::new(config))
    }
}

#[async_trait]
impl TableProvider for Provider {
    fn schema(&self) -> SchemaRef {
        sql_schema(self.table)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Inexact keeps the filter above the scan; the physical optimizer then moves it into both parts of the scan and
        // removes it where both apply it completely. Here filters only choose segments and rows.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let asked = Asked::of(self.table, filters);
        let on_series = self.series_conditions(state, filters)?;
        let segments = self.snapshot.segments(self.table);
        self.cost.add_segments(segments.len());
        let mut chosen = Vec::new();
        let mut choices = Vec::with_capacity(segments.len());
        for segment in &segments {
            choices.push(self.choose(segment, &asked, &on_series).boxed());
        }
        let mut choices = stream::iter(choices).buffered(SEGMENTS_AT_ONCE);
        while let Some(choice) = choices.try_next().await? {
            chosen.extend(choice);
        }
        chosen.sort_by_key(|chosen| std::cmp::Reverse(chosen.end));
        let schema = sql_schema(self.table);
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let projection = ProjectionExprs::from_indices(projection.unwrap_or(&all), &schema);
        let segments = if chosen.is_empty() {
            None
        } else {
            let source = self.segment_source(chosen, state.config().target_partitions())?;
            source.try_swapping_with_projection(&projection)?
        };
        let batches: Arc<[_]> = self.snapshot.memtables(self.table).into();
        let memtable = (!batches.is_empty() || segments.is_none()).then(|| {
            Arc::new(MemtableScan {
                table: self.table,
                logical: Arc::clone(&schema),
                batches,
                projection,
                predicate: None,
                cost: Arc::clone(&self.cost),
            }) as Arc<dyn DataSource>
        });
        Ok(DataSourceExec::from_data_source(SnapshotScan { segments, memtable, limit: None }))
    }
}

/// Filters come with the table's name in their columns, the schema here has none.
pub(crate) fn unqualified(expr: Expr) -> Result<Expr> {
    datafusion::logical_expr::expr_rewriter::unnormalize_cols([expr])
        .pop()
        .ok_or_else(|| datafusion::common::internal_datafusion_err!("one expression gave none"))
}
