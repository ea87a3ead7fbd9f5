//! Rows to read as the reader takes them.

use std::ops::Range;

use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

/// Beyond this share of rows reading all of them is cheaper than skipping.
const MAX_RATIO: f64 = 0.4;

/// The rows common to two sorted lists of ranges.
pub(crate) fn intersection(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut i, mut j) = (0, 0);
    let mut out = Vec::new();
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let common = x.start.max(y.start)..x.end.min(y.end);
        if !common.is_empty() {
            out.push(common);
        }
        if x.end <= y.end {
            i += 1;
        } else {
            j += 1;
        }
    }
    out
}

/// What to do with one segment.
#[derive(Debug, PartialEq)]
pub(crate) enum Rows {
    /// Nothing in it can match.
    None,
    /// Read it with its conditions.
    All,
    /// Only these can match.
    Some(RowSelection),
}

/// Decides how to read candidate rows (sorted, disjoint) of a segment.
pub(crate) fn rows(candidates: &[Range<usize>], row_count: usize) -> Rows {
    let count: usize = candidates.iter().map(|range| range.end.min(row_count).saturating_sub(range.start)).sum();
    if count == 0 {
        return Rows::None;
    }
    if count as f64 > row_count as f64 * MAX_RATIO {
        return Rows::All;
    }
    let mut selectors = Vec::with_capacity(candidates.len() * 2 + 1);
    let mut at = 0;
    for range in candidates {
        let (start, end) = (range.start.max(at), range.end.min(row_count));
        if start >= end {
            continue;
        }
        if start > at {
            selectors.push(RowSelector::skip(start - at));
        }
        selectors.push(RowSelector::select(end - start));
        at = end;
    }
    if at < row_count {
        selectors.push(RowSelector::skip(row_count - at));
    }
    Rows::Some(RowSelection::from(selectors))
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of one range of rows is meant")]
mod tests {
    use super::*;

    #[test]
    fn candidates_become_a_selection_of_the_whole_file() {
        let Rows::Some(selection) = rows(&[2..3, 3..5, 90..200], 100) else { panic!("a selection") };
        assert_eq!(selection.row_count(), 13);
        assert_eq!(selection.iter().map(|s| s.row_count).sum::<usize>(), 100);
        assert_eq!(rows(&[], 100), Rows::None);
        assert_eq!(rows(&[0..90], 100), Rows::All);
    }

    #[test]
    fn intersections() {
        assert_eq!(intersection(&[0..5, 8..10], &[3..9]), vec![3..5, 8..9]);
        assert_eq!(intersection(&[0..5], &[5..9]), Vec::<Range<usize>>::new());
    }
}
