//! Pure: findings -> services in order of suspicion.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    changed, compare,
    facts::{Facts, Name},
    finding::{Family, Finding},
    forest::{Forest, Side},
    meters, nodes,
    number::quantile,
    plan::Plan,
    tally::{self, Tally},
};

/// What a family's statistic has to reach to count as one, however quiet the baseline.
fn least_unit(family: Family) -> f64 {
    match family {
        Family::Error | Family::Shape => 3.0,
        Family::Gap => 0.7,
        Family::Own => 2.0,
        Family::Novelty => 1.5,
        Family::Metric | Family::Symptom | Family::Node | Family::Change => 1.0,
    }
}

/// Share of services whose statistic chance may exceed.
const CALIBRATION: f64 = 0.9;
/// Below one unit a finding is hardly evidence.
const WEAK: f64 = 0.25;
/// Beyond so many units more is not more certain.
const CAP: f64 = 6.0;
/// Share of a caller's finding at which its callee's explains it.
const EXPLAINS: f64 = 0.4;
/// What remains of a finding that a callee explains.
const EXPLAINED: f64 = 0.5;

/// How well an effect names a cause.
const EFFECT_TELLS: f64 = 0.3;
/// How well a change does that everything else about its service would follow from.
const CHANGE_TELLS: f64 = 4.0;
/// Strength from which a resource is scarce.
const SCARCE: f64 = 1.5;
/// Strength from which a caller shows a symptom, and what each caller beyond the first adds.
const SHOWN: f64 = 0.25;
const AGREEMENT: f64 = 0.25;
/// Weight of services that no known call from the entry leads to: traces have blind spots.
const UNREACHED: f64 = 0.7;

/// One suspect.
#[derive(Clone, Debug)]
pub(crate) struct Suspect {
    pub service: Name,
    pub score: f64,
    /// Strongest first, at most one a family; strength after calibration and explaining away.
    pub findings: Vec<Finding>,
}

/// Everything that was found out, before it becomes words.
#[derive(Clone, Debug)]
pub(crate) struct Ranking {
    pub suspects: Vec<Suspect>,
    pub calls: BTreeSet<(Name, Name)>,
    pub forest: Forest,
    /// Root spans in the baseline and in the window.
    pub traces: [usize; 2],
}

/// Everything in order, the most suspect first.
pub(crate) fn rank(facts: &Facts, plan: &Plan) -> Ranking {
    let forest = Forest::new(facts, &plan.sides);
    let tally = Tally::new(facts, &forest);
    let units = units(&tally, &forest);
    let mut found = compare::findings(&tally, tally::INCIDENT);
    for finding in &mut found {
        finding.strength /= units[&finding.family];
    }
    let measured = meters::measured(facts, plan.times);
    // Where there are spans, they say more exactly what such metrics say.
    let traced: BTreeSet<Name> = tally.ran.keys().map(|(service, _)| *service).collect();
    let of_metrics = meters::findings(facts, &measured).into_iter();
    found.extend(of_metrics.filter(|finding| finding.family != Family::Symptom || !traced.contains(&finding.service)));
    found.extend(meters::gaps(facts, plan.times));

    let mut calls: BTreeSet<(Name, Name)> = tally.edges.keys().copied().collect();
    calls.extend(facts.series.iter().filter_map(|series| series.call));
    calls.retain(|(caller, callee)| caller != callee);

    let mut strongest = strongest(found);
    agree(&mut strongest, &calls);
    let mut explained = explain_away(&strongest, &calls);
    let mut shown: BTreeMap<Name, f64> = BTreeMap::new();
    for ((_, service), finding) in &explained {
        let most = shown.entry(*service).or_default();
        *most = most.max(finding.strength);
    }
    for finding in changed::findings(facts, &forest, plan, &shown) {
        let known = explained.entry((Family::Change, finding.service)).or_insert_with(|| finding.clone());
        if finding.strength > known.strength {
            *known = finding;
        }
    }
    let mut by_service: BTreeMap<Name, Suspect> = BTreeMap::new();
    for ((_, service), finding) in explained {
        let suspect =
            by_service.entry(service).or_insert_with(|| Suspect { service, score: 0.0, findings: Vec::new() });
        suspect.score += weight(finding.strength);
        suspect.findings.push(finding);
    }
    let mut suspects: Vec<Suspect> = by_service.into_values().collect();
    for suspect in &mut suspects {
        let starved = suspect.findings.iter().any(|each| each.family == Family::Metric && each.strength >= SCARCE);
        let order = |finding: &Finding| telling(finding, starved);
        suspect.findings.sort_by(|a, b| order(b).total_cmp(&order(a)).then(a.family.cmp(&b.family)));
        if facts.entry.is_some_and(|entry| !reachable(&calls, entry).contains(&suspect.service)) {
            suspect.score *= UNREACHED;
        }
    }
    let machines = nodes::suspects(facts, &measured, &suspects);
    suspects.extend(machines);
    suspects.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.service.cmp(&b.service)));
    let traces = [forest.roots(Side::is_baseline), forest.roots(|side| side == Side::Window)];
    Ranking { suspects, calls, forest, traces }
}

/// How well a finding names the cause: what a service lacks explains that it is slow, not the other way round.
fn telling(finding: &Finding, starved: bool) -> f64 {
    let factor = match finding.family {
        Family::Change => CHANGE_TELLS,
        Family::Symptom => EFFECT_TELLS,
        Family::Gap | Family::Own if starved => EFFECT_TELLS,
        _ => 1.0,
    };
    finding.strength.min(CAP) * factor
}

/// Services that calls from the entry lead to.
fn reachable(calls: &BTreeSet<(Name, Name)>, entry: Name) -> BTreeSet<Name> {
    let mut reached = BTreeSet::from([entry]);
    let mut waiting = vec![entry];
    while let Some(at) = waiting.pop() {
        for (_, callee) in calls.range((at, Name::default())..).take_while(|(caller, _)| *caller == at) {
            if reached.insert(*callee) {
                waiting.push(*callee);
            }
        }
    }
    reached
}

fn weight(strength: f64) -> f64 {
    if strength > 1.0 { strength.min(CAP) } else { WEAK * strength }
}

/// What chance and time alone do to each family's statistic.
fn units(tally: &Tally, forest: &Forest) -> BTreeMap<Family, f64> {
    let mut units: BTreeMap<Family, f64> =
        Family::CALIBRATED.iter().map(|family| (*family, least_unit(*family))).collect();
    let between = forest.roots(|side| side == Side::Between) > 0;
    let quiet = strongest(compare::findings(tally, if between { tally::DRIFT } else { tally::CHANCE }));
    for (family, unit) in &mut units {
        let mut values: Vec<f64> =
            quiet.iter().filter(|((of, _), _)| of == family).map(|(_, finding)| finding.strength).collect();
        *unit = unit.max(quantile(&mut values, CALIBRATION));
    }
    units
}

/// The strongest finding of each family and service.
fn strongest(found: Vec<Finding>) -> BTreeMap<(Family, Name), Finding> {
    let mut strongest: BTreeMap<(Family, Name), Finding> = BTreeMap::new();
    for finding in found {
        match strongest.entry((finding.family, finding.service)) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(finding);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let known = entry.get();
                let order = finding.strength.total_cmp(&known.strength).then(known.subject.cmp(&finding.subject));
                if order.is_gt() {
                    entry.insert(finding);
                }
            }
        }
    }
    strongest
}

/// What is wrong with a callee when its caller shows findings of `family` for no reason of its own.
fn explaining(family: Family) -> &'static [Family] {
    match family {
        // Calls that fail or wait make their caller take other ways and say so.
        Family::Shape => &[Family::Shape, Family::Error, Family::Gap],
        Family::Novelty => &[Family::Novelty, Family::Error, Family::Gap],
        Family::Symptom => &[Family::Symptom, Family::Metric],
        _ => &[Family::Own],
    }
}

/// A symptom that several callers of a service show as well is the service's, and not one caller's view of it.
fn agree(found: &mut BTreeMap<(Family, Name), Finding>, calls: &BTreeSet<(Name, Name)>) {
    let mut callers: BTreeMap<Name, u32> = BTreeMap::new();
    for (caller, callee) in calls {
        if found.get(&(Family::Symptom, *caller)).is_some_and(|finding| finding.strength >= SHOWN) {
            *callers.entry(*callee).or_default() += 1;
        }
    }
    for (callee, count) in callers {
        if let Some(finding) = found.get_mut(&(Family::Symptom, callee)) {
            finding.strength *= 1.0 + AGREEMENT * f64::from(count.saturating_sub(1).min(3));
        }
    }
}

/// A caller shows what its callee suffers from: of a finding that a callee carries as well, part remains.
fn explain_away(
    found: &BTreeMap<(Family, Name), Finding>,
    calls: &BTreeSet<(Name, Name)>,
) -> BTreeMap<(Family, Name), Finding> {
    let mut left = found.clone();
    for (caller, callee) in calls {
        for family in [Family::Own, Family::Shape, Family::Novelty, Family::Symptom] {
            let at = |family| found.get(&(family, *callee)).map_or(0.0, |finding: &Finding| finding.strength);
            let at_callee = explaining(family).iter().map(|family| at(*family)).fold(0.0, f64::max);
            let at_caller = found.get(&(family, *caller)).map_or(0.0, |finding| finding.strength);
            if at_callee > 1.0
                && at_callee >= EXPLAINS * at_caller
                && let Some(finding) = left.get_mut(&(family, *caller))
            {
                finding.strength = finding.strength.min(EXPLAINED * at_caller);
            }
        }
    }
    left
}
