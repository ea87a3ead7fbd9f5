//! Pure: how well a metric's deviation fits what the entry suffered.
//!
//! Two questions. *When*: a metric that deviated as much while the entry was well explains little of the entry's trouble.
//! *How much*: a service that adds little time or few failures, calls times excess, cannot be what the entry suffers from.

use std::collections::BTreeMap;

use super::{
    facts::{Facts, Name},
    meaning::Meaning,
    meters::Measured,
};

/// z from which the entry was unwell at a moment, and share of the worst below which it was well.
const UNWELL: f64 = 3.0;
const WELL_SHARE: f64 = 0.4;
/// Least weight of a kind of trouble that the entry hardly shows itself.
const LEAST_SHARE: f64 = 0.3;
/// What remains of a finding that fits the entry's trouble not at all.
const LEAST_FIT: f64 = 0.1;

/// What the entry's own metrics say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    /// Moments at which the entry was unwell (`true`) or well (`false`); empty where it was one or the other throughout.
    moments: Vec<(i64, bool)>,
    /// By metric of the entry: added time or failures (calls times excess), and how strongly it deviated compared with
    /// the entry's worst.
    symptoms: BTreeMap<Name, (Option<f64>, f64)>,
    /// Calls by service.
    calls: BTreeMap<Name, f64>,
}

impl Trouble {
    pub(crate) fn of_entry(facts: &Facts, measured: &[Measured]) -> Self {
        let calls = calls(facts, measured);
        let symptoms = || {
            measured.iter().filter(|measured| {
                Some(facts.series[measured.index].service) == facts.entry
                    && matches!(measured.meaning, Meaning::Duration | Meaning::Success | Meaning::Failure)
            })
        };
        let worst = symptoms().max_by(|a, b| a.z.total_cmp(&b.z));
        let moments =
            worst.filter(|worst| worst.z >= UNWELL).map_or(Vec::new(), |worst| moments(&worst.profile, worst.z));
        let worst = worst.map_or(0.0, |worst| worst.z);
        let mut trouble = Self { moments, symptoms: BTreeMap::new(), calls };
        for symptom in symptoms() {
            let series = &facts.series[symptom.index];
            let share = if worst > 0.0 { (symptom.z / worst).clamp(0.0, 1.0) } else { 1.0 };
            trouble.symptoms.insert(series.metric, (trouble.added(series.service, symptom), share));
        }
        trouble
    }

    fn added(&self, service: Name, measured: &Measured) -> Option<f64> {
        Some(self.calls.get(&service)? * (measured.after - measured.before).abs())
    }

    /// 0 to 1: how well the deviation fits.
    pub(crate) fn fit(&self, facts: &Facts, measured: &Measured) -> f64 {
        let series = &facts.series[measured.index];
        let fit = self.fit_in_time(&measured.profile) * self.fit_in_size(series.service, series.metric, measured);
        LEAST_FIT + (1.0 - LEAST_FIT) * fit
    }

    fn fit_in_time(&self, profile: &[(i64, f64)]) -> f64 {
        let mean = |unwell: bool| {
            let at: Vec<f64> = self
                .moments
                .iter()
                .filter(|(_, is)| *is == unwell)
                .filter_map(|(time, _)| profile.iter().min_by_key(|(at, _)| (at - time).abs()))
                .map(|(_, z)| z.max(0.0))
                .collect();
            (!at.is_empty()).then(|| at.iter().sum::<f64>() / at.len() as f64)
        };
        match (mean(true), mean(false)) {
            (Some(unwell), Some(well)) if unwell > 0.0 => (1.0 - well / unwell).clamp(0.0, 1.0),
            (Some(_), Some(_)) => 0.0,
            _ => 1.0,
        }
    }

    fn fit_in_size(&self, service: Name, metric: Name, measured: &Measured) -> f64 {
        let Some((entry, share)) = self.symptoms.get(&metric) else { return 1.0 };
        let part = match (entry, self.added(service, measured)) {
            (Some(entry), Some(added)) if *entry > 0.0 => (added / entry).min(1.0),
            _ => 1.0,
        };
        part * share.max(LEAST_SHARE)
    }
}

/// When it was unwell and when well; what lies between says nothing.
fn moments(profile: &[(i64, f64)], worst: f64) -> Vec<(i64, bool)> {
    let moments: Vec<(i64, bool)> = profile
        .iter()
        .filter_map(|(time, z)| match *z {
            z if z >= worst * 0.5 => Some((*time, true)),
            z if z <= worst * WELL_SHARE * 0.5 => Some((*time, false)),
            _ => None,
        })
        .collect();
    if moments.iter().any(|(_, unwell)| !unwell) { moments } else { Vec::new() }
}

/// How much each service is asked in the window: the metric of requests that most services have.
fn calls(facts: &Facts, measured: &[Measured]) -> BTreeMap<Name, f64> {
    let mut by_metric: BTreeMap<Name, BTreeMap<Name, f64>> = BTreeMap::new();
    for measured in measured.iter().filter(|measured| measured.meaning == Meaning::Traffic) {
        let series = &facts.series[measured.index];
        let name = facts.text(series.metric);
        if series.call.is_none() && (name.contains("request") || name.contains("calls")) {
            let values = measured.level.max(0.0);
            *by_metric.entry(series.metric).or_default().entry(series.service).or_default() += values;
        }
    }
    by_metric.into_values().max_by_key(BTreeMap::len).unwrap_or_default()
}
