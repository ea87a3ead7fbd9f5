//! A metric's data points -> rows of the table of their kind, and rows of `exemplars`.

mod exemplars;
mod histograms;
mod numbers;
mod points;

use arrow::error::ArrowError;
use storage::model::TableRows;

use self::{
    exemplars::Exemplars,
    histograms::{ExponentialHistograms, Histograms},
    numbers::{Numbers, Summaries},
    points::Point,
};
use super::{
    Context, DecodeError, Origin, Rows, Stop, digest,
    rejection::Adjustment,
    wire::{Field, Fields, Malformed},
};

/// What a metric's points share.
#[derive(Debug)]
struct Metric<'a> {
    /// Differs between metrics of one request, starts at 1.
    serial: u64,
    name: &'a str,
    description: &'a str,
    unit: &'a str,
    kind: &'static str,
    temporality: Option<&'static str>,
    is_monotonic: Option<bool>,
    /// Hash of all of a series' identity except the attributes of the point.
    identity: u128,
}

/// Tables of data points under construction.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    serial: u64,
    numbers: Numbers,
    histograms: Histograms,
    exponential_histograms: ExponentialHistograms,
    summaries: Summaries,
    exemplars: Exemplars,
}

impl<'a> Rows<'a> for Metrics {
    fn item(&mut self, item: &'a [u8], origin: &Origin<'a>, context: &mut Context<'a, '_>) -> Result<(), DecodeError> {
        let (mut metric, data) = read_metric(item)?;
        // A metric without data has no points: nothing was sent.
        let Some(data) = data else { return Ok(()) };
        let field = data.field;
        let (temporality, is_monotonic) = read_aggregation(&data)?;
        metric.kind = match field {
            5 => "gauge",
            7 => "sum",
            9 => "histogram",
            10 => "exponential_histogram",
            _ => "summary",
        };
        if matches!(field, 7 | 9 | 10) {
            metric.temporality = Some(temporality_name(temporality, context));
        }
        metric.is_monotonic = (field == 7).then_some(is_monotonic);
        self.serial += 1;
        metric.serial = self.serial;
        metric.identity = identity(&metric, origin);
        for point in data.fields() {
            let point = point?;
            if point.number != 1 {
                continue;
            }
            context.item_count += 1;
            let result = self.push(field, point.bytes()?, &metric, origin, context);
            context.settle(result, 1)?;
        }
        Ok(())
    }
}

impl Metrics {
    fn push<'a>(
        &mut self,
        kind_field: u32,
        message: &'a [u8],
        metric: &Metric<'a>,
        origin: &Origin<'a>,
        context: &mut Context<'a, '_>,
    ) -> Result<(), Stop> {
        let source = Source { metric, origin };
        match kind_field {
            5 | 7 => self.numbers.push(message, source, &mut self.exemplars, context),
            9 => self.histograms.push(message, source, &mut self.exemplars, context),
            10 => self.exponential_histograms.push(message, source, &mut self.exemplars, context),
            _ => self.summaries.push(message, source, context),
        }
    }

    pub(super) fn finish(self) -> Result<Vec<TableRows>, ArrowError> {
        let tables = [
            self.numbers.finish()?,
            self.histograms.finish()?,
            self.exponential_histograms.finish()?,
            self.summaries.finish()?,
            self.exemplars.finish()?,
        ];
        Ok(tables.into_iter().flatten().collect())
    }
}

/// Series differ when any of these differ. Of the origin only digests: a resource may have long attributes and many short
/// metrics.
fn identity(metric: &Metric<'_>, origin: &Origin<'_>) -> u128 {
    digest([
        metric.name.as_bytes(),
        metric.unit.as_bytes(),
        metric.kind.as_bytes(),
        metric.temporality.unwrap_or_default().as_bytes(),
        match metric.is_monotonic {
            None => b"",
            Some(false) => b"0",
            Some(true) => b"1",
        },
        &origin.resource_digest.to_le_bytes(),
        &origin.scope_digest.to_le_bytes(),
    ])
}

/// Where a point comes from.
#[derive(Clone, Copy, Debug)]
struct Source<'s, 'a> {
    metric: &'s Metric<'a>,
    origin: &'s Origin<'a>,
}

/// The points of a metric, in as many messages as they were sent in: nearly always one.
#[derive(Debug)]
struct Data<'a> {
    /// The field that says of which kind they are.
    field: u32,
    first: &'a [u8],
    more: Vec<&'a [u8]>,
}

impl<'a> Data<'a> {
    /// One of the kinds may be set: when several are, the last wins. Data of one kind that come twice are one, with the
    /// points of both.
    fn add(found: Option<Self>, field: u32, message: &'a [u8]) -> Self {
        match found {
            Some(mut data) if data.field == field => {
                data.more.push(message);
                data
            }
            _ => Self { field, first: message, more: Vec::new() },
        }
    }

    fn fields(&self) -> impl Iterator<Item = Result<Field<'a>, Malformed>> {
        std::iter::once(self.first).chain(self.more.iter().copied()).flat_map(Fields::new)
    }
}

/// The metric without what depends on its data, and the data.
fn read_metric(message: &[u8]) -> Result<(Metric<'_>, Option<Data<'_>>), Malformed> {
    let mut metric = Metric {
        serial: 0,
        name: "",
        description: "",
        unit: "",
        kind: "",
        temporality: None,
        is_monotonic: None,
        identity: 0,
    };
    let mut data = None;
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => metric.name = field.text()?,
            2 => metric.description = field.text()?,
            3 => metric.unit = field.text()?,
            5 | 7 | 9 | 10 | 11 => data = Some(Data::add(data, field.number, field.bytes()?)),
            // Metadata is not kept, but must be what it is.
            12 => drop(field.bytes()?),
            _ => {}
        }
    }
    Ok((metric, data))
}

/// Temporality and monotonicity, which may come after the points.
fn read_aggregation(data: &Data<'_>) -> Result<(i32, bool), Malformed> {
    let (mut temporality, mut is_monotonic) = (0, false);
    for field in data.fields() {
        let field = field?;
        match field.number {
            2 => temporality = field.int32()?,
            3 => is_monotonic = field.bool()?,
            _ => {}
        }
    }
    Ok((temporality, is_monotonic))
}

fn temporality_name(number: i32, context: &mut Context<'_, '_>) -> &'static str {
    match number {
        0 => "unspecified",
        1 => "delta",
        2 => "cumulative",
        _ => {
            context.tally.adjust(Adjustment::UnknownEnum, 1);
            "unspecified"
        }
    }
}
