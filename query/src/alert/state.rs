//! When an alert fires and when it is resolved: pure.
//!
//! An objective has at most one alert of each severity. It fires when both windows of one of its pairs are spent too fast,
//! and is resolved when no pair has been so for some evaluations (Prometheus' `keep_firing_for`): the short window, a twelfth of
//! the long one, ends it soon after the trouble has ended.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::slo::budget::{PairStatus, Severity};

/// An alert goes on for so many evaluations after its last reason (a minute, unless set otherwise): a value at the limit does
/// not make a series of alerts.
pub const KEEP_FIRING_EVALUATIONS: u32 = 6;

/// An objective whose budget is, or was, spent too fast. Kept in the catalog as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// 16 hex digits that follow from objective, severity and start: the same after a crash, another one the next time.
    pub id: String,
    /// Id of the objective.
    pub objective: String,
    /// Its name for people.
    pub display_name: String,
    /// The service that it counts.
    pub service: String,
    /// Its operation, where it counts one.
    pub operation: Option<String>,
    /// What it counts as bad, for people: `errors`, `slower than 300ms`.
    pub bad: String,
    /// Share that has to be good.
    pub target_ratio: f64,
    /// How urgent it is.
    pub severity: Severity,
    /// When it fired.
    pub started_unix_nano: i64,
    /// When it was resolved; `None` while it fires.
    pub resolved_unix_nano: Option<i64>,
    /// Of the pair that made it fire, the most urgent one.
    pub short_window_seconds: u64,
    /// Of the same pair.
    pub long_window_seconds: u64,
    /// Limit of the same pair.
    pub factor: f64,
    /// Speed over the short window when it fired.
    pub burn_short: Option<f64>,
    /// Speed over the long window when it fired.
    pub burn_long: Option<f64>,
    /// The incident that it belongs to; empty until it is known.
    #[serde(default)]
    pub incident: String,
}

impl Alert {
    /// Whether it still fires.
    pub const fn is_firing(&self) -> bool {
        self.resolved_unix_nano.is_none()
    }

    /// When it last changed.
    pub fn changed_unix_nano(&self) -> i64 {
        self.resolved_unix_nano.unwrap_or(self.started_unix_nano)
    }

    /// The same alert, over.
    #[must_use]
    pub fn resolved(&self, now_unix_nano: i64) -> Self {
        Self { resolved_unix_nano: Some(now_unix_nano.max(self.started_unix_nano)), ..self.clone() }
    }
}

/// An alert that fires, and since when it has had no reason to.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// As it fired.
    pub alert: Alert,
    /// First evaluation without a reason, if the last one had none. Not kept: a restart waits once more.
    pub quiet_since_unix_nano: Option<i64>,
}

/// What an evaluation makes of one severity of one objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Nothing fires.
    Quiet,
    /// It fires from now on, for this pair.
    Fires(PairStatus),
    /// It goes on firing.
    GoesOn {
        /// As in [`Firing`].
        quiet_since_unix_nano: Option<i64>,
    },
    /// It is over.
    Resolves,
}

/// The next step. `pairs` are those of the severity, the most urgent first; `keep_nano` is how long an alert goes on without
/// a reason.
pub fn step(firing: Option<&Firing>, pairs: &[PairStatus], keep_nano: i64, now_unix_nano: i64) -> Step {
    let Some(firing) = firing else {
        let reason = pairs.iter().find(|pair| pair.is_too_fast());
        return reason.map_or(Step::Quiet, |pair| Step::Fires(*pair));
    };
    if pairs.iter().any(PairStatus::may_go_on) {
        return Step::GoesOn { quiet_since_unix_nano: None };
    }
    // A wall clock that was set back starts the waiting anew.
    let since = firing.quiet_since_unix_nano.filter(|since| *since <= now_unix_nano).unwrap_or(now_unix_nano);
    if now_unix_nano - since >= keep_nano {
        Step::Resolves
    } else {
        Step::GoesOn { quiet_since_unix_nano: Some(since) }
    }
}

/// The id of an alert. One and the same fact has one id, however often it is found.
pub fn alert_id(objective: &str, severity: Severity, started_unix_nano: i64) -> String {
    format!("{:016x}", xxh3_64(format!("{objective}\n{}\n{started_unix_nano}", severity.as_str()).as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::slo::budget::pairs;

    const NOW: i64 = 1_795_000_000_000_000_000;
    const KEEP: i64 = 60_000_000_000;

    fn statuses(severity: Severity, burns: &[(Option<f64>, Option<f64>)]) -> Vec<PairStatus> {
        let pairs = pairs(Duration::from_secs(30 * 24 * 3600));
        let pairs = pairs.into_iter().filter(|pair| pair.severity == severity);
        pairs
            .zip(burns)
            .map(|(pair, (short, long))| PairStatus { pair, burn_short: *short, burn_long: *long, has_history: true })
            .collect()
    }

    fn firing(quiet_since_unix_nano: Option<i64>) -> Firing {
        let alert = Alert {
            id: alert_id("a", Severity::Page, NOW),
            objective: "a".to_owned(),
            display_name: "A".to_owned(),
            service: "shop".to_owned(),
            operation: None,
            bad: "errors".to_owned(),
            target_ratio: 0.999,
            severity: Severity::Page,
            started_unix_nano: NOW,
            resolved_unix_nano: None,
            short_window_seconds: 300,
            long_window_seconds: 3600,
            factor: 14.4,
            burn_short: Some(20.0),
            burn_long: Some(15.0),
            incident: String::new(),
        };
        Firing { alert, quiet_since_unix_nano }
    }

    #[test]
    fn both_windows_of_a_pair_must_be_too_fast() {
        let quiet = (Some(0.0), Some(0.0));
        for (burns, fires) in [
            ([(Some(14.5), Some(14.5)), quiet], Some(300)),
            ([(Some(14.4), Some(99.0)), quiet], None),
            ([(Some(99.0), Some(14.4)), quiet], None),
            ([(Some(99.0), Some(7.0)), (Some(6.1), Some(6.1))], Some(1800)),
            ([(None, Some(99.0)), (None, None)], None),
        ] {
            let found = match step(None, &statuses(Severity::Page, &burns), KEEP, NOW) {
                Step::Fires(status) => Some(status.pair.short.as_secs()),
                Step::Quiet => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(found, fires, "{burns:?}");
        }
    }

    #[test]
    fn a_firing_alert_ends_a_minute_after_its_last_reason() {
        let over = statuses(Severity::Page, &[(Some(1.0), Some(20.0)), (Some(1.0), Some(7.0))]);
        let since = |at| Step::GoesOn { quiet_since_unix_nano: at };
        assert_eq!(step(Some(&firing(None)), &over, KEEP, NOW), since(Some(NOW)));
        assert_eq!(step(Some(&firing(Some(NOW))), &over, KEEP, NOW + KEEP - 1), since(Some(NOW)));
        assert_eq!(step(Some(&firing(Some(NOW))), &over, KEEP, NOW + KEEP), Step::Resolves);
        let again = statuses(Severity::Page, &[(Some(15.0), Some(20.0)), (Some(1.0), Some(7.0))]);
        assert_eq!(step(Some(&firing(Some(NOW))), &again, KEEP, NOW + KEEP), since(None));
    }

    #[test]
    fn a_service_that_is_gone_does_not_end_its_alert_before_the_long_window_does() {
        let gone = statuses(Severity::Page, &[(None, Some(20.0)), (None, Some(7.0))]);
        assert_eq!(step(Some(&firing(None)), &gone, KEEP, NOW), Step::GoesOn { quiet_since_unix_nano: None });
        let long_gone = statuses(Severity::Page, &[(None, None), (None, None)]);
        assert_eq!(step(Some(&firing(None)), &long_gone, KEEP, NOW), Step::GoesOn { quiet_since_unix_nano: Some(NOW) });
    }

    #[test]
    fn a_clock_that_was_set_back_only_waits_longer() {
        let over = statuses(Severity::Page, &[(Some(1.0), Some(1.0)), (Some(1.0), Some(1.0))]);
        let step = step(Some(&firing(Some(NOW + 1))), &over, KEEP, NOW);
        assert_eq!(step, Step::GoesOn { quiet_since_unix_nano: Some(NOW) });
    }

    #[test]
    fn an_id_follows_from_what_it_names() {
        let id = alert_id("a", Severity::Page, NOW);
        assert_eq!((id.len(), &id), (16, &alert_id("a", Severity::Page, NOW)));
        assert_ne!(id, alert_id("a", Severity::Ticket, NOW));
        assert_ne!(id, alert_id("a", Severity::Page, NOW + 1));
    }
}
