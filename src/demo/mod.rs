//! The demo: telemetry of a 47-service shop in three clouds, sent over OTLP/gRPC like any other client would.
//!
//! `catalogue` says who is in the shop, `world` gives everybody a machine, `fault` breaks and changes things on a schedule,
//! `conditions` is what that comes to in one second, `traffic` makes that second's traces and logs, `meters` folds seconds
//! into metrics, `send` and `announce` deliver. Everything but these two and `pace` is a pure function of the seed, the
//! schedule and the second, so two roads can run side by side: *fresh* sends the last minutes first and then lives on;
//! *whole* goes through the history in order, sends the part that `fresh` did not, announces changes and reads the
//! instruments on the way.

mod announce;
mod catalogue;
mod conditions;
mod estimate;
mod fault;
mod logs;
mod meters;
mod objectives;
mod pace;
mod send;
mod traffic;
mod values;
mod world;

use std::{ops::Range, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;

use self::{
    announce::{Announcer, is_announced},
    conditions::Conditions,
    fault::{Occurrence, Schedule},
    meters::Meters,
    send::Sender,
    traffic::{Second, second},
    world::World,
};
pub(crate) use self::{fault::Kind, objectives::write_objectives};

/// Seconds of one step through the history, and between two readings of the instruments.
const STEP: u64 = 15;
/// What `fresh` sends before it goes live.
const FRESH: u64 = 120;
/// A second is sent this much later, when nearly all of its spans have ended.
const LAG: u64 = 3;
/// The first fault begins so many seconds after the shop goes live.
const FIRST_FAULT: u64 = 90;
/// Faults that [`Options::truth_file`] tells of when there is no end to them.
const TOLD: u64 = 24;

/// What the demo sends, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// OTLP/gRPC endpoint, `http://host:port` or `https://host:port`.
    pub(crate) target: String,
    /// Bearer token of a receiver that asks for one.
    pub(crate) token: Option<String>,
    /// PEM file of the certificate authority of an `https` target.
    pub(crate) tls_ca_file: Option<PathBuf>,
    /// The same seed makes the same shop and, in the same second, the same telemetry.
    pub(crate) seed: u64,
    /// How much of the past is sent.
    pub(crate) history: Duration,
    /// Average rate; logs and metrics follow it.
    pub(crate) spans_per_second: u32,
    /// Go on with the present; otherwise stop when the past is sent. Faults in turn happen in the present only.
    pub(crate) live: bool,
    /// The receiver's HTTP API, `http://host:port`: changes are announced there.
    pub(crate) api: Option<String>,
    /// One fault instead of faults in turn.
    pub(crate) fault: Option<OneFault>,
    /// For tests: where the schedule of faults is written before anything is sent. The receiver never sees it.
    pub(crate) truth_file: Option<PathBuf>,
}

/// A fault that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneFault {
    pub(crate) kind: Kind,
    /// After the beginning of the history.
    pub(crate) at: Duration,
    pub(crate) length: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target: "http://127.0.0.1:4317".to_owned(),
            token: None,
            tls_ca_file: None,
            seed: 47,
            history: Duration::from_secs(3600),
            spans_per_second: 300,
            live: true,
            api: None,
            fault: None,
            truth_file: None,
        }
    }
}

/// Sends the shop's telemetry until the receiver refuses it for good; without `live`, until the history is sent.
///
/// # Errors
/// The target is no address, or it refused a request for a reason that waiting does not change.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let world = Arc::new(World::new(options.seed));
    let sender = Sender::new(&options, Arc::clone(&world))?;
    // Whole steps: the instruments of two runs are read at the same instants.
    let now = (pace::unix_second() - LAG) / STEP * STEP;
    let start = now - options.history.as_secs().div_ceil(STEP) * STEP;
    let fresh_start = start.max(now.saturating_sub(FRESH));
    let schedule = schedule(&options, start, now);
    if let Some(file) = &options.truth_file {
        std::fs::write(file, truth(&world, &schedule)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let announcer = options.api.as_ref();
    let announcer =
        announcer.map(|api| Announcer::new(api, options.token.clone(), options.tls_ca_file.as_deref())).transpose()?;
    tracing::info!(receiver = options.target, history_seconds = now - start, "the demo shop opens");
    let demo =
        Demo { world, schedule, sender, announcer, spans_per_second: options.spans_per_second, live: options.live };
    tokio::try_join!(demo.fresh(fresh_start, now), demo.whole(start, fresh_start, now))?;
    Ok(())
}

/// The calendar of a shop whose history is `[start, now)`.
fn schedule(options: &Options, start: u64, now: u64) -> Schedule {
    let (anchor, occurrence) = match options.fault {
        Some(fault) => (start + fault.at.as_secs(), Occurrence::Once(fault.kind, fault.length.as_secs())),
        None if options.live => (now + FIRST_FAULT, Occurrence::InTurn),
        None => (now + FIRST_FAULT, Occurrence::Never),
    };
    Schedule { seed: options.seed, opens: start, anchor, occurrence }
}

/// A JSON array of the schedule's faults.
fn truth(world: &World, schedule: &Schedule) -> String {
    let faults = (0..TOLD).map_while(|number| schedule.fault(world, number));
    serde_json::Value::from(faults.map(|fault| fault.truth(world)).collect::<Vec<_>>()).to_string()
}

struct Demo {
    world: Arc<World>,
    schedule: Schedule,
    sender: Sender,
    announcer: Option<Announcer>,
    spans_per_second: u32,
    live: bool,
}

impl Demo {
    /// The last minutes, newest first, then each second as it passes.
    async fn fresh(&self, start: u64, now: u64) -> anyhow::Result<()> {
        for step in (0..(now - start) / STEP).rev() {
            let from = start + step * STEP;
            self.send(self.make(from..from + STEP).await?).await?;
        }
        if self.live {
            for unix_second in now.. {
                pace::until(unix_second + 1 + LAG).await;
                self.send(self.make(unix_second..unix_second + 1).await?).await?;
            }
        }
        Ok(())
    }

    /// The history in order, without the spans and logs from `fresh_start` on, but with all metrics.
    async fn whole(&self, start: u64, fresh_start: u64, now: u64) -> anyhow::Result<()> {
        let mut meters = Meters::new(start * 1_000_000_000);
        for step in 0.. {
            let from = start + step * STEP;
            let end = from + STEP;
            if from >= now {
                if !self.live {
                    break;
                }
                pace::until(end + LAG).await;
            }
            let seconds = self.make(from..end).await?;
            for second in &seconds {
                meters.add(second);
            }
            self.announce(from, end).await;
            let conditions = Conditions::at(&self.world, &self.schedule, end - 1);
            self.sender.metrics(meters.read(&self.world, &conditions, end * 1_000_000_000)).await?;
            if from < fresh_start {
                self.send(seconds).await?;
            }
            if end == now {
                tracing::info!("the demo shop has sent its history");
            }
        }
        Ok(())
    }

    /// Makes seconds on a thread where taking long hurts nobody.
    async fn make(&self, seconds: Range<u64>) -> anyhow::Result<Vec<Second>> {
        let (world, schedule, rate) = (Arc::clone(&self.world), self.schedule, self.spans_per_second);
        let make = move |unix_second| second(&world, &Conditions::at(&world, &schedule, unix_second), rate);
        Ok(tokio::task::spawn_blocking(move || seconds.map(make).collect()).await?)
    }

    /// Changes of `[from, end)`.
    async fn announce(&self, from: u64, end: u64) {
        let Some(announcer) = &self.announcer else { return };
        for change in self.schedule.changes(&self.world, end) {
            if change.at() >= from && is_announced(&change) {
                announcer.announce(&self.world, &change).await;
            }
        }
    }

    async fn send(&self, seconds: Vec<Second>) -> anyhow::Result<()> {
        let (mut spans, mut logs) = (Vec::new(), Vec::new());
        for second in seconds {
            spans.extend(second.spans);
            logs.extend(second.logs);
        }
        tokio::try_join!(self.sender.spans(spans), self.sender.logs(logs))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
