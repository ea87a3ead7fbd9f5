//! Which small segments to merge.
//!
//! Segments of one tenant, table and time bucket fall into tiers by size, each four times the one before. Enough
//! neighbours in time within one tier become one segment of a higher tier. A row is therefore rewritten once per tier,
//! a handful of times in its life, whatever the number of flushes.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use crate::segment::{SegmentId, SegmentMeta};

/// Segments of one tenant, table and time bucket that become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The segments to replace, oldest rows first. At least two.
    pub inputs: Vec<SegmentId>,
}

/// Segments smaller than this are all in the lowest tier.
const FIRST_TIER_BYTES: u64 = 1 << 20;

/// Most inputs of one merge: each holds some decoded rows in memory.
const MAX_INPUTS: usize = 64;

/// Most rows of one output: more would keep retention and other tables waiting too long.
const MAX_ROWS: u64 = 16 << 20;

/// Most that a merge holds of one input's file: the pages of a row group.
const ROW_GROUP_BYTES: u64 = 16 << 20;

/// The merges worth doing now: the first of each bucket, then the second of each, those of most inputs first. A segment
/// is in at most one of them.
pub fn merges(segments: &[SegmentMeta], settings: &config::Compaction) -> Vec<Merge> {
    let mut buckets: BTreeMap<_, Vec<&SegmentMeta>> = BTreeMap::new();
    for meta in segments {
        let bucket = (&meta.tenant, meta.table, meta.schema_version, meta.bucket_start_unix_nano);
        buckets.entry(bucket).or_default().push(meta);
    }
    let mut planned: Vec<(usize, Merge)> = Vec::new();
    for mut bucket in buckets.into_values() {
        bucket.sort_by_key(|meta| (meta.time_range.start_unix_nano(), meta.time_range.end_unix_nano(), &meta.id));
        planned.extend(bucket_merges(bucket, settings).into_iter().enumerate());
    }
    planned.sort_by_key(|(turn, merge)| (*turn, Reverse(merge.inputs.len())));
    planned.into_iter().map(|(_, merge)| merge).collect()
}

/// What to wait after a merge that read so many bytes, for merges to keep to their rate.
pub(crate) fn pause(read_bytes: u64, taken: Duration, settings: &config::Compaction) -> Duration {
    let rate = settings.max_bytes_per_second.as_u64();
    let least = if rate == 0 { Duration::ZERO } else { Duration::from_secs_f64(read_bytes as f64 / rate as f64) };
    least.saturating_sub(taken)
}

fn bucket_merges(mut segments: Vec<&SegmentMeta>, settings: &config::Compaction) -> Vec<Merge> {
    let limits = Limits::new(settings);
    let mut merges = Vec::new();
    let highest = segments.iter().map(|meta| tier(meta)).max().unwrap_or(0);
    for step in 0..=highest {
        // Smaller ones left over from the tiers below come along: they cost little.
        let small: Vec<&SegmentMeta> = segments.iter().copied().filter(|meta| tier(meta) <= step).collect();
        for group in limits.groups(&small) {
            let of_tier = group.iter().filter(|meta| tier(meta) == step).count();
            if of_tier >= settings.min_segments.max(2) || limits.is_full(group) {
                segments.retain(|meta| group.iter().all(|taken| taken.id != meta.id));
                merges.push(Merge { inputs: group.iter().map(|meta| meta.id.clone()).collect() });
            }
        }
    }
    merges
}

fn tier(meta: &SegmentMeta) -> u32 {
    (meta.file_bytes / FIRST_TIER_BYTES).checked_ilog2().map_or(0, |log| log / 2 + 1)
}

/// What one merge may take in.
#[derive(Clone, Copy, Debug)]
struct Limits {
    bytes: u64,
    rows: u64,
    /// Bytes of the inputs' files that are in memory at once.
    held: u64,
}

impl Limits {
    fn new(settings: &config::Compaction) -> Self {
        // The rest of the memory is for decoded rows, the row group being written and its indexes.
        let held = settings.memory.as_u64() / 3;
        Self { bytes: settings.target_size.as_u64(), rows: MAX_ROWS, held }
    }

    /// Neighbours as long as they fit into one output; groups of at least two.
    fn groups<'a, 'b>(&self, segments: &'b [&'a SegmentMeta]) -> Vec<&'b [&'a SegmentMeta]> {
        let mut groups = Vec::new();
        let mut start = 0;
        while start < segments.len() {
            let mut end = start + 1;
            while end < segments.len() && end - start < MAX_INPUTS && self.fit(&segments[start..=end]) {
                end += 1;
            }
            if end - start > 1 {
                groups.push(&segments[start..end]);
            }
            start = end;
        }
        groups
    }

    fn fit(&self, group: &[&SegmentMeta]) -> bool {
        let bytes: u64 = group.iter().map(|meta| meta.file_bytes).sum();
        let rows: u64 = group.iter().map(|meta| meta.row_count).sum();
        let held: u64 = group.iter().map(|meta| meta.file_bytes.min(ROW_GROUP_BYTES)).sum();
        bytes <= self.bytes && rows <= self.rows && held <= self.held
    }

    /// Whether a group fills an output more than half, by bytes or by rows, with no input that does so alone.
    fn is_full(&self, group: &[&SegmentMeta]) -> bool {
        let fills = |bytes: u64, rows: u64, parts: u64| bytes > self.bytes / parts || rows > self.rows / parts;
        let bytes = group.iter().map(|meta| meta.file_bytes).sum();
        let rows = group.iter().map(|meta| meta.row_count).sum();
        fills(bytes, rows, 2) && !group.iter().any(|meta| fills(meta.file_bytes, meta.row_count, 4))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Table, Tenant, TimeRange};

    fn settings() -> config::Compaction {
        config::Config::default().compaction
    }

    fn segment(id: usize, start: i64, bytes: u64) -> SegmentMeta {
        SegmentMeta {
            id: SegmentId::new(format!("{id:04}")),
            tenant: Tenant::default(),
            table: Table::Logs,
            path: String::new(),
            file_bytes: bytes,
            tail_bytes: 0,
            row_count: bytes / 60,
            time_range: TimeRange::spanning(start, start + 10),
            bucket_start_unix_nano: 0,
            schema_version: 1,
            trace_filter: None,
        }
    }

    fn inputs(merge: &Merge) -> Vec<&str> {
        merge.inputs.iter().map(SegmentId::as_str).collect()
    }

    #[test]
    fn neighbours_of_one_size_are_merged_oldest_first() {
        let segments: Vec<_> = (0..5).map(|i| segment(i, 100 - i as i64, 500_000)).collect();
        let merges = merges(&segments, &settings());
        assert_eq!(merges.len(), 1);
        assert_eq!(inputs(&merges[0]), ["0004", "0003", "0002", "0001", "0000"]);
    }

    #[test]
    fn few_small_ones_do_not_rewrite_a_large_one() {
        let mut segments: Vec<_> = (0..3).map(|i| segment(i, i as i64, 10_000)).collect();
        segments.push(segment(9, 9, 200 << 20));
        assert_eq!(merges(&segments, &settings()), []);
    }

    #[test]
    fn segments_of_many_short_rows_fill_an_output_by_rows() {
        let settings = settings();
        let rows = Limits::new(&settings).rows;
        let segments = |parts: u64| -> Vec<_> {
            let short = |i| SegmentMeta { row_count: rows / parts, ..segment(i, i as i64, 2 << 20) };
            (0..6).map(short).collect()
        };
        assert_eq!(merges(&segments(5), &settings).iter().map(|merge| merge.inputs.len()).collect::<Vec<_>>(), [5]);
        assert_eq!(merges(&segments(3), &settings), [], "each fills a third of an output");
        let three: Vec<_> = segments(5).into_iter().take(3).collect();
        assert_eq!(merges(&three, &settings).len(), 1, "fewer than min_segments, and more than half of an output");
    }

    #[test]
    fn merges_keep_to_their_rate() {
        let settings = |rate| config::Compaction { max_bytes_per_second: config::ByteSize::bytes(rate), ..settings() };
        let second = Duration::from_secs(1);
        assert_eq!(pause(100, second, &settings(20)), 4 * second);
        assert_eq!(pause(10, second, &settings(20)), Duration::ZERO);
        assert_eq!(pause(u64::MAX, second, &settings(0)), Duration::ZERO);
    }

    #[test]
    fn buckets_and_tables_are_never_mixed_and_take_turns() {
        let mut segments = Vec::new();
        for i in 0..8 {
            let mut meta = segment(i, i as i64, 1000);
            meta.bucket_start_unix_nano = (i % 2) as i64;
            segments.push(meta);
        }
        let merges = merges(&segments, &settings());
        assert_eq!(
            merges.iter().map(inputs).collect::<Vec<_>>(),
            [["0000", "0002", "0004", "0006"], ["0001", "0003", "0005", "0007"]]
        );
    }

    proptest! {
        #[test]
        fn merging_ends_with_few_segments_and_bounded_rewrites(sizes in prop::collection::vec(100u64..3_000_000, 1..300)) {
            let settings = settings();
            let total: u64 = sizes.iter().sum();
            let mut live: Vec<SegmentMeta> = Vec::new();
            let (mut next, mut rewritten) = (1000, 0);
            for (i, bytes) in sizes.iter().enumerate() {
                live.push(segment(i, i as i64, *bytes));
                for merge in merges(&live, &settings) {
                    let (gone, rest): (Vec<_>, Vec<_>) = live.into_iter().partition(|meta| merge.inputs.contains(&meta.id));
                    prop_assert_eq!(gone.len(), merge.inputs.len());
                    let bytes: u64 = gone.iter().map(|meta| meta.file_bytes).sum();
                    prop_assert!(bytes <= settings.target_size.as_u64());
                    rewritten += bytes;
                    live = rest;
                    live.push(segment(next, gone[0].time_range.start_unix_nano(), bytes));
                    next += 1;
                }
            }
            prop_assert!(live.len() <= 3 * 6 + 3, "{} segments", live.len());
            prop_assert!(rewritten <= total * 8, "{rewritten} of {total}");
        }
    }
}
