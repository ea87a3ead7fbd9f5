//! Sorted segments of one time bucket become one, its indexes rebuilt in the same row order.
//!
//! First the sort keys of all inputs are read and merged: they say where each row of the output comes from. As every
//! input is sorted the same way, its rows are then needed in its own order, so that each is read once, from start to end,
//! a batch at a time.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::UInt64Type,
};
use futures::TryStreamExt;
use parquet::arrow::async_reader::ParquetRecordBatchStream;

use crate::{
    environment::MergeTerms,
    error::{Error, Result},
    model::Table,
    rollup,
    schema::{
        layout::{AttributeColumn, KeyCounts, MAPS, Scalar, attribute_columns, attribute_of},
        sort_key,
    },
    segment::{
        BuiltSegment, Lineage, Made, Segment, SegmentReader, SeriesTable,
        gather::Gather,
        order::{self, Key, Position},
        shred::{Assembler, row_schema},
        write::{CHUNK_ROWS, Layout, SegmentWriter, count_keys},
    },
};

/// Decoded bytes of one row, about: decides how many rows of each input are read ahead.
const ROW_BYTES: usize = 2 << 10;

/// The rows of all `inputs` in one segment: the same rows, in the table's order; of derived tables, rows with one key
/// added up. Beside the output it holds about 60 bytes for each row, and a batch of rows and a row group's pages of each
/// input; `compaction::plan` keeps both within the memory of `terms`. All inputs are of one tenant, table and time bucket.
pub async fn merge(inputs: &[Arc<Segment>], terms: &MergeTerms<'_>) -> Result<BuiltSegment> {
    let first = inputs.first().ok_or_else(|| Error::invalid("a merge of no segments"))?.meta();
    let alike = |input: &Arc<Segment>| {
        let meta = input.meta();
        (meta.table, &meta.tenant, meta.bucket_start_unix_nano)
            == (first.table, &first.tenant, first.bucket_start_unix_nano)
    };
    if !inputs.iter().all(alike) {
        return Err(Error::invalid("a merge of segments of different tables, tenants or time buckets"));
    }
    let table = first.table;
    let batch_rows = (terms.memory_bytes / 8 / ROW_BYTES / inputs.len()).clamp(256, CHUNK_ROWS);
    let order = Order::read(table, inputs).await?;
    let attributes = chosen_columns(table, inputs, terms.settings).await?;
    let layout = Layout { attributes, has_even_times: order::has_even_times(&order.keys) };
    let mut writer = SegmentWriter::new(table, first.bucket_start_unix_nano, &layout, terms.settings)?;
    writer.lineage = lineage(inputs, terms.made).await?;
    let mut sources = Vec::with_capacity(inputs.len());
    for input in inputs {
        sources.push(Source::open(input, batch_rows).await?);
    }
    for piece in order::pieces(&order.keys, batch_rows, |a, b| adds_up(table, a, b, terms.fine_from_unix_nano)) {
        let rows = order.next_rows(table, piece, &mut sources).await?;
        writer.write(&summed(table, rows, terms.fine_from_unix_nano)?)?;
    }
    let series = if table.has_series() { Some(order.series(table, inputs).await?) } else { None };
    writer.finish(series.as_ref())
}

/// Whether two rows may become one.
fn adds_up(table: Table, a: &Key, b: &Key, fine_from_unix_nano: i64) -> bool {
    let step = |key: &Key| rollup::kept_step(key.time(), fine_from_unix_nano);
    rollup::is_summed(table) && a.same_series(b) && step(a) == step(b)
}

/// Rows with one key as one; none of what they count is lost.
fn summed(table: Table, rows: RecordBatch, fine_from_unix_nano: i64) -> Result<RecordBatch> {
    if !rollup::is_summed(table) {
        return Ok(rows);
    }
    let before = rollup::counted(table, &rows)?;
    let combined = rollup::combined(table, vec![rows], fine_from_unix_nano)?.pop();
    let combined = combined.ok_or_else(|| Error::internal("rows added up to nothing"))?;
    let after = rollup::counted(table, &combined)?;
    if before == after {
        Ok(combined)
    } else {
        Err(Error::internal(format!("rows of {table} that count {before} were added up to {after}")))
    }
}

async fn lineage(inputs: &[Arc<Segment>], made: Option<Made>) -> Result<Option<Lineage>> {
    let Some(made) = made else { return Ok(None) };
    let mut lineages = Vec::with_capacity(inputs.len());
    for input in inputs {
        lineages.push(input.lineage().await?);
    }
    let inputs = inputs.iter().zip(&lineages).map(|(input, lineage)| (&input.meta().id, lineage.as_ref()));
    Ok(Some(Lineage::merged(made, inputs)))
}

/// Where each row of the output comes from.
struct Order {
    keys: Vec<Key>,
    /// The inputs' sort columns, as they were read: what the keys' positions mean.
    batches: Vec<RecordBatch>,
    /// Input of each of these batches, and its first row there.
    places: Vec<(usize, usize)>,
}

impl Order {
    async fn read(table: Table, inputs: &[Arc<Segment>]) -> Result<Self> {
        let (mut batches, mut places) = (Vec::new(), Vec::new());
        for (i, input) in inputs.iter().enumerate() {
            let mut stream = input.stream(Some(sort_key(table)), CHUNK_ROWS).await?;
            let mut row = 0;
            while let Some(batch) = stream.try_next().await.map_err(|error| input.read_error(error))? {
                places.push((i, row));
                row += batch.num_rows();
                batches.push(batch);
            }
        }
        Ok(Self { keys: order::sorted_keys(table, &batches)?, batches, places })
    }

    fn input_row(&self, key: &Key) -> Position {
        let (batch, row) = key.position();
        let (input, first) = self.places[batch];
        (input, first + row)
    }

    /// The rows of the next keys.
    async fn next_rows(&self, table: Table, chunk: &[Key], sources: &mut [Source]) -> Result<RecordBatch> {
        let mut wanted = vec![0; sources.len()];
        for key in chunk {
            let (input, row) = self.input_row(key);
            if row != sources[input].next_row + wanted[input] {
                let path = &sources[input].segment.meta().path;
                return Err(Error::corrupt(format!("{path} is not sorted: row {row} comes out of order")));
            }
            wanted[input] += 1;
        }
        let mut batches = Vec::new();
        let mut starts = Vec::with_capacity(sources.len());
        for (source, wanted) in sources.iter_mut().zip(wanted) {
            starts.push(batches.len());
            batches.extend(source.take(wanted).await?);
        }
        // Next unread row of each input, as a batch and a row in it.
        let mut cursors: Vec<Position> = starts.into_iter().map(|batch| (batch, 0)).collect();
        let positions: Vec<Position> = chunk
            .iter()
            .map(|key| {
                let cursor = &mut cursors[self.input_row(key).0];
                let position = *cursor;
                cursor.1 += 1;
                if batches.get(cursor.0).is_some_and(|batch: &RecordBatch| batch.num_rows() == cursor.1) {
                    *cursor = (cursor.0 + 1, 0);
                }
                position
            })
            .collect();
        Gather::new(&batches, row_schema(table))?.rows(&positions)
    }

    async fn series(&self, table: Table, inputs: &[Arc<Segment>]) -> Result<SeriesTable> {
        let mut tables = Vec::with_capacity(inputs.len());
        for input in inputs {
            let series = input.series().await?;
            tables.push(series.ok_or_else(|| Error::corrupt(format!("{} has no series table", input.meta().path)))?);
        }
        let runs = order::runs(&self.keys);
        let places = runs
            .iter()
            .map(|run| {
                let (batch, row) = run.last;
                let input = self.places[batch].0;
                let ids = order::column(&self.batches[batch], "series_id")?.as_primitive::<UInt64Type>();
                let row = tables[input].lookup(ids.value(row));
                Ok((input, row.ok_or_else(|| Error::corrupt(format!("{} lacks a series", inputs[input].meta().path)))?))
            })
            .collect::<Result<Vec<_>>>()?;
        let rows: Vec<RecordBatch> = tables.iter().map(|table| table.rows().clone()).collect();
        SeriesTable::gather(table, &rows, &runs, &places)
    }
}

/// One input, read from start to end.
struct Source {
    segment: Arc<Segment>,
    stream: ParquetRecordBatchStream<SegmentReader>,
    assembler: Assembler,
    /// Rows that were read and not yet taken.
    ahead: Option<RecordBatch>,
    next_row: usize,
}

impl Source {
    async fn open(segment: &Arc<Segment>, batch_rows: usize) -> Result<Self> {
        let table = segment.meta().table;
        let assembler = Assembler::new(table, row_schema(table), &*segment.schema().await?)?;
        let stream = segment.stream(None, batch_rows).await?;
        Ok(Self { segment: Arc::clone(segment), stream, assembler, ahead: None, next_row: 0 })
    }

    /// The next `count` rows, in the columns of [`row_schema`].
    async fn take(&mut self, count: usize) -> Result<Vec<RecordBatch>> {
        let mut taken = Vec::new();
        let mut missing = count;
        while missing > 0 {
            let batch = match self.ahead.take() {
                Some(batch) => batch,
                None => {
                    let rows = self.stream.try_next().await.map_err(|error| self.segment.read_error(error))?;
                    let rows = rows.ok_or_else(|| {
                        Error::corrupt(format!(
                            "{} ends before row {}",
                            self.segment.meta().path,
                            self.next_row + count
                        ))
                    })?;
                    self.assembler.assemble(&rows, None)?
                }
            };
            let here = missing.min(batch.num_rows());
            if here < batch.num_rows() {
                self.ahead = Some(batch.slice(here, batch.num_rows() - here));
            }
            taken.push(batch.slice(0, here));
            missing -= here;
        }
        self.next_row += count;
        Ok(taken)
    }
}

/// The attribute columns of the output: what the inputs' columns and remainders say together.
async fn chosen_columns(
    table: Table,
    inputs: &[Arc<Segment>],
    settings: &config::Storage,
) -> Result<Vec<AttributeColumn>> {
    let rows = row_schema(table);
    let maps: Vec<&str> = MAPS.into_iter().filter(|map| rows.index_of(map).is_ok()).collect();
    let mut counts = <[KeyCounts; 3]>::default();
    if maps.is_empty() {
        return Ok(Vec::new());
    }
    for input in inputs {
        let of_map: HashMap<&str, usize> = MAPS.into_iter().enumerate().map(|(i, map)| (map, i)).collect();
        for column in filled_columns(input).await? {
            counts[of_map[column.0.map]].add_column(&column.0.key, column.0.scalar, column.1, column.0.distinct);
        }
        let mut stream = input.stream(Some(&maps), CHUNK_ROWS).await?;
        while let Some(batch) = stream.try_next().await.map_err(|error| input.read_error(error))? {
            for map in &maps {
                count_keys(order::column(&batch, map)?, &mut counts[of_map[map]])?;
            }
        }
    }
    let row_count = inputs.iter().map(|input| input.meta().row_count).sum();
    Ok(attribute_columns(&counts, row_count, settings.attribute_column_min_ratio, settings.attribute_column_max_count))
}

/// Attribute columns of a file, and how many of its rows have a value there.
async fn filled_columns(input: &Arc<Segment>) -> Result<Vec<(AttributeColumn, u64)>> {
    let (schema, metadata) = (input.schema().await?, input.metadata().await?);
    let mut columns = Vec::new();
    for field in schema.fields() {
        let Some((map, key)) = attribute_of(field.name()) else { continue };
        let Some(scalar) = Scalar::from_arrow(field.data_type()) else { continue };
        let (mut rows, mut distinct) = (0, true);
        for group in metadata.row_groups() {
            let Some(column) = group
                .columns()
                .iter()
                .find(|column| column.column_path().parts() == std::slice::from_ref(field.name()))
            else {
                continue;
            };
            let nulls =
                column.statistics().and_then(parquet::file::statistics::Statistics::null_count_opt).unwrap_or(0);
            rows += column.num_values().cast_unsigned().saturating_sub(nulls);
            distinct &= column.dictionary_page_offset().is_none();
        }
        columns.push((
            AttributeColumn { map, key: key.to_owned(), scalar, distinct: distinct && scalar == Scalar::Text },
            rows,
        ));
    }
    Ok(columns)
}
