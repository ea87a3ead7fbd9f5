//! Pure: bad and good calls with their attributes -> the values in which the bad ones are concentrated.
//!
//! A value says something when bad calls have it much more often than good ones. Attributes that are functions of one
//! another (a pod and its address) say it once.

use std::collections::BTreeMap;

use super::report::Scope;

/// Bad and good calls that are needed, and bad calls that must have a value.
const LEAST_CALLS: usize = 10;
const LEAST_BAD: u64 = 5;
/// By how much the share of bad calls with a value exceeds that of good ones.
const LEAST_LIFT: f64 = 0.3;
/// Values of an attribute looked at: one with more is an identifier.
const MAX_VALUES: usize = 200;
/// Longest value.
const MAX_CHARS: usize = 200;
/// Values in an answer.
const MAX_SCOPES: usize = 3;

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub bad: bool,
    pub attributes: Vec<(String, String)>,
}

/// Most telling first.
pub(crate) fn scopes(calls: &[Call]) -> Vec<Scope> {
    let bad_calls = calls.iter().filter(|call| call.bad).count();
    let good_calls = calls.len() - bad_calls;
    if bad_calls < LEAST_CALLS || good_calls < LEAST_CALLS {
        return Vec::new();
    }
    let mut counts: BTreeMap<&str, BTreeMap<&str, (u64, u64)>> = BTreeMap::new();
    for call in calls {
        for (attribute, value) in call.attributes.iter().filter(|(_, value)| value.len() <= MAX_CHARS) {
            let values = counts.entry(attribute).or_default();
            let known = values.len() <= MAX_VALUES || values.contains_key(value.as_str());
            if known {
                let (bad, good) = values.entry(value).or_default();
                *(if call.bad { bad } else { good }) += 1;
            }
        }
    }
    let mut found: Vec<(Scope, u64)> = Vec::new();
    for (attribute, values) in counts.into_iter().filter(|(_, values)| values.len() <= MAX_VALUES) {
        for (value, (bad, good)) in values {
            let (bad_ratio, good_ratio) = (bad as f64 / bad_calls as f64, good as f64 / good_calls as f64);
            if bad >= LEAST_BAD && bad_ratio - good_ratio >= LEAST_LIFT {
                let (attribute, value) = (attribute.to_owned(), value.to_owned());
                found.push((Scope { attribute, value, bad_ratio, good_ratio, count: bad }, good));
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| {
        let lift = |scope: &Scope| scope.bad_ratio - scope.good_ratio;
        lift(b).total_cmp(&lift(a)).then_with(|| a.attribute.cmp(&b.attribute)).then_with(|| a.value.cmp(&b.value))
    });
    // Same calls, same fact.
    found.dedup_by(|(a, good_a), (b, good_b)| (a.count, *good_a) == (b.count, *good_b));
    found.into_iter().map(|(scope, _)| scope).take(MAX_SCOPES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(bad: bool, pod: &str, id: usize) -> Call {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let address = format!("10.0.0.{}", pod.len());
        Call { bad, attributes: vec![pair("pod", pod), pair("address", &address), pair("id", &id.to_string())] }
    }

    #[test]
    fn the_pod_that_has_the_bad_calls_is_found_once() {
        let calls: Vec<Call> =
            (0..400).map(|i| call(i % 4 == 0, if i % 4 == 0 { "pay-1" } else { "pay-22" }, i)).collect();
        let found = scopes(&calls);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].attribute.as_str(), found[0].count), ("address", 100));
    }

    #[test]
    fn what_good_calls_have_as_well_says_nothing() {
        let calls: Vec<Call> = (0..400).map(|i| call(i % 4 == 0, "pay-1", i % 7)).collect();
        assert!(scopes(&calls).is_empty());
        assert!(scopes(&[]).is_empty());
    }
}
