//! `rootline catalog`: the catalog of a stopped server's data directory.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use config::Flag;
use storage::catalog::rebuild::{self, OldLog, Rebuilt, rebuild};

use super::print;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the catalog anew from the segments, with what can be read of the old one.
    Rebuild(Options),
}

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Data directory; no server may use it [default: as configured]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Configuration file [default: rootline.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Rows of the log where segments of an early version do not say whether they have them
    #[arg(long, value_name = "WHAT")]
    old_log: Option<Choice>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    /// Store them; they may be there twice
    Replay,
    /// Leave them out; they may be lost
    Skip,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let Command::Rebuild(options) = command;
    let flag = options.data_dir.map(|value| Flag { name: "--data-dir", key: "storage.data_dir", value });
    let config = config::load(options.config.as_deref(), &flag.into_iter().collect::<Vec<_>>())?;
    let old_log = options.old_log.map(|choice| match choice {
        Choice::Replay => OldLog::Replay,
        Choice::Skip => OldLog::Skip,
    });
    let choices = rebuild::Options { dry_run: options.dry_run, old_log };
    let rebuilt = rebuild(&config.storage.data_dir, choices).await?;
    if options.json {
        return print::line(serde_json::to_string(&rebuilt)?);
    }
    print::line(text(&rebuilt, options.dry_run))
}

/// What was done, for a person.
fn text(rebuilt: &Rebuilt, dry_run: bool) -> String {
    let mut lines: Vec<String> = rebuilt.lost.iter().map(|what| format!("lost: {what}")).collect();
    lines.extend(rebuilt.set_aside.iter().map(|file| format!("set aside: {}: {}", file.path, file.why)));
    let verb = if dry_run { "would have" } else { "has" };
    lines.push(format!(
        "the new catalog {verb} {} segments ({} rows), {} documents, {} batch keys, the memory of {} tables",
        rebuilt.segments, rebuilt.rows, rebuilt.documents, rebuilt.batch_keys, rebuilt.states
    ));
    lines.extend(rebuilt.old_catalog.iter().map(|name| format!("the old catalog is kept as {name}")));
    lines.extend(rebuilt.set_aside_in.iter().map(|name| {
        format!("files that are not needed are in {name}; delete it once `rootline scrub` and the data are as expected")
    }));
    print::inert(&lines.join("\n"))
}
