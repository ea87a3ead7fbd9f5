//! The catalog of simulations: deterministic, in memory, failing when told to.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Catalog, Contents, Document, DocumentChange, Publication, StoredKey};
use crate::{
    error::{Error, Result},
    model::{BatchKey, Table, Tenant},
    segment::{SegmentId, SegmentMeta},
};

/// Where a catalog operation can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Nothing has happened.
    Before,
    /// It has happened, and nobody learns of it.
    After,
}

type Fault = Box<dyn Fn(CrashPoint) -> bool + Send + Sync>;

/// A catalog in memory. Clones share it, so it outlives the storage that uses it, as a file would.
#[derive(Clone, Default)]
pub struct MemoryCatalog {
    state: Arc<Mutex<State>>,
    fault: Option<Arc<Fault>>,
}

#[derive(Default)]
struct State {
    was_loaded: bool,
    version: u64,
    wal_floor: u64,
    segments: BTreeMap<SegmentId, SegmentMeta>,
    checkpoints: BTreeMap<(Tenant, Table), u64>,
    keys: BTreeMap<(Tenant, BatchKey), StoredKey>,
    documents: BTreeMap<(String, String), Document>,
    states: BTreeMap<(Tenant, Table), Bytes>,
}

impl MemoryCatalog {
    /// Empty; never fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same catalog, failing wherever `fault` says so.
    #[must_use]
    pub fn failing(&self, fault: impl Fn(CrashPoint) -> bool + Send + Sync + 'static) -> Self {
        Self { state: Arc::clone(&self.state), fault: Some(Arc::new(Box::new(fault))) }
    }

    /// Another catalog in its place, as a file would be replaced.
    #[cfg(test)]
    pub(crate) fn put_in_place(&self, contents: Contents) {
        let mut state = self.state();
        let documents = std::mem::take(&mut state.documents);
        *state = State {
            was_loaded: true,
            version: contents.version,
            wal_floor: contents.wal_floor,
            segments: contents.segments.into_iter().map(|meta| (meta.id.clone(), meta)).collect(),
            checkpoints: contents.checkpoints,
            keys: contents.keys.into_iter().map(|key| ((key.tenant.clone(), key.key), key)).collect(),
            documents,
            states: contents.states,
        };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn crash_point(&self, point: CrashPoint) -> Result<()> {
        if let Some(fault) = &self.fault {
            // Others get a turn here, as they would while a real catalog writes.
            tokio::task::yield_now().await;
            if fault(point) {
                return Err(Error::unavailable("catalog: injected failure"));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Catalog for MemoryCatalog {
    async fn load(&self) -> Result<Contents> {
        self.crash_point(CrashPoint::Before).await?;
        let mut state = self.state();
        let mut keys: Vec<_> = state.keys.values().cloned().collect();
        keys.sort_by_key(|key| key.sequence);
        let is_new = !std::mem::replace(&mut state.was_loaded, true);
        Ok(Contents {
            is_new,
            version: state.version,
            wal_floor: state.wal_floor,
            segments: state.segments.values().cloned().collect(),
            checkpoints: state.checkpoints.clone(),
            keys,
            states: state.states.clone(),
        })
    }

    async fn publish(&self, publication: &Publication) -> Result<u64> {
        self.crash_point(CrashPoint::Before).await?;
        let version = {
            let mut state = self.state();
            state.wal_floor = state.wal_floor.max(publication.wal_floor);
            let place = (publication.tenant.clone(), publication.table);
            if state.checkpoints.get(&place).is_none_or(|at| *at < publication.through_sequence) {
                state.checkpoints.insert(place.clone(), publication.through_sequence);
                state.states.extend(publication.state.clone().map(|bytes| (place, bytes)));
                state.segments.extend(publication.segments.iter().map(|meta| (meta.id.clone(), meta.clone())));
                state.version += 1;
                let keys = publication.keys.iter().map(|key| ((key.tenant.clone(), key.key), key.clone()));
                state.keys.extend(keys);
                state.keys.retain(|_, key| key.sequence >= publication.keys_from_sequence);
            }
            state.version
        };
        self.crash_point(CrashPoint::After).await?;
        Ok(version)
    }

    async fn replace(&self, removed: &[SegmentId], added: &[SegmentMeta]) -> Result<u64> {
        self.crash_point(CrashPoint::Before).await?;
        let version = {
            let mut state = self.state();
            if let Some(gone) = removed.iter().find(|id| !state.segments.contains_key(id)) {
                return Err(Error::not_found(format!("segment {gone} is not live")));
            }
            state.segments.retain(|id, _| !removed.contains(id));
            state.segments.extend(added.iter().map(|meta| (meta.id.clone(), meta.clone())));
            state.version += 1;
            state.version
        };
        self.crash_point(CrashPoint::After).await?;
        Ok(version)
    }

    async fn live(&self, ids: &[SegmentId]) -> Result<Vec<SegmentId>> {
        self.crash_point(CrashPoint::Before).await?;
        let state = self.state();
        Ok(ids.iter().filter(|id| state.segments.contains_key(id)).cloned().collect())
    }

    async fn documents(&self, kind: &str, limit: usize) -> Result<Vec<Document>> {
        self.crash_point(CrashPoint::Before).await?;
        let state = self.state();
        let newest = newest(&state.documents, kind).into_iter().take(limit);
        Ok(newest.map(|(_, id)| state.documents[&(kind.to_owned(), id)].clone()).collect())
    }

    async fn document(&self, kind: &str, id: &str) -> Result<Option<Document>> {
        self.crash_point(CrashPoint::Before).await?;
        Ok(self.state().documents.get(&(kind.to_owned(), id.to_owned())).cloned())
    }

    async fn change_documents(&self, changes: &[DocumentChange]) -> Result<()> {
        self.crash_point(CrashPoint::Before).await?;
        {
            let mut state = self.state();
            for change in changes {
                match change {
                    DocumentChange::Put { kind, document } => {
                        state.documents.insert(((*kind).to_owned(), document.id.clone()), document.clone());
                    }
                    DocumentChange::Forget { kind, before_unix_nano, keep } => {
                        let newest = newest(&state.documents, kind);
                        for (index, (updated_unix_nano, id)) in newest.into_iter().enumerate() {
                            if index >= *keep || updated_unix_nano < *before_unix_nano {
                                state.documents.remove(&((*kind).to_owned(), id));
                            }
                        }
                    }
                    DocumentChange::Remove { kind, id } => {
                        state.documents.remove(&((*kind).to_owned(), id.clone()));
                    }
                }
            }
        }
        self.crash_point(CrashPoint::After).await
    }

    async fn close(&self) {}
}

impl fmt::Debug for MemoryCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryCatalog")
    }
}

/// When each document of a kind was updated, and its id; the newest first.
fn newest(documents: &BTreeMap<(String, String), Document>, kind: &str) -> Vec<(i64, String)> {
    let of_kind = documents.iter().filter(|((of, _), _)| of == kind);
    let mut newest: Vec<_> = of_kind.map(|((_, id), document)| (document.updated_unix_nano, id.clone())).collect();
    newest.sort_by(|(a, a_id), (b, b_id)| b.cmp(a).then_with(|| a_id.cmp(b_id)));
    newest
}
