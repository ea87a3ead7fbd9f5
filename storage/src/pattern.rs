//! What a log line says, without what varies in it.
//!
//! First every word that holds a digit, and every long hexadecimal word, is replaced by one mark (`write_masked`). Then a
//! [`PatternMiner`] puts masked texts that differ in few words under one template. Lines of one template have one
//! `pattern_id`; sorting by it puts like beside like, which is what compresses.

mod drain;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

pub use self::drain::Drain;
use crate::error::Result;

/// Stands for a masked word in a template.
pub const MASK: &str = "<*>";

/// Longer texts are told apart by their beginning only: what follows is mostly a stack trace or a document.
const MAX_BYTES: usize = 1024;

/// Shortest word of hexadecimal letters alone that counts as an id.
const MIN_HEX_BYTES: usize = 8;

/// Puts masked texts under templates. Patterns are numbered by *place*, from 0; a place never changes its pattern, but a
/// pattern's template may become more general.
pub trait PatternMiner: Send + std::fmt::Debug {
    /// The place of a text's pattern, and whether the pattern is new or its template has changed.
    fn assign(&mut self, masked: &str) -> (u32, bool);

    /// `pattern_id` of the pattern at a place: a hash of the first text it had, the same after a restart.
    fn id(&self, place: u32) -> u64;

    /// Template of the pattern at a place.
    fn template(&self, place: u32) -> String;

    /// The patterns as bytes for the catalog.
    ///
    /// # Errors
    /// `Internal` when they cannot be written down.
    fn save(&self) -> Result<Bytes>;

    /// Puts the patterns of [`Self::save`] in the place of all others.
    ///
    /// # Errors
    /// `Corrupt` when these are not the bytes that were saved.
    fn load(&mut self, state: &[u8]) -> Result<()>;
}

/// Hash of a masked text: the id of the pattern that begins with it.
fn pattern_id(masked: &str) -> u64 {
    xxh3_64(masked.as_bytes())
}

/// The masked text of `body`.
pub fn masked(body: &str) -> String {
    let mut out = Vec::new();
    write_masked(body, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes the masked text of `body` to the end of `out`.
pub(crate) fn write_masked(body: &str, out: &mut Vec<u8>) {
    let bytes = &body.as_bytes()[..body.floor_char_boundary(MAX_BYTES)];
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        if !is_word(bytes, at) {
            at += 1;
            while at < bytes.len() && !is_word(bytes, at) {
                at += 1;
            }
            out.extend_from_slice(&bytes[start..at]);
            continue;
        }
        let (mut digit, mut hex) = (false, true);
        while at < bytes.len() && is_word(bytes, at) {
            digit |= bytes[at].is_ascii_digit();
            hex &= bytes[at].is_ascii_hexdigit() || bytes[at] == b'-';
            at += 1;
        }
        if digit || (hex && at - start >= MIN_HEX_BYTES) {
            out.extend_from_slice(MASK.as_bytes());
        } else {
            out.extend_from_slice(&bytes[start..at]);
        }
    }
}

/// Whether the byte belongs to a word. A dash or dot does between two of them, so that ids, dates, addresses and decimal
/// numbers are one word each.
fn is_word(bytes: &[u8], at: usize) -> bool {
    match bytes[at] {
        byte if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128 => true,
        b'-' => {
            at > 0 && bytes[at - 1].is_ascii_alphanumeric() && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
        }
        b'.' => at > 0 && bytes[at - 1].is_ascii_digit() && bytes.get(at + 1).is_some_and(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_masked() {
        assert_eq!(masked("GET /cart/42 took 1.5ms from 10.0.0.1"), "GET /cart/<*> took <*> from <*>");
        assert_eq!(masked("order 550e8400-e29b-41d4-abcd-446655440000 paid"), "order <*> paid");
        assert_eq!(masked("commit deadbeefcafe by well-known user"), "commit <*> by well-known user");
        assert_eq!(masked("订单 12 超时"), "订单 <*> 超时");
        assert_eq!(masked(""), "");
    }

    #[test]
    fn long_texts_are_told_apart_by_their_beginning() {
        assert!(masked(&"é".repeat(5000)).len() <= MAX_BYTES);
    }
}
