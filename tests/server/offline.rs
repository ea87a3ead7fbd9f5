//! Commands on the directory of a stopped server: `rootline scrub` and `rootline catalog rebuild`.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use crate::support::{Server, command, telemetry};

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let home = directory.parent().expect("a home");
    command(home).args(arguments).arg("--data-dir").arg(directory).output().expect("the binary can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn scrub(directory: &Path) -> (bool, Value) {
    let output = run(directory, &["scrub", "--json"]);
    let report = serde_json::from_slice(&output.stdout);
    (output.status.success(), report.unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr))))
}

#[tokio::test]
async fn scrub_wants_the_directory_for_itself_and_finds_damage() {
    let mut server = Server::start().await;
    server
        .export_logs(telemetry::logs("a", vec![telemetry::log("one"), telemetry::log("two")]))
        .await
        .expect("accepted");
    server.flush().await;
    server.export_logs(telemetry::logs("a", vec![telemetry::log("three")])).await.expect("accepted");
    let directory = server.data_dir();
    let refused = run(&directory, &["scrub"]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("stop its server first"), "{}", text(&refused.stderr));
    server.kill();

    let (is_sound, report) = scrub(&directory);
    assert!(is_sound, "two records and their two patterns, and frames of both requests: {report}");
    assert_eq!((&report["checked"]["rows"], &report["checked"]["wal_frames"]), (&4.into(), &2.into()), "{report}");
    let people = run(&directory, &["scrub"]);
    assert!(people.status.success() && text(&people.stdout).ends_with("sound\n"), "{}", text(&people.stdout));

    let file = server.segment_files().remove(0);
    let mut bytes = fs::read(&file).expect("readable");
    bytes[100] ^= 1;
    fs::write(&file, bytes).expect("writable");
    let (is_sound, report) = scrub(&directory);
    assert!(!is_sound);
    let finding = &report["findings"][0];
    assert!(file.ends_with(finding["path"].as_str().expect("a path")), "{report}");
    for key in ["offset", "expected", "found", "advice"] {
        assert!(!finding[key].is_null(), "{key}: {report}");
    }
    let people = run(&directory, &["scrub"]);
    assert!(!people.status.success() && text(&people.stdout).ends_with("1 finding\n"), "{}", text(&people.stdout));
    let nowhere = run(&directory.join("nowhere"), &["scrub"]);
    assert!(text(&nowhere.stderr).contains("no data directory"), "{}", text(&nowhere.stderr));
}

#[tokio::test]
async fn a_lost_catalog_is_made_anew_and_nothing_is_there_twice() {
    let mut server = Server::start().await;
    for n in 0..12 {
        server.export_logs(telemetry::logs("a", vec![telemetry::log(&format!("n{n}"))])).await.expect("accepted");
        let span = telemetry::span("work", 1, n + 1);
        server.export_spans(telemetry::spans("a", vec![span])).await.expect("accepted");
        if n % 2 == 0 && n < 10 {
            server.flush().await;
        }
        if n == 8 {
            server.compact().await;
        }
    }
    server.kill();
    let directory = server.data_dir();
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = fs::remove_file(directory.join(name));
    }
    let refused = run(&directory, &["serve", "--http", "127.0.0.1:0", "--otlp-grpc", "off", "--otlp-http", "off"]);
    assert!(text(&refused.stderr).contains("rootline catalog rebuild"), "{}", text(&refused.stderr));
    let rebuilt = run(&directory, &["catalog", "rebuild"]);
    assert!(rebuilt.status.success(), "{}", text(&rebuilt.stderr));
    assert!(text(&rebuilt.stdout).contains("lost: "), "{}", text(&rebuilt.stdout));
    let server = server.restart().await;
    for (statement, expected) in [
        ("SELECT count(*), count(DISTINCT body) FROM logs", [12, 12]),
        ("SELECT count(*), count(DISTINCT span_id) FROM spans", [12, 12]),
        ("SELECT sum(calls), 12 FROM span_metrics", [12, 12]),
        ("SELECT sum(records), 12 FROM log_patterns", [12, 12]),
    ] {
        assert_eq!(server.sql(statement).await.rows, [expected], "{statement}");
    }
}
