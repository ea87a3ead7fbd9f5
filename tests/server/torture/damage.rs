//! T9, T10, T21: damaged logs, segments and catalogs, and files that nobody needs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Run, busy, oracle::is_whole, rounds, run::panics, seed};
use crate::support::{Server, Setup, telemetry};

/// Sectors of a disk are lost whole.
const SECTOR_BYTES: usize = 512;

/// The data directory of a server that was killed, to be damaged again and again.
struct Copy {
    root: PathBuf,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Copy {
    fn of(server: &Server) -> Self {
        let read = |path: PathBuf| {
            let bytes = fs::read(&path).expect("readable");
            (path, bytes)
        };
        Self { root: server.data_dir(), files: server.files().into_iter().map(read).collect() }
    }

    fn restore(&self) {
        fs::remove_dir_all(&self.root).expect("ours");
        for (path, bytes) in &self.files {
            fs::create_dir_all(path.parent().expect("files are in directories")).expect("writable");
            fs::write(path, bytes).expect("writable");
        }
    }

    fn ending(&self, ending: &str) -> Vec<PathBuf> {
        let has_ending = |path: &&PathBuf| path.extension().is_some_and(|found| found == ending);
        self.files.keys().filter(has_ending).cloned().collect()
    }

    /// Changes some bits of a file; how many.
    fn flip(&self, path: &Path, chance: &mut StdRng) -> usize {
        let mut bytes = self.files[path].clone();
        let bits = chance.random_range(1..=3);
        for _ in 0..bits {
            let at = chance.random_range(0..bytes.len());
            bytes[at] ^= 1 << chance.random_range(0..8);
        }
        fs::write(path, bytes).expect("writable");
        bits
    }

    /// Makes a sector of a file zero.
    fn zero(&self, path: &Path, chance: &mut StdRng) {
        let mut bytes = self.files[path].clone();
        let start = chance.random_range(0..bytes.len().div_ceil(SECTOR_BYTES)) * SECTOR_BYTES;
        let end = bytes.len().min(start + SECTOR_BYTES);
        bytes[start..end].fill(0);
        fs::write(path, bytes).expect("writable");
    }

    /// Cuts a file off; what is left.
    fn truncate(&self, path: &Path, chance: &mut StdRng) -> usize {
        let bytes = &self.files[path];
        let left = chance.random_range(0..bytes.len());
        fs::write(path, &bytes[..left]).expect("writable");
        left
    }
}

/// Requests in the log, one frame each, larger than a sector, and what is in each of its files.
const REQUESTS: i64 = 150;

fn body(n: i64) -> String {
    let noise: String = (0..40).map(|m| format!("{:x} ", Sha256::digest(format!("{n}/{m}")))).collect();
    format!("number {n} {noise}")
}

async fn damage_logs(rounds: usize, seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let configuration = "[storage]\nwal_file_size = \"64KiB\"\nflush_age = \"1h\"\n";
    let mut server = Server::start_with(Setup::configured(configuration)).await;
    for n in 0..REQUESTS {
        server.export_logs(telemetry::logs("a", vec![telemetry::log(&body(n))])).await.expect("accepted");
    }
    server.kill();
    let copy = Copy::of(&server);
    let files = copy.ending("wal");
    assert!(files.len() > 3, "{files:?}");
    let mut lost_in_all = 0;
    for round in 0..rounds {
        copy.restore();
        let (what, file, most) = damage_log(&copy, &files, &mut chance);
        let log_before = server.log().len();
        server.try_restart().await.unwrap_or_else(|why| panic!("round {round}, {what} {file:?}: {why}"));
        let stored = server.sql("SELECT body, count(*) FROM logs GROUP BY 1").await.rows;
        let bodies: BTreeMap<&str, i64> =
            stored.iter().map(|row| (row[0].as_str().expect("text"), row[1].as_i64().expect("a count"))).collect();
        let lost = (0..REQUESTS).filter(|n| bodies.get(body(*n).as_str()) != Some(&1)).count();
        let about = format!("round {round}, {what} {file:?}");
        assert_eq!(bodies.len() + lost, REQUESTS.cast_unsigned() as usize, "{about}: rows that nobody sent");
        assert!(lost <= most, "{about}: {lost} requests are lost, the damage touched {most}");
        let is_reported = server.log()[log_before..].contains("the WAL is damaged");
        // At the end of the log it looks like a write that was never finished.
        assert!(lost == 0 || is_reported || Some(&file) == files.last(), "{about}: {lost} lost and nothing is said");
        lost_in_all += lost;
        server.export_logs(telemetry::logs("a", vec![telemetry::log("after")])).await.expect("accepted");
        assert_eq!(server.count("logs").await, REQUESTS - lost as i64 + 1, "{about}: it goes on");
        server.kill();
    }
    assert!(panics(&server).is_empty(), "{:?}", panics(&server));
    eprintln!("FIGURES T9 damaged logs: {rounds} rounds, {lost_in_all} requests touched and lost, 0 others");
}

/// Damages the log; what was done to which file, and how many requests that may touch.
fn damage_log(copy: &Copy, files: &[PathBuf], chance: &mut StdRng) -> (&'static str, PathBuf, usize) {
    let file = files.choose(chance).expect("not empty").clone();
    match chance.random_range(0..6) {
        0 => {
            let bits = copy.flip(&file, chance);
            ("flipped bits in", file, bits)
        }
        1 => {
            copy.zero(&file, chance);
            ("zeroed a sector of", file, 2)
        }
        2 => {
            let last = files.last().expect("not empty").clone();
            let left = copy.truncate(&last, chance);
            let cut = copy.files[&last].len() - left;
            ("cut off the end of", last, cut.div_ceil(body(0).len() / 2) + 1)
        }
        3 => {
            fs::remove_file(&file).expect("there");
            let requests = copy.files[&file].len().div_ceil(body(0).len() / 2);
            ("removed", file, requests)
        }
        4 => {
            // The header of a file says which it is.
            let other = files.choose(chance).expect("not empty").clone();
            fs::write(&file, &copy.files[&other]).expect("writable");
            fs::write(&other, &copy.files[&file]).expect("writable");
            ("swapped with another", file, 0)
        }
        _ => {
            let twin = file.with_file_name("000000000500-00000000000000000500-0123456789abcdef.wal");
            fs::copy(&file, twin).expect("writable");
            ("doubled", file, 0)
        }
    }
}

#[tokio::test]
async fn a_damaged_log_costs_what_the_damage_touched() {
    damage_logs(10, 9).await;
}

#[tokio::test]
#[ignore = "long: make torture"]
async fn long_damaged_logs() {
    damage_logs(rounds(500), seed()).await;
}

/// What is asked of a damaged store: rows, counts, words, traces.
const STATEMENTS: [(&str, &str); 7] = [
    ("logs", "SELECT body, timestamp, service_name, attributes_json(attributes) FROM logs ORDER BY 1, 2, 3, 4"),
    ("logs", "SELECT count(*), min(timestamp), max(timestamp) FROM logs"),
    ("logs", "SELECT body FROM logs WHERE match(body, 'number') ORDER BY 1"),
    ("spans", "SELECT name, span_id, start_time, service_name FROM spans ORDER BY 2, 1, 3, 4"),
    ("spans", "SELECT count(*) FROM spans WHERE trace_id = '07070707070707070707070707070707'"),
    ("metrics", "SELECT metric_name, value, timestamp FROM metrics ORDER BY 1, 2, 3"),
    ("metrics", "SELECT value FROM metrics WHERE metric_name = 'gauge 3' AND timestamp < '2030-01-01' ORDER BY 1"),
];

async fn damage_segments(rounds: usize, seed: u64) {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut server = Server::start_with(Setup::configured("[compaction]\nenabled = false\n")).await;
    for part in 0..3u8 {
        let logs = (0..40).map(|n| telemetry::log(&format!("number {n} of part {part}"))).collect();
        server.export_logs(telemetry::logs("a", logs)).await.expect("accepted");
        let spans = (1..40).map(|n| telemetry::span(&format!("part {part}"), 7 + part, n)).collect();
        server.export_spans(telemetry::spans("a", spans)).await.expect("accepted");
        let gauges = (0..40).map(|n| telemetry::gauge(&format!("gauge {n}"), f64::from(n + i32::from(part)))).collect();
        server.export_metrics(telemetry::metrics("a", gauges)).await.expect("accepted");
        server.flush().await;
    }
    let mut truth = Vec::new();
    for (_, statement) in STATEMENTS {
        truth.push(server.sql(statement).await.rows);
    }
    server.kill();
    let copy = Copy::of(&server);
    let segments = copy.ending("parquet");
    // The third file of SQLite's is made anew by every start.
    let has_content = |path: &PathBuf| copy.files.get(path).is_some_and(|bytes| !bytes.is_empty());
    let catalogs: Vec<_> =
        ["catalog.db", "catalog.db-wal"].map(|name| copy.root.join(name)).into_iter().filter(has_content).collect();
    let (mut errors, mut refused) = (0, 0);
    for round in 0..rounds {
        copy.restore();
        let is_catalog = chance.random_bool(0.2);
        let file = if is_catalog { &catalogs } else { &segments }.choose(&mut chance).expect("not empty").clone();
        let what = match chance.random_range(0..3) {
            0 => {
                copy.flip(&file, &mut chance);
                "flipped bits in"
            }
            1 => {
                copy.zero(&file, &mut chance);
                "zeroed a sector of"
            }
            _ => {
                copy.truncate(&file, &mut chance);
                "cut off the end of"
            }
        };
        let about = format!("seed {seed}, round {round}: {what} {}", file.display());
        if let Err(why) = server.try_restart().await {
            // It may say that it cannot go on with this catalog.
            assert!(is_catalog && !why.contains("panicked"), "{about}: {why}");
            refused += 1;
            continue;
        }
        for ((table, statement), truth) in STATEMENTS.iter().zip(&truth) {
            let answer = server.ask_sql(statement).await;
            if is_whole(&answer) {
                let rows: Vec<Vec<Value>> = serde_json::from_value(answer.body["rows"].clone()).expect("rows");
                assert_eq!(&rows, truth, "{about}: a wrong answer to {statement}");
            } else {
                let is_hit = is_catalog || file.components().any(|part| part.as_os_str() == *table);
                assert!(is_hit, "{about}: {statement} cannot be answered either: {answer:?}");
                errors += 1;
            }
        }
        server.kill();
    }
    assert!(panics(&server).is_empty(), "{:?}", panics(&server));
    eprintln!(
        "FIGURES T10 damaged segments and catalogs: {rounds} rounds, {errors} statements answered with an error, \
         {refused} starts refused, 0 wrong answers"
    );
}

#[tokio::test]
async fn a_damaged_segment_gives_errors_and_never_wrong_answers() {
    damage_segments(10, 10).await;
}

#[tokio::test]
#[ignore = "long: make torture"]
async fn long_damaged_segments() {
    damage_segments(rounds(500), seed()).await;
}

/// What crashes at the worst moment leave behind, and what is in a directory by mistake.
fn litter(server: &Server, chance: &mut StdRng) {
    let root = server.data_dir();
    let write = |path: &str, bytes: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("writable");
        fs::write(path, bytes).expect("writable");
    };
    write("segments/default/logs/0/00000000000000000000000000000000.parquet", b"");
    write("segments/default/logs/0/00000000000000000000000000000001.parquet.tmp", b"PAR1");
    write("segments/default/spans/86400/11111111111111111111111111111111.parquet", b"PAR1 and no more");
    write("segments/default/nothing/what.txt", b"?");
    write("wal/000000000007.wal.tmp", b"RLwal 1\n");
    write("wal/notes.txt", b"not a log");
    // Its name was made and the process died.
    write("wal/000000900000-01000000000000000000-00000000000000aa.wal", b"");
    write("listeners.json.tmp", b"{");
    if let Some(segment) = server.segment_files().choose(chance) {
        // A merge that was never published, whole and half.
        let bytes = fs::read(segment).expect("readable");
        fs::write(segment.with_file_name("22222222222222222222222222222222.parquet"), &bytes).expect("writable");
        let half = &bytes[..bytes.len() / 2];
        fs::write(segment.with_file_name("33333333333333333333333333333333.parquet.tmp"), half).expect("writable");
    }
}

async fn litter_again_and_again(rounds: usize, seed: u64) {
    let mut run = Run::start("T21 leftover files", busy(), seed).await;
    for _ in 0..rounds {
        run.work(Duration::from_millis(900)).await;
        run.server.kill();
        litter(&run.server, &mut run.chance);
        let faults = run.rise(async || ()).await;
        assert!(faults.is_empty(), "{faults:#?}");
        let left = run
            .server
            .files()
            .into_iter()
            .find(|path| path.to_string_lossy().contains("00000000000000000000000000000000.parquet"));
        assert_eq!(left, None, "a leftover stays");
    }
    let faults = run.end().await;
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_crashes_are_cleared_and_harm_nothing() {
    litter_again_and_again(3, 21).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_leftovers() {
    litter_again_and_again(rounds(50), seed()).await;
}
