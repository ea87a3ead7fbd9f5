//! Old rows go: which segments have expired, as a whole or in part (pure), and when a file that nobody lists any more may
//! be deleted.

mod rules;

use std::{sync::Arc, time::Duration};

use config::Age;

pub(crate) use self::rules::{ExpiredRows, Passed};
use crate::{
    model::Table,
    segment::{Segment, SegmentMeta},
};

/// What retention does with a segment.
#[derive(Debug)]
pub(crate) enum Due {
    /// Its rows stay.
    Nothing,
    /// All its rows are too old.
    Whole,
    /// Those that these rules say are too old.
    Rows(ExpiredRows),
}

/// What is due by now. A segment's rows are as old as its youngest one: it is looked at once for each age, not row by row.
pub(crate) fn due(meta: &SegmentMeta, settings: &config::Retention, now_unix_nano: i64) -> Due {
    let has_passed = |age: Age| match age {
        Age::Forever => false,
        Age::Limited(age) => {
            let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
            meta.time_range.end_unix_nano().saturating_add(age) <= now_unix_nano
        }
    };
    let rules = rules::of(meta.table, settings).map(|rule| (rule.clone(), has_passed(rule.keep))).collect();
    let rows = ExpiredRows::new(rules, has_passed(age(meta.table, settings)));
    match rows.passed().count() {
        0 => Due::Nothing,
        passed if passed == rows.passed().0.len() => Due::Whole,
        _ => Due::Rows(rows),
    }
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
    use crate::{
        model::{Tenant, TimeRange},
        segment::SegmentId,
    };

    const DAY: i64 = 86_400_000_000_000;

    fn meta(table: Table, newest_day: i64) -> SegmentMeta {
        SegmentMeta {
            id: SegmentId::new("a"),
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

    fn dues(settings: &config::Retention, segments: &[SegmentMeta], now: i64) -> Vec<&'static str> {
        let named = |meta| match due(meta, settings, now) {
            Due::Nothing => "nothing",
            Due::Whole => "whole",
            Due::Rows(_) => "rows",
        };
        segments.iter().map(named).collect()
    }

    #[test]
    fn a_segment_expires_with_its_youngest_row() {
        let settings = config::Config::default().retention;
        let segments = [meta(Table::Logs, 5), meta(Table::Logs, 11), meta(Table::Spans, 1), meta(Table::Metrics, 5)];
        assert_eq!(dues(&settings, &segments, 40 * DAY), ["whole", "nothing", "whole", "nothing"]);
        let forever = config::Retention { logs: Age::Forever, spans: Age::Forever, ..settings };
        assert_eq!(dues(&forever, &segments, 40 * DAY), ["nothing"; 4]);
        assert_eq!(dues(&forever, &segments, i64::MIN), ["nothing"; 4]);
    }

    #[test]
    fn rules_make_some_rows_go_earlier_or_later() {
        let rule = |table, days: u64| config::RetentionRule {
            table,
            keep: Age::Limited(Duration::from_secs(days * 86_400)),
            service: Some("a".to_owned()),
            metric: None,
            severity_below: None,
            attributes: std::collections::BTreeMap::new(),
        };
        let rules = vec![rule(config::RuleTable::Logs, 3), rule(config::RuleTable::Logs, 60)];
        let settings = config::Retention { rules, ..config::Config::default().retention };
        let segments = [meta(Table::Logs, 0), meta(Table::Spans, 0), meta(Table::LogPatterns, 0)];
        assert_eq!(dues(&settings, &segments, 3 * DAY), ["nothing"; 3]);
        assert_eq!(dues(&settings, &segments, 4 * DAY), ["rows", "nothing", "nothing"]);
        assert_eq!(dues(&settings, &segments, 31 * DAY), ["rows", "whole", "whole"]);
        assert_eq!(dues(&settings, &segments, 61 * DAY), ["whole"; 3]);
    }

    #[test]
    fn a_clock_that_was_set_is_not_trusted() {
        assert!(is_clock_trusted(1_000, 1_000 + 60_000_000_000));
        for jump in [10 * 365 * DAY, -10 * 365 * DAY, DAY] {
            assert!(!is_clock_trusted(1_000, 1_000 + jump), "{jump}");
        }
    }
}
