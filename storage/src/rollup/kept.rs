//! What segments keep of derived rows. A rare operation has a row for nearly every call; ids and digits that nobody reads
//! would then cost more than the counts. So old rows have longer steps, every failure has an example but only one call
//! in eight that went well, and durations have the digits that people look at.

use xxhash_rust::xxh3::xxh3_64;

use super::{DurationHistogram, step_start};

/// Length of a step of `span_metrics` and `service_edges` for rows older than `rollup.fine_age`.
pub const COARSE_STEP_NANO: i64 = 60_000_000_000;

/// One trace in this many is an example of calls that went well. Chosen by trace, so that all rows name the same ones.
const EXEMPLAR_SHARE: u64 = 8;
/// Rows of this many calls have an example in any case.
const EXEMPLAR_CALLS: u64 = 8;
/// Binary digits kept of sums: within 1/4,000 of what was added up.
const SUM_BITS: u32 = 12;
/// Binary digits kept of the longest duration: at most 1/500 too long.
const LONGEST_BITS: u32 = 10;

/// Start of the step under which a row of the step that begins at `start_unix_nano` is kept: its own, or the longer one
/// that lies before `fine_from_unix_nano` as a whole.
pub(crate) const fn kept_step(start_unix_nano: i64, fine_from_unix_nano: i64) -> i64 {
    let coarse = step_start(start_unix_nano, COARSE_STEP_NANO);
    if coarse.saturating_add(COARSE_STEP_NANO) <= fine_from_unix_nano { coarse } else { start_unix_nano }
}

/// The slowest call that a row names as an example.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exemplar {
    duration_nano: i64,
    trace: Option<[u8; 16]>,
}

impl Exemplar {
    /// Takes a slower call, or the first one.
    pub(super) fn offer(&mut self, duration_nano: i64, trace: Option<[u8; 16]>) {
        if trace.is_some() && (self.trace.is_none() || duration_nano >= self.duration_nano) {
            *self = Self { duration_nano, trace };
        }
    }

    /// Forgets it where a segment has no room for it.
    pub(super) fn thin(&mut self, calls: u64, has_failed: bool) {
        let is_kept =
            |trace: &[u8; 16]| has_failed || calls >= EXEMPLAR_CALLS || xxh3_64(trace).is_multiple_of(EXEMPLAR_SHARE);
        self.trace = self.trace.filter(is_kept);
    }

    /// Its trace.
    pub(super) const fn trace(&self) -> Option<&[u8; 16]> {
        self.trace.as_ref()
    }
}

/// Keeps [`SUM_BITS`] of a histogram's sum.
pub(super) fn round_sum(durations: &mut DurationHistogram) {
    let dropped = f64::MANTISSA_DIGITS - SUM_BITS;
    let half = 1_u64 << (dropped - 1);
    let bits = durations.sum_nano().to_bits().saturating_add(half) >> dropped << dropped;
    let rounded = f64::from_bits(bits);
    if rounded.is_finite() {
        durations.set_sum_nano(rounded);
    }
}

/// The next longer duration of [`LONGEST_BITS`].
pub(super) fn rounded_up(duration_nano: i64) -> i64 {
    let used = i64::BITS - duration_nano.max(0).leading_zeros();
    let dropped = used.saturating_sub(LONGEST_BITS);
    let step = 1_i64 << dropped;
    duration_nano.checked_add(step - 1).map_or(duration_nano, |above| above >> dropped << dropped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn only_whole_old_minutes_are_one_step() {
        let fine_from = 130 * SECOND;
        assert_eq!(kept_step(50 * SECOND, fine_from), 0);
        assert_eq!(kept_step(110 * SECOND, fine_from), 60 * SECOND);
        assert_eq!(kept_step(120 * SECOND, fine_from), 120 * SECOND);
        assert_eq!(kept_step(-10 * SECOND, fine_from), -60 * SECOND);
        assert_eq!(kept_step(50 * SECOND, i64::MIN), 50 * SECOND);
    }

    #[test]
    fn failures_and_every_eighth_trace_have_an_example() {
        let kept = |calls, has_failed| {
            let traces = (0..8_000_u128).map(u128::to_be_bytes);
            let exemplars = traces.map(|trace| {
                let mut exemplar = Exemplar::default();
                exemplar.offer(1, Some(trace));
                exemplar.thin(calls, has_failed);
                exemplar
            });
            exemplars.filter(|exemplar| exemplar.trace().is_some()).count()
        };
        assert_eq!(kept(1, true), 8_000);
        assert_eq!(kept(8, false), 8_000);
        assert!((800..1_200).contains(&kept(1, false)), "{}", kept(1, false));
    }

    #[test]
    fn the_slowest_example_stays() {
        let mut exemplar = Exemplar::default();
        exemplar.offer(5, Some([5; 16]));
        exemplar.offer(3, Some([3; 16]));
        exemplar.offer(9, None);
        assert_eq!(exemplar.trace(), Some(&[5; 16]));
        exemplar.offer(7, Some([7; 16]));
        assert_eq!(exemplar.trace(), Some(&[7; 16]));
    }

    proptest! {
        #[test]
        fn digits_are_lost_within_their_bound(nano in 0..i64::MAX) {
            let longest = rounded_up(nano);
            prop_assert!(longest >= nano);
            prop_assert!((longest - nano) as f64 <= nano as f64 / 500.0);
            prop_assert_eq!(rounded_up(longest), longest);
            let mut durations = DurationHistogram::default();
            durations.record(nano);
            round_sum(&mut durations);
            prop_assert!((durations.sum_nano() - nano as f64).abs() <= nano as f64 / 4_000.0);
        }
    }
}
