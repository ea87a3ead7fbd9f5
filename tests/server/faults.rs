//! The demo's faults, each in a shop of its own: the cause that is named first is the one that was injected. The truth is
//! a file of the sender's that the server never sees.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::support::{Server, command, within};

const KINDS: [&str; 6] =
    ["slow-database", "bad-deploy", "dependency-outage", "retry-storm", "memory-leak", "noisy-neighbour"];
/// Shops, each of another seed; the kinds of fault take turns.
const SEEDS: u64 = 20;
/// When the fault begins in the history, in turn, in minutes.
const BEGINNINGS: [u64; 3] = [11, 12, 13];
/// Servers at once: a debug build needs a core each.
const AT_ONCE: usize = 2;
/// A shop lives in the present, so no two runs are alike: one fault of twenty may be a poor one.
const MISSES: usize = 1;

#[tokio::test(flavor = "multi_thread")]
async fn injected_faults_are_named_first() {
    let outcomes: Vec<Result<(), String>> =
        stream::iter(1..=SEEDS).map(named_first).buffer_unordered(AT_ONCE).collect().await;
    let misses: Vec<&String> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(misses.len() <= MISSES, "{misses:#?}");
}

async fn named_first(seed: u64) -> Result<(), String> {
    let turn = usize::try_from(seed).expect("few seeds");
    let (kind, begin) = (KINDS[turn % KINDS.len()], BEGINNINGS[turn % BEGINNINGS.len()]);
    let server = Server::start().await;
    let (target, api) = (server.grpc_url(), server.url(""));
    let home = server.data_dir().parent().expect("a home").to_owned();
    let truth = home.join("truth.json");
    let mut sender = command(&home);
    sender.args(["demo", "--history", "16m", "--no-live", "--spans-per-second", "100", "--fault-for", "5m"]);
    sender.args(["--seed", &seed.to_string(), "--fault", kind, "--fault-at", &format!("{begin}m")]);
    sender.args(["--target", &target, "--api", &api, "--faults-json"]).arg(&truth);
    let sent = tokio::task::spawn_blocking(move || sender.output());
    let output = within("the demo's history", Duration::from_secs(300), sent).await.expect("no panic").expect("starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let truth: Value = serde_json::from_slice(&std::fs::read(truth).expect("a file")).expect("JSON");

    // Asked about one of the services whose callers feel it, as an alert would.
    let entries = truth[0]["entries"].as_array().expect("entries");
    let entry = &entries[turn % entries.len()]["service"];
    let answer = server.post("/api/causes", &json!({"service": entry, "since": "12m", "timeout": "120s"})).await;
    let named = &answer["candidates"][0]["service"];
    let culprits = truth[0]["culprits"].as_array().expect("culprits");
    if culprits.contains(named) {
        return Ok(());
    }
    let found: Vec<String> =
        answer["candidates"].as_array().into_iter().flatten().take(3).map(|each| each["service"].to_string()).collect();
    Err(format!("seed {seed}, {kind} of {culprits:?}, asked about {entry}: {} {found:?}", answer["outcome"]))
}
