//! Everything that is wrong with one segment's file, not only the first thing.

use std::sync::Arc;

use arrow::{array::AsArray, datatypes::UInt64Type};
use futures::TryStreamExt;

use super::{BATCH_ROWS, Footer, Segment, blob};
use crate::{
    error::{Error, ErrorKind, Result},
    model::Table,
    segment::{
        bloom,
        checksum::{self, BLOCK_BYTES},
        trace, write,
    },
};

/// Blocks read at once: 4 MiB.
const BLOCKS_AT_ONCE: u64 = 64;

/// Something wrong in a segment's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Defect {
    /// Where in the file, if it is at one place.
    pub(crate) offset: Option<u64>,
    /// What is wrong.
    pub(crate) problem: String,
    /// What should be there.
    pub(crate) expected: Option<String>,
    /// What is there.
    pub(crate) found: Option<String>,
}

impl Defect {
    fn new(offset: Option<u64>, problem: impl Into<String>) -> Self {
        Self { offset, problem: problem.into(), expected: None, found: None }
    }

    fn unlike(mut self, expected: impl ToString, found: impl ToString) -> Self {
        (self.expected, self.found) = (Some(expected.to_string()), Some(found.to_string()));
        self
    }
}

impl Segment {
    /// Reads every byte of the file and opens everything in it. Holds a few MiB, the tail, and one index at a time.
    /// Returns the version of the file's format where that can be read.
    ///
    /// # Errors
    /// `Invalid` when a later version wrote the file: nothing is known to be wrong with it.
    pub(crate) async fn inspect(self: &Arc<Self>, found: &mut (dyn FnMut(Defect) + Send)) -> Result<Option<u16>> {
        if !self.inspect_tail(found).await {
            return Ok(None);
        }
        let footer = match self.footer().await {
            Ok(footer) => footer,
            Err(error) if error.kind() == ErrorKind::Invalid => return Err(error),
            Err(error) => {
                found(Defect::new(Some(self.tail_start()), error.to_string()));
                return Ok(None);
            }
        };
        if self.inspect_blocks(&footer, found).await {
            self.inspect_description(&footer, found);
            for (part, opened) in [
                ("text index", self.inspect_text(&footer).await),
                ("series table", self.inspect_series(&footer).await),
                ("trace filter", self.inspect_traces(&footer).await),
            ] {
                if let Err(error) = opened {
                    found(Defect::new(None, format!("{part}: {error}")));
                }
            }
        }
        Ok(Some(footer.description.version))
    }

    fn tail_start(&self) -> u64 {
        self.meta.file_bytes.saturating_sub(self.meta.tail_bytes)
    }

    /// Whether the tail is what was written.
    async fn inspect_tail(&self, found: &mut (dyn FnMut(Defect) + Send)) -> bool {
        let start = self.tail_start();
        let tail = match self.fetch(std::slice::from_ref(&(start..self.meta.file_bytes))).await {
            Ok(tail) => tail.into_iter().next().unwrap_or_default(),
            Err(error) => {
                found(Defect::new(Some(start), error.to_string()));
                return false;
            }
        };
        let Some((expected, is)) = checksum::tail_digests(&tail) else {
            found(Defect::new(Some(start), "the footer is damaged").unlike("a tail checksum", "none"));
            return false;
        };
        if expected != is {
            found(Defect::new(Some(start), "the tail (checksums, page index, footer) is damaged").unlike(expected, is));
            return false;
        }
        true
    }

    /// Whether every block is what was written.
    async fn inspect_blocks(&self, footer: &Footer, found: &mut (dyn FnMut(Defect) + Send)) -> bool {
        let covered = footer.description.covered_bytes;
        let (mut start, mut is_whole) = (0, true);
        while start < covered {
            let end = (start + BLOCKS_AT_ONCE * BLOCK_BYTES).min(covered);
            match self.fetch(std::slice::from_ref(&(start..end))).await {
                Ok(bytes) => {
                    let bytes = bytes.into_iter().next().unwrap_or_default();
                    for (at, block) in (start..).step_by(BLOCK_BYTES as usize).zip(bytes.chunks(BLOCK_BYTES as usize)) {
                        let expected = usize::try_from(at / BLOCK_BYTES).ok().and_then(|i| footer.checksums.get(i));
                        let is = crc32c::crc32c(block);
                        if expected != Some(&is) {
                            is_whole = false;
                            let expected = expected.map_or_else(|| "a checksum".to_owned(), |crc| format!("{crc:08x}"));
                            let defect = Defect::new(Some(at), format!("a block of {} bytes is damaged", block.len()));
                            found(defect.unlike(expected, format!("{is:08x}")));
                        }
                    }
                }
                Err(error) => {
                    is_whole = false;
                    found(Defect::new(Some(start), error.to_string()));
                }
            }
            start = end;
        }
        is_whole
    }

    /// Whether the file says of itself what the catalog says.
    fn inspect_description(&self, footer: &Footer, found: &mut (dyn FnMut(Defect) + Send)) {
        let (is, meta) = (&footer.description, &self.meta);
        let rows = footer.reader.metadata().file_metadata().num_rows();
        let range = (meta.time_range.start_unix_nano(), meta.time_range.end_unix_nano().saturating_sub(1));
        let pairs = [
            ("rows in the Parquet footer", is.row_count.to_string(), rows.to_string()),
            ("times in ns", format!("{range:?}"), format!("{:?}", (is.min_unix_nano, is.max_unix_nano))),
            (
                "start of the time bucket",
                meta.bucket_start_unix_nano.to_string(),
                is.bucket_start_unix_nano.to_string(),
            ),
            ("schema version", meta.schema_version.to_string(), is.schema_version.to_string()),
        ];
        for (what, expected, is) in pairs.into_iter().filter(|(_, expected, is)| expected != is) {
            found(Defect::new(None, format!("{what}: file and catalog disagree")).unlike(expected, is));
        }
    }

    async fn inspect_text(&self, footer: &Footer) -> Result<()> {
        let is_expected = self.meta.table == Table::Logs;
        // Opening compares the number of rows.
        if is_expected && self.text_index().await?.is_none() {
            return Err(absent(write::TEXT_WORDS));
        }
        self.unexpected(footer, write::TEXT_WORDS, is_expected)
    }

    async fn inspect_series(&self, footer: &Footer) -> Result<()> {
        let is_expected = self.meta.table.has_series();
        if is_expected {
            let series = self.series().await?.ok_or_else(|| absent(write::SERIES))?;
            let column = |name: &str| {
                let column =
                    series.rows().column_by_name(name).and_then(|c| c.as_primitive_opt::<UInt64Type>().cloned());
                column.ok_or_else(|| Error::corrupt(format!("no column {name}")))
            };
            let (first, counts) = (column("first_row")?, column("row_count")?);
            let mut next = 0_u64;
            for (first, count) in first.values().iter().zip(counts.values()) {
                if *first != next {
                    return Err(Error::corrupt(format!("a series begins at row {first}, expected {next}")));
                }
                next = next.saturating_add(*count);
            }
            if next != self.meta.row_count {
                return Err(Error::corrupt(format!("has {next} rows, expected {}", self.meta.row_count)));
            }
        }
        self.unexpected(footer, write::SERIES, is_expected)
    }

    async fn inspect_traces(self: &Arc<Self>, footer: &Footer) -> Result<()> {
        let is_expected = footer.reader.schema().index_of("trace_id").is_ok();
        // Derived tables name an example by its own column and have no filter.
        let (pages, filter) = (blob(footer, write::TRACE_PAGES), blob(footer, write::TRACES_1));
        let Some(found) = pages.or(filter) else {
            return if is_expected { Err(absent(write::TRACE_PAGES)) } else { Ok(()) };
        };
        let filter = self.read_blob(footer, found).await?;
        if pages.is_none() && filter.len() % bloom::BLOCK_BYTES != 0 {
            return Err(Error::corrupt(format!("{} bytes are no whole blocks", filter.len())));
        }
        let has = |id: &[u8; 16]| {
            if pages.is_none() {
                return trace::may_contain_1(&filter, id);
            }
            let page = trace::page(filter.len() as u64, id)
                .and_then(|page| filter.get(usize::try_from(page.start).ok()?..usize::try_from(page.end).ok()?));
            page.is_some_and(|page| trace::may_contain(page, filter.len() as u64, id) == Some(true))
        };
        let mut rows = self.stream(Some(&["trace_id"]), BATCH_ROWS).await?;
        let mut row_count = 0;
        while let Some(batch) = rows.try_next().await.map_err(|error| self.read_error(error))? {
            row_count += batch.num_rows() as u64;
            let ids = batch.column(0).as_fixed_size_binary_opt().ok_or_else(|| Error::corrupt("trace_id is no id"))?;
            let passes = |id: &[u8]| id.try_into().is_ok_and(|id: &[u8; 16]| has(id));
            if let Some(id) = ids.iter().flatten().find(|id| !passes(id)) {
                return Err(Error::corrupt(format!("does not know trace {} of the rows", hex::encode(id))));
            }
        }
        if row_count != self.meta.row_count {
            return Err(Error::corrupt(format!("the rows are {row_count}, expected {}", self.meta.row_count)));
        }
        Ok(())
    }

    fn unexpected(&self, footer: &Footer, name: &str, is_expected: bool) -> Result<()> {
        if !is_expected && blob(footer, name).is_some() {
            return Err(Error::corrupt(format!("a segment of {} with a blob {name}", self.meta.table)));
        }
        Ok(())
    }
}

fn absent(name: &str) -> Error {
    Error::corrupt(format!("the file has no blob {name}"))
}
