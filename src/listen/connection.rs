//! One connection: TLS, then HTTP/1.1 or HTTP/2, within limits that a slow or hostile client cannot stretch.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{Gate, Shared};

/// Bytes of one request's head, HTTP/1.1; hyper answers 431 beyond.
const HTTP1_BUFFER_BYTES: usize = 128 << 10;
const HTTP1_HEADERS: usize = 100;
/// Bytes of one request's head, HTTP/2, uncompressed.
const HTTP2_HEADER_BYTES: u32 = 16 << 10;
const HTTP2_STREAMS: u32 = 256;
/// What a client may send ahead of our reading, per stream and per connection.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 1 << 20;
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// A peer that vanished without a word is noticed after interval plus timeout.
const HTTP2_KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const HTTP2_KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, gate: Gate, shared: Arc<Shared>) {
    // Answers are small and complete: waiting to fill a packet only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "cannot switch off delayed sending");
    }
    let Some(tls) = &shared.tls else { return http(stream, peer, gate, &shared).await };
    match shared.clock.timeout(shared.header_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => http(stream, peer, gate, &shared).await,
        Ok(Err(error)) => {
            metrics::counter!("rootline_connections_refused_total", "reason" => "tls").increment(1);
            tracing::debug!(%error, %peer, "TLS handshake failed");
        }
        Err(_) => {
            metrics::counter!("rootline_connections_refused_total", "reason" => "tls_timeout").increment(1);
        }
    }
}

async fn http<S>(stream: S, peer: SocketAddr, gate: Gate, shared: &Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let started = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let started = Arc::clone(&started);
        let held = ingest::Connection::default();
        move |mut request: Request<Incoming>| {
            started.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(held.clone());
            let answer = gate.answer(request.map(axum::body::Body::new));
            async move { Ok::<_, Infallible>(answer.await) }
        }
    });
    let builder = protocol(shared.header_timeout);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));

    // hyper's header timeout begins once it knows the protocol; this one also covers a client that never says which.
    let first_request = async {
        shared.clock.sleep(shared.header_timeout).await;
        if started.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        result = connection.as_mut() => return log_end(result, peer),
        () = shared.drain.cancelled() => {}
        () = first_request => {
            metrics::counter!("rootline_connections_refused_total", "reason" => "silent").increment(1);
        }
    }
    connection.as_mut().graceful_shutdown();
    if started.load(Ordering::Relaxed) {
        log_end(connection.await, peer);
    } else if let Ok(result) = shared.clock.timeout(shared.header_timeout, connection).await {
        log_end(result, peer);
    }
}

fn protocol(header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HTTP1_BUFFER_BYTES)
        .max_headers(HTTP1_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HTTP2_HEADER_BYTES)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(HTTP2_KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(HTTP2_KEEP_ALIVE_TIMEOUT);
    builder
}

fn log_end(result: Result<(), Box<dyn std::error::Error + Send + Sync>>, peer: SocketAddr) {
    if let Err(error) = result {
        tracing::debug!(%error, %peer, "connection ended early");
    }
}
