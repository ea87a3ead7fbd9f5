//! Pure: tallies of two sides -> findings per service.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    facts::Name,
    finding::{Family, Finding, Subject},
    number::{quantile_of_sorted, rate_change},
    tally::{End, Pair, Tally},
};

/// Severity number from which a log record warns.
const WARN: u8 = 13;
/// Movement of an edge from which it counts as moved.
const EDGE_MOVED: f64 = 0.25;
/// Share of a typical request's duration below which time is no matter, and never less than so much.
const MATERIAL: f64 = 0.01;
const LEAST_MATERIAL_MS: f64 = 0.5;
/// Share of calls beyond nine in ten that says nothing yet.
const CHANCE_SHARE: f64 = 0.2;
/// Observations from which a sample counts in full.
const FULL_SAMPLE: f64 = 10.0;
/// Observations an operation needs on both sides for its durations to be compared.
const LEAST_DURATIONS: usize = 5;
/// Traces before, from which an operation counts as known.
const KNOWN_TRACES: u32 = 3;

/// Everything that differs between the sides of `pair`.
pub(crate) fn findings(tally: &Tally, pair: Pair) -> Vec<Finding> {
    let material = (MATERIAL * tally.usual_root_ms).max(LEAST_MATERIAL_MS);
    let mut found = gaps(tally, pair, material);
    found.extend(own_time(tally, pair, material));
    found.extend(failures(tally, pair));
    found.extend(shapes(tally, pair));
    found.extend(novelties(tally, pair));
    found
}

/// How far calls have moved out of what nine in ten took before: by how much, for how large a share of them.
fn shift(before: &[f64], after: &[f64], unit: f64) -> f64 {
    if before.is_empty() || after.len() < 2 {
        return 0.0;
    }
    let limit = quantile_of_sorted(before, 0.9);
    let beyond = &after[after.partition_point(|value| *value <= limit)..];
    let share = beyond.len() as f64 / after.len() as f64;
    let excess = (quantile_of_sorted(beyond, 0.5) - limit) / (quantile_of_sorted(before, 0.5).abs() + unit);
    let seen = before.len() as f64 / (before.len() as f64 + 1.0) * (after.len() as f64 / FULL_SAMPLE).min(1.0);
    excess.max(0.0).ln_1p() * ((share - CHANCE_SHARE) / (1.0 - CHANCE_SHARE)).max(0.0) * seen
}

/// One call edge, before and after.
struct Edge {
    key: (Name, End),
    shift: f64,
    before: f64,
    after: f64,
    observed: (u32, u32),
}

/// A service is charged with the time between ends by the share of its edges that moved: one slow edge may be the other
/// end's fault. Calls to it all slow are its own fault, and so are calls to it and from it all slow.
fn gaps(tally: &Tally, pair: Pair, material: f64) -> Vec<Finding> {
    let mut incoming: BTreeMap<Name, Vec<usize>> = BTreeMap::new();
    let mut incident: BTreeMap<Name, Vec<usize>> = BTreeMap::new();
    let mut edges = Vec::new();
    for (key, sample) in &tally.gaps {
        let (before, after) = (sample.before(pair), sample.after(pair));
        if before.is_empty() || after.len() < 2 {
            continue;
        }
        incident.entry(key.0).or_default().push(edges.len());
        if let End::Service(callee) = key.1 {
            incident.entry(callee).or_default().push(edges.len());
            incoming.entry(callee).or_default().push(edges.len());
        }
        edges.push(Edge {
            key: *key,
            shift: shift(&before, &after, material),
            before: quantile_of_sorted(&before, 0.5),
            after: quantile_of_sorted(&after, 0.5),
            observed: (before.len() as u32, after.len() as u32),
        });
    }
    let charge = |of: &[usize]| {
        let moved = of.iter().filter(|edge| edges[**edge].shift > EDGE_MOVED).count() as f64;
        let share = moved / of.len().max(1) as f64;
        of.iter().map(|edge| edges[*edge].shift).sum::<f64>() * share * share
    };
    let finding = |(service, incident): (Name, Vec<usize>)| {
        let incoming = incoming.get(&service).map_or(0.0, |incoming| charge(incoming));
        // A peer without spans is looked at through its clients alone.
        let peers =
            incident.iter().filter(|edge| matches!(edges[**edge].key.1, End::Peer(_))).map(|edge| edges[*edge].shift);
        let strength = peers.fold(charge(&incident).max(incoming), f64::max);
        let most = incident.into_iter().map(|edge| &edges[edge]).max_by(|a, b| a.shift.total_cmp(&b.shift))?;
        (strength > 0.0).then_some(Finding {
            family: Family::Gap,
            service,
            subject: Subject::Edge(most.key.0, most.key.1),
            strength,
            before: most.before,
            after: most.after,
            observed: most.observed,
            first: None,
        })
    };
    incident.into_iter().filter_map(finding).collect()
}

fn own_time(tally: &Tally, pair: Pair, material: f64) -> Vec<Finding> {
    let compared = |((service, operation), sample): (&(Name, Name), &super::tally::Sample)| {
        let (before, after) = (sample.before(pair), sample.after(pair));
        if before.len() < LEAST_DURATIONS || after.len() < LEAST_DURATIONS {
            return None;
        }
        let (usual, now) = (quantile_of_sorted(&before, 0.5), quantile_of_sorted(&after, 0.5));
        let excess = (now - quantile_of_sorted(&before, 0.75)).max(0.0);
        let strength = (excess / (usual + material)).ln_1p() * (after.len() as f64 * now).ln_1p();
        (strength > 0.0).then_some(Finding {
            family: Family::Own,
            service: *service,
            subject: Subject::Operation(*operation),
            strength,
            before: usual,
            after: now,
            observed: (before.len() as u32, after.len() as u32),
            first: None,
        })
    };
    tally.own.iter().filter_map(compared).collect()
}

/// A failed call that reached nobody is charged to whom it usually reaches.
fn failures(tally: &Tally, pair: Pair) -> Vec<Finding> {
    let compared = |((operation, end), failed): (&((Name, Name), Option<End>), &super::tally::Count)| {
        let ran = tally.ran.get(operation).copied().unwrap_or_default();
        let service = match end {
            Some(End::Service(callee)) => *callee,
            _ => operation.0,
        };
        rate_finding(*failed, ran, pair, |before, after| after > before).map(|finding| Finding {
            family: Family::Error,
            service,
            subject: Subject::Failure(operation.1, *end),
            ..finding
        })
    };
    tally.failed.iter().filter_map(compared).collect()
}

fn shapes(tally: &Tally, pair: Pair) -> Vec<Finding> {
    let calls = tally.called.iter().filter_map(|((caller, callee), called)| {
        let ran = tally.ran.get(caller).copied().unwrap_or_default();
        let subject = Subject::Call(*caller, *callee);
        rate_finding(*called, ran, pair, |_, _| true).map(|finding| Finding { service: caller.0, subject, ..finding })
    });
    let logs = tally.wrote.iter().filter_map(|((operation, template), pattern)| {
        let ran = tally.ran.get(operation).copied().unwrap_or_default();
        let subject = Subject::Log { template: *template, operation: Some(operation.1), severity: pattern.severity };
        rate_finding(pattern.traces, ran, pair, |_, _| true).map(|finding| Finding {
            service: operation.0,
            subject,
            first: pattern.first,
            ..finding
        })
    });
    calls.chain(logs).collect()
}

/// Change of the share of traces with an operation in which something happened.
fn rate_finding(
    seen: super::tally::Count,
    of: super::tally::Count,
    pair: Pair,
    wanted: impl Fn(f64, f64) -> bool,
) -> Option<Finding> {
    let (k1, n1, k2, n2) = (seen.before(pair), of.before(pair), seen.after(pair), of.after(pair));
    let strength = rate_change((k1, n1), (k2, n2)).sqrt();
    let (before, after) = (f64::from(k1) / f64::from(n1.max(1)), f64::from(k2) / f64::from(n2.max(1)));
    (strength > 0.0 && wanted(before, after)).then_some(Finding {
        family: Family::Shape,
        service: Name::default(),
        subject: Subject::Operation(Name::default()),
        strength,
        before,
        after,
        observed: (n1, n2),
        first: None,
    })
}

/// Templates never met before, under operations that were.
fn novelties(tally: &Tally, pair: Pair) -> Vec<Finding> {
    let known: BTreeSet<(Name, Name)> = tally
        .wrote
        .iter()
        .filter(|(_, pattern)| pattern.traces.before(pair) > 0)
        .map(|((operation, template), _)| (operation.0, *template))
        .collect();
    let mut new: BTreeMap<(Name, Name), (u32, super::tally::Pattern)> = BTreeMap::new();
    for ((operation, template), pattern) in &tally.wrote {
        let key = (operation.0, *template);
        let seen = tally.ran.get(operation).is_some_and(|ran| ran.before(pair) >= KNOWN_TRACES);
        let now = pattern.traces.after(pair);
        if now > 0 && seen && !known.contains(&key) {
            let (count, all) = new.entry(key).or_default();
            *count += now;
            all.severity = all.severity.max(pattern.severity);
            all.first = [all.first, pattern.first].into_iter().flatten().min();
        }
    }
    let finding = |((service, template), (count, pattern)): ((Name, Name), (u32, super::tally::Pattern))| Finding {
        family: Family::Novelty,
        service,
        subject: Subject::Log { template, operation: None, severity: pattern.severity },
        strength: f64::from(count).sqrt() * if pattern.severity >= WARN { 1.5 } else { 1.0 },
        before: 0.0,
        after: f64::from(count),
        observed: (0, count),
        first: pattern.first,
    };
    new.into_iter().map(finding).collect()
}
