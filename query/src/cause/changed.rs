//! Pure: what was changed shortly before, and whether it shows.
//!
//! A change without symptoms is no evidence: three in four are harmless. A service that deviates and was changed in the
//! half hour before the onset is more suspect, the more so the closer the change. Where both versions serve at once, they
//! are compared in the same minutes: what only the new one does, it does because it is new.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    facts::{Change, Facts, Kind, Name, Span},
    finding::{Family, Finding, Subject},
    forest::{Forest, Side},
    number::rate_change,
    plan::Plan,
};

/// How long before the onset a change may be its cause.
const BEFORE_NANO: i64 = 30 * 60 * 1_000_000_000;
/// How long after the apparent onset: the onset is an estimate, and so are clocks.
const AFTER_NANO: i64 = 60 * 1_000_000_000;
/// Units that a change right at the onset adds to what a service shows, and never more than it shows.
const MOST: f64 = 3.0;
/// Strength that a service must show for a change to count.
const SHOWS: f64 = 1.0;
/// Spans that each version needs to be compared.
const LEAST_SPANS: u32 = 10;

/// Kind of the changes that are read from telemetry.
const DEPLOY: &str = "deploy";
/// How much later than its service a version is first seen, to be new.
const LATER_NANO: i64 = 30 * 1_000_000_000;
/// Deviations of chance from which a version is new, and was not only too rare to be seen before.
const NEW: f64 = 3.0;

/// Adds the versions that begin to serve within the spans, where nobody has said so.
pub(crate) fn add_new_versions(facts: &mut Facts) {
    let mut services: BTreeMap<Name, Vec<i64>> = BTreeMap::new();
    let mut versions: BTreeMap<(Name, Name), (i64, u32)> = BTreeMap::new();
    // One span a request: those of one request are no evidence for one another.
    let is_served = |span: &&Span| span.parent == 0 || matches!(span.kind, Kind::Server | Kind::Consumer);
    for span in facts.spans.iter().filter(is_served) {
        services.entry(span.service).or_default().push(span.start);
        if let Some(version) = span.place.version {
            let (first, count) = versions.entry((span.service, version)).or_insert((span.start, 0));
            *first = (*first).min(span.start);
            *count += 1;
        }
    }
    services.values_mut().for_each(|starts| starts.sort_unstable());
    let told: BTreeSet<(Name, Option<Name>)> =
        facts.changes.iter().map(|change| (change.service, change.version)).collect();
    let kind = facts.names.number(DEPLOY);
    for ((service, version), (time, count)) in versions {
        let starts = &services[&service];
        let before = starts.partition_point(|start| *start < time);
        let surprise = rate_change((0, before as u32), (count, (starts.len() - before) as u32)).sqrt();
        let is_new = time > starts[0] + LATER_NANO && surprise >= NEW;
        if is_new && !told.contains(&(service, Some(version))) {
            facts.changes.push(Change { time, service, kind, version: Some(version), message: None });
        }
    }
}

/// Changes of services that deviate.
pub(crate) fn findings(facts: &Facts, forest: &Forest, plan: &Plan, found: &BTreeMap<Name, f64>) -> Vec<Finding> {
    let onset = plan.onset.map_or(plan.sides.window.from, |onset| onset.to);
    let finding = |(index, change): (usize, &Change)| {
        let age = onset - change.time;
        let shown = found.get(&change.service).copied().unwrap_or(0.0);
        if shown < SHOWS || !(-AFTER_NANO..=BEFORE_NANO).contains(&age) {
            return None;
        }
        let near = 1.0 - 0.5 * age.max(0) as f64 / BEFORE_NANO as f64;
        let contrast = change.version.map_or(0.0, |version| contrast(facts, forest, change.service, version));
        Some(Finding {
            family: Family::Change,
            service: change.service,
            subject: Subject::Change(index),
            strength: MOST.min(shown) * near + contrast,
            before: 0.0,
            after: 1.0,
            observed: (0, 1),
            first: Some(change.time),
        })
    };
    facts.changes.iter().enumerate().filter_map(finding).collect()
}

/// How much more often the new version fails than the others in the same window.
fn contrast(facts: &Facts, forest: &Forest, service: Name, version: Name) -> f64 {
    let (mut old, mut new) = ((0_u32, 0_u32), (0_u32, 0_u32));
    for (span, node) in facts.spans.iter().zip(&forest.nodes) {
        if span.service != service || node.side != Side::Window {
            continue;
        }
        let side = if span.place.version == Some(version) { &mut new } else { &mut old };
        side.0 += u32::from(span.failed && !node.child_failed);
        side.1 += 1;
    }
    let worse = u64::from(new.0) * u64::from(old.1) > u64::from(old.0) * u64::from(new.1);
    if old.1 < LEAST_SPANS || new.1 < LEAST_SPANS || !worse {
        return 0.0;
    }
    (rate_change(old, new).sqrt() / 3.0).min(2.0)
}
