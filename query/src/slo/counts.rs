//! What was counted for one objective, by time: fine for the present, coarse for the past.
//!
//! Three rings of slots hold the same counts: 10 s for the last hours, 5 min for days, 1 h for twice the objective's window.
//! A sum over any window reads at most a few thousand slots, so 30 days cost what an hour costs, and the past is never
//! read again. Writing a recent slot moves the difference into the coarser rings: late spans arrive everywhere at once.

use std::{collections::VecDeque, time::Duration};

use config::objective::Budgeting;

use super::budget::Count;

/// Length of the slots in which spans are counted at ingest.
pub const SLOT_NANO: i64 = 10_000_000_000;
const FIVE_MINUTES_NANO: i64 = 30 * SLOT_NANO;
/// Slices of time never cross an hour.
pub const HOUR_NANO: i64 = 12 * FIVE_MINUTES_NANO;
const DAY_NANO: i64 = 24 * HOUR_NANO;

/// Windows up to this are summed in slots of 10 s.
const FINE_WINDOW_NANO: i64 = 2 * HOUR_NANO;
/// Slots of 10 s are kept for the fine windows and one whole slice more.
const FINE_SLOTS: i64 = (FINE_WINDOW_NANO + HOUR_NANO) / SLOT_NANO;
/// Windows up to this are summed in slots of 5 min.
const MIDDLE_WINDOW_NANO: i64 = 3 * DAY_NANO;
/// One day more, for the history of the last day.
const MIDDLE_SLOTS: i64 = (MIDDLE_WINDOW_NANO + DAY_NANO) / FIVE_MINUTES_NANO;

/// The latest slots of one length; what is not held was zero.
#[derive(Clone, Debug)]
struct Ring {
    slot_nano: i64,
    keep: i64,
    /// Number of the first slot held: its start divided by the length.
    first: i64,
    slots: VecDeque<Count>,
}

impl Ring {
    const fn new(slot_nano: i64, keep: i64) -> Self {
        Self { slot_nano, keep, first: 0, slots: VecDeque::new() }
    }

    fn end(&self) -> i64 {
        self.first + i64::try_from(self.slots.len()).unwrap_or(i64::MAX)
    }

    fn index(&self, slot: i64) -> Option<usize> {
        usize::try_from(slot - self.first).ok().filter(|index| *index < self.slots.len())
    }

    fn get(&self, slot: i64) -> Count {
        self.index(slot).map_or_else(Count::default, |index| self.slots[index])
    }

    /// The slot, made if it is not older than what is kept.
    fn slot(&mut self, slot: i64) -> Option<&mut Count> {
        if self.slots.is_empty() || slot - self.end() >= self.keep {
            self.slots.clear();
            self.first = slot;
        }
        if slot <= self.end() - 1 - self.keep {
            return None;
        }
        while slot < self.first {
            self.slots.push_front(Count::default());
            self.first -= 1;
        }
        while slot >= self.end() {
            self.slots.push_back(Count::default());
        }
        while self.slots.len() as i64 > self.keep {
            self.slots.pop_front();
            self.first += 1;
        }
        let index = self.index(slot)?;
        self.slots.get_mut(index)
    }

    fn add(&mut self, start_unix_nano: i64, count: Count) {
        // A slot that nothing happened in is not worth holding.
        if count == Count::default() {
            return;
        }
        if let Some(slot) = self.slot(start_unix_nano.div_euclid(self.slot_nano)) {
            *slot = slot.plus(count);
        }
    }

    /// Slots that start within `[start, end)`.
    fn sum(&self, start_unix_nano: i64, end_unix_nano: i64) -> Count {
        let first = ceil_div(start_unix_nano, self.slot_nano).max(self.first);
        let end = ceil_div(end_unix_nano, self.slot_nano).min(self.end());
        (first..end).map(|slot| self.get(slot)).fold(Count::default(), Count::plus)
    }
}

fn ceil_div(value: i64, by: i64) -> i64 {
    value.div_euclid(by) + i64::from(value.rem_euclid(by) != 0)
}

/// Counts of one objective.
#[derive(Clone, Debug)]
pub struct Counts {
    budgeting: Budgeting,
    window_nano: i64,
    /// Spans by 10 s.
    calls: Ring,
    /// What the budget is made of (spans or slices), by 5 min and by hour of its start.
    middle: Ring,
    coarse: Ring,
}

/// One point of an objective's past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// End of the window that it is about.
    pub unix_nano: i64,
    /// Counts of that window.
    pub count: Count,
}

impl Counts {
    /// Nothing counted yet.
    pub fn new(budgeting: Budgeting, window: Duration) -> Self {
        let window_nano = i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
        let hours = window_nano / HOUR_NANO + 1;
        Self {
            budgeting,
            window_nano,
            calls: Ring::new(SLOT_NANO, FINE_SLOTS),
            middle: Ring::new(FIVE_MINUTES_NANO, MIDDLE_SLOTS),
            coarse: Ring::new(HOUR_NANO, 2 * hours),
        }
    }

    /// How far back anything is used.
    pub const fn reach_nano(&self) -> i64 {
        let twice = 2 * self.window_nano;
        if twice > MIDDLE_WINDOW_NANO { twice } else { MIDDLE_WINDOW_NANO }
    }

    /// Since when spans are counted by slots, within the last hours.
    pub fn calls_begin_unix_nano(&self) -> Option<i64> {
        (!self.calls.slots.is_empty()).then(|| self.calls.first * self.calls.slot_nano)
    }

    /// Since when anything is counted, within the last days.
    pub fn begins_unix_nano(&self) -> Option<i64> {
        (!self.middle.slots.is_empty()).then(|| self.middle.first * self.middle.slot_nano)
    }

    /// Length in which older spans are to be handed to [`Self::add_past`]: a slice, or 5 min where they are just added up.
    pub fn past_step_nano(&self) -> i64 {
        match self.budgeting {
            Budgeting::Occurrences => FIVE_MINUTES_NANO,
            Budgeting::Timeslices { .. } | Budgeting::RatioTimeslices { .. } => self.slice_nano(),
        }
    }

    /// Adds the spans of one step that is older than every slot that [`Self::set_recent`] is told about.
    pub fn add_past(&mut self, start_unix_nano: i64, calls: Count) {
        let units = units(self.budgeting, calls);
        self.middle.add(start_unix_nano, units);
        self.coarse.add(start_unix_nano, units);
    }

    /// The spans of a slot of the last two hours are these now.
    pub fn set_recent(&mut self, start_unix_nano: i64, calls: Count) {
        let slot = start_unix_nano.div_euclid(SLOT_NANO);
        if self.calls.get(slot) == calls {
            return;
        }
        let slice = start_unix_nano.div_euclid(self.slice_nano()) * self.slice_nano();
        let before = self.slice_units(slice);
        if let Some(held) = self.calls.slot(slot) {
            *held = calls;
        }
        let difference = self.slice_units(slice).minus(before);
        self.middle.add(slice, difference);
        self.coarse.add(slice, difference);
    }

    /// Counts of `[end - window, end)`, by the start of what is counted.
    pub fn over(&self, window: Duration, end_unix_nano: i64) -> Count {
        self.over_nano(i64::try_from(window.as_nanos()).unwrap_or(i64::MAX), end_unix_nano)
    }

    /// Counts of the objective's own window.
    pub fn over_window(&self, end_unix_nano: i64) -> Count {
        self.over_nano(self.window_nano, end_unix_nano)
    }

    /// Counts of a stretch of the past, in slots of 5 min or, where those are gone, of an hour.
    pub fn within(&self, start_unix_nano: i64, end_unix_nano: i64) -> Count {
        let is_held = start_unix_nano.div_euclid(FIVE_MINUTES_NANO) >= self.middle.first;
        let ring = if is_held { &self.middle } else { &self.coarse };
        // Slots that begin before the stretch belong to it: trouble begins within one.
        let start = start_unix_nano.div_euclid(ring.slot_nano) * ring.slot_nano;
        ring.sum(start, end_unix_nano)
    }

    /// Spans of the last hours, whatever the budget is made of.
    pub fn calls_over(&self, window_nano: i64, end_unix_nano: i64) -> Count {
        self.calls.sum(end_unix_nano.saturating_sub(window_nano), end_unix_nano)
    }

    fn over_nano(&self, window_nano: i64, end_unix_nano: i64) -> Count {
        let start = end_unix_nano.saturating_sub(window_nano);
        let fine_since = (self.calls.end() - FINE_SLOTS) * SLOT_NANO;
        if window_nano <= FINE_WINDOW_NANO && start >= fine_since {
            return self.slices(start, end_unix_nano);
        }
        if window_nano <= MIDDLE_WINDOW_NANO {
            return self.middle.sum(start, end_unix_nano);
        }
        // The hour that the window ends in is not over: its part is in the finer slots.
        let last_hour = end_unix_nano.div_euclid(HOUR_NANO) * HOUR_NANO;
        self.coarse.sum(start, last_hour).plus(self.middle.sum(last_hour, end_unix_nano))
    }

    /// How the objective's window stood in the past, oldest first: each hour of the last window and each 5 min of the last
    /// day; each 5 min only for windows up to 3 days. Points before the first span are left out.
    pub fn history(&self, end_unix_nano: i64) -> Vec<Point> {
        let since = end_unix_nano.saturating_sub(self.window_nano);
        let is_long = self.window_nano > MIDDLE_WINDOW_NANO;
        let recent_since = if is_long { end_unix_nano - DAY_NANO } else { since };
        let hours = multiples(HOUR_NANO, since, if is_long { recent_since } else { since });
        let recent = multiples(FIVE_MINUTES_NANO, recent_since, end_unix_nano);
        hours
            .chain(recent)
            .chain([end_unix_nano])
            .map(|unix_nano| Point { unix_nano, count: self.over_window(unix_nano) })
            .skip_while(|point| point.count.total == 0.0)
            .collect()
    }

    fn slice_nano(&self) -> i64 {
        match self.budgeting {
            Budgeting::Occurrences => SLOT_NANO,
            Budgeting::Timeslices { slice, .. } | Budgeting::RatioTimeslices { slice } => {
                i64::try_from(slice.as_nanos()).unwrap_or(HOUR_NANO)
            }
        }
    }

    fn slice_units(&self, start_unix_nano: i64) -> Count {
        units(self.budgeting, self.calls.sum(start_unix_nano, start_unix_nano + self.slice_nano()))
    }

    fn slices(&self, start_unix_nano: i64, end_unix_nano: i64) -> Count {
        if self.budgeting == Budgeting::Occurrences {
            return self.calls.sum(start_unix_nano, end_unix_nano);
        }
        let slices = multiples(self.slice_nano(), start_unix_nano, end_unix_nano);
        slices.map(|slice| self.slice_units(slice)).fold(Count::default(), Count::plus)
    }
}

/// Multiples of `step` within `[start, end)`.
fn multiples(step: i64, start: i64, end: i64) -> impl Iterator<Item = i64> {
    (ceil_div(start, step)..ceil_div(end, step)).map(move |number| number * step)
}

/// What the spans of a slice are to the budget: themselves, or one slice of time, good or not or in part. A slice without
/// traffic is no slice.
fn units(budgeting: Budgeting, calls: Count) -> Count {
    let Some(ratio) = calls.ratio() else { return Count::default() };
    match budgeting {
        Budgeting::Occurrences => calls,
        Budgeting::Timeslices { target_ratio, .. } => {
            Count { good: if ratio >= target_ratio { 1.0 } else { 0.0 }, total: 1.0 }
        }
        Budgeting::RatioTimeslices { .. } => Count { good: ratio, total: 1.0 },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-18T11:00:00Z
    const T: i64 = 1_794_999_600_000_000_000;
    const MINUTE: i64 = 6 * SLOT_NANO;

    const fn count(good: f64, total: f64) -> Count {
        Count { good, total }
    }

    const fn hours(hours: u64) -> Duration {
        Duration::from_secs(3600 * hours)
    }

    fn occurrences(window: Duration) -> Counts {
        Counts::new(Budgeting::Occurrences, window)
    }

    #[test]
    fn a_count_is_in_every_window_that_reaches_it() {
        let mut counts = occurrences(hours(24 * 30));
        counts.set_recent(T - 10 * MINUTE, count(3.0, 4.0));
        for window in [1, 2, 6, 24, 72, 720].map(hours) {
            assert_eq!(counts.over(window, T), count(3.0, 4.0), "{window:?}");
        }
        assert_eq!(counts.over(Duration::from_secs(300), T), Count::default());
        assert_eq!(counts.begins_unix_nano(), Some(T - 10 * MINUTE));
    }

    #[test]
    fn a_late_span_replaces_what_was_counted() {
        let mut counts = occurrences(hours(24 * 30));
        counts.set_recent(T - MINUTE, count(3.0, 4.0));
        counts.set_recent(T - MINUTE, count(3.0, 5.0));
        counts.set_recent(T - MINUTE, count(3.0, 5.0));
        for window in [1, 6, 720].map(hours) {
            assert_eq!(counts.over(window, T), count(3.0, 5.0), "{window:?}");
        }
    }

    #[test]
    fn the_past_reaches_long_windows_only() {
        let mut counts = occurrences(hours(24 * 30));
        counts.add_past(T - 5 * HOUR_NANO, count(1.0, 2.0));
        counts.add_past(T - 20 * DAY_NANO, count(10.0, 10.0));
        counts.set_recent(T - MINUTE, count(1.0, 1.0));
        assert_eq!(counts.over(hours(1), T), count(1.0, 1.0));
        assert_eq!(counts.over(hours(6), T), count(2.0, 3.0));
        assert_eq!(counts.over_window(T), count(12.0, 13.0));
    }

    #[test]
    fn slices_of_time_count_once_each_and_only_with_traffic() {
        let slice = Duration::from_secs(60);
        let mut counts = Counts::new(Budgeting::Timeslices { slice, target_ratio: 0.9 }, hours(24 * 30));
        counts.set_recent(T - 10 * MINUTE, count(99.0, 100.0));
        counts.set_recent(T - 10 * MINUTE + SLOT_NANO, count(99.0, 100.0));
        counts.set_recent(T - 8 * MINUTE, count(0.0, 1.0));
        for window in [1, 6, 720].map(hours) {
            assert_eq!(counts.over(window, T), count(1.0, 2.0), "{window:?}");
        }
        // The same minute turns bad as a whole.
        counts.set_recent(T - 10 * MINUTE + 2 * SLOT_NANO, count(0.0, 100.0));
        assert_eq!(counts.over(hours(720), T), count(0.0, 2.0));
    }

    #[test]
    fn a_mean_of_slices_weighs_quiet_times_as_busy_ones() {
        let slice = Duration::from_secs(60);
        let mut counts = Counts::new(Budgeting::RatioTimeslices { slice }, hours(24));
        counts.set_recent(T - 10 * MINUTE, count(1000.0, 1000.0));
        counts.set_recent(T - 5 * MINUTE, count(0.0, 1.0));
        assert_eq!(counts.over_window(T).ratio(), Some(0.5));
    }

    #[test]
    fn history_is_the_window_as_it_stood() {
        let mut counts = occurrences(hours(24 * 7));
        counts.add_past(T - 8 * DAY_NANO, count(100.0, 100.0));
        counts.add_past(T - 2 * DAY_NANO, count(0.0, 100.0));
        let history = counts.history(T);
        let at = |unix_nano: i64| history.iter().rev().find(|p| p.unix_nano <= unix_nano).unwrap().count;
        assert_eq!(at(T - 3 * DAY_NANO), count(100.0, 100.0));
        assert_eq!(at(T - DAY_NANO - 2 * HOUR_NANO), count(100.0, 200.0), "both are within a week of it");
        assert_eq!(at(T), count(0.0, 100.0));
        assert!(history.len() < 200 + 300, "{}", history.len());
        assert!(history.is_sorted_by_key(|point| point.unix_nano));
        assert_eq!(occurrences(hours(1)).history(T), []);
    }

    proptest! {
        /// Whatever arrives in whichever order, the rings agree with adding everything up.
        #[test]
        fn rings_lose_nothing(slots in prop::collection::vec((0..360i64, 0..50u32, 0..50u32), 1..80)) {
            let mut counts = occurrences(hours(24 * 30));
            let mut latest = std::collections::BTreeMap::new();
            for (slot, good, bad) in slots {
                let calls = count(f64::from(good), f64::from(good + bad));
                counts.set_recent(T - (slot + 1) * SLOT_NANO, calls);
                latest.insert(slot, calls);
            }
            let all = latest.values().fold(Count::default(), |sum, calls| sum.plus(*calls));
            for window in [1, 2, 6, 24, 72, 720].map(hours) {
                prop_assert_eq!(counts.over(window, T), all);
            }
        }
    }
}
