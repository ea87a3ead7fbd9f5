//! T8, T23: asked to stop under load, and started again at the same address: exporters notice nothing but a delay.

use std::time::Duration;

use super::{Run, busy, rounds, seed};
use crate::support::Stopwatch;

async fn stop_again_and_again(rounds: usize, seed: u64) {
    let mut run = Run::start("T8, T23 SIGTERM and restart", busy(), seed).await;
    run.server.setup.listeners = Some(run.server.listeners.clone());
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        run.work(Duration::from_millis(500)).await;
        let stopwatch = Stopwatch::start();
        let status = run.server.terminate().await;
        longest = longest.max(stopwatch.elapsed());
        assert!(status.success(), "round {round}: it ended with {status}");
        // Clients go on all the while, to an address where nobody listens.
        run.server.try_restart().await.unwrap_or_else(|why| panic!("round {round}: {why}"));
        run.load.goes_on().await;
        let faults = run.compare().await;
        assert!(faults.is_empty(), "{faults:#?}");
    }
    run.notes = format!("longest stop {longest:.2?}");
    let faults = run.end().await;
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_loses_nothing_and_asks_nobody_to_give_up() {
    stop_again_and_again(4, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_stops() {
    stop_again_and_again(rounds(200), seed()).await;
}
