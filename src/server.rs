//! In which order the server starts, and stops in reverse.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::middleware::from_fn_with_state;
use config::Config;
use ingest::Ingest;
use query::Query;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use storage::{Environment, Storage, clock::Clock, random::Random};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};

use crate::{
    access,
    cli::ServeOptions,
    demo, limits,
    listen::{Bound, Listeners, reachable},
    process::Process,
    self_telemetry::{SelfTelemetry, record_requests},
};

/// From the signal to the exit, all in all: below the ten seconds that are promised, also on a busy machine.
const STOP_LIMIT: Duration = Duration::from_secs(8);
/// What requests get of it to finish, and own telemetry to be stored; storage gets the rest.
const DRAIN_LIMIT: Duration = Duration::from_secs(3);
const REPORT_LIMIT: Duration = Duration::from_secs(1);
/// Where objectives lie in the data directory.
const OBJECTIVES: &str = "objectives";

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(options: &ServeOptions) -> anyhow::Result<()> {
    let config = options.load()?;
    raise_file_limit();
    take_small_pages();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("rootline").build()?;
    runtime.block_on(serve(&config, options.demo))?;
    // Everything that must finish has finished. A thread that still computes what nobody waits for does not hold us up.
    std::process::exit(0)
}

/// As many open files as we may have: each connection and each segment being read is one, and shells start programs with
/// a soft limit from another time.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Refused: the limit stays, and connections beyond it wait.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Memory in pages of 4 KiB: in huge ones, which the kernel hands out by itself, a process of many threads keeps a third
/// more than it uses (docs/decisions/013-small-pages.md).
fn take_small_pages() {
    // Refused: the process is larger, nothing else.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

async fn serve(config: &Config, demo: bool) -> anyhow::Result<()> {
    let clock = Clock::system();
    let started_at_unix_nano = clock.now_unix_nano();
    let telemetry = SelfTelemetry::start(&config.telemetry, &clock)?;
    let mut stop = Stop::new()?;

    let data_dir = &config.storage.data_dir;
    let environment = Environment::system(data_dir)
        .await
        .with_context(|| format!("cannot use {} (storage.data_dir)", data_dir.display()))?;
    // The directory is ours from here on: what a server before us said about itself is out of date.
    Bound::remove(data_dir)?;
    let listeners = Listeners::bind(config, &clock).await?;
    tracing::info!(data_dir = %data_dir.display(), version = env!("CARGO_PKG_VERSION"), "starting");
    let storage = tokio::select! {
        opened = Storage::open(config, environment) => opened.context("cannot open the store")?,
        () = stop.asked() => return Ok(()),
    };
    #[cfg(feature = "testing")]
    storage.acknowledge_before_write(config::testing_acknowledges_early());

    let ingest = Ingest::new(storage.clone(), config);
    let query = Query::new(storage.clone(), config).context("cannot start the query engine")?;
    limits::announce(config);
    let process = Process {
        started_at_unix_nano,
        clock: clock.clone(),
        random: Random::system(),
        bound: listeners.bound.clone(),
        ingest: ingest.clone(),
        metrics: telemetry.metrics.clone(),
        storage: storage.clone(),
        query: query.clone(),
        budget_bytes: config.memory.budget_bytes(),
    };
    let state = ui::State::new(query.clone(), config.clone(), Arc::new(process))?;
    let authorizer = state.authorizer().clone();
    let mut api = ui::router(state);
    if let Some(tracer) = telemetry.tracer() {
        api = api.layer(from_fn_with_state(tracer, record_requests));
    }
    telemetry.connect(ingest.grpc());
    listeners.otlp_grpc.open(access::guard_grpc(ingest.grpc().into_axum_router(), authorizer.clone()));
    listeners.otlp_http.open(access::guard_http(ingest.http(), authorizer, config));
    listeners.http.open(api);
    listeners.bound.write(data_dir)?;
    announce(&listeners.bound);
    // Beside everything else: whatever it meets, telemetry is taken and questions are answered.
    let causes = Arc::new(query::cause::Explainer::new(query.clone(), config.cause.timeout));
    let watch = query::slo::task::start(&query, config, Some(causes)).context("cannot start to watch objectives")?;
    let demo = demo.then(|| start_demo(config, &listeners.bound)).transpose()?;

    stop.asked().await;
    tracing::info!("stopping");
    let asked = clock.monotonic();
    if let Some(demo) = demo {
        demo.abort();
    }
    // What it was at is in the catalog, or done again after the next start.
    drop(watch);
    Bound::remove(data_dir)?;
    let stopped = async {
        listeners.drain(DRAIN_LIMIT).await;
        telemetry.stop(REPORT_LIMIT).await;
        storage.shutdown(STOP_LIMIT.saturating_sub(clock.monotonic().saturating_sub(asked))).await
    };
    tokio::select! {
        result = stopped => {
            if let Err(error) = result {
                tracing::warn!(%error, "not everything was flushed; the next start replays it");
            }
        }
        () = stop.asked() => tracing::warn!("asked twice: stopped at once; the next start replays what was not flushed"),
    }
    Ok(())
}

fn announce(bound: &Bound) {
    let shown = |address: Option<SocketAddr>| address.map_or_else(|| "off".to_owned(), |address| address.to_string());
    tracing::info!(
        ui = bound.http.map(|address| format!("{}://{address}", bound.scheme)),
        otlp_grpc = shown(bound.otlp_grpc),
        otlp_http = shown(bound.otlp_http),
        "ready"
    );
}

/// The shop talks to our own OTLP/gRPC listener, as any other client would.
fn start_demo(config: &Config, bound: &Bound) -> anyhow::Result<JoinHandle<()>> {
    let address = bound.otlp_grpc.context("--demo sends over OTLP/gRPC, which is off (listen.otlp_grpc)")?;
    let certificate = &config.listen.tls_certificate_file;
    let objectives = config.storage.data_dir.join(OBJECTIVES);
    demo::write_objectives(&objectives).with_context(|| format!("cannot write {}", objectives.display()))?;
    let options = demo::Options {
        target: format!("{}://{}", bound.scheme, reachable(address)),
        token: config::client_token(),
        tls_ca_file: (!certificate.as_os_str().is_empty()).then(|| certificate.clone()),
        api: bound.http.map(|http| format!("{}://{}", bound.scheme, reachable(http))),
        ..demo::Options::default()
    };
    Ok(tokio::spawn(async move {
        if let Err(error) = demo::run(options).await {
            tracing::error!(error = format!("{error:#}"), "the demo ended");
        }
    }))
}

/// The wish to stop: SIGTERM from a service manager, SIGINT from a terminal.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
