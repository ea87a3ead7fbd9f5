//! The command line: the server, thin clients of its HTTP API, and what works on the directory of a stopped server.

mod catalog;
mod check;
mod client;
mod demo;
mod options;
mod print;
mod scrub;
mod sql;
mod tail;
mod token;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use self::options::ServeOptions;

/// One server for metrics, traces and logs: OTLP in, Parquet on disk, SQL and search out.
///
/// Without a subcommand it serves. Settings come from flags, then ROOTLINE__ROOM__KEY in the environment, then
/// rootline.toml, then defaults; see docs/configuration.md.
#[derive(Debug, Parser)]
#[command(name = "rootline", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive, store and answer until SIGTERM (the default).
    Serve(ServeOptions),
    /// Ask a running server in SQL.
    Sql(sql::Options),
    /// Follow log records as they arrive.
    Tail(tail::Options),
    /// Say why a service is in trouble.
    Why(why::Options),
    /// Validate the configuration without starting.
    Check(check::Options),
    /// Check every byte of a stopped server's data directory.
    Scrub(scrub::Options),
    /// The catalog of a stopped server's data directory.
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// Make bearer tokens.
    #[command(subcommand)]
    Token(token::Command),
    /// Send the telemetry of a 47-service shop to any OTLP/gRPC receiver.
    Demo(demo::Options),
}

/// Does what the arguments ask for, to its end.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let done = match arguments.command.unwrap_or(Command::Serve(arguments.serve)) {
        Command::Serve(options) => crate::server::run(&options),
        Command::Sql(options) => runtime()?.block_on(sql::run(options)),
        Command::Tail(options) => runtime()?.block_on(tail::run(options)),
        Command::Why(options) => runtime()?.block_on(why::run(options)),
        Command::Check(options) => check::run(&options),
        Command::Token(command) => token::run(&command),
        Command::Demo(options) => runtime()?.block_on(demo::run(options)),
        Command::Catalog(command) => runtime()?.block_on(catalog::run(command)),
        Command::Scrub(options) => return runtime()?.block_on(scrub::run(options)),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
