//! A tree -> OpenSLO v1 documents -> objectives.
//!
//! Indicators are spans of this server (`metricSource.type: Rootline`). Every source that is not ours, every window that is
//! not rolling and every unknown field is refused by name: an objective that silently measures something else is worse
//! than none.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Bad, Budgeting, Indicator, Objective, Problem,
    node::{self, Field},
    source::{Source, source, threshold},
};

/// The only version that is read.
const API_VERSION: &str = "openslo/v1";
/// What an SLO may say. Alert policies are accepted and mean nothing: every objective has the same alerts.
const SPEC_FIELDS: [&str; 8] = [
    "description",
    "service",
    "indicator",
    "indicatorRef",
    "timeWindow",
    "budgetingMethod",
    "objectives",
    "alertPolicies",
];
/// What each of its objectives may say.
const OBJECTIVE_FIELDS: [&str; 7] =
    ["displayName", "op", "value", "target", "targetPercent", "timeSliceTarget", "timeSliceWindow"];
/// Kinds that have no meaning here and do no harm.
const OTHER_KINDS: [&str; 5] = ["Service", "DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget"];
const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;
const MIN_WINDOW: Duration = Duration::from_secs(60 * MINUTE);
const MAX_WINDOW: Duration = Duration::from_secs(90 * DAY);
/// Rows of spans are counted in slots of this length; a slice is made of whole ones.
const SLOT_SECONDS: u64 = 10;
const HOUR_SECONDS: u64 = 60 * MINUTE;

/// What a file says, before references to indicators of other files are followed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Documents {
    indicators: BTreeMap<String, Source>,
    objectives: Vec<Unresolved>,
}

/// An objective that may name its indicator only.
#[derive(Clone, Debug, PartialEq)]
struct Unresolved {
    objective: Objective,
    origin: Origin,
    /// Threshold of this objective, for an indicator that leaves it open.
    value: Option<Duration>,
    /// Where to point when the parts do not fit together.
    place: Problem,
}

/// Where an objective has its indicator from.
#[derive(Clone, Debug, PartialEq)]
enum Origin {
    /// It stands in the SLO.
    Inline(Source),
    /// It is a document of kind SLI.
    Named(String),
}

/// Reads one file.
///
/// # Errors
/// The first thing that cannot be used: the file is refused as a whole.
pub fn read(text: &str) -> Result<Documents, Problem> {
    let mut documents = Documents::default();
    for node in &node::documents(text)? {
        let root = Field::root(node);
        // A document may also be a list of objects.
        let objects = if root.is_list() { root.list()? } else { vec![root] };
        for object in &objects {
            documents.add(object)?;
        }
    }
    Ok(documents)
}

impl Documents {
    /// Indicators that other files may name.
    pub(super) fn indicator_names(&self) -> impl Iterator<Item = &str> {
        self.indicators.keys().map(String::as_str)
    }

    /// Follows references, first in this file, then in the others.
    ///
    /// # Errors
    /// A reference that leads nowhere; an indicator without anything that makes a span bad.
    pub(super) fn resolve<'a>(&'a self, others: impl IntoIterator<Item = &'a Self>) -> Result<Vec<Objective>, Problem> {
        let others: Vec<&Self> = others.into_iter().collect();
        self.objectives.iter().map(|unresolved| unresolved.resolve(self, &others)).collect()
    }

    fn add(&mut self, object: &Field<'_>) -> Result<(), Problem> {
        object.only(&["apiVersion", "kind", "metadata", "spec"])?;
        let version = object.require("apiVersion")?;
        if version.text()? != API_VERSION {
            return Err(version.refuse(format!("found {:?}, expected {API_VERSION}", version.text()?)));
        }
        let kind = object.require("kind")?;
        let (name, display_name) = metadata(&object.require("metadata")?)?;
        let spec = object.require("spec")?;
        match kind.text()? {
            "SLO" => self.add_objectives(&name, &display_name, &spec),
            "SLI" => {
                spec.only(&["description", "ratioMetric", "thresholdMetric"])?;
                if self.indicators.insert(name.clone(), source(&spec)?).is_some() {
                    return Err(object.require("metadata")?.refuse(format!("there are two indicators named {name:?}")));
                }
                Ok(())
            }
            other if OTHER_KINDS.contains(&other) => Ok(()),
            other => Err(kind.refuse(format!("unknown kind {other:?}, expected SLO or SLI"))),
        }
    }

    fn add_objectives(&mut self, name: &str, display_name: &str, spec: &Field<'_>) -> Result<(), Problem> {
        spec.only(&SPEC_FIELDS)?;
        // OpenSLO wants it; what is counted is the service of the spans.
        spec.require("service")?.text()?;
        let (origin, origin_place) = origin(spec)?;
        let common = Objective {
            id: name.to_owned(),
            slo: name.to_owned(),
            display_name: display_name.to_owned(),
            description: spec.optional_text("description")?.unwrap_or_default(),
            // Known once references are followed; target and method once its own part is read.
            indicator: Indicator { service: String::new(), operation: None, bad: Bad::Errors },
            target_ratio: 0.0,
            window: time_window(&spec.require("timeWindow")?)?,
            budgeting: Budgeting::Occurrences,
        };
        let method = spec.require("budgetingMethod")?;
        let list = spec.require("objectives")?;
        let fields = list.list()?;
        if fields.is_empty() {
            return Err(list.refuse("at least one objective"));
        }
        for (index, field) in fields.iter().enumerate() {
            field.only(&OBJECTIVE_FIELDS)?;
            let mut objective =
                Objective { target_ratio: target(field)?, budgeting: budgeting(&method, field)?, ..common.clone() };
            if index > 0 {
                objective.id = format!("{name}.{}", index + 1);
            }
            if let Some(own_name) = field.optional_text("displayName")?.filter(|_| fields.len() > 1) {
                objective.display_name = format!("{display_name}: {own_name}");
            }
            let value = threshold(field)?;
            let place = if value.is_some() { field.refuse("") } else { origin_place.clone() };
            self.objectives.push(Unresolved { objective, origin: origin.clone(), value, place });
        }
        Ok(())
    }
}

impl Unresolved {
    fn resolve(&self, own: &Documents, others: &[&Documents]) -> Result<Objective, Problem> {
        let refuse = |message: String| Problem { message, ..self.place.clone() };
        let source = match &self.origin {
            Origin::Inline(source) => source,
            Origin::Named(name) => std::iter::once(own)
                .chain(others.iter().copied())
                .find_map(|documents| documents.indicators.get(name))
                .ok_or_else(|| refuse(format!("no document of kind SLI is named {name:?}")))?,
        };
        let indicator = source.indicator(self.value).map_err(|message| refuse(message.to_owned()))?;
        Ok(Objective { indicator, ..self.objective.clone() })
    }
}

/// The indicator of an SLO, and where it stands.
fn origin(spec: &Field<'_>) -> Result<(Origin, Problem), Problem> {
    match (spec.get("indicator")?, spec.get("indicatorRef")?) {
        (Some(inline), None) => {
            inline.only(&["metadata", "spec"])?;
            Ok((Origin::Inline(source(&inline.require("spec")?)?), inline.refuse("")))
        }
        (None, Some(reference)) => Ok((Origin::Named(reference.text()?.to_owned()), reference.refuse(""))),
        (Some(inline), Some(_)) => Err(inline.refuse("indicator and indicatorRef exclude each other")),
        (None, None) => Err(spec.missing("indicator")),
    }
}

fn metadata(metadata: &Field<'_>) -> Result<(String, String), Problem> {
    metadata.only(&["name", "displayName", "labels", "annotations", "namespace"])?;
    let field = metadata.require("name")?;
    let name = field.text()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let starts_plain = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !starts_plain || name.len() > 128 || !name.bytes().all(is_plain) {
        return Err(field.refuse("expected 1 to 128 letters, digits, - _ and ., starting with a letter or digit"));
    }
    Ok((name.to_owned(), metadata.optional_text("displayName")?.unwrap_or_else(|| name.to_owned())))
}

fn target(objective: &Field<'_>) -> Result<f64, Problem> {
    let (field, ratio) = match (objective.get("target")?, objective.get("targetPercent")?) {
        (Some(_), Some(percent)) => return Err(percent.refuse("target and targetPercent exclude each other")),
        // The nearest double to what was written: 99.9 / 100.0 is not 0.999.
        (None, Some(percent)) => (percent.clone(), format!("{}e-2", percent.number()?).parse().unwrap_or(f64::NAN)),
        (Some(target), None) => (target.clone(), target.number()?),
        (None, None) => {
            return Err(objective.require("target").err().unwrap_or_else(|| objective.refuse("is missing")));
        }
    };
    check_ratio(&field, ratio)?;
    Ok(ratio)
}

/// From 0 and below 1, as OpenSLO has it.
fn check_ratio(field: &Field<'_>, ratio: f64) -> Result<(), Problem> {
    if ratio == 1.0 {
        return Err(field.refuse(
            "an objective of 100 % has no error budget: nothing may ever be bad, so no speed of spending exists; write for example 0.9999",
        ));
    }
    if !(0.0..1.0).contains(&ratio) {
        return Err(
            field.refuse("expected a share from 0 and below 1 (target), or from 0 and below 100 (targetPercent)")
        );
    }
    Ok(())
}

/// The one rolling window.
fn time_window(field: &Field<'_>) -> Result<Duration, Problem> {
    let windows = field.list()?;
    let [window] = windows.as_slice() else { return Err(field.refuse("expected one window")) };
    window.only(&["duration", "isRolling", "calendar"])?;
    if let Some(calendar) = window.get("calendar")? {
        return Err(calendar.refuse("calendar windows are not supported yet, expected isRolling: true"));
    }
    let rolling = window.require("isRolling")?;
    if !rolling.bool()? {
        return Err(rolling.refuse("windows that do not roll are not supported yet, expected true"));
    }
    let field = window.require("duration")?;
    let duration = duration(&field)?;
    if !(MIN_WINDOW..=MAX_WINDOW).contains(&duration) {
        return Err(field.refuse("expected 1h to 90d"));
    }
    Ok(duration)
}

/// OpenSLO's duration shorthand: a number and one of m, h, d, w. Months, quarters and years have no fixed length.
fn duration(field: &Field<'_>) -> Result<Duration, Problem> {
    let text = field.text()?;
    let expected = || field.refuse(format!("expected a number and one of m, h, d, w (28d), found {text:?}"));
    let split = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or_else(expected)?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "m" => MINUTE,
        "h" => HOUR_SECONDS,
        "d" => DAY,
        "w" => 7 * DAY,
        "M" | "Q" | "Y" => {
            return Err(field.refuse("months, quarters and years have no fixed length to roll over: write days (30d)"));
        }
        _ => return Err(expected()),
    };
    let number: u32 = number.parse().map_err(|_| expected())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

fn budgeting(method: &Field<'_>, objective: &Field<'_>) -> Result<Budgeting, Problem> {
    let slice_target = |field: &Field<'_>| {
        let ratio = field.number()?;
        // A slice may well have to be perfect: the budget is in slices.
        if (0.0..=1.0).contains(&ratio) { Ok(ratio) } else { Err(field.refuse("expected a share from 0 to 1")) }
    };
    match method.text()? {
        "Occurrences" => Ok(Budgeting::Occurrences),
        "Timeslices" => Ok(Budgeting::Timeslices {
            slice: slice(&objective.require("timeSliceWindow")?)?,
            target_ratio: slice_target(&objective.require("timeSliceTarget")?)?,
        }),
        "RatioTimeslices" => Ok(Budgeting::RatioTimeslices { slice: slice(&objective.require("timeSliceWindow")?)? }),
        other => {
            Err(method.refuse(format!("unknown method {other:?}, expected Occurrences, Timeslices or RatioTimeslices")))
        }
    }
}

/// Whole slots, and a whole number of slices an hour: a slice never lies in two hours.
fn slice(field: &Field<'_>) -> Result<Duration, Problem> {
    let duration = duration(field)?;
    let seconds = duration.as_secs();
    if seconds == 0 || !seconds.is_multiple_of(SLOT_SECONDS) || !HOUR_SECONDS.is_multiple_of(seconds) {
        return Err(field.refuse("expected 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m or 1h"));
    }
    Ok(duration)
}
