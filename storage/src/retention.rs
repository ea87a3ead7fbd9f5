//! Old rows go: which segments have expired (pure), and when a file that nobody lists any more may be deleted.

use std::{sync::Arc, time::Duration};

use config::Age;

use crate::{
    model::Table,
    segment::{Segment, SegmentId, SegmentMeta},
};

/// Live segments whose youngest row is older than its table's age.
pub(crate) fn expired_segments<'a>(
    segments: impl IntoIterator<Item = &'a SegmentMeta>,
    settings: &config::Retention,
    now_unix_nano: i64,
) -> Vec<SegmentId> {
    segments
        .into_iter()
        .filter(|meta| match age(meta.table, settings) {
            Age::Forever => false,
            Age::Limited(age) => {
                let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
                meta.time_range.end_unix_nano().saturating_add(age) <= now_unix_nano
            }
        })
        .map(|meta| meta.id.clone())
        .collect()
}

const fn age(table: Table, settings: &config::Retention) -> Age {
    match table {
        Table::Logs => settings.logs,
        Table::Spans => settings.spans,
        Table::LogPatterns => settings.logs,
        // Counts are small, and comparing with last year is what they are for.
        Table::Metrics
        | Table::Histograms
        | Table::ExponentialHistograms
        | Table::Summaries
        | Table::Exemplars
        | Table::SpanMetrics
        | Table::ServiceEdges
        | Table::Changes => settings.metrics,
    }
}

/// A wall clock that has moved this much against the monotonic one was set by somebody.
const MAX_CLOCK_STEP_NANO: u64 = 3_600_000_000_000;

/// Whether the wall clock is the one that the process started with. When it jumped nobody knows how old rows are, and
/// deleting is the one thing that cannot be taken back.
pub(crate) const fn is_clock_trusted(offset_at_start_nano: i64, offset_now_nano: i64) -> bool {
    offset_now_nano.abs_diff(offset_at_start_nano) <= MAX_CLOCK_STEP_NANO
}

/// A segment that is not live any more. Its file goes after its last reader and the grace time.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) segment: Arc<Segment>,
    pub(crate) since: Duration,
}

impl Retired {
    /// Whether nobody reads it, and nobody outside can still be about to.
    pub(crate) fn may_be_deleted(&self, now: Duration, grace: Duration) -> bool {
        Arc::strong_count(&self.segment) == 1 && now.saturating_sub(self.since) >= grace
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Tenant, TimeRange};

    const DAY: i64 = 86_400_000_000_000;

    fn meta(id: &str, table: Table, newest_day: i64) -> SegmentMeta {
        SegmentMeta {
            id: SegmentId::new(id),
            tenant: Tenant::default(),
            table,
            path: String::new(),
            file_bytes: 1,
            tail_bytes: 1,
            row_count: 1,
            time_range: TimeRange::spanning(0, newest_day * DAY),
            bucket_start_unix_nano: 0,
            schema_version: 1,
            trace_filter: None,
        }
    }

    #[test]
    fn a_segment_expires_with_its_youngest_row() {
        let settings = config::Config::default().retention;
        let segments = [
            meta("old log", Table::Logs, 5),
            meta("young log", Table::Logs, 11),
            meta("old span", Table::Spans, 1),
            meta("metric", Table::Metrics, 5),
        ];
        let expired = expired_segments(&segments, &settings, 40 * DAY);
        assert_eq!(expired, [SegmentId::new("old log"), SegmentId::new("old span")]);
        let forever = config::Retention { logs: Age::Forever, spans: Age::Forever, ..settings };
        assert!(expired_segments(&segments, &forever, 40 * DAY).is_empty());
        assert!(expired_segments(&segments, &forever, i64::MIN).is_empty());
    }

    #[test]
    fn a_clock_that_was_set_is_not_trusted() {
        assert!(is_clock_trusted(1_000, 1_000 + 60_000_000_000));
        for jump in [10 * 365 * DAY, -10 * 365 * DAY, DAY] {
            assert!(!is_clock_trusted(1_000, 1_000 + jump), "{jump}");
        }
    }
}
