//! T1, T4: kill -9 at any moment, and at any system call that touches the disk.

use std::{collections::BTreeMap, time::Duration};

use rand::seq::IndexedRandom as _;

use super::{Run, busy, rounds, seed};
use crate::support::{Setup, Strace, perhaps};

async fn kill_again_and_again(name: &'static str, setup: Setup, rounds: usize, seed: u64) -> Vec<String> {
    let mut run = Run::start(name, setup, seed).await;
    for _ in 0..rounds {
        run.work(Duration::from_millis(900)).await;
        let faults = run.rise(async || ()).await;
        if !faults.is_empty() {
            return faults;
        }
    }
    run.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_item_survives_kill_nine_exactly_once() {
    let faults = kill_again_and_again("T1 kill -9", busy(), 12, 1).await;
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_kill_nine() {
    let faults = kill_again_and_again("T1 kill -9", busy(), rounds(500), seed()).await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The same harness must catch a server that acknowledges before it has written.
#[cfg(feature = "testing")]
#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_before_the_write_is_found_out_by_a_kill() {
    let faults = kill_again_and_again("T1 control: acknowledges before it writes", early(), 25, 2).await;
    assert!(
        !faults.is_empty(),
        "25 kills of a server that acknowledges early lost nothing: the harness proves nothing"
    );
}

/// A server that acknowledges first.
#[cfg(feature = "testing")]
pub(super) fn early() -> Setup {
    let environment = vec![("ROOTLINE_TESTING_ACKNOWLEDGE_EARLY".to_owned(), "1".to_owned())];
    Setup { environment, program: Some(crate::support::BUILT.into()), ..busy() }
}

/// What changes the disk: appending and syncing the log, beginning a file, writing, publishing and removing a segment, the
/// catalog's transactions.
const CALLS: [&str; 8] = ["write", "fdatasync", "openat", "fsync", "linkat", "unlink", "pwrite64", "ftruncate"];

/// Dies as it enters the n-th such call of some thread, for many n.
async fn kill_at_calls(test: &str, rounds: usize, seed: u64) {
    if !Strace::is_here(test) {
        return;
    }
    let mut run = Run::start("T4 kill at a system call", busy(), seed).await;
    let mut hits = BTreeMap::new();
    for round in 0..rounds {
        run.load.goes_on().await;
        let (call, n) = (CALLS[round % CALLS.len()], *[1, 2, 3, 5, 8].choose(&mut run.chance).expect("not empty"));
        let strace = Strace::attach(&run.server, call, &format!("signal=KILL:when={n}"), None).await;
        // No thread may make as many of these calls: then it is killed at any moment.
        let ended = perhaps(Duration::from_secs(10), async || run.server.ended()).await;
        drop(strace);
        *hits.entry(call).or_insert(0) += usize::from(ended.is_some());
        let faults = run.rise(async || ()).await;
        assert!(faults.is_empty(), "killed at {call} number {n}: {faults:#?}");
    }
    run.notes = format!("died at {hits:?}");
    let faults = run.end().await;
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(hits.values().sum::<usize>() > 0, "no call was ever met");
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_a_system_call_loses_and_repeats_nothing() {
    kill_at_calls("dying_at_a_system_call_loses_and_repeats_nothing", CALLS.len(), 4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_kill_at_calls() {
    kill_at_calls("long_kill_at_calls", rounds(200), seed()).await;
}
