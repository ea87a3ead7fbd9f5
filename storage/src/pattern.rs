//! What a log line says, without what varies in it.
//!
//! A template is the text with every word that holds a digit, and every long hexadecimal word, replaced by one mark.
//! Lines of one template get one `pattern_id`; sorting by it puts like beside like, which is what compresses. The id is
//! a hash of the template, so equal templates of different segments have equal ids.

use xxhash_rust::xxh3::xxh3_64;

/// Stands for a masked word in a template.
pub const MASK: &str = "<*>";

/// Longer texts are told apart by their beginning only: what follows is mostly a stack trace or a document.
const MAX_BYTES: usize = 1024;

/// Shortest word of hexadecimal letters alone that counts as an id.
const MIN_HEX_BYTES: usize = 8;

/// The id of the template of `body`. `template` is scratch space.
pub fn pattern_id(body: &str, template: &mut Vec<u8>) -> u64 {
    template.clear();
    write_template(body, template);
    xxh3_64(template)
}

/// The template of `body`.
pub fn template(body: &str) -> String {
    let mut out = Vec::new();
    write_template(body, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn write_template(body: &str, out: &mut Vec<u8>) {
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
        assert_eq!(template("GET /cart/42 took 1.5ms from 10.0.0.1"), "GET /cart/<*> took <*> from <*>");
        assert_eq!(template("order 550e8400-e29b-41d4-abcd-446655440000 paid"), "order <*> paid");
        assert_eq!(template("commit deadbeefcafe by well-known user"), "commit <*> by well-known user");
        assert_eq!(template("订单 12 超时"), "订单 <*> 超时");
        assert_eq!(template(""), "");
    }

    #[test]
    fn equal_templates_have_equal_ids() {
        let mut scratch = Vec::new();
        assert_eq!(pattern_id("retry 1 of 3", &mut scratch), pattern_id("retry 2 of 5", &mut scratch));
        assert_ne!(pattern_id("retry 1 of 3", &mut scratch), pattern_id("retried 1 of 3", &mut scratch));
        let long = "é".repeat(5000);
        pattern_id(&long, &mut scratch);
    }
}
