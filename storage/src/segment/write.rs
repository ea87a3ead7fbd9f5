//! Rows -> the bytes of segment files.

use std::{
    fmt,
    io::{self, Write},
    time::Duration,
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::Int32Type,
};
use bytes::Bytes;
use parquet::{arrow::ArrowWriter, errors::ParquetError, file::metadata::KeyValue};
use serde::{Deserialize, Serialize};

use super::{
    BlobPlace, Flush, Lineage, SegmentId, SegmentMeta, SeriesTable, checksum,
    gather::Gather,
    order::{self, Key},
    output::{Output, unwritten},
    properties::writer_properties,
    shred::{Shredder, row_schema},
    text::TextIndexWriter,
    trace::TraceFilterWriter,
};
use crate::{
    error::{Error, Result},
    model::{Table, Tenant, TimeRange, attributes::Attributes},
    schema::{
        self,
        layout::{AttributeColumn, KeyCounts, MAPS, attribute_columns},
    },
};

/// Rows gathered and written at a time: they fit the processor's caches.
pub(crate) const CHUNK_ROWS: usize = 8192;

/// What the catalog will say about a segment that was written.
#[derive(Clone, Debug)]
pub struct WrittenSegment {
    /// The table the rows belong to.
    pub table: Table,
    /// Length of the file.
    pub file_bytes: u64,
    /// See [`SegmentMeta::tail_bytes`].
    pub tail_bytes: u64,
    /// Rows in it. Never 0.
    pub row_count: u64,
    /// Smallest range that holds the time of every row.
    pub time_range: TimeRange,
    /// Start of the time bucket that holds all its rows.
    pub bucket_start_unix_nano: i64,
    /// See [`SegmentMeta::trace_filter`].
    pub trace_filter: Option<BlobPlace>,
}

/// A segment's file, complete, in memory.
#[derive(Clone)]
pub struct BuiltSegment {
    /// What it holds.
    pub written: WrittenSegment,
    /// The whole file.
    pub bytes: Bytes,
}

impl fmt::Debug for BuiltSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltSegment").field("written", &self.written).finish_non_exhaustive()
    }
}

impl WrittenSegment {
    /// What the catalog keeps once the file lies at `path`.
    pub fn meta(&self, id: SegmentId, tenant: Tenant, path: impl Into<String>) -> SegmentMeta {
        SegmentMeta {
            id,
            tenant,
            table: self.table,
            path: path.into(),
            file_bytes: self.file_bytes,
            tail_bytes: self.tail_bytes,
            row_count: self.row_count,
            time_range: self.time_range,
            bucket_start_unix_nano: self.bucket_start_unix_nano,
            schema_version: schema::VERSION,
            trace_filter: self.trace_filter,
        }
    }
}

/// The rows of `batches` (wide schema of `table`) as segments: one per time bucket, oldest first. The same rows in the
/// same order give the same bytes.
pub fn build(table: Table, batches: &[RecordBatch], settings: &config::Storage) -> Result<Vec<BuiltSegment>> {
    build_flush(table, batches, settings, None)
}

/// The same; the files say which flush they are of.
pub(crate) fn build_flush(
    table: Table,
    batches: &[RecordBatch],
    settings: &config::Storage,
    flush: Option<&Flush>,
) -> Result<Vec<BuiltSegment>> {
    let keys = order::sorted_keys(table, batches)?;
    let buckets = order::by_bucket(keys, nanos(settings.time_bucket));
    // Rows of nearly always one bucket: choosing the columns for all of them together costs the others nothing.
    let layout = Layout { attributes: chosen_columns(table, batches, settings)?, has_even_times: false };
    let rows = Gather::new(batches, row_schema(table))?;
    let parts = buckets.len();
    buckets
        .into_iter()
        .enumerate()
        .map(|(part, (bucket_start_unix_nano, keys))| {
            let layout = Layout { has_even_times: order::has_even_times(&keys), ..layout.clone() };
            let mut bytes = Vec::new();
            let mut writer = SegmentWriter::new(table, bucket_start_unix_nano, &layout, settings, &mut bytes)?;
            writer.lineage = flush.map(|flush| flush.lineage(part, parts));
            let mut positions = Vec::with_capacity(CHUNK_ROWS);
            for chunk in keys.chunks(CHUNK_ROWS) {
                positions.clear();
                positions.extend(chunk.iter().map(Key::position));
                writer.write(&rows.rows(&positions)?)?;
            }
            let series = table.has_series().then(|| {
                let runs = order::runs(&keys);
                let places: Vec<_> = runs.iter().map(|run| run.last).collect();
                SeriesTable::gather(table, batches, &runs, &places)
            });
            let written = writer.finish(series.transpose()?.as_ref())?;
            Ok(BuiltSegment { written, bytes: bytes.into() })
        })
        .collect()
}

pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The attribute columns for these rows.
fn chosen_columns(table: Table, batches: &[RecordBatch], settings: &config::Storage) -> Result<Vec<AttributeColumn>> {
    let rows = row_schema(table);
    let mut counts = <[KeyCounts; 3]>::default();
    for (map, counts) in MAPS.into_iter().zip(&mut counts) {
        if rows.index_of(map).is_err() {
            continue;
        }
        for batch in batches {
            count_keys(order::column(batch, map)?, counts)?;
        }
    }
    let row_count = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    Ok(attribute_columns(&counts, row_count, settings.attribute_column_min_ratio, settings.attribute_column_max_count))
}

/// Counts the keys of a map column.
pub(crate) fn count_keys(maps: &dyn Array, counts: &mut KeyCounts) -> Result<()> {
    if let Some(maps) = maps.as_binary_opt::<i32>() {
        maps.iter().flatten().for_each(|map| counts.add(Attributes::new(map), 1));
        return Ok(());
    }
    let maps = maps.as_dictionary_opt::<Int32Type>().ok_or_else(|| Error::internal("attributes are no maps"))?;
    let values = maps.values().as_binary_opt::<i32>().ok_or_else(|| Error::internal("attributes are no bytes"))?;
    let mut rows = vec![0; values.len()];
    maps.keys().iter().flatten().for_each(|key| rows[key as usize] += 1);
    for (map, rows) in values.iter().zip(rows).filter(|(_, rows)| *rows > 0) {
        counts.add_shared(Attributes::new(map.unwrap_or_default()), rows);
    }
    Ok(())
}

/// Key-value metadata key of a segment's [`Description`].
pub(super) const DESCRIPTION_KEY: &str = "rootline.segment";

/// What a segment says about itself, in its footer: enough to list it again without the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    /// Version of the file format.
    pub(super) version: u16,
    pub(super) schema_version: u16,
    pub(super) table: String,
    pub(super) row_count: u64,
    pub(super) min_unix_nano: i64,
    pub(super) max_unix_nano: i64,
    pub(super) bucket_start_unix_nano: i64,
    /// Bytes from the file's start that have block checksums; the tail begins here.
    pub(super) covered_bytes: u64,
    pub(super) blobs: Vec<Blob>,
    /// Where the rows come from. Not in files of early versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lineage: Option<Lineage>,
}

/// Version of the file format; see `docs/format/segment.md`.
pub(crate) const FORMAT_VERSION: u16 = 3;

/// One index inside the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Blob {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) crc32c: u32,
}

/// See [`SegmentMeta::trace_filter`].
pub(super) fn trace_filter(blobs: &[Blob]) -> Option<BlobPlace> {
    let pages = blobs.iter().find(|blob| blob.name == TRACE_PAGES)?;
    Some(BlobPlace { offset: pages.offset, length: pages.length })
}

pub(super) const TEXT_WORDS: &str = "text.words";
/// Not before format 3.
pub(super) const TEXT_DOCUMENTS: &str = "text.documents";
pub(super) const TEXT_FILTERS: &str = "text.filters";
/// In format 1, without pages.
pub(super) const TRACES_1: &str = "traces";
pub(super) const TRACE_PAGES: &str = "traces.pages";
pub(super) const SERIES: &str = "series";
pub(super) const CHECKSUMS: &str = "checksums";

/// What one file's columns are, and how they are written.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Attributes with columns of their own.
    pub(crate) attributes: Vec<AttributeColumn>,
    /// Points of a series come at a steady pace: differences of their times say nearly nothing.
    pub(crate) has_even_times: bool,
}

/// Writes one segment: its rows in order, then its indexes.
pub(crate) struct SegmentWriter<'a> {
    table: Table,
    bucket_start_unix_nano: i64,
    row_count: u64,
    /// Of the rows so far.
    time_range: Option<TimeRange>,
    shredder: Shredder,
    parquet: ArrowWriter<Output<'a>>,
    text: Option<TextIndexWriter>,
    traces: Option<TraceFilterWriter>,
    blobs: Vec<Blob>,
    zstd_level: i32,
    pub(crate) lineage: Option<Lineage>,
}

impl<'a> SegmentWriter<'a> {
    /// Writes to `sink` as rows come.
    pub(crate) fn new(
        table: Table,
        bucket_start_unix_nano: i64,
        layout: &Layout,
        settings: &config::Storage,
        sink: &'a mut (dyn Write + Send),
    ) -> Result<Self> {
        let shredder = Shredder::new(table, &layout.attributes);
        let schema = std::sync::Arc::clone(shredder.schema());
        let properties = writer_properties(table, &schema, layout, settings)?;
        Ok(Self {
            table,
            bucket_start_unix_nano,
            row_count: 0,
            time_range: None,
            text: (table == Table::Logs).then(TextIndexWriter::new).transpose()?,
            traces: schema.index_of("trace_id").is_ok().then(TraceFilterWriter::default),
            parquet: ArrowWriter::try_new(Output::new(sink), schema, Some(properties)).map_err(write_error)?,
            shredder,
            blobs: Vec::new(),
            zstd_level: settings.zstd_level,
            lineage: None,
        })
    }

    /// The next rows, in the columns of [`row_schema`].
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.row_count += rows.num_rows() as u64;
        if let Some(range) = TimeRange::of_rows(self.table, rows) {
            self.time_range = Some(self.time_range.map_or(range, |known| known.union(range)));
        }
        if let Some(text) = &mut self.text {
            let bodies = order::column(rows, "body")?.as_string_opt::<i32>();
            let bodies = bodies.ok_or_else(|| Error::internal("log bodies are no text"))?;
            bodies.iter().try_for_each(|body| text.add(body))?;
        }
        if let Some(traces) = &mut self.traces {
            traces.add(order::column(rows, "trace_id")?.as_fixed_size_binary());
        }
        self.parquet.write(&self.shredder.shred(rows)?).map_err(write_error)
    }

    /// Completes the file. `series` is that of the rows written, for tables that have one.
    pub(crate) fn finish(mut self, series: Option<&SeriesTable>) -> Result<WrittenSegment> {
        let time_range = self.time_range.ok_or_else(|| Error::internal("a segment without rows"))?;
        self.parquet.flush().map_err(write_error)?;
        if let Some(text) = self.text.take() {
            let blobs = text.finish()?;
            self.put(TEXT_WORDS, &blobs.words)?;
            self.put(TEXT_DOCUMENTS, &blobs.documents)?;
            self.put(TEXT_FILTERS, &blobs.filters)?;
        }
        if let Some(traces) = self.traces.take() {
            self.put(TRACE_PAGES, &traces.finish())?;
        }
        if let Some(series) = series {
            let blob = series.encode(self.zstd_level)?;
            self.put(SERIES, &blob)?;
        }
        self.parquet.sync().map_err(unwritten)?;
        let (covered_bytes, checksums) = self.parquet.inner_mut().begin_tail();
        self.put(CHECKSUMS, &checksums)?;
        let Self { table, row_count, bucket_start_unix_nano, .. } = self;
        let trace_filter = trace_filter(&self.blobs);
        let description = Description {
            version: FORMAT_VERSION,
            schema_version: schema::VERSION,
            table: table.name().to_owned(),
            row_count,
            min_unix_nano: time_range.start_unix_nano(),
            max_unix_nano: time_range.end_unix_nano().saturating_sub(1),
            bucket_start_unix_nano,
            covered_bytes,
            blobs: self.blobs,
            lineage: self.lineage,
        };
        let description = serde_json::to_string(&description)
            .map_err(|error| Error::internal("segment description").with_source(error))?;
        self.parquet.append_key_value_metadata(KeyValue::new(DESCRIPTION_KEY.to_owned(), description));
        self.parquet
            .append_key_value_metadata(KeyValue::new(checksum::TAIL_KEY.to_owned(), checksum::tail_placeholder()));
        let tail_bytes = self.parquet.into_inner().map_err(write_error)?.finish()?;
        Ok(WrittenSegment {
            table,
            file_bytes: covered_bytes + tail_bytes,
            tail_bytes,
            row_count,
            time_range,
            bucket_start_unix_nano,
            trace_filter,
        })
    }

    fn put(&mut self, name: &str, blob: &[u8]) -> Result<()> {
        let offset = self.parquet.bytes_written() as u64;
        self.parquet.write_all(blob).map_err(unwritten)?;
        let crc32c = crc32c::crc32c(blob);
        self.blobs.push(Blob { name: name.to_owned(), offset, length: blob.len() as u64, crc32c });
        Ok(())
    }
}

/// What a failed write says: the disk did not take it, or there is a bug.
fn write_error(error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => unwritten(*error),
            Err(source) => ParquetError::External(source).into(),
        },
        error => error.into(),
    }
}
