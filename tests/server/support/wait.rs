//! Waiting for events, with a deadline that only a broken server reaches.

#![expect(
    clippy::disallowed_methods,
    reason = "tests of a process in real time; the only file of them that looks at the clock"
)]

use std::time::{Duration, Instant, SystemTime};

/// Looks again and again until there is something to see.
///
/// # Panics
/// When there is nothing after `limit`.
pub(crate) async fn eventually<T>(what: &str, limit: Duration, look: impl AsyncFnMut() -> Option<T>) -> T {
    perhaps(limit, look).await.unwrap_or_else(|| panic!("{what}: not within {limit:?}"))
}

/// Looks again and again, and gives up after `limit`: for events that may or may not come.
pub(crate) async fn perhaps<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let seen = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(limit, seen).await.ok()
}

/// What an exporter waits before it tries again.
pub(crate) async fn back_off() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// The future's result.
///
/// # Panics
/// When it takes longer than `limit`.
pub(crate) async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: not within {limit:?}"),
    }
}

/// Time since its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Waits until this much has passed since the start: for faults at random moments.
    pub(crate) async fn reaches(self, time: Duration) {
        tokio::time::sleep_until((self.0 + time).into()).await;
    }
}

/// Wall time, for telemetry of just now.
pub(crate) fn now_unix_nano() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the epoch is over");
    u64::try_from(since.as_nanos()).expect("before 2554")
}
