//! A segment's file read back, every block checked.

mod inspect;

use std::{ops::Range, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use bytes::Bytes;
use futures::{FutureExt, TryStreamExt, future::BoxFuture};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        async_reader::{AsyncFileReader, ParquetRecordBatchStream},
    },
    errors::ParquetError,
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
};

use super::{
    BlobPlace, Lineage, SegmentCache, SegmentMeta, SeriesTable, TextIndex,
    cache::Part,
    checksum::{self, damaged},
    shred::Assembler,
    trace,
    write::{self, Blob, Description},
};
use crate::{
    error::{Error, ErrorKind, Result},
    schema,
};

/// Rows of one batch that is read back.
const BATCH_ROWS: usize = 8192;

/// One published segment. Opening costs nothing; parts are read when asked for and kept in the shared cache.
#[derive(Debug)]
pub struct Segment {
    meta: SegmentMeta,
    path: Path,
    objects: Arc<dyn ObjectStore>,
    cache: Arc<SegmentCache>,
}

/// What the tail says.
#[derive(Debug)]
struct Footer {
    reader: ArrowReaderMetadata,
    description: Description,
    checksums: Vec<u32>,
}

impl Segment {
    /// The segment that the catalog describes.
    pub fn open(meta: SegmentMeta, objects: Arc<dyn ObjectStore>, cache: Arc<SegmentCache>) -> Arc<Self> {
        Arc::new(Self { path: Path::from(meta.path.as_str()), meta, objects, cache })
    }

    /// What the catalog knows about it.
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }

    /// Footer and page index, checked.
    pub async fn metadata(&self) -> Result<Arc<ParquetMetaData>> {
        Ok(Arc::clone(self.footer().await?.reader.metadata()))
    }

    /// Columns of the file: those of the table that it keeps with its rows, then its attribute columns.
    pub async fn schema(&self) -> Result<SchemaRef> {
        Ok(Arc::clone(self.footer().await?.reader.schema()))
    }

    /// Where its rows come from; `None` for files of early versions.
    pub(crate) async fn lineage(&self) -> Result<Option<Lineage>> {
        Ok(self.footer().await?.description.lineage.clone())
    }

    /// A reader for Parquet's async readers and DataFusion. An error of this room travels inside
    /// [`ParquetError::External`].
    pub fn reader(self: &Arc<Self>) -> SegmentReader {
        SegmentReader { segment: Arc::clone(self) }
    }

    /// The index over log bodies; `None` for other tables.
    pub async fn text_index(&self) -> Result<Option<Arc<TextIndex>>> {
        let footer = self.footer().await?;
        let (Some(words), Some(filters)) = (blob(&footer, write::TEXT_WORDS), blob(&footer, write::TEXT_FILTERS))
        else {
            return Ok(None);
        };
        let load = async {
            let (words, filters) = (self.read_blob(&footer, words).await?, self.read_blob(&footer, filters).await?);
            let documents = match blob(&footer, write::TEXT_DOCUMENTS) {
                Some(documents) => Some(self.read_blob(&footer, documents).await?),
                None => None,
            };
            let rows = usize::try_from(footer.description.row_count).unwrap_or(usize::MAX);
            // A slice would keep the whole read alive.
            let filters = Bytes::copy_from_slice(&filters);
            let bytes = words.len() + filters.len();
            let index = TextIndex::open(&words, documents.as_deref(), filters, rows)?;
            let bytes = bytes + index.extra_bytes();
            Ok((index, bytes))
        };
        self.cache.get_or_load(&self.meta.id, Part::Text, load).await.map(Some)
    }

    /// The series of a metric table's segment; `None` for tables without series.
    pub async fn series(&self) -> Result<Option<Arc<SeriesTable>>> {
        let footer = self.footer().await?;
        let Some(blob) = blob(&footer, write::SERIES) else { return Ok(None) };
        let load = async {
            let series = SeriesTable::decode(self.meta.table, self.read_blob(&footer, blob).await?)?;
            let bytes = series.bytes();
            Ok((series, bytes))
        };
        self.cache.get_or_load(&self.meta.id, Part::Series, load).await.map(Some)
    }

    /// `false`: no row of the segment has this trace id. `true` for tables without trace ids.
    pub async fn may_contain_trace(&self, trace_id: &[u8; 16]) -> Result<bool> {
        if let Some(place) = self.meta.trace_filter {
            return self.is_in_trace_page(place, trace_id).await;
        }
        let footer = self.footer().await?;
        let Some(blob) = blob(&footer, write::TRACES_1) else { return Ok(true) };
        let load = async {
            let filter = self.read_blob(&footer, blob).await?.to_vec();
            let bytes = filter.len();
            Ok((filter, bytes))
        };
        let filter: Arc<Vec<u8>> = self.cache.get_or_load(&self.meta.id, Part::Traces, load).await?;
        Ok(trace::may_contain_1(&filter, trace_id))
    }

    async fn is_in_trace_page(&self, filter: BlobPlace, trace_id: &[u8; 16]) -> Result<bool> {
        let Some(page) = trace::page(filter.length, trace_id) else { return Ok(false) };
        let (start, end) = (filter.offset.saturating_add(page.start), filter.offset.saturating_add(page.end));
        let bytes = self.fetch(std::slice::from_ref(&(start..end))).await?;
        let bytes = bytes.into_iter().next().unwrap_or_default();
        let found = trace::may_contain(&bytes, filter.length, trace_id);
        found.ok_or_else(|| damaged(&self.meta.path, start, "a page of the trace filter", "another checksum"))
    }

    /// All rows in the wide schema of the table, in the segment's order.
    pub async fn read_wide(self: &Arc<Self>) -> Result<Vec<RecordBatch>> {
        let table = self.meta.table;
        let assembler = Assembler::new(table, schema::wide(table), self.footer().await?.reader.schema())?;
        let series = if assembler.needs_series() { self.series().await? } else { None };
        let rows: Vec<RecordBatch> =
            self.stream(None, BATCH_ROWS).await?.try_collect().await.map_err(|error| self.read_error(error))?;
        rows.iter().map(|rows| assembler.assemble(rows, series.as_deref())).collect()
    }

    /// Reads every byte of the file and compares it with its checksums.
    pub async fn verify(self: &Arc<Self>) -> Result<()> {
        let covered = self.footer().await?.description.covered_bytes;
        let mut start = 0;
        while start < covered {
            let end = (start + 64 * checksum::BLOCK_BYTES).min(covered);
            self.read(std::slice::from_ref(&(start..end))).await?;
            start = end;
        }
        Ok(())
    }

    /// The rows of the file; `columns` by name, or all of them.
    pub(crate) async fn stream(
        self: &Arc<Self>,
        columns: Option<&[&str]>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchStream<SegmentReader>> {
        let footer = self.footer().await?;
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(self.reader(), footer.reader.clone());
        if let Some(columns) = columns {
            // By place: names of attribute columns have dots.
            let fields = footer.reader.schema().fields().iter().enumerate();
            let places = fields.filter(|(_, field)| columns.contains(&field.name().as_str())).map(|(place, _)| place);
            let mask = ProjectionMask::roots(builder.parquet_schema(), places);
            builder = builder.with_projection(mask);
        }
        builder.with_batch_size(batch_rows).build().map_err(|error| self.read_error(error))
    }

    /// An error of this room that came through Parquet, or damage that Parquet found.
    pub(crate) fn read_error(&self, error: ParquetError) -> Error {
        match error {
            ParquetError::External(inner) => match inner.downcast::<Error>() {
                Ok(error) => *error,
                Err(inner) => Error::internal(format!("reading {}", self.meta.path)).with_source(inner),
            },
            other => Error::corrupt(format!("{} is not a readable segment", self.meta.path)).with_source(other),
        }
    }

    async fn footer(&self) -> Result<Arc<Footer>> {
        self.cache.get_or_load(&self.meta.id, Part::Footer, self.load_footer()).await
    }

    async fn load_footer(&self) -> Result<(Footer, usize)> {
        let SegmentMeta { path, file_bytes, tail_bytes, .. } = &self.meta;
        let tail_start = file_bytes
            .checked_sub(*tail_bytes)
            .ok_or_else(|| Error::corrupt(format!("the catalog gives {path} a tail longer than the file")))?;
        let range = tail_start..*file_bytes;
        let tail = self.fetch(std::slice::from_ref(&range)).await?;
        let tail = tail.into_iter().next().unwrap_or_default();
        checksum::verify_tail(path, tail_start, &tail)?;
        let unreadable = |error| Error::corrupt(format!("the footer of {path}")).with_source(error);
        let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        reader.try_parse_sized(&tail, *file_bytes).map_err(unreadable)?;
        let metadata = Arc::new(reader.finish().map_err(unreadable)?);
        let values = metadata.file_metadata().key_value_metadata();
        let description = values
            .and_then(|values| values.iter().find(|entry| entry.key == write::DESCRIPTION_KEY))
            .and_then(|entry| entry.value.as_deref())
            .ok_or_else(|| damaged(path, tail_start, write::DESCRIPTION_KEY, "no such metadata"))?;
        let description: Description = serde_json::from_str(description)
            .map_err(|error| Error::corrupt(format!("the description of {path}")).with_source(error))?;
        self.expect(tail_start, "bytes before the tail", description.covered_bytes, tail_start)?;
        self.expect(tail_start, "rows", self.meta.row_count, description.row_count)?;
        self.expect(tail_start, "table", self.meta.table.name(), &description.table)?;
        if description.version > write::FORMAT_VERSION {
            let message =
                format!("{path} has format {}, this version reads {}", description.version, write::FORMAT_VERSION);
            return Err(Error::invalid(message));
        }
        let checksums = description
            .blobs
            .iter()
            .find(|blob| blob.name == write::CHECKSUMS)
            .and_then(|blob| {
                let start = usize::try_from(blob.offset.checked_sub(tail_start)?).ok()?;
                tail.get(start..start.checked_add(usize::try_from(blob.length).ok()?)?)
            })
            .ok_or_else(|| damaged(path, tail_start, "block checksums", "none"))?;
        let checksums = checksum::read_blocks(checksums);
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let reader = ArrowReaderMetadata::try_new(metadata, options).map_err(unreadable)?;
        let bytes = reader.metadata().memory_size() + checksums.len() * 4;
        Ok((Footer { reader, description, checksums }, bytes))
    }

    fn expect<T: PartialEq + std::fmt::Display>(&self, at: u64, what: &str, expected: T, found: T) -> Result<()> {
        if expected == found {
            return Ok(());
        }
        Err(damaged(&self.meta.path, at, format!("{expected} {what}"), found))
    }

    async fn read_blob(&self, footer: &Footer, blob: &Blob) -> Result<Bytes> {
        let range = blob.offset..blob.offset.saturating_add(blob.length);
        let bytes = self
            .read_checked(&footer.checksums, footer.description.covered_bytes, std::slice::from_ref(&range))
            .await?;
        let bytes = bytes.into_iter().next().unwrap_or_default();
        let found = crc32c::crc32c(&bytes);
        if found != blob.crc32c {
            return Err(damaged(&self.meta.path, blob.offset, format!("{:08x}", blob.crc32c), format!("{found:08x}")));
        }
        Ok(bytes)
    }

    /// Bytes before the tail, checked.
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let footer = self.footer().await?;
        self.read_checked(&footer.checksums, footer.description.covered_bytes, ranges).await
    }

    async fn read_checked(&self, checksums: &[u32], covered: u64, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if let Some(range) = ranges.iter().find(|range| range.start > range.end || range.end > covered) {
            return Err(damaged(&self.meta.path, range.start, format!("a range before {covered}"), range.end));
        }
        let reads = joined(ranges, covered);
        let blocks = self.fetch(&reads).await?;
        for (read, bytes) in reads.iter().zip(&blocks) {
            checksum::verify_blocks(&self.meta.path, read.start, bytes, checksums)?;
        }
        let cut = |range: &Range<u64>| {
            let at = reads.partition_point(|read| read.end <= range.start).min(reads.len().saturating_sub(1));
            let Some((read, bytes)) = reads.get(at).zip(blocks.get(at)) else { return Bytes::new() };
            let start = (range.start - read.start) as usize;
            bytes.slice(start..start + (range.end - range.start) as usize)
        };
        Ok(ranges.iter().map(|range| if range.is_empty() { Bytes::new() } else { cut(range) }).collect())
    }

    /// Bytes as they lie in the store, all of them or an error.
    async fn fetch(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let fetched = match ranges {
            [range] => self.objects.get_range(&self.path, range.clone()).await.map(|bytes| vec![bytes]),
            _ => self.objects.get_ranges(&self.path, ranges).await,
        };
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(error) => return Err(self.fetch_error(error).await),
        };
        for (range, bytes) in ranges.iter().zip(&fetched) {
            let wanted = range.end - range.start;
            if bytes.len() as u64 != wanted {
                return Err(damaged(&self.meta.path, range.start, format!("{wanted} bytes"), bytes.len()));
            }
        }
        Ok(fetched)
    }

    /// A file shorter than the catalog says is damaged, whatever the store calls it.
    async fn fetch_error(&self, error: object_store::Error) -> Error {
        let error = match self.objects.head(&self.path).await {
            Ok(object) if object.size != self.meta.file_bytes => {
                return damaged(&self.meta.path, object.size, format!("{} bytes", self.meta.file_bytes), object.size);
            }
            _ => error,
        };
        let kind = match error {
            object_store::Error::NotFound { .. } => ErrorKind::NotFound,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, format!("reading {}", self.meta.path)).with_source(error)
    }
}

fn blob<'a>(footer: &'a Footer, name: &str) -> Option<&'a Blob> {
    footer.description.blobs.iter().find(|blob| blob.name == name)
}

/// Whole blocks that hold all `ranges`, sorted, neighbours joined.
fn joined(ranges: &[Range<u64>], covered: u64) -> Vec<Range<u64>> {
    let mut reads: Vec<Range<u64>> =
        ranges.iter().filter(|range| !range.is_empty()).map(|range| checksum::aligned(range, covered)).collect();
    reads.sort_by_key(|read| read.start);
    reads.dedup_by(|next, last| {
        let joins = next.start <= last.end;
        if joins {
            last.end = last.end.max(next.end);
        }
        joins
    });
    reads
}

/// Reads one segment's file, checking every block before its bytes are handed out.
#[derive(Clone, Debug)]
pub struct SegmentReader {
    segment: Arc<Segment>,
}

impl SegmentReader {
    /// The segment it reads.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }
}

fn external(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for SegmentReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            let bytes = self.segment.read(std::slice::from_ref(&range)).await.map_err(external)?;
            Ok(bytes.into_iter().next().unwrap_or_default())
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move { self.segment.read(&ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move { self.segment.metadata().await.map_err(external) }.boxed()
    }
}
