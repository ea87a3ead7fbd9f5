//! T5, T6, T7: a disk that fails, is full, or is slow.

use std::{fs, path::PathBuf, time::Duration};

use rand::{Rng as _, seq::IndexedRandom as _};

use super::{Run, busy, rounds, seed};
use crate::support::{Python, Server, Setup, Strace, Volume, eventually, perhaps, telemetry};

/// The file that the log appends to.
fn newest_wal_file(server: &Server) -> Option<PathBuf> {
    let mut files = server.files();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "wal"));
    files.pop()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_sync_succeeds_nothing_is_acknowledged() {
    if !Strace::is_here("while_no_sync_succeeds_nothing_is_acknowledged") {
        return;
    }
    let server = Server::start().await;
    let request = |body: &str| telemetry::logs("a", vec![telemetry::log(body)]);
    server.export_logs(request("before")).await.expect("accepted");
    let strace = Strace::attach(&server, "fsync,fdatasync", "error=EIO", None).await;
    for n in 0..5 {
        let status = server.export_logs(request(&format!("during {n}"))).await.expect_err("not on disk");
        assert_eq!(status.code(), tonic::Code::Unavailable, "an exporter tries that again: {status:?}");
    }
    assert_eq!(server.count("logs").await, 1, "queries go on, and see what is durable");
    drop(strace);
    // The same body again: what failed before counts for nothing.
    server.export_logs(request("during 0")).await.expect("accepted");
    let server = server.restart().await;
    let stored =
        server.sql("SELECT body, count(*) FROM logs WHERE body IN ('before', 'during 0') GROUP BY 1 ORDER BY 1");
    assert_eq!(stored.await.rows, [[serde_json::json!("before"), 1.into()], ["during 0".into(), 1.into()]]);
    let sum = server.sql("SELECT count(*) - count(DISTINCT body) FROM logs").await;
    assert_eq!(sum.single(), 0, "nothing twice");
}

/// Calls that fail: syncs, the catalog's reads and writes, beginning, publishing and removing files.
const CALLS: [&str; 7] = ["fdatasync", "write", "fsync", "pwrite64", "openat", "linkat", "pread64"];

/// Some call fails, once or from then on for a while; then the power is cut where it can be, and else it is killed.
async fn fail_calls(test: &'static str, rounds: usize, seed: u64) {
    if !Strace::is_here(test) {
        return;
    }
    let power = Python::plain(test).zip(Volume::new(test, 2048));
    let data_dir = power.as_ref().map(|(_, volume)| volume.data_dir());
    let mut run = Run::start("T5 input and output errors", Setup { data_dir, ..busy() }, seed).await;
    let (mut hits, mut exits) = (0, 0);
    for round in 0..rounds {
        run.load.goes_on().await;
        let call = CALLS[round % CALLS.len()];
        // Writes to sockets are not what this is about.
        let path = if call == "write" { newest_wal_file(&run.server) } else { None };
        let n = *[1, 2, 3, 5, 8].choose(&mut run.chance).expect("not empty");
        let on = if run.chance.random_bool(0.3) { "+" } else { "" };
        let strace = Strace::attach(&run.server, call, &format!("error=EIO:when={n}{on}"), path.as_deref()).await;
        let hit = perhaps(Duration::from_secs(10), async || (strace.hits() > 0).then_some(())).await;
        hits += usize::from(hit.is_some());
        drop(strace);
        // Either it ends and says that it failed, or it heals itself.
        match run.server.ended() {
            Some(status) => {
                assert!(!status.success(), "round {round}: EIO at {call} number {n}{on}: {status}");
                exits += 1;
            }
            None => run.load.goes_on().await,
        }
        let faults = match &power {
            Some((python, volume)) => {
                volume.cut_power(python, || run.load.switch_off()).await;
                run.rise(async || volume.mount_again()).await
            }
            None => run.rise(async || ()).await,
        };
        assert!(faults.is_empty(), "EIO at {call} number {n}{on}: {faults:#?}");
    }
    run.notes = format!("{hits} rounds with an error, {exits} exits");
    let faults = run.end().await;
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(hits > 0, "no call was ever met");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_with_errors_costs_nothing_that_was_acknowledged() {
    fail_calls("a_disk_with_errors_costs_nothing_that_was_acknowledged", CALLS.len(), 5).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_errors() {
    fail_calls("long_errors", rounds(150), seed()).await;
}

/// A full disk, refused in time (`min_free_disk`) or met by the write itself (none of it).
async fn fill_again_and_again(test: &'static str, min_free_disk: &str, rounds: usize, seed: u64) {
    let Some(volume) = Volume::new(test, 192) else { return };
    let configuration =
        super::BUSY.replacen("[storage]\n", &format!("[storage]\nmin_free_disk = \"{min_free_disk}\"\n"), 1);
    let setup = Setup { data_dir: Some(volume.data_dir()), ..Setup::configured(configuration) };
    let mut run = Run::start("T6 full disk", setup, seed).await;
    let mut refused_starts = 0;
    for round in 0..rounds {
        run.work(Duration::from_millis(500)).await;
        let refusals = run.load.refusals();
        volume.fill();
        eventually("refusals", Duration::from_secs(60), async || (run.load.refusals() > refusals + 20).then_some(()))
            .await;
        let (answered, _) = run.load.statements();
        eventually("answers", Duration::from_secs(60), async || (run.load.statements().0 > answered + 3).then_some(()))
            .await;
        if round % 2 == 1 {
            // Also a start finds no space. When a write to the log has failed before, it needs some, and says so.
            let faults = run.rise(async || ()).await;
            let is_refused = faults.iter().any(|fault| fault.contains("No space left on device"));
            assert!(faults.is_empty() || is_refused, "started on a full disk: {faults:#?}");
            refused_starts += usize::from(is_refused);
        }
        volume.free();
        if run.server.ended().is_some() {
            let faults = run.rise(async || ()).await;
            assert!(faults.is_empty(), "{faults:#?}");
        }
        run.load.goes_on().await;
        let faults = run.compare().await;
        assert!(faults.is_empty(), "{faults:#?}");
    }
    let (answered, refused) = run.load.statements();
    assert_eq!(refused, 0, "{answered} statements were answered, these were not");
    run.notes =
        format!("min_free_disk {min_free_disk}, {answered} statements answered, {refused_starts} starts refused");
    let faults = run.end().await;
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_refuses_and_goes_on_when_there_is_space() {
    let test = "a_disk_that_is_nearly_full_refuses_and_goes_on_when_there_is_space";
    fill_again_and_again(test, "16MiB", 2, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_a_free_byte_refuses_and_goes_on_when_there_is_space() {
    let test = "a_disk_without_a_free_byte_refuses_and_goes_on_when_there_is_space";
    fill_again_and_again(test, "0B", 2, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_full_disk() {
    fill_again_and_again("long_full_disk", "16MiB", rounds(50), seed()).await;
    fill_again_and_again("long_full_disk", "0B", rounds(50), seed()).await;
}

/// Every sync takes so long: nobody is told before, and everything goes on.
async fn slow_syncs(test: &'static str, delay: Duration, rounds: usize, seed: u64) {
    if !Strace::is_here(test) {
        return;
    }
    let mut run = Run::start("T7 slow disk", busy(), seed).await;
    for _ in 0..rounds {
        run.work(Duration::from_millis(300)).await;
        let strace = {
            // Nothing is under way when syncs become slow: every acknowledgement from then on waited for one.
            let pause = run.load.pause().await;
            let fault = format!("delay_enter={}", delay.as_micros());
            let strace = Strace::attach(&run.server, "fsync,fdatasync", &fault, None).await;
            run.load.fastest();
            pause.end(&run.server);
            strace
        };
        run.load.goes_on().await;
        run.load.goes_on().await;
        let fastest = run.load.fastest().expect("it went on");
        // Not a limit of time but the promise: an acknowledgement waits for its sync.
        assert!(fastest >= delay, "acknowledged after {fastest:?}, but a sync takes {delay:?}");
        drop(strace);
        run.load.goes_on().await;
        let faults = run.compare().await;
        assert!(faults.is_empty(), "{faults:#?}");
        let faults = run.rise(async || ()).await;
        assert!(faults.is_empty(), "{faults:#?}");
    }
    run.notes = format!("syncs take {delay:?}");
    let faults = run.end().await;
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_makes_clients_wait_and_nothing_else() {
    slow_syncs("a_slow_disk_makes_clients_wait_and_nothing_else", Duration::from_millis(200), 1, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_slow_disk() {
    slow_syncs("long_slow_disk", Duration::from_millis(500), rounds(20), seed()).await;
    slow_syncs("long_slow_disk", Duration::from_secs(5), rounds(20).div_ceil(5), seed()).await;
}

/// Files that failed writes leave behind are gone once there is space again.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_does_not_pile_up_files() {
    let Some(volume) = Volume::new("a_log_that_cannot_be_written_does_not_pile_up_files", 64) else { return };
    let configuration = "[storage]\nmin_free_disk = \"0B\"\n";
    let setup = Setup { data_dir: Some(volume.data_dir()), ..Setup::configured(configuration) };
    let server = Server::start_with(setup).await;
    let request = |n: usize| telemetry::logs("a", vec![telemetry::log(&format!("{n} {}", "x".repeat(20_000)))]);
    server.export_logs(request(0)).await.expect("accepted");
    volume.fill();
    for n in 1..100 {
        server.export_logs(request(n)).await.expect_err("the disk is full");
    }
    let log_files = || fs::read_dir(server.data_dir().join("wal")).expect("it is there").count();
    let most = log_files();
    volume.free();
    eventually("space", Duration::from_secs(30), async || server.export_logs(request(100)).await.ok()).await;
    server.flush().await;
    let left = log_files();
    assert!(most < 20 && left < 3, "{most} files after 99 failures, {left} after a flush");
    assert_eq!(server.count("logs").await, 2);
}
