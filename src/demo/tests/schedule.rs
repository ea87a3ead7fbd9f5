//! The calendar: when faults happen, what is changed meanwhile, and that nobody can tell one from the other by its time.

use std::collections::HashSet;

use super::{
    super::{
        conditions::Conditions,
        fault::{Change, Fault, KINDS, Kind, Occurrence, Schedule},
        traffic::second,
        world::World,
    },
    AT, attribute,
};

const HOUR: u64 = 3600;

/// A shop that opened an hour ago and is about to have its first fault.
fn live(seed: u64) -> (World, Schedule) {
    (World::new(seed), Schedule { seed, opens: AT - HOUR, anchor: AT + 90, occurrence: Occurrence::InTurn })
}

fn faults(world: &World, schedule: &Schedule, count: u64) -> Vec<Fault> {
    (0..count).map(|number| schedule.fault(world, number).expect("faults have no end")).collect()
}

fn service_of(change: &Change) -> usize {
    match change {
        Change::Rollout(rollout) => rollout.service,
        Change::Flag { service, .. } => *service,
    }
}

#[test]
fn every_kind_comes_in_turn_with_quiet_between() {
    let (mut orders, mut places) = (HashSet::new(), HashSet::new());
    for seed in 0..60 {
        let (world, schedule) = live(seed);
        let faults = faults(&world, &schedule, 18);
        assert!(faults[0].start - AT < 180, "the first comes within three minutes");
        for fault in &faults {
            assert!((360..=480).contains(&(fault.end - fault.start)), "{fault:?}");
        }
        for pair in faults.windows(2) {
            assert_ne!(pair[0].kind, pair[1].kind, "seed {seed}");
            assert!(pair[1].start - pair[0].end >= 720, "time to recover");
        }
        for round in faults.chunks(6) {
            assert_eq!(round.iter().map(|f| f.kind).collect::<HashSet<_>>().len(), KINDS.len(), "seed {seed}");
        }
        orders.insert(faults[..6].iter().map(|f| f.kind.name()).collect::<Vec<_>>().join(" "));
        places.extend(faults.iter().map(|f| format!("{:?} {:?}", f.kind, f.place)));
    }
    assert!(orders.len() > 40, "{} orders", orders.len());
    assert!(places.len() > 50, "{} culprits", places.len());
}

#[test]
fn the_default_shop_begins_with_a_bad_deployment() {
    let (world, schedule) = live(47);
    assert_eq!(schedule.fault(&world, 0).map(|fault| fault.kind), Some(Kind::BadDeploy));
}

#[test]
fn the_history_is_healthy() {
    for seed in 0..5 {
        let (world, schedule) = live(seed);
        assert!((AT - HOUR..AT + 90).all(|second| schedule.fault_at(&world, second).is_none()));
        assert!(schedule.fault_at(&world, AT + 90).is_some());
    }
}

#[test]
fn most_changes_do_no_harm_and_one_of_them_comes_before_each_fault() {
    let (mut harmless, mut all) = (0, 0);
    for seed in 0..40 {
        let (world, schedule) = live(seed);
        let changes = schedule.changes(&world, AT + 3 * HOUR);
        assert!(changes.is_sorted_by_key(Change::at));
        assert!(changes.iter().filter(|c| c.at() < AT).count() >= 6, "the history has changes");
        for fault in faults(&world, &schedule, 8) {
            let before = changes.iter().rfind(|c| c.at() < fault.start).expect("a change before");
            assert!(fault.start - before.at() <= 100, "seed {seed}: {fault:?}");
            assert_ne!(fault.service(), Some(service_of(before)), "seed {seed}: {fault:?}");
            if fault.kind == Kind::BadDeploy {
                let its =
                    |c: &&Change| fault.service() == Some(service_of(c)) && c.at() >= fault.start && c.at() < fault.end;
                let [Change::Rollout(out), Change::Rollout(back)] =
                    *changes.iter().filter(its).copied().collect::<Vec<_>>()
                else {
                    panic!("seed {seed}: not out and back");
                };
                assert_eq!((back.release, back.release_before), (out.release_before, out.release));
                all += 1;
            }
        }
        let announced = changes.iter().filter(|c| match c {
            Change::Rollout(rollout) => rollout.release > rollout.release_before,
            Change::Flag { .. } => true,
        });
        harmless += announced.count();
    }
    let share = 1.0 - f64::from(all) / harmless as f64;
    assert!(share >= 0.75, "{share}");
}

#[test]
fn what_has_happened_does_not_depend_on_what_will() {
    for seed in 0..20 {
        let (world, schedule) = live(seed);
        let all = schedule.changes(&world, AT + 4 * HOUR);
        for until in (AT - HOUR..AT + 4 * HOUR).step_by(613) {
            let known = schedule.changes(&world, until);
            assert_eq!(known[..], all[..known.len()]);
            assert!(all.get(known.len()).is_none_or(|next| next.at() >= until));
        }
    }
}

#[test]
fn the_truth_names_culprits_and_the_journeys_they_are_on() {
    for seed in 0..60 {
        let (world, schedule) = live(seed);
        for fault in faults(&world, &schedule, 6) {
            let truth = fault.truth(&world);
            let length = |key: &str| truth[key].as_array().map_or(0, Vec::len);
            assert!(length("culprits") > 0 && length("entries") > 0, "seed {seed}: {truth}");
        }
    }
}

#[test]
fn one_fault_is_one_fault() {
    for (seed, kind) in (0..30).zip(KINDS.into_iter().cycle()) {
        let world = World::new(seed);
        let schedule = Schedule { seed, opens: AT, anchor: AT + 600, occurrence: Occurrence::Once(kind, 2000) };
        let sick = (AT..AT + HOUR).filter(|second| schedule.fault_at(&world, *second).is_some()).count();
        assert_eq!(sick, 2000);
        assert_eq!(schedule.fault_at(&world, AT + 600).map(|fault| fault.kind), Some(kind));
    }
}

#[test]
fn seconds_of_a_fault_can_be_made_in_any_order() {
    for kind in KINDS {
        let schedule = Schedule { seed: 5, opens: AT - HOUR, anchor: AT, occurrence: Occurrence::Once(kind, 400) };
        let make = |at| second(&World::new(5), &Conditions::at(&World::new(5), &schedule, at), 100);
        let seconds = [AT - 1, AT, AT + 131, AT + 399, AT + 400];
        let forward = seconds.map(make);
        let mut backward: Vec<_> = seconds.into_iter().rev().map(make).collect();
        backward.reverse();
        assert_eq!(forward.as_slice(), backward);
        // Before and after it, the same as in a shop where it never happens.
        let never = Schedule { occurrence: Occurrence::Never, ..schedule };
        let calm = second(&World::new(5), &Conditions::at(&World::new(5), &never, AT - 1), 100);
        assert_eq!(forward[0], calm, "{kind:?}");
    }
}

#[test]
fn a_rollout_replaces_pods_one_by_one_and_a_rollback_returns_to_the_version() {
    let (world, schedule) =
        (0..).map(live).find(|(w, s)| s.fault(w, 0).is_some_and(|f| f.kind == Kind::BadDeploy)).expect("some seed");
    let fault = schedule.fault(&world, 0).expect("the first");
    let instances = &world.instances_of[fault.service().expect("a service")];
    let shown = |at: u64, key: &str| -> Vec<String> {
        let conditions = Conditions::at(&world, &schedule, at);
        instances.iter().map(|instance| attribute(&world, conditions.pod(*instance), key)).collect()
    };
    let (before, begun) = (shown(fault.start - 1, "service.version"), shown(fault.start, "service.version"));
    let (during, after) = (shown(fault.start + 90, "service.version"), shown(fault.end, "service.version"));
    assert_ne!(begun[0], before[0]);
    assert_eq!(begun[1..], before[1..], "one by one");
    assert!(during.iter().all(|version| *version == begun[0]));
    assert_eq!(after, before);
    let pods: HashSet<String> =
        [fault.start - 1, fault.start + 90, fault.end].into_iter().flat_map(|at| shown(at, "k8s.pod.name")).collect();
    assert_eq!(pods.len(), 3 * instances.len(), "each rollout has pods of its own");
}
