//! Halves of calls, by the caller's span, until the other half comes or time or room is over.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use hashbrown::{HashMap, hash_map::Entry};

use super::super::{OTHER, peer::PeerKind, remembered};

/// Callees kept for a caller that has not come yet: a message has few consumers.
const MAX_CALLEES: usize = 16;

/// A span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SpanKey {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
}

impl SpanKey {
    pub(super) fn new(trace: &[u8], span: &[u8]) -> Self {
        Self { trace: trace.try_into().unwrap_or_default(), span: span.try_into().unwrap_or_default() }
    }
}

/// The caller's half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) service: u32,
    /// Callee, should it send no spans.
    pub(super) peer: u32,
    pub(super) peer_kind: PeerKind,
    pub(super) step: i64,
    pub(super) duration_nano: i64,
    pub(super) is_error: bool,
    /// A message may have several consumers: it stays after the first.
    pub(super) is_producer: bool,
    /// A callee has come.
    pub(super) is_counted: bool,
}

/// The callee's half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Callee {
    pub(super) service: u32,
    pub(super) duration_nano: i64,
}

/// One or the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Caller(Caller),
    Callees(Vec<Callee>),
}

#[derive(Debug)]
pub(super) struct Waiting {
    wait_nano: i64,
    max_halves: usize,
    /// With the time of arrival.
    halves: HashMap<SpanKey, (i64, Half)>,
    /// By time of arrival. Some have left since.
    order: VecDeque<(i64, SpanKey)>,
    /// Arrival never goes back, whatever the clock does.
    now: i64,
    pub(super) names: Names,
}

impl Waiting {
    pub(super) fn new(wait: Duration, max_halves: usize) -> Self {
        Self {
            wait_nano: i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX),
            max_halves,
            halves: HashMap::new(),
            order: VecDeque::new(),
            now: i64::MIN,
            names: Names::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.halves.len()
    }

    /// A caller's half comes. The callees that were waiting for it; without any, it waits. The same span again changes
    /// nothing while it waits.
    pub(super) fn add_caller(&mut self, key: SpanKey, caller: Caller, now: i64) -> Vec<Callee> {
        let now = self.advance(now);
        match self.halves.entry(key) {
            Entry::Vacant(place) => {
                place.insert((now, Half::Caller(caller)));
                self.order.push_back((now, key));
                Vec::new()
            }
            Entry::Occupied(mut place) => match &mut place.get_mut().1 {
                Half::Caller(_) => Vec::new(),
                Half::Callees(callees) => {
                    let callees = std::mem::take(callees);
                    if caller.is_producer {
                        place.get_mut().1 = Half::Caller(Caller { is_counted: true, ..caller });
                    } else {
                        place.remove();
                    }
                    callees
                }
            },
        }
    }

    /// A callee's half comes. Its caller if that is here; otherwise it waits.
    pub(super) fn add_callee(&mut self, key: SpanKey, callee: Callee, now: i64) -> Option<Caller> {
        let now = self.advance(now);
        match self.halves.entry(key) {
            Entry::Vacant(place) => {
                place.insert((now, Half::Callees(vec![callee])));
                self.order.push_back((now, key));
                None
            }
            Entry::Occupied(mut place) => match &mut place.get_mut().1 {
                Half::Callees(callees) => {
                    if callees.len() < MAX_CALLEES {
                        callees.push(callee);
                    }
                    None
                }
                Half::Caller(caller) if caller.is_producer => {
                    caller.is_counted = true;
                    Some(*caller)
                }
                Half::Caller(caller) => {
                    let caller = *caller;
                    place.remove();
                    Some(caller)
                }
            },
        }
    }

    /// Callers that have waited long enough, or for whom there is no room, and whom no callee has come for.
    pub(super) fn expired(&mut self, now: i64) -> Vec<(SpanKey, Caller)> {
        let now = self.advance(now);
        let mut expired = Vec::new();
        while let Some((since, key)) = self.order.front().copied() {
            let is_full = self.halves.len() > self.max_halves;
            if !is_full && now.saturating_sub(since) < self.wait_nano {
                break;
            }
            self.order.pop_front();
            let is_this = self.halves.get(&key).is_some_and(|(arrived, _)| *arrived == since);
            if !is_this {
                continue;
            }
            if is_full {
                metrics::counter!("rootline_edge_halves_evicted_total").increment(1);
            }
            if let Some((_, Half::Caller(caller))) = self.halves.remove(&key)
                && !caller.is_counted
            {
                expired.push((key, caller));
            }
        }
        self.forget_left();
        expired
    }

    /// Keeps the order about as long as the table.
    fn forget_left(&mut self) {
        if self.order.len() > 2 * self.halves.len() + 1024 {
            let halves = &self.halves;
            self.order.retain(|(since, key)| halves.get(key).is_some_and(|(arrived, _)| arrived == since));
        }
    }

    /// Keeps the names of the halves only, so that peers that come and go do not use up what may be remembered.
    pub(super) fn forget_names(&mut self) {
        let mut names = Names::default();
        let known = std::mem::take(&mut self.names);
        for (_, half) in self.halves.values_mut() {
            match half {
                Half::Caller(caller) => {
                    caller.service = names.number(&known.text(caller.service));
                    caller.peer = names.number(&known.text(caller.peer));
                }
                Half::Callees(callees) => {
                    callees.iter_mut().for_each(|callee| callee.service = names.number(&known.text(callee.service)));
                }
            }
        }
        self.names = names;
    }

    fn advance(&mut self, now: i64) -> i64 {
        self.now = self.now.max(now);
        self.now
    }

    /// The halves by time of arrival.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SpanKey, i64, &Half)> {
        self.order.iter().filter_map(|(since, key)| {
            let (arrived, half) = self.halves.get(key)?;
            (arrived == since).then_some((*key, *since, half))
        })
    }

    /// Puts a half where it was before a restart; called by time of arrival.
    pub(super) fn restore(&mut self, key: SpanKey, since: i64, half: Half) {
        self.advance(since);
        match (self.halves.get_mut(&key), half) {
            (Some((_, Half::Callees(known))), Half::Callees(more)) => known.extend(more),
            (_, half) => {
                self.halves.insert(key, (since, half));
                self.order.push_back((since, key));
            }
        }
    }
}

/// Names by number. Bounded: what comes late is [`OTHER`].
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

/// More services and peers than this are not told apart.
const MAX_NAMES: usize = 20_000;

impl Names {
    pub(super) fn number(&mut self, name: &str) -> u32 {
        let name = remembered(name);
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let name = if self.texts.len() < MAX_NAMES { name } else { OTHER };
        let Self { numbers, texts } = self;
        if let Some(number) = numbers.get(name) {
            return *number;
        }
        let (name, number) = (Arc::<str>::from(name), texts.len() as u32);
        texts.push(Arc::clone(&name));
        numbers.insert(name, number);
        number
    }

    pub(super) fn text(&self, number: u32) -> Arc<str> {
        self.texts.get(number as usize).cloned().unwrap_or_else(|| Arc::from(OTHER))
    }
}
