//! Pure: metric series -> findings.
//!
//! A point is measured against the series' own past by a robust z; what all services share is load, and divides out.

use std::collections::BTreeMap;

use super::{
    facts::{Facts, Name, Series, Shape, Stretch},
    finding::{Family, Finding, Subject},
    meaning::{self, Meaning, MeasuredAt},
    number::quantile,
    symptom::Trouble,
    tally::End,
};

/// Points before the incident that a series needs.
const LEAST_POINTS: usize = 1;
/// Share of the level that counts as ordinary movement.
const LEVEL_SHARE: f64 = 0.1;
/// The same for what a process holds, which moves little in health.
const HELD_SHARE: f64 = 0.04;
/// Share of the fleet's median level that counts as ordinary movement, whatever a series' own level is.
const FLEET_SHARE: f64 = 0.5;
/// z that counts as one unit of strength, unless the fleet moves more.
const METRIC_UNIT: f64 = 6.0;
/// Share of services whose movement of a metric counts as common.
const COMMON: f64 = 0.95;
/// Units beyond which more is not more certain.
const CAP: f64 = 6.0;
/// Steps that show growth, the share of them that has to rise, and what it then says: more than anything that follows.
const LEAST_STEPS: usize = 6;
const GROWING_SHARE: f64 = 0.7;
const LEAK: f64 = CAP + 1.0;
/// Weight of metrics whose movement is load.
const LOAD_WEIGHT: f64 = 0.2;
/// Strength that load alone may reach.
const LOAD_CAP: f64 = 1.5;

/// When metrics were normal and when they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub history: Stretch,
    pub window: Stretch,
}

/// A series' points in units of its own past.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub index: usize,
    pub meaning: Meaning,
    /// Median before.
    pub before: f64,
    /// Most deviating value in the window.
    pub after: f64,
    /// Median in the window.
    pub level: f64,
    /// z of that value, positive for worse.
    pub z: f64,
    /// z of every point in the window.
    pub profile: Vec<(i64, f64)>,
    pub points: (u32, u32),
}

/// Every series with a past and a present.
pub(crate) fn measured(facts: &Facts, times: Times) -> Vec<Measured> {
    let units = ordinary_units(facts, times);
    let measure = |(index, series): (usize, &Series)| {
        let key = (series.metric, series.unit);
        measure(facts, series, times, units.get(&key).copied().unwrap_or(0.0)).map(|found| Measured { index, ..found })
    };
    facts.series.iter().enumerate().filter_map(measure).collect()
}

/// For each metric the movement that is ordinary whatever the level: a share of the fleet's median level.
fn ordinary_units(facts: &Facts, times: Times) -> BTreeMap<(Name, Name), f64> {
    let mut levels: BTreeMap<(Name, Name), Vec<f64>> = BTreeMap::new();
    for series in &facts.series {
        let mut before: Vec<f64> = values(series, times.history).into_iter().map(|(_, value)| value.abs()).collect();
        if !before.is_empty() {
            levels.entry((series.metric, series.unit)).or_default().push(quantile(&mut before, 0.5));
        }
    }
    let unit = |(key, mut levels): ((Name, Name), Vec<f64>)| {
        let share = match Meaning::of(facts.text(key.0), facts.text(key.1)) {
            // How long a call takes and how often it fails differs by its nature, not by how busy its service is.
            Meaning::Duration | Meaning::Success | Meaning::Failure => 0.0,
            // What a process holds is its own affair; how busy it is compares.
            Meaning::Saturation if meaning::is_held(facts.text(key.0)) => 0.0,
            _ => FLEET_SHARE,
        };
        let fixed = match facts.text(key.1) {
            "%" => 0.5,
            "s" => 0.001,
            "ms" => 1.0,
            _ => 0.0,
        };
        (key, fixed + share * quantile(&mut levels, 0.5))
    };
    levels.into_iter().map(unit).collect()
}

/// Values in `stretch`; counts since the start become rates per second.
fn values(series: &Series, stretch: Stretch) -> Vec<(i64, f64)> {
    let inside = |points: &mut dyn Iterator<Item = (i64, f64)>| -> Vec<(i64, f64)> {
        points.filter(|(time, value)| stretch.contains(*time) && value.is_finite()).collect()
    };
    match series.shape {
        Shape::Level => inside(&mut series.points.iter().copied()),
        Shape::Cumulative => inside(&mut series.points.windows(2).filter_map(|pair| {
            let seconds = (pair[1].0 - pair[0].0) as f64 / 1e9;
            // A smaller count is a restart.
            let grown = if pair[1].1 >= pair[0].1 { pair[1].1 - pair[0].1 } else { pair[1].1 };
            (seconds > 0.0).then_some((pair[1].0, grown / seconds))
        })),
    }
}

fn measure(facts: &Facts, series: &Series, times: Times, unit: f64) -> Option<Measured> {
    let mut before: Vec<f64> = values(series, times.history).into_iter().map(|(_, value)| value).collect();
    let after = settled(&values(series, times.window), times.window);
    if before.len() < LEAST_POINTS || after.is_empty() {
        return None;
    }
    let meaning = Meaning::of(facts.text(series.metric), facts.text(series.unit));
    let median = quantile(&mut before, 0.5);
    let spread = match meaning {
        // What an earlier incident did to the past must not hide this one.
        Meaning::Saturation => (quantile(&mut before, 0.75) - quantile(&mut before, 0.25)) / 1.35,
        // Durations have tails in health, too.
        _ => (quantile(&mut before, 0.9) - quantile(&mut before, 0.1)) / 2.56,
    };
    // What a share of good answers lacks is what may move.
    let level = match (meaning, facts.text(series.unit)) {
        (Meaning::Success, "%") => 100.0 - median,
        (Meaning::Success, "1") => 1.0 - median,
        _ => median,
    };
    // Few points show little of what is ordinary.
    let doubt = 1.0 + 1.0 / before.len() as f64;
    let share = if meaning::is_held(facts.text(series.metric)) { HELD_SHARE } else { LEVEL_SHARE };
    let scale = doubt * (spread + share * level.abs() + unit.max(f64::MIN_POSITIVE));
    let z = |value: f64| {
        let z = (value - median) / scale;
        match meaning.worse() {
            0 => z.abs(),
            sign => z * f64::from(sign),
        }
    };
    let profile: Vec<(i64, f64)> = after.iter().map(|(time, value)| (*time, z(*value))).collect();
    let mut worst: Vec<f64> = after.iter().map(|(_, value)| *value).collect();
    worst.sort_by(|a, b| z(*b).total_cmp(&z(*a)));
    // One point is a spike; two are a state.
    let most = if meaning == Meaning::Saturation && worst.len() >= 3 { worst[1] } else { worst[0] };
    Some(Measured {
        index: 0,
        meaning,
        before: median,
        after: most,
        level: quantile(&mut after.iter().map(|(_, value)| *value).collect::<Vec<_>>(), 0.5),
        z: z(most),
        profile,
        points: (before.len() as u32, after.len() as u32),
    })
}

/// A point describes the time since the point before it: one from the first half step of the window tells of the time
/// before.
fn settled(points: &[(i64, f64)], window: Stretch) -> Vec<(i64, f64)> {
    let mut steps: Vec<f64> = points.windows(2).map(|pair| (pair[1].0 - pair[0].0) as f64).collect();
    let half = quantile(&mut steps, 0.5) / 2.0;
    let rest: Vec<_> = points.iter().copied().filter(|(time, _)| (*time - window.from) as f64 >= half).collect();
    if rest.is_empty() { points.to_vec() } else { rest }
}

/// Findings of resources, runtime and symptoms; node metrics and calls are not a service's own and stay out.
pub(crate) fn findings(facts: &Facts, measured: &[Measured]) -> Vec<Finding> {
    let trouble = Trouble::of_entry(facts, measured);
    let mut found: BTreeMap<Name, Vec<Finding>> = BTreeMap::new();
    let mut services: BTreeMap<Name, BTreeMap<Name, f64>> = BTreeMap::new();
    for measured in measured {
        let series = &facts.series[measured.index];
        if series.call.is_some() || meaning::is_of_node(facts.text(series.metric)) || measured.z <= 0.0 {
            continue;
        }
        let name = facts.text(series.metric);
        if measured.meaning == Meaning::Duration && meaning::measured_at(name) == MeasuredAt::Client {
            // What a client waits for is its server's.
            continue;
        }
        let family = match measured.meaning {
            Meaning::Duration | Meaning::Success | Meaning::Failure => Family::Symptom,
            Meaning::Saturation | Meaning::Traffic | Meaning::Other => Family::Metric,
        };
        let is_load = matches!(measured.meaning, Meaning::Traffic | Meaning::Other);
        let strength = match family {
            // Twice as much deviation is one more step: how much it matters is for the fit to say.
            Family::Symptom => METRIC_UNIT * (1.0 + measured.z / METRIC_UNIT).log2() * trouble.fit(facts, measured),
            _ if measured.z >= METRIC_UNIT && leaks(name, measured) => LEAK * METRIC_UNIT,
            _ if is_load => LOAD_WEIGHT * measured.z.min(CAP * METRIC_UNIT),
            _ => measured.z.min(CAP * METRIC_UNIT),
        };
        let most = services.entry(series.metric).or_default().entry(series.service).or_default();
        *most = most.max(strength);
        found.entry(series.metric).or_default().push(Finding {
            family,
            service: series.service,
            subject: Subject::Series(measured.index),
            strength,
            before: measured.before,
            after: measured.after,
            observed: measured.points,
            first: measured.profile.iter().find(|(_, z)| *z > measured.z / 2.0).map(|(time, _)| *time),
        });
    }
    for (metric, findings) in &mut found {
        let fleet = &services[metric];
        for finding in findings {
            // Symptoms travel along calls: that many show one says nothing against it.
            let common =
                if finding.family == Family::Symptom { 0.0 } else { common_among_others(fleet, finding.service) };
            finding.strength /= METRIC_UNIT.max(common);
            let Subject::Series(index) = finding.subject else { continue };
            let series = &facts.series[index];
            let meaning = Meaning::of(facts.text(series.metric), facts.text(series.unit));
            if matches!(meaning, Meaning::Traffic | Meaning::Other) {
                finding.strength = finding.strength.min(LOAD_CAP);
            }
        }
    }
    found.into_values().flatten().collect()
}

/// Whether something held only ever grows: what grows without end explains what else moves in its service.
fn leaks(name: &str, measured: &Measured) -> bool {
    let steps = measured.profile.windows(2);
    let growing = steps.clone().filter(|pair| pair[1].1 > pair[0].1).count();
    meaning::is_held(name) && steps.len() >= LEAST_STEPS && growing as f64 >= GROWING_SHARE * steps.len() as f64
}

/// What one in twenty of the other services exceeds.
fn common_among_others(fleet: &BTreeMap<Name, f64>, service: Name) -> f64 {
    let mut others: Vec<f64> = fleet.iter().filter(|(other, _)| **other != service).map(|(_, z)| *z).collect();
    quantile(&mut others, COMMON)
}

/// Time between the ends of calls, from metrics that carry both ends.
pub(crate) fn gaps(facts: &Facts, times: Times) -> Vec<Finding> {
    type Ends = (Option<usize>, Option<usize>);
    let mut measures: BTreeMap<(Name, Name, String), Ends> = BTreeMap::new();
    for (index, series) in facts.series.iter().enumerate() {
        let Some((client, server)) = series.call else { continue };
        let name = facts.text(series.metric);
        if Meaning::of(name, facts.text(series.unit)) != Meaning::Duration {
            continue;
        }
        let ends = measures.entry((client, server, meaning::without_end(name))).or_default();
        match meaning::measured_at(name) {
            MeasuredAt::Client => ends.0 = Some(index),
            MeasuredAt::Server => ends.1 = Some(index),
            MeasuredAt::Unsaid => {}
        }
    }
    let mut found = Vec::new();
    for ((client, server, _), ends) in measures {
        let (Some(at_client), Some(at_server)) = ends else { continue };
        let gap = gap_series(&facts.series[at_client], &facts.series[at_server]);
        let unit = if facts.text(gap.unit) == "ms" { 1.0 } else { 0.001 };
        let Some(measured) = measure(facts, &gap, times, unit) else { continue };
        if measured.z > 0.0 {
            found.push(Finding {
                family: Family::Gap,
                service: server,
                subject: Subject::Edge(client, End::Service(server)),
                strength: measured.z / METRIC_UNIT,
                before: measured.before / unit,
                after: measured.after / unit,
                observed: measured.points,
                first: None,
            });
        }
    }
    found
}

/// What the client waited beyond what the server took.
fn gap_series(client: &Series, server: &Series) -> Series {
    let served: BTreeMap<i64, f64> = server.points.iter().copied().collect();
    let points = client.points.iter().filter_map(|(time, value)| Some((*time, value - served.get(time)?))).collect();
    Series { points, ..client.clone() }
}
