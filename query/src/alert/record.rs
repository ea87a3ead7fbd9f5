//! What is kept of alerts: the catalog's documents, changed in one transaction each.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use storage::catalog::{Catalog, Document, DocumentChange};
use tokio::sync::{Mutex, MutexGuard};

use super::{
    causes::CauseAnswer,
    incident::{CauseState, CauseStatus, Event, EventKind, Incident, Neighbours, incident_of},
    notify::{DeliveryState, Notification, Occasion, Receiver, notifications},
    state::Alert,
    words::Texts,
};
use crate::error::{Error, ErrorKind, Result, of_storage};

const ALERT: &str = "alert";
const INCIDENT: &str = "incident";
/// Messages that are on their way.
const OUTBOX: &str = "outbox";
/// Messages that are done.
const NOTIFICATION: &str = "notification";
/// Documents of one kind that are looked at; retention keeps fewer.
const MAX_DOCUMENTS: usize = 20_000;
/// Alerts, incidents and messages that are kept of each, whatever their age.
const KEPT: usize = 10_000;
/// Longest note.
const MAX_NOTE_BYTES: usize = 16 << 10;

/// Alerts, incidents and messages in the catalog. Cheap to clone; clones share one order of changes.
#[derive(Clone, Debug)]
pub struct Records {
    catalog: Arc<dyn Catalog>,
    /// Incidents are read, changed and written: by one at a time.
    changing: Arc<Mutex<()>>,
}

/// What an evaluation changes.
#[derive(Clone, Debug, Default)]
pub struct Transitions {
    /// Alerts that fire from now on; their incident is not known yet.
    pub fired: Vec<Alert>,
    /// Alerts that are over.
    pub resolved: Vec<Alert>,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// Whether there is anything to send.
    pub has_messages: bool,
    /// The alerts that fire, with their incidents.
    pub fired: Vec<Alert>,
    /// Incidents whose cause is to be looked for, each with the alert that says where: new ones, and those that have become
    /// more urgent.
    pub unexplained: Vec<(String, Alert)>,
}

impl Records {
    /// Kept in this catalog.
    pub fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self { catalog, changing: Arc::default() }
    }

    /// Alerts, the newest change first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn alerts(&self) -> Result<Vec<Alert>> {
        self.list(ALERT, MAX_DOCUMENTS).await
    }

    /// Incidents, the newest change first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn incidents(&self) -> Result<Vec<Incident>> {
        self.list(INCIDENT, MAX_DOCUMENTS).await
    }

    /// One incident.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn incident(&self, id: &str) -> Result<Incident> {
        let document = self.catalog.document(INCIDENT, id).await.map_err(|error| of_storage(&error))?;
        let document =
            document.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no incident {id:?}")))?;
        serde_json::from_str(&document.body).map_err(|error| Error::internal(format!("incident {id}: {error}")))
    }

    /// Messages, done and on their way.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn notifications(&self) -> Result<Vec<Notification>> {
        let mut all: Vec<Notification> = self.list(OUTBOX, MAX_DOCUMENTS).await?;
        all.extend(self.list::<Notification>(NOTIFICATION, MAX_DOCUMENTS).await?);
        Ok(all)
    }

    /// Messages that are on their way, the oldest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn outbox(&self) -> Result<Vec<Notification>> {
        let mut waiting: Vec<Notification> = self.list(OUTBOX, MAX_DOCUMENTS).await?;
        waiting.sort_by(|a, b| (a.created_unix_nano, &a.id).cmp(&(b.created_unix_nano, &b.id)));
        Ok(waiting)
    }

    /// Keeps what an evaluation changed, the incidents that follow and the messages to send: all of it or nothing.
    ///
    /// # Errors
    /// `Unavailable` when it is not known to have happened: read the alerts again before the next evaluation.
    pub async fn commit(
        &self,
        transitions: Transitions,
        neighbours: &Neighbours,
        receivers: &[Receiver],
        now_unix_nano: i64,
    ) -> Result<Committed> {
        let _turn = self.turn().await;
        let mut incidents = self.incidents().await?;
        let mut changed = BTreeSet::new();
        let mut committed = Committed::default();
        let mut changes = Vec::new();
        for alert in &transitions.resolved {
            if let Some(incident) = incidents.iter_mut().find(|incident| incident.id == alert.incident) {
                incident.leave(alert);
                changed.insert(incident.id.clone());
            }
            changes.extend(alert_changes(alert, receivers, now_unix_nano)?);
        }
        for alert in transitions.fired {
            let known = incident_of(&alert, &incidents, neighbours).map(|incident| incident.id.clone());
            let alert = Alert { incident: known.clone().unwrap_or_else(|| alert.id.clone()), ..alert };
            let is_unexplained = match known.and_then(|id| incidents.iter_mut().find(|incident| incident.id == id)) {
                Some(incident) => {
                    let is_more_urgent = alert.severity > incident.severity;
                    incident.join(&alert);
                    // What the first alert did not tell this one may.
                    is_more_urgent || (incident.cause.state != CauseState::Running && incident.is_searched_for(&alert))
                }
                None => {
                    incidents.push(Incident::open(&alert));
                    true
                }
            };
            if is_unexplained {
                committed.unexplained.push((alert.incident.clone(), alert.clone()));
            }
            changed.insert(alert.incident.clone());
            changes.extend(alert_changes(&alert, receivers, now_unix_nano)?);
            committed.fired.push(alert);
        }
        for incident in incidents.iter().filter(|incident| changed.contains(&incident.id)) {
            changes.push(put_incident(incident)?);
        }
        self.change(&changes).await?;
        committed.has_messages = !changes.is_empty() && !receivers.is_empty();
        Ok(committed)
    }

    /// A message was tried: `notification` says how that ended.
    ///
    /// # Errors
    /// `Unavailable`: it will be tried again.
    pub async fn tried(&self, notification: &Notification) -> Result<()> {
        let put = |kind| put(kind, &notification.id, notification.created_unix_nano, notification);
        if notification.state == DeliveryState::Waiting {
            return self.change(&[put(OUTBOX)?]).await;
        }
        let _turn = self.turn().await;
        let mut changes =
            vec![DocumentChange::Remove { kind: OUTBOX, id: notification.id.clone() }, put(NOTIFICATION)?];
        // Retention may have taken the incident.
        if let Ok(mut incident) = self.incident(&notification.alert.incident).await {
            incident.add(notification_event(notification));
            changes.push(put_incident(&incident)?);
        }
        self.change(&changes).await
    }

    /// The search for an incident's cause, from this alert on, has ended. One that was overtaken by a more urgent alert
    /// changes nothing.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn explained(
        &self,
        incident: &str,
        alert: &Alert,
        answer: &CauseAnswer,
        now_unix_nano: i64,
    ) -> Result<()> {
        let _turn = self.turn().await;
        let mut incident = self.incident(incident).await?;
        if !incident.is_about(alert) {
            return Ok(());
        }
        incident.explain(answer.status.clone(), cause_events(answer, now_unix_nano));
        self.change(&[put_incident(&incident)?]).await
    }

    /// As [`Self::explained`], for a search that has failed. What an earlier one has said stays.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn not_explained(&self, incident: &str, alert: &Alert, summary: Texts) -> Result<()> {
        let _turn = self.turn().await;
        let mut incident = self.incident(incident).await?;
        if !incident.is_about(alert) || incident.cause.state != CauseState::Running {
            return Ok(());
        }
        incident.cause = CauseStatus { summary: Some(summary), ..CauseStatus::only(CauseState::Failed) };
        self.change(&[put_incident(&incident)?]).await
    }

    /// Somebody's note on an incident.
    ///
    /// # Errors
    /// `Invalid` when it is empty or too long; `NotFound`, `Unavailable`.
    pub async fn note(&self, incident: &str, text: &str, now_unix_nano: i64) -> Result<Incident> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_NOTE_BYTES {
            return Err(Error::invalid(format!("a note has 1 to {MAX_NOTE_BYTES} bytes")));
        }
        let _turn = self.turn().await;
        let mut incident = self.incident(incident).await?;
        incident.add(Event {
            unix_nano: now_unix_nano,
            kind: EventKind::Note,
            title: Texts::new(text, text),
            service: None,
            link: None,
        });
        self.change(&[put_incident(&incident)?]).await?;
        Ok(incident)
    }

    /// Forgets what is over and older than `before`, and what is over beyond the newest of its kind.
    ///
    /// # Errors
    /// `Unavailable`: the next run does it.
    pub async fn forget(&self, before_unix_nano: i64) -> Result<()> {
        let _turn = self.turn().await;
        let is_old = |index: usize, changed: i64| index >= KEPT || changed < before_unix_nano;
        let mut changes = Vec::new();
        let mut remove = |kind, id: &str| changes.push(DocumentChange::Remove { kind, id: id.to_owned() });
        for (index, alert) in self.alerts().await?.iter().enumerate() {
            if !alert.is_firing() && is_old(index, alert.changed_unix_nano()) {
                remove(ALERT, &alert.id);
            }
        }
        for (index, incident) in self.incidents().await?.iter().enumerate() {
            if incident.resolved_unix_nano.is_some() && is_old(index, incident.changed_unix_nano()) {
                remove(INCIDENT, &incident.id);
            }
        }
        let done: Vec<Notification> = self.list(NOTIFICATION, MAX_DOCUMENTS).await?;
        for (index, notification) in done.iter().enumerate() {
            if is_old(index, notification.created_unix_nano) {
                remove(NOTIFICATION, &notification.id);
            }
        }
        self.change(&changes).await
    }

    async fn turn(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    async fn change(&self, changes: &[DocumentChange]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.catalog.change_documents(changes).await.map_err(|error| of_storage(&error))
    }

    async fn list<T: DeserializeOwned>(&self, kind: &str, limit: usize) -> Result<Vec<T>> {
        let documents = self.catalog.documents(kind, limit).await.map_err(|error| of_storage(&error))?;
        let read = |document: Document| match serde_json::from_str(&document.body) {
            Ok(value) => Some(value),
            Err(error) => {
                // One that cannot be read must not hide the others.
                tracing::warn!(kind, id = document.id, %error, "a document of the catalog cannot be read");
                None
            }
        };
        Ok(documents.into_iter().filter_map(read).collect())
    }
}

fn alert_changes(alert: &Alert, receivers: &[Receiver], now_unix_nano: i64) -> Result<Vec<DocumentChange>> {
    let mut changes = vec![put(ALERT, &alert.id, alert.changed_unix_nano(), alert)?];
    for notification in notifications(alert, receivers, now_unix_nano) {
        changes.push(put(OUTBOX, &notification.id, notification.created_unix_nano, &notification)?);
    }
    Ok(changes)
}

fn put_incident(incident: &Incident) -> Result<DocumentChange> {
    put(INCIDENT, &incident.id, incident.changed_unix_nano(), incident)
}

fn put(kind: &'static str, id: &str, updated_unix_nano: i64, value: &impl Serialize) -> Result<DocumentChange> {
    let body = serde_json::to_string(value).map_err(|error| Error::internal(format!("{kind} {id}: {error}")))?;
    Ok(DocumentChange::Put { kind, document: Document { id: id.to_owned(), updated_unix_nano, body } })
}

fn notification_event(notification: &Notification) -> Event {
    let name = notification.receiver.name();
    let (en, zh) = match notification.occasion {
        Occasion::Firing => ("that it fires", "触发"),
        Occasion::Resolved => ("that it is resolved", "恢复"),
    };
    let title = match &notification.error {
        Some(error) if notification.state == DeliveryState::Failed => {
            Texts::new(format!("{name} could not be told {en}: {error}"), format!("未能通知 {name}({zh}):{error}"))
        }
        _ => Texts::new(format!("{name} was told {en}"), format!("已通知 {name}({zh})")),
    };
    Event {
        unix_nano: notification.tried_unix_nano.unwrap_or(notification.created_unix_nano),
        kind: EventKind::Notification,
        title,
        service: None,
        link: None,
    }
}

fn cause_events(answer: &CauseAnswer, now_unix_nano: i64) -> Vec<Event> {
    let link = answer.status.report.as_ref().map(|id| format!("/causes/{id}"));
    let mut events = Vec::new();
    events.extend(answer.onset_unix_nano.map(|unix_nano| Event {
        unix_nano,
        kind: EventKind::Onset,
        title: Texts::new("the data begin to deviate", "数据开始偏离"),
        service: answer.status.service.clone(),
        link: link.clone(),
    }));
    events.extend(answer.changes.iter().map(|(unix_nano, service, title)| Event {
        unix_nano: *unix_nano,
        kind: EventKind::Change,
        title: title.clone(),
        service: Some(service.clone()),
        link: None,
    }));
    let title = answer.status.summary.clone();
    events.push(Event {
        unix_nano: now_unix_nano,
        kind: EventKind::Report,
        title: title.unwrap_or_else(|| Texts::new("root-cause report", "根因报告")),
        service: answer.status.service.clone(),
        link,
    });
    events
}

#[cfg(test)]
mod tests {
    use storage::catalog::{CrashPoint, MemoryCatalog};

    use super::*;
    use crate::alert::{notify::ReceiverKind, testing::alert};

    const NOW: i64 = 1_795_000_000_000_000_000;

    fn receivers() -> Vec<Receiver> {
        vec![Receiver { kind: ReceiverKind::Webhook, url: "https://hooks.example/".to_owned() }]
    }

    fn fires(alerts: &[Alert]) -> Transitions {
        Transitions { fired: alerts.to_vec(), resolved: Vec::new() }
    }

    async fn committed(records: &Records, transitions: Transitions) -> Committed {
        records.commit(transitions, &Neighbours::default(), &receivers(), NOW).await.unwrap()
    }

    #[tokio::test]
    async fn an_alert_its_incident_and_its_messages_are_kept_together() {
        let catalog = MemoryCatalog::new();
        let records = Records::new(Arc::new(catalog.clone()));
        let done = committed(&records, fires(&[alert("checkout", NOW), alert("mail", NOW)])).await;
        assert_eq!((done.fired.len(), done.unexplained.len()), (2, 2));
        assert_eq!(done.fired[0].incident, done.fired[0].id);
        assert_eq!(records.outbox().await.unwrap().len(), 2);

        let resolved = done.fired[0].resolved(NOW + 5);
        committed(&records, Transitions { fired: Vec::new(), resolved: vec![resolved.clone()] }).await;
        let incident = records.incident(&resolved.incident).await.unwrap();
        assert_eq!(incident.resolved_unix_nano, Some(NOW + 5));
        assert_eq!(records.outbox().await.unwrap().len(), 3);

        // A later process reads the same.
        let later = Records::new(Arc::new(catalog));
        let firing = later.alerts().await.unwrap().into_iter().filter(Alert::is_firing).count();
        assert_eq!(firing, 1);
    }

    #[tokio::test]
    async fn a_transaction_that_fails_leaves_nothing_and_one_that_is_lost_everything() {
        let catalog = MemoryCatalog::new();
        for (point, kept) in [(CrashPoint::Before, 0), (CrashPoint::After, 1)] {
            // The crash comes at the change of documents: the only operation that can crash after.
            let failing = catalog.failing(move |at| at == point);
            let records = Records::new(Arc::new(failing));
            let unsure =
                records.commit(fires(&[alert("checkout", NOW)]), &Neighbours::default(), &receivers(), NOW).await;
            assert!(unsure.is_err());
            let after = Records::new(Arc::new(catalog.clone()));
            assert_eq!(after.alerts().await.unwrap().len(), kept);
            assert_eq!(after.incidents().await.unwrap().len(), kept);
            assert_eq!(after.outbox().await.unwrap().len(), kept);
        }
    }

    #[tokio::test]
    async fn a_message_that_is_done_leaves_the_outbox_and_is_told_in_the_timeline() {
        let records = Records::new(Arc::new(MemoryCatalog::new()));
        committed(&records, fires(&[alert("checkout", NOW)])).await;
        let waiting = records.outbox().await.unwrap().remove(0);
        let tried = Notification { attempts: 1, error: Some("answered 503".to_owned()), ..waiting.clone() };
        records.tried(&tried).await.unwrap();
        assert_eq!(records.outbox().await.unwrap()[0].attempts, 1);
        records
            .tried(&Notification { state: DeliveryState::Delivered, attempts: 2, error: None, ..tried })
            .await
            .unwrap();
        assert_eq!(records.outbox().await.unwrap(), []);
        assert_eq!(records.notifications().await.unwrap()[0].state, DeliveryState::Delivered);
        let incident = records.incident(&waiting.alert.incident).await.unwrap();
        assert_eq!(incident.timeline.last().unwrap().title.en, "webhook hooks.example was told that it fires");
    }

    #[tokio::test]
    async fn what_fires_is_kept_however_old_it_is() {
        let records = Records::new(Arc::new(MemoryCatalog::new()));
        let done = committed(&records, fires(&[alert("checkout", NOW), alert("mail", NOW)])).await;
        committed(&records, Transitions { fired: Vec::new(), resolved: vec![done.fired[0].resolved(NOW + 1)] }).await;
        records.forget(NOW + 2).await.unwrap();
        let alerts = records.alerts().await.unwrap();
        assert_eq!(alerts.iter().map(|alert| alert.service.as_str()).collect::<Vec<_>>(), ["mail"]);
        assert_eq!(records.incidents().await.unwrap().len(), 1);
        assert_eq!(records.outbox().await.unwrap().len(), 3, "what is on its way stays");
    }

    #[tokio::test]
    async fn notes_and_causes_stand_in_the_timeline() {
        let records = Records::new(Arc::new(MemoryCatalog::new()));
        let id = committed(&records, fires(&[alert("checkout", NOW)])).await.fired[0].incident.clone();
        assert!(records.note(&id, "  ", NOW).await.is_err());
        assert!(records.note("no-such", "hello", NOW).await.is_err());
        records.note(&id, "rolled back", NOW + 9).await.unwrap();
        let status = CauseStatus { report: Some("r1".to_owned()), ..CauseStatus::only(CauseState::Found) };
        let changes = vec![(NOW - 9, "payment".to_owned(), Texts::new("payment 1.2", "payment 1.2"))];
        let answer = CauseAnswer { status, onset_unix_nano: Some(NOW - 5), changes };
        records.explained(&id, &alert("checkout", NOW), &answer, NOW + 3).await.unwrap();
        records.not_explained(&id, &alert("web", NOW), Texts::new("overtaken", "已过时")).await.unwrap();
        let incident = records.incident(&id).await.unwrap();
        let kinds: Vec<&str> = incident.timeline.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["change", "onset", "alert_firing", "report", "note"]);
        assert_eq!(incident.cause.state, CauseState::Found);
    }
}
