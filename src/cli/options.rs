//! Flags of the server and the settings they stand for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use config::{Config, Flag};

/// Where the demo keeps its data unless told otherwise: never beside the operator's own.
const DEMO_DATA_DIR: &str = "rootline-demo-data";

/// Flags of `rootline serve`. Every other setting has a key in rootline.toml.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServeOptions {
    /// Configuration file [default: rootline.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where telemetry is kept [default: rootline-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Web UI and API: an address, port 0 for a free one, or "off" [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// OTLP/HTTP [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDRESS")]
    otlp_http: Option<String>,
    /// OTLP/gRPC [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDRESS")]
    otlp_grpc: Option<String>,
    /// How long everything is kept: "30d", "forever" [default: 30d, metrics 400d]
    #[arg(long, value_name = "AGE")]
    retention: Option<String>,
    /// Keep the server's own logs and traces in its own store [default: on]
    #[arg(long, value_name = "ON|OFF")]
    self_telemetry: Option<Switch>,
    /// Send itself the telemetry of a 47-service shop, kept in ./rootline-demo-data
    #[arg(long)]
    pub(crate) demo: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl ServeOptions {
    /// All settings, with these flags on top.
    pub(crate) fn load(&self) -> anyhow::Result<Config> {
        let mut flags = Vec::new();
        let mut flag = |name, key, value: Option<String>| {
            flags.extend(value.map(|value| Flag { name, key, value }));
        };
        let demo_dir = self.demo.then(|| DEMO_DATA_DIR.to_owned());
        flag("--demo", "storage.data_dir", demo_dir.filter(|_| self.data_dir.is_none()));
        flag("--data-dir", "storage.data_dir", self.data_dir.clone());
        flag("--http", "listen.http", self.http.clone());
        flag("--otlp-http", "listen.otlp_http", self.otlp_http.clone());
        flag("--otlp-grpc", "listen.otlp_grpc", self.otlp_grpc.clone());
        for key in ["retention.logs", "retention.spans", "retention.metrics"] {
            flag("--retention", key, self.retention.clone());
        }
        let self_telemetry = self.self_telemetry.map(|switch| matches!(switch, Switch::On).to_string());
        flag("--self-telemetry", "telemetry.self_telemetry", self_telemetry);
        Ok(config::load(self.config.as_deref(), &flags)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use config::{Age, Listener};

    use super::*;

    #[test]
    fn flags_are_settings() {
        let options = ServeOptions {
            data_dir: Some("here".to_owned()),
            http: Some("off".to_owned()),
            retention: Some("forever".to_owned()),
            self_telemetry: Some(Switch::Off),
            demo: true,
            ..ServeOptions::default()
        };
        let config = options.load().unwrap();
        assert_eq!(config.storage.data_dir, Path::new("here"));
        assert_eq!(config.listen.http, Listener::Off);
        assert_eq!(config.retention.metrics, Age::Forever);
        assert!(!config.telemetry.self_telemetry);
    }

    #[test]
    fn the_demo_stays_away_from_other_data() {
        let config = ServeOptions { demo: true, ..ServeOptions::default() }.load().unwrap();
        assert_eq!(config.storage.data_dir, Path::new(DEMO_DATA_DIR));
    }

    #[test]
    fn a_refused_flag_is_named() {
        let options = ServeOptions { retention: Some("soon".to_owned()), ..ServeOptions::default() };
        let message = options.load().unwrap_err().to_string();
        assert!(message.starts_with("retention.logs (flag --retention): found \"soon\":"), "{message}");
    }
}
