//! Sorted segments of one time bucket become one, its indexes rebuilt in the same row order.
//!
//! The inputs' sort columns are read ahead of their rows: they say where each row of the output comes from. As every input
//! is sorted the same way, its rows are then needed in its own order, so that each is read once, from start to end, a batch
//! at a time.

use std::{collections::HashMap, io::Write, sync::Arc};

use arrow::{array::RecordBatch, compute::filter_record_batch};
use futures::TryStreamExt;
use parquet::arrow::async_reader::ParquetRecordBatchStream;

use super::order::MergeOrder;
use crate::{
    environment::MergeTerms,
    error::{Error, Result},
    model::Table,
    retention::ExpiredRows,
    rollup,
    schema::layout::{AttributeColumn, KeyCounts, MAPS, Scalar, attribute_columns, attribute_of},
    segment::{
        Lineage, Made, Segment, SegmentReader, SeriesTable,
        gather::Gather,
        order::{self, Key, Position, Run, Runs},
        shred::{Assembler, row_schema},
        write::{CHUNK_ROWS, Layout, SegmentWriter, WrittenSegment, count_keys},
    },
};

/// Decoded bytes of one row, about: decides how many rows of each input are read ahead.
const ROW_BYTES: usize = 2 << 10;

/// The rows of all `inputs` in one segment, written to `sink`: the same rows, in the table's order; of derived tables, rows
/// with one key added up; those that have expired left out. It holds a batch of rows and a row group's pages of each input
/// and of the output; `compaction::plan` keeps that within the memory of `terms`. All inputs are of one tenant, table and
/// time bucket.
pub async fn merge(
    inputs: &[Arc<Segment>],
    terms: &MergeTerms<'_>,
    sink: &mut (dyn Write + Send),
) -> Result<WrittenSegment> {
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
    let mut order = MergeOrder::open(table, inputs).await?;
    let attributes = chosen_columns(table, inputs, terms.settings).await?;
    let layout = Layout { attributes, has_even_times: order.has_even_times };
    let mut writer = SegmentWriter::new(table, first.bucket_start_unix_nano, &layout, terms.settings, sink)?;
    writer.lineage = lineage(inputs, terms.made).await?;
    let mut sources = Vec::with_capacity(inputs.len());
    for input in inputs {
        sources.push(Source::open(input, batch_rows).await?);
    }
    let mut runs = Runs::default();
    loop {
        let piece = order.next_piece(batch_rows, |a, b| adds_up(table, a, b, terms.fine_from_unix_nano)).await?;
        if piece.is_empty() {
            break;
        }
        let rows = next_rows(table, &piece, &mut sources).await?;
        let (piece, rows) = match terms.expired {
            Some(expired) => without(expired, piece, &rows)?,
            None => (piece, rows),
        };
        if rows.num_rows() == 0 {
            continue;
        }
        if table.has_series() {
            piece.iter().for_each(|key| runs.add(key));
        }
        writer.write(&summed(table, rows, terms.fine_from_unix_nano)?)?;
    }
    let series = if table.has_series() { Some(series(table, inputs, &runs.finish()).await?) } else { None };
    writer.finish(series.as_ref())
}

/// Keys and rows that stay.
fn without(expired: &ExpiredRows, keys: Vec<Key>, rows: &RecordBatch) -> Result<(Vec<Key>, RecordBatch)> {
    let kept = expired.kept(rows)?;
    let keys = keys.into_iter().zip(kept.values()).filter_map(|(key, kept)| kept.then_some(key)).collect();
    Ok((keys, filter_record_batch(rows, &kept)?))
}

/// Rows of a segment that stay.
pub(crate) async fn count_kept(segment: &Arc<Segment>, expired: &ExpiredRows) -> Result<u64> {
    let (table, file) = (segment.meta().table, segment.schema().await?);
    let mut stream = segment.stream(Some(&expired.file_columns(table, &file)), CHUNK_ROWS).await?;
    let assembler = Assembler::new(table, expired.schema(table), stream.schema())?;
    let mut kept = 0;
    while let Some(rows) = stream.try_next().await.map_err(|error| segment.read_error(error))? {
        kept += expired.kept(&assembler.assemble(&rows, None)?)?.true_count() as u64;
    }
    Ok(kept)
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

/// The rows of the next keys.
async fn next_rows(table: Table, keys: &[Key], sources: &mut [Source]) -> Result<RecordBatch> {
    let mut wanted = vec![0; sources.len()];
    keys.iter().for_each(|key| wanted[key.position().0] += 1);
    let mut batches = Vec::new();
    let mut starts = Vec::with_capacity(sources.len());
    for (source, wanted) in sources.iter_mut().zip(wanted) {
        starts.push(batches.len());
        batches.extend(source.take(wanted).await?);
    }
    // Next unread row of each input, as a batch and a row in it.
    let mut cursors: Vec<Position> = starts.into_iter().map(|batch| (batch, 0)).collect();
    let positions: Vec<Position> = keys
        .iter()
        .map(|key| {
            let cursor = &mut cursors[key.position().0];
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

/// The series table of the output: each series as the input with its last point describes it.
async fn series(table: Table, inputs: &[Arc<Segment>], runs: &[Run]) -> Result<SeriesTable> {
    let mut tables = Vec::with_capacity(inputs.len());
    for input in inputs {
        let series = input.series().await?;
        tables.push(series.ok_or_else(|| Error::corrupt(format!("{} has no series table", input.meta().path)))?);
    }
    let places = runs
        .iter()
        .map(|run| {
            let input = run.last.0;
            let row = tables[input].lookup(run.id);
            Ok((input, row.ok_or_else(|| Error::corrupt(format!("{} lacks a series", inputs[input].meta().path)))?))
        })
        .collect::<Result<Vec<_>>>()?;
    let rows: Vec<RecordBatch> = tables.iter().map(|table| table.rows().clone()).collect();
    SeriesTable::gather(table, &rows, runs, &places)
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
