//! Pure: text of a log record -> what stays the same from record to record.

/// Longest template in characters.
const MAX_CHARS: usize = 160;

/// The text without what changes: times, ids, numbers, values.
///
/// A source location (`Class#12`, `file.rs:12`) names the statement that wrote the record. Where the text has one, the
/// words after it tell at most what the statement was given: the template is the location and the plain words up to the
/// first value.
pub(crate) fn template(body: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut located = false;
    for whole in
        body.split(|c: char| c.is_whitespace() || "[](){}<>,;\"'|=".contains(c)).filter(|word| !word.is_empty())
    {
        let word = whole.trim_matches(|c: char| ":.!?".contains(c));
        if is_location(word) {
            // What comes before a location is a time, a level, a thread.
            words.retain(|_| false);
            located = true;
            words.push(word.to_owned());
        } else if is_label(word) {
            continue;
        } else if located && (whole.ends_with(':') || varies(word)) {
            if words.len() > 1 {
                break;
            }
        } else if varies(word) {
            if words.last().is_none_or(|last| last != "<*>") {
                words.push("<*>".to_owned());
            }
        } else if !word.is_empty() {
            words.push(word.to_owned());
        }
        if words.len() >= if located { 6 } else { 16 } {
            break;
        }
    }
    words.join(" ").chars().take(MAX_CHARS).collect()
}

/// `a.b.Class#12`, `Class.java:12`, `file.go:12`: letters, then a separator and a line number.
fn is_location(word: &str) -> bool {
    let split = word.rsplit_once('#').or_else(|| word.rsplit_once(':').filter(|(file, _)| file.contains('.')));
    let Some((place, line)) = split else { return false };
    !line.is_empty()
        && line.len() <= 6
        && line.bytes().all(|b| b.is_ascii_digit())
        && place.len() >= 3
        && place.bytes().any(|b| b.is_ascii_alphabetic())
        && place.bytes().all(|b| b.is_ascii_alphanumeric() || b"._$/-".contains(&b))
        && !place.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

/// Names of the ids that a logger adds to each record.
fn is_label(word: &str) -> bool {
    let plain: String = word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    plain == "traceid" || plain == "spanid"
}

/// Anything with a digit, or too long to be a word.
fn varies(word: &str) -> bool {
    word.len() > 48 || word.bytes().any(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_left_out() {
        for (body, wanted) in [
            ("order 17 of user 4711 placed", "order <*> of user <*> placed"),
            ("connection to 10.0.0.7:5432 refused", "connection to <*> refused"),
            ("took 12ms [id=8e029ca3-5e08-4ba0-bbba-04cf45ef10fb]", "took <*> id <*>"),
            ("no numbers here", "no numbers here"),
            ("", ""),
        ] {
            assert_eq!(template(body), wanted, "{body}");
        }
    }

    #[test]
    fn a_source_location_is_the_template() {
        let first = template(
            "16:49:25.830 INFO  f.m.Basic#391 TraceID: e09186a3e8231432 SpanID: e9b4ba8e [find][By name][name: Fast]",
        );
        let second = template(
            "16:51:02.100 INFO  f.m.Basic#391 TraceID: aa9186a3e8231432 SpanID: 99b4ba8e [find][By name][name: Slow]",
        );
        assert_eq!(first, second);
        assert!(first.starts_with("f.m.Basic#391 find"), "{first}");
        assert!(template("main.go:42 cannot connect").starts_with("main.go:42 cannot"));
        assert_ne!(template("f.m.Basic#391 a"), template("f.m.Basic#392 a"));
    }

    #[test]
    fn any_text_is_bounded() {
        assert!(template(&"wort ".repeat(100_000)).chars().count() <= MAX_CHARS);
        assert!(template(&"é".repeat(10_000)).chars().count() <= MAX_CHARS);
    }
}
