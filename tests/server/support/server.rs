//! The server as a process.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;

use super::wait::{eventually, within};

/// Longest start of a debug build on a busy machine, replay included.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// How long rows are kept; for ever unless set, because the samples are old.
    pub(crate) retention: Option<String>,
    /// Environment of the process.
    pub(crate) environment: Vec<(String, String)>,
    /// `rootline.toml`.
    pub(crate) configuration: String,
    /// Sent with every request of the clients.
    pub(crate) token: Option<String>,
    /// PEM file to trust; with it clients speak TLS.
    pub(crate) certificate: Option<PathBuf>,
    /// Where it keeps its data, if not in a directory of its own.
    pub(crate) data_dir: Option<PathBuf>,
    /// Addresses to listen on; free ones unless set.
    pub(crate) listeners: Option<Listeners>,
    /// The program; `RL_SERVER_BIN` or else the one built with the tests.
    pub(crate) program: Option<PathBuf>,
    /// Longest start, if another than [`START_LIMIT`].
    pub(crate) start_limit: Option<Duration>,
}

impl Setup {
    pub(crate) fn configured(configuration: impl Into<String>) -> Self {
        Self { configuration: configuration.into(), ..Self::default() }
    }
}

/// Contents of `listeners.json`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Listeners {
    pub(crate) http: String,
    pub(crate) otlp_grpc: String,
    pub(crate) otlp_http: String,
}

/// A running server on a directory of its own. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Option<Child>,
    home: Arc<TempDir>,
    pub(crate) setup: Setup,
    pub(crate) listeners: Listeners,
    pub(crate) http: reqwest::Client,
}

impl Server {
    /// A server with nothing but defaults, on an empty directory.
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub(crate) async fn start_with(setup: Setup) -> Self {
        let home = tempfile::Builder::new().prefix("rootline-test-").tempdir().expect("a temporary directory");
        Self::start_in(Arc::new(home), setup).await
    }

    /// A server in a directory that somebody else has prepared: its data is in `data` there.
    pub(crate) async fn start_in(home: Arc<TempDir>, setup: Setup) -> Self {
        let http = client(&setup);
        let mut server = Self { child: None, home, setup, listeners: Listeners::default(), http };
        server.try_restart().await.unwrap_or_else(|why| panic!("{why}"));
        server
    }

    /// Starts it again on the same directory.
    pub(crate) async fn restart(mut self) -> Self {
        self.try_restart().await.unwrap_or_else(|why| panic!("{why}"));
        self
    }

    /// Starts it again on the same directory and waits until it is ready.
    ///
    /// # Errors
    /// When it ended instead: how, and its log.
    pub(crate) async fn try_restart(&mut self) -> Result<(), String> {
        self.kill();
        // A killed server leaves its addresses behind; they are no sign of the new one. On a full disk nothing can be
        // written over them either.
        let listeners_file = self.data_dir().join("listeners.json");
        let _ = fs::remove_file(&listeners_file);
        self.child = Some(spawn(self.home.path(), &self.setup));
        let limit = self.setup.start_limit.unwrap_or(START_LIMIT);
        self.listeners = eventually("listeners.json", limit, async || {
            if let Some(status) = self.ended() {
                return Some(Err(format!("the server ended with {status} at its start:\n{}", self.log())));
            }
            serde_json::from_slice(&fs::read(&listeners_file).ok()?).ok().map(Ok)
        })
        .await?;
        self.http = client(&self.setup);
        eventually("readyz", limit, async || {
            let answer = self.http.get(self.url("/readyz")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        Ok(())
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("the process can be asked")
    }

    /// Ends it as a power switch would end a process.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails when it is gone already, which is what we want.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end and waits until it has; the exit code is its own.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exited(Duration::from_secs(15)).await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the server is running");
    }

    pub(crate) fn pid(&self) -> Pid {
        let child = self.child.as_ref().expect("the server is running");
        Pid::from_raw(child.id().cast_signed()).expect("a process has a positive id")
    }

    pub(crate) async fn exited(&mut self, limit: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("the server was running");
        let ended = tokio::task::spawn_blocking(move || child.wait());
        within("exit", limit, ended).await.expect("waiting does not panic").expect("the process can be waited for")
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        data_dir(self.home.path(), &self.setup)
    }

    pub(crate) fn log(&self) -> String {
        log_of(self.home.path())
    }

    /// URL on the listener of UI and API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme(), self.listeners.http)
    }

    /// URL on the OTLP/HTTP listener.
    pub(crate) fn otlp_url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme(), self.listeners.otlp_http)
    }

    /// Endpoint of OTLP/gRPC.
    pub(crate) fn grpc_url(&self) -> String {
        format!("{}://{}", self.scheme(), self.listeners.otlp_grpc)
    }

    fn scheme(&self) -> &'static str {
        if self.setup.certificate.is_some() { "https" } else { "http" }
    }

    /// Memory of its own in bytes: resident, without the pages of the program file, which a debug build has many of.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero())).expect("procfs");
        let line = status.lines().find(|l| l.starts_with("RssAnon:")).expect("a process has a size");
        line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number of kB") * 1024
    }

    /// Parquet files of the data directory.
    pub(crate) fn segment_files(&self) -> Vec<PathBuf> {
        let mut found = self.files();
        found.retain(|path| path.extension().is_some_and(|e| e == "parquet"));
        found
    }

    /// Every file of the data directory.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![self.data_dir()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() { left.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

/// The program built with the tests, and with their switches.
pub(crate) const BUILT: &str = env!("CARGO_BIN_EXE_rootline");

/// The program under test.
#[expect(clippy::disallowed_methods, reason = "the tests' own switch, not a setting of the server")]
fn program() -> PathBuf {
    std::env::var_os("RL_SERVER_BIN").map_or_else(|| BUILT.into(), PathBuf::from)
}

/// A command of the server's binary in `home`, free of settings of whoever runs the tests.
pub(crate) fn command(home: &Path) -> Command {
    command_of(&program(), home)
}

fn command_of(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home).env_clear().env("PATH", "/usr/bin:/bin").env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    command
}

fn spawn(home: &Path, setup: &Setup) -> Child {
    let config = home.join("rootline.toml");
    fs::write(&config, &setup.configuration).expect("the directory is writable");
    let log = File::options().create(true).append(true).open(home.join("log")).expect("the directory is writable");
    let free = || "127.0.0.1:0".to_owned();
    let at =
        setup.listeners.clone().unwrap_or_else(|| Listeners { http: free(), otlp_grpc: free(), otlp_http: free() });
    command_of(&setup.program.clone().unwrap_or_else(program), home)
        .args(["serve", "--http", &at.http, "--otlp-grpc", &at.otlp_grpc, "--otlp-http", &at.otlp_http])
        .args(["--self-telemetry", "off"])
        .args(["--retention", setup.retention.as_deref().unwrap_or("forever")])
        .arg("--data-dir")
        .arg(data_dir(home, setup))
        .arg("--config")
        .arg(config)
        .envs(setup.environment.iter().cloned())
        .stdout(log.try_clone().expect("a file can be shared"))
        .stderr(log)
        .spawn()
        .expect("the binary can be started")
}

fn data_dir(home: &Path, setup: &Setup) -> PathBuf {
    setup.data_dir.clone().unwrap_or_else(|| home.join("data"))
}

fn log_of(home: &Path) -> String {
    fs::read_to_string(home.join("log")).unwrap_or_default()
}

fn client(setup: &Setup) -> reqwest::Client {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // No connection is kept: a test that computes for long would not notice that the server has closed it.
    let mut builder = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
    if let Some(file) = &setup.certificate {
        let pem = fs::read(file).expect("the certificate is readable");
        builder = builder.add_root_certificate(reqwest::Certificate::from_pem(&pem).expect("a PEM certificate"));
    }
    if let Some(token) = &setup.token {
        let value = format!("Bearer {token}").parse().expect("a header value");
        builder = builder.default_headers([(reqwest::header::AUTHORIZATION, value)].into_iter().collect());
    }
    builder.build().expect("a client")
}
