//! How many bytes may be on their way at once: refuses early, before they are read, and says when to come again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// There is no room for more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    /// Others hold the room; it will be free again.
    #[error("the memory for requests on their way is taken")]
    Busy,
    /// Alone it would exceed all the room there is.
    #[error(
        "the request needs {needed} bytes of memory where all requests together may take {capacity} (memory.budget)"
    )]
    NeverFits {
        /// Bytes the request would hold.
        needed: usize,
        /// Bytes all requests may hold.
        capacity: usize,
    },
}

/// The budget of bytes in flight, shared by all receivers.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    capacity: usize,
    taken: AtomicUsize,
}

impl Admission {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { inner: Arc::new(Inner { capacity, taken: AtomicUsize::new(0) }) }
    }

    /// An empty share; grows as bytes come and gives everything back when dropped.
    pub(crate) fn share(&self) -> Share {
        Share { inner: Arc::clone(&self.inner), held: 0 }
    }

    /// Bytes that requests hold now.
    pub(crate) fn taken_bytes(&self) -> usize {
        self.inner.taken.load(Ordering::Relaxed)
    }

    /// Bytes that requests may hold together.
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.inner.capacity
    }
}

/// What one request holds of the budget.
#[derive(Debug)]
pub(crate) struct Share {
    inner: Arc<Inner>,
    held: usize,
}

impl Share {
    /// Takes `byte_count` more.
    pub(crate) fn grow(&mut self, byte_count: usize) -> Result<(), Full> {
        let needed = self.held.saturating_add(byte_count);
        let capacity = self.inner.capacity;
        if needed > capacity {
            return Err(Full::NeverFits { needed, capacity });
        }
        let fits = |taken: usize| taken.checked_add(byte_count).filter(|taken| *taken <= capacity);
        self.inner.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| Full::Busy)?;
        self.held = needed;
        Ok(())
    }

    /// Bytes taken and not given back.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Gives back `byte_count`, at most what is held.
    pub(crate) fn shrink(&mut self, byte_count: usize) {
        let byte_count = byte_count.min(self.held);
        self.held -= byte_count;
        self.inner.taken.fetch_sub(byte_count, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_never_exceeded_and_comes_back() {
        let admission = Admission::new(100);
        let (mut first, mut second) = (admission.share(), admission.share());
        assert_eq!(first.grow(60), Ok(()));
        assert_eq!(second.grow(41), Err(Full::Busy), "room that others hold comes back");
        assert_eq!(second.grow(40), Ok(()));
        assert_eq!(second.grow(61), Err(Full::NeverFits { needed: 101, capacity: 100 }), "alone too large");
        first.shrink(30);
        assert_eq!(admission.taken_bytes(), 70);
        drop(first);
        drop(second);
        assert_eq!(admission.taken_bytes(), 0);
    }
}
