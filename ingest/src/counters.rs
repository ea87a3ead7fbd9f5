//! What came in and what became of it, by signal: as plain numbers and as metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::{Signal, decode::Tally, outcome::Refusal};

/// Items since the start of the process. `received = accepted + rejected + duplicate`; items of requests that were
/// refused whole were never counted, as nobody could read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SignalCounters {
    /// Log records, spans or data points sent.
    pub received: u64,
    /// Stored.
    pub accepted: u64,
    /// Not stored, reported to the sender.
    pub rejected: u64,
    /// Stored before: part of a repeated body.
    pub duplicate: u64,
    /// Requests that were refused whole.
    pub refused_requests: u64,
}

/// [`SignalCounters`] of each signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Log records.
    pub logs: SignalCounters,
    /// Spans.
    pub spans: SignalCounters,
    /// Data points.
    pub metrics: SignalCounters,
}

/// The counters while they count.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    signals: [Counts; 3],
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    rejected: AtomicU64,
    duplicate: AtomicU64,
    refused_requests: AtomicU64,
}

impl Counting {
    /// A request that was answered with success.
    pub(crate) fn settled(&self, signal: Signal, item_count: u64, tally: &Tally, duplicate: bool) {
        let counts = &self.signals[signal as usize];
        let rejected = tally.rejected_item_count();
        let kept = item_count - rejected;
        let (accepted, duplicates) = if duplicate { (0, kept) } else { (kept, 0) };
        counts.accepted.fetch_add(accepted, Ordering::Relaxed);
        counts.rejected.fetch_add(rejected, Ordering::Relaxed);
        counts.duplicate.fetch_add(duplicates, Ordering::Relaxed);
        let name = signal.name();
        for (outcome, count) in
            [("received", item_count), ("accepted", accepted), ("rejected", rejected), ("duplicate", duplicates)]
        {
            metrics::counter!("rootline_ingest_items_total", "signal" => name, "outcome" => outcome).increment(count);
        }
        for rejected in tally.rejected() {
            metrics::counter!("rootline_ingest_rejected_items_total", "signal" => name, "reason" => rejected.reason)
                .increment(rejected.item_count);
        }
        for (adjustment, count) in tally.adjusted() {
            let reason = adjustment.reason();
            metrics::counter!("rootline_ingest_adjusted_total", "signal" => name, "reason" => reason).increment(count);
        }
    }

    /// A request that was refused whole.
    pub(crate) fn refused(&self, signal: Signal, refusal: &Refusal) {
        self.signals[signal as usize].refused_requests.fetch_add(1, Ordering::Relaxed);
        let (name, reason) = (signal.name(), refusal.reason());
        metrics::counter!("rootline_ingest_refused_requests_total", "signal" => name, "reason" => reason).increment(1);
    }

    /// Bytes of a request's message, as it came and inflated.
    pub(crate) fn bytes(signal: Signal, received: usize, inflated: usize) {
        let name = signal.name();
        metrics::counter!("rootline_ingest_bytes_total", "signal" => name, "stage" => "received")
            .increment(received as u64);
        metrics::counter!("rootline_ingest_bytes_total", "signal" => name, "stage" => "inflated")
            .increment(inflated as u64);
    }

    pub(crate) fn read(&self) -> Counters {
        let [logs, spans, metrics] = Signal::ALL.map(|signal| {
            let counts = &self.signals[signal as usize];
            let [accepted, rejected, duplicate, refused_requests] =
                [&counts.accepted, &counts.rejected, &counts.duplicate, &counts.refused_requests]
                    .map(|count| count.load(Ordering::Relaxed));
            SignalCounters {
                received: accepted + rejected + duplicate,
                accepted,
                rejected,
                duplicate,
                refused_requests,
            }
        });
        Counters { logs, spans, metrics }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Rejection;

    #[test]
    fn items_are_counted_by_outcome_and_reason() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let counting = Counting::default();
        let mut tally = Tally::default();
        tally.reject(&Rejection::InvalidTraceId { byte_count: 0 }, 2);
        tally.reject(&Rejection::InvalidSpanId { byte_count: 7 }, 1);
        metrics::with_local_recorder(&recorder, || {
            counting.settled(Signal::Spans, 10, &tally, false);
            counting.settled(Signal::Spans, 10, &tally, true);
            counting.refused(Signal::Spans, &Refusal::Malformed("no".to_owned()));
        });
        let expected = SignalCounters { received: 20, accepted: 7, rejected: 6, duplicate: 7, refused_requests: 1 };
        assert_eq!(counting.read(), Counters { spans: expected, ..Counters::default() });
        let text = recorder.handle().render();
        for line in [
            r#"rootline_ingest_items_total{signal="spans",outcome="received"} 20"#,
            r#"rootline_ingest_items_total{signal="spans",outcome="accepted"} 7"#,
            r#"rootline_ingest_items_total{signal="spans",outcome="rejected"} 6"#,
            r#"rootline_ingest_items_total{signal="spans",outcome="duplicate"} 7"#,
            r#"rootline_ingest_rejected_items_total{signal="spans",reason="invalid_trace_id"} 4"#,
            r#"rootline_ingest_rejected_items_total{signal="spans",reason="invalid_span_id"} 2"#,
            r#"rootline_ingest_refused_requests_total{signal="spans",reason="malformed"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
