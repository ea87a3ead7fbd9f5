//! The index itself, asked for candidate rows.

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use tantivy::{
    DocSet, TERMINATED, Term,
    index::InvertedIndexReader,
    schema::{Field, IndexRecordOption},
};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    TextQuery,
    documents::Documents,
    pack::unpack,
    rows::Rows,
    words::{is_plain, words},
    writer::{BLOOM_ROWS, schema, text_error},
};
use crate::{
    error::{Error, Result},
    segment::bloom,
};

/// Rows that may answer a search: every row that does is among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Sorted, disjoint row ranges of the segment.
    pub rows: Vec<Range<usize>>,
    /// Every candidate is a match: nothing to verify on the row.
    pub exact: bool,
}

/// The text index of one segment, in memory.
pub struct TextIndex {
    row_count: usize,
    words: Arc<InvertedIndexReader>,
    documents: Documents,
    field: Field,
    ends: Vec<u32>,
    filters: Bytes,
}

impl fmt::Debug for TextIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextIndex").field("row_count", &self.row_count).finish_non_exhaustive()
    }
}

impl TextIndex {
    /// Opens the blobs of [`TextIndexWriter::finish`](super::TextIndexWriter::finish), whose checksums have been verified.
    /// Without `documents`, as before format 3, each row is one.
    pub(in crate::segment) fn open(
        words: &[u8],
        documents: Option<&[u8]>,
        filters: Bytes,
        row_count: usize,
    ) -> Result<Self> {
        let index = unpack(words)?;
        let segments = index.searchable_segments().map_err(text_error)?;
        let segment = segments.first().ok_or_else(|| Error::corrupt("a text index without index segment"))?;
        let reader = tantivy::SegmentReader::open(segment).map_err(text_error)?;
        let (_, field) = schema();
        let (ends, filters) = read_filters(filters).ok_or_else(|| Error::corrupt("word filters cut short"))?;
        let documents = documents.map_or(Ok(Documents::Rows(row_count)), Documents::read)?;
        let indexed = documents.row_count();
        if indexed != row_count || ends.len() != row_count.div_ceil(BLOOM_ROWS) {
            return Err(Error::corrupt(format!("a text index of {indexed} rows in a segment of {row_count}")));
        }
        let (expected, found) = (documents.count(), reader.max_doc());
        if found as usize != expected {
            return Err(Error::corrupt(format!("a text index of {found} documents, its rows are {expected}")));
        }
        let words = reader.inverted_index(field).map_err(text_error)?;
        Ok(Self { row_count, words, documents, field, ends, filters })
    }

    /// Bytes in memory beside the blobs.
    pub(in crate::segment) const fn extra_bytes(&self) -> usize {
        self.documents.bytes()
    }

    /// The rows to look at for this search.
    pub fn candidates(&self, query: &TextQuery) -> Candidates {
        // Reading from memory does not fail; if it does, the scan decides.
        let (rows, exact) = self.find(query).unwrap_or_else(|_| (Rows::all(self.row_count), false));
        Candidates { rows: rows.into_ranges(), exact }
    }

    fn find(&self, query: &TextQuery) -> Result<(Rows, bool)> {
        match query {
            // Rows without a text answer neither a search nor its opposite: only the row itself tells.
            TextQuery::All | TextQuery::Not(_) => Ok((Rows::all(self.row_count), false)),
            // A word with a digit may begin so, and those can only be asked for whole.
            TextQuery::Prefix(_) => Ok((Rows::all(self.row_count), false)),
            TextQuery::Word(word) => self.find_words(words(word)),
            TextQuery::Phrase(phrase) => self.find_words(phrase.iter().flat_map(|part| words(part))),
            TextQuery::And(parts) => {
                let mut found = (Rows::all(self.row_count), !parts.is_empty());
                for part in parts {
                    let (rows, exact) = self.find(part)?;
                    found = (found.0.intersection(&rows), found.1 && exact);
                }
                Ok(found)
            }
            TextQuery::Or(parts) => {
                let mut found = (Rows::default(), true);
                for part in parts {
                    let (rows, exact) = self.find(part)?;
                    found = (found.0.union(&rows), found.1 && exact);
                }
                Ok(found)
            }
        }
    }

    /// Rows with all of these words, in whatever order.
    fn find_words<W: AsRef<str>>(&self, words: impl Iterator<Item = W>) -> Result<(Rows, bool)> {
        let mut found: Option<Rows> = None;
        let (mut count, mut plain) = (0, true);
        for word in words {
            let word = word.as_ref();
            count += 1;
            let rows = if is_plain(word) {
                self.rows_with(word)?
            } else {
                plain = false;
                self.blocks_with(word)
            };
            found = Some(found.map_or_else(|| rows.clone(), |found| found.intersection(&rows)));
        }
        Ok(found.map_or_else(|| (Rows::all(self.row_count), false), |rows| (rows, plain && count == 1)))
    }

    fn rows_with(&self, word: &str) -> Result<Rows> {
        let term = Term::from_field_text(self.field, word);
        let postings = self.words.read_postings(&term, IndexRecordOption::Basic).map_err(text_error)?;
        let Some(mut postings) = postings else { return Ok(Rows::default()) };
        let mut next = postings.doc();
        Ok(self.documents.rows(std::iter::from_fn(|| {
            let document = next;
            (document != TERMINATED).then(|| {
                next = postings.advance();
                document
            })
        })))
    }

    fn blocks_with(&self, word: &str) -> Rows {
        let hash = xxh3_64(word.as_bytes());
        let mut rows = Rows::default();
        let mut start = 0;
        for (block, end) in self.ends.iter().map(|end| *end as usize).enumerate() {
            if self.filters.get(start..end).is_some_and(|filter| bloom::may_contain(filter, hash)) {
                let first = block * BLOOM_ROWS;
                rows.push(first..(first + BLOOM_ROWS).min(self.row_count));
            }
            start = end;
        }
        rows
    }
}

fn read_filters(blob: Bytes) -> Option<(Vec<u32>, Bytes)> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_le_bytes);
    let count = number(blob.get(..4)?)? as usize;
    let ends = blob.get(4..4 + count.checked_mul(4)?)?;
    let ends: Vec<u32> = ends.chunks_exact(4).filter_map(number).collect();
    Some((ends, blob.slice(4 + count * 4..)))
}
