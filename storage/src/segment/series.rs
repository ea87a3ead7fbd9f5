//! The series of one segment: what its points share, once.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, DictionaryArray, RecordBatch, TimestampNanosecondArray, UInt64Array},
    compute::{concat_batches, interleave},
    datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, UInt64Type},
};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
};

use super::{
    gather::pick_labels,
    order::{Position, Run, column},
};

use crate::{
    error::{Error, Result},
    model::Table,
    schema,
};

/// One row per series: `series_id`, [`schema::SERIES_COLUMNS`], `first_row` and `row_count` (its points are consecutive
/// rows of the segment), `min_timestamp`, `max_timestamp`.
#[derive(Debug)]
pub struct SeriesTable {
    rows: RecordBatch,
    by_id: HashMap<u64, usize>,
}

impl SeriesTable {
    /// Columns of [`Self::rows`] for segments of `table`, which has series.
    pub fn schema(table: Table) -> SchemaRef {
        let wide = schema::wide(table);
        let number = |name| Field::new(name, DataType::UInt64, false);
        let mut fields = vec![number("series_id")];
        fields.extend(schema::SERIES_COLUMNS.iter().filter_map(|name| wide.field_with_name(name).ok()).cloned());
        fields.extend([number("first_row"), number("row_count")]);
        fields.extend(["min_timestamp", "max_timestamp"].iter().filter_map(|name| {
            let timestamp = wide.field_with_name("timestamp").ok()?;
            Some(timestamp.clone().with_name(*name))
        }));
        Arc::new(Schema::new(fields))
    }

    /// The table itself.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// Row of [`Self::rows`] that holds this series.
    pub fn lookup(&self, series_id: u64) -> Option<usize> {
        self.by_id.get(&series_id).copied()
    }

    pub(super) fn new(rows: RecordBatch) -> Result<Self> {
        let ids = rows
            .column_by_name("series_id")
            .and_then(|ids| ids.as_primitive_opt::<UInt64Type>())
            .ok_or_else(|| Error::invalid("a series table without series_id"))?;
        let by_id = ids.values().iter().enumerate().map(|(row, id)| (*id, row)).collect();
        Ok(Self { by_id, rows })
    }

    /// The series of sorted rows. `batches` have at least `series_id` and the series' columns; each run's place is its
    /// row there.
    pub(crate) fn gather(table: Table, batches: &[RecordBatch], runs: &[Run], places: &[Position]) -> Result<Self> {
        let schema = Self::schema(table);
        let columns = schema
            .fields()
            .iter()
            .map(|field| {
                let number =
                    |value: fn(&Run) -> usize| UInt64Array::from_iter_values(runs.iter().map(|run| value(run) as u64));
                let time = |value: fn(&Run) -> i64| {
                    TimestampNanosecondArray::from_iter_values(runs.iter().map(value)).with_timezone("UTC")
                };
                Ok(match field.name().as_str() {
                    "first_row" => Arc::new(number(|run| run.rows.start)) as ArrayRef,
                    "row_count" => Arc::new(number(|run| run.rows.len())),
                    "min_timestamp" => Arc::new(time(|run| run.times.0)),
                    "max_timestamp" => Arc::new(time(|run| run.times.1)),
                    name => {
                        let arrays = batches.iter().map(|batch| column(batch, name)).collect::<Result<Vec<_>>>()?;
                        let labels: Option<Vec<&DictionaryArray<Int32Type>>> =
                            arrays.iter().map(|array| array.as_any().downcast_ref()).collect();
                        match labels {
                            Some(labels) => pick_labels(&labels, places, field.data_type())?,
                            None => interleave(&arrays, places)?,
                        }
                    }
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Self::new(RecordBatch::try_new(schema, columns)?)
    }

    /// The blob: a Parquet file of its own.
    pub(super) fn encode(&self, zstd_level: i32) -> Result<Vec<u8>> {
        let level = ZstdLevel::try_new(zstd_level)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_created_by(concat!("rootline ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), self.rows.schema(), Some(properties))?;
        writer.write(&self.rows)?;
        Ok(writer.into_inner()?)
    }

    /// Reads the blob, whose checksum has been verified.
    pub(super) fn decode(table: Table, blob: Bytes) -> Result<Self> {
        let batches = ParquetRecordBatchReaderBuilder::try_new(blob)?.build()?;
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        let schema = Self::schema(table);
        let rows = concat_batches(batches.first().map_or(&schema, |batch| batch.schema_ref()), &batches)?;
        Self::new(RecordBatch::try_new(schema, rows.columns().to_vec())?)
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.get_array_memory_size() + self.by_id.capacity() * 17
    }
}
