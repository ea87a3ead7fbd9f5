//! Which traces a segment may have rows of: one bloom filter over their ids, in pages with a checksum each, so that a
//! lookup reads one page of each file and nothing else.

use std::ops::Range;

use arrow::array::FixedSizeBinaryArray;
use xxhash_rust::xxh3::xxh3_64;

use super::bloom;

/// About one foreign trace in 250 passes.
const BITS_PER_TRACE: usize = 12;
/// Bytes of filter in a page.
const PAGE_FILTER_BYTES: usize = 127 * bloom::BLOCK_BYTES;
const CHECKSUM_BYTES: usize = 4;
/// Bytes of all pages but the last.
const PAGE_BYTES: usize = PAGE_FILTER_BYTES + CHECKSUM_BYTES;

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

    /// The pages; nothing when no row has a trace.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.sort_unstable();
        self.0.dedup();
        let mut filter = Vec::new();
        bloom::write(&self.0, BITS_PER_TRACE, &mut filter);
        let mut pages = Vec::with_capacity(filter.len() + filter.len().div_ceil(PAGE_FILTER_BYTES) * CHECKSUM_BYTES);
        for (number, page) in filter.chunks(PAGE_FILTER_BYTES).enumerate() {
            pages.extend_from_slice(page);
            pages.extend_from_slice(&checksum(number, page));
        }
        pages
    }
}

/// Where in a filter of `filter_bytes` the page of this trace is; `None` when no row has a trace.
pub(super) fn page(filter_bytes: u64, trace_id: &[u8; 16]) -> Option<Range<u64>> {
    let (number, _) = place(filter_bytes, trace_id)?;
    let start = (number * PAGE_BYTES) as u64;
    Some(start..filter_bytes.min(start + PAGE_BYTES as u64))
}

/// `Some(false)`: no row has this trace id; `None`: the page is not what was written.
pub(super) fn may_contain(page: &[u8], filter_bytes: u64, trace_id: &[u8; 16]) -> Option<bool> {
    let Some((number, block)) = place(filter_bytes, trace_id) else { return Some(false) };
    let (filter, expected) = page.split_last_chunk::<CHECKSUM_BYTES>()?;
    let block = filter.get(block..block + bloom::BLOCK_BYTES)?;
    (checksum(number, filter) == *expected).then(|| bloom::block_may_contain(block, xxh3_64(trace_id)))
}

/// The same for a filter of format 1, which has no pages.
pub(super) fn may_contain_1(filter: &[u8], trace_id: &[u8; 16]) -> bool {
    bloom::may_contain(filter, xxh3_64(trace_id))
}

/// Number of a trace's page, and where its block begins in it.
fn place(filter_bytes: u64, trace_id: &[u8; 16]) -> Option<(usize, usize)> {
    let bytes = usize::try_from(filter_bytes).ok()?;
    let last = (bytes % PAGE_BYTES).saturating_sub(CHECKSUM_BYTES);
    let filter_bytes = bytes / PAGE_BYTES * PAGE_FILTER_BYTES + last;
    if filter_bytes < bloom::BLOCK_BYTES {
        return None;
    }
    let block = bloom::block_of(xxh3_64(trace_id), filter_bytes);
    Some((block / PAGE_FILTER_BYTES, block % PAGE_FILTER_BYTES))
}

/// Knows its place: a page of elsewhere is no page of this filter.
fn checksum(number: usize, page: &[u8]) -> [u8; CHECKSUM_BYTES] {
    crc32c::crc32c_append(crc32c::crc32c(&(number as u64).to_le_bytes()), page).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use arrow::array::FixedSizeBinaryBuilder;

    use super::*;

    fn id(n: u32) -> [u8; 16] {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        id
    }

    fn filter(traces: u32) -> Vec<u8> {
        let mut ids = FixedSizeBinaryBuilder::new(16);
        (0..traces).for_each(|n| ids.append_value(id(n)).unwrap());
        let mut writer = TraceFilterWriter::default();
        writer.add(&ids.finish());
        writer.finish()
    }

    fn found(filter: &[u8], n: u32) -> Option<bool> {
        let Some(page) = page(filter.len() as u64, &id(n)) else { return Some(false) };
        may_contain(&filter[page.start as usize..page.end as usize], filter.len() as u64, &id(n))
    }

    #[test]
    fn a_page_tells_of_its_traces_whatever_the_number_of_pages() {
        for traces in [0, 1, 100, 2_700, 2_720, 5_000, 50_000] {
            let filter = filter(traces);
            assert!((0..traces).all(|n| found(&filter, n) == Some(true)), "{traces}");
            let foreign = (1_000_000..1_010_000).filter(|n| found(&filter, *n) == Some(true)).count();
            assert!(foreign < 120, "{traces}: {foreign} of 10000");
        }
    }

    #[test]
    fn a_damaged_or_displaced_page_tells_nothing() {
        let mut filter = filter(10_000);
        let second = filter[PAGE_BYTES..2 * PAGE_BYTES].to_vec();
        filter[..PAGE_BYTES].copy_from_slice(&second);
        let of_first = (0..).find(|n| page(filter.len() as u64, &id(*n)).is_some_and(|page| page.start == 0)).unwrap();
        assert_eq!(found(&filter, of_first), None);
        assert_eq!(may_contain(&[], filter.len() as u64, &id(1)), None);
    }
}
