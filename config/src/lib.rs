//! Settings: which there are, with which units and defaults.
//!
//! [`load`] lays flags over environment over `rootline.toml` over [`DEFAULT_TOML`], refuses unknown keys and impossible
//! values by key, source and value, and hands out one [`Config`] of plain data. This file is the only one that reads the
//! environment, `memory` the only one that asks the machine for its size. [`objective`] reads OpenSLO documents in the same
//! spirit: text in, plain data or the place of the first mistake out.

mod error;
mod layers;
mod memory;
pub mod objective;
mod settings;
mod units;
mod validate;

use std::{fs, path::Path};

/// The defaults, as documented for people.
pub const DEFAULT_TOML: &str = include_str!("../default.toml");

/// The file that is read from the working directory when no other is named.
pub const DEFAULT_FILE: &str = "rootline.toml";

pub use self::{
    error::{Error, Problem},
    layers::Flag,
    memory::machine_memory_bytes,
    settings::{
        Alert, Auth, Cause, Compaction, Config, Ingest, Listen, LogFormat, Memory, Objective, Query, Retention,
        RetentionRule, Role, Rollup, RuleTable, Severity, Storage, Telemetry, Token,
    },
    units::{Age, Budget, ByteSize, Listener},
};

/// Reads and validates all settings once.
///
/// `file` must exist when named; without a name [`DEFAULT_FILE`] is read where there is one.
///
/// # Errors
/// Every unknown key, or else the first value of the wrong type, or else every impossible value, each with its source.
pub fn load(file: Option<&Path>, flags: &[Flag]) -> Result<Config, Error> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.is_none() => None,
        Err(error) => return Err(Error::file(path, error)),
    };
    let config = layers::merged(text.as_deref().map(|text| (path, text)), environment(), flags)?;
    Ok(config)
}

/// The bearer token of the command-line clients, from `ROOTLINE_TOKEN`: arguments are visible to other users.
pub fn client_token() -> Option<String> {
    variable("ROOTLINE_TOKEN")
}

/// Whether the crash tests' negative control is on, from `ROOTLINE_TESTING_ACKNOWLEDGE_EARLY`. Only a server built with
/// the feature `testing` asks.
pub fn testing_acknowledges_early() -> bool {
    variable("ROOTLINE_TESTING_ACKNOWLEDGE_EARLY").is_some()
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
