//! In which order the server starts, and stops in reverse.

use std::{fs, time::Duration};

use anyhow::Context as _;
use axum::{Router, routing::get};
use config::Config;
use storage::clock::Clock;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    cli::ServeOptions,
    listen::{Bound, Listeners},
    self_telemetry::SelfTelemetry,
};

/// From the signal to the exit, all in all; service managers wait longer before they kill.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// What requests get of it to finish; storage gets the rest.
const DRAIN_LIMIT: Duration = Duration::from_secs(3);
const REPORT_LIMIT: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(options: &ServeOptions) -> anyhow::Result<()> {
    let config = options.load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("rootline").build()?;
    runtime.block_on(serve(&config, options.demo))
}

async fn serve(config: &Config, demo: bool) -> anyhow::Result<()> {
    let clock = Clock::system();
    let telemetry = SelfTelemetry::start(&config.telemetry, &clock)?;
    let mut stop = Stop::new()?;
    let data_dir = &config.storage.data_dir;
    fs::create_dir_all(data_dir).with_context(|| format!("cannot create {} (storage.data_dir)", data_dir.display()))?;

    let listeners = Listeners::bind(config, &clock).await?;
    listeners.http.open(Router::new().route("/healthz", get(async || "ok\n")));
    listeners.bound.write(data_dir)?;
    let _ = demo;
    tracing::info!(http = ?listeners.bound.http, "ready");

    stop.asked().await;
    let started = clock.monotonic();
    tracing::info!("stopping");
    Bound::remove(data_dir)?;
    listeners.drain(DRAIN_LIMIT).await;
    telemetry.stop(REPORT_LIMIT).await;
    let _left = STOP_LIMIT.saturating_sub(clock.monotonic() - started);
    Ok(())
}

/// The wish to stop: SIGTERM from a service manager, SIGINT from a terminal.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
