//! How long things took, counted on a logarithmic scale.

use std::cmp::Ordering;

/// Scale of every duration histogram, as OpenTelemetry's exponential histograms have it: `2^SCALE` buckets a doubling.
pub const SCALE: i32 = 4;

/// Bucket of a duration: bucket `i` holds durations from `2^(i / 16)` up to, not including, `2^((i + 1) / 16)` nanoseconds,
/// so a bucket's middle is within 2.2 % of each of them. Durations below a nanosecond count as one.
pub fn bucket_index(duration_nano: i64) -> i32 {
    ((duration_nano.max(1) as f64).log2() * f64::from(1 << SCALE)).floor() as i32
}

/// Lower bound of a bucket in nanoseconds.
pub fn bucket_start_nano(index: i32) -> f64 {
    (f64::from(index) / f64::from(1 << SCALE)).exp2()
}

/// A sparse exponential histogram of durations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DurationHistogram {
    /// Index and count, by index.
    buckets: Vec<(i32, u64)>,
    sum_nano: f64,
}

impl DurationHistogram {
    /// Counts one duration.
    pub fn record(&mut self, duration_nano: i64) {
        self.sum_nano += duration_nano as f64;
        self.add(bucket_index(duration_nano), 1);
    }

    /// Adds another's counts: buckets by index, and their sum.
    pub fn merge(&mut self, buckets: impl IntoIterator<Item = (i32, u64)>, sum_nano: f64) {
        self.sum_nano += sum_nano;
        buckets.into_iter().for_each(|(index, count)| self.add(index, count));
    }

    fn add(&mut self, index: i32, count: u64) {
        // Durations of one operation lie close together: the newest bucket is mostly near the end.
        match self.buckets.binary_search_by(|(known, _)| known.cmp(&index)) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (index, count)),
        }
    }

    /// Index and count of each bucket that is not empty, by index.
    pub fn buckets(&self) -> &[(i32, u64)] {
        &self.buckets
    }

    /// Sum of all durations.
    pub const fn sum_nano(&self) -> f64 {
        self.sum_nano
    }

    /// Says another sum of the same durations.
    pub(super) const fn set_sum_nano(&mut self, sum_nano: f64) {
        self.sum_nano = sum_nano;
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// How many durations were longer than `threshold_nano`. The bucket that holds the threshold is split where the
    /// threshold lies on its logarithmic scale.
    pub fn count_above(&self, threshold_nano: f64) -> f64 {
        let place = threshold_nano.max(1.0).log2() * f64::from(1 << SCALE);
        let above = |(index, count): &(i32, u64)| match f64::from(*index).partial_cmp(&place.floor()) {
            Some(Ordering::Greater) => *count as f64,
            Some(Ordering::Equal) => *count as f64 * (1.0 - place.fract()),
            _ => 0.0,
        };
        self.buckets.iter().map(above).sum()
    }

    /// Duration that the share `q` did not exceed, within about 2 %; `None` without durations.
    pub fn quantile_nano(&self, q: f64) -> Option<f64> {
        let wanted = q * self.count() as f64;
        let mut below = 0.0;
        for (index, count) in &self.buckets {
            let count = *count as f64;
            if below + count >= wanted {
                // Evenly spread inside the bucket, on its logarithmic scale.
                let inside = ((wanted - below) / count).clamp(0.0, 1.0);
                return Some(((f64::from(*index) + inside) / f64::from(1 << SCALE)).exp2());
            }
            below += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_its_bounds_say() {
        for nano in [0, 1, 2, 3, 1_000, 999_999_999, i64::MAX, -5] {
            let index = bucket_index(nano);
            let nano = nano.max(1) as f64;
            assert!(bucket_start_nano(index) <= nano * (1.0 + 1e-12), "{nano}");
            assert!(nano <= bucket_start_nano(index + 1) * (1.0 + 1e-12), "{nano}");
        }
    }

    #[test]
    fn quantiles_and_thresholds_are_within_a_bucket() {
        let mut histogram = DurationHistogram::default();
        (1..=1000).for_each(|millis| histogram.record(millis * 1_000_000));
        assert_eq!(histogram.count(), 1000);
        for (q, expected) in [(0.5, 500e6), (0.95, 950e6), (0.99, 990e6)] {
            let found = histogram.quantile_nano(q).unwrap();
            assert!((found / expected - 1.0).abs() < 0.03, "{q}: {found}");
        }
        let above = histogram.count_above(300e6);
        assert!((above - 700.0).abs() < 7.0, "{above}");
        assert!((histogram.count_above(0.0) - 1000.0).abs() < 1e-9);
        assert!(histogram.count_above(2e9).abs() < 1e-9);
        assert_eq!(DurationHistogram::default().quantile_nano(0.5), None);
    }

    #[test]
    fn merging_is_adding() {
        let (mut whole, mut left, mut right) = <(DurationHistogram, DurationHistogram, DurationHistogram)>::default();
        for nano in [5, 70, 900, 5, 1 << 40] {
            whole.record(nano);
            if nano < 100 { left.record(nano) } else { right.record(nano) }
        }
        left.merge(right.buckets().to_vec(), right.sum_nano());
        assert_eq!(left, whole);
    }
}
