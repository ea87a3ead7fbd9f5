//! The demo: telemetry of a 47-service shop in three clouds, sent over OTLP/gRPC like any other client would.
//!
//! `catalogue` says who is in the shop, `world` gives everybody a machine, `traffic` makes one second of traces and logs,
//! `meters` folds seconds into metrics, `send` delivers. Everything but `send` and `pace` is a pure function of the seed
//! and the second, so two roads can run side by side: *fresh* sends the last minutes first and then lives on; *whole* goes
//! through the history in order, sends the part that `fresh` did not, and reads the instruments on the way.

mod catalogue;
mod logs;
mod meters;
mod pace;
mod send;
mod traffic;
mod values;
mod world;

use std::{ops::Range, path::PathBuf, sync::Arc, time::Duration};

use self::{
    meters::Meters,
    send::Sender,
    traffic::{Second, second},
    world::World,
};

/// Seconds of one step through the history, and between two readings of the instruments.
const STEP: u64 = 15;
/// What `fresh` sends before it goes live.
const FRESH: u64 = 120;
/// A second is sent this much later, when nearly all of its spans have ended.
const LAG: u64 = 3;

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
    /// Go on with the present; otherwise stop when the past is sent.
    pub(crate) live: bool,
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
    tracing::info!(receiver = options.target, history_seconds = now - start, "the demo shop opens");
    let demo = Demo { world, sender, spans_per_second: options.spans_per_second, live: options.live };
    tokio::try_join!(demo.fresh(fresh_start, now), demo.whole(start, fresh_start, now))?;
    Ok(())
}

struct Demo {
    world: Arc<World>,
    sender: Sender,
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
            self.sender.metrics(meters.read(&self.world, end * 1_000_000_000)).await?;
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
        let (world, rate) = (Arc::clone(&self.world), self.spans_per_second);
        Ok(tokio::task::spawn_blocking(move || seconds.map(|s| second(&world, s, rate)).collect()).await?)
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
