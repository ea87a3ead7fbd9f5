//! Which traces a segment may have rows of: one bloom filter over their ids.

use arrow::array::FixedSizeBinaryArray;
use xxhash_rust::xxh3::xxh3_64;

use super::bloom;

/// About one foreign trace in 250 passes.
const BITS_PER_TRACE: usize = 12;

/// Collects the ids of a segment's rows.
#[derive(Debug, Default)]
pub(super) struct TraceFilterWriter(Vec<u64>);

impl TraceFilterWriter {
    pub(super) fn add(&mut self, ids: &FixedSizeBinaryArray) {
        let mut last: Option<&[u8]> = None;
        for id in ids.iter().flatten() {
            if last != Some(id) {
                self.0.push(xxh3_64(id));
                last = Some(id);
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.shrink();
        let mut filter = Vec::new();
        bloom::write(&self.0, BITS_PER_TRACE, &mut filter);
        filter
    }

    fn shrink(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }
}

/// `false`: no row has this trace id.
pub(super) fn may_contain(filter: &[u8], trace_id: &[u8; 16]) -> bool {
    bloom::may_contain(filter, xxh3_64(trace_id))
}
