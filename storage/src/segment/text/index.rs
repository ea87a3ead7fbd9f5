//! The index itself: written in row order, asked for candidate rows.

use std::ops::Range;

use super::TextQuery;

/// Rows that may answer a search: every row that does is among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Sorted, disjoint row ranges of the segment.
    pub rows: Vec<Range<usize>>,
    /// Every candidate is a match: nothing to verify on the row.
    pub exact: bool,
}

/// The text index of one segment, in memory.
#[derive(Debug)]
pub struct TextIndex {
    row_count: usize,
}

impl TextIndex {
    /// The rows to look at for this search.
    pub fn candidates(&self, query: &TextQuery) -> Candidates {
        let _ = query;
        Candidates { rows: std::iter::once(0..self.row_count).collect(), exact: false }
    }
}
