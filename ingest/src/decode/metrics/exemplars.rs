//! An exemplar -> a row of `exemplars`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, FixedSizeBinaryBuilder, Float64Array, Int64Array, UInt64Array},
    error::ArrowError,
};
use storage::model::{Table, TableRows};

use super::{
    super::{
        Context, Stop,
        columns::{Bytes, Dictionary, rows, timestamps},
        rejection::Adjustment,
        span_id, trace_id,
        wire::Fields,
    },
    Source,
    numbers::Number,
    points::Accepted,
};

/// What a row takes beside its attributes.
const ROW_BYTES: usize = 80;

/// Columns of `exemplars` under construction.
#[derive(Debug)]
pub(super) struct Exemplars {
    /// Which metric the keys below belong to.
    serial: u64,
    keys: [i32; 2],
    metric_name: Dictionary,
    series_id: Vec<u64>,
    service_name: Dictionary,
    timestamp: Vec<i64>,
    value: Vec<Option<f64>>,
    value_int: Vec<Option<i64>>,
    trace_id: FixedSizeBinaryBuilder,
    span_id: FixedSizeBinaryBuilder,
    attributes: Bytes,
}

impl Default for Exemplars {
    fn default() -> Self {
        Self {
            serial: 0,
            keys: [0; 2],
            metric_name: Dictionary::default(),
            series_id: Vec::new(),
            service_name: Dictionary::default(),
            timestamp: Vec::new(),
            value: Vec::new(),
            value_int: Vec::new(),
            trace_id: FixedSizeBinaryBuilder::new(16),
            span_id: FixedSizeBinaryBuilder::new(8),
            attributes: Bytes::default(),
        }
    }
}

impl Exemplars {
    pub(super) fn push<'a>(
        &mut self,
        message: &'a [u8],
        accepted: Accepted,
        source: Source<'_, 'a>,
        context: &mut Context<'a, '_>,
    ) -> Result<(), Stop> {
        let (mut unix_nano, mut number) = (0, Number::None);
        let (mut trace, mut span) = (&[][..], &[][..]);
        context.attributes.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                2 => unix_nano = field.fixed64()?,
                3 => number = Number::Double(field.double()?),
                4 => span = field.bytes()?,
                5 => trace = field.bytes()?,
                6 => number = Number::Int(field.sfixed64()?),
                7 => context.push_attribute(field.bytes()?)?,
                _ => {}
            }
        }
        context.budget.charge(ROW_BYTES)?;
        self.attributes.try_push(|out| context.encode_attributes(out))?;
        // From here nothing fails: a row is in all columns or in none.
        let Source { metric, origin } = source;
        if self.serial != metric.serial {
            self.serial = metric.serial;
            self.keys = [
                self.metric_name.intern(metric.name.as_bytes()),
                self.service_name.intern(origin.service_name.as_bytes()),
            ];
        }
        self.metric_name.push_key(self.keys[0]);
        self.series_id.push(accepted.series_id);
        self.service_name.push_key(self.keys[1]);
        self.timestamp.push(timestamp(unix_nano, accepted, context));
        let (value, value_int) = number.columns();
        self.value.push(value);
        self.value_int.push(value_int);
        self.push_link(trace, span, context);
        Ok(())
    }

    fn push_link(&mut self, trace: &[u8], span: &[u8], context: &mut Context<'_, '_>) {
        let trace_found = trace_id(trace);
        let span_found = trace_found.and_then(|_| span_id(span));
        let lost = (trace_found.is_none() && !trace.is_empty()) || (span_found.is_none() && !span.is_empty());
        context.tally.adjust(Adjustment::InvalidLink, usize::from(lost));
        match trace_found {
            Some(id) => self.trace_id.append_value(id).expect("16 bytes"),
            None => self.trace_id.append_null(),
        }
        match span_found {
            Some(id) => self.span_id.append_value(id).expect("8 bytes"),
            None => self.span_id.append_null(),
        }
    }

    pub(super) fn finish(mut self) -> Result<Option<TableRows>, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            self.metric_name.into_text()?,
            Arc::new(UInt64Array::from(self.series_id)),
            self.service_name.into_text()?,
            timestamps(self.timestamp),
            Arc::new(Float64Array::from(self.value)),
            Arc::new(Int64Array::from(self.value_int)),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            self.attributes.into_binary()?,
        ];
        rows(Table::Exemplars, columns)
    }
}

/// An exemplar's own time where its table may hold it, else its point's.
fn timestamp(unix_nano: u64, accepted: Accepted, context: &mut Context<'_, '_>) -> i64 {
    match unix_nano {
        0 => accepted.timestamp,
        unix_nano => context.limits.admit(unix_nano).unwrap_or_else(|_| {
            context.tally.adjust(Adjustment::SecondaryTime, 1);
            accepted.timestamp
        }),
    }
}
