//! `rootline check`: would a server start with this?

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use config::objective::{Library, directory};

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
    let objectives = objectives(&config, options.json)?;
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
        ("objectives", format!("{objectives} in {}", config.objective_directory().display())),
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

/// How many objectives there are, if every file of theirs can be used.
fn objectives(config: &config::Config, json: bool) -> anyhow::Result<usize> {
    let path = config.objective_directory();
    let files =
        directory::read(&path).with_context(|| format!("cannot list {} (objective.directory)", path.display()))?;
    let mut library = Library::default();
    library.update(files, 0);
    let bad: Vec<_> = library.files().filter_map(|file| Some((path.join(file.name), file.problem?))).collect();
    if bad.is_empty() {
        return Ok(library.objectives().count());
    }
    if json {
        let problem = |(path, problem): &(PathBuf, &config::objective::Problem)| {
            serde_json::json!({
                "file": path, "line": problem.line, "column": problem.column, "field": problem.field,
                "message": problem.message,
            })
        };
        let problems: Vec<_> = bad.iter().map(problem).collect();
        print::line(serde_json::json!({ "valid": false, "problems": problems }).to_string())?;
    }
    let lines: Vec<String> = bad.iter().map(|(path, problem)| format!("{}: {problem}", path.display())).collect();
    anyhow::bail!(lines.join("\n"))
}
