//! When something goes wrong or is changed: periods of twenty minutes, each with a fault at its beginning, recovery and
//! quiet after it, and three changes that do no harm. Pure: every answer follows from the seed and the anchor.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{Fault, Kind};
use crate::demo::{catalogue::SERVICES, values::pick, world::World};

/// From one fault's beginning to the next one's.
const PERIOD: u64 = 1200;
const SHORTEST: u64 = 360;
const LONGEST: u64 = 480;
/// Between two instances of a rollout.
const STEP: u64 = 20;
/// A rollback is over when the fault ends: four instances, ten seconds each.
const ROLLBACK: u64 = 30;
const ROLLBACK_STEP: u64 = 10;

/// Which faults there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) enum Occurrence {
    Never,
    /// Each kind in turn, from the anchor on, for ever.
    InTurn,
    /// One, at the anchor, for so many seconds.
    Once(Kind, u64),
}

/// The calendar of a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) struct Schedule {
    pub(in crate::demo) seed: u64,
    /// First second of telemetry: nothing is changed before it.
    pub(in crate::demo) opens: u64,
    /// Second in which the first fault begins, or would begin.
    pub(in crate::demo) anchor: u64,
    pub(in crate::demo) occurrence: Occurrence,
}

/// New pods for all instances of a service, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) struct Rollout {
    pub(in crate::demo) service: usize,
    /// Second in which the first instance is replaced, and seconds until the next.
    pub(in crate::demo) at: u64,
    step: u64,
    /// Rollouts of this service so far, this one included.
    pub(in crate::demo) generation: u32,
    /// Releases of this service so far, without those that were taken back.
    pub(in crate::demo) release: u32,
    pub(in crate::demo) release_before: u32,
}

impl Rollout {
    /// Second in which the `replica`-th instance is replaced.
    pub(in crate::demo) fn reaches(&self, replica: usize) -> u64 {
        self.at + self.step * replica as u64
    }
}

/// Something that somebody did to the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) enum Change {
    Rollout(Rollout),
    /// A feature flag of a service is raised to so many percent.
    Flag {
        at: u64,
        service: usize,
        word: &'static str,
        percent: u32,
    },
}

impl Change {
    pub(in crate::demo) fn at(&self) -> u64 {
        match self {
            Self::Rollout(rollout) => rollout.at,
            Self::Flag { at, .. } => *at,
        }
    }
}

/// A change before it is known which generation and release it brings.
enum Plan {
    Release(u64, usize),
    Rollback(u64, usize),
    /// The same release again, which is what people do against leaks and hung processes.
    Restart(u64, usize),
    Flag(u64, usize, &'static str, u32),
}

impl Plan {
    fn at(&self) -> u64 {
        match self {
            Self::Release(at, _) | Self::Rollback(at, _) | Self::Restart(at, _) | Self::Flag(at, ..) => *at,
        }
    }
}

impl Schedule {
    /// The `number`-th fault.
    pub(in crate::demo) fn fault(&self, world: &World, number: u64) -> Option<Fault> {
        let start = self.anchor + number * PERIOD;
        match self.occurrence {
            Occurrence::Never => None,
            Occurrence::Once(kind, seconds) => (number == 0).then(|| Fault::new(world, kind, number, start, seconds)),
            Occurrence::InTurn => {
                let seconds = self.rng(number.cast_signed(), 1).random_range(SHORTEST..=LONGEST);
                Some(Fault::new(world, Kind::of(self.seed, number), number, start, seconds))
            }
        }
    }

    /// The fault that lasts in this second.
    pub(in crate::demo) fn fault_at(&self, world: &World, second: u64) -> Option<Fault> {
        let number = second.checked_sub(self.anchor)? / PERIOD;
        let number = if matches!(self.occurrence, Occurrence::Once(..)) { 0 } else { number };
        self.fault(world, number).filter(|fault| fault.lasts(second))
    }

    /// Every change in `[opens, until)`, in order.
    pub(in crate::demo) fn changes(&self, world: &World, until: u64) -> Vec<Change> {
        // The decoy of a period lies before its beginning.
        let period = |second: u64| (second.cast_signed() - self.anchor.cast_signed()).div_euclid(PERIOD.cast_signed());
        let (first, last) = (period(self.opens), period(until) + 1);
        let mut plans: Vec<Plan> = (first..=last).flat_map(|period| self.plans(world, period)).collect();
        plans.retain(|plan| (self.opens..until).contains(&plan.at()));
        plans.sort_by_key(Plan::at);
        numbered(&plans)
    }

    fn plans(&self, world: &World, period: i64) -> Vec<Plan> {
        let mut plans = Vec::new();
        let begins = self.anchor.saturating_add_signed(period * PERIOD.cast_signed());
        // Shortly before the fault, so that the newest change is not the answer; while it lasts; and long after it.
        let mut rng = self.rng(period, 2);
        let times = [
            begins - rng.random_range(25..100),
            begins + rng.random_range(90..300),
            begins + PERIOD / 2 + rng.random_range(0..300),
        ];
        let near: Vec<usize> =
            (period - 1..=period + 1).filter_map(|n| self.fault(world, u64::try_from(n).ok()?)?.service()).collect();
        for at in times {
            let service = loop {
                let service = rng.random_range(0..SERVICES.len());
                if !near.contains(&service) {
                    break service;
                }
            };
            plans.push(match rng.random_bool(0.65) {
                true => Plan::Release(at, service),
                false => {
                    let word = pick(&mut rng, &["express-lane", "new-header", "dark-mode", "gift-wrap", "fast-path"]);
                    Plan::Flag(at, service, word, pick(&mut rng, &[5, 10, 25, 50]))
                }
            });
        }
        let fault = u64::try_from(period).ok().and_then(|number| self.fault(world, number));
        if let Some((fault, service)) = fault.and_then(|fault| fault.service().map(|service| (fault, service))) {
            match fault.kind {
                Kind::BadDeploy => {
                    plans.push(Plan::Release(fault.start, service));
                    plans.push(Plan::Rollback(fault.end - ROLLBACK, service));
                }
                Kind::MemoryLeak => plans.push(Plan::Restart(fault.end, service)),
                Kind::DependencyOutage if fault.crashes() => plans.push(Plan::Restart(fault.end, service)),
                _ => {}
            }
        }
        plans
    }

    /// Chance for one purpose of one period.
    fn rng(&self, period: i64, purpose: u64) -> StdRng {
        let period = period.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        StdRng::seed_from_u64(self.seed.rotate_left(9) ^ period ^ purpose.rotate_left(40))
    }
}

/// Gives each rollout its generation and release; `plans` are in order.
fn numbered(plans: &[Plan]) -> Vec<Change> {
    // Per service: generation, highest release, present release, release before the present one.
    let mut known = vec![(0u32, 0u32, 0u32, 0u32); SERVICES.len()];
    let mut changes = Vec::with_capacity(plans.len());
    for plan in plans {
        let (at, service, release, step) = match *plan {
            Plan::Flag(at, service, word, percent) => {
                changes.push(Change::Flag { at, service, word, percent });
                continue;
            }
            Plan::Release(at, service) => (at, service, known[service].1 + 1, STEP),
            Plan::Rollback(at, service) => (at, service, known[service].3, ROLLBACK_STEP),
            Plan::Restart(at, service) => (at, service, known[service].2, ROLLBACK_STEP),
        };
        let (generation, highest, present, _) = known[service];
        known[service] = (generation + 1, highest.max(release), release, present);
        changes.push(Change::Rollout(Rollout {
            service,
            at,
            step,
            generation: generation + 1,
            release,
            release_before: present,
        }));
    }
    changes
}
