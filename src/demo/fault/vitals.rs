//! What the instruments of a process, its container and its node show, in health and in a fault.
//!
//! The shop's spans are a sample; gauges show what the whole load would do.

use rand::{Rng, rngs::StdRng};

use super::{Fault, Kind, Place};
use crate::demo::world::World;

/// A process and its container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::demo) struct Vitals {
    /// Resident memory, and what the container may have.
    pub(in crate::demo) memory_bytes: i64,
    pub(in crate::demo) memory_limit_bytes: i64,
    /// Processors in use: 0 to 1 of one.
    pub(in crate::demo) cpu: f64,
    /// Share of time in which garbage collection stops the process.
    pub(in crate::demo) collecting: f64,
    /// Share of time in which the container wants a processor and gets none.
    pub(in crate::demo) throttled: f64,
    /// Calls being served.
    pub(in crate::demo) active: i64,
    /// How late timers fire, in seconds.
    pub(in crate::demo) delay_seconds: f64,
    pub(in crate::demo) restarts: i64,
}

/// `busy`: share of the last interval in which the process worked on calls.
pub(in crate::demo) fn vitals(
    world: &World,
    fault: Option<&Fault>,
    instance: usize,
    second: u64,
    busy: f64,
    rng: &mut StdRng,
) -> Vitals {
    let normal = 140_000_000 + (instance as i64 * 7_919_113) % 400_000_000;
    let memory_limit_bytes = ((normal as f64 * 1.4) as i64 / (128 << 20) + 1) * (128 << 20);
    let mut vitals = Vitals {
        memory_bytes: normal + rng.random_range(0..6_000_000),
        memory_limit_bytes,
        cpu: ((busy + 0.01) * rng.random_range(0.8..1.2)).clamp(0.002, 0.9),
        collecting: rng.random_range(0.001..0.006),
        throttled: rng.random_range(0.0..0.01),
        active: (busy * 20.0) as i64 + rng.random_range(0..4),
        delay_seconds: rng.random_range(0.001..0.03),
        restarts: 0,
    };
    let Some(fault) = fault else { return vitals };
    let leak = fault.leak(world, instance, second);
    let room = memory_limit_bytes - normal;
    vitals.memory_bytes = (vitals.memory_bytes + (leak.fill * room as f64) as i64).min(memory_limit_bytes);
    vitals.restarts = leak.restarts.cast_signed();
    if leak.fill > 0.0 {
        vitals.collecting += 0.7 * leak.fill * leak.fill;
        vitals.cpu = (vitals.cpu + 0.8 * leak.fill * leak.fill).min(1.0);
        vitals.delay_seconds += leak.fill * leak.fill * rng.random_range(0.4..1.0);
        vitals.active += (leak.fill * 40.0) as i64;
    }
    match (fault.kind, fault.place) {
        (Kind::RetryStorm, Place::Service(service)) if service == world.instances[instance].service => {
            vitals.cpu = rng.random_range(0.94..1.0);
            vitals.throttled = rng.random_range(0.2..0.4);
            vitals.active = rng.random_range(180..=200);
            vitals.delay_seconds = rng.random_range(0.2..0.6);
        }
        (Kind::NoisyNeighbour, Place::Node(node)) if node == world.instances[instance].node => {
            vitals.cpu *= 0.6;
            vitals.throttled = rng.random_range(0.5..0.75);
            vitals.active += rng.random_range(10..30);
            vitals.delay_seconds = rng.random_range(0.5..1.2);
        }
        (Kind::DependencyOutage, Place::Service(service)) if service == world.instances[instance].service => {
            match fault.down(world, instance) && !fault.quiet {
                true => vitals.restarts = ((second - fault.start) / 45).cast_signed() + 1,
                false => vitals.active += rng.random_range(20..50),
            }
        }
        (Kind::BadDeploy, Place::Operation(id)) if fault.quiet && id.service == world.instances[instance].service => {
            vitals.active += rng.random_range(4..12);
        }
        _ => {}
    }
    vitals
}

/// A machine of sixteen processors. Shares of their time add up to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::demo) struct NodeVitals {
    pub(in crate::demo) user: f64,
    pub(in crate::demo) system: f64,
    pub(in crate::demo) wait: f64,
    pub(in crate::demo) steal: f64,
    pub(in crate::demo) load: f64,
    pub(in crate::demo) memory: f64,
    pub(in crate::demo) disk: f64,
    /// Processors that a batch job takes, if there is one.
    pub(in crate::demo) neighbour: Option<f64>,
}

pub(in crate::demo) fn node_vitals(fault: Option<&Fault>, node: usize, rng: &mut StdRng) -> NodeVitals {
    let (user, system) = (rng.random_range(0.18..0.3), rng.random_range(0.03..0.06));
    let healthy = NodeVitals {
        user,
        system,
        wait: rng.random_range(0.0..0.01),
        steal: rng.random_range(0.0..0.005),
        load: 16.0 * (user + system),
        memory: 0.45 + (node % 7) as f64 * 0.03 + rng.random_range(0.0..0.01),
        disk: 0.3 + (node % 5) as f64 * 0.06,
        neighbour: None,
    };
    match fault {
        Some(Fault { kind: Kind::NoisyNeighbour, place: Place::Node(noisy), .. }) if *noisy == node => NodeVitals {
            user: rng.random_range(0.58..0.62),
            system: rng.random_range(0.06..0.08),
            wait: rng.random_range(0.01..0.03),
            steal: rng.random_range(0.22..0.27),
            load: rng.random_range(44.0..58.0),
            memory: healthy.memory + 0.25,
            neighbour: Some(rng.random_range(12.4..13.8)),
            ..healthy
        },
        _ => healthy,
    }
}
