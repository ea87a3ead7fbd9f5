//! What runs beside the questions: evaluations, couriers, searches for causes. Each is started again should it panic.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use config::Config;
use futures::FutureExt as _;
use storage::clock::Clock;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::task::AbortOnDropHandle;

use super::evaluate::Evaluator;
use crate::{
    Query,
    alert::{
        causes::{CauseRequest, Causes},
        deliver::Courier,
        notify::{DeliveryState, Notification, Receiver},
        record::Records,
        state::Alert,
        target::Outgoing,
        words::Texts,
    },
    error::Result,
};

/// What is old is forgotten this often.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);
/// A task that panicked is started again after this.
const RESTART: Duration = Duration::from_secs(1);
/// Seconds after which a cause that was not found is looked for again, while its incident is open.
const SEARCH_AGAIN_SECONDS: [u64; 5] = [15, 30, 60, 120, 300];
/// What keeping the report may take beyond the search's `cause.timeout`.
const CAUSE_GRACE: Duration = Duration::from_secs(10);

/// The tasks. Dropping it ends them at once; whatever they were at is done again after the next start.
#[derive(Debug)]
pub struct Watch {
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// What every task needs.
#[derive(Clone, Debug)]
struct Context {
    query: Query,
    records: Records,
    config: Arc<Config>,
    clock: Clock,
    causes: Option<Arc<dyn Causes>>,
    wake: watch::Sender<u64>,
}

/// Searches for causes: one an incident, the newest.
#[derive(Debug, Default)]
struct Searches {
    tasks: HashMap<String, AbortOnDropHandle<()>>,
}

impl Searches {
    /// Begins a search; an earlier one for the same incident ends.
    fn start(&mut self, incident: String, search: impl Future<Output = ()> + Send + 'static) {
        self.tasks.insert(incident, AbortOnDropHandle::new(tokio::spawn(search)));
    }

    fn forget_finished(&mut self) {
        self.tasks.retain(|_, task| !task.is_finished());
    }
}

/// Starts to evaluate the objectives of `config` over the store of `query`, to tell its receivers, and to ask `causes` about
/// each new incident.
///
/// # Errors
/// `Impossible` over rows that are in no store; `Internal` when TLS cannot be set up.
pub fn start(query: &Query, config: &Config, causes: Option<Arc<dyn Causes>>) -> Result<Watch> {
    let context = Context {
        query: query.clone(),
        records: query.records()?.clone(),
        config: Arc::new(config.clone()),
        clock: query.clock(),
        causes,
        wake: watch::channel(0).0,
    };
    let mut tasks = Vec::new();
    for receiver in Receiver::of(&config.alert) {
        let outgoing = Outgoing::new(config.alert.allow_private_targets)?;
        let courier = Courier {
            receiver,
            records: context.records.clone(),
            outgoing,
            clock: context.clock.clone(),
            external_url: config.alert.external_url.clone(),
            resend: config.alert.resend,
        };
        let wake = context.wake.subscribe();
        tasks.push(supervised("courier", context.clock.clone(), move || courier.clone().run(wake.clone())));
    }
    let evaluation = context.clone();
    tasks.push(supervised("evaluation", context.clock.clone(), move || evaluation.clone().evaluate_for_ever()));
    Ok(Watch { _tasks: tasks.into_iter().map(AbortOnDropHandle::new).collect() })
}

/// Runs a task for ever, again after a panic.
fn supervised<F>(name: &'static str, clock: Clock, make: impl Fn() -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        while let Err(error) = AbortOnDropHandle::new(tokio::spawn(make())).await {
            tracing::error!(task = name, %error, "a task ended early and is started again");
            clock.sleep(RESTART).await;
        }
    })
}

impl Context {
    async fn evaluate_for_ever(self) {
        let mut evaluator = Evaluator::new(&self.query, self.records.clone(), &self.config);
        let mut ticks = self.clock.interval(self.config.objective.interval);
        let mut searches = Searches::default();
        let mut is_taken_up = false;
        let mut forgotten: Option<Duration> = None;
        loop {
            let started = self.clock.monotonic();
            match evaluator.evaluate().await {
                Ok(committed) => {
                    metrics::histogram!("rootline_objective_evaluation_seconds")
                        .record(self.clock.monotonic().saturating_sub(started).as_secs_f64());
                    if committed.has_messages {
                        self.wake.send_modify(|changes| *changes += 1);
                    }
                    // Not before: a search asks what the objectives have counted.
                    is_taken_up = is_taken_up || self.take_up(&mut searches).await;
                    for (incident, alert) in committed.unexplained {
                        searches.start(incident.clone(), self.clone().explain(incident, alert));
                    }
                }
                Err(error) => {
                    metrics::counter!("rootline_objective_evaluation_errors_total").increment(1);
                    tracing::warn!(%error, "objectives were not evaluated");
                }
            }
            if forgotten.is_none_or(|at| started.saturating_sub(at) >= FORGET_EVERY) {
                forgotten = Some(started);
                self.forget().await;
            }
            searches.forget_finished();
            ticks.tick().await;
        }
    }

    /// What a process before this one has left open: searches that did not end, messages to receivers that are gone. Whether
    /// that could be read.
    async fn take_up(&self, searches: &mut Searches) -> bool {
        let (incidents, alerts) = match (self.records.incidents().await, self.records.alerts().await) {
            (Ok(incidents), Ok(alerts)) => (incidents, alerts),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "open incidents cannot be read");
                return false;
            }
        };
        for incident in incidents {
            // The alert that says where: the first of the most urgent ones.
            let of_incident =
                alerts.iter().filter(|alert| alert.incident == incident.id && incident.is_searched_for(alert));
            if let Some(alert) = of_incident.min_by_key(|alert| alert.started_unix_nano) {
                searches.start(incident.id.clone(), self.clone().explain(incident.id, alert.clone()));
            }
        }
        let receivers = Receiver::of(&self.config.alert);
        for message in self.records.outbox().await.unwrap_or_default() {
            if !receivers.contains(&message.receiver) {
                let error = Some("the receiver is not configured any more".to_owned());
                let failed = Notification { state: DeliveryState::Failed, error, ..message };
                if let Err(error) = self.records.tried(&failed).await {
                    tracing::warn!(%error, "a message to nobody stays");
                }
            }
        }
        true
    }

    /// Asks why, and writes the answer into the incident. Where nothing is found, or the search fails, asks again while the
    /// incident is open: a minute of trouble may say what its first seconds did not.
    async fn explain(self, incident: String, alert: Alert) {
        for pause in SEARCH_AGAIN_SECONDS.map(Duration::from_secs).into_iter().map(Some).chain([None]) {
            self.explain_once(&incident, &alert).await;
            let Some(pause) = pause.filter(|_| self.causes.is_some()) else { return };
            if self.has_ended(&incident, &alert).await {
                return;
            }
            self.clock.sleep(pause).await;
            if self.has_ended(&incident, &alert).await {
                return;
            }
        }
    }

    /// Whether there is nothing left to find out. A catalog that does not answer says nothing of that.
    async fn has_ended(&self, incident: &str, alert: &Alert) -> bool {
        match self.records.incident(incident).await {
            Ok(open) => !open.is_searched_for(alert),
            Err(error) => error.kind() == crate::ErrorKind::NotFound,
        }
    }

    async fn explain_once(&self, incident: &str, alert: &Alert) {
        let kept = match self.answer(incident, alert.clone()).await {
            Ok(answer) => self.records.explained(incident, alert, &answer, self.clock.now_unix_nano()).await,
            Err(summary) => self.records.not_explained(incident, alert, summary).await,
        };
        if let Err(error) = kept {
            tracing::warn!(incident, %error, "the cause was not written down");
        }
    }

    async fn answer(
        &self,
        incident: &str,
        alert: Alert,
    ) -> std::result::Result<crate::alert::causes::CauseAnswer, Texts> {
        let Some(causes) = &self.causes else {
            return Err(Texts::new("this server does not look for causes", "此服务器未启用根因分析"));
        };
        let request = CauseRequest {
            incident: incident.to_owned(),
            service: alert.service,
            operation: alert.operation,
            objective: alert.objective,
            alert: alert.id,
            severity: alert.severity,
            fired_unix_nano: alert.started_unix_nano,
            long_window_seconds: alert.long_window_seconds,
        };
        let limit = self.config.cause.timeout + CAUSE_GRACE;
        // A panic ends this search only, and is seen in the incident.
        let search = AssertUnwindSafe(causes.explain(request)).catch_unwind();
        match self.clock.timeout(limit, search).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(Texts::new(format!("no report: {error}"), format!("无法生成报告:{error}"))),
            Ok(Err(_)) => {
                Err(Texts::new("no report: the search failed inside the server", "无法生成报告:服务器内部错误"))
            }
            Err(_) => Err(Texts::new("no report: it took too long", "无法生成报告:超时")),
        }
    }

    async fn forget(&self) {
        let keep = i64::try_from(self.config.cause.keep.as_nanos()).unwrap_or(i64::MAX);
        let before = self.clock.now_unix_nano().saturating_sub(keep);
        let reports = async { self.query.reports()?.forget(before).await };
        for result in [self.records.forget(before).await, reports.await] {
            if let Err(error) = result {
                tracing::warn!(%error, "old alerts, incidents and reports stay until the next run");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use storage::catalog::MemoryCatalog;

    use super::*;
    use crate::{
        Error,
        alert::{
            causes::CauseAnswer,
            incident::{CauseState, CauseStatus, Neighbours},
            record::Transitions,
            testing::alert,
        },
        testing,
    };

    const NOW: i64 = 1_795_000_000_000_000_000;

    /// Answers by the service it is asked about.
    #[derive(Debug)]
    struct Oracle(AtomicU32);

    #[async_trait]
    impl Causes for Oracle {
        async fn explain(&self, request: CauseRequest) -> Result<CauseAnswer> {
            match request.service.as_str() {
                "fails" => Err(Error::internal("no rows")),
                "panics" => panic!("a bug of the search"),
                "hangs" => std::future::pending().await,
                // Little is known at first.
                "young" if self.0.fetch_add(1, Ordering::SeqCst) < 2 => {
                    let status = CauseStatus::only(CauseState::NotEnoughData);
                    Ok(CauseAnswer { status, onset_unix_nano: None, changes: Vec::new() })
                }
                service => {
                    let status =
                        CauseStatus { service: Some(service.to_owned()), ..CauseStatus::only(CauseState::Found) };
                    Ok(CauseAnswer { status, onset_unix_nano: None, changes: Vec::new() })
                }
            }
        }
    }

    /// How the search from an alert of this service ends.
    async fn searched(service: &str, has_oracle: bool) -> CauseStatus {
        let records = Records::new(Arc::new(MemoryCatalog::new()));
        let fired = Transitions { fired: vec![alert(service, NOW)], resolved: Vec::new() };
        let committed = records.commit(fired, &Neighbours::default(), &[], NOW).await.unwrap();
        let (incident, alert) = committed.unexplained[0].clone();
        let clock = Clock::manual(NOW);
        let context = Context {
            query: testing::Rows::default().query(),
            records: records.clone(),
            config: Arc::new(testing::config()),
            clock: clock.clone(),
            causes: has_oracle.then(|| Arc::new(Oracle(AtomicU32::new(0))) as Arc<dyn Causes>),
            wake: watch::channel(0).0,
        };
        let search = tokio::spawn(context.explain(incident.clone(), alert));
        // Time passes only for who waits for it.
        while !search.is_finished() {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(1));
        }
        search.await.unwrap();
        records.incident(&incident).await.unwrap().cause
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_search_ends_and_its_incident_says_how() {
        for service in ["payment", "young"] {
            let found = searched(service, true).await;
            assert_eq!((found.state, found.service.as_deref()), (CauseState::Found, Some(service)));
        }
        for (service, expected) in [
            ("fails", "no report: no rows"),
            ("panics", "no report: the search failed inside the server"),
            ("hangs", "no report: it took too long"),
        ] {
            let cause = searched(service, true).await;
            assert_eq!((cause.state, cause.summary.unwrap().en.as_str()), (CauseState::Failed, expected));
        }
        assert_eq!(searched("payment", false).await.state, CauseState::Failed);
    }
}
