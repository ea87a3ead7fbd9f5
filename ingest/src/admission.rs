//! How many bytes may be on their way at once: refuses early, before they are read, and says when to come again.
//!
//! Room is shared fairly among connections by dynamic thresholds: one connection may hold at most [`THRESHOLD`] times the
//! bytes that it leaves free. So a sender that takes all it can get still leaves a fifth to others; the more such senders
//! there are, the less each gets, and somebody new with a small request finds room among them.
//! Source: Choudhury and Hahne, Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, 1998.

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

/// How many times the free room one connection may hold.
const THRESHOLD: usize = 4;

/// What all requests of one connection hold of the memory for requests on their way. Whoever accepts connections puts it
/// into the extensions of each request; a request without it stands for itself.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    held: Arc<AtomicUsize>,
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
    pub(crate) fn share(&self, connection: &Connection) -> Share {
        Share { inner: Arc::clone(&self.inner), connection: connection.clone(), held: 0 }
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
    connection: Connection,
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
        // Counted first: two requests of one connection that grow at once see each other.
        let by_connection = self.connection.held.fetch_add(byte_count, Ordering::Relaxed).saturating_add(byte_count);
        let grown = |taken: usize| {
            let after = taken.checked_add(byte_count).filter(|after| *after <= capacity)?;
            let is_fair = by_connection <= (capacity - after).saturating_mul(THRESHOLD);
            // Where nobody else holds anything, a request may take all: it would fit at no other time.
            (is_fair || taken == self.held).then_some(after)
        };
        if self.inner.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_err() {
            self.connection.held.fetch_sub(byte_count, Ordering::Relaxed);
            return Err(Full::Busy);
        }
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
        self.connection.held.fetch_sub(byte_count, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.held);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_budget_is_never_exceeded_and_comes_back() {
        let admission = Admission::new(100);
        let (mut first, mut second) =
            (admission.share(&Connection::default()), admission.share(&Connection::default()));
        assert_eq!(first.grow(60), Ok(()));
        assert_eq!(second.grow(41), Err(Full::Busy), "room that others hold comes back");
        assert_eq!(second.grow(32), Ok(()));
        assert_eq!(second.grow(69), Err(Full::NeverFits { needed: 101, capacity: 100 }), "alone too large");
        first.shrink(30);
        assert_eq!(admission.taken_bytes(), 62);
        drop(first);
        drop(second);
        assert_eq!(admission.taken_bytes(), 0);
    }

    #[test]
    fn alone_a_request_may_take_everything() {
        let admission = Admission::new(100);
        let connection = Connection::default();
        let mut only = admission.share(&connection);
        assert_eq!((only.grow(90), only.grow(10)), (Ok(()), Ok(())));
        let mut other = admission.share(&connection);
        assert_eq!(other.grow(1), Err(Full::Busy));
        drop(only);
        assert_eq!(other.grow(1), Ok(()));
        assert_eq!(connection.held.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn requests_of_one_connection_leave_a_fifth_to_others() {
        let admission = Admission::new(1_000);
        let greedy = Connection::default();
        let mut shares = Vec::new();
        loop {
            let mut share = admission.share(&greedy);
            if share.grow(10).is_err() {
                break;
            }
            shares.push(share);
        }
        assert_eq!(admission.taken_bytes(), 800);
        assert_eq!(admission.share(&Connection::default()).grow(160), Ok(()), "somebody else");
        assert_eq!(admission.share(&greedy).grow(1), Err(Full::Busy), "the same again");
    }

    /// One step of a connection that takes all it can get.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Begin(usize),
        Grow(usize),
        End(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (1..400usize).prop_map(Step::Begin),
            3 => (1..400usize).prop_map(Step::Grow),
            1 => (0..64usize).prop_map(Step::End),
        ]
    }

    proptest! {
        /// Whatever several requests of a greedy connection do, a small request of another one is never refused.
        #[test]
        fn a_small_sender_beside_a_greedy_connection_is_always_served(steps in proptest::collection::vec(step(), 1..200)) {
            const SMALL: usize = 160;
            let admission = Admission::new(1_000);
            let greedy = Connection::default();
            // Two at least, or the one would be alone and might take everything.
            let mut shares = vec![admission.share(&greedy), admission.share(&greedy)];
            shares[0].grow(1).unwrap();
            shares[1].grow(1).unwrap();
            for step in steps {
                match step {
                    Step::Begin(bytes) => {
                        let mut share = admission.share(&greedy);
                        if share.grow(bytes).is_ok() {
                            shares.push(share);
                        }
                    }
                    Step::Grow(bytes) => drop(shares.last_mut().unwrap().grow(bytes)),
                    Step::End(index) if index >= 2 && index < shares.len() => drop(shares.swap_remove(index)),
                    Step::End(_) => {}
                }
                prop_assert!(admission.taken_bytes() <= admission.capacity_bytes());
                prop_assert_eq!(admission.share(&Connection::default()).grow(SMALL), Ok(()));
            }
            drop(shares);
            prop_assert_eq!(admission.taken_bytes(), 0);
            prop_assert_eq!(greedy.held.load(Ordering::Relaxed), 0);
        }
    }
}
