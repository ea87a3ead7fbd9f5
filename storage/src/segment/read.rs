//! A segment's file read back, every block checked.

use std::{ops::Range, sync::Arc};

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    file::metadata::ParquetMetaData,
};

use super::{SegmentCache, SegmentMeta, SeriesTable, TextIndex};
use crate::error::{Error, Result};

/// One published segment. Opening costs nothing; parts are read when asked for and kept in the shared cache.
#[derive(Debug)]
pub struct Segment {
    meta: SegmentMeta,
    objects: Arc<dyn ObjectStore>,
    cache: Arc<SegmentCache>,
}

impl Segment {
    /// The segment that the catalog describes.
    pub fn open(meta: SegmentMeta, objects: Arc<dyn ObjectStore>, cache: Arc<SegmentCache>) -> Arc<Self> {
        Arc::new(Self { meta, objects, cache })
    }

    /// What the catalog knows about it.
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }

    /// Footer and page index, checked.
    pub async fn metadata(&self) -> Result<Arc<ParquetMetaData>> {
        let _ = (&self.objects, &self.cache);
        Err(Error::invalid("not built yet"))
    }

    /// A reader for Parquet's async readers and DataFusion. An error of this room travels inside
    /// `ParquetError::External`.
    pub fn reader(self: &Arc<Self>) -> SegmentReader {
        SegmentReader { segment: Arc::clone(self) }
    }

    /// The index over log bodies; `None` for other tables.
    pub async fn text_index(&self) -> Result<Option<Arc<TextIndex>>> {
        Err(Error::invalid("not built yet"))
    }

    /// The series of a metric table's segment; `None` for tables without series.
    pub async fn series(&self) -> Result<Option<Arc<SeriesTable>>> {
        Err(Error::invalid("not built yet"))
    }

    /// `false`: no row of the segment has this trace id.
    pub async fn may_contain_trace(&self, trace_id: &[u8; 16]) -> Result<bool> {
        let _ = trace_id;
        Err(Error::invalid("not built yet"))
    }

    /// All rows in the wide schema of the table, in the segment's order.
    pub async fn read_wide(&self) -> Result<Vec<RecordBatch>> {
        Err(Error::invalid("not built yet"))
    }
}

/// Reads one segment's file, checking every block before its bytes are handed out.
#[derive(Clone, Debug)]
pub struct SegmentReader {
    segment: Arc<Segment>,
}

impl AsyncFileReader for SegmentReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let _ = (range, &self.segment);
        Box::pin(async { Err(parquet::errors::ParquetError::General("not built yet".to_owned())) })
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        Box::pin(async { Err(parquet::errors::ParquetError::General("not built yet".to_owned())) })
    }
}
