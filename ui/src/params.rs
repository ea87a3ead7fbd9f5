//! Query parameters and bodies -> typed values, with a problem that says what was expected.

use std::time::Duration;

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use jiff::Timestamp;
use query::TimeRange;

use crate::{
    error::{Answer, Problem},
    wire::TimeText,
};

/// Parameters of the query string; an unknown or unreadable one is a problem.
#[derive(Clone, Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: serde::de::DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Problem::invalid(rejection.body_text())),
        }
    }
}

/// Window of a question that names none.
const DEFAULT_WINDOW: &str = "now-1h";

/// A time as programs write it: epoch milliseconds, RFC 3339, `now`, `now-1h30m`, `now+5m`.
pub(crate) fn time_unix_nano(text: &str, now_unix_nano: i64) -> Answer<i64> {
    let text = text.trim();
    if let Some(offset) = text.strip_prefix("now") {
        return relative(offset, now_unix_nano).ok_or_else(|| bad_time(text));
    }
    if let Ok(millis) = text.parse::<i64>() {
        return millis.checked_mul(1_000_000).ok_or_else(|| bad_time(text));
    }
    let time: Timestamp = text.parse().map_err(|_| bad_time(text))?;
    i64::try_from(time.as_nanosecond()).map_err(|_| bad_time(text))
}

fn relative(offset: &str, now_unix_nano: i64) -> Option<i64> {
    if offset.is_empty() {
        return Some(now_unix_nano);
    }
    let duration = humantime::parse_duration(offset.get(1..)?).ok()?;
    let nanos = i64::try_from(duration.as_nanos()).ok()?;
    match offset.as_bytes()[0] {
        b'-' => now_unix_nano.checked_sub(nanos),
        // In a query string, + is a space.
        b'+' | b' ' => now_unix_nano.checked_add(nanos),
        _ => None,
    }
}

fn bad_time(text: &str) -> Problem {
    Problem::invalid(format!("{text:?} is no time"))
        .with_hint("write milliseconds since 1970, RFC 3339 (2026-11-23T08:00:00Z), or now-1h")
}

/// A time in a JSON body.
pub(crate) fn instant(time: &TimeText, now_unix_nano: i64) -> Answer<i64> {
    match time {
        TimeText::Millis(millis) => millis.checked_mul(1_000_000).ok_or_else(|| bad_time(&millis.to_string())),
        TimeText::Text(text) => time_unix_nano(text, now_unix_nano),
    }
}

/// `[from, to)`; the last hour where both are absent.
pub(crate) fn range(from: Option<&str>, to: Option<&str>, now_unix_nano: i64) -> Answer<TimeRange> {
    let end = time_unix_nano(to.unwrap_or("now"), now_unix_nano)?;
    let start = match from {
        Some(from) => time_unix_nano(from, now_unix_nano)?,
        // An hour before the end, not before now.
        None => time_unix_nano(DEFAULT_WINDOW, end)?,
    };
    TimeRange::new(start, end).ok_or_else(|| Problem::invalid("`to` is not after `from`"))
}

/// `[from, to)`; `None` where both are absent, open where one is.
pub(crate) fn optional_range(
    from: Option<&TimeText>,
    to: Option<&TimeText>,
    now_unix_nano: i64,
) -> Answer<Option<TimeRange>> {
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    let time = |text: Option<&TimeText>, open: i64| text.map_or(Ok(open), |text| instant(text, now_unix_nano));
    TimeRange::new(time(from, i64::MIN)?, time(to, i64::MAX)?)
        .map(Some)
        .ok_or_else(|| Problem::invalid("`to` is not after `from`"))
}

/// `"30s"`
pub(crate) fn duration(text: &str) -> Answer<Duration> {
    humantime::parse_duration(text)
        .map_err(|error| Problem::invalid(format!("{text:?} is no duration: {error}")).with_hint("write 30s or 500ms"))
}

/// A number of rows within `1..=max`; numbers above are cut to `max`.
pub(crate) fn limit(text: Option<&str>, default: usize, max: usize) -> Answer<usize> {
    let Some(text) = text else { return Ok(default.min(max)) };
    match text.parse::<u64>() {
        Ok(limit @ 1..) => Ok(usize::try_from(limit).unwrap_or(usize::MAX).min(max)),
        _ => Err(Problem::invalid(format!("limit {text:?} is no number from 1"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000_000_000_000;

    #[test]
    fn times_are_read_in_each_form() {
        let time = |text| time_unix_nano(text, NOW).map_err(|_| ());
        assert_eq!(time("1795000000000"), Ok(NOW));
        assert_eq!(time("now"), Ok(NOW));
        assert_eq!(time("now-1h30m"), Ok(NOW - 5_400_000_000_000));
        assert_eq!(time("2026-11-18T11:06:40Z"), Ok(NOW));
        assert_eq!(time("2026-11-18T19:06:40.000000001+08:00"), Ok(NOW + 1));
        for wrong in ["", "now-", "now*1h", "yesterday", "99999999999999999999", "9223372036854775807", "now-é"] {
            assert_eq!(time(wrong), Err(()), "{wrong}");
        }
    }

    #[test]
    fn ranges_are_half_open_and_never_empty() {
        assert_eq!(range(None, None, NOW).unwrap().duration_nano(), 3_600_000_000_000);
        assert!(range(Some("now"), Some("now"), NOW).is_err());
        assert!(range(Some("now"), Some("now-1h"), NOW).is_err());
        assert_eq!(optional_range(None, None, NOW).unwrap(), None);
        let open = optional_range(Some(&TimeText::Millis(5)), None, NOW).unwrap().unwrap();
        assert_eq!((open.start_unix_nano(), open.end_unix_nano()), (5_000_000, i64::MAX));
    }

    #[test]
    fn limits_are_positive_and_capped() {
        assert_eq!(limit(None, 100, 1000).unwrap(), 100);
        assert_eq!(limit(Some("18446744073709551615"), 100, 1000).unwrap(), 1000);
        for wrong in ["0", "-1", "ten", "9223372036854775808000", ""] {
            assert!(limit(Some(wrong), 100, 1000).is_err(), "{wrong}");
        }
    }
}
