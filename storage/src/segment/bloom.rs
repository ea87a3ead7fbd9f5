//! Split-block bloom filters over 64-bit hashes: "surely not here" at about ten bits a value.
//!
//! A filter is a whole number of 32-byte blocks; a value sets one bit in each of the eight words of one block.
//! Source: Apache Parquet format, BloomFilter.md, whose salts these are. Unlike there, any number of blocks is allowed.

/// Bytes of one block.
pub(crate) const BLOCK_BYTES: usize = 32;

const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// Appends a filter of the distinct `hashes` to `out`; nothing at all when there are none.
pub(crate) fn write(hashes: &[u64], bits_per_value: usize, out: &mut Vec<u8>) {
    if hashes.is_empty() {
        return;
    }
    let start = out.len();
    out.resize(start + (hashes.len() * bits_per_value).div_ceil(BLOCK_BYTES * 8) * BLOCK_BYTES, 0);
    let filter = &mut out[start..];
    for hash in hashes {
        let block = block_of(*hash, filter.len());
        for (word, bytes) in filter[block..block + BLOCK_BYTES].chunks_exact_mut(4).enumerate() {
            let mask = mask_of(*hash, word).to_le_bytes();
            bytes.iter_mut().zip(mask).for_each(|(byte, bit)| *byte |= bit);
        }
    }
}

/// `false`: no value with this hash was written. A filter without blocks holds nothing.
pub(crate) fn may_contain(filter: &[u8], hash: u64) -> bool {
    if filter.len() < BLOCK_BYTES {
        return false;
    }
    let block = block_of(hash, filter.len());
    block_may_contain(&filter[block..block + BLOCK_BYTES], hash)
}

/// The same, of the one block that the hash falls into.
pub(super) fn block_may_contain(block: &[u8], hash: u64) -> bool {
    block.chunks_exact(4).enumerate().all(|(word, bytes)| {
        let mask = mask_of(hash, word);
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & mask == mask
    })
}

/// Where the block of this hash begins in a filter of that many bytes.
pub(super) fn block_of(hash: u64, filter_bytes: usize) -> usize {
    let blocks = (filter_bytes / BLOCK_BYTES) as u64;
    // Multiply and shift spreads the upper half of the hash over any number of blocks.
    (((hash >> 32) * blocks) >> 32) as usize * BLOCK_BYTES
}

fn mask_of(hash: u64, word: usize) -> u32 {
    1 << ((hash as u32).wrapping_mul(SALTS[word]) >> 27)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_never_missed(hashes in prop::collection::vec(any::<u64>(), 0..500)) {
            let mut filter = Vec::new();
            write(&hashes, 10, &mut filter);
            prop_assert!(hashes.iter().all(|hash| may_contain(&filter, *hash)));
        }
    }

    #[test]
    fn ten_bits_a_value_let_few_others_pass() {
        let hash = |i: u64| xxh3_64(&i.to_le_bytes());
        let mut filter = Vec::new();
        write(&(0..1_000).map(hash).collect::<Vec<_>>(), 10, &mut filter);
        let passed = (1_000..101_000).filter(|i| may_contain(&filter, hash(*i))).count();
        assert!(passed < 2_500, "{passed} of 100000");
        assert!(!may_contain(&[], hash(1)));
    }
}
