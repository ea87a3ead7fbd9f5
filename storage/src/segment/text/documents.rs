//! Which document of the word index each row belongs to.

use std::ops::Range;

use super::rows::Rows;
use crate::{
    error::{Error, Result},
    model::varint::{read_varint, write_varint},
};

/// Writes the document of each row, in row order.
///
/// A run of rows of one document is two varints: how far back from the next new document its document is (0: that one
/// itself), and its rows less one.
#[derive(Default)]
pub(super) struct DocumentsWriter {
    blob: Vec<u8>,
    count: u32,
    /// The document of the last rows, and their number.
    run: Option<(u32, u64)>,
}

impl DocumentsWriter {
    /// Documents so far: the number of the next new one.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// The next row is of this document, which is known or the next new one.
    pub(super) fn add(&mut self, document: u32) {
        match &mut self.run {
            Some((last, rows)) if *last == document => *rows += 1,
            _ => {
                self.end_run();
                write_varint(&mut self.blob, u64::from(self.count - document));
                self.count = self.count.max(document + 1);
                self.run = Some((document, 1));
            }
        }
    }

    /// The blob.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.end_run();
        self.blob
    }

    fn end_run(&mut self) {
        if let Some((_, rows)) = self.run.take() {
            write_varint(&mut self.blob, rows - 1);
        }
    }
}

/// The document of each row.
#[derive(Debug)]
pub(super) enum Documents {
    /// A row each: segments of format 1 and 2.
    Rows(usize),
    /// Runs of rows: the document of each, the row after its last, and the number of documents.
    Runs { documents: Vec<u32>, ends: Vec<u32>, count: u32 },
}

impl Documents {
    /// Reads the blob of [`DocumentsWriter::finish`].
    pub(super) fn read(mut blob: &[u8]) -> Result<Self> {
        let damaged = || Error::corrupt("documents of a text index cut short");
        let (mut documents, mut ends) = (Vec::new(), Vec::new());
        let (mut count, mut end) = (0_u32, 0_u32);
        while !blob.is_empty() {
            let (back, rest) = read_varint(blob).ok_or_else(damaged)?;
            let (more, rest) = read_varint(rest).ok_or_else(damaged)?;
            let document = u32::try_from(back).ok().and_then(|back| count.checked_sub(back)).ok_or_else(damaged)?;
            count = count.max(document.saturating_add(1));
            let rows = u32::try_from(more).ok().and_then(|more| more.checked_add(1)).ok_or_else(damaged)?;
            end = end.checked_add(rows).ok_or_else(damaged)?;
            documents.push(document);
            ends.push(end);
            blob = rest;
        }
        Ok(Self::Runs { documents, ends, count })
    }

    /// Rows of all documents.
    pub(super) fn row_count(&self) -> usize {
        match self {
            Self::Rows(rows) => *rows,
            Self::Runs { ends, .. } => ends.last().map_or(0, |end| *end as usize),
        }
    }

    /// How many documents there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Rows(rows) => *rows,
            Self::Runs { count, .. } => *count as usize,
        }
    }

    /// Bytes in memory.
    pub(super) const fn bytes(&self) -> usize {
        match self {
            Self::Rows(_) => 0,
            Self::Runs { documents, .. } => documents.len() * 2 * size_of::<u32>(),
        }
    }

    /// The rows of these documents, which come in order and exist.
    pub(super) fn rows(&self, wanted: impl Iterator<Item = u32>) -> Rows {
        let mut rows = Rows::default();
        match self {
            Self::Rows(_) => wanted.for_each(|document| rows.push(range(document, document + 1))),
            Self::Runs { documents, ends, count } => {
                let mut is_wanted = vec![false; *count as usize];
                for document in wanted {
                    is_wanted[document as usize] = true;
                }
                let starts = std::iter::once(&0).chain(ends);
                for ((document, start), end) in documents.iter().zip(starts).zip(ends) {
                    if is_wanted[*document as usize] {
                        rows.push(range(*start, *end));
                    }
                }
            }
        }
        rows
    }
}

fn range(start: u32, end: u32) -> Range<usize> {
    start as usize..end as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_of_documents_are_found_again(steps in prop::collection::vec((0_u32..6, 1_usize..4), 0..60)) {
            let mut writer = DocumentsWriter::default();
            let mut all = Vec::new();
            for (back, rows) in steps {
                let document = writer.count().saturating_sub(back);
                for _ in 0..rows {
                    writer.add(document);
                    all.push(document);
                }
            }
            let count = writer.count();
            let blob = writer.finish();
            let read = Documents::read(&blob).unwrap();
            prop_assert_eq!((read.row_count(), read.count()), (all.len(), count as usize));
            for step in 1..3 {
                let wanted: Vec<u32> = (0..count).step_by(step).collect();
                let found: Vec<usize> = read.rows(wanted.iter().copied()).into_ranges().into_iter().flatten().collect();
                let expected: Vec<usize> = (0..all.len()).filter(|row| wanted.contains(&all[*row])).collect();
                prop_assert_eq!(found, expected);
            }
            for end in 0..blob.len() {
                // Anything but a panic.
                let _ = Documents::read(&blob[..end]);
            }
        }
    }
}
