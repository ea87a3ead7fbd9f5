//! What is small and must be transactional: which segments are live, up to where each table's rows left the WAL, and
//! which requests were stored lately.
//!
//! Named invariants, the same in every home:
//! - *one step*: a publication adds its segments, moves its table's checkpoint, and keeps its batch keys and its state, or
//!   does nothing.
//! - *forward*: a checkpoint never moves back; a publication at or behind it raises the floor at most.
//! - *floor*: the floor of the WAL never moves down.
//! - *exchange*: a replacement removes live segments only, and all of them or none.
//! - *version*: every change of the segments makes the version larger.
//! - *together*: the documents of one change are all as it says, or all as they were.

mod document;
mod memory;
pub mod rebuild;
pub(crate) mod salvage;
mod sqlite;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use bytes::Bytes;

pub use self::{
    document::{Document, DocumentChange},
    memory::{CrashPoint, MemoryCatalog},
    sqlite::SqliteCatalog,
};
use crate::{
    error::Result,
    model::{BatchKey, Table, Tenant},
    segment::{SegmentId, SegmentMeta},
};

/// A request that was stored, and when: its repetition is recognised until the window has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Whose request it was.
    pub tenant: Tenant,
    /// Its identity.
    pub key: BatchKey,
    /// Where it is in the order of the log.
    pub sequence: u64,
    /// When it was stored.
    pub stored_unix_nano: i64,
}

/// Everything, as read at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The catalog was made by this very opening: there was none before.
    pub is_new: bool,
    /// Grows with every change of the segments.
    pub version: u64,
    /// The live segments.
    pub segments: Vec<SegmentMeta>,
    /// Rows of frames up to the checkpoint are in segments (or were dropped by retention).
    pub checkpoints: BTreeMap<(Tenant, Table), u64>,
    /// Frames up to this sequence are of no use to anybody, whatever a file of the log says.
    pub wal_floor: u64,
    /// Requests of the last window, oldest first.
    pub keys: Vec<StoredKey>,
    /// What derived tables remember, as of their checkpoints.
    pub states: BTreeMap<(Tenant, Table), Bytes>,
}

/// A flushed memtable becoming visible.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Whose rows.
    pub tenant: Tenant,
    /// Of which table.
    pub table: Table,
    /// The table's new checkpoint: rows of all frames up to it are in segments now.
    pub through_sequence: u64,
    /// Frames up to this sequence are of no use any more; never above any table's unflushed rows. A WAL file is removed
    /// only below it: should the removal be undone by a power cut, the file is not believed.
    pub wal_floor: u64,
    /// The new segments.
    pub segments: Vec<SegmentMeta>,
    /// Keys of requests stored since the last publication.
    pub keys: Vec<StoredKey>,
    /// Keys with a smaller sequence are forgotten.
    pub keys_from_sequence: u64,
    /// What a derived table must remember from this checkpoint on; `None` for tables that remember nothing.
    pub state: Option<Bytes>,
}

/// The home of the catalog.
#[async_trait]
pub trait Catalog: Send + Sync + fmt::Debug {
    /// Everything in it.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn load(&self) -> Result<Contents>;

    /// Publishes a flush in one transaction and returns the new version. Doing it again raises the floor at most.
    ///
    /// # Errors
    /// `Unavailable` when it is not known to have happened: do the same again.
    async fn publish(&self, publication: &Publication) -> Result<u64>;

    /// Exchanges segments (compaction) or drops them (retention, `added` empty) in one transaction and returns the
    /// new version.
    ///
    /// # Errors
    /// `NotFound` when one of `removed` is not live: nothing was changed. `Unavailable` when it is not known to have
    /// happened.
    async fn replace(&self, removed: &[SegmentId], added: &[SegmentMeta]) -> Result<u64>;

    /// Which of these segments are live: tells whether a replacement with an unknown end has happened.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn live(&self, ids: &[SegmentId]) -> Result<Vec<SegmentId>>;

    /// Documents of one kind, the newest first, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn documents(&self, kind: &str, limit: usize) -> Result<Vec<Document>>;

    /// One document, if it is there.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn document(&self, kind: &str, id: &str) -> Result<Option<Document>>;

    /// Changes documents in one transaction, in the order given.
    ///
    /// # Errors
    /// `Unavailable` when it is not known to have happened: do the same again, or look.
    async fn change_documents(&self, changes: &[DocumentChange]) -> Result<()>;

    /// Closes it after what is running.
    async fn close(&self);
}
