//! What a fault does to what passes through an instance: numbers that `traffic` applies while it makes a call.
//!
//! Amounts are chosen so that a third or more of the calls of some user-facing operation are bad while the fault lasts.

use super::{Fault, Kind, Place};
use crate::demo::world::{OperationId, World};

/// What is wrong with an operation of an instance in one second; `default()`: nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::demo) struct Ailment {
    /// Factor on the time spent in the service itself.
    pub(in crate::demo) slowness: f64,
    /// Share of calls that stand still inside the service, and the median of how long.
    pub(in crate::demo) stall_ratio: f64,
    pub(in crate::demo) stall_ms: f64,
    /// Median of the wait before the service takes a call: between the caller's span and the service's. 0: none.
    pub(in crate::demo) queue_ms: f64,
    /// Share of calls that fail in the service before it does anything.
    pub(in crate::demo) error_ratio: f64,
    /// No call reaches the service.
    pub(in crate::demo) unreachable: bool,
    /// It keeps callers waiting until they give up, instead of refusing at once.
    pub(in crate::demo) silent: bool,
    pub(in crate::demo) symptom: Symptom,
}

/// How an ailment reads in logs and exceptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) enum Symptom {
    None,
    /// New code that does not do what it should.
    Defect,
    /// No free worker.
    Saturated,
    /// Garbage collection that frees nothing.
    Collecting,
    /// No processor time.
    Starved,
}

impl Default for Ailment {
    fn default() -> Self {
        Self {
            slowness: 1.0,
            stall_ratio: 0.0,
            stall_ms: 0.0,
            queue_ms: 0.0,
            error_ratio: 0.0,
            unreachable: false,
            silent: false,
            symptom: Symptom::None,
        }
    }
}

/// A statement or request that is slower than usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::demo) struct Slow {
    /// Share of them that are.
    pub(in crate::demo) ratio: f64,
    /// Median of what they take then.
    pub(in crate::demo) median_ms: f64,
    /// Refused at once instead.
    pub(in crate::demo) refused: bool,
}

/// Share of its memory that a leaking process fills before garbage collection is felt.
const FELT_FILL: f64 = 0.35;
/// A process that is out of memory is back after this many seconds.
const RESTART: u64 = 12;

impl Fault {
    /// What is wrong with calls of `id` at an instance. `bad_release`: it runs the release that this fault deployed.
    pub(in crate::demo) fn ailment(
        &self,
        world: &World,
        instance: usize,
        id: OperationId,
        second: u64,
        bad_release: bool,
    ) -> Ailment {
        let well = Ailment::default();
        let s = self.severity;
        match (self.kind, self.place) {
            (Kind::BadDeploy, Place::Operation(bad)) if bad == id && bad_release => {
                let sick = Ailment { symptom: Symptom::Defect, ..well };
                match self.quiet {
                    true => Ailment { stall_ratio: 0.8, stall_ms: 900.0 * s, ..sick },
                    false => Ailment { error_ratio: 0.6 * s, ..sick },
                }
            }
            (Kind::DependencyOutage, Place::Service(service)) if service == id.service => {
                match self.down(world, instance) {
                    true => Ailment { unreachable: true, silent: self.quiet, ..well },
                    // The survivor has the load of all.
                    false => Ailment { slowness: 3.0, queue_ms: 60.0 * s, ..well },
                }
            }
            (Kind::RetryStorm, Place::Service(service)) if service == id.service => {
                let grown = self.grown(second, 80.0) * s;
                Ailment {
                    slowness: 4.0,
                    stall_ratio: 0.6,
                    stall_ms: 500.0 * grown,
                    queue_ms: 350.0 * grown,
                    error_ratio: 0.3 * grown,
                    symptom: Symptom::Saturated,
                    ..well
                }
            }
            (Kind::MemoryLeak, Place::Service(service)) if service == id.service => {
                let leak = self.leak(world, instance, second);
                let felt = ((leak.fill - FELT_FILL) / 0.3).clamp(0.0, 1.0);
                Ailment {
                    unreachable: leak.restarting,
                    stall_ratio: 0.9 * felt,
                    stall_ms: (350.0 + 1500.0 * (leak.fill - FELT_FILL).max(0.0)) * s,
                    symptom: Symptom::Collecting,
                    ..well
                }
            }
            (Kind::NoisyNeighbour, Place::Node(node)) if world.instances[instance].node == node => Ailment {
                slowness: 3.0,
                stall_ratio: 0.85,
                stall_ms: 900.0 * s,
                queue_ms: 25.0,
                symptom: Symptom::Starved,
                ..well
            },
            _ => well,
        }
    }

    /// From 0.3 at the beginning to 1 after so many seconds: most troubles grow.
    fn grown(&self, second: u64, seconds: f64) -> f64 {
        (0.3 + 0.7 * second.saturating_sub(self.start) as f64 / seconds).min(1.0)
    }

    /// Statements of a store.
    pub(in crate::demo) fn statement(&self, store: &str, second: u64) -> Option<Slow> {
        match (self.kind, self.place) {
            (Kind::SlowDatabase, Place::Store(slow, _)) if slow == store => {
                let ratio = 0.75 * self.grown(second, 80.0);
                Some(Slow { ratio, median_ms: 1000.0 * self.severity, refused: false })
            }
            _ => None,
        }
    }

    /// Requests to a host outside: most are refused, or answered only when the caller has given up.
    pub(in crate::demo) fn request(&self, host: &str) -> Option<Slow> {
        match self.place {
            Place::Peer(out, _) if out == host => Some(Slow { ratio: 0.85, median_ms: 60_000.0, refused: !self.quiet }),
            _ => None,
        }
    }

    /// How often a call of this service is tried, and how long each try may take.
    pub(in crate::demo) fn tries(&self, service: usize) -> Option<(u32, f64)> {
        (self.kind == Kind::RetryStorm && self.place == Place::Service(service)).then_some((4, 900.0))
    }

    /// Whether an outage has taken this instance: all but the last of its service.
    pub(in crate::demo) fn down(&self, world: &World, instance: usize) -> bool {
        let Place::Service(service) = self.place else { return false };
        let all = &world.instances_of[service];
        self.kind == Kind::DependencyOutage && all.contains(&instance) && all.last() != Some(&instance)
    }

    /// How full the memory of an instance of the leaking service is. Each instance has a period of its own, so that they
    /// do not all restart at once.
    pub(in crate::demo) fn leak(&self, world: &World, instance: usize, second: u64) -> Leak {
        let sick = self.kind == Kind::MemoryLeak && self.service() == Some(world.instances[instance].service);
        if !sick || !self.lasts(second) {
            return Leak::default();
        }
        let period = 95 + world.instances[instance].replica as u64 * 11;
        let (restarts, age) = ((second - self.start) / period, (second - self.start) % period);
        Leak {
            fill: (age as f64 / (period - RESTART) as f64).min(1.0),
            restarting: age >= period - RESTART,
            restarts,
            began: self.start + restarts * period,
        }
    }
}

/// Where a leaking process stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::demo) struct Leak {
    /// Used share of what it may use beyond its normal size.
    pub(in crate::demo) fill: f64,
    /// Out of memory, not back yet.
    pub(in crate::demo) restarting: bool,
    /// How often it has been restarted since the leak began.
    pub(in crate::demo) restarts: u64,
    /// Second in which the present process began, or the leak if none of it died yet; 0: no leak.
    pub(in crate::demo) began: u64,
}
