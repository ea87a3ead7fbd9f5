//! What is said to whom, and when it is tried again: pure.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use jiff::Timestamp;
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    state::Alert,
    words::{alert_summary, length, percent},
};

/// A message that could not be delivered by then is given up.
pub const GIVE_UP_NANO: i64 = 24 * 3600 * 1_000_000_000;
/// An Alertmanager takes a firing alert for resolved when it has not heard of it for so many resends (as Prometheus does).
const RESENDS_UNTIL_RESOLVED: u32 = 4;

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Receiver {
    /// In which way.
    pub kind: ReceiverKind,
    /// Where: of a webhook as it is, of an Alertmanager the base.
    pub url: String,
}

/// In which way somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiverKind {
    /// One JSON document a message.
    Webhook,
    /// API version 2, again and again while an alert fires.
    Alertmanager,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// The alert fires.
    Firing,
    /// It is over.
    Resolved,
}

impl Occasion {
    /// As it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// On its way: not tried, or to be tried again.
    Waiting,
    /// The receiver has taken it.
    Delivered,
    /// The receiver refuses it, or must not be connected to, or did not take it within a day.
    Failed,
}

impl DeliveryState {
    /// As it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// One message to one receiver. Kept in the catalog as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Alert, occasion and receiver: the same for the same message.
    pub id: String,
    /// Who is told.
    pub receiver: Receiver,
    /// What it is about.
    pub occasion: Occasion,
    /// The alert as it was then.
    pub alert: Alert,
    /// When it was decided.
    pub created_unix_nano: i64,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was tried last.
    pub tried_unix_nano: Option<i64>,
    /// Why the last try failed.
    pub error: Option<String>,
}

impl Receiver {
    /// Those of the settings.
    pub fn of(settings: &config::Alert) -> Vec<Self> {
        let all = |kind: ReceiverKind, urls: &[String]| -> Vec<Self> {
            urls.iter().map(|url| Self { kind, url: url.clone() }).collect()
        };
        let mut receivers = all(ReceiverKind::Webhook, &settings.webhooks);
        receivers.extend(all(ReceiverKind::Alertmanager, &settings.alertmanagers));
        receivers
    }

    /// For people: kind and host. The rest of the URL may be a secret.
    pub fn name(&self) -> String {
        let url = self.url.parse::<Url>().ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or("?");
        let port = url.as_ref().and_then(Url::port).map_or_else(String::new, |port| format!(":{port}"));
        match self.kind {
            ReceiverKind::Webhook => format!("webhook {host}{port}"),
            ReceiverKind::Alertmanager => format!("alertmanager {host}{port}"),
        }
    }

    /// Where a message is posted to.
    pub fn post_url(&self) -> String {
        match self.kind {
            ReceiverKind::Webhook => self.url.clone(),
            ReceiverKind::Alertmanager => format!("{}/api/v2/alerts", self.url.trim_end_matches('/')),
        }
    }

    fn id(&self) -> String {
        let kind = match self.kind {
            ReceiverKind::Webhook => "webhook",
            ReceiverKind::Alertmanager => "alertmanager",
        };
        format!("{:08x}", xxh3_64(format!("{kind} {}", self.url).as_bytes()) >> 32)
    }
}

/// What everybody is told about an alert that has just fired or been resolved.
pub fn notifications(alert: &Alert, receivers: &[Receiver], now_unix_nano: i64) -> Vec<Notification> {
    let occasion = if alert.is_firing() { Occasion::Firing } else { Occasion::Resolved };
    let notification = |receiver: &Receiver| Notification {
        id: format!("{}-{}-{}", alert.id, occasion.as_str(), receiver.id()),
        receiver: receiver.clone(),
        occasion,
        alert: alert.clone(),
        created_unix_nano: now_unix_nano,
        state: DeliveryState::Waiting,
        attempts: 0,
        tried_unix_nano: None,
        error: None,
    };
    receivers.iter().map(notification).collect()
}

/// The document for a webhook: the same bytes for the same message. `id` tells a repetition from another message.
pub fn webhook_body(notification: &Notification, external_url: &str) -> Vec<u8> {
    let alert = &notification.alert;
    let summary = alert_summary(alert);
    let document = json!({
        "version": 1,
        "id": format!("{}-{}", alert.id, notification.occasion.as_str()),
        "event": notification.occasion.as_str(),
        "alert": {
            "id": alert.id,
            "slo": alert.objective,
            "display_name": alert.display_name,
            "service": alert.service,
            "operation": alert.operation,
            "severity": alert.severity.as_str(),
            "state": if alert.is_firing() { "firing" } else { "resolved" },
            "started_at": time(alert.started_unix_nano),
            "resolved_at": alert.resolved_unix_nano.map(time),
            "target_ratio": alert.target_ratio,
            "short_window_seconds": alert.short_window_seconds,
            "long_window_seconds": alert.long_window_seconds,
            "factor": alert.factor,
            "burn_short": alert.burn_short,
            "burn_long": alert.burn_long,
            "summary": { "en": summary.en, "zh": summary.zh },
        },
        "incident": { "id": alert.incident, "link": incident_link(alert, external_url) },
    });
    document.to_string().into_bytes()
}

/// What an Alertmanager is told. A firing alert ends by itself soon, unless it is told again.
pub fn alertmanager_body<'a>(
    alerts: impl IntoIterator<Item = &'a Alert>,
    external_url: &str,
    resend: Duration,
    now_unix_nano: i64,
) -> Vec<u8> {
    let alerts: Vec<Value> = alerts
        .into_iter()
        .map(|alert| {
            let lifetime = i64::try_from((resend * RESENDS_UNTIL_RESOLVED).as_nanos()).unwrap_or(i64::MAX);
            let ends = alert.resolved_unix_nano.unwrap_or_else(|| now_unix_nano.saturating_add(lifetime));
            let summary = alert_summary(alert);
            let mut labels = json!({
                "alertname": "ErrorBudgetBurn",
                "slo": alert.objective,
                "service": alert.service,
                "severity": alert.severity.as_str(),
            });
            if let Some(operation) = &alert.operation {
                labels["operation"] = json!(operation);
            }
            let mut alert_json = json!({
                "labels": labels,
                "annotations": {
                    "summary": summary.en,
                    "summary_zh": summary.zh,
                    "target": percent(alert.target_ratio),
                    "windows": format!("{} and {}", length(alert.short_window_seconds), length(alert.long_window_seconds)),
                    "incident": alert.incident,
                    "alert_id": alert.id,
                },
                "startsAt": time(alert.started_unix_nano),
                "endsAt": time(ends),
            });
            if let Some(link) = incident_link(alert, external_url) {
                alert_json["generatorURL"] = json!(link);
            }
            alert_json
        })
        .collect();
    Value::Array(alerts).to_string().into_bytes()
}

/// `None` where nobody has said how this server is reached.
fn incident_link(alert: &Alert, external_url: &str) -> Option<String> {
    let base = external_url.trim_end_matches('/');
    (!base.is_empty()).then(|| format!("{base}/incidents/{}", alert.incident))
}

fn time(unix_nano: i64) -> String {
    Timestamp::from_nanosecond(i128::from(unix_nano)).map_or_else(|_| String::new(), |time| format!("{time:.9}"))
}

/// What an answer means for its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Taken.
    Delivered,
    /// Not now.
    Retry(String),
    /// Never.
    Refused(String),
}

/// Success is taken; what a repetition cannot change is final; everything else may pass.
pub fn outcome_of(status: StatusCode) -> Outcome {
    if status.is_success() {
        return Outcome::Delivered;
    }
    let may_pass = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    if may_pass {
        Outcome::Retry(format!("answered {status}"))
    } else if status.is_redirection() {
        Outcome::Refused(format!("answered {status}: redirects are not followed"))
    } else {
        Outcome::Refused(format!("answered {status}"))
    }
}

/// How long to wait after so many attempts: 1 s, 2 s, 4 s, … 5 min, with up to as much again by chance.
pub fn retry_delay(notification: &Notification) -> Duration {
    let attempts = notification.attempts.max(1) as usize;
    let mut delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(Duration::from_secs(300))
        .with_jitter()
        .with_jitter_seed(xxh3_64(notification.id.as_bytes()))
        .without_max_times()
        .build();
    delays.nth(attempts.min(20) - 1).unwrap_or(Duration::from_secs(300))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::testing::alert;

    const NOW: i64 = 1_795_000_000_000_000_000;

    fn receivers() -> Vec<Receiver> {
        vec![
            Receiver { kind: ReceiverKind::Webhook, url: "https://hooks.example:8443/T0/secret?token=x".to_owned() },
            Receiver { kind: ReceiverKind::Alertmanager, url: "http://alerts.example:9093/".to_owned() },
        ]
    }

    fn parsed(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn a_receiver_is_shown_without_its_secrets() {
        let names: Vec<String> = receivers().iter().map(Receiver::name).collect();
        assert_eq!(names, ["webhook hooks.example:8443", "alertmanager alerts.example:9093"]);
        assert_eq!(receivers()[1].post_url(), "http://alerts.example:9093/api/v2/alerts");
    }

    #[test]
    fn the_same_message_is_the_same_document() {
        let firing = alert("checkout", NOW);
        let [first, again] = [NOW, NOW + 5].map(|now| notifications(&firing, &receivers(), now).remove(0));
        assert_eq!(first.id, again.id);
        let body = webhook_body(&first, "https://telemetry.example/");
        assert_eq!(body, webhook_body(&again, "https://telemetry.example/"));
        let resolved = notifications(&firing.resolved(NOW + 9), &receivers(), NOW + 9).remove(0);
        assert_ne!(resolved.id, first.id);
        let document = parsed(&body);
        assert_eq!(document["id"], format!("{}-firing", firing.id));
        assert_eq!(document["event"], "firing");
        assert_eq!(document["alert"]["started_at"], "2026-11-18T11:06:40.000000000Z");
        assert_eq!(document["incident"]["link"], "https://telemetry.example/incidents/00000000000000aa");
        assert_eq!(parsed(&webhook_body(&first, ""))["incident"]["link"], Value::Null);
        assert_eq!(parsed(&webhook_body(&resolved, ""))["alert"]["state"], "resolved");
    }

    #[test]
    fn an_alertmanager_hears_that_a_firing_alert_ends_later() {
        let firing = alert("checkout", NOW);
        let resolved = firing.resolved(NOW + 60_000_000_000);
        let body = parsed(&alertmanager_body([&firing, &resolved], "", Duration::from_secs(60), NOW));
        assert_eq!(body[0]["startsAt"], "2026-11-18T11:06:40.000000000Z");
        assert_eq!(body[0]["endsAt"], "2026-11-18T11:10:40.000000000Z");
        assert_eq!(body[1]["endsAt"], "2026-11-18T11:07:40.000000000Z");
        assert_eq!(body[0]["labels"], body[1]["labels"], "labels are what Alertmanager knows an alert by");
    }

    #[test]
    fn answers_are_final_or_may_pass() {
        for (status, expected) in [
            (200, "Delivered"),
            (202, "Delivered"),
            (301, "Refused"),
            (400, "Refused"),
            (404, "Refused"),
            (408, "Retry"),
            (429, "Retry"),
            (500, "Retry"),
            (503, "Retry"),
        ] {
            let outcome = format!("{:?}", outcome_of(StatusCode::from_u16(status).unwrap()));
            assert!(outcome.starts_with(expected), "{status}: {outcome}");
        }
    }

    #[test]
    fn tries_become_rarer() {
        let mut message = notifications(&alert("checkout", NOW), &receivers(), NOW).remove(0);
        let delays: Vec<u64> = (1..=12)
            .map(|attempts| {
                message.attempts = attempts;
                retry_delay(&message).as_secs()
            })
            .collect();
        assert!((1..=2).contains(&delays[0]), "{delays:?}");
        assert!((300..=600).contains(&delays[11]), "{delays:?}");
        message.attempts = u32::MAX;
        assert!(retry_delay(&message).as_secs() <= 600);
    }
}
