//! How the shop is in one second: who runs which release since when, and what is wrong. Pure, made anew for each second.

use super::{
    fault::{Ailment, Change, Fault, Kind, Schedule, Slow},
    world::{OperationId, Pod, World},
};

/// A caller that users wait for gives up after this long.
const ENTRY_PATIENCE_MS: f64 = 4000.0;
/// Any other caller.
const PATIENCE_MS: f64 = 2500.0;

/// The state of every instance in one second.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conditions {
    pub(super) second: u64,
    pub(super) fault: Option<Fault>,
    running: Vec<Running>,
    /// Flags that are raised in this second.
    flags: Vec<(usize, Event)>,
}

/// What an instance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Running {
    pod: Pod,
    /// Second in which the present process began to count.
    began: u64,
    /// It runs the release that the present fault deployed.
    bad: bool,
}

/// What a process has to say about itself in one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Started,
    OutOfMemory,
    /// It was started, failed and will be started again.
    CannotStart,
    Flag {
        word: &'static str,
        percent: u32,
    },
}

impl Conditions {
    pub(super) fn at(world: &World, schedule: &Schedule, second: u64) -> Self {
        let fault = schedule.fault_at(world, second);
        let mut running: Vec<Running> = (0..world.instances.len())
            .map(|instance| Running {
                pod: Pod { instance, generation: 0, release: 0 },
                began: schedule.opens,
                bad: false,
            })
            .collect();
        let mut flags = Vec::new();
        for change in schedule.changes(world, second + 1) {
            let rollout = match change {
                Change::Rollout(rollout) => rollout,
                Change::Flag { at, service, word, percent } => {
                    if at == second {
                        flags.push((service, Event::Flag { word, percent }));
                    }
                    continue;
                }
            };
            let blamed = fault.as_ref().is_some_and(|f| f.kind == Kind::BadDeploy && f.start == rollout.at);
            for instance in &world.instances_of[rollout.service] {
                let began = rollout.reaches(world.instances[*instance].replica);
                if began <= second {
                    let pod = Pod { instance: *instance, generation: rollout.generation, release: rollout.release };
                    let bad = blamed && fault.as_ref().and_then(Fault::service) == Some(rollout.service);
                    running[*instance] = Running { pod, began, bad };
                }
            }
        }
        if let Some(fault) = &fault {
            for (instance, running) in running.iter_mut().enumerate() {
                let leak = fault.leak(world, instance, second);
                if leak.restarts > 0 {
                    running.began = running.began.max(leak.began);
                }
            }
        }
        Self { second, fault, running, flags }
    }

    /// A second of a shop in which nothing ever happens.
    #[cfg(test)]
    pub(super) fn calm(world: &World, second: u64) -> Self {
        let schedule = Schedule {
            seed: world.seed,
            opens: second,
            anchor: second + 3600,
            occurrence: super::fault::Occurrence::Never,
        };
        Self::at(world, &schedule, second)
    }

    pub(super) fn pod(&self, instance: usize) -> Pod {
        self.running[instance].pod
    }

    pub(super) fn began(&self, instance: usize) -> u64 {
        self.running[instance].began
    }

    /// Whether the process is there to export anything.
    pub(super) fn exports(&self, world: &World, instance: usize) -> bool {
        let Some(fault) = &self.fault else { return true };
        !fault.leak(world, instance, self.second).restarting && !fault.down(world, instance)
    }

    /// What the process of an instance has to say about itself.
    pub(super) fn event(&self, world: &World, instance: usize) -> Option<Event> {
        let leak = |second| self.fault.as_ref().map(|fault| fault.leak(world, instance, second)).unwrap_or_default();
        let described = &world.instances[instance];
        if leak(self.second).restarting && !leak(self.second - 1).restarting {
            return Some(Event::OutOfMemory);
        }
        let refuses = self.fault.as_ref().filter(|fault| !fault.quiet() && fault.down(world, instance));
        if refuses.is_some_and(|fault| (self.second - fault.start) % 45 == described.replica as u64 * 7) {
            return Some(Event::CannotStart);
        }
        if self.running[instance].began == self.second
            && (self.pod(instance).generation > 0 || leak(self.second).restarts > 0)
        {
            return Some(Event::Started);
        }
        let raised = self.flags.iter().find(|(service, _)| described.replica == 0 && *service == described.service);
        raised.map(|(_, event)| *event)
    }

    pub(super) fn ailment(&self, world: &World, instance: usize, id: OperationId) -> Ailment {
        let bad = self.running[instance].bad;
        self.fault.as_ref().map_or_else(Ailment::default, |f| f.ailment(world, instance, id, self.second, bad))
    }

    pub(super) fn statement(&self, store: &str) -> Option<Slow> {
        self.fault.as_ref()?.statement(store, self.second)
    }

    pub(super) fn request(&self, host: &str) -> Option<Slow> {
        self.fault.as_ref()?.request(host)
    }

    /// How often a caller tries a call, and how long it waits for each try.
    pub(super) fn tries(&self, from_entry: bool, target: usize) -> (u32, f64) {
        let usual = (1, if from_entry { ENTRY_PATIENCE_MS } else { PATIENCE_MS });
        self.fault.as_ref().and_then(|f| f.tries(target)).unwrap_or(usual)
    }
}
