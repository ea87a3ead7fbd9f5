use std::net::{Ipv4Addr, Ipv6Addr};

use axum::{Router, routing::get};
use config::Config;
use storage::clock::Clock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};

use super::*;

fn config() -> Config {
    let mut config = Config::default();
    let free = Listener::Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    (config.listen.http, config.listen.otlp_grpc, config.listen.otlp_http) = (free, free, free);
    config
}

async fn listeners(clock: &Clock) -> Listeners {
    Listeners::bind(&config(), clock).await.unwrap()
}

async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_starting_server_is_alive_and_says_come_back() {
    let listeners = listeners(&Clock::system()).await;
    let http = listeners.bound.http.unwrap();
    assert!(ask(http, "/healthz").await.starts_with("HTTP/1.1 200"));
    let refused = ask(http, "/readyz").await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"), "{refused}");
    let grpc = ask(listeners.bound.otlp_grpc.unwrap(), "/any").await;
    assert!(grpc.contains("grpc-status: 14"), "{grpc}");

    listeners.http.open(Router::new().route("/readyz", get(async || "ready")));
    assert!(ask(http, "/readyz").await.ends_with("ready"));
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let clock = Clock::manual(0);
    let listeners = listeners(&clock).await;
    let mut silent = TcpStream::connect(listeners.bound.http.unwrap()).await.unwrap();
    // The beginning of HTTP/2's preface keeps hyper waiting for the rest.
    silent.write_all(b"PRI * HT").await.unwrap();
    let mut end = [0; 1];
    let closed = async { silent.read(&mut end).await.unwrap_or(0) };
    let advance = async {
        loop {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(1));
        }
    };
    let read = tokio::select! { read = closed => read, () = advance => unreachable!("it advances for ever") };
    assert_eq!(read, 0);
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_takes_no_new_ones() {
    let listeners = listeners(&Clock::system()).await;
    let http = listeners.bound.http.unwrap();
    let (arrived, arrival) = oneshot::channel();
    let (finish, finished) = oneshot::channel::<()>();
    let once = Arc::new(std::sync::Mutex::new(Some((arrived, finished))));
    let slow = move || {
        let once = once.lock().unwrap().take();
        async move {
            let (arrived, finished) = once.unwrap();
            arrived.send(()).unwrap();
            finished.await.unwrap();
            "done"
        }
    };
    listeners.http.open(Router::new().route("/slow", get(slow)));
    let request = tokio::spawn(ask(http, "/slow"));
    arrival.await.unwrap();
    let drain = tokio::spawn(listeners.drain(Duration::from_secs(60)));
    while TcpStream::connect(http).await.is_ok() {
        tokio::task::yield_now().await;
    }
    finish.send(()).unwrap();
    assert!(request.await.unwrap().ends_with("done"));
    drain.await.unwrap();
}

#[tokio::test]
async fn certificate_files_make_every_listener_speak_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/listen/testdata");
    let mut config = config();
    config.listen.tls_certificate_file = directory.join("cert.pem");
    config.listen.tls_key_file = directory.join("key.pem");
    let listeners = Listeners::bind(&config, &Clock::system()).await.unwrap();
    assert_eq!(listeners.bound.scheme, "https");
    let trusted = reqwest::Certificate::from_pem(&fs::read(directory.join("cert.pem")).unwrap()).unwrap();
    let client = reqwest::Client::builder().add_root_certificate(trusted).build().unwrap();
    let http = listeners.bound.http.unwrap();
    let answer = client.get(format!("https://{http}/healthz")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "ok\n"));
    assert!(!ask(http, "/healthz").await.contains("200"));

    config.listen.tls_key_file = directory.join("cert.pem");
    let refusal = format!("{:#}", tls_config(&config.listen).unwrap_err());
    assert!(refusal.starts_with("listen.tls_key_file: cannot read a private key from"), "{refusal}");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let first = listeners(&Clock::system()).await;
    let mut config = config();
    config.listen.otlp_http = Listener::Address(first.bound.http.unwrap());
    let refusal = Listeners::bind(&config, &Clock::system()).await.err().unwrap().to_string();
    assert!(refusal.contains("listen.otlp_http"), "{refusal}");
}

#[test]
fn a_server_on_all_interfaces_is_reached_on_loopback() {
    assert_eq!(reachable("0.0.0.0:7070".parse().unwrap()).ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(reachable("[::]:7070".parse().unwrap()).ip(), Ipv6Addr::LOCALHOST);
    assert_eq!(reachable("192.0.2.7:7070".parse().unwrap()).to_string(), "192.0.2.7:7070");
}
