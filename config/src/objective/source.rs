//! Where an indicator comes from: spans of this server, and no other source yet.

use std::time::Duration;

use super::{Bad, Indicator, Problem, node::Field};

/// Longest latency that can be a threshold.
const MAX_LATENCY: Duration = Duration::from_secs(24 * 60 * 60);

/// An indicator whose threshold may be left to the objective (`op: lt`, `value`).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Source {
    service: String,
    operation: Option<String>,
    bad: Option<Bad>,
}

impl Source {
    /// With the objective's own threshold, if it has one.
    ///
    /// # Errors
    /// Both have one, or neither says what is bad.
    pub(super) fn indicator(&self, value: Option<Duration>) -> Result<Indicator, &'static str> {
        let bad = match (self.bad, value) {
            (Some(bad), None) => bad,
            (None, Some(value)) => Bad::SlowerThan(value),
            (Some(_), Some(_)) => return Err("the indicator has a threshold of its own: leave out op and value"),
            (None, None) => {
                return Err(
                    "nothing says which spans are bad: write `bad: errors` or `bad: {slower_than: 300ms}` into spans",
                );
            }
        };
        Ok(Indicator { service: self.service.clone(), operation: self.operation.clone(), bad })
    }
}

/// `ratioMetric` or `thresholdMetric`. All parts of a ratio are the same spans; one of them says which are bad.
pub(super) fn source(spec: &Field<'_>) -> Result<Source, Problem> {
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
    let named = spans.optional_text("service")?.filter(|name| !name.is_empty());
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
        operation: spans.optional_text("operation")?,
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
    if (Duration::from_nanos(1)..=MAX_LATENCY).contains(&duration) {
        return Ok(duration);
    }
    Err(field.refuse("expected a duration from 1ns to 1d"))
}

/// `op` and `value` of an objective on a threshold: a duration, or a number of milliseconds.
pub(super) fn threshold(objective: &Field<'_>) -> Result<Option<Duration>, Problem> {
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
