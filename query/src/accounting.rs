//! What a query costs: counted while it runs, memory within the budget of all queries.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use datafusion::{
    common::Result,
    execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};
use storage::clock::Clock;

use crate::Stats;

/// Counters of one query.
#[derive(Debug)]
pub(crate) struct Cost {
    clock: Clock,
    started: Duration,
    /// Set when the query has ended, in milliseconds since it started.
    elapsed_ms: AtomicU64,
    ended: AtomicBool,
    complete: AtomicBool,
    rows_answered: AtomicU64,
    rows_scanned: AtomicU64,
    bytes_scanned: AtomicU64,
    segments_scanned: AtomicU64,
    segments_total: AtomicU64,
    memory: AtomicUsize,
    memory_peak: AtomicUsize,
}

impl Cost {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            started: clock.monotonic(),
            clock,
            elapsed_ms: AtomicU64::default(),
            ended: AtomicBool::default(),
            complete: AtomicBool::default(),
            rows_answered: AtomicU64::default(),
            rows_scanned: AtomicU64::default(),
            bytes_scanned: AtomicU64::default(),
            segments_scanned: AtomicU64::default(),
            segments_total: AtomicU64::default(),
            memory: AtomicUsize::default(),
            memory_peak: AtomicUsize::default(),
        })
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.started)
    }

    pub(crate) fn add_answered(&self, rows: usize) {
        self.rows_answered.fetch_add(rows as u64, Relaxed);
    }

    pub(crate) fn add_rows(&self, rows: usize) {
        self.rows_scanned.fetch_add(rows as u64, Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: usize) {
        self.bytes_scanned.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn add_segments(&self, considered: usize) {
        self.segments_total.fetch_add(considered as u64, Relaxed);
    }

    pub(crate) fn add_scanned_segment(&self) {
        self.segments_scanned.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self, complete: bool) {
        if !self.ended.swap(true, Relaxed) {
            self.elapsed_ms.store(millis(self.elapsed()), Relaxed);
            self.complete.store(complete, Relaxed);
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let ended = self.ended.load(Relaxed);
        let segments_scanned = self.segments_scanned.load(Relaxed);
        Stats {
            rows: self.rows_answered.load(Relaxed),
            elapsed_ms: if ended { self.elapsed_ms.load(Relaxed) } else { millis(self.elapsed()) },
            rows_scanned: self.rows_scanned.load(Relaxed),
            bytes_scanned: self.bytes_scanned.load(Relaxed),
            segments_scanned,
            segments_pruned: self.segments_total.load(Relaxed).saturating_sub(segments_scanned),
            memory_peak_bytes: self.memory_peak.load(Relaxed) as u64,
            complete: self.complete.load(Relaxed),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The memory of all queries, as one of them sees it.
#[derive(Debug)]
pub(crate) struct CountedPool {
    pub(crate) shared: Arc<dyn MemoryPool>,
    pub(crate) cost: Arc<Cost>,
}

impl CountedPool {
    fn grown(&self, additional: usize) {
        let now = self.cost.memory.fetch_add(additional, Relaxed) + additional;
        self.cost.memory_peak.fetch_max(now, Relaxed);
    }
}

impl MemoryPool for CountedPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shared.grow(reservation, additional);
        self.grown(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shared.shrink(reservation, shrink);
        self.cost.memory.fetch_sub(shrink, Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.shared.try_grow(reservation, additional)?;
        self.grown(additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.shared.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.shared.memory_limit()
    }
}

impl fmt::Display for CountedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shared)
    }
}
