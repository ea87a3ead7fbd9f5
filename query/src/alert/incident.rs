//! Alerts that belong together: pure.
//!
//! Alerts that are close in time and in the service graph form one incident. It opens with its first alert, is resolved when
//! none of its alerts fires, and comes back to life when one fires again soon after.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    state::Alert,
    words::{Texts, alert_summary, incident_title},
};
use crate::slo::budget::Severity;

/// An alert joins an open incident whose latest alert is at most so old.
const NEAR_IN_TIME_NANO: i64 = 30 * 60 * 1_000_000_000;
/// An alert reopens an incident that was resolved at most so long ago.
const REOPENS_NANO: i64 = 10 * 60 * 1_000_000_000;
/// Calls between two services that are near.
const NEAR_IN_CALLS: usize = 2;
/// Events of one incident; the oldest notes and alerts stay, later ones are dropped.
const MAX_EVENTS: usize = 1000;

/// Alerts that belong together, what they are about and what has happened. Kept in the catalog as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Id of its first alert.
    pub id: String,
    /// When it opened.
    pub started_unix_nano: i64,
    /// When its last alert was resolved; `None` while one fires.
    pub resolved_unix_nano: Option<i64>,
    /// When its latest alert fired.
    pub latest_alert_unix_nano: i64,
    /// That of its most urgent alert.
    pub severity: Severity,
    /// What it is called.
    pub title: Texts,
    /// Service of the first of its most urgent alerts: where it was noticed.
    pub service: String,
    /// Services of all its alerts, by name.
    pub services: BTreeSet<String>,
    /// Ids of its alerts in the order in which they fired.
    pub alerts: Vec<String>,
    /// Ids of those that fire.
    pub firing: BTreeSet<String>,
    /// Why it is happening, as far as that is known.
    pub cause: CauseStatus,
    /// What has happened, by time.
    pub timeline: Vec<Event>,
}

/// How far the search for the cause has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CauseStatus {
    /// Where the search stands.
    pub state: CauseState,
    /// The report that has it all.
    pub report: Option<String>,
    /// The culprit.
    pub service: Option<String>,
    /// Kind and name of what deviates there.
    pub indicator: Option<(String, String)>,
    /// From 0 to 1.
    pub confidence: Option<f64>,
    /// The report in one sentence.
    pub summary: Option<Texts>,
}

/// Where the search for a cause stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseState {
    /// Looking.
    Running,
    /// There is a first candidate.
    Found,
    /// Looked, and nothing explains it.
    None,
    /// The data do not suffice.
    NotEnoughData,
    /// The search itself failed.
    Failed,
}

impl CauseState {
    /// As it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Found => "found",
            Self::None => "none",
            Self::NotEnoughData => "not_enough_data",
            Self::Failed => "failed",
        }
    }
}

impl CauseStatus {
    /// Nothing but a state.
    pub const fn only(state: CauseState) -> Self {
        Self { state, report: None, service: None, indicator: None, confidence: None, summary: None }
    }
}

/// Something that happened in an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub unix_nano: i64,
    /// What sort of thing.
    pub kind: EventKind,
    /// In one sentence.
    pub title: Texts,
    /// Where, if it is about one service.
    pub service: Option<String>,
    /// Where to read more: a path of the web UI.
    pub link: Option<String>,
}

/// What sort of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// An alert fired.
    AlertFiring,
    /// An alert was resolved.
    AlertResolved,
    /// Something was deployed, configured, scaled, switched.
    Change,
    /// The data begin to deviate.
    Onset,
    /// The root-cause report is there.
    Report,
    /// Somebody was told, or could not be.
    Notification,
    /// Somebody wrote something down.
    Note,
}

impl EventKind {
    /// As it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlertFiring => "alert_firing",
            Self::AlertResolved => "alert_resolved",
            Self::Change => "change",
            Self::Onset => "onset",
            Self::Report => "report",
            Self::Notification => "notification",
            Self::Note => "note",
        }
    }
}

/// Who calls whom.
#[derive(Clone, Debug, Default)]
pub struct Neighbours(BTreeMap<String, BTreeSet<String>>);

impl Neighbours {
    /// From pairs of caller and callee.
    pub fn new(edges: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut neighbours = BTreeMap::<String, BTreeSet<String>>::new();
        for (caller, callee) in edges {
            neighbours.entry(caller.clone()).or_default().insert(callee.clone());
            neighbours.entry(callee).or_default().insert(caller);
        }
        Self(neighbours)
    }

    /// Whether at most [`NEAR_IN_CALLS`] calls, in either direction, lie between a service and one of the others.
    fn are_near(&self, service: &str, others: &BTreeSet<String>) -> bool {
        let mut seen = BTreeSet::from([service]);
        let mut next = VecDeque::from([(service, 0)]);
        while let Some((at, calls)) = next.pop_front() {
            if others.contains(at) {
                return true;
            }
            if calls == NEAR_IN_CALLS {
                continue;
            }
            let around = self.0.get(at).into_iter().flatten().map(String::as_str);
            next.extend(around.filter(|neighbour| seen.insert(neighbour)).map(|neighbour| (neighbour, calls + 1)));
        }
        false
    }
}

/// The incident that an alert belongs to, if there is one: the oldest that is near in time and in the graph.
pub fn incident_of<'a>(alert: &Alert, incidents: &'a [Incident], neighbours: &Neighbours) -> Option<&'a Incident> {
    let is_near = |incident: &&Incident| {
        let is_alive = match incident.resolved_unix_nano {
            None => {
                // One place that goes on is one incident, however long it takes.
                incident.services.contains(&alert.service)
                    || alert.started_unix_nano - incident.latest_alert_unix_nano <= NEAR_IN_TIME_NANO
            }
            Some(resolved) => alert.started_unix_nano - resolved <= REOPENS_NANO,
        };
        is_alive && neighbours.are_near(&alert.service, &incident.services)
    };
    incidents.iter().filter(is_near).min_by_key(|incident| incident.started_unix_nano)
}

impl Incident {
    /// A new incident for its first alert.
    pub fn open(alert: &Alert) -> Self {
        let mut incident = Self {
            id: alert.id.clone(),
            started_unix_nano: alert.started_unix_nano,
            resolved_unix_nano: None,
            latest_alert_unix_nano: alert.started_unix_nano,
            severity: alert.severity,
            title: incident_title(alert),
            service: alert.service.clone(),
            services: BTreeSet::new(),
            alerts: Vec::new(),
            firing: BTreeSet::new(),
            cause: CauseStatus::only(CauseState::Running),
            timeline: Vec::new(),
        };
        incident.join(alert);
        incident
    }

    /// One more alert of the same incident. The first of the most urgent ones says what the incident is about: when a page
    /// joins tickets, the cause is looked for again, from there.
    pub fn join(&mut self, alert: &Alert) {
        if alert.severity > self.severity {
            self.title = incident_title(alert);
            self.service.clone_from(&alert.service);
            self.cause = CauseStatus::only(CauseState::Running);
        }
        self.resolved_unix_nano = None;
        self.latest_alert_unix_nano = self.latest_alert_unix_nano.max(alert.started_unix_nano);
        self.severity = self.severity.max(alert.severity);
        self.services.insert(alert.service.clone());
        self.alerts.push(alert.id.clone());
        self.firing.insert(alert.id.clone());
        self.add(Event {
            unix_nano: alert.started_unix_nano,
            kind: EventKind::AlertFiring,
            title: alert_summary(alert),
            service: Some(alert.service.clone()),
            link: Some(format!("/slos/{}", alert.objective)),
        });
    }

    /// One of its alerts is over; the incident is when none fires any more.
    pub fn leave(&mut self, alert: &Alert) {
        let now = alert.changed_unix_nano();
        if !self.firing.remove(&alert.id) {
            return;
        }
        if self.firing.is_empty() {
            self.resolved_unix_nano = Some(now);
        }
        self.add(Event {
            unix_nano: now,
            kind: EventKind::AlertResolved,
            title: Texts::new(format!("{}: resolved", alert.display_name), format!("{}:已恢复", alert.display_name)),
            service: Some(alert.service.clone()),
            link: Some(format!("/slos/{}", alert.objective)),
        });
    }

    /// One more event, in its place by time.
    pub fn add(&mut self, event: Event) {
        if self.timeline.len() >= MAX_EVENTS {
            return;
        }
        let place = self.timeline.partition_point(|earlier| earlier.unix_nano <= event.unix_nano);
        self.timeline.insert(place, event);
    }

    /// Whether its cause is still looked for, from this alert: it is open, and nothing more urgent fires.
    pub fn is_searched_for(&self, alert: &Alert) -> bool {
        self.resolved_unix_nano.is_none() && self.cause.state != CauseState::Found && self.is_about(alert)
    }

    /// Whether this alert, or one as urgent of the same service, says what the incident is about.
    pub fn is_about(&self, alert: &Alert) -> bool {
        self.severity == alert.severity && self.service == alert.service
    }

    /// The search for its cause ended so. What an earlier one said of the time before is replaced; what was found stays found.
    pub fn explain(&mut self, status: CauseStatus, events: Vec<Event>) {
        if self.cause.state == CauseState::Found && status.state != CauseState::Found {
            return;
        }
        self.timeline.retain(|event| !matches!(event.kind, EventKind::Onset | EventKind::Change));
        let is_new = self.cause != status;
        for event in events.into_iter().filter(|event| is_new || event.kind != EventKind::Report) {
            self.add(event);
        }
        self.cause = status;
    }

    /// When something last happened to it.
    pub fn changed_unix_nano(&self) -> i64 {
        self.timeline.last().map_or(self.started_unix_nano, |event| event.unix_nano)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::testing::alert;

    const NOW: i64 = 1_795_000_000_000_000_000;
    const MINUTE: i64 = 60_000_000_000;

    fn shop() -> Neighbours {
        let calls =
            [("web", "cart"), ("web", "checkout"), ("checkout", "payment"), ("payment", "bank"), ("mail", "smtp")];
        Neighbours::new(calls.map(|(caller, callee)| (caller.to_owned(), callee.to_owned())))
    }

    #[test]
    fn an_alert_joins_what_is_near_in_time_and_in_calls() {
        let open = [Incident::open(&alert("checkout", NOW))];
        for (service, later, joins) in [
            ("checkout", 0, true),
            ("payment", 5, true),
            ("bank", 30, true),
            ("cart", 5, true),
            ("bank", 31, false),
            ("mail", 0, false),
            ("unheard-of", 0, false),
            ("checkout", 600, true),
        ] {
            let alert = alert(service, NOW + later * MINUTE);
            assert_eq!(incident_of(&alert, &open, &shop()).is_some(), joins, "{service} {later}");
        }
    }

    #[test]
    fn three_calls_away_is_another_incident() {
        let open = [Incident::open(&alert("bank", NOW))];
        assert!(incident_of(&alert("web", NOW), &open, &shop()).is_none());
        assert!(incident_of(&alert("checkout", NOW), &open, &shop()).is_some());
    }

    #[test]
    fn an_incident_is_over_with_its_last_alert_and_may_come_back() {
        let (first, second) = (alert("checkout", NOW), alert("payment", NOW + MINUTE));
        let mut incident = Incident::open(&first);
        incident.join(&second);
        incident.leave(&first.resolved(NOW + 2 * MINUTE));
        assert_eq!(incident.resolved_unix_nano, None);
        incident.leave(&second.resolved(NOW + 3 * MINUTE));
        incident.leave(&second.resolved(NOW + 9 * MINUTE));
        assert_eq!(incident.resolved_unix_nano, Some(NOW + 3 * MINUTE));
        let again = alert("checkout", NOW + 13 * MINUTE);
        assert!(incident_of(&again, &[incident.clone()], &shop()).is_some());
        assert!(incident_of(&alert("checkout", NOW + 14 * MINUTE), &[incident.clone()], &shop()).is_none());
        incident.join(&again);
        assert_eq!((incident.resolved_unix_nano, incident.alerts.len()), (None, 3));
        let kinds: Vec<&str> = incident.timeline.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["alert_firing", "alert_firing", "alert_resolved", "alert_resolved", "alert_firing"]);
    }

    #[test]
    fn a_page_says_what_an_incident_of_tickets_is_about() {
        let ticket = Alert { severity: Severity::Ticket, ..alert("web", NOW) };
        let mut incident = Incident::open(&ticket);
        incident.cause = CauseStatus::only(CauseState::None);
        incident.join(&Alert { severity: Severity::Ticket, ..alert("cart", NOW) });
        assert_eq!((incident.service.as_str(), incident.cause.state), ("web", CauseState::None));
        incident.join(&alert("checkout", NOW));
        assert_eq!((incident.service.as_str(), incident.cause.state), ("checkout", CauseState::Running));
        incident.join(&alert("payment", NOW));
        assert_eq!((incident.service.as_str(), incident.id.as_str()), ("checkout", ticket.id.as_str()));
    }

    #[test]
    fn a_cause_is_looked_for_until_it_is_found_and_then_stays() {
        let first = alert("web", NOW);
        let mut incident = Incident::open(&first);
        let event = |kind, unix_nano| Event { unix_nano, kind, title: Texts::new("", ""), service: None, link: None };
        let report = |at| vec![event(EventKind::Onset, at - 1), event(EventKind::Report, at)];
        let none = CauseStatus::only(CauseState::None);
        incident.explain(none.clone(), report(NOW + 1));
        incident.explain(none.clone(), report(NOW + 2));
        assert!(incident.is_searched_for(&first));
        assert!(!incident.is_searched_for(&Alert { severity: Severity::Ticket, ..first.clone() }));
        let told = |incident: &Incident| -> Vec<i64> {
            incident.timeline.iter().skip(1).map(|event| event.unix_nano - NOW).collect()
        };
        assert_eq!(told(&incident), [1, 1], "the same answer is told once, the newest onset stands");
        incident.explain(CauseStatus::only(CauseState::Found), report(NOW + 3));
        incident.explain(none, report(NOW + 4));
        assert_eq!((incident.cause.state, told(&incident)), (CauseState::Found, vec![1, 2, 3]));
        assert!(!incident.is_searched_for(&first));
    }

    #[test]
    fn the_oldest_of_two_near_incidents_takes_the_alert() {
        let open = [Incident::open(&alert("payment", NOW + MINUTE)), Incident::open(&alert("web", NOW))];
        let found = incident_of(&alert("checkout", NOW + 2 * MINUTE), &open, &shop()).unwrap();
        assert_eq!(found.service, "web");
    }

    #[test]
    fn call_cycles_end() {
        let cycle = Neighbours::new([("a".to_owned(), "b".to_owned()), ("b".to_owned(), "a".to_owned())]);
        let open = [Incident::open(&alert("c", NOW))];
        assert!(incident_of(&alert("a", NOW), &open, &cycle).is_none());
    }

    #[test]
    fn what_is_kept_is_what_comes_back() {
        let incident = Incident::open(&alert("checkout", NOW));
        let json = serde_json::to_string(&incident).unwrap();
        assert_eq!(serde_json::from_str::<Incident>(&json).unwrap(), incident);
    }
}
