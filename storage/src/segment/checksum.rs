//! Checksums of a segment file: nothing is handed out that was not checked.
//!
//! The file up to the checksum blob is cut into blocks of [`BLOCK_BYTES`]; the blob holds one crc32c for each. What
//! follows (the blob itself, page index, footer: the *tail*) is covered by one crc32c that stands in the footer's
//! key-value metadata. It is computed with its own eight hex digits read as zeros, and found by its marker, so that the
//! tail is checked before anything parses it.

use std::{fmt, ops::Range};

use crate::error::{Error, Result};

/// Bytes covered by one checksum.
pub(crate) const BLOCK_BYTES: u64 = 64 << 10;

/// Key-value metadata key of the tail's checksum.
pub(crate) const TAIL_KEY: &str = "rootline.tail";

/// What stands before the eight hex digits in the value of [`TAIL_KEY`].
const MARKER: &[u8] = b"rootline tail crc32c=";

/// Value of [`TAIL_KEY`] while the file is written; [`seal`] fills it in.
pub(crate) fn tail_placeholder() -> String {
    format!("{}00000000", String::from_utf8_lossy(MARKER))
}

/// Bytes of `path` at `offset` are not what was written.
pub(crate) fn damaged(path: &str, offset: u64, expected: impl fmt::Display, found: impl fmt::Display) -> Error {
    Error::corrupt(format!("{path} is damaged at byte {offset}: expected {expected}, found {found}"))
}

/// Computes the checksum blob of bytes as they pass.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// Bytes of the block that was begun, and their checksum.
    begun: (usize, u32),
    blob: Vec<u8>,
}

impl Blocks {
    pub(crate) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (here, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES as usize - self.begun.0));
            self.begun = (self.begun.0 + here.len(), crc32c::crc32c_append(self.begun.1, here));
            if self.begun.0 == BLOCK_BYTES as usize {
                self.end_block();
            }
            bytes = rest;
        }
    }

    /// The checksum blob of all that was added.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.begun.0 > 0 {
            self.end_block();
        }
        self.blob
    }

    fn end_block(&mut self) {
        let (_, checksum) = std::mem::take(&mut self.begun);
        self.blob.extend_from_slice(&checksum.to_le_bytes());
    }
}

/// Writes the tail's checksum into its placeholder.
pub(crate) fn seal(tail: &mut [u8]) -> Result<()> {
    let digits = digits(tail).ok_or_else(|| Error::invalid("a segment's footer has no tail checksum"))?;
    let digest = format!("{:08x}", crc32c::crc32c(tail));
    tail[digits].copy_from_slice(digest.as_bytes());
    Ok(())
}

/// Whether a tail is what was written. `offset` is its place in the file at `path`.
pub(crate) fn verify_tail(path: &str, offset: u64, tail: &[u8]) -> Result<()> {
    let Some((expected, found)) = tail_digests(tail) else {
        return Err(damaged(path, offset, "a tail checksum", "none"));
    };
    if expected == found { Ok(()) } else { Err(damaged(path, offset, expected, found)) }
}

/// The checksum that stands in a tail and the one that its bytes have, as hex digits; `None` when none stands there.
pub(crate) fn tail_digests(tail: &[u8]) -> Option<(String, String)> {
    let digits = digits(tail)?;
    let zeros = [b'0'; DIGITS];
    let digest = crc32c::crc32c(&tail[..digits.start]);
    let digest = crc32c::crc32c_append(digest, &zeros);
    let digest = crc32c::crc32c_append(digest, &tail[digits.end..]);
    Some((String::from_utf8_lossy(&tail[digits]).into_owned(), format!("{digest:08x}")))
}

const DIGITS: usize = 8;

/// Where the digits stand. The last marker counts: the metadata is written after everything that came from outside.
fn digits(tail: &[u8]) -> Option<Range<usize>> {
    let marker = tail.windows(MARKER.len()).rposition(|window| window == MARKER)?;
    let start = marker + MARKER.len();
    (start + DIGITS <= tail.len()).then_some(start..start + DIGITS)
}

/// Checks `bytes`, which begin at the block boundary `offset` and end at one or at the end of what is covered.
pub(crate) fn verify_blocks(path: &str, offset: u64, bytes: &[u8], checksums: &[u32]) -> Result<()> {
    let first = usize::try_from(offset / BLOCK_BYTES).unwrap_or(usize::MAX);
    for (i, block) in bytes.chunks(BLOCK_BYTES as usize).enumerate() {
        let at = offset + i as u64 * BLOCK_BYTES;
        let expected = checksums
            .get(first.saturating_add(i))
            .ok_or_else(|| damaged(path, at, "a checksum for this block", "none"))?;
        let found = crc32c::crc32c(block);
        if found != *expected {
            return Err(damaged(path, at, format!("{expected:08x}"), format!("{found:08x}")));
        }
    }
    Ok(())
}

/// Reads the checksum blob.
pub(crate) fn read_blocks(blob: &[u8]) -> Vec<u32> {
    blob.chunks_exact(4).map(|crc| u32::from_le_bytes([crc[0], crc[1], crc[2], crc[3]])).collect()
}

/// The blocks that hold `range`, as a byte range that ends at `covered` at the latest.
pub(crate) fn aligned(range: &Range<u64>, covered: u64) -> Range<u64> {
    let start = range.start / BLOCK_BYTES * BLOCK_BYTES;
    start..(range.end.div_ceil(BLOCK_BYTES) * BLOCK_BYTES).min(covered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn every_flipped_bit_of_a_tail_is_found() {
        let mut file = b"rows rows rows ".to_vec();
        let tail = file.len();
        file.extend_from_slice(b"index");
        file.extend_from_slice(tail_placeholder().as_bytes());
        file.extend_from_slice(b"footer");
        seal(&mut file[tail..]).unwrap();
        verify_tail("f", tail as u64, &file[tail..]).unwrap();
        for bit in 0..(file.len() - tail) * 8 {
            let mut damaged = file[tail..].to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify_tail("f", tail as u64, &damaged).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn a_damaged_block_is_named() {
        let mut bytes = vec![7; BLOCK_BYTES as usize * 2 + 10];
        let mut blocks = Blocks::default();
        bytes.chunks(1000).for_each(|piece| blocks.add(piece));
        let checksums = read_blocks(&blocks.finish());
        assert_eq!(checksums.len(), 3);
        verify_blocks("f", 0, &bytes, &checksums).unwrap();
        verify_blocks("f", BLOCK_BYTES * 2, &bytes[BLOCK_BYTES as usize * 2..], &checksums).unwrap();
        bytes[BLOCK_BYTES as usize + 1] = 8;
        let error = verify_blocks("f", 0, &bytes, &checksums).unwrap_err();
        assert!(error.to_string().starts_with("f is damaged at byte 65536: expected "), "{error}");
    }

    #[test]
    fn ranges_grow_to_whole_blocks() {
        assert_eq!(aligned(&(70_000..70_001), 200_000), 65_536..131_072);
        assert_eq!(aligned(&(0..200_000), 200_000), 0..200_000);
    }
}
