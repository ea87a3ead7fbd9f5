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
    rank::Suspect,
};

/// Services of a machine that have to deviate.
const LEAST_SERVICES: usize = 2;
/// Share of a machine's services that have to deviate, and how much more often than elsewhere.
const LEAST_SHARE: f64 = 0.5;
const LEAST_LIFT: f64 = 2.0;
/// z from which a machine's own metric deviates.
const NODE_DEVIATES: f64 = 6.0;
/// Score from which a service deviates.
const DEVIATES: f64 = 2.0;
/// Services whose findings a machine shows.
const SHOWN: usize = 3;

/// Machines that explain what their services show: each more suspect than any of them.
pub(crate) fn suspects(facts: &Facts, measured: &[Measured], services: &[Suspect]) -> Vec<Suspect> {
    let deviating: BTreeMap<Name, &Suspect> =
        services.iter().filter(|suspect| suspect.score >= DEVIATES).map(|suspect| (suspect.service, suspect)).collect();
    let by_node = services_by_node(facts);
    let all: BTreeSet<Name> = by_node.values().flatten().copied().collect();
    let count = |services: &BTreeSet<Name>| services.iter().filter(|service| deviating.contains_key(service)).count();
    let share = |services: &BTreeSet<Name>| count(services) as f64 / services.len().max(1) as f64;
    let suspect = |(node, here): (&Name, &BTreeSet<Name>)| {
        let elsewhere: BTreeSet<Name> = all.difference(here).copied().collect();
        if count(here) < LEAST_SERVICES || share(here) < LEAST_SHARE || share(here) < LEAST_LIFT * share(&elsewhere) {
            return None;
        }
        let own = finding(*node, worst_metric(facts, measured, *node)?);
        let mut hosted: Vec<&Suspect> = here.iter().filter_map(|service| deviating.get(service).copied()).collect();
        hosted.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.service.cmp(&b.service)));
        let score = own.strength + hosted[0].score;
        let theirs = hosted.iter().take(SHOWN).filter_map(|suspect| suspect.findings.first().cloned());
        let findings = std::iter::once(own).chain(theirs).collect();
        Some(Suspect { service: *node, score, findings })
    };
    by_node.iter().filter_map(suspect).collect()
}

fn finding(node: Name, own: &Measured) -> Finding {
    Finding {
        family: Family::Node,
        service: node,
        subject: Subject::Node { node, series: own.index },
        strength: (1.0 + own.z / NODE_DEVIATES).log2(),
        before: own.before,
        after: own.after,
        observed: own.points,
        first: own.profile.iter().find(|(_, z)| *z > own.z / 2.0).map(|(time, _)| *time),
    }
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
