//! T2: the power is cut. Data lies on an ext4 of its own; what was not synced is gone when it is mounted again.

use std::time::Duration;

use super::{Run, busy, rounds, seed};
use crate::support::{Python, Setup, Strace, Volume};

/// Cuts the power this often; the faults found after the first return that shows some. `None` where it cannot be cut.
/// With `is_lying` the disk says it has synced and has not.
async fn cut_again_and_again(
    test: &'static str,
    setup: Setup,
    rounds: usize,
    seed: u64,
    is_lying: bool,
) -> Option<Vec<String>> {
    let python = Python::plain(test)?;
    if is_lying && !Strace::is_here(test) {
        return None;
    }
    let volume = Volume::new(test, 2048)?;
    let mut run = Run::start("T2 power cut", Setup { data_dir: Some(volume.data_dir()), ..setup }, seed).await;
    for _ in 0..rounds {
        let lie = if is_lying { Some(lie(&run).await) } else { None };
        run.work(Duration::from_millis(1500)).await;
        volume.cut_power(&python, || run.load.switch_off()).await;
        run.server.kill();
        drop(lie);
        let faults = run.rise(async || volume.mount_again()).await;
        if !faults.is_empty() {
            return Some(faults);
        }
    }
    Some(run.end().await)
}

async fn lie(run: &Run) -> Strace {
    Strace::attach(&run.server, "fsync,fdatasync", "retval=0", None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_item_survives_power_cuts_exactly_once() {
    let test = "every_acknowledged_item_survives_power_cuts_exactly_once";
    let faults = cut_again_and_again(test, busy(), 6, 1, false).await.unwrap_or_default();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: make torture"]
async fn long_power_cuts() {
    let faults = cut_again_and_again("long_power_cuts", busy(), rounds(200), seed(), false).await.unwrap_or_default();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The same harness must catch a server that acknowledges before it has written.
#[cfg(feature = "testing")]
#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_before_the_write_is_found_out_by_a_power_cut() {
    let test = "acknowledging_before_the_write_is_found_out_by_a_power_cut";
    let Some(faults) = cut_again_and_again(test, super::kill::early(), 10, 2, false).await else { return };
    assert!(
        !faults.is_empty(),
        "10 power cuts of a server that acknowledges early lost nothing: the harness proves nothing"
    );
    eprintln!("caught: {}", faults[0].lines().next().unwrap_or_default());
}

/// And one that acknowledges before its write is on the disk: a kill does not show it, a power cut does.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_before_the_sync_is_found_out_by_a_power_cut() {
    let test = "acknowledging_before_the_sync_is_found_out_by_a_power_cut";
    let Some(faults) = cut_again_and_again(test, busy(), 5, 3, true).await else { return };
    assert!(
        !faults.is_empty(),
        "5 power cuts of a server whose syncs do nothing lost nothing: the harness proves nothing"
    );
    eprintln!("caught: {}", faults[0].lines().next().unwrap_or_default());
}
