//! Who may do what, over which transport, from which pages.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
    metrics::v1::{ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient},
    trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
};
use prost::Message as _;
use reqwest::Method;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig},
};

use crate::support::{Server, Setup, telemetry, within};

const ROLES: [&str; 4] = ["ingest", "viewer", "editor", "admin"];

/// Configuration with a token `secret-<role>` for each role.
fn tokens() -> String {
    ROLES
        .map(|role| {
            let hash: String = Sha256::digest(format!("secret-{role}")).iter().map(|b| format!("{b:02x}")).collect();
            format!("[[auth.tokens]]\nname = \"{role}-token\"\nrole = \"{role}\"\nsha256 = \"{hash}\"\n")
        })
        .concat()
}

/// What a request without, with a wrong, and with each role's token is answered.
struct Expected {
    none: u16,
    wrong: u16,
    by_role: [u16; 4],
}

const OPEN: Expected = Expected { none: 200, wrong: 200, by_role: [200; 4] };
const VIEW: Expected = Expected { none: 401, wrong: 401, by_role: [403, 200, 200, 200] };
const ADMINISTER: Expected = Expected { none: 401, wrong: 401, by_role: [403, 403, 403, 200] };
const INGEST: Expected = Expected { none: 401, wrong: 401, by_role: [200, 403, 403, 200] };

impl Expected {
    fn cases(&self) -> Vec<(Option<String>, u16)> {
        let mut cases = vec![(None, self.none), (Some("secret-nobody".to_owned()), self.wrong)];
        cases.extend(ROLES.iter().zip(self.by_role).map(|(role, status)| (Some(format!("secret-{role}")), status)));
        cases
    }
}

#[tokio::test]
async fn each_role_reaches_its_routes_and_no_other() {
    let mut setup = Setup::configured(tokens());
    setup.token = None;
    let server = Server::start_with(setup).await;
    let trace = format!("/api/traces/{}", "01".repeat(16));
    let routes: [(Method, &str, &str, Expected); 17] = [
        (Method::GET, "/healthz", "", OPEN),
        (Method::GET, "/readyz", "", OPEN),
        (Method::GET, "/", "", OPEN),
        (Method::GET, "/metrics", "", VIEW),
        (Method::GET, "/api/status", "", VIEW),
        (Method::GET, "/api/whoami", "", VIEW),
        (Method::GET, "/api/services", "", VIEW),
        (Method::GET, "/api/logs", "", VIEW),
        (Method::GET, "/api/logs/histogram", "", VIEW),
        (Method::GET, "/api/logs/fields", "", VIEW),
        (Method::GET, "/api/traces", "", VIEW),
        (Method::GET, &trace, "", Expected { by_role: [403, 404, 404, 404], ..VIEW }),
        (Method::GET, "/api/sql?query=SELECT%201", "", VIEW),
        (Method::POST, "/api/sql", "SELECT 1", VIEW),
        (Method::GET, "/api/queries", "", VIEW),
        (Method::POST, "/api/admin/flush", "", ADMINISTER),
        (Method::POST, "/api/admin/compact", "", ADMINISTER),
    ];
    for (method, path, body, expected) in routes {
        for (token, status) in expected.cases() {
            let mut request =
                server.http.request(method.clone(), server.url(path)).header("content-type", "text/plain").body(body);
            if let Some(token) = &token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), status, "{method} {path} with {token:?}");
        }
    }
    for path in ["/v1/logs", "/v1/traces", "/v1/metrics"] {
        for (token, status) in INGEST.cases() {
            let mut request = server.http.post(server.otlp_url(path)).header("content-type", "application/x-protobuf");
            if let Some(token) = &token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), status, "POST {path} with {token:?}");
        }
    }
    for (token, status) in INGEST.cases() {
        let expected = match status {
            200 => Code::Ok,
            401 => Code::Unauthenticated,
            _ => Code::PermissionDenied,
        };
        for (service, code) in grpc_codes(server.channel().await, token.as_deref()).await {
            assert_eq!(code, expected, "{service} with {token:?}");
        }
    }
    let log = server.log();
    assert!(!log.contains("secret-"), "a token in the log");
}

/// Codes of an empty export to each service.
async fn grpc_codes(channel: Channel, token: Option<&str>) -> [(&'static str, Code); 3] {
    fn with<T>(message: T, token: Option<&str>) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
        }
        request
    }
    fn code<T>(answer: Result<T, Status>) -> Code {
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    }
    let mut logs = LogsServiceClient::new(channel.clone());
    let mut spans = TraceServiceClient::new(channel.clone());
    let mut metrics = MetricsServiceClient::new(channel);
    [
        ("logs", code(logs.export(with(ExportLogsServiceRequest::default(), token)).await)),
        ("spans", code(spans.export(with(ExportTraceServiceRequest::default(), token)).await)),
        ("metrics", code(metrics.export(with(ExportMetricsServiceRequest::default(), token)).await)),
    ]
}

#[tokio::test]
async fn pages_of_other_sites_and_foreign_names_are_refused() {
    let server = Server::start().await;
    let ask = async |method: Method, headers: &[(&str, &str)]| {
        let path = if method == Method::GET { "/api/status" } else { "/api/admin/flush" };
        let mut request = server.http.request(method, server.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer").status().as_u16()
    };
    let own = format!("http://{}", server.listeners.http);
    assert_eq!(ask(Method::GET, &[("host", "evil.example.com")]).await, 403);
    assert_eq!(ask(Method::GET, &[("host", "localhost:7070")]).await, 200);
    assert_eq!(ask(Method::POST, &[("origin", "https://evil.example.com")]).await, 403);
    assert_eq!(ask(Method::POST, &[("origin", "null")]).await, 403);
    assert_eq!(ask(Method::POST, &[("origin", &own)]).await, 200);
    assert_eq!(ask(Method::POST, &[]).await, 200);
    let body = telemetry::logs("a", vec![telemetry::log("from a page")]).encode_to_vec();
    let headers = [("content-type", "application/x-protobuf"), ("origin", "https://evil.example.com")];
    assert_eq!(server.post_otlp("/v1/logs", &headers, body).await.status().as_u16(), 403);
    assert_eq!(server.count("logs").await, 0);
    let page = server.http.get(server.url("/")).send().await.expect("an answer");
    let policy = page.headers()["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
}

/// A certificate authority and a certificate for this machine, made with the openssl program.
fn certificates(home: &Path) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(home).output().expect("openssl is installed");
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::write(home.join("leaf.ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
        .expect("writable");
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(
        &[
            &["req", "-x509"],
            &key[..],
            &["-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"],
        ]
        .concat(),
    );
    openssl(&[&["req"], &key[..], &["-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"]].concat());
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "leaf.ext",
        "-out",
        "server.pem",
    ]);
}

#[tokio::test]
async fn with_certificates_every_listener_speaks_tls_and_nothing_else() {
    let home = TempDir::new().expect("a temporary directory");
    certificates(home.path());
    let at = |name: &str| home.path().join(name);
    let configuration = format!(
        "[listen]\ntls_certificate_file = {:?}\ntls_key_file = {:?}\n{}",
        at("server.pem"),
        at("server.key"),
        tokens()
    );
    let setup = Setup {
        token: Some("secret-admin".to_owned()),
        certificate: Some(at("ca.pem")),
        ..Setup::configured(configuration)
    };
    let server = Server::start_with(setup).await;
    let authority = Certificate::from_pem(std::fs::read(at("ca.pem")).expect("readable"));
    let channel = Channel::from_shared(server.grpc_url())
        .expect("an address")
        .tls_config(ClientTlsConfig::new().ca_certificate(authority))
        .expect("a certificate")
        .connect()
        .await
        .expect("a TLS connection");
    let mut client = LogsServiceClient::new(channel);
    let mut request = Request::new(telemetry::logs("tls", vec![telemetry::log("over gRPC")]));
    request.metadata_mut().insert("authorization", "Bearer secret-ingest".parse().expect("ASCII"));
    client.export(request).await.expect("accepted");
    let body = telemetry::logs("tls", vec![telemetry::log("over HTTP")]).encode_to_vec();
    let answer = server.post_otlp("/v1/logs", &[("content-type", "application/x-protobuf")], body).await;
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(server.count("logs").await, 2);

    // 30: plain text, old TLS, and connections that say nothing are refused; others are not affected.
    for address in [&server.listeners.http, &server.listeners.otlp_http, &server.listeners.otlp_grpc] {
        let plain = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let mut stream =
            TcpStream::connect(address.parse::<SocketAddr>().expect("an address")).await.expect("a connection");
        stream.write_all(plain).await.expect("sent");
        let mut answer = Vec::new();
        let _ = within("closed", Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        for version in ["-tls1", "-tls1_1"] {
            let output = Command::new("openssl")
                .args(["s_client", "-connect", address, version, "-cipher", "ALL:@SECLEVEL=0"])
                .stdin(std::process::Stdio::null())
                .output();
            let output = output.expect("openssl is installed");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(!said.contains("Cipher is ECDHE") && !output.status.success(), "{version}: {said}");
        }
    }
    assert_eq!(server.count("logs").await, 2);
}

#[test]
fn half_a_pair_of_tls_files_is_refused() {
    let home = TempDir::new().expect("a temporary directory");
    certificates(home.path());
    let configuration = format!("[listen]\ntls_certificate_file = {:?}\n", home.path().join("server.pem"));
    std::fs::write(home.path().join("rootline.toml"), configuration).expect("writable");
    let output =
        crate::support::command(home.path()).args(["serve", "--http", "127.0.0.1:0"]).output().expect("starts");
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("tls_key_file"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
