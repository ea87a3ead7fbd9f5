//! Group commit, decided without doing: which requests share the next write and fsync, and under which sequences.
//!
//! One group is in flight at most. All who came while it was being synced form the next one, so a slow disk makes
//! groups larger instead of queues longer.

use std::collections::VecDeque;

/// Requests waiting for the log, in order of arrival.
#[derive(Debug)]
pub struct GroupCommit<T> {
    waiting: VecDeque<(usize, T)>,
    waiting_bytes: usize,
    /// Length of the group being written.
    in_flight: Option<u64>,
    next_sequence: u64,
    max_group_bytes: usize,
}

/// Requests that are written and synced together; consecutive sequences from the first.
#[derive(Debug)]
pub struct Group<T> {
    /// Sequence of the first request.
    pub first_sequence: u64,
    /// The requests, in sequence order. Never empty.
    pub requests: Vec<T>,
}

impl<T> GroupCommit<T> {
    /// The log goes on at that sequence. A group is closed once it has that many bytes.
    pub const fn new(next_sequence: u64, max_group_bytes: usize) -> Self {
        Self { waiting: VecDeque::new(), waiting_bytes: 0, in_flight: None, next_sequence, max_group_bytes }
    }

    /// One more waits.
    pub fn enqueue(&mut self, bytes: usize, request: T) {
        self.waiting.push_back((bytes, request));
        self.waiting_bytes += bytes;
    }

    /// The next group, unless nobody waits or one is in flight. [`Self::synced`] or [`Self::failed`] must follow.
    pub fn next_group(&mut self) -> Option<Group<T>> {
        if self.in_flight.is_some() || self.waiting.is_empty() {
            return None;
        }
        let (mut requests, mut bytes) = (Vec::new(), 0);
        while bytes < self.max_group_bytes
            && let Some((request_bytes, request)) = self.waiting.pop_front()
        {
            bytes += request_bytes;
            requests.push(request);
        }
        self.waiting_bytes -= bytes;
        self.in_flight = Some(requests.len() as u64);
        Some(Group { first_sequence: self.next_sequence, requests })
    }

    /// The group in flight is on disk: its sequences are used.
    pub fn synced(&mut self) {
        self.next_sequence += self.in_flight.take().unwrap_or(0);
    }

    /// The group in flight may or may not be on disk. Its sequences are given out again, in another file, whose name
    /// makes what the failed file holds of them void.
    pub fn failed(&mut self) {
        self.in_flight = None;
    }

    /// Nobody waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.waiting.is_empty()
    }

    /// Bytes not yet in a group.
    pub const fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_came_during_a_sync_share_the_next_one() {
        let mut log = GroupCommit::new(7, 100);
        log.enqueue(10, 'a');
        let first = log.next_group().unwrap();
        assert_eq!((first.first_sequence, first.requests), (7, vec!['a']));
        log.enqueue(10, 'b');
        log.enqueue(10, 'c');
        assert!(log.next_group().is_none(), "one is in flight");
        log.synced();
        let second = log.next_group().unwrap();
        assert_eq!((second.first_sequence, second.requests), (8, vec!['b', 'c']));
        assert!(!log.is_idle());
        log.synced();
        assert!(log.is_idle());
    }

    #[test]
    fn a_group_closes_at_its_size_and_a_large_request_goes_alone() {
        let mut log = GroupCommit::new(1, 100);
        for (bytes, name) in [(60, 'a'), (60, 'b'), (500, 'c'), (1, 'd')] {
            log.enqueue(bytes, name);
        }
        let mut groups = Vec::new();
        while let Some(group) = log.next_group() {
            log.synced();
            groups.push((group.first_sequence, group.requests));
        }
        assert_eq!(groups, [(1, vec!['a', 'b']), (3, vec!['c']), (4, vec!['d'])]);
        assert_eq!(log.waiting_bytes(), 0);
    }

    #[test]
    fn a_failed_group_gives_its_sequences_back() {
        let mut log = GroupCommit::new(1, 100);
        log.enqueue(1, 'a');
        log.enqueue(1, 'b');
        assert_eq!(log.next_group().unwrap().first_sequence, 1);
        log.failed();
        log.enqueue(1, 'c');
        assert_eq!(log.next_group().unwrap().first_sequence, 1);
    }
}
