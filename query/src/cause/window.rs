//! Pure: the entry's traffic over time -> when it went wrong, and when it was still normal.
//!
//! Each slot of time is measured against the median slot; a cumulative sum (CUSUM) over that measure finds the change, and
//! the scan back to the sum's last zero finds its onset. Source: Page, Continuous inspection schemes, 1954.

use super::{facts::Stretch, number::quantile};

/// Length of a slot.
pub(crate) const SLOT_NANO: i64 = 10 * 1_000_000_000;
/// Calls a slot needs to be judged by its ratios.
const LEAST_CALLS: u32 = 3;
/// Movement that is never counted, in units of ordinary movement.
const SLACK: f64 = 1.0;
/// Sum from which something has changed.
const CHANGED: f64 = 6.0;
/// Measure of a slot from which it is bad by itself.
const BAD: f64 = 3.0;
/// Most that one slot adds: one outlier is no change.
const MOST: f64 = 4.0;
/// Share of bad slots that a baseline may have.
const TOLERATED: f64 = 0.1;
/// Logarithm of how much likelier two ratios must be than one for an objective to burn.
const BURNING: f64 = 8.0;
/// Shortest and longest baseline chosen.
const BASELINE_NANO: (i64, i64) = (5 * 60 * 1_000_000_000, 60 * 60 * 1_000_000_000);

/// The entry's traffic in one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Slot {
    pub start: i64,
    pub calls: u32,
    pub errors: u32,
    /// Median and 95th percentile of the duration in milliseconds.
    pub p50: f64,
    pub p95: f64,
}

/// When something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anomaly {
    /// From the onset to the last bad slot.
    pub window: Stretch,
    /// Between the last good and the first bad slot.
    pub onset: Stretch,
}

/// How unlike the median slot each slot is, positive for worse.
fn measures(slots: &[Slot], normal: &[Slot]) -> Vec<f64> {
    let judged: Vec<&Slot> = normal.iter().filter(|slot| slot.calls >= LEAST_CALLS).collect();
    let of = |value: fn(&Slot) -> f64| -> Vec<f64> { judged.iter().map(|slot| value(slot)).collect() };
    let errors = quantile(&mut of(|slot| f64::from(slot.errors) / f64::from(slot.calls)), 0.5);
    let calls = quantile(&mut of(|slot| f64::from(slot.calls)), 0.5);
    let latency = |value: fn(&Slot) -> f64| {
        let mut logs: Vec<f64> = judged.iter().map(|slot| value(slot).max(0.01).ln()).collect();
        let median = quantile(&mut logs, 0.5);
        let mut spread: Vec<f64> = logs.iter().map(|log| (log - median).abs()).collect();
        let unit = 1.4826 * quantile(&mut spread, 0.5) + 0.15;
        move |slot: &Slot| (value(slot).max(0.01).ln() - median) / unit
    };
    let (p50, p95) = (latency(|slot| slot.p50), latency(|slot| slot.p95));
    slots
        .iter()
        .map(|slot| {
            if slot.calls < LEAST_CALLS {
                return if calls >= 5.0 * f64::from(LEAST_CALLS) { BAD } else { 0.0 };
            }
            let n = f64::from(slot.calls);
            let failing = (f64::from(slot.errors) - n * errors) / (n * errors * (1.0 - errors) + 1.0).sqrt();
            failing.max(p50(slot)).max(p95(slot))
        })
        .collect()
}

/// The most recent change for the worse among `slots` (in order, without holes). What was before the first calls is not
/// known to be an outage.
pub(crate) fn anomaly(slots: &[Slot]) -> Option<Anomaly> {
    let slots = &slots[slots.iter().position(|slot| slot.calls >= LEAST_CALLS)?..];
    let measures = measures(slots, slots);
    let (mut sum, mut zero) = (0.0_f64, 0);
    let mut found: Option<(usize, usize)> = None;
    for (i, measure) in measures.iter().enumerate() {
        sum = (sum + measure.min(MOST) - SLACK).max(0.0);
        if sum == 0.0 {
            zero = i + 1;
        }
        if sum >= CHANGED {
            let begun = found.is_some_and(|(from, _)| from == zero);
            let last = if *measure > SLACK || !begun { i } else { found.map_or(i, |(_, last)| last) };
            found = Some((zero, last));
        }
        // A long incident must not be remembered for as long again after it has ended.
        sum = sum.min(5.0 * CHANGED);
    }
    let (from, last) = found?;
    let first_bad = (from..=last).find(|i| measures[*i] >= BAD).unwrap_or(from);
    let onset = Stretch { from: slots[from].start, to: slots[first_bad].start + SLOT_NANO };
    Some(Anomaly { window: Stretch { from: slots[from].start, to: slots[last].start + SLOT_NANO }, onset })
}

/// How an objective's calls went in one slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Went {
    pub start: i64,
    pub calls: f64,
    pub bad: f64,
}

/// When the newest stretch was whose calls were bad more often than before: it begins, and ends, where the likelihood of one
/// ratio before and another after is largest, if it is well above that of one ratio for all. Source: Hinkley, Inference about
/// the change-point in a sequence of binomial variables, 1970.
pub(crate) fn burning(slots: &[Went]) -> Option<Anomaly> {
    let Some(from) = split(slots, |before, after| after > before) else {
        // What is over may be all there is to see, or hide what followed it.
        let end = split(slots, |before, after| after < before)?;
        return burning(&slots[end..]);
    };
    let to = split(&slots[from..], |before, after| after < before).map_or(slots.len(), |end| from + end);
    // What is over may have been followed by another.
    if let Some(newer) = slots.get(to..).and_then(burning) {
        return Some(newer);
    }
    let onset = Stretch { from: slots[from].start, to: slots[from].start + SLOT_NANO };
    Some(Anomaly { window: Stretch { from: onset.from, to: slots[to - 1].start + SLOT_NANO }, onset })
}

/// The slot from which the ratio of bad calls is another one, in the direction that is looked for.
fn split(slots: &[Went], is_wanted: impl Fn(f64, f64) -> bool) -> Option<usize> {
    let (all, all_bad) = slots.iter().fold((0.0, 0.0), |(n, bad), slot| (n + slot.calls, bad + slot.bad));
    let (mut before, mut before_bad) = (0.0, 0.0);
    let mut best: Option<(f64, usize)> = None;
    for (i, slot) in slots.iter().enumerate() {
        let (after, after_bad) = (all - before, all_bad - before_bad);
        // Bad of `before` times all of `after`, and the other way round: ratios without a division by nothing.
        if slot.calls > 0.0 && before > 0.0 && is_wanted(before_bad * after, after_bad * before) {
            let gain = likelihood(before, before_bad) + likelihood(after, after_bad) - likelihood(all, all_bad);
            if best.is_none_or(|(most, _)| gain > most) {
                best = Some((gain, i));
            }
        }
        (before, before_bad) = (before + slot.calls, before_bad + slot.bad);
    }
    best.filter(|(gain, _)| *gain >= BURNING).map(|(_, i)| i)
}

/// Logarithm of the largest likelihood of so many bad calls of so many.
fn likelihood(calls: f64, bad: f64) -> f64 {
    let part = |share: f64| if share > 0.0 { share * (share / calls).ln() } else { 0.0 };
    part(bad) + part(calls - bad)
}

/// When, inside a window that was given, the entry began to be unlike its baseline.
pub(crate) fn onset(baseline: &[Slot], window: &[Slot]) -> Option<Stretch> {
    let measures = measures(window, baseline);
    let (mut sum, mut zero) = (0.0_f64, 0);
    for (i, measure) in measures.iter().enumerate() {
        sum = (sum + measure.min(MOST) - SLACK).max(0.0);
        if sum == 0.0 {
            zero = i + 1;
        }
        if sum >= CHANGED {
            return Some(Stretch { from: window[zero].start, to: window[i].start + SLOT_NANO });
        }
    }
    None
}

/// The stretch before `window` that is most like itself: the latest one without a change, else the one with the fewest
/// bad slots. `slots` are those before the window.
pub(crate) fn baseline(window: Stretch, slots: &[Slot]) -> Stretch {
    let length = window.length().clamp(BASELINE_NANO.0, BASELINE_NANO.1);
    let measures = measures(slots, slots);
    let mut best: Option<(f64, Stretch)> = None;
    for shift in 0..6 {
        let to = window.from - shift * length / 2;
        let stretch = Stretch { from: to - length, to };
        let inside: Vec<usize> = (0..slots.len()).filter(|i| stretch.contains(slots[*i].start)).collect();
        let busy = inside.iter().filter(|i| slots[**i].calls > 0).count();
        if busy == 0 {
            continue;
        }
        let bad = inside.iter().filter(|i| measures[**i] >= BAD).count() as f64 / inside.len() as f64;
        let part: Vec<Slot> = inside.iter().map(|i| slots[*i]).collect();
        if bad <= TOLERATED && anomaly(&part).is_none() {
            return stretch;
        }
        if best.is_none_or(|(least, _)| bad < least) {
            best = Some((bad, stretch));
        }
    }
    best.map_or(Stretch { from: window.from - length, to: window.from }, |(_, stretch)| stretch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(count: i64, bad: std::ops::Range<i64>) -> Vec<Slot> {
        let slot = |i: i64| Slot {
            start: i * SLOT_NANO,
            calls: 40,
            errors: if bad.contains(&i) { 12 } else { u32::from(i % 5 == 0) },
            p50: 20.0 + (i % 3) as f64,
            p95: 80.0 + (i % 4) as f64 * 3.0,
        };
        (0..count).map(slot).collect()
    }

    #[test]
    fn the_onset_lies_where_errors_begin() {
        let found = anomaly(&slots(120, 90..120)).unwrap();
        assert!((88..=90).contains(&(found.onset.from / SLOT_NANO)), "{found:?}");
        assert_eq!(found.onset.to, 91 * SLOT_NANO);
        assert_eq!(found.window.to, 120 * SLOT_NANO);
    }

    #[test]
    fn an_incident_that_is_over_ends_where_it_ended() {
        let found = anomaly(&slots(120, 60..80)).unwrap();
        assert_eq!(found.window.to / SLOT_NANO, 80);
    }

    #[test]
    fn quiet_traffic_has_no_onset() {
        assert_eq!(anomaly(&slots(120, 0..0)), None);
        assert_eq!(anomaly(&[]), None);
        let mut young = slots(120, 0..0);
        young[..60].iter_mut().for_each(|slot| slot.calls = 0);
        assert_eq!(anomaly(&young), None);
        assert_eq!(onset(&slots(60, 0..0), &slots(30, 0..0)), None);
    }

    /// Rarely called: two calls a slot, of a hundred one bad; while it is sick, half of them.
    fn went(count: i64, is_sick: impl Fn(i64) -> bool) -> Vec<Went> {
        let bad = |i: i64| f64::from(u8::from(i % 50 == 0 || is_sick(i)));
        (0..count).map(|i| Went { start: i * SLOT_NANO, calls: 2.0, bad: bad(i) }).collect()
    }

    fn burns(slots: &[Went]) -> Option<(i64, i64)> {
        burning(slots).map(|found| (found.window.from / SLOT_NANO, found.window.to / SLOT_NANO))
    }

    #[test]
    fn an_objective_burns_from_where_its_bad_calls_begin() {
        assert_eq!(burns(&went(240, |i| i >= 235)), Some((235, 240)));
        assert_eq!(burns(&went(240, |_| false)), None);
        assert_eq!(burns(&[]), None);
        // What is over ends, and what follows it is the newest.
        assert_eq!(burns(&went(240, |i| (101..130).contains(&i))), Some((100, 130)));
        assert_eq!(burns(&went(240, |i| (101..130).contains(&i) || i >= 235)), Some((235, 240)));
        assert_eq!(burns(&went(100, |i| i < 40)), None, "better than before is no trouble");
        assert_eq!(burns(&went(240, |i| i < 100 || (i > 200 && i % 3 == 0))), Some((200, 240)), "nor does it hide any");
    }

    #[test]
    fn a_baseline_with_a_change_of_its_own_is_rejected() {
        let before = slots(240, 225..240);
        let window = Stretch { from: 240 * SLOT_NANO, to: 270 * SLOT_NANO };
        let chosen = baseline(window, &before);
        assert!(chosen.to <= 226 * SLOT_NANO, "{chosen:?}");
        assert_eq!(baseline(window, &slots(240, 0..0)).to, window.from);
        assert_eq!(baseline(window, &[]).to, window.from);
    }
}
