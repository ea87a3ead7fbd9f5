//! The write path: duplicate check, WAL, memtable, acknowledgement.
//!
//! A request is claimed by its key, encoded, queued for the log, and told once its group is on disk and its rows are in
//! the memtables. Whoever asked may leave in between: the request goes its way all the same.

mod duplicates;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

pub(crate) use self::duplicates::{Claim, Duplicates, Verdict};
use crate::{
    environment::Threads,
    error::{Error, Result},
    memtable,
    model::{Batch, Durable, Tenant},
    store::Store,
    wal::{Request, frame::Payload},
};

/// A request on its way through the log.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    /// Gives the key free when dropped.
    pub(crate) claim: Option<Claim>,
    /// Gives the memory free when dropped.
    _reservation: Reservation,
    pub(crate) done: Option<oneshot::Sender<Result<u64>>>,
}

/// Memory of requests that are not in a memtable yet.
#[derive(Debug)]
pub(crate) struct Reservation {
    bytes: usize,
    total: Arc<AtomicUsize>,
}

impl Reservation {
    fn new(bytes: usize, total: &Arc<AtomicUsize>) -> Self {
        total.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, total: Arc::clone(total) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Store {
    /// See [`crate::Storage::append`].
    pub(crate) async fn append(self: &Arc<Self>, mut batch: Batch) -> Result<Durable> {
        check_tenant(&batch.tenant)?;
        batch.tables.retain(|table| table.rows.num_rows() > 0);
        self.check_writable()?;
        if batch.tables.is_empty() {
            return Ok(Durable { sequence: self.committed_sequence(), duplicate: false });
        }
        let claim = match batch.key.map(|key| self.duplicates.claim(&batch.tenant, key)) {
            None => None,
            Some(Verdict::New(claim)) => Some(claim),
            Some(Verdict::Stored(sequence)) => return Ok(Durable { sequence, duplicate: true }),
            // The same body is on its way: what becomes of it becomes of this one.
            Some(Verdict::InFlight(outcome)) => {
                let sequence = outcome.await.map_err(|_| not_stored("its first copy was not stored"))?;
                return Ok(Durable { sequence, duplicate: true });
            }
        };
        let bytes = batch.tables.iter().map(|table| memtable::held_bytes(&table.rows)).sum();
        let reservation = self.reserved(bytes).await?;
        let payload = Payload::encode(&batch)?;
        let (done, outcome) = oneshot::channel();
        let pending = Pending { batch, claim, _reservation: reservation, done: Some(done) };
        let request = Request { payload, owner: pending };
        if self.acknowledges_early() {
            return Ok(self.acknowledge_early(request));
        }
        self.wal.enqueue(request).map_err(|_| not_stored("the server is shutting down"))?;
        let sequence = outcome.await.map_err(|_| not_stored("the log ended"))??;
        Ok(Durable { sequence, duplicate: false })
    }

    /// Memory for a request: at once, or in turn as soon as flushes have given enough free, or refused.
    async fn reserved(&self, bytes: usize) -> Result<Reservation> {
        let wait = async {
            let _turn = self.memory_turn.lock().await;
            loop {
                // Listening begins before looking: what is freed in between is not missed.
                let freed = self.memory_freed.notified();
                tokio::pin!(freed);
                freed.as_mut().enable();
                if self.check_memory(bytes).is_ok() {
                    return Reservation::new(bytes, &self.reserved_bytes);
                }
                freed.await;
            }
        };
        match self.environment.clock.timeout(self.config.storage.memtable_wait, wait).await {
            Ok(reservation) => Ok(reservation),
            Err(_) => {
                metrics::counter!("rootline_memtable_refusals_total").increment(1);
                self.check_memory(bytes)?;
                Err(Error::overloaded("others wait for memory of unflushed rows"))
            }
        }
    }

    /// The mistake that the crash tests must find: a promise before the write, with a moment in between.
    fn acknowledge_early(self: &Arc<Self>, request: Request<Pending>) -> Durable {
        let store = Arc::clone(self);
        match self.environment.threads {
            Threads::Caller => drop(store.wal.enqueue(request)),
            Threads::Own => drop(tokio::spawn(async move {
                store.environment.clock.sleep(Duration::from_millis(100)).await;
                drop(store.wal.enqueue(request));
            })),
        }
        Durable { sequence: 0, duplicate: false }
    }
}

pub(crate) fn not_stored(why: &str) -> Error {
    Error::unavailable(format!("not stored: {why}"))
}

/// A tenant is one component of a path, and of nothing but harmless characters.
fn check_tenant(tenant: &Tenant) -> Result<()> {
    let name = tenant.as_str();
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_harmless) {
        return Err(Error::invalid("a tenant's name is 1 to 64 letters, digits, '-' or '_'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_one_harmless_path_component() {
        for name in ["default", "team-7", "A_b"] {
            assert!(check_tenant(&Tenant::new(name)).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "../../etc", "%2e%2e", "C:\\", "a/b", "caf\u{e9}", &"x".repeat(65)] {
            assert!(check_tenant(&Tenant::new(name)).is_err(), "{name}");
        }
    }
}
