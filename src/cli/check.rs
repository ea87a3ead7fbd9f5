//! `rootline check`: would a server start with this?

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::print;
use crate::{listen, self_telemetry};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Directory that holds rootline.toml [default: the working directory]
    directory: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE", conflicts_with = "directory")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(directory) = &options.directory {
        // Paths in the configuration are relative to where the server starts: check from there.
        std::env::set_current_dir(directory).with_context(|| format!("cannot enter {}", directory.display()))?;
    }
    let config = match config::load(options.config.as_deref(), &[]) {
        Ok(config) => config,
        Err(error) => {
            if options.json {
                let problem = |problem: &config::Problem| {
                    serde_json::json!({
                        "key": problem.key, "source": problem.source, "found": problem.found, "allowed": problem.allowed,
                    })
                };
                let problems: Vec<_> = error.problems().iter().map(problem).collect();
                print::line(serde_json::json!({ "valid": false, "problems": problems }).to_string())?;
            }
            return Err(error.into());
        }
    };
    listen::tls_config(&config.listen)?;
    self_telemetry::level(&config.telemetry)?;
    if options.json {
        return print::line(serde_json::json!({ "valid": true, "problems": [] }).to_string());
    }
    let listen = &config.listen;
    let rows = [
        ("data directory", config.storage.data_dir.display().to_string()),
        ("HTTP", listen.http.to_string()),
        ("OTLP/gRPC", listen.otlp_grpc.to_string()),
        ("OTLP/HTTP", listen.otlp_http.to_string()),
        ("TLS", if listen.tls_certificate_file.as_os_str().is_empty() { "off" } else { "on" }.to_owned()),
        ("tokens", config.auth.tokens.len().to_string()),
        ("memory budget", config::ByteSize::bytes(config.memory.budget_bytes()).to_string()),
        (
            "retention",
            format!(
                "logs {}, spans {}, metrics {}",
                config.retention.logs, config.retention.spans, config.retention.metrics
            ),
        ),
    ];
    let rows = rows.map(|(name, value)| [name.to_owned(), value]);
    print::line(print::table(vec!["setting".to_owned(), "value".to_owned()], rows))?;
    print::line("valid")
}
