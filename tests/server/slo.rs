//! Objectives burn, alerts fire, people are told: over real sockets, through kill -9, with a real Alertmanager.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use opentelemetry_proto::tonic::trace::v1::{Status, status::StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Receiver, SILENT, Server, Setup, Stopwatch, answer, command, eventually, now_unix_nano,
    telemetry::{self, span},
};

/// Longest wait for something that takes a few evaluations.
const LIMIT: Duration = Duration::from_secs(60);
const ALERTMANAGER: &str = "/usr/bin/prometheus-alertmanager";

/// Over an hour, of which a tenth may fail: it burns above a speed of 1.
const OBJECTIVE: &str = "\
apiVersion: openslo/v1
kind: SLO
metadata: {name: checkout-availability, displayName: Checkout works}
spec:
  service: checkout
  indicator:
    spec:
      ratioMetric:
        bad: {metricSource: {type: Rootline, spec: {spans: {service: checkout, bad: errors}}}}
        total: {metricSource: {type: Rootline, spec: {spans: {service: checkout}}}}
  timeWindow: [{duration: 1h, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.9}]
";

fn setup(alert: &str) -> Setup {
    Setup::configured(format!("[objective]\ninterval = \"200ms\"\n[alert]\n{alert}"))
}

fn webhooks(urls: &[&str]) -> Setup {
    setup(&format!(
        "webhooks = {urls:?}\nallow_private_targets = true\nexternal_url = \"https://telemetry.example/\"\n"
    ))
}

fn write_objective(server: &Server, text: &str) {
    let directory = server.data_dir().join("objectives");
    fs::create_dir_all(&directory).expect("the directory is writable");
    fs::write(directory.join("checkout.yaml"), text).expect("the directory is writable");
}

/// Calls of the service just now, the first `failed` of them with an error.
async fn call(server: &Server, service: &str, count: u32, failed: u32) {
    call_slowly(server, service, count, failed, Duration::from_millis(1)).await;
}

/// The same, each call of this duration.
async fn call_slowly(server: &Server, service: &str, count: u32, failed: u32, duration: Duration) {
    let now = now_unix_nano();
    let nanos = u64::try_from(duration.as_nanos()).expect("short");
    let spans = (0..count).map(|n| {
        let mut span = span("POST /orders", 1, 1);
        span.trace_id = u128::from(now + u64::from(n)).to_be_bytes().to_vec();
        span.span_id = u64::from(n + 1).to_be_bytes().to_vec();
        span.start_time_unix_nano = now - nanos;
        span.end_time_unix_nano = now;
        if n < failed {
            span.status = Some(Status { code: StatusCode::Error.into(), ..Default::default() });
        }
        span
    });
    server.export_spans(telemetry::spans(service, spans.collect())).await.expect("taken");
}

/// The only entry of a list that has one, once it is as wanted.
async fn only(server: &Server, path: &str, list: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("{path} as wanted"), LIMIT, async || {
        let body = server.get(path, &[]).await;
        let [entry] = body[list].as_array()?.as_slice() else { return None };
        wanted(entry).then(|| entry.clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burning_objective_becomes_an_alert_an_incident_and_messages() {
    let receiver = Receiver::start(200).await;
    // Nobody listens on the discard port.
    let server = Server::start_with(webhooks(&["http://127.0.0.1:9/dead", &receiver.url])).await;
    write_objective(&server, OBJECTIVE);
    let idle = only(&server, "/api/slos", "slos", |_| true).await;
    assert_eq!((&idle["state"], &idle["sli"]), (&"missing_data".into(), &Value::Null), "{idle}");

    call(&server, "checkout", 100, 0).await;
    let healthy = only(&server, "/api/slos", "slos", |slo| slo["total"] == 100.0).await;
    assert_eq!((&healthy["state"], &healthy["budget_left_ratio"]), (&"ok".into(), &1.0.into()), "{healthy}");
    call(&server, "checkout", 100, 50).await;
    let acknowledged = Stopwatch::start();

    let [message] = eventually("the message", LIMIT, async || receiver.of("firing").try_into().ok()).await;
    eprintln!(
        "from the bad span's acknowledgement to the webhook, evaluating every 200 ms: {:?}",
        acknowledged.elapsed()
    );
    let alert = only(&server, "/api/alerts", "alerts", |alert| alert["state"] == "firing").await;
    assert_eq!(message["id"], format!("{}-firing", alert["id"].as_str().expect("an id")));
    assert_eq!((&message["version"], &message["alert"]["slo"]), (&1.into(), &"checkout-availability".into()));
    let incident_id = alert["incident_id"].as_str().expect("an id");
    assert_eq!(message["incident"]["link"], format!("https://telemetry.example/incidents/{incident_id}"));

    let burning = only(&server, "/api/slos", "slos", |slo| slo["incident_id"] == incident_id).await;
    assert_eq!((&burning["state"], &burning["sli"]), (&"exhausted".into(), &0.75.into()), "{burning}");
    let detail = server.get("/api/slos/checkout-availability", &[]).await;
    assert_eq!(
        (detail["definition"].as_str(), detail["alerts"][0]["id"].as_str()),
        (Some(OBJECTIVE), alert["id"].as_str())
    );
    assert_eq!(detail["history"].as_array().and_then(|points| points.last()).map(|p| &p["total"]), Some(&200.0.into()));

    // The dead one is a visible state, and only that.
    let told = |alert: &Value, receiver: &str, state: &str| {
        alert["notifications"].as_array().is_some_and(|all| {
            all.iter().any(|n| n["receiver"].as_str().is_some_and(|r| r.ends_with(receiver)) && n["state"] == state)
        })
    };
    let host = receiver.url.trim_start_matches("http://").trim_end_matches("/hook").to_owned();
    only(&server, "/api/alerts", "alerts", |alert| told(alert, ":9", "waiting") && told(alert, &host, "delivered"))
        .await;

    // Enough good calls: the speed falls below the limit, and stays there.
    call(&server, "checkout", 1000, 0).await;
    eventually("the end", LIMIT, async || (receiver.of("resolved").len() == 1).then_some(())).await;
    let incident = only(&server, "/api/incidents", "incidents", |incident| incident["state"] == "resolved").await;
    assert_eq!((&incident["service"], &incident["alert_count"]), (&"checkout".into(), &1.into()));
    let noted = answer(
        server.http.post(server.url(&format!("/api/incidents/{incident_id}/notes"))).body(r#"{"text": "rolled back"}"#),
    )
    .await;
    assert!(noted.status.is_success(), "{noted:?}");
    let timeline = noted.body["timeline"].as_array().expect("a list").clone();
    let kinds: Vec<&str> = timeline.iter().filter_map(|event| event["kind"].as_str()).collect();
    for kind in ["alert_firing", "alert_resolved", "notification", "note"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    assert_eq!(receiver.bodies().len(), 2, "one message for each transition");
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_are_read_from_histograms_also_after_a_restart() {
    let server = Server::start_with(setup("")).await;
    let slow = "service: checkout, operation: POST /orders, bad: {slower_than: 300ms}";
    write_objective(
        &server,
        &OBJECTIVE
            .replace("service: checkout, bad: errors", slow)
            .replace("spans: {service: checkout}", &format!("spans: {{{slow}}}")),
    );
    call_slowly(&server, "checkout", 30, 30, Duration::from_millis(100)).await;
    call_slowly(&server, "checkout", 10, 0, Duration::from_secs(1)).await;
    let counted = |slo: &Value| slo["total"] == 40.0 && slo["good"] == 30.0;
    let before = only(&server, "/api/slos", "slos", counted).await;
    assert_eq!(
        (&before["indicator"]["kind"], &before["indicator"]["threshold_ms"]),
        (&"latency".into(), &300.0.into())
    );
    let firing = only(&server, "/api/alerts", "alerts", |alert| alert["state"] == "firing").await;
    // Rows of segments and rows of memtables are one past; an alert that fires is not a new one.
    server.flush().await;
    let server = server.restart().await;
    only(&server, "/api/slos", "slos", counted).await;
    let after = only(&server, "/api/alerts", "alerts", |alert| alert["state"] == "firing").await;
    assert_eq!(after["id"], firing["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_traffic_is_another_state_than_no_data() {
    let server = Server::start_with(setup("")).await;
    write_objective(
        &server,
        &OBJECTIVE.replace("spans: {service: checkout", "spans: {service: checkout, operation: unused"),
    );
    only(&server, "/api/slos", "slos", |slo| slo["state"] == "missing_data").await;
    call(&server, "another", 1, 1).await;
    call(&server, "checkout", 1, 1).await;
    let quiet = only(&server, "/api/slos", "slos", |slo| slo["state"] == "no_traffic").await;
    assert_eq!(quiet["budget_left_ratio"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_refused_whole_and_the_last_good_one_stays() {
    let server = Server::start_with(setup("")).await;
    write_objective(&server, OBJECTIVE);
    let good = only(&server, "/api/slos", "files", |file| file["objectives"] == 1).await;
    write_objective(&server, &OBJECTIVE.replace("target: 0.9", "target: 1.0"));
    let bad = only(&server, "/api/slos", "files", |file| !file["error"].is_null()).await;
    assert_eq!((&bad["error"]["line"], &bad["error"]["field"]), (&13.into(), &"spec.objectives[0].target".into()));
    assert!(bad["error"]["message"].as_str().is_some_and(|m| m.contains("100 % has no error budget")), "{bad}");
    assert_eq!((&bad["objectives"], &bad["loaded_at"]), (&1.into(), &good["loaded_at"]));
    only(&server, "/api/slos", "slos", |slo| slo["target_ratio"] == 0.9).await;
    write_objective(&server, &OBJECTIVE.replace("target: 0.9", "target: 0.95"));
    only(&server, "/api/slos", "slos", |slo| slo["target_ratio"] == 0.95).await;
    only(&server, "/api/slos", "files", |file| file["error"].is_null()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objectives_are_put_and_removed_through_the_api() {
    let server = Server::start_with(setup("")).await;
    let url = server.url("/api/slos/checkout-availability");
    let refused = answer(server.http.put(&url).body(OBJECTIVE.replace("0.9", "9"))).await;
    assert_eq!(refused.status, 400);
    let detail = refused.body["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("line 13, column 25: spec.objectives[0].target: expected a share"), "{detail}");
    let misnamed = answer(server.http.put(server.url("/api/slos/other")).body(OBJECTIVE)).await;
    assert_eq!(misnamed.status, 400, "{misnamed:?}");
    let outside = answer(server.http.put(server.url("/api/slos/..%2Fother")).body(OBJECTIVE)).await;
    assert_eq!(outside.status, 400, "{outside:?}");
    assert!(answer(server.http.put(&url).body(OBJECTIVE)).await.status.is_success());
    only(&server, "/api/slos", "slos", |slo| slo["id"] == "checkout-availability").await;
    assert!(answer(server.http.delete(&url)).await.status.is_success());
    eventually("no objectives", LIMIT, async || {
        (server.get("/api/slos", &[]).await["slos"] == Value::Array(Vec::new())).then_some(())
    })
    .await;
    assert_eq!(answer(server.http.delete(&url)).await.status, 404);
}

#[test]
fn check_names_file_line_and_field() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let directory = home.path().join("rootline-data/objectives");
    fs::create_dir_all(&directory).expect("writable");
    fs::write(directory.join("good.yaml"), OBJECTIVE).expect("writable");
    let check = |arguments: &[&str]| command(home.path()).arg("check").args(arguments).output().expect("it runs");
    let good = check(&[]);
    assert!(good.status.success(), "{good:?}");
    assert!(String::from_utf8_lossy(&good.stdout).contains("1 in rootline-data/objectives"), "{good:?}");

    let bad = OBJECTIVE.replace("checkout-availability", "bad").replace("bad: errors", "bad: slow");
    fs::write(directory.join("bad.yaml"), bad).expect("writable");
    let refused = check(&[]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("objectives/bad.yaml: line 9, column "), "{said}");
    assert!(said.contains("bad.metricSource.spec.spans.bad: expected errors or {slower_than: 300ms}"), "{said}");
    let json: Value = serde_json::from_slice(&check(&["--json"]).stdout).expect("one document");
    assert_eq!((&json["valid"], &json["problems"][0]["line"]), (&false.into(), &9.into()));
}

/// Whatever a server was at when it died: the message comes, and at most twice.
#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_loses_no_message_and_repeats_at_most_one() {
    // It refuses at first: the server dies with the message on its way. Then it takes it and says nothing: the server dies
    // with the message taken and nobody knowing.
    let receiver = Receiver::start(503).await;
    let mut server = Server::start_with(webhooks(&[&receiver.url])).await;
    write_objective(&server, OBJECTIVE);
    call(&server, "checkout", 10, 10).await;
    only(&server, "/api/alerts", "alerts", |alert| alert["notifications"][0]["attempts"].as_u64() >= Some(1)).await;
    server.kill();
    let refused = receiver.bodies().len();

    receiver.answer(SILENT);
    let mut server = server.restart().await;
    eventually("the message again", LIMIT, async || (receiver.bodies().len() > refused).then_some(())).await;
    server.kill();
    let silent = receiver.bodies().len();
    assert_eq!(silent, refused + 1);

    receiver.answer(200);
    let server = server.restart().await;
    let alert = only(&server, "/api/alerts", "alerts", |alert| alert["notifications"][0]["state"] == "delivered").await;
    assert_eq!(alert["state"], "firing");
    let bodies = receiver.bodies();
    assert_eq!(bodies.len(), silent + 1, "taken twice: once by a server that died before it knew");
    assert!(bodies.iter().all(|body| *body == bodies[0]), "a repetition is the same document: {bodies:#?}");
    let incidents = server.get("/api/incidents", &[]).await;
    assert_eq!(incidents["incidents"].as_array().map(Vec::len), Some(1), "{incidents}");
}

#[tokio::test(flavor = "multi_thread")]
async fn private_targets_are_refused_visibly() {
    let receiver = Receiver::start(200).await;
    let port = receiver.url.trim_start_matches("http://127.0.0.1:").trim_end_matches("/hook").to_owned();
    let urls = [
        receiver.url.clone(),
        format!("http://localhost:{port}/hook"),
        format!("http://127.1:{port}/hook"),
        format!("http://0x7f000001:{port}/hook"),
        format!("http://[::ffff:127.0.0.1]:{port}/hook"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
    ];
    let server = Server::start_with(setup(&format!("webhooks = {urls:?}\n"))).await;
    write_objective(&server, OBJECTIVE);
    call(&server, "checkout", 10, 10).await;
    let all_failed = |alert: &Value| {
        let told = alert["notifications"].as_array().expect("a list");
        told.len() == urls.len() && told.iter().all(|n| n["state"] == "failed")
    };
    let alert = only(&server, "/api/alerts", "alerts", all_failed).await;
    for told in alert["notifications"].as_array().expect("a list") {
        let error = told["error"].as_str().expect("a reason");
        assert!(error.contains("alert.allow_private_targets"), "{told}");
    }
    assert_eq!(receiver.bodies(), Vec::<Value>::new());
}

/// A real Alertmanager on a port of its own. Dropping it ends it.
#[derive(Debug)]
struct Alertmanager {
    child: Child,
    url: String,
    _home: TempDir,
}

impl Alertmanager {
    async fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let config = home.path().join("alertmanager.yml");
        fs::write(&config, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").expect("writable");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let child = Command::new(ALERTMANAGER)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", home.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("alertmanager starts");
        let manager = Self { child, url: format!("http://{address}"), _home: home };
        // Every test is a process of its own, and another test may have been here first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        eventually("alertmanager", LIMIT, async || {
            let ready = http.get(format!("{}/-/ready", manager.url)).send().await.ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
        manager
    }

    /// Its active alerts.
    async fn alerts(&self, http: &reqwest::Client) -> Vec<Value> {
        let listed = answer(http.get(format!("{}/api/v2/alerts", self.url))).await;
        assert!(listed.status.is_success(), "{listed:?}");
        listed.body.as_array().expect("a list").clone()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // Fails when it is gone already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_lists_the_alert_and_its_end() {
    if !Path::new(ALERTMANAGER).exists() {
        eprintln!("SKIPPED: no {ALERTMANAGER}; `.ci/setup test` installs it as root");
        return;
    }
    let manager = Alertmanager::start().await;
    let server = Server::start_with(setup(&format!(
        "alertmanagers = [{:?}]\nallow_private_targets = true\nresend = \"1s\"\n",
        manager.url
    )))
    .await;
    write_objective(&server, OBJECTIVE);
    call(&server, "checkout", 10, 10).await;
    let [listed] = eventually("the alert", LIMIT, async || manager.alerts(&server.http).await.try_into().ok()).await;
    let labels = &listed["labels"];
    assert_eq!((&labels["alertname"], &labels["slo"]), (&"ErrorBudgetBurn".into(), &"checkout-availability".into()));
    assert_eq!((&labels["service"], &labels["severity"]), (&"checkout".into(), &"page".into()));
    // It is told again while it fires: its end moves on.
    eventually("a later end", LIMIT, async || {
        let alerts = manager.alerts(&server.http).await;
        (alerts.first()?["endsAt"].as_str() > listed["endsAt"].as_str()).then_some(())
    })
    .await;
    call(&server, "checkout", 1000, 0).await;
    let alert = only(&server, "/api/alerts", "alerts", |alert| {
        let told = alert["notifications"].as_array().expect("a list");
        told.len() == 2 && told.iter().all(|n| n["state"] == "delivered")
    })
    .await;
    assert_eq!(alert["state"], "resolved");
    eventually("nothing active", LIMIT, async || manager.alerts(&server.http).await.is_empty().then_some(())).await;
}
