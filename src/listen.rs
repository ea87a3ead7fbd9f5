//! Sockets: binds every listener, speaks HTTP/1.1 and HTTP/2 with or without TLS, bounds what one client can hold, drains.
//!
//! Listeners accept as soon as they are bound. Until [`Gate::open`] hands over a room's router they answer `/healthz`, and
//! everything else with "come back": a server that replays its log is alive, not ready.

mod connection;
mod gate;
mod tls;

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use config::{Config, Listener};
use serde::{Deserialize, Serialize};
use storage::clock::Clock;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::gate::Gate;
pub(crate) use self::tls::server_config as tls_config;

/// File in the data directory that tells scripts where a server with free ports listens.
const LISTENERS_FILE: &str = "listeners.json";

/// Where the listeners are bound. Absent ones are off.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bound {
    /// Whose addresses they are.
    pub(crate) pid: u32,
    /// `http` or `https`.
    pub(crate) scheme: String,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) otlp_grpc: Option<SocketAddr>,
    pub(crate) otlp_http: Option<SocketAddr>,
}

impl Bound {
    /// Writes the file by name only once it is whole: a script that sees it can rely on it.
    pub(crate) fn write(&self, data_dir: &Path) -> anyhow::Result<()> {
        let (path, whole) = (data_dir.join(LISTENERS_FILE), data_dir.join(format!("{LISTENERS_FILE}.tmp")));
        fs::write(&whole, serde_json::to_vec_pretty(self)?)
            .and_then(|()| fs::rename(&whole, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The addresses of the server that uses the directory, if it said so.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(data_dir.join(LISTENERS_FILE)).ok()?).ok()
    }

    /// Forgets the addresses of a server that is gone or going.
    pub(crate) fn remove(data_dir: &Path) -> anyhow::Result<()> {
        let path = data_dir.join(LISTENERS_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// An address to connect to: "all interfaces" is one to listen on.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// What every connection has in common.
struct Shared {
    clock: Clock,
    tls: Option<TlsAcceptor>,
    header_timeout: Duration,
    connections: Arc<Semaphore>,
    drain: CancellationToken,
    tasks: TaskTracker,
}

/// All listeners, accepting.
pub(crate) struct Listeners {
    /// Where they are.
    pub(crate) bound: Bound,
    pub(crate) http: Gate,
    pub(crate) otlp_grpc: Gate,
    pub(crate) otlp_http: Gate,
    shared: Arc<Shared>,
}

impl Listeners {
    /// Binds what the configuration asks for and starts to accept.
    pub(crate) async fn bind(config: &Config, clock: &Clock) -> anyhow::Result<Self> {
        let listen = &config.listen;
        let tls = tls::server_config(listen)?.map(|config| TlsAcceptor::from(Arc::new(config)));
        let shared = Arc::new(Shared {
            clock: clock.clone(),
            header_timeout: listen.header_timeout,
            connections: Arc::new(Semaphore::new(listen.max_connections.min(Semaphore::MAX_PERMITS))),
            drain: CancellationToken::new(),
            tasks: TaskTracker::new(),
            tls,
        });
        let mut this = Self {
            bound: Bound {
                pid: std::process::id(),
                scheme: if shared.tls.is_some() { "https" } else { "http" }.to_owned(),
                ..Bound::default()
            },
            http: Gate::http(),
            otlp_grpc: Gate::grpc(),
            otlp_http: Gate::http(),
            shared,
        };
        // All are bound before one accepts: a taken port stops the start, not a server that already answers.
        let http = bind("listen.http", listen.http).await?;
        let otlp_grpc = bind("listen.otlp_grpc", listen.otlp_grpc).await?;
        let otlp_http = bind("listen.otlp_http", listen.otlp_http).await?;
        this.bound.http = this.accept(http, &this.http)?;
        this.bound.otlp_grpc = this.accept(otlp_grpc, &this.otlp_grpc)?;
        this.bound.otlp_http = this.accept(otlp_http, &this.otlp_http)?;
        Ok(this)
    }

    fn accept(&self, socket: Option<TcpListener>, gate: &Gate) -> anyhow::Result<Option<SocketAddr>> {
        let Some(socket) = socket else { return Ok(None) };
        let address = socket.local_addr().context("a bound socket has no address")?;
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(accept_until_drained(socket, gate.clone(), shared));
        Ok(Some(address))
    }

    /// Stops accepting, lets requests finish for at most `limit`, then cuts what is left.
    pub(crate) async fn drain(self, limit: Duration) {
        self.shared.drain.cancel();
        self.shared.tasks.close();
        if self.shared.clock.timeout(limit, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.shared.tasks.len(), "connections were cut: their requests took too long");
        }
    }
}

async fn bind(key: &str, listener: Listener) -> anyhow::Result<Option<TcpListener>> {
    match listener {
        Listener::Off => Ok(None),
        Listener::Address(address) => TcpListener::bind(address).await.map(Some).with_context(|| {
            format!("cannot listen on {address} ({key}); another address, port 0 for a free one, or \"off\" is allowed")
        }),
    }
}

async fn accept_until_drained(socket: TcpListener, gate: Gate, shared: Arc<Shared>) {
    let accept = async {
        loop {
            // Over the limit connections wait in the kernel's backlog, where they cost us nothing.
            let Ok(permit) = Arc::clone(&shared.connections).acquire_owned().await else { return };
            match socket.accept().await {
                Ok((stream, peer)) => {
                    let serve = connection::serve(stream, peer, gate.clone(), Arc::clone(&shared));
                    shared.tasks.spawn(async move {
                        serve.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, or a client that left before we came: neither ends the server.
                    tracing::warn!(%error, "cannot accept a connection");
                    shared.clock.sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = shared.drain.cancelled() => {}
    }
}

#[cfg(test)]
mod tests;
