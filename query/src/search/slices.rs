//! Pure: in which pieces a time range is searched when only the first rows in time order are wanted.
//!
//! Segments are not sorted by time, so the newest hundred rows of a service could be anywhere in the range. A first small
//! slice at the wanted end usually has them all; the next is larger, the last is the rest.

use storage::model::TimeRange;

/// Rows in the first slice, in all; each later slice has so many times more.
const FIRST_SLICE_ROWS: u64 = 1 << 16;
const GROWTH: u64 = 16;

/// Which end of the time range comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Newest rows first.
    #[default]
    Descending,
    /// Oldest rows first.
    Ascending,
}

/// Slices of `range` without gap or overlap, in the order in which they are to be searched. `extents` are the time
/// ranges and row counts of what is stored; rows are taken to lie evenly in them.
pub(crate) fn slices(range: TimeRange, order: Order, extents: &[(TimeRange, u64)]) -> Vec<TimeRange> {
    let mut slices = Vec::new();
    let mut rest = range;
    let mut wanted = FIRST_SLICE_ROWS;
    loop {
        let (near, far) = match cut(rest, order, wanted, extents) {
            Some(at) => {
                let before = TimeRange::new(rest.start_unix_nano(), at);
                let after = TimeRange::new(at, rest.end_unix_nano());
                if order == Order::Descending { (after, before) } else { (before, after) }
            }
            None => (Some(rest), None),
        };
        slices.extend(near);
        match far {
            Some(far) => rest = far,
            None => return slices,
        }
        wanted = wanted.saturating_mul(GROWTH);
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

    #[test]
    fn few_rows_are_one_slice() {
        assert_eq!(slices(range(0, 100), Order::Descending, &[]), [range(0, 100)]);
        assert_eq!(slices(range(0, 100), Order::Ascending, &[(range(0, 100), 70_000)]), [range(0, 100)]);
    }

    #[test]
    fn the_first_slice_is_small_and_at_the_wanted_end() {
        let extents = [(range(0, 2_000_000), 2_000_000)];
        let descending = slices(range(0, 3_000_000), Order::Descending, &extents);
        assert_eq!(descending[0], range(2_000_000 - (1 << 16), 3_000_000));
        assert_eq!(descending.len(), 2);
        let ascending = slices(range(-5, 3_000_000), Order::Ascending, &extents);
        assert_eq!(ascending[0], range(-5, 1 << 16));
    }

    proptest! {
        #[test]
        fn slices_cover_the_range_once(
            start in any::<i64>(), length in 1u64..u64::MAX, ascending in any::<bool>(),
            extents in proptest::collection::vec((any::<i64>(), 1i64..i64::MAX, 0u64..10_000_000), 0..5)
        ) {
            let Some(all) = TimeRange::new(start, start.saturating_add_unsigned(length)) else { return Ok(()) };
            let extents: Vec<_> = extents
                .into_iter()
                .filter_map(|(s, l, rows)| Some((TimeRange::new(s, s.saturating_add(l))?, rows)))
                .collect();
            let order = if ascending { Order::Ascending } else { Order::Descending };
            let mut slices = slices(all, order, &extents);
            if order == Order::Descending {
                slices.reverse();
            }
            prop_assert_eq!(slices[0].start_unix_nano(), all.start_unix_nano());
            prop_assert_eq!(slices[slices.len() - 1].end_unix_nano(), all.end_unix_nano());
            for pair in slices.windows(2) {
                prop_assert_eq!(pair[0].end_unix_nano(), pair[1].start_unix_nano());
            }
        }
    }
}
