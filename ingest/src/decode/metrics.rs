//! A metric's data points -> rows of the table of their kind, and rows of `exemplars`.

mod exemplars;
mod histograms;
mod numbers;
mod points;

use arrow::error::ArrowError;
use storage::model::TableRows;
use xxhash_rust::xxh3::xxh3_128;

use self::{
    exemplars::Exemplars,
    histograms::{ExponentialHistograms, Histograms},
    numbers::{Numbers, Summaries},
    points::Point,
};
use super::{
    Context, DecodeError, Origin, Rows, Stop,
    rejection::Adjustment,
    wire::{Fields, Malformed},
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
    identity: Vec<u8>,
}

impl<'a> Rows<'a> for Metrics {
    fn item(&mut self, item: &'a [u8], origin: &Origin<'a>, context: &mut Context<'a, '_>) -> Result<(), DecodeError> {
        let (mut metric, data) = read_metric(item)?;
        // A metric without data has no points: nothing was sent.
        let Some((field, data)) = data else { return Ok(()) };
        let (temporality, is_monotonic) = read_aggregation(data)?;
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
        metric.identity = self.identity(&metric, origin);
        for point in Fields::new(data) {
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

    /// Series differ when any of these differ. Every part is preceded by its length: no two lists of parts read alike.
    fn identity(&mut self, metric: &Metric<'_>, origin: &Origin<'_>) -> u128 {
        let out = &mut self.identity;
        out.clear();
        for part in [
            metric.name.as_bytes(),
            metric.unit.as_bytes(),
            metric.kind.as_bytes(),
            metric.temporality.unwrap_or_default().as_bytes(),
            match metric.is_monotonic {
                None => b"",
                Some(false) => b"0",
                Some(true) => b"1",
            },
            &origin.resource_attributes,
            origin.scope_name.as_bytes(),
            origin.scope_version.as_bytes(),
            &origin.scope_attributes,
        ] {
            out.extend_from_slice(&(part.len() as u64).to_le_bytes());
            out.extend_from_slice(part);
        }
        xxh3_128(out)
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

/// Where a point comes from.
#[derive(Clone, Copy, Debug)]
struct Source<'s, 'a> {
    metric: &'s Metric<'a>,
    origin: &'s Origin<'a>,
}

/// The metric without what depends on its data, and the data: field number and message.
type Head<'a> = (Metric<'a>, Option<(u32, &'a [u8])>);

fn read_metric(message: &[u8]) -> Result<Head<'_>, Malformed> {
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
            // One of them may be set; when several are, the last wins.
            5 | 7 | 9 | 10 | 11 => data = Some((field.number, field.bytes()?)),
            // Metadata is not kept, but must be what it is.
            12 => drop(field.bytes()?),
            _ => {}
        }
    }
    Ok((metric, data))
}

/// Temporality and monotonicity, which may come after the points.
fn read_aggregation(data: &[u8]) -> Result<(i32, bool), Malformed> {
    let (mut temporality, mut is_monotonic) = (0, false);
    for field in Fields::new(data) {
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
