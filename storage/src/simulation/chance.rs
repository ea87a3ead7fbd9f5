//! Chance of one seed.

use crate::random::Random;

/// Decisions of a simulation: the same for the same seed.
#[derive(Clone, Debug)]
pub(super) struct Chance(Random);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(Random::seeded(seed))
    }

    /// In `0..bound`.
    pub(super) fn below(&self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    pub(super) fn percent(&self, percent: u64) -> bool {
        // Asking even for 0 and 100 keeps the stream of decisions the same when a rate is changed.
        self.below(100) < percent
    }

    pub(super) fn random(&self) -> Random {
        self.0.clone()
    }
}
