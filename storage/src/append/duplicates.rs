//! Which requests were stored lately, or are being stored: a repetition is acknowledged and not stored again.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry as MapEntry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    catalog::StoredKey,
    clock::Clock,
    model::{BatchKey, Tenant},
};

type Key = (Tenant, BatchKey);

/// Keys of the last window, bounded in number.
#[derive(Debug)]
pub(crate) struct Duplicates {
    clock: Clock,
    window: Duration,
    max_entries: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// Stored keys, oldest first; sequences do not fall.
    order: VecDeque<(u64, Key)>,
}

#[derive(Debug)]
enum Entry {
    InFlight(Vec<oneshot::Sender<u64>>),
    Stored {
        sequence: u64,
        stored_unix_nano: i64,
        /// On the monotonic clock, in nanoseconds; before its start for what an earlier process stored.
        stored_at: i64,
    },
}

/// What is known of a key.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Nothing: whoever asked stores it, and nobody else meanwhile.
    New(Claim),
    /// Stored, with that sequence.
    Stored(u64),
    /// Somebody is storing it: the sequence comes, or the sender is dropped when it was not stored.
    InFlight(oneshot::Receiver<u64>),
}

/// The right to store a key. Dropped unused, the key is free again.
#[derive(Debug)]
pub(crate) struct Claim {
    key: Option<Key>,
    duplicates: Arc<Duplicates>,
}

impl Duplicates {
    pub(crate) fn new(clock: Clock, window: Duration, max_entries: usize) -> Arc<Self> {
        Arc::new(Self { clock, window, max_entries, state: Mutex::default() })
    }

    /// Keys that are known.
    pub(crate) fn count(&self) -> usize {
        self.lock().entries.len()
    }

    /// Looks a key up and claims it if it is new.
    pub(crate) fn claim(self: &Arc<Self>, tenant: &Tenant, key: BatchKey) -> Verdict {
        let now = self.now();
        let mut state = self.lock();
        self.forget_old(&mut state, now);
        match state.entries.entry((tenant.clone(), key)) {
            MapEntry::Occupied(mut entry) => match entry.get_mut() {
                Entry::Stored { sequence, .. } => Verdict::Stored(*sequence),
                Entry::InFlight(waiting) => {
                    let (sender, receiver) = oneshot::channel();
                    waiting.push(sender);
                    Verdict::InFlight(receiver)
                }
            },
            MapEntry::Vacant(entry) => {
                let key = entry.key().clone();
                entry.insert(Entry::InFlight(Vec::new()));
                Verdict::New(Claim { key: Some(key), duplicates: Arc::clone(self) })
            }
        }
    }

    /// A key that an earlier process stored. `false` when another request with this key is known: it was stored twice.
    pub(crate) fn remember(&self, stored: &StoredKey) -> bool {
        // A wall clock that jumped back must not make it look older than no time at all.
        let age = self.clock.now_unix_nano().saturating_sub(stored.stored_unix_nano).max(0);
        let now = self.now();
        let mut state = self.lock();
        let key = (stored.tenant.clone(), stored.key);
        match state.entries.get(&key) {
            Some(Entry::Stored { sequence, .. }) => return *sequence == stored.sequence,
            Some(Entry::InFlight(_)) => return false,
            None => {}
        }
        self.insert(&mut state, key, stored.sequence, stored.stored_unix_nano, now.saturating_sub(age));
        self.forget_old(&mut state, now);
        true
    }

    /// Keys with a sequence in `(after, through]`.
    pub(crate) fn stored_between(&self, after: u64, through: u64) -> Vec<StoredKey> {
        let state = self.lock();
        let mut keys: Vec<_> = state
            .order
            .iter()
            .rev()
            .skip_while(|(sequence, _)| *sequence > through)
            .take_while(|(sequence, _)| *sequence > after)
            .filter_map(|(_, key)| match state.entries.get(key) {
                Some(Entry::Stored { sequence, stored_unix_nano, .. }) => Some(StoredKey {
                    tenant: key.0.clone(),
                    key: key.1,
                    sequence: *sequence,
                    stored_unix_nano: *stored_unix_nano,
                }),
                _ => None,
            })
            .collect();
        keys.reverse();
        keys
    }

    /// The least sequence that is still known; those before are forgotten. By sequence and not by the wall clock, which
    /// may jump.
    pub(crate) fn oldest_sequence(&self) -> u64 {
        let now = self.now();
        let mut state = self.lock();
        self.forget_old(&mut state, now);
        state.order.front().map_or(0, |(sequence, _)| *sequence)
    }

    fn insert(&self, state: &mut State, key: Key, sequence: u64, stored_unix_nano: i64, stored_at: i64) {
        state.order.push_back((sequence, key.clone()));
        state.entries.insert(key, Entry::Stored { sequence, stored_unix_nano, stored_at });
    }

    fn forget_old(&self, state: &mut State, now: i64) {
        let window = i64::try_from(self.window.as_nanos()).unwrap_or(i64::MAX);
        while let Some((_, oldest)) = state.order.front() {
            let is_old = match state.entries.get(oldest) {
                Some(Entry::Stored { stored_at, .. }) => now.saturating_sub(*stored_at) > window,
                _ => true,
            };
            if !is_old && state.order.len() <= self.max_entries {
                return;
            }
            if let Some((_, key)) = state.order.pop_front() {
                state.entries.remove(&key);
            }
        }
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.monotonic().as_nanos()).unwrap_or(i64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The request is stored: whoever waited for it is told, repetitions are recognised from now on.
    pub(crate) fn stored(mut self, sequence: u64) {
        let Some(key) = self.key.take() else { return };
        let (now, now_unix_nano) = (self.duplicates.now(), self.duplicates.clock.now_unix_nano());
        let mut state = self.duplicates.lock();
        let before = state.entries.remove(&key);
        self.duplicates.insert(&mut state, key, sequence, now_unix_nano, now);
        self.duplicates.forget_old(&mut state, now);
        drop(state);
        if let Some(Entry::InFlight(waiting)) = before {
            for waiter in waiting {
                // The waiter may have left.
                let _ = waiter.send(sequence);
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            // Waiters see their sender dropped.
            self.duplicates.lock().entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duplicates(clock: &Clock) -> Arc<Duplicates> {
        Duplicates::new(clock.clone(), Duration::from_secs(600), 3)
    }

    fn store(duplicates: &Arc<Duplicates>, key: u128, sequence: u64) {
        match duplicates.claim(&Tenant::default(), BatchKey(key)) {
            Verdict::New(claim) => claim.stored(sequence),
            other => panic!("{other:?}"),
        }
    }

    fn is_stored(duplicates: &Arc<Duplicates>, key: u128) -> bool {
        matches!(duplicates.claim(&Tenant::default(), BatchKey(key)), Verdict::Stored(_))
    }

    #[test]
    fn a_key_is_known_for_the_window_and_not_longer() {
        let clock = Clock::manual(0);
        let duplicates = duplicates(&clock);
        store(&duplicates, 1, 10);
        clock.advance(Duration::from_secs(600));
        assert!(is_stored(&duplicates, 1));
        clock.advance(Duration::from_secs(1));
        assert!(!is_stored(&duplicates, 1));
    }

    #[test]
    fn a_wall_clock_that_jumps_forgets_nothing() {
        let clock = Clock::manual(0);
        let duplicates = duplicates(&clock);
        store(&duplicates, 1, 10);
        clock.set_unix_nano(i64::MAX / 2);
        assert!(is_stored(&duplicates, 1));
    }

    #[test]
    fn their_number_is_bounded_and_tenants_are_separate() {
        let duplicates = duplicates(&Clock::manual(0));
        for key in 1..=4 {
            store(&duplicates, key, u64::try_from(key).unwrap());
        }
        assert!(!is_stored(&duplicates, 1));
        assert!(is_stored(&duplicates, 4));
        let other = duplicates.claim(&Tenant::new("other"), BatchKey(4));
        assert!(matches!(other, Verdict::New(_)));
    }

    #[tokio::test]
    async fn a_repetition_waits_for_the_first_and_shares_its_end() {
        let duplicates = duplicates(&Clock::manual(0));
        let claim = |key| duplicates.claim(&Tenant::default(), BatchKey(key));
        let (Verdict::New(first), Verdict::InFlight(second)) = (claim(1), claim(1)) else { panic!() };
        first.stored(5);
        assert_eq!(second.await.unwrap(), 5);
        let (Verdict::New(first), Verdict::InFlight(second)) = (claim(2), claim(2)) else { panic!() };
        drop(first);
        second.await.unwrap_err();
        assert!(matches!(claim(2), Verdict::New(_)), "the key is free again");
    }

    #[test]
    fn what_an_earlier_process_stored_ages_by_the_wall() {
        let clock = Clock::manual(1_000_000_000_000);
        let duplicates = duplicates(&clock);
        let stored = |key, age_seconds: i64| StoredKey {
            tenant: Tenant::default(),
            key: BatchKey(key),
            sequence: 1,
            stored_unix_nano: clock.now_unix_nano() - age_seconds * 1_000_000_000,
        };
        assert!(duplicates.remember(&stored(1, 599)));
        assert!(duplicates.remember(&stored(1, 599)), "the same request, known from two places");
        assert!(!duplicates.remember(&StoredKey { sequence: 2, ..stored(1, 599) }));
        duplicates.remember(&stored(2, -50));
        assert!(is_stored(&duplicates, 1) && is_stored(&duplicates, 2));
        clock.advance(Duration::from_secs(2));
        assert!(!is_stored(&duplicates, 1));
        assert!(is_stored(&duplicates, 2));
    }
}
