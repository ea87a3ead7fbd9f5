//! Programs in Python: the OpenTelemetry SDK and readers of Parquet files.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
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

    /// Any Python 3, for scripts that need no package. `None`, said loudly, where there is none.
    pub(crate) fn plain(test: &str) -> Option<Self> {
        let path = PathBuf::from("/usr/bin/python3");
        if !path.exists() {
            eprintln!("SKIPPED: {test}: there is no {}", path.display());
            return None;
        }
        Some(Self(path))
    }

    /// Starts a script of `clients/` that is talked to.
    pub(crate) fn start(&self, script: &str, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Child {
        let mut command = self.command(script, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts")
    }

    fn command(&self, script: &str, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Command {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/clients").join(script);
        let mut command = Command::new(&self.0);
        command.arg(path).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs a script of `clients/` and returns what it printed, one JSON document.
    pub(crate) async fn run(&self, script: &str, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Value {
        let mut command = self.command(script, arguments);
        let output =
            tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("Python starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script} failed:\n{errors}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{script} printed no JSON ({error}):\n{}\n{errors}", String::from_utf8_lossy(&output.stdout))
        })
    }
}
