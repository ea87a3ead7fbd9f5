//! Time, injected: the only file that asks the operating system for it or sleeps.
#![expect(clippy::disallowed_methods, reason = "the one place where time comes from")]

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::oneshot;

/// Wall and monotonic time, and waiting. Cheap to clone; clones share one time.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

enum Source {
    System { origin: Instant },
    Manual(Mutex<Manual>),
}

struct Manual {
    unix_nano: i64,
    monotonic: Duration,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

/// A deadline passed before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadline passed")]
pub struct Elapsed;

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(Source::System { origin: Instant::now() }))
    }

    /// A clock that moves only when told to, starting at `unix_nano`.
    pub fn manual(unix_nano: i64) -> Self {
        Self(Arc::new(Source::Manual(Mutex::new(Manual {
            unix_nano,
            monotonic: Duration::ZERO,
            sleepers: Vec::new(),
        }))))
    }

    /// Wall time in nanoseconds since the Unix epoch (UTC). May jump, also backwards.
    pub fn now_unix_nano(&self) -> i64 {
        match &*self.0 {
            Source::System { .. } => match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
                Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
            },
            Source::Manual(manual) => lock(manual).unix_nano,
        }
    }

    /// Time since this clock was made. Never goes backwards.
    pub fn monotonic(&self) -> Duration {
        match &*self.0 {
            Source::System { origin } => origin.elapsed(),
            Source::Manual(manual) => lock(manual).monotonic,
        }
    }

    /// Waits that long.
    pub async fn sleep(&self, duration: Duration) {
        match &*self.0 {
            Source::System { .. } => tokio::time::sleep(duration).await,
            Source::Manual(manual) => {
                let woken = {
                    let mut manual = lock(manual);
                    if duration.is_zero() {
                        return;
                    }
                    let due = manual.monotonic.saturating_add(duration);
                    let (wake, woken) = oneshot::channel();
                    manual.sleepers.push((due, wake));
                    woken
                };
                // The sender lives in the clock, which this future borrows: it is never dropped unsent.
                let _ = woken.await;
            }
        }
    }

    /// The future's value, or [`Elapsed`] when it takes longer than `limit`. The future is dropped then.
    ///
    /// # Errors
    /// [`Elapsed`] when the limit has passed.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, Elapsed> {
        match &*self.0 {
            Source::System { .. } => tokio::time::timeout(limit, future).await.map_err(|_| Elapsed),
            Source::Manual(_) => {
                tokio::select! {
                    biased;
                    value = future => Ok(value),
                    () = self.sleep(limit) => Err(Elapsed),
                }
            }
        }
    }

    /// Ticks every `period`, the first time after one period. A late tick does not pile up.
    pub fn interval(&self, period: Duration) -> Interval {
        Interval { clock: self.clone(), period, next: self.monotonic().saturating_add(period) }
    }

    /// Moves a manual clock, wall and monotonic, and wakes who is due. The system's clock cannot be moved.
    pub fn advance(&self, duration: Duration) {
        if let Source::Manual(manual) = &*self.0 {
            let mut manual = lock(manual);
            manual.monotonic = manual.monotonic.saturating_add(duration);
            let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
            manual.unix_nano = manual.unix_nano.saturating_add(nanos);
            let now = manual.monotonic;
            let (due, waiting) = manual.sleepers.drain(..).partition(|(at, _)| *at <= now);
            manual.sleepers = waiting;
            for (_, wake) in due {
                // The sleeper may be gone: its future was dropped.
                let _ = wake.send(());
            }
        }
    }

    /// Makes a manual clock's wall time jump, as an operator or NTP does; monotonic time stays.
    pub fn set_unix_nano(&self, unix_nano: i64) {
        if let Source::Manual(manual) = &*self.0 {
            lock(manual).unix_nano = unix_nano;
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.0 {
            Source::System { .. } => "Clock::System",
            Source::Manual(_) => "Clock::Manual",
        })
    }
}

/// Regular ticks; see [`Clock::interval`].
#[derive(Debug)]
pub struct Interval {
    clock: Clock,
    period: Duration,
    next: Duration,
}

impl Interval {
    /// Waits for the next tick.
    pub async fn tick(&mut self) {
        let now = self.clock.monotonic();
        self.clock.sleep(self.next.saturating_sub(now)).await;
        self.next = self.clock.monotonic().max(self.next).saturating_add(self.period);
    }
}

fn lock(manual: &Mutex<Manual>) -> MutexGuard<'_, Manual> {
    manual.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_who_is_due_and_nobody_else() {
        let clock = Clock::manual(5);
        let (short, long) = (clock.clone(), clock.clone());
        let short = tokio::spawn(async move { short.sleep(Duration::from_secs(1)).await });
        let long = tokio::spawn(async move { long.sleep(Duration::from_secs(3)).await });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(2));
        short.await.unwrap();
        assert!(!long.is_finished());
        assert_eq!(clock.now_unix_nano(), 5 + 2_000_000_000);
        clock.advance(Duration::from_secs(1));
        long.await.unwrap();
    }

    #[tokio::test]
    async fn a_timeout_drops_what_is_late() {
        let clock = Clock::manual(0);
        let late = clock.clone();
        let waiting =
            tokio::spawn(async move { late.timeout(Duration::from_secs(1), std::future::pending::<()>()).await });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(1));
        assert_eq!(waiting.await.unwrap(), Err(Elapsed));
    }

    #[test]
    fn the_wall_may_jump_while_monotonic_time_stays() {
        let clock = Clock::manual(1_000);
        clock.set_unix_nano(-7);
        assert_eq!((clock.now_unix_nano(), clock.monotonic()), (-7, Duration::ZERO));
    }
}
