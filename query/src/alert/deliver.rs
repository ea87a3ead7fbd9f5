//! The rim: sends what the outbox holds, one courier a receiver, so that a dead one holds up nobody else.
//!
//! A message leaves the outbox in the transaction that says how it ended, after the receiver has answered. Dying in between
//! means sending it once more with the same id; dying before means sending it after the start.

use std::{error::Error as StdError, time::Duration};

use storage::clock::Clock;
use tokio::sync::watch;

use super::{
    notify::{
        DeliveryState, GIVE_UP_NANO, Notification, Outcome, Receiver, ReceiverKind, alertmanager_body, outcome_of,
        retry_delay, webhook_body,
    },
    record::Records,
    state::Alert,
    target::{Outgoing, Refused},
};
use crate::error::Result;

/// When the catalog cannot be read or written, it is tried again after this.
const CATALOG_PAUSE: Duration = Duration::from_secs(1);
/// Without anything to do, the outbox is looked at this often all the same.
const IDLE: Duration = Duration::from_secs(60);

/// Delivers the messages of one receiver, in their order.
#[derive(Clone, Debug)]
pub struct Courier {
    /// Who is told.
    pub receiver: Receiver,
    /// Where messages are kept.
    pub records: Records,
    /// How to reach anybody.
    pub outgoing: Outgoing,
    /// Time.
    pub clock: Clock,
    /// Beginning of links.
    pub external_url: String,
    /// How often an Alertmanager hears of a firing alert.
    pub resend: Duration,
}

impl Courier {
    /// Delivers for ever; `wake` tells that there may be something new.
    pub async fn run(self, mut wake: watch::Receiver<u64>) {
        let mut resend = self.clock.interval(self.resend);
        loop {
            wake.mark_unchanged();
            let wait = match self.deliver_waiting().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(receiver = self.receiver.name(), %error, "messages wait for the catalog");
                    CATALOG_PAUSE
                }
            };
            tokio::select! {
                // The sender is gone when the server stops; the task is ended by then.
                Ok(()) = wake.changed() => {}
                () = self.clock.sleep(wait) => {}
                () = resend.tick(), if self.receiver.kind == ReceiverKind::Alertmanager => self.resend_firing().await,
            }
        }
    }

    /// Sends what waits, oldest first. After a try that may succeed later, returns how long to wait before the next.
    async fn deliver_waiting(&self) -> Result<Duration> {
        let waiting = self.records.outbox().await?;
        for mut message in waiting.into_iter().filter(|message| message.receiver == self.receiver) {
            let outcome = self.send(&message).await;
            self.note_outcome(&mut message, outcome);
            self.records.tried(&message).await?;
            if message.state == DeliveryState::Waiting {
                // Later messages stay behind it: nobody hears of an end before the beginning.
                return Ok(retry_delay(&message));
            }
        }
        Ok(IDLE)
    }

    fn note_outcome(&self, message: &mut Notification, outcome: Outcome) {
        let now = self.clock.now_unix_nano();
        message.attempts = message.attempts.saturating_add(1);
        message.tried_unix_nano = Some(now);
        let too_old = now.saturating_sub(message.created_unix_nano) > GIVE_UP_NANO;
        (message.state, message.error) = match outcome {
            Outcome::Delivered => (DeliveryState::Delivered, None),
            Outcome::Retry(error) if !too_old => (DeliveryState::Waiting, Some(error)),
            Outcome::Retry(error) | Outcome::Refused(error) => (DeliveryState::Failed, Some(error)),
        };
        let result = message.state.as_str();
        metrics::counter!("rootline_notifications_total", "result" => result).increment(1);
        if let Some(error) = &message.error {
            tracing::warn!(
                receiver = self.receiver.name(),
                alert = message.alert.id,
                result,
                error,
                "a notification was not delivered"
            );
        }
    }

    async fn send(&self, message: &Notification) -> Outcome {
        let body = match self.receiver.kind {
            ReceiverKind::Webhook => webhook_body(message, &self.external_url),
            ReceiverKind::Alertmanager => self.alertmanager_body([&message.alert]),
        };
        self.post(body).await
    }

    /// Tells an Alertmanager again what fires: it forgets by itself, and may have been started anew.
    async fn resend_firing(&self) {
        let alerts = match self.records.alerts().await {
            Ok(alerts) => alerts,
            Err(error) => return tracing::warn!(%error, "firing alerts cannot be read"),
        };
        let firing: Vec<&Alert> = alerts.iter().filter(|alert| alert.is_firing()).collect();
        if firing.is_empty() {
            return;
        }
        if let Outcome::Retry(error) | Outcome::Refused(error) = self.post(self.alertmanager_body(firing)).await {
            tracing::warn!(receiver = self.receiver.name(), error, "firing alerts were not sent again");
        }
    }

    fn alertmanager_body<'a>(&self, alerts: impl IntoIterator<Item = &'a Alert>) -> Vec<u8> {
        alertmanager_body(alerts, &self.external_url, self.resend, self.clock.now_unix_nano())
    }

    async fn post(&self, body: Vec<u8>) -> Outcome {
        let request = match self.outgoing.post(&self.receiver.post_url(), body) {
            Ok(request) => request,
            Err(refused) => return Outcome::Refused(refused),
        };
        // Only the status counts: whatever the body is, it is not read.
        match request.send().await {
            Ok(answer) => outcome_of(answer.status()),
            Err(error) if is_refused(&error) => Outcome::Refused(described(&error)),
            Err(error) => Outcome::Retry(described(&error)),
        }
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<Refused>().is_some())
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn StdError + 'static) = *error;
        error.source()
    })
}

/// The innermost causes, without the URL, which may hold a secret.
pub(super) fn described(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = causes(error).skip(1).map(ToString::to_string).collect();
    parts.dedup();
    if parts.is_empty() {
        parts.push(if error.is_timeout() { "timed out".to_owned() } else { "the request failed".to_owned() });
    }
    parts.join(": ")
}
