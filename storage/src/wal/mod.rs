//! The write-ahead log: what was acknowledged is in it until it is in a segment.
//!
//! Requests wait in [`group`], one thread writes and syncs them ([`log`]), and only then tells them. [`replay`] reads
//! the files again after a restart. `docs/format/wal.md` has the bytes.

pub mod file_name;
pub mod frame;
pub mod group;
pub mod log;
pub mod replay;

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
};

use self::{
    frame::Payload,
    group::{Group, GroupCommit},
    log::Log,
};
use crate::clock::Clock;

/// What waits for the log: its bytes, and whatever the owner needs when they are on disk.
#[derive(Debug)]
pub struct Request<T> {
    /// The frame to write.
    pub payload: Payload,
    /// Handed back with the outcome.
    pub owner: T,
}

/// Who learns what became of a group.
pub trait Committed<T>: Send + Sync {
    /// The requests are on disk, with consecutive sequences. Called in sequence order, never twice at once.
    fn committed(&self, first_sequence: u64, requests: Vec<T>);

    /// The requests are not promised to anybody.
    fn failed(&self, requests: Vec<T>, error: &io::Error);
}

/// The log and who waits for it.
#[derive(Debug)]
pub struct Wal<T> {
    queue: Mutex<Queue<T>>,
    wake: Condvar,
    log: Mutex<Log>,
    /// Files and bytes of the log, to be read while it is being written.
    size: Mutex<(usize, u64)>,
    clock: Clock,
}

#[derive(Debug)]
struct Queue<T> {
    group: GroupCommit<Request<T>>,
    is_closed: bool,
}

impl<T: Send + 'static> Wal<T> {
    /// A log that goes on at that sequence.
    pub fn new(log: Log, clock: Clock, next_sequence: u64, max_group_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue { group: GroupCommit::new(next_sequence, max_group_bytes), is_closed: false }),
            wake: Condvar::new(),
            size: Mutex::new(log.size()),
            log: Mutex::new(log),
            clock,
        })
    }

    /// Queues a request. `Err` gives it back when the log is closed.
    pub fn enqueue(&self, request: Request<T>) -> Result<(), Request<T>> {
        let mut queue = lock(&self.queue);
        if queue.is_closed {
            return Err(request);
        }
        queue.group.enqueue(request.payload.frame_bytes(), request);
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }

    /// Writes, syncs and reports the next group, if any waits.
    pub fn commit_next(&self, committed: &dyn Committed<T>) -> bool {
        let Some(group) = lock(&self.queue).group.next_group() else { return false };
        self.commit(group, committed);
        true
    }

    fn commit(&self, group: Group<Request<T>>, committed: &dyn Committed<T>) {
        let Group { first_sequence, requests } = group;
        let started = self.clock.monotonic();
        let written = {
            let payloads = requests.iter().map(|request| &request.payload);
            let mut log = lock(&self.log);
            let written = log.append(first_sequence, self.clock.now_unix_nano(), payloads);
            let size = log.size();
            *lock(&self.size) = size;
            metrics::gauge!("rootline_wal_bytes").set(size.1 as f64);
            written
        };
        metrics::histogram!("rootline_wal_commit_seconds").record((self.clock.monotonic() - started).as_secs_f64());
        metrics::histogram!("rootline_wal_group_requests").record(requests.len() as f64);
        let owners = requests.into_iter().map(|request| request.owner).collect();
        match written {
            Ok(bytes) => {
                metrics::counter!("rootline_wal_written_bytes_total").increment(bytes);
                // Rows become visible before the next group can be taken: in sequence order.
                committed.committed(first_sequence, owners);
                lock(&self.queue).group.synced();
            }
            Err(error) => {
                metrics::counter!("rootline_wal_errors_total").increment(1);
                tracing::error!(%error, first_sequence, "the WAL cannot be written; nothing of this group is acknowledged");
                lock(&self.queue).group.failed();
                committed.failed(owners, &error);
            }
        }
    }

    /// Commits group after group until the log is closed and empty, or nobody is left to tell.
    pub fn run(&self, committed: &Weak<dyn Committed<T>>) {
        loop {
            let group = {
                let mut queue = lock(&self.queue);
                loop {
                    if let Some(group) = queue.group.next_group() {
                        break group;
                    }
                    if queue.is_closed {
                        return;
                    }
                    queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            };
            let Some(committed) = committed.upgrade() else { return };
            self.commit(group, &*committed);
        }
    }

    /// Takes no more requests; the ones that wait are still committed.
    pub fn close(&self) {
        lock(&self.queue).is_closed = true;
        self.wake.notify_all();
    }

    /// Gives up: whoever waits is not promised anything, and nobody is any more.
    pub fn abandon(&self) {
        let mut queue = lock(&self.queue);
        queue.is_closed = true;
        queue.group = GroupCommit::new(0, 0);
    }

    /// Removes the files whose frames all have at most that sequence. Waits for a write that is going on.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn remove_through(&self, sequence: u64) -> io::Result<usize> {
        let mut log = lock(&self.log);
        let removed = log.remove_through(sequence);
        *lock(&self.size) = log.size();
        removed
    }

    /// Appends no more to the current file, whose frames end before that sequence, so that it can be removed.
    pub fn finish_file(&self, next_sequence: u64) {
        lock(&self.log).finish(next_sequence);
    }

    /// Number and length of the files.
    pub fn size(&self) -> (usize, u64) {
        *lock(&self.size)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
