//! The only place in the demo that knows what time it is and that waits.

#![expect(
    clippy::disallowed_methods,
    reason = "a client of its own: it sees no room, so it cannot borrow storage's clock"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Whole seconds since the Unix epoch.
pub(super) fn unix_second() -> u64 {
    now().as_secs()
}

/// Returns once the clock shows `unix_second`; at once when it does already.
pub(super) async fn until(unix_second: u64) {
    wait(Duration::from_secs(unix_second).saturating_sub(now())).await;
}

pub(super) async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}
