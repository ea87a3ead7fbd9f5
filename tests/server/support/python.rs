//! Programs in Python: the OpenTelemetry SDK and readers of Parquet files.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// A Python with the packages of `clients/requirements.txt`; `RL_PYTHON` names it.
#[derive(Clone, Debug)]
pub(crate) struct Python(PathBuf);

impl Python {
    /// `None`, said loudly, where there is none: `make test` installs one.
    #[expect(clippy::disallowed_methods, reason = "the tests' own switch, not a setting of the server")]
    pub(crate) fn find(test: &str) -> Option<Self> {
        let python = std::env::var_os("RL_PYTHON").map(|path| Self(path.into()));
        if python.is_none() {
            eprintln!(
                "SKIPPED: {test}: RL_PYTHON names no Python with the packages of tests/server/clients/requirements.txt"
            );
        }
        python
    }

    /// Runs a script of `clients/` and returns what it printed, one JSON document.
    pub(crate) async fn run(&self, script: &str, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/clients").join(script);
        let mut command = Command::new(&self.0);
        command.arg(path).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        let output =
            tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("Python starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script} failed:\n{errors}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{script} printed no JSON ({error}):\n{}\n{errors}", String::from_utf8_lossy(&output.stdout))
        })
    }
}
