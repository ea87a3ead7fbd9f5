//! Rootline: one server for metrics, traces and logs.
//!
//! Arguments -> `Config` -> rooms -> wait -> the same in reverse; see `server`. Everything else is a thin client of a
//! running server's HTTP API; see `cli`.

mod access;
mod cli;
mod demo;
mod limits;
mod listen;
mod process;
mod self_telemetry;
mod server;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    // rustls has two implementations of its cryptography; everything here uses this one.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        complain(&anyhow::anyhow!("another TLS implementation is installed already"));
        return ExitCode::FAILURE;
    }
    match cli::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// The causes of a failure on one line: what was tried first, why it failed last.
fn complain(error: &anyhow::Error) {
    use std::io::Write as _;
    // Nothing can be done where standard error is closed too.
    let _ = writeln!(std::io::stderr(), "rootline: {error:#}");
}
