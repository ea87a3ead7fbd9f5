//! Which small segments to merge.

use crate::segment::{SegmentId, SegmentMeta};

/// Segments of one tenant, table and time bucket that become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The segments to replace, oldest rows first. At least two.
    pub inputs: Vec<SegmentId>,
}

/// The merges worth doing now, the most useful first. A segment is in at most one of them.
pub fn merges(segments: &[SegmentMeta], settings: &config::Compaction) -> Vec<Merge> {
    let _ = (segments, settings);
    Vec::new()
}
