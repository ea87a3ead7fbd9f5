//! A log record -> a row of `logs`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BinaryBuilder, FixedSizeBinaryBuilder, Int32Array, StringBuilder, UInt32Array, new_null_array},
    datatypes::DataType,
    error::ArrowError,
};
use storage::model::{Table, TableRows, attributes::Value};

use super::{
    Context, DecodeError, Origin, Rows, Stop,
    attributes::{ValueKind, cut, encode_value, value_kind},
    columns::{Bytes, Dictionary, OriginColumns, optional_timestamps, rows, timestamps},
    rejection::Adjustment,
    span_id, trace_id,
    wire::{Fields, Malformed, Parts},
};

/// What a row takes beside its text and attributes.
const ROW_BYTES: usize = 160;

/// Bodies of one request that were not sent as text, and are also stored as JSON: less than a column can hold, by the most
/// that text bodies can take (`ingest.max_request_size`).
const MAX_BODY_BYTES: usize = 1 << 30;

/// A record as it was sent, its attributes aside.
#[derive(Default)]
struct Record<'a> {
    time_unix_nano: u64,
    observed_time_unix_nano: u64,
    severity_number: i32,
    severity_text: &'a str,
    body: Option<Parts<'a>>,
    dropped_attributes_count: u32,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a str,
}

impl<'a> Record<'a> {
    fn read(message: &'a [u8], context: &mut Context<'a, '_>) -> Result<Self, Stop> {
        let mut record = Self::default();
        context.attributes.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => record.time_unix_nano = field.fixed64()?,
                2 => record.severity_number = field.int32()?,
                3 => record.severity_text = field.text()?,
                5 => record.body = Some(Parts::add(record.body, field.bytes()?, message, 5)),
                6 => context.push_attribute(field.bytes()?)?,
                7 => record.dropped_attributes_count = field.uint32()?,
                8 => record.flags = field.fixed32()?,
                9 => record.trace_id = field.bytes()?,
                10 => record.span_id = field.bytes()?,
                11 => record.observed_time_unix_nano = field.fixed64()?,
                12 => record.event_name = field.text()?,
                _ => {}
            }
        }
        Ok(record)
    }
}

/// Columns of `logs` under construction.
#[derive(Debug)]
pub(super) struct Logs {
    timestamp: Vec<i64>,
    observed_timestamp: Vec<Option<i64>>,
    severity_number: Vec<i32>,
    severity_text: Dictionary,
    body: StringBuilder,
    body_value: BinaryBuilder,
    event_name: Dictionary,
    trace_id: FixedSizeBinaryBuilder,
    span_id: FixedSizeBinaryBuilder,
    flags: Vec<u32>,
    dropped_attributes_count: Vec<u32>,
    origin: OriginColumns,
    attributes: Bytes,
    /// The encoded body of the record at hand.
    value: Vec<u8>,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            timestamp: Vec::new(),
            observed_timestamp: Vec::new(),
            severity_number: Vec::new(),
            severity_text: Dictionary::default(),
            body: StringBuilder::new(),
            body_value: BinaryBuilder::new(),
            event_name: Dictionary::default(),
            trace_id: FixedSizeBinaryBuilder::new(16),
            span_id: FixedSizeBinaryBuilder::new(8),
            flags: Vec::new(),
            dropped_attributes_count: Vec::new(),
            origin: OriginColumns::default(),
            attributes: Bytes::default(),
            value: Vec::new(),
        }
    }
}

impl<'a> Rows<'a> for Logs {
    fn item(&mut self, item: &'a [u8], origin: &Origin<'a>, context: &mut Context<'a, '_>) -> Result<(), DecodeError> {
        context.item_count += 1;
        let result = self.push(item, origin, context);
        context.settle(result, 1)
    }
}

impl Logs {
    fn push<'a>(&mut self, item: &'a [u8], origin: &Origin<'a>, context: &mut Context<'a, '_>) -> Result<(), Stop> {
        let record = Record::read(item, context)?;
        if let Some(rejection) = &origin.rejection {
            return Err(rejection.clone().into());
        }
        // A record without a time happened when it was seen, or else when it came.
        let timestamp = match (record.time_unix_nano, record.observed_time_unix_nano) {
            (0, 0) => context.limits.now_unix_nano,
            (0, observed) => context.limits.admit(observed)?,
            (time, _) => context.limits.admit(time)?,
        };
        let body = record.body.map(|body| Ok::<_, Stop>((body, value_kind(body)?))).transpose()?;
        self.value.clear();
        if let Some((body, ValueKind::Unset | ValueKind::Other)) = body {
            let changes = encode_value(body, &mut self.value, &context.limits, &mut context.budget)?;
            context.count(changes);
        }
        let body_json = match body {
            Some((_, ValueKind::Other)) => Value::read(&self.value).map(Value::to_json),
            _ => None,
        };
        // Written as JSON, bytes take twice and control characters six times what they had.
        let body_bytes = body_json.as_ref().map_or(0, String::len);
        context.budget.charge(ROW_BYTES + body_bytes)?;
        self.check_body_column(body_bytes)?;
        self.attributes.try_push(|out| context.encode_attributes(out))?;
        // From here nothing fails: a row is in all columns or in none.
        match body {
            None => {
                self.body.append_null();
                self.body_value.append_null();
            }
            Some((_, ValueKind::Text(text))) => {
                let cut = cut(text, context.limits.max_value_bytes);
                context.tally.adjust(Adjustment::TruncatedValue, usize::from(cut.is_some()));
                self.body.append_value(cut.as_deref().unwrap_or(text));
                self.body_value.append_null();
            }
            Some((_, ValueKind::Unset)) => {
                self.body.append_null();
                self.body_value.append_value(&self.value);
            }
            Some((_, ValueKind::Other)) => {
                self.body.append_option(body_json);
                self.body_value.append_value(&self.value);
            }
        }
        self.push_link(&record, context);
        self.timestamp.push(timestamp);
        self.observed_timestamp.push(observed_timestamp(record.observed_time_unix_nano, context));
        self.severity_number.push(severity_number(record.severity_number, context));
        self.severity_text.push_nonempty(record.severity_text);
        self.event_name.push_nonempty(record.event_name);
        self.flags.push(record.flags);
        self.dropped_attributes_count.push(record.dropped_attributes_count);
        self.origin.push(origin);
        Ok(())
    }

    /// A column's offsets have 31 bits, which text that grows can exceed where the largest requests are allowed.
    fn check_body_column(&self, more_bytes: usize) -> Result<(), Malformed> {
        match self.body.values_slice().len().saturating_add(more_bytes) > MAX_BODY_BYTES {
            true => Err(Malformed::new(format!("bodies written as JSON exceed {MAX_BODY_BYTES} bytes"))),
            false => Ok(()),
        }
    }

    /// The record's trace and span. Ids that are none are left out and counted; the record stays.
    fn push_link(&mut self, record: &Record<'_>, context: &mut Context<'_, '_>) {
        let trace = trace_id(record.trace_id);
        // A span is named by both ids.
        let span = trace.and_then(|_| span_id(record.span_id));
        let trace_lost = trace.is_none() && !record.trace_id.is_empty();
        let span_lost = span.is_none() && !record.span_id.is_empty();
        context.tally.adjust(Adjustment::InvalidLink, usize::from(trace_lost || span_lost));
        match trace {
            Some(id) => self.trace_id.append_value(id).expect("16 bytes"),
            None => self.trace_id.append_null(),
        }
        match span {
            Some(id) => self.span_id.append_value(id).expect("8 bytes"),
            None => self.span_id.append_null(),
        }
    }

    pub(super) fn finish(mut self) -> Result<Option<TableRows>, ArrowError> {
        let row_count = self.timestamp.len();
        let (service_name, origin) = self.origin.finish()?;
        let mut columns: Vec<ArrayRef> = vec![
            timestamps(self.timestamp),
            optional_timestamps(self.observed_timestamp),
            Arc::new(Int32Array::from(self.severity_number)),
            self.severity_text.into_text()?,
            service_name,
            Arc::new(self.body.finish()),
            Arc::new(self.body_value.finish()),
            new_null_array(&DataType::UInt64, row_count),
            self.event_name.into_text()?,
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(UInt32Array::from(self.flags)),
            Arc::new(UInt32Array::from(self.dropped_attributes_count)),
        ];
        columns.extend(origin);
        columns.push(self.attributes.into_binary()?);
        rows(Table::Logs, columns)
    }
}

fn observed_timestamp(unix_nano: u64, context: &mut Context<'_, '_>) -> Option<i64> {
    if unix_nano == 0 {
        return None;
    }
    let time = i64::try_from(unix_nano).ok();
    context.tally.adjust(Adjustment::SecondaryTime, usize::from(time.is_none()));
    time
}

fn severity_number(number: i32, context: &mut Context<'_, '_>) -> i32 {
    let known = (0..=24).contains(&number);
    context.tally.adjust(Adjustment::UnknownEnum, usize::from(!known));
    if known { number } else { 0 }
}
