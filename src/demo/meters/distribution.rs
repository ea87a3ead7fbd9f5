//! Durations, kept so that every kind of instrument can be read from them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Histogram,
        HistogramDataPoint, Summary, SummaryDataPoint, exponential_histogram_data_point::Buckets, metric,
        summary_data_point::ValueAtQuantile,
    },
};

use crate::demo::traffic::Call;

/// Bounds that the semantic conventions advise for durations in seconds.
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Eight buckets for each doubling.
const SCALE: i32 = 3;

/// Durations in seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Distribution {
    pub(super) count: u64,
    pub(super) sum: f64,
    min: f64,
    max: f64,
    buckets: [u64; BOUNDS.len() + 1],
    exponential: BTreeMap<i32, u64>,
    pub(super) exemplar: Option<Call>,
}

impl Distribution {
    pub(super) fn add(&mut self, seconds: f64) {
        self.min = if self.count == 0 { seconds } else { self.min.min(seconds) };
        self.max = self.max.max(seconds);
        self.count += 1;
        self.sum += seconds;
        self.buckets[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        *self.exponential.entry(bucket_index(seconds)).or_default() += 1;
    }

    pub(super) fn histogram(
        &self,
        attributes: Vec<KeyValue>,
        (start, now): (u64, u64),
        exemplars: Vec<Exemplar>,
        temporality: AggregationTemporality,
    ) -> metric::Data {
        metric::Data::Histogram(Histogram {
            aggregation_temporality: temporality as i32,
            data_points: vec![HistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: now,
                count: self.count,
                sum: Some(self.sum),
                min: Some(self.min),
                max: Some(self.max),
                bucket_counts: self.buckets.to_vec(),
                explicit_bounds: BOUNDS.to_vec(),
                exemplars,
                ..Default::default()
            }],
        })
    }

    pub(super) fn exponential(
        &self,
        attributes: Vec<KeyValue>,
        (start, now): (u64, u64),
        exemplars: Vec<Exemplar>,
    ) -> metric::Data {
        let offset = self.exponential.keys().next().copied().unwrap_or_default();
        let last = self.exponential.keys().next_back().copied().unwrap_or_default();
        let bucket_counts = (offset..=last).map(|i| self.exponential.get(&i).copied().unwrap_or_default()).collect();
        metric::Data::ExponentialHistogram(ExponentialHistogram {
            aggregation_temporality: AggregationTemporality::Delta as i32,
            data_points: vec![ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: now,
                count: self.count,
                sum: Some(self.sum),
                min: Some(self.min),
                max: Some(self.max),
                scale: SCALE,
                positive: Some(Buckets { offset, bucket_counts }),
                exemplars,
                ..Default::default()
            }],
        })
    }

    pub(super) fn summary(&self, attributes: Vec<KeyValue>, (start, now): (u64, u64)) -> metric::Data {
        let quantile_values = [0.5, 0.95, 0.99]
            .into_iter()
            .map(|quantile| ValueAtQuantile { quantile, value: self.quantile(quantile) })
            .collect();
        metric::Data::Summary(Summary {
            data_points: vec![SummaryDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: now,
                count: self.count,
                sum: self.sum,
                quantile_values,
                ..Default::default()
            }],
        })
    }

    /// Upper bound of the exponential bucket in which the quantile lies.
    fn quantile(&self, quantile: f64) -> f64 {
        let wanted = (self.count as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (index, count) in &self.exponential {
            seen += count;
            if seen >= wanted {
                return (f64::from(index + 1) / f64::from(1 << SCALE)).exp2();
            }
        }
        self.max
    }
}

/// Index of the bucket `(base^index, base^(index + 1)]` with `base = 2^(2^-SCALE)`.
/// Source: OpenTelemetry metrics data model, "Exponential buckets".
fn bucket_index(value: f64) -> i32 {
    (value.max(f64::MIN_POSITIVE).log2() * f64::from(1 << SCALE)).ceil() as i32 - 1
}
