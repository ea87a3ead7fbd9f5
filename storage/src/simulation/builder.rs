//! Segments that cost nothing: the file holds a number, under which the rows are kept beside the disk. What the disk
//! loses is lost all the same, because without the number nobody finds the rows.

use std::{
    collections::HashMap,
    io::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;

use super::disk::SimulatedDisk;
use crate::{
    environment::{MergeTerms, SegmentBuilder},
    error::{Error, Result},
    files::FileSystem as _,
    model::{Table, Tenant, TimeRange},
    schema,
    segment::{BuiltSegment, Flush, Lineage, Segment, SegmentId, SegmentMeta, WrittenSegment, describe::Described},
};

#[derive(Clone, Debug)]
pub(super) struct CheapBuilder {
    disk: SimulatedDisk,
    kept: Arc<Mutex<HashMap<u64, Kept>>>,
}

/// What a file stands for.
#[derive(Clone, Debug)]
struct Kept {
    table: Table,
    bucket_start_unix_nano: i64,
    rows: Vec<RecordBatch>,
    lineage: Lineage,
}

impl CheapBuilder {
    pub(super) fn new(disk: SimulatedDisk) -> Self {
        Self { disk, kept: Arc::default() }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one(&self, table: Table, bucket_start_unix_nano: i64, rows: &[RecordBatch], lineage: Lineage) -> BuiltSegment {
        let mut all = self.all();
        let number = all.len() as u64 + 1;
        all.insert(number, Kept { table, bucket_start_unix_nano, rows: rows.to_vec(), lineage });
        let bytes = Bytes::from(number.to_le_bytes().repeat(100));
        let written = WrittenSegment {
            table,
            file_bytes: bytes.len() as u64,
            tail_bytes: 8,
            row_count: rows.iter().map(|rows| rows.num_rows() as u64).sum(),
            time_range: TimeRange::spanning(0, 1),
            bucket_start_unix_nano,
            trace_filter: None,
        };
        BuiltSegment { written, bytes }
    }

    fn kept(&self, path: &str) -> Result<Kept> {
        let bytes = self.disk.read(path).map_err(|e| Error::corrupt(format!("{path} is gone")).with_source(e))?;
        let number = u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default());
        let kept = self.all().get(&number).cloned();
        kept.filter(|_| bytes == number.to_le_bytes().repeat(100))
            .ok_or_else(|| Error::corrupt(format!("{path} is not whole")))
    }

    /// The rows of a segment, if its file is whole.
    pub(super) fn read(&self, segment: &Segment) -> Result<Vec<RecordBatch>> {
        Ok(self.kept(&segment.meta().path)?.rows)
    }

    /// What a whole file would say of itself.
    pub(super) fn describe(&self, path: &str) -> Result<Described> {
        let Kept { table, bucket_start_unix_nano, rows, lineage } = self.kept(path)?;
        let id = path.rsplit('/').next().and_then(|name| name.strip_suffix(".parquet")).unwrap_or_default();
        let meta = SegmentMeta {
            id: SegmentId::new(id),
            tenant: Tenant::default(),
            table,
            path: path.to_owned(),
            file_bytes: 800,
            tail_bytes: 8,
            row_count: rows.iter().map(|rows| rows.num_rows() as u64).sum(),
            time_range: TimeRange::spanning(0, 1),
            bucket_start_unix_nano,
            schema_version: schema::VERSION,
            trace_filter: None,
        };
        Ok(Described { meta, lineage: Some(lineage) })
    }
}

#[async_trait]
impl SegmentBuilder for CheapBuilder {
    fn build(
        &self,
        table: Table,
        batches: &[RecordBatch],
        _: &config::Storage,
        flush: &Flush,
    ) -> Result<Vec<BuiltSegment>> {
        // As if they were of two time buckets.
        let (first, second) = batches.split_at(batches.len() / 2);
        let parts = [(0, first), (1, second)].into_iter().filter(|(_, rows)| !rows.is_empty());
        let parts: Vec<_> = parts.collect();
        let count = parts.len();
        let parts = parts.into_iter().enumerate();
        Ok(parts.map(|(part, (bucket, rows))| self.one(table, bucket, rows, flush.lineage(part, count))).collect())
    }

    async fn merge(
        &self,
        inputs: &[Arc<Segment>],
        terms: &MergeTerms<'_>,
        sink: &mut (dyn Write + Send),
    ) -> Result<WrittenSegment> {
        let (mut rows, mut lineages) = (Vec::new(), Vec::new());
        for input in inputs {
            // Others get a turn while a merge reads.
            tokio::task::yield_now().await;
            rows.extend(self.read(input)?);
            lineages.push(self.kept(input.meta().path.as_str())?.lineage);
        }
        let origins = inputs.iter().zip(&lineages).map(|(input, lineage)| (&input.meta().id, Some(lineage)));
        let lineage = Lineage::merged(terms.made.unwrap_or_default(), origins);
        let meta = inputs[0].meta();
        let BuiltSegment { written, bytes } = self.one(meta.table, meta.bucket_start_unix_nano, &rows, lineage);
        sink.write_all(&bytes).map_err(|error| Error::unavailable("no room").with_source(error))?;
        Ok(written)
    }
}
