//! Points of gauges and sums -> rows of `metrics`; points of summaries -> rows of `summaries`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, UInt64Array},
    error::ArrowError,
};
use storage::{
    model::{Table, TableRows},
    schema,
};

use super::{
    super::{
        Context, Stop,
        columns::{Lists, structs},
        wire::{Fields, Malformed},
    },
    Exemplars, Point, Source,
    points::{PointColumns, push_exemplars},
};

/// A value as it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    None,
    Int(i64),
    Double(f64),
}

impl Number {
    /// `value` and `value_int`: an integer stands in both, as no double holds it exactly above 2^53.
    #[expect(clippy::cast_precision_loss, reason = "the exact value stands beside it")]
    pub(super) const fn columns(self) -> (Option<f64>, Option<i64>) {
        match self {
            Self::None => (None, None),
            Self::Int(value) => (Some(value as f64), Some(value)),
            Self::Double(value) => (Some(value), None),
        }
    }
}

/// Columns of `metrics` under construction.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    points: PointColumns,
    value: Vec<Option<f64>>,
    value_int: Vec<Option<i64>>,
}

impl Numbers {
    pub(super) fn push<'a>(
        &mut self,
        message: &'a [u8],
        source: Source<'_, 'a>,
        exemplars: &mut Exemplars,
        context: &mut Context<'a, '_>,
    ) -> Result<(), Stop> {
        let mut point = Point::default();
        let mut number = Number::None;
        let mut exemplar_messages = Vec::new();
        context.attributes.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                2 | 3 => point.read_time(field)?,
                4 => number = Number::Double(field.double()?),
                5 => exemplar_messages.push(field.bytes()?),
                6 => number = Number::Int(field.sfixed64()?),
                7 => context.push_attribute(field.bytes()?)?,
                8 => point.flags = field.uint32()?,
                _ => {}
            }
        }
        if point.has_no_recorded_value() {
            number = Number::None;
        }
        let missing = matches!(number, Number::None) && !point.has_no_recorded_value();
        let accepted = self.points.push(&point, missing.then_some("no_value"), source, context)?;
        let (value, value_int) = number.columns();
        self.value.push(value);
        self.value_int.push(value_int);
        push_exemplars(&exemplar_messages, accepted, source, exemplars, context)
    }

    pub(super) fn finish(self) -> Result<Option<TableRows>, ArrowError> {
        let own: Vec<ArrayRef> =
            vec![Arc::new(Float64Array::from(self.value)), Arc::new(Int64Array::from(self.value_int))];
        self.points.finish(Table::Metrics, own)
    }
}

/// What a quantile takes.
const QUANTILE_BYTES: usize = 16;

/// Columns of `summaries` under construction.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    points: PointColumns,
    count: Vec<u64>,
    sum: Vec<f64>,
    rows: Lists,
    quantile: Vec<f64>,
    quantile_value: Vec<f64>,
}

impl Summaries {
    pub(super) fn push<'a>(
        &mut self,
        message: &'a [u8],
        source: Source<'_, 'a>,
        context: &mut Context<'a, '_>,
    ) -> Result<(), Stop> {
        let mut point = Point::default();
        let (mut count, mut sum) = (0, 0.0);
        let mut quantiles = Vec::new();
        context.attributes.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                2 | 3 => point.read_time(field)?,
                4 => count = field.fixed64()?,
                5 => sum = field.double()?,
                6 => quantiles.push(read_quantile(field.bytes()?)?),
                7 => context.push_attribute(field.bytes()?)?,
                8 => point.flags = field.uint32()?,
                _ => {}
            }
        }
        context.budget.charge(quantiles.len() * QUANTILE_BYTES)?;
        self.points.push(&point, None, source, context)?;
        self.count.push(count);
        self.sum.push(sum);
        for (quantile, value) in quantiles {
            self.quantile.push(quantile);
            self.quantile_value.push(value);
        }
        self.rows.end_row(self.quantile.len());
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Option<TableRows>, ArrowError> {
        let schema = schema::wide(Table::Summaries);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Float64Array::from(self.quantile)), Arc::new(Float64Array::from(self.quantile_value))];
        let quantiles = structs(&schema, "quantile_values", columns)?;
        let own: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(self.count)),
            Arc::new(Float64Array::from(self.sum)),
            self.rows.finish(&schema, "quantile_values", quantiles)?,
        ];
        self.points.finish(Table::Summaries, own)
    }
}

fn read_quantile(message: &[u8]) -> Result<(f64, f64), Malformed> {
    let (mut quantile, mut value) = (0.0, 0.0);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => quantile = field.double()?,
            2 => value = field.double()?,
            _ => {}
        }
    }
    Ok((quantile, value))
}
