//! A tree -> OpenSLO v1 documents -> objectives.
//!
//! Indicators are spans of this server (`metricSource.type: Rootline`). Every source that is not ours, every window that is
//! not rolling and every unknown field is refused by name: an objective that silently measures something else is worse
//! than none.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Bad, Budgeting, Indicator, Objective, Problem,
    node::{self, Field},
};

/// The only version that is read.
const API_VERSION: &str = "openslo/v1";
/// Kinds that have no meaning here and do no harm.
const OTHER_KINDS: [&str; 5] = ["Service", "DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget"];
const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;
const MIN_WINDOW: Duration = Duration::from_secs(60 * MINUTE);
const MAX_WINDOW: Duration = Duration::from_secs(90 * DAY);
/// Rows of spans are counted in slots of this length; a slice is made of whole ones.
const SLOT_SECONDS: u64 = 10;
const HOUR_SECONDS: u64 = 60 * MINUTE;
/// Longest name, operation or description.
const MAX_TEXT_BYTES: usize = 4096;

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
    source: Source,
    /// Threshold of this objective, for an indicator that leaves it open.
    value: Option<Duration>,
    /// Where to point when the parts do not fit together.
    place: Problem,
    /// Name of an indicator that stands elsewhere; `source` is a placeholder then.
    reference: Option<String>,
}

/// An indicator whose threshold may be left to the objective (`op: lt`, `value`).
#[derive(Clone, Debug, Default, PartialEq)]
struct Source {
    service: String,
    operation: Option<String>,
    bad: Option<Bad>,
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
        self.objectives
            .iter()
            .map(|unresolved| {
                let refuse = |message: String| Problem { message, ..unresolved.place.clone() };
                let source = match &unresolved.reference {
                    None => &unresolved.source,
                    Some(name) => std::iter::once(self)
                        .chain(others.iter().copied())
                        .find_map(|documents| documents.indicators.get(name))
                        .ok_or_else(|| refuse(format!("no document of kind SLI is named {name:?}")))?,
                };
                let bad = match (source.bad, unresolved.value) {
                    (Some(_), Some(_)) => return Err(refuse("the indicator has a threshold of its own: leave out op and value".to_owned())),
                    (Some(bad), None) => bad,
                    (None, Some(value)) => Bad::SlowerThan(value),
                    (None, None) => return Err(refuse("nothing says which spans are bad: write `bad: errors` or `bad: {slower_than: 300ms}` into spans".to_owned())),
                };
                let indicator = Indicator { service: source.service.clone(), operation: source.operation.clone(), bad };
                Ok(Objective { indicator, ..unresolved.objective.clone() })
            })
            .collect()
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
                if self.indicators.insert(name.clone(), indicator(&spec)?).is_some() {
                    return Err(object.require("metadata")?.refuse(format!("there are two indicators named {name:?}")));
                }
                Ok(())
            }
            other if OTHER_KINDS.contains(&other) => Ok(()),
            other => Err(kind.refuse(format!("unknown kind {other:?}, expected SLO or SLI"))),
        }
    }

    fn add_objectives(&mut self, name: &str, display_name: &str, spec: &Field<'_>) -> Result<(), Problem> {
        spec.only(&[
            "description",
            "service",
            "indicator",
            "indicatorRef",
            "timeWindow",
            "budgetingMethod",
            "objectives",
            "alertPolicies",
        ])?;
        let description = optional_text(spec, "description")?.unwrap_or_default();
        spec.require("service")?.text()?;
        let (source, reference, place) = match (spec.get("indicator")?, spec.get("indicatorRef")?) {
            (Some(inline), None) => {
                inline.only(&["metadata", "spec"])?;
                (indicator(&inline.require("spec")?)?, None, inline.refuse(""))
            }
            (None, Some(reference)) => (Source::default(), Some(reference.text()?.to_owned()), reference.refuse("")),
            (Some(inline), Some(_)) => return Err(inline.refuse("indicator and indicatorRef exclude each other")),
            (None, None) => return Err(spec.require("indicator").err().unwrap_or_else(|| spec.refuse("is missing"))),
        };
        let window = time_window(&spec.require("timeWindow")?)?;
        let method = spec.require("budgetingMethod")?;
        let list = spec.require("objectives")?;
        if list.list()?.is_empty() {
            return Err(list.refuse("at least one objective"));
        }
        for (index, field) in list.list()?.iter().enumerate() {
            field.only(&[
                "displayName",
                "op",
                "value",
                "target",
                "targetPercent",
                "timeSliceTarget",
                "timeSliceWindow",
            ])?;
            let own_name = optional_text(field, "displayName")?;
            let objective = Objective {
                id: if index == 0 { name.to_owned() } else { format!("{name}.{}", index + 1) },
                slo: name.to_owned(),
                display_name: match own_name {
                    Some(own) if list.list()?.len() > 1 => format!("{display_name}: {own}"),
                    _ => display_name.to_owned(),
                },
                description: description.clone(),
                // Known once references are followed.
                indicator: Indicator { service: String::new(), operation: None, bad: Bad::Errors },
                target_ratio: target(field)?,
                window,
                budgeting: budgeting(&method, field)?,
            };
            let value = threshold(field)?;
            let place = if value.is_some() { field.refuse("") } else { place.clone() };
            self.objectives.push(Unresolved {
                objective,
                source: source.clone(),
                value,
                place,
                reference: reference.clone(),
            });
        }
        Ok(())
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
    Ok((name.to_owned(), optional_text(metadata, "displayName")?.unwrap_or_else(|| name.to_owned())))
}

fn optional_text(parent: &Field<'_>, key: &str) -> Result<Option<String>, Problem> {
    let Some(field) = parent.get(key)? else { return Ok(None) };
    let text = field.text()?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(field.refuse(format!("at most {MAX_TEXT_BYTES} bytes")));
    }
    Ok(Some(text.to_owned()))
}

/// `ratioMetric` or `thresholdMetric`. All parts of a ratio are the same spans; one of them says which are bad.
fn indicator(spec: &Field<'_>) -> Result<Source, Problem> {
    match (spec.get("ratioMetric")?, spec.get("thresholdMetric")?) {
        (Some(ratio), None) => ratio_metric(&ratio),
        (None, Some(threshold)) => {
            threshold.only(&["metricSource"])?;
            metric_source(&threshold.require("metricSource")?)
        }
        (Some(_), Some(both)) => Err(both.refuse("ratioMetric and thresholdMetric exclude each other")),
        (None, None) => Err(spec.refuse("expected ratioMetric or thresholdMetric")),
    }
}

fn ratio_metric(ratio: &Field<'_>) -> Result<Source, Problem> {
    ratio.only(&["counter", "good", "bad", "total", "rawType", "raw", "metricSource"])?;
    if let Some(counter) = ratio.get("counter")? {
        counter.bool()?;
    }
    // One source may stand for the whole ratio.
    let mut parts = Vec::new();
    parts.extend(ratio.get("metricSource")?);
    for key in ["good", "bad", "raw", "total"] {
        let Some(part) = ratio.get(key)? else { continue };
        part.only(&["metricSource"])?;
        parts.push(part.require("metricSource")?);
    }
    let mut parts = parts.into_iter();
    let first = parts.next().ok_or_else(|| ratio.refuse("expected good or bad, and total"))?;
    let mut source = metric_source(&first)?;
    for part in parts {
        let other = metric_source(&part)?;
        let same_spans = other.service == source.service && other.operation == source.operation;
        let same_bad = other.bad.is_none() || source.bad.is_none() || other.bad == source.bad;
        if !same_spans || !same_bad {
            return Err(part.refuse("all parts of a ratio are the same spans: the same service, operation and bad"));
        }
        source.bad = source.bad.or(other.bad);
    }
    Ok(source)
}

fn metric_source(source: &Field<'_>) -> Result<Source, Problem> {
    source.only(&["type", "spec", "metricSourceRef"])?;
    if let Some(reference) = source.get("metricSourceRef")? {
        return Err(reference.refuse("data sources are not supported yet: write type: Rootline"));
    }
    let kind = source.require("type")?;
    if kind.text()? != "Rootline" {
        return Err(kind.refuse(format!("{:?} is not supported yet, expected Rootline", kind.text()?)));
    }
    let spec = source.require("spec")?;
    for later in ["promql", "sql"] {
        if let Some(field) = spec.get(later)? {
            return Err(field.refuse(format!("{later} is not supported yet, expected spans")));
        }
    }
    spec.only(&["spans"])?;
    spans(&spec.require("spans")?)
}

fn spans(spans: &Field<'_>) -> Result<Source, Problem> {
    spans.only(&["service", "operation", "bad"])?;
    let service = spans.require("service")?;
    let named = optional_text(spans, "service")?.filter(|name| !name.is_empty());
    let bad = match spans.get("bad")? {
        None => None,
        Some(field) if field.is_map() => {
            field.only(&["slower_than"])?;
            Some(Bad::SlowerThan(latency(&field.require("slower_than")?)?))
        }
        Some(field) if field.text().ok() == Some("errors") => Some(Bad::Errors),
        Some(field) => return Err(field.refuse("expected errors or {slower_than: 300ms}")),
    };
    Ok(Source {
        service: named.ok_or_else(|| service.refuse("expected the name of a service"))?,
        operation: optional_text(spans, "operation")?,
        bad,
    })
}

/// A duration such as `300ms` or `1s 500ms`.
fn latency(field: &Field<'_>) -> Result<Duration, Problem> {
    let text = field.text()?;
    let duration = humantime::parse_duration(text)
        .map_err(|error| field.refuse(format!("expected a duration such as 300ms, found {text:?}: {error}")))?;
    in_latency_range(field, duration)
}

fn in_latency_range(field: &Field<'_>, duration: Duration) -> Result<Duration, Problem> {
    if (Duration::from_nanos(1)..=Duration::from_secs(DAY)).contains(&duration) {
        return Ok(duration);
    }
    Err(field.refuse("expected a duration from 1ns to 1d"))
}

/// `op` and `value` of an objective on a threshold: a duration, or a number of milliseconds.
fn threshold(objective: &Field<'_>) -> Result<Option<Duration>, Problem> {
    let Some(field) = objective.get("value")? else { return Ok(None) };
    if let Some(op) = objective.get("op")?
        && !matches!(op.text()?, "lt" | "lte")
    {
        return Err(op.refuse("expected lt or lte: a good span is faster than value"));
    }
    let Some(millis) = field.as_number() else { return latency(&field).map(Some) };
    let duration = Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default();
    in_latency_range(&field, duration).map(Some)
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
