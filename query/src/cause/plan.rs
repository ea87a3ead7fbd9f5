//! Pure: which times are compared, where the asker has not said.

use super::{
    facts::{Facts, Kind, Name, Stretch},
    forest::Sides,
    meaning::Meaning,
    meters::Times,
    number::quantile,
    window::{self, SLOT_NANO, Slot},
};

/// When is compared with when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub sides: Sides,
    pub times: Times,
    /// Between the entry's last good and first bad moment.
    pub onset: Option<Stretch>,
    /// An objective says that calls are worse than before.
    pub is_burning: bool,
    /// Nobody said when: the window is where trouble was looked for.
    pub is_looked_for: bool,
}

impl Plan {
    /// The baseline that was asked for, or the quiet stretch before the window. Metrics are compared with everything that
    /// is known from before; where that is nothing, with the part of the window before the entry's trouble.
    pub(crate) fn new(facts: &Facts) -> Self {
        let window = facts.window;
        let during = slots(facts, window);
        let (baseline, quiet) = match facts.baseline {
            Some(baseline) => (baseline, slots(facts, baseline)),
            None => {
                let earliest = earliest(facts).unwrap_or(window.from).min(window.from);
                let before = slots(facts, Stretch { from: earliest, to: window.from });
                let baseline = window::baseline(window, &before);
                (baseline, before.into_iter().filter(|slot| baseline.contains(slot.start)).collect())
            }
        };
        let onset = window::onset(&quiet, &during);
        let between = Stretch { from: baseline.to.min(window.from), to: window.from };
        let sides = Sides { baseline, between, window };
        Self { sides, times: times(facts), onset, is_burning: false, is_looked_for: false }
    }
}

fn earliest(facts: &Facts) -> Option<i64> {
    facts.spans.iter().map(|span| span.start).min()
}

/// The calls of the entry, or of everything where no entry is named, in slots without holes.
pub(crate) fn slots(facts: &Facts, stretch: Stretch) -> Vec<Slot> {
    let count = usize::try_from(stretch.length() / SLOT_NANO + 1).unwrap_or(0).min(100_000);
    let mut durations: Vec<Vec<f64>> = vec![Vec::new(); count];
    let mut slots: Vec<Slot> =
        (0..count as i64).map(|i| Slot { start: stretch.from + i * SLOT_NANO, ..Slot::default() }).collect();
    let is_call = |kind: Kind, parent: u64| matches!(kind, Kind::Server | Kind::Consumer) || parent == 0;
    for span in &facts.spans {
        let wanted = facts.entry.is_none_or(|entry| entry == span.service) && is_call(span.kind, span.parent);
        if !wanted || !stretch.contains(span.start) {
            continue;
        }
        let Ok(i) = usize::try_from((span.start - stretch.from) / SLOT_NANO) else { continue };
        let (Some(slot), Some(durations)) = (slots.get_mut(i), durations.get_mut(i)) else { continue };
        slot.calls += 1;
        slot.errors += u32::from(span.failed);
        durations.push(span.duration as f64 / 1e6);
    }
    for (slot, mut durations) in slots.iter_mut().zip(durations) {
        slot.p50 = quantile(&mut durations, 0.5);
        slot.p95 = quantile(&mut durations, 0.95);
    }
    slots
}

/// When metrics were normal.
fn times(facts: &Facts) -> Times {
    let window = facts.window;
    let history = Stretch { from: i64::MIN, to: window.from };
    let has_past = facts.series.iter().any(|series| {
        series.call.is_none() && series.points.iter().filter(|(time, _)| *time < window.from).count() > 1
    });
    match if has_past { None } else { split(facts) } {
        Some(at) => Times { history: Stretch { from: window.from, to: at }, window: Stretch { from: at, ..window } },
        None => Times { history, window },
    }
}

/// The moment in the window from which the entry's own metrics are worse than before, by the widest step.
fn split(facts: &Facts) -> Option<i64> {
    let entry: Option<Name> = facts.entry;
    let mut best: Option<(f64, i64)> = None;
    for series in facts.series.iter().filter(|series| Some(series.service) == entry && series.call.is_none()) {
        let meaning = Meaning::of(facts.text(series.metric), facts.text(series.unit));
        let sign = match meaning {
            Meaning::Duration | Meaning::Failure => 1.0,
            Meaning::Success => -1.0,
            _ => continue,
        };
        let points: Vec<_> = series.points.iter().filter(|(time, _)| facts.window.contains(*time)).collect();
        for i in 1..points.len() {
            let mut before: Vec<f64> = points[..i].iter().map(|(_, value)| *value).collect();
            let mut after: Vec<f64> = points[i..].iter().map(|(_, value)| *value).collect();
            let (was, is) = (quantile(&mut before, 0.5), quantile(&mut after, 0.5));
            let unit = match (meaning, facts.text(series.unit)) {
                (Meaning::Success, "%") => 1.0 + 0.1 * (100.0 - was),
                _ => 0.1 * was.abs() + f64::MIN_POSITIVE,
            };
            let step = sign * (is - was) / unit;
            if step > 0.0 && best.is_none_or(|(widest, _)| step > widest) {
                best = Some((step, points[i].0));
            }
        }
    }
    best.map(|(_, at)| at)
}
