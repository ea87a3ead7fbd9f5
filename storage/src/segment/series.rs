//! The series of one segment: what its points share, once.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
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

    pub(super) fn bytes(&self) -> usize {
        self.rows.get_array_memory_size() + self.by_id.capacity() * 17
    }
}
