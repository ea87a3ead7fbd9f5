//! Real labelled faults: each case is sent to a fresh server as a client would send it, the cause is asked for, and the
//! answers are scored by `rca_eval.py`. Skipped, loudly, where the cases are not there (`RL_SHARED`, else `../shared`).

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use flate2::read::GzDecoder;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::support::{Server, within};

/// Servers at once: a debug build needs a core each.
const AT_ONCE: usize = 2;

/// What a data set must reach.
#[derive(Clone, Copy, Debug)]
struct Floor {
    first: f64,
    average: f64,
}

#[tokio::test]
async fn train_ticket_faults_are_named() {
    faults_are_named("nezha-tt", Floor { first: 0.70, average: 0.85 }).await;
}

#[tokio::test]
async fn online_boutique_faults_are_named() {
    faults_are_named("nezha-ob", Floor { first: 0.59, average: 0.70 }).await;
}

#[tokio::test]
async fn pet_shop_faults_are_named() {
    faults_are_named("petshop", Floor { first: 0.50, average: 0.60 }).await;
}

async fn faults_are_named(data_set: &str, floor: Floor) {
    let Some(shared) = shared() else { return };
    let cases = shared.join("data/rca").join(data_set);
    let mut folders: Vec<PathBuf> = fs::read_dir(&cases)
        .expect("the data set is a folder")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.join("label.json").is_file())
        .collect();
    folders.sort();
    let answers: BTreeMap<String, Value> = stream::iter(folders)
        .map(async |folder| {
            let label: Value =
                serde_json::from_slice(&fs::read(folder.join("label.json")).expect("a label")).expect("JSON");
            let answer = answer(&folder, &label).await;
            (label["case_id"].as_str().expect("a case has a name").to_owned(), ranking(&answer))
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let scores = scores(&shared, &cases, &answers);
    eprintln!("{data_set}: {scores:?}");
    let [first, average] = [scores["AC@1"], scores["Avg@5"]];
    assert!(first >= floor.first && average >= floor.average, "{data_set}: {scores:?}, not {floor:?}");
}

/// The folder beside the repository.
#[expect(clippy::disallowed_methods, reason = "the tests' own switch, not a setting of the server")]
fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("RL_SHARED").map(PathBuf::from);
    let shared = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    if shared.join("data/rca").is_dir() {
        return Some(shared);
    }
    eprintln!("SKIPPED: labelled faults: {} has no data/rca", shared.display());
    None
}

async fn answer(folder: &Path, label: &Value) -> Value {
    let server = Server::start().await;
    for (signal, file) in [("metrics", "metrics.pb.gz"), ("traces", "traces.pb.gz"), ("logs", "logs.pb.gz")] {
        for message in messages(&folder.join(file)) {
            let request = server
                .http
                .post(server.otlp_url(&format!("/v1/{signal}")))
                .header("content-type", "application/x-protobuf")
                .body(message);
            let answer = request.send().await.expect("an answer");
            assert!(answer.status().is_success(), "{}: {signal}: {}", folder.display(), answer.status());
        }
    }
    let mut question = json!({
        "service": label["entry_service"],
        "from": label["anomaly_window"][0],
        "to": label["anomaly_window"][1],
    });
    if let Some([from, to]) = label["baseline_window"].as_array().map(Vec::as_slice) {
        question["baseline"] = json!({ "from": from, "to": to });
    }
    let asked = server.http.post(server.url("/api/causes")).json(&question).send();
    let answer = within("a cause", std::time::Duration::from_secs(60), asked).await.expect("an answer");
    assert!(answer.status().is_success(), "{}: {}", folder.display(), answer.text().await.unwrap_or_default());
    let answer: Value = answer.json().await.expect("JSON");
    evidence_can_be_seen(&server, &answer).await;
    answer
}

/// Each line of the first candidate has a statement that runs, its numbers and a page.
async fn evidence_can_be_seen(server: &Server, answer: &Value) {
    let lines = answer.pointer("/candidates/0/evidence").and_then(Value::as_array).cloned().unwrap_or_default();
    for line in lines {
        let query = line["query"].as_str().expect("a statement").to_owned();
        let asked = server.http.post(server.url("/api/sql")).header("content-type", "text/plain").body(query.clone());
        let shown = asked.send().await.expect("an answer");
        assert!(shown.status().is_success(), "{query}: {}", shown.text().await.unwrap_or_default());
        assert_eq!(line["result"]["rows"].as_array().map(Vec::len), Some(2), "{line}");
        assert!(line["link"].as_str().is_some_and(|link| link.starts_with('/')), "{line}");
        for language in ["en", "zh"] {
            assert!(line["texts"][language].as_str().is_some_and(|text| !text.is_empty()), "{line}");
        }
    }
}

#[tokio::test]
async fn a_report_is_kept_even_when_there_is_nothing_to_report() {
    let server = Server::start().await;
    let question = json!({ "service": "nobody", "from": "now-10m", "language": "zh" });
    let answer = server.http.post(server.url("/api/causes")).json(&question).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["outcome"], "not_enough_data", "{answer}");
    let id = answer["id"].as_str().expect("a name");
    assert_eq!(server.get(&format!("/api/causes/{id}"), &[]).await["window"], answer["window"]);
    assert_eq!(server.get("/api/causes", &[("limit", "5")]).await["causes"][0]["id"], id);
    let markdown = server.http.get(server.url(&format!("/api/causes/{id}?format=markdown&language=zh")));
    let markdown = markdown.send().await.expect("an answer").text().await.expect("text");
    assert!(markdown.starts_with("# 根因: nobody") && markdown.contains("数据不足"), "{markdown}");

    for wrong in [
        json!({ "to": "now" }),
        json!({ "from": "now", "to": "now-1h" }),
        json!({ "from": "now-30d" }),
        json!({ "service": "nobody", "since": "soon" }),
        json!({ "service": "nobody", "since": "23h" }),
        json!({ "from": -9_223_372_036_854_i64, "to": -9_223_372_036_000_i64 }),
        json!({ "from": 9_223_372_036_000_i64, "to": 9_223_372_036_854_i64 }),
        json!({ "from": "now-10m", "baseline": { "from": 0, "to": "now-1h" } }),
        json!({ "windows": 1 }),
    ] {
        let refused = server.http.post(server.url("/api/causes")).json(&wrong).send().await.expect("an answer");
        assert_eq!(refused.status().as_u16(), 400, "{wrong}");
    }
    let missing = server.http.get(server.url("/api/causes/none")).send().await.expect("an answer");
    assert_eq!(missing.status().as_u16(), 404);
}

/// Protobuf messages, each after its length as a varint.
fn messages(path: &Path) -> Vec<Vec<u8>> {
    let Ok(file) = fs::File::open(path) else { return Vec::new() };
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
    let mut left = bytes.as_slice();
    let mut messages = Vec::new();
    while !left.is_empty() {
        let length = prost::decode_length_delimiter(&mut left).expect("a length");
        let (message, rest) = left.split_at(length);
        messages.push(message.to_vec());
        left = rest;
    }
    messages
}

/// An answer as `rca_eval.py` reads it.
fn ranking(answer: &Value) -> Value {
    let candidates = answer["candidates"].as_array().expect("candidates");
    let name =
        |of: &Value| format!("{}:{}", of["kind"].as_str().unwrap_or_default(), of["name"].as_str().unwrap_or_default());
    let services: Vec<&Value> = candidates.iter().map(|candidate| &candidate["service"]).collect();
    let indicators: Vec<Value> = candidates
        .iter()
        .map(|candidate| json!({ "service": candidate["service"], "indicator": name(&candidate["indicator"]) }))
        .collect();
    json!({ "services": services, "indicators": indicators })
}

/// What the evaluation prints for the whole data set, at service level.
fn scores(shared: &Path, cases: &Path, answers: &BTreeMap<String, Value>) -> BTreeMap<String, f64> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), serde_json::to_vec(answers).expect("JSON")).expect("the file is writable");
    let output = Command::new("python3")
        .arg(shared.join("tools/rca_eval.py"))
        .arg("--cases")
        .arg(cases)
        .arg("--ranking")
        .arg(file.path())
        .args(["--by", "fault_type"])
        .output()
        .expect("python3 starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    eprintln!("{printed}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line =
        printed.lines().find(|line| line.starts_with("all ") && line.contains(" service ")).expect("a line for all");
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut scores = BTreeMap::new();
    for pair in words.windows(2).filter(|pair| pair[0].contains('@')) {
        if let Ok(score) = pair[1].parse() {
            // The first is the method's; chance comes later.
            scores.entry(pair[0].to_owned()).or_insert(score);
        }
    }
    scores
}
