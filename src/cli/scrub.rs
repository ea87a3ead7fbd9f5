//! `rootline scrub`: is everything on disk what was written?

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use config::Flag;
use storage::scrub::{Finding, Report, scrub};

use super::print;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Data directory to check; no server may use it [default: as configured]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Configuration file [default: rootline.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Success without findings only.
pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let flag = options.data_dir.map(|value| Flag { name: "--data-dir", key: "storage.data_dir", value });
    let config = config::load(options.config.as_deref(), &flag.into_iter().collect::<Vec<_>>())?;
    let report = scrub(&config.storage.data_dir, config.compaction.grace).await?;
    if options.json {
        print::line(serde_json::to_string(&report)?)?;
    } else {
        print::line(text(&report))?;
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The report for a person.
fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    for (kind, list, more) in
        [("finding", &report.findings, report.more_findings), ("note", &report.notes, report.more_notes)]
    {
        lines.extend(list.iter().map(|finding| line(kind, finding)));
        if more > 0 {
            lines.push(format!("{kind}: and {more} more"));
        }
    }
    let read = &report.checked;
    lines.push(format!(
        "read {} segments ({} rows, {}), {} files of the log ({} frames, {}), {} documents",
        read.segments,
        read.rows,
        config::ByteSize::bytes(read.segment_bytes),
        read.wal_files,
        read.wal_frames,
        config::ByteSize::bytes(read.wal_bytes),
        read.documents,
    ));
    let findings = report.findings.len() as u64 + report.more_findings;
    lines.push(match findings {
        0 => "sound".to_owned(),
        1 => "1 finding".to_owned(),
        _ => format!("{findings} findings"),
    });
    print::inert(&lines.join("\n"))
}

fn line(kind: &str, finding: &Finding) -> String {
    let mut line = format!("{kind}: {}", finding.path);
    if let Some(offset) = finding.offset {
        line.push_str(&format!(" at byte {offset}"));
    }
    line.push_str(&format!(": {}", finding.problem));
    if let (Some(expected), Some(found)) = (&finding.expected, &finding.found) {
        line.push_str(&format!(": expected {expected}, found {found}"));
    }
    line.push_str(&format!("; {}", finding.advice));
    line
}
