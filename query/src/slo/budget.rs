//! Error budgets in numbers: pure functions of counts.
//!
//! Source of all of it: Google, The Site Reliability Workbook, chapter 5 ("Alerting on SLOs"), and sloth's alert windows for
//! periods other than 30 days.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What was counted in a stretch of time: spans, or slices of time. Not whole where a threshold cuts a histogram bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    /// How much of it was good; at most `total`.
    pub good: f64,
    /// All of it.
    pub total: f64,
}

impl Count {
    /// Share that was good; `None` where nothing was counted.
    pub fn ratio(self) -> Option<f64> {
        (self.total > 0.0).then(|| (self.good / self.total).clamp(0.0, 1.0))
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { good: self.good + other.good, total: self.total + other.total }
    }

    /// What is left of this without `other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { good: self.good - other.good, total: self.total - other.total }
    }
}

/// Speed at which the error budget is spent; 1.0 spends it exactly by the window's end. `None` where nothing was counted:
/// no traffic is not an outage. `target_ratio` is below 1.
pub fn burn_rate(count: Count, target_ratio: f64) -> Option<f64> {
    Some((1.0 - count.ratio()?) / (1.0 - target_ratio))
}

/// Share of the window's error budget that is not spent; negative when overspent. `count` covers the whole window.
pub fn budget_left_ratio(count: Count, target_ratio: f64) -> Option<f64> {
    Some(1.0 - burn_rate(count, target_ratio)?)
}

/// Time until nothing of the budget is left if it goes on at this speed; `None` where that never happens: a window that
/// rolls regains what it forgets, so a speed up to 1 does not exhaust it. `None` too where nothing is left already.
pub fn time_to_exhaustion(budget_left_ratio: f64, burn_rate: f64, window: Duration) -> Option<Duration> {
    if budget_left_ratio <= 0.0 || burn_rate <= 1.0 {
        return None;
    }
    Duration::try_from_secs_f64(budget_left_ratio * window.as_secs_f64() / burn_rate).ok()
}

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody should look within days.
    Ticket,
    /// Somebody should look now.
    Page,
}

impl Severity {
    /// Every one, the most urgent first.
    pub const ALL: [Self; 2] = [Self::Page, Self::Ticket];

    /// As it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

/// Two windows over which the speed must be above `factor` at once: the long one says that it matters, the short one that it
/// is still going on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// What follows when both are above.
    pub severity: Severity,
    /// A twelfth of the long one.
    pub short: Duration,
    /// The window that decides how much of the budget is gone before an alert.
    pub long: Duration,
    /// Smallest speed that is too fast.
    pub factor: f64,
}

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// Severity, short window, long window in seconds.
const WINDOWS: [(Severity, u64, u64); 4] = [
    (Severity::Page, HOUR / 12, HOUR),
    (Severity::Page, HOUR / 2, 6 * HOUR),
    (Severity::Ticket, 2 * HOUR, DAY),
    (Severity::Ticket, 6 * HOUR, 3 * DAY),
];
/// Share of the budget that may be spent within each long window, for objectives over four weeks and more (Workbook, table
/// 5-8, written for 30 days; sloth's `google-28d` and `google-30d`).
const SHARES_OF_A_MONTH: [f64; 4] = [0.02, 0.05, 0.10, 0.10];
/// The same for shorter objectives, whose budget is spent sooner (sloth's `7d`).
const SHARES_OF_A_WEEK: [f64; 4] = [0.08, 0.125, 0.20, 0.42];

/// The window pairs of an objective over `window`. The factor is the speed that spends the pair's share of the budget within
/// its long window: 14.4, 6, 3 and 1 for 30 days. Pairs longer than the objective are left out. Below a week the factor is
/// at least 1, the speed below which no budget is ever exhausted.
pub fn pairs(window: Duration) -> Vec<Pair> {
    let seconds = window.as_secs();
    let shares = if seconds >= 28 * DAY { SHARES_OF_A_MONTH } else { SHARES_OF_A_WEEK };
    let least = if seconds < 7 * DAY { 1.0 } else { 0.0 };
    let pair = |((severity, short, long), share): ((Severity, u64, u64), f64)| Pair {
        severity,
        short: Duration::from_secs(short),
        long: Duration::from_secs(long),
        // Rounded, so that 0.02 * 720 is 14.4 and not a bit more.
        factor: (share * seconds as f64 / long as f64 * 1e6).round().max(least * 1e6) / 1e6,
    };
    WINDOWS.into_iter().zip(shares).filter(|((_, _, long), _)| *long <= seconds).map(pair).collect()
}

/// A pair and the speeds over its windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairStatus {
    /// The windows and their limit.
    pub pair: Pair,
    /// Speed over the short window; `None` without traffic.
    pub burn_short: Option<f64>,
    /// Speed over the long window.
    pub burn_long: Option<f64>,
    /// Whether the data reach back far enough for the pair to say anything, see [`has_history`].
    pub has_history: bool,
}

/// Whether a pair can be judged by data of so long. A ticket is about days: as long as its short window is not filled, one
/// failure after a start would be most of what both windows hold. A page does not wait.
pub fn has_history(pair: &Pair, known: Duration) -> bool {
    pair.severity == Severity::Page || known >= pair.short
}

impl PairStatus {
    /// Both windows are above the factor.
    pub fn is_too_fast(&self) -> bool {
        self.has_history
            && self.burn_short.is_some_and(|burn| burn > self.pair.factor)
            && self.burn_long.is_some_and(|burn| burn > self.pair.factor)
    }

    /// As [`Self::is_too_fast`], except that a short window without traffic does not say that it is over: a service that is
    /// gone altogether is no better than one that fails.
    pub fn may_go_on(&self) -> bool {
        self.burn_short.is_none_or(|burn| burn > self.pair.factor)
            && self.burn_long.is_some_and(|burn| burn > self.pair.factor)
    }
}

/// How an objective stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing to do.
    Ok,
    /// The budget is spent too fast: an alert is firing.
    Burning,
    /// Nothing of the budget is left.
    Exhausted,
    /// The service sends spans, and none of them is of the kind that is counted.
    NoTraffic,
    /// The service sends no spans (any more): nothing is known.
    MissingData,
}

impl State {
    /// As it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Burning => "burning",
            Self::Exhausted => "exhausted",
            Self::NoTraffic => "no_traffic",
            Self::MissingData => "missing_data",
        }
    }
}

/// What decides the state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Facts {
    /// An alert of the objective is firing.
    pub is_firing: bool,
    /// Of the whole window.
    pub budget_left_ratio: Option<f64>,
    /// Something was counted lately.
    pub is_called: bool,
    /// The service has sent spans of any kind lately.
    pub is_seen: bool,
}

/// The one state of an objective. An alert outlives the data that caused it; what was spent counts only while something is
/// known about the present.
pub fn state(facts: Facts) -> State {
    let is_exhausted = facts.budget_left_ratio.is_some_and(|left| left <= 0.0);
    match facts {
        Facts { is_called: false, is_firing: false, is_seen: true, .. } => State::NoTraffic,
        Facts { is_called: false, is_firing: false, is_seen: false, .. } => State::MissingData,
        _ if is_exhausted => State::Exhausted,
        Facts { is_firing: true, .. } => State::Burning,
        _ => State::Ok,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn days(days: u64) -> Duration {
        Duration::from_secs(days * DAY)
    }

    fn factors(window: Duration) -> Vec<f64> {
        pairs(window).iter().map(|pair| pair.factor).collect()
    }

    #[test]
    fn the_factors_of_thirty_days_are_the_workbooks() {
        let written = |pair: &Pair| (pair.severity.as_str(), pair.short.as_secs(), pair.long.as_secs(), pair.factor);
        let found: Vec<_> = pairs(days(30)).iter().map(written).collect();
        let expected = [
            ("page", 300, 3600, 14.4),
            ("page", 1800, 21_600, 6.0),
            ("ticket", 7200, 86_400, 3.0),
            ("ticket", 21_600, 259_200, 1.0),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn other_windows_have_sloths_factors() {
        assert_eq!(factors(days(28)), [13.44, 5.6, 2.8, 0.933_333]);
        assert_eq!(factors(days(7)), [13.44, 3.5, 1.4, 0.98]);
        assert_eq!(factors(days(1)), [1.92, 1.0, 1.0], "three days do not fit into one");
        assert_eq!(factors(Duration::from_secs(HOUR)), [1.0]);
    }

    /// sloth's own numbers, where they are present: every window that its rules compare with a factor.
    #[test]
    fn the_factors_are_those_that_sloth_generates() {
        let Ok(table) = std::fs::read_to_string("/work/shared/data/slo/expected_burn_rates.csv") else {
            eprintln!("skipped: no expected_burn_rates.csv");
            return;
        };
        let pairs = pairs(days(30));
        for line in table.lines().skip(1).filter(|line| !line.is_empty()) {
            let cells: Vec<&str> = line.split(',').collect();
            let [.., severity, window, factor, budget] = cells.as_slice() else { panic!("{line}") };
            let (seconds, factor) = (humantime_seconds(window), factor.parse::<f64>().unwrap());
            let known = pairs.iter().any(|pair| {
                let has_window = [pair.short.as_secs(), pair.long.as_secs()].contains(&seconds);
                pair.severity.as_str() == *severity && has_window && (pair.factor - factor).abs() < 1e-9
            });
            assert!(known, "{line}");
            // The limit that sloth writes is an error share; ours is the speed at that share.
            let budget: f64 = budget.parse().unwrap();
            let target = 1.0 - budget;
            let count = Count { good: 1.0 - factor * budget, total: 1.0 };
            assert!((burn_rate(count, target).unwrap() - factor).abs() < 1e-9, "{line}");
        }
    }

    fn humantime_seconds(text: &str) -> u64 {
        let (number, unit) = text.split_at(text.len() - 1);
        number.parse::<u64>().unwrap()
            * [("m", 60), ("h", HOUR), ("d", DAY)].iter().find(|(u, _)| *u == unit).unwrap().1
    }

    #[test]
    fn tickets_wait_until_their_short_window_is_filled() {
        let hours = |hours: u64| Duration::from_secs(hours * HOUR);
        let judged = |known| pairs(days(30)).iter().filter(|pair| has_history(pair, known)).count();
        assert_eq!([hours(0), hours(1), hours(2), hours(6)].map(judged), [2, 2, 3, 4]);
        let pair = pairs(days(30))[3];
        let status = |has_history| PairStatus { pair, burn_short: Some(9.0), burn_long: Some(9.0), has_history };
        assert!(status(true).is_too_fast() && !status(false).is_too_fast());
    }

    #[test]
    fn no_traffic_has_no_speed() {
        assert_eq!(burn_rate(Count::default(), 0.99), None);
        assert_eq!(budget_left_ratio(Count::default(), 0.99), None);
    }

    #[test]
    fn the_projection_goes_on_at_the_present_speed() {
        let hour = Duration::from_secs(HOUR);
        assert_eq!(time_to_exhaustion(0.5, 2.0, 4 * hour), Some(hour));
        assert_eq!(time_to_exhaustion(0.5, 1.0, 4 * hour), None, "a rolling window regains as much as it spends");
        assert_eq!(time_to_exhaustion(-0.1, 9.0, 4 * hour), None);
    }

    #[test]
    fn each_state_has_its_facts() {
        let base = Facts { is_called: true, is_seen: true, budget_left_ratio: Some(0.4), is_firing: false };
        assert_eq!(state(base), State::Ok);
        assert_eq!(state(Facts { is_firing: true, ..base }), State::Burning);
        assert_eq!(state(Facts { budget_left_ratio: Some(0.0), is_firing: true, ..base }), State::Exhausted);
        assert_eq!(state(Facts { is_called: false, ..base }), State::NoTraffic);
        assert_eq!(state(Facts { is_called: false, is_seen: false, ..base }), State::MissingData);
        assert_eq!(state(Facts { is_called: false, is_seen: false, is_firing: true, ..base }), State::Burning);
    }

    proptest! {
        #[test]
        fn spending_the_whole_budget_is_a_speed_of_one(target in 0.0..0.9999f64, total in 1.0..1e9f64) {
            let count = Count { good: total * target, total };
            prop_assert!((burn_rate(count, target).unwrap() - 1.0).abs() < 1e-6);
            prop_assert!(budget_left_ratio(count, target).unwrap().abs() < 1e-6);
        }

        #[test]
        fn more_errors_never_leave_more_budget(target in 0.0..0.9999f64, total in 1.0..1e6f64, a in 0.0..1.0f64, b in 0.0..1.0f64) {
            let left = |share: f64| budget_left_ratio(Count { good: total * share, total }, target).unwrap();
            prop_assert!(left(a.min(b)) <= left(a.max(b)) + 1e-9);
        }
    }
}
