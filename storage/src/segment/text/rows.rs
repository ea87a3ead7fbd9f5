//! Sets of rows as sorted, disjoint, non-adjacent ranges.

use std::ops::Range;

/// Rows of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows(Vec<Range<usize>>);

impl Rows {
    /// Rows `0..count`.
    pub(super) fn all(count: usize) -> Self {
        let mut rows = Self::default();
        rows.push(0..count);
        rows
    }

    /// Adds rows that come after, or overlap, the last ones.
    pub(super) fn push(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => self.0.push(range),
        }
    }

    pub(super) fn into_ranges(self) -> Vec<Range<usize>> {
        self.0
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut out = Self::default();
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            out.push(a.start.max(b.start)..a.end.min(b.end));
            if a.end <= b.end {
                left.next();
            } else {
                right.next();
            }
        }
        out
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut out = Self::default();
        loop {
            let next = match (left.peek(), right.peek()) {
                (Some(a), Some(b)) if a.start <= b.start => left.next(),
                (_, Some(_)) => right.next(),
                (Some(_), None) => left.next(),
                (None, None) => return out,
            };
            out.push(next.cloned().unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(bits: &[bool]) -> Rows {
        let mut rows = Rows::default();
        bits.iter().enumerate().filter(|(_, bit)| **bit).for_each(|(row, _)| rows.push(row..row + 1));
        rows
    }

    proptest! {
        #[test]
        fn sets_behave_as_bits(pairs in prop::collection::vec(any::<(bool, bool)>(), 0..200)) {
            let (a, b): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
            let and: Vec<_> = pairs.iter().map(|(a, b)| *a && *b).collect();
            let or: Vec<_> = pairs.iter().map(|(a, b)| *a || *b).collect();
            prop_assert_eq!(rows(&a).intersection(&rows(&b)), rows(&and));
            prop_assert_eq!(rows(&a).union(&rows(&b)), rows(&or));
        }
    }
}
