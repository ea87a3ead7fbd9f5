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
        let mut unwritten = None;
        loop {
            wake.mark_unchanged();
            let wait = match self.deliver_waiting(&mut unwritten).await {
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
    ///
    /// A message whose end could not be written down is `unwritten`: it is written the next time, and not sent again.
    async fn deliver_waiting(&self, unwritten: &mut Option<Notification>) -> Result<Duration> {
        self.write_down(unwritten).await?;
        let waiting = self.records.outbox().await?;
        for mut message in waiting.into_iter().filter(|message| message.receiver == self.receiver) {
            // Later messages stay behind it: nobody hears of an end before the beginning.
            let wait = pause_before(&message, self.clock.now_unix_nano());
            if !wait.is_zero() {
                return Ok(wait);
            }
            let outcome = self.send(&message).await;
            self.note_outcome(&mut message, outcome);
            let pause = (message.state == DeliveryState::Waiting).then(|| retry_delay(&message));
            *unwritten = Some(message);
            self.write_down(unwritten).await?;
            if let Some(pause) = pause {
                return Ok(pause);
            }
        }
        Ok(IDLE)
    }

    async fn write_down(&self, unwritten: &mut Option<Notification>) -> Result<()> {
        if let Some(message) = unwritten {
            self.records.tried(message).await?;
            *unwritten = None;
        }
        Ok(())
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

/// How long a message must still wait after its last try, whatever woke the courier. A clock that was set back says nothing.
fn pause_before(message: &Notification, now_unix_nano: i64) -> Duration {
    let since = message.tried_unix_nano.and_then(|tried| u64::try_from(now_unix_nano.saturating_sub(tried)).ok());
    since.map_or(Duration::ZERO, |since| retry_delay(message).saturating_sub(Duration::from_nanos(since)))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use storage::catalog::MemoryCatalog;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::alert::{incident::Neighbours, record::Transitions, testing::alert};

    const NOW: i64 = 1_795_000_000_000_000_000;

    /// A webhook that answers every message with this status, and counts them.
    async fn webhook(status: &'static str) -> (String, watch::Receiver<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (count, counted) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 64 << 10];
                let _ = stream.read(&mut request).await.unwrap();
                count.send_modify(|count| *count += 1);
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (url, counted)
    }

    /// A courier to the webhook, with one message in the outbox.
    async fn courier(url: &str, catalog: MemoryCatalog, clock: &Clock) -> Courier {
        // Whoever was first has installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let receiver = Receiver { kind: ReceiverKind::Webhook, url: url.to_owned() };
        let whole = Records::new(Arc::new(catalog.clone()));
        let fired = Transitions { fired: vec![alert("shop", NOW)], resolved: Vec::new() };
        whole.commit(fired, &Neighbours::default(), std::slice::from_ref(&receiver), NOW).await.unwrap();
        Courier {
            receiver,
            records: whole,
            outgoing: Outgoing::new(true).unwrap(),
            clock: clock.clone(),
            external_url: String::new(),
            resend: Duration::from_secs(60),
        }
    }

    #[tokio::test]
    async fn what_was_delivered_is_written_down_again_and_not_sent_again() {
        let (url, counted) = webhook("200 OK").await;
        let catalog = MemoryCatalog::new();
        let clock = Clock::manual(NOW);
        let whole = courier(&url, catalog.clone(), &clock).await;
        // The catalog is out of reach from the moment at which the message has arrived.
        let arrived = counted.clone();
        let fails = catalog.failing(move |_| *arrived.borrow() > 0);
        let broken = Courier { records: Records::new(Arc::new(fails)), ..whole.clone() };
        let mut unwritten = None;
        for _ in 0..3 {
            assert!(broken.deliver_waiting(&mut unwritten).await.is_err());
        }
        assert_eq!(*counted.borrow(), 1);
        whole.deliver_waiting(&mut unwritten).await.unwrap();
        assert_eq!((*counted.borrow(), unwritten), (1, None));
        let [done] = &whole.records.notifications().await.unwrap()[..] else { panic!("one message") };
        assert_eq!(done.state, DeliveryState::Delivered);
    }

    #[tokio::test]
    async fn a_courier_that_is_woken_does_not_try_before_its_time() {
        let (url, counted) = webhook("503 Service Unavailable").await;
        let clock = Clock::manual(NOW);
        let courier = courier(&url, MemoryCatalog::new(), &clock).await;
        let pause = courier.deliver_waiting(&mut None).await.unwrap();
        assert_eq!(courier.deliver_waiting(&mut None).await.unwrap(), pause);
        assert_eq!(*counted.borrow(), 1);
        clock.advance(pause);
        courier.deliver_waiting(&mut None).await.unwrap();
        assert_eq!(*counted.borrow(), 2);
        clock.set_unix_nano(NOW - 86_400_000_000_000);
        courier.deliver_waiting(&mut None).await.unwrap();
        assert_eq!(*counted.borrow(), 3, "a clock that was set back holds up nobody");
    }
}
