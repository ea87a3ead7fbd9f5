//! `rootline demo`: the shop's telemetry, to any OTLP/gRPC receiver.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::demo;

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
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    crate::self_telemetry::log_to_stderr()?;
    // An address without a scheme is what other flags take.
    let target = match options.target.contains("://") {
        true => options.target,
        false => format!("http://{}", options.target),
    };
    demo::run(demo::Options {
        target,
        token: config::client_token(),
        tls_ca_file: options.ca,
        seed: options.seed,
        history: options.history,
        spans_per_second: options.spans_per_second,
        live: !options.no_live,
    })
    .await
}
