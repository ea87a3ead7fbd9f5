//! Footers and indexes of segments, kept in memory up to a size.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use super::SegmentId;
use crate::error::Result;

/// Which part of a segment an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Footer,
    Text,
    Series,
    Traces,
}

type Key = (SegmentId, Part);

/// Shared by all segments; holds at most `capacity` bytes, the most recently used. What is in use stays alive with its
/// users when it is dropped here.
#[derive(Debug)]
pub struct SegmentCache {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Key, Entry>,
    /// Keys by last use.
    order: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    bytes: usize,
    last_use: u64,
}

impl SegmentCache {
    /// A cache of at most this many bytes.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, inner: Mutex::default() })
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// The part of the segment, loaded when it is not here. Two that ask at once may both load it.
    pub(super) async fn get_or_load<T: Any + Send + Sync>(
        &self,
        id: &SegmentId,
        part: Part,
        load: impl Future<Output = Result<(T, usize)>>,
    ) -> Result<Arc<T>> {
        if let Some(value) = self.get(id, part) {
            return Ok(value);
        }
        let (value, bytes) = load.await?;
        let value = Arc::new(value);
        self.put((id.clone(), part), Arc::clone(&value) as _, bytes);
        Ok(value)
    }

    fn get<T: Any + Send + Sync>(&self, id: &SegmentId, part: Part) -> Option<Arc<T>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { entries, order, uses, .. } = &mut *inner;
        let key = (id.clone(), part);
        let entry = entries.get_mut(&key)?;
        *uses += 1;
        order.remove(&entry.last_use);
        entry.last_use = *uses;
        order.insert(*uses, key);
        Arc::clone(&entry.value).downcast().ok()
    }

    fn put(&self, key: Key, value: Arc<dyn Any + Send + Sync>, bytes: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.remove(&key);
        inner.uses += 1;
        let last_use = inner.uses;
        inner.order.insert(last_use, key.clone());
        inner.entries.insert(key, Entry { value, bytes, last_use });
        inner.bytes += bytes;
        while inner.bytes > self.capacity
            && let Some((_, oldest)) = inner.order.pop_first()
        {
            inner.remove(&oldest);
        }
    }
}

impl Inner {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.last_use);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_least_recently_used_goes_first() {
        let cache = SegmentCache::new(100);
        let load = |name: &'static str| {
            let cache = Arc::clone(&cache);
            async move {
                let loaded = async { Ok((name.to_owned(), 40)) };
                cache.get_or_load(&SegmentId::new(name), Part::Footer, loaded).await.unwrap();
            }
        };
        load("a").await;
        load("b").await;
        load("a").await;
        load("c").await;
        assert_eq!(cache.bytes(), 80);
        assert!(cache.get::<String>(&SegmentId::new("a"), Part::Footer).is_some());
        assert!(cache.get::<String>(&SegmentId::new("b"), Part::Footer).is_none());
    }
}
