//! Pure: in which pieces a time range is searched when only the first rows in time order are wanted.
//!
//! Segments are not sorted by time, so the newest hundred rows of a service could be anywhere in the range. A first small
//! slice at the wanted end usually has them all; how many it had tells how large the next must be.

use storage::model::TimeRange;

/// Rows in the first slice.
const FIRST_SLICE_ROWS: u64 = 1 << 16;
/// Each later slice has at least so many times more.
const MIN_GROWTH: u64 = 8;

/// Which end of the time range comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Newest rows first.
    #[default]
    Descending,
    /// Oldest rows first.
    Ascending,
}

/// Slices of a range without gap or overlap, in the order in which they are to be searched.
#[derive(Clone, Debug)]
pub(crate) struct Slices {
    rest: Option<TimeRange>,
    order: Order,
    /// Time ranges and row counts of what is stored; rows are taken to lie evenly in them.
    extents: Vec<(TimeRange, u64)>,
    /// Rows of the next slice.
    wanted: u64,
}

impl Slices {
    pub(crate) fn new(range: Option<TimeRange>, order: Order, extents: Vec<(TimeRange, u64)>) -> Self {
        Self { rest: range, order, extents, wanted: FIRST_SLICE_ROWS }
    }

    /// What to search next; `None` when all has been.
    pub(crate) fn next(&mut self) -> Option<TimeRange> {
        let rest = self.rest.take()?;
        let Some(at) = cut(rest, self.order, self.wanted, &self.extents) else { return Some(rest) };
        let before = TimeRange::new(rest.start_unix_nano(), at);
        let after = TimeRange::new(at, rest.end_unix_nano());
        let (near, far) = if self.order == Order::Descending { (after, before) } else { (before, after) };
        self.rest = far;
        near
    }

    /// What the last slice held tells how large the next must be to hold what is missing: after none, everything.
    pub(crate) fn found(&mut self, found: usize, missing: usize) {
        let expected = (self.wanted as f64 / found as f64) * missing as f64 * 2.0;
        self.wanted = self.wanted.saturating_mul(MIN_GROWTH).max(expected as u64);
    }
}

/// Where to cut so that about `wanted` rows are on the near side; `None` when there are no more than that.
fn cut(range: TimeRange, order: Order, wanted: u64, extents: &[(TimeRange, u64)]) -> Option<i64> {
    let rows = |from: i64, to: i64| TimeRange::new(from, to).map_or(0, |part| rows_in(part, extents));
    let (start, end) = (range.start_unix_nano(), range.end_unix_nano());
    // A last slice not much larger than the one before is not worth a plan of its own.
    if rows(start, end) <= wanted.saturating_mul(2) {
        return None;
    }
    let near = |at: i64| match order {
        Order::Descending => rows(at, end),
        Order::Ascending => rows(start, at),
    };
    let (mut low, mut high) = (start, end);
    while high.abs_diff(low) > 1 {
        let middle = midpoint(low, high);
        // Both orders narrow to the nearest cut that still has enough.
        let enough = near(middle) >= wanted;
        match (order, enough) {
            (Order::Descending, true) | (Order::Ascending, false) => low = middle,
            _ => high = middle,
        }
    }
    let at = if order == Order::Descending { low } else { high };
    (start < at && at < end).then_some(at)
}

fn midpoint(low: i64, high: i64) -> i64 {
    low.wrapping_add((high.abs_diff(low) / 2).cast_signed())
}

fn rows_in(part: TimeRange, extents: &[(TimeRange, u64)]) -> u64 {
    let overlap = |extent: &(TimeRange, u64)| {
        let (range, rows) = extent;
        let start = range.start_unix_nano().max(part.start_unix_nano());
        let end = range.end_unix_nano().min(part.end_unix_nano());
        let shared = TimeRange::new(start, end)?;
        let rows = u128::from(*rows) * u128::from(shared.duration_nano()) / u128::from(range.duration_nano());
        u64::try_from(rows).ok()
    };
    extents.iter().filter_map(overlap).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(start, end).unwrap()
    }

    fn all(mut slices: Slices, found: usize) -> Vec<TimeRange> {
        let mut all = Vec::new();
        while let Some(slice) = slices.next() {
            all.push(slice);
            slices.found(found, 100);
        }
        all
    }

    #[test]
    fn few_rows_are_one_slice() {
        assert_eq!(all(Slices::new(Some(range(0, 100)), Order::Descending, vec![]), 1), [range(0, 100)]);
        let extents = vec![(range(0, 100), 70_000)];
        assert_eq!(all(Slices::new(Some(range(0, 100)), Order::Ascending, extents), 1), [range(0, 100)]);
        assert_eq!(all(Slices::new(None, Order::Ascending, vec![]), 1), []);
    }

    #[test]
    fn the_first_slice_is_small_and_at_the_wanted_end() {
        let extents = vec![(range(0, 2_000_000), 2_000_000)];
        let descending = Slices::new(Some(range(0, 3_000_000)), Order::Descending, extents.clone());
        // Half of what is wanted was found: the next slice is the least larger one.
        let slices = all(descending.clone(), 50);
        assert_eq!(slices[0], range(2_000_000 - (1 << 16), 3_000_000));
        assert_eq!(slices.len(), 3);
        // Nothing was found: the next slice is the rest.
        assert_eq!(all(descending, 0), [slices[0], range(0, 2_000_000 - (1 << 16))]);
        let ascending = all(Slices::new(Some(range(-5, 3_000_000)), Order::Ascending, extents), 0);
        assert_eq!(ascending[0], range(-5, 1 << 16));
    }

    proptest! {
        #[test]
        fn slices_cover_the_range_once(
            start in any::<i64>(), length in 1u64..u64::MAX, ascending in any::<bool>(), found in 0usize..100,
            extents in proptest::collection::vec((any::<i64>(), 1i64..i64::MAX, 0u64..10_000_000), 0..5)
        ) {
            let Some(whole) = TimeRange::new(start, start.saturating_add_unsigned(length)) else { return Ok(()) };
            let extents: Vec<_> = extents
                .into_iter()
                .filter_map(|(s, l, rows)| Some((TimeRange::new(s, s.saturating_add(l))?, rows)))
                .collect();
            let order = if ascending { Order::Ascending } else { Order::Descending };
            let mut slices = all(Slices::new(Some(whole), order, extents), found);
            if order == Order::Descending {
                slices.reverse();
            }
            prop_assert_eq!(slices[0].start_unix_nano(), whole.start_unix_nano());
            prop_assert_eq!(slices[slices.len() - 1].end_unix_nano(), whole.end_unix_nano());
            for pair in slices.windows(2) {
                prop_assert_eq!(pair[0].end_unix_nano(), pair[1].start_unix_nano());
            }
        }
    }
}
