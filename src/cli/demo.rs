//! `rootline demo`: the shop's telemetry, to any OTLP/gRPC receiver.

use std::{path::PathBuf, time::Duration};

use anyhow::ensure;
use clap::Args;

use crate::demo::{self, Kind, OneFault};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where to send it; a bearer token comes from ROOTLINE_TOKEN
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4317")]
    target: String,
    /// Certificates (PEM) to trust, for https targets
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The same seed makes the same telemetry
    #[arg(long, default_value_t = 47)]
    seed: u64,
    /// How much of the past is sent first
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    history: Duration,
    /// Average rate; logs and metrics follow it
    #[arg(long, default_value_t = 300)]
    spans_per_second: u32,
    /// Stop when the past is sent
    #[arg(long)]
    no_live: bool,
    /// The receiver's HTTP API, to announce deployments and flags at
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// One fault instead of each kind in turn
    #[arg(long, value_name = "KIND", requires = "fault_at")]
    fault: Option<Kind>,
    /// When it begins, from the beginning of the history
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, requires = "fault")]
    fault_at: Option<Duration>,
    /// How long it lasts
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "7m")]
    fault_for: Duration,
    /// For tests: write the schedule of faults, which the receiver does not learn, as JSON
    #[arg(long, value_name = "FILE", hide = true)]
    faults_json: Option<PathBuf>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    crate::self_telemetry::log_to_stderr()?;
    let fault = options.fault.zip(options.fault_at);
    let fault = fault.map(|(kind, at)| OneFault { kind, at, length: options.fault_for });
    if let Some(fault) = fault {
        ensure!(!fault.length.is_zero(), "--fault-for is zero");
        ensure!(
            !options.no_live || fault.at < options.history,
            "--fault-at lies beyond the history, and --no-live ends there"
        );
    }
    demo::run(demo::Options {
        target: url(options.target),
        token: config::client_token(),
        tls_ca_file: options.ca,
        seed: options.seed,
        history: options.history,
        spans_per_second: options.spans_per_second,
        live: !options.no_live,
        api: options.api.map(url),
        fault,
        truth_file: options.faults_json,
    })
    .await
}

/// An address without a scheme is what other flags take.
fn url(address: String) -> String {
    if address.contains("://") { address } else { format!("http://{address}") }
}
