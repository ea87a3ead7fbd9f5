//! Pure: machines on which several pods deviate together.
//!
//! One pod's trouble is the pod's; when most services of one machine are in trouble at once and few elsewhere, the machine
//! is what they have in common (a noisy neighbour, a failing disk).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    facts::{Facts, Name},
    finding::{Family, Finding, Subject},
    meaning::{self, Meaning},
    meters::Measured,
};

/// Services of a machine that have to deviate.
const LEAST_SERVICES: usize = 2;
/// Share of a machine's services that have to deviate, and how much more often than elsewhere.
const LEAST_SHARE: f64 = 0.4;
const LEAST_LIFT: f64 = 2.0;
/// z from which a machine's own metric deviates.
const NODE_DEVIATES: f64 = 3.0;
/// Strength from which a finding about a service counts.
const DEVIATES: f64 = 1.0;

/// Findings about machines: each a suspect of its own.
pub(crate) fn findings(facts: &Facts, measured: &[Measured], found: &[Finding]) -> Vec<Finding> {
    let deviating: BTreeSet<Name> = found
        .iter()
        .filter(|finding| finding.strength >= DEVIATES && finding.family != Family::Change)
        .map(|finding| finding.service)
        .collect();
    let by_node = services_by_node(facts);
    let all: BTreeSet<Name> = by_node.values().flatten().copied().collect();
    let share =
        |services: &BTreeSet<Name>| services.intersection(&deviating).count() as f64 / services.len().max(1) as f64;
    let of = |(node, services): (Name, &BTreeSet<Name>)| {
        let elsewhere: BTreeSet<Name> = all.difference(services).copied().collect();
        let here = services.intersection(&deviating).count();
        let lift = share(services) / share(&elsewhere).max(0.05);
        if here < LEAST_SERVICES || share(services) < LEAST_SHARE || lift < LEAST_LIFT {
            return None;
        }
        let own = worst_metric(facts, measured, node)?;
        Some(Finding {
            family: Family::Node,
            service: node,
            subject: Subject::Node { node, series: own.index },
            strength: (1.0 + own.z / NODE_DEVIATES).log2() + (here as f64 * share(services) * lift.min(8.0) / 4.0),
            before: own.before,
            after: own.after,
            observed: own.points,
            first: own.profile.iter().find(|(_, z)| *z > own.z / 2.0).map(|(time, _)| *time),
        })
    };
    by_node.iter().filter_map(|(node, services)| of((*node, services))).collect()
}

fn services_by_node(facts: &Facts) -> BTreeMap<Name, BTreeSet<Name>> {
    let mut by_node: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    let spans = facts.spans.iter().map(|span| (span.place.node, span.service));
    let series = facts.series.iter().filter(|series| series.place.pod.is_some()).map(|s| (s.place.node, s.service));
    for (node, service) in spans.chain(series) {
        if let Some(node) = node {
            by_node.entry(node).or_default().insert(service);
        }
    }
    by_node
}

/// The machine's own metric that deviates most: without one its pods may merely call each other.
fn worst_metric<'a>(facts: &Facts, measured: &'a [Measured], node: Name) -> Option<&'a Measured> {
    measured
        .iter()
        .filter(|measured| {
            let series = &facts.series[measured.index];
            series.place.node == Some(node)
                && measured.meaning == Meaning::Saturation
                && meaning::is_of_node(facts.text(series.metric))
                && measured.z >= NODE_DEVIATES
        })
        .max_by(|a, b| a.z.total_cmp(&b.z).then(b.index.cmp(&a.index)))
}
