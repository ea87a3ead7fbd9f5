//! Settings: which there are, with which units and defaults.

mod settings;
mod units;

/// The defaults, as documented for people.
pub const DEFAULT_TOML: &str = include_str!("../default.toml");

pub use self::{
    settings::{
        Auth, Compaction, Config, Ingest, Listen, LogFormat, Memory, Query, Retention, Role, Storage, Telemetry, Token,
    },
    units::{Age, Budget, ByteSize, Listener},
};
