//! What a word is, for the index and for the scan alike.
//!
//! A word is a maximal run of Unicode letters, digits and `_`, with letter case folded. Chinese, Japanese and Korean are
//! written without spaces, so each of their characters is a word of its own. Words have no length limit.

use std::borrow::Cow;

/// The words of `text` in order, case folded. Borrows where nothing had to be folded.
pub fn words(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut position = 0;
    std::iter::from_fn(move || {
        let word = next_word(text, &mut position)?;
        Some(if word.folded { Cow::Borrowed(word.text) } else { Cow::Owned(fold(word.text)) })
    })
}

/// Calls `visit` with each word, and whether it is *plain*: short and without a digit. Plain words are few in any
/// corpus and are indexed exactly; the others are mostly ids, endless in number. `buffer` saves allocations.
pub(super) fn visit_words(text: &str, buffer: &mut String, mut visit: impl FnMut(&str, bool)) {
    let mut position = 0;
    while let Some(word) = next_word(text, &mut position) {
        let folded: &str = if word.folded {
            word.text
        } else {
            buffer.clear();
            fold_into(word.text, buffer);
            buffer
        };
        visit(folded, !word.digit && folded.len() <= MAX_PLAIN_BYTES);
    }
}

/// Whether a folded word is plain; see [`visit_words`].
pub(super) fn is_plain(folded: &str) -> bool {
    folded.len() <= MAX_PLAIN_BYTES && !folded.chars().any(char::is_numeric)
}

/// Longer words are tokens and encoded data, not language.
const MAX_PLAIN_BYTES: usize = 48;

struct Found<'a> {
    text: &'a str,
    folded: bool,
    digit: bool,
}

const SEPARATOR: u8 = 0;
const LOWER: u8 = 1;
const UPPER: u8 = 2;
const DIGIT: u8 = 3;

/// Class of each ASCII byte; bytes above are looked up as characters.
const CLASS: [u8; 128] = {
    let mut class = [SEPARATOR; 128];
    let mut byte = 0;
    while byte < 128 {
        class[byte] = match byte as u8 {
            b'a'..=b'z' | b'_' => LOWER,
            b'A'..=b'Z' => UPPER,
            b'0'..=b'9' => DIGIT,
            _ => SEPARATOR,
        };
        byte += 1;
    }
    class
};

fn next_word<'a>(text: &'a str, position: &mut usize) -> Option<Found<'a>> {
    let bytes = text.as_bytes();
    let mut at = *position;
    let mut start = None;
    let (mut folded, mut digit) = (true, false);
    while let Some(&byte) = bytes.get(at) {
        if byte < 128 {
            match CLASS[usize::from(byte)] {
                SEPARATOR if start.is_some() => break,
                SEPARATOR => {
                    at += 1;
                    continue;
                }
                UPPER => folded = false,
                DIGIT => digit = true,
                _ => {}
            }
            start.get_or_insert(at);
            at += 1;
            continue;
        }
        let character = text[at..].chars().next()?;
        if is_ideograph(character) {
            if start.is_none() {
                *position = at + character.len_utf8();
                return Some(Found { text: &text[at..*position], folded: true, digit: false });
            }
            break;
        }
        if character.is_alphanumeric() {
            start.get_or_insert(at);
            folded = false;
            digit |= character.is_numeric();
        } else if start.is_some() {
            break;
        }
        at += character.len_utf8();
    }
    *position = at;
    start.map(|start| Found { text: &text[start..at], folded, digit })
}

fn fold(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    fold_into(word, &mut out);
    out
}

fn fold_into(word: &str, out: &mut String) {
    for character in word.chars() {
        if character.is_ascii() {
            out.push(character.to_ascii_lowercase());
        } else {
            // By way of upper case, so that letters that differ only in their lower forms meet: final sigma, long s.
            // Marks that folding splits off would end the word when it is read again.
            let folded = character.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
            out.extend(folded.filter(|character| character.is_alphanumeric()));
        }
    }
}

/// Characters of scripts written without spaces between words: Han, Kana, Hangul, Bopomofo.
fn is_ideograph(character: char) -> bool {
    matches!(u32::from(character),
        0x3005..=0x3007 | 0x3040..=0x30FA | 0x30FC..=0x312F | 0x3131..=0x318E | 0x31A0..=0x31BF | 0x31F0..=0x31FF
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF
        | 0x1B000..=0x1B16F | 0x20000..=0x323AF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        words(text).map(Cow::into_owned).collect()
    }

    #[test]
    fn words_are_runs_of_letters_digits_and_underscores() {
        assert_eq!(all("GET /api/v1/users?id=42 -> 200"), ["get", "api", "v1", "users", "id", "42", "200"]);
        assert_eq!(all("user_id=a-b"), ["user_id", "a", "b"]);
        assert_eq!(all(""), [""; 0]);
        assert_eq!(all("--- ..."), [""; 0]);
    }

    #[test]
    fn each_ideograph_is_a_word() {
        assert_eq!(all("订单12号 failed超时"), ["订", "单", "12", "号", "failed", "超", "时"]);
        assert_eq!(all("サーバー서버"), ["サ", "ー", "バ", "ー", "서", "버"]);
    }

    #[test]
    fn case_is_folded_beyond_ascii() {
        assert_eq!(all("ÉCOLE École éCOLE"), ["école"; 3]);
        assert_eq!(all("ΣΊΣΥΦΟΣ σίσυφος"), ["σίσυφοσ"; 2]);
        assert_eq!(all("STRASSE Straße"), ["strasse"; 2]);
    }

    #[test]
    fn folding_twice_changes_nothing_for_single_characters() {
        for character in (0..=0x10FFFF).filter_map(char::from_u32).filter(|c| c.is_alphanumeric()) {
            let once = fold(&character.to_string());
            assert_eq!(fold(&once), once, "{character:?}");
            assert_eq!(all(&once).len(), 1, "{character:?}");
        }
    }

    #[test]
    fn plain_words_have_no_digit_and_are_short() {
        let mut seen = Vec::new();
        visit_words("Order 7f3a ready", &mut String::new(), |word, plain| seen.push((word.to_owned(), plain)));
        assert_eq!(seen, [("order".to_owned(), true), ("7f3a".to_owned(), false), ("ready".to_owned(), true)]);
        assert!(seen.iter().all(|(word, plain)| is_plain(word) == *plain));
        assert!(!is_plain(&"x".repeat(49)));
    }
}
