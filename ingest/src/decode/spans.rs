//! A span -> a row of `spans`, its events and links included.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, FixedSizeBinaryBuilder, Int64Array, StringArray, UInt32Array},
    error::ArrowError,
};
use storage::{
    model::{Table, TableRows},
    schema,
};

use super::{
    Context, DecodeError, Origin, Rejection, Rows, Stop,
    columns::{Bytes, Dictionary, Lists, OriginColumns, rows, structs, timestamps},
    rejection::Adjustment,
    span_id, trace_id,
    wire::{Fields, Malformed},
};

/// What a row takes beside its text and attributes.
const ROW_BYTES: usize = 160;
/// What an event or a link takes beside its text and attributes.
const NESTED_BYTES: usize = 56;

const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const STATUS_CODES: [&str; 3] = ["unset", "ok", "error"];

/// A span as it was sent; its attributes, events and links aside.
#[derive(Default)]
struct Span<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_span_id: &'a [u8],
    trace_state: &'a str,
    flags: u32,
    name: &'a str,
    kind: i32,
    start_time_unix_nano: u64,
    end_time_unix_nano: u64,
    dropped_attributes_count: u32,
    dropped_events_count: u32,
    dropped_links_count: u32,
    status_code: i32,
    status_message: &'a str,
}

impl<'a> Span<'a> {
    /// A status that comes twice is one, with the last of each field.
    fn read_status(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                2 => self.status_message = field.text()?,
                3 => self.status_code = field.int32()?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Columns of `spans` under construction.
#[derive(Debug)]
pub(super) struct Spans<'a> {
    trace_id: FixedSizeBinaryBuilder,
    span_id: FixedSizeBinaryBuilder,
    parent_span_id: FixedSizeBinaryBuilder,
    trace_state: Dictionary,
    name: Dictionary,
    kind: Dictionary,
    start_time: Vec<i64>,
    duration_nano: Vec<i64>,
    status_code: Dictionary,
    status_message: Dictionary,
    flags: Vec<u32>,
    events: Events,
    links: Links,
    dropped_attributes_count: Vec<u32>,
    dropped_events_count: Vec<u32>,
    dropped_links_count: Vec<u32>,
    anomaly: Dictionary,
    origin: OriginColumns,
    attributes: Bytes,
    /// Events and links of the span at hand.
    event_messages: Vec<&'a [u8]>,
    link_messages: Vec<&'a [u8]>,
}

impl Default for Spans<'_> {
    fn default() -> Self {
        Self {
            trace_id: FixedSizeBinaryBuilder::new(16),
            span_id: FixedSizeBinaryBuilder::new(8),
            parent_span_id: FixedSizeBinaryBuilder::new(8),
            trace_state: Dictionary::default(),
            name: Dictionary::default(),
            kind: Dictionary::default(),
            start_time: Vec::new(),
            duration_nano: Vec::new(),
            status_code: Dictionary::default(),
            status_message: Dictionary::default(),
            flags: Vec::new(),
            events: Events::default(),
            links: Links::default(),
            dropped_attributes_count: Vec::new(),
            dropped_events_count: Vec::new(),
            dropped_links_count: Vec::new(),
            anomaly: Dictionary::default(),
            origin: OriginColumns::default(),
            attributes: Bytes::default(),
            event_messages: Vec::new(),
            link_messages: Vec::new(),
        }
    }
}

impl<'a> Rows<'a> for Spans<'a> {
    fn item(&mut self, item: &'a [u8], origin: &Origin<'a>, context: &mut Context<'a, '_>) -> Result<(), DecodeError> {
        context.item_count += 1;
        let result = self.push(item, origin, context);
        context.settle(result, 1)
    }
}

impl<'a> Spans<'a> {
    fn read(&mut self, message: &'a [u8], context: &mut Context<'a, '_>) -> Result<Span<'a>, Stop> {
        let mut span = Span::default();
        context.attributes.clear();
        self.event_messages.clear();
        self.link_messages.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => span.trace_id = field.bytes()?,
                2 => span.span_id = field.bytes()?,
                3 => span.trace_state = field.text()?,
                4 => span.parent_span_id = field.bytes()?,
                5 => span.name = field.text()?,
                6 => span.kind = field.int32()?,
                7 => span.start_time_unix_nano = field.fixed64()?,
                8 => span.end_time_unix_nano = field.fixed64()?,
                9 => context.push_attribute(field.bytes()?)?,
                10 => span.dropped_attributes_count = field.uint32()?,
                11 => self.event_messages.push(field.bytes()?),
                12 => span.dropped_events_count = field.uint32()?,
                13 => self.link_messages.push(field.bytes()?),
                14 => span.dropped_links_count = field.uint32()?,
                15 => span.read_status(field.bytes()?)?,
                16 => span.flags = field.fixed32()?,
                _ => {}
            }
        }
        Ok(span)
    }

    fn push(&mut self, item: &'a [u8], origin: &Origin<'a>, context: &mut Context<'a, '_>) -> Result<(), Stop> {
        let span = self.read(item, context)?;
        if let Some(rejection) = &origin.rejection {
            return Err(rejection.clone().into());
        }
        let trace = trace_id(span.trace_id).ok_or(Rejection::InvalidTraceId { byte_count: span.trace_id.len() })?;
        let id = span_id(span.span_id).ok_or(Rejection::InvalidSpanId { byte_count: span.span_id.len() })?;
        let start = context.limits.admit(span.start_time_unix_nano)?;
        let end = i64::try_from(span.end_time_unix_nano)
            .map_err(|_| Rejection::TimeOutOfRange { unix_nano: span.end_time_unix_nano })?;
        let nested = self.event_messages.len() + self.link_messages.len();
        context.budget.charge(ROW_BYTES + nested * NESTED_BYTES)?;
        self.attributes.try_push(|out| context.encode_attributes(out))?;
        let (event_count, link_count) = (self.events.timestamp.len(), self.links.flags.len());
        if let Err(stop) = self.push_nested(start, context) {
            self.attributes.pop();
            self.events.truncate(event_count);
            self.links.truncate(link_count);
            return Err(stop);
        }
        // From here nothing fails: a row is in all columns or in none.
        self.events.rows.end_row(self.events.timestamp.len());
        self.links.rows.end_row(self.links.flags.len());
        self.trace_id.append_value(trace).expect("16 bytes");
        self.span_id.append_value(id).expect("8 bytes");
        self.push_parent(span.parent_span_id, context);
        self.trace_state.push_nonempty(span.trace_state);
        self.name.push(span.name.as_bytes());
        self.kind.push(enum_name(&KINDS, span.kind, context).as_bytes());
        self.start_time.push(start);
        self.duration_nano.push(end.saturating_sub(start).max(0));
        self.status_code.push(enum_name(&STATUS_CODES, span.status_code, context).as_bytes());
        self.status_message.push_nonempty(span.status_message);
        self.flags.push(span.flags);
        self.dropped_attributes_count.push(span.dropped_attributes_count);
        self.dropped_events_count.push(span.dropped_events_count);
        self.dropped_links_count.push(span.dropped_links_count);
        self.anomaly.push_option((end < start).then_some("end_before_start"));
        self.origin.push(origin);
        Ok(())
    }

    fn push_nested(&mut self, start: i64, context: &mut Context<'a, '_>) -> Result<(), Stop> {
        for event in &self.event_messages {
            self.events.push(event, start, context)?;
        }
        for link in &self.link_messages {
            self.links.push(link, context)?;
        }
        Ok(())
    }

    fn push_parent(&mut self, id: &[u8], context: &mut Context<'_, '_>) {
        match span_id(id) {
            Some(id) => self.parent_span_id.append_value(id).expect("8 bytes"),
            None => {
                // Some senders write a root's parent as zeros.
                let none = id.is_empty() || id == [0; 8];
                context.tally.adjust(Adjustment::InvalidParent, usize::from(!none));
                self.parent_span_id.append_null();
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<Option<TableRows>, ArrowError> {
        let schema = schema::wide(Table::Spans);
        let (service_name, origin) = self.origin.finish()?;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.parent_span_id.finish()),
            self.trace_state.into_text()?,
            self.name.into_text()?,
            self.kind.into_text()?,
            service_name,
            timestamps(self.start_time),
            Arc::new(Int64Array::from(self.duration_nano)),
            self.status_code.into_text()?,
            self.status_message.into_text()?,
            Arc::new(UInt32Array::from(self.flags)),
            self.events.finish(&schema)?,
            self.links.finish(&schema)?,
            Arc::new(UInt32Array::from(self.dropped_attributes_count)),
            Arc::new(UInt32Array::from(self.dropped_events_count)),
            Arc::new(UInt32Array::from(self.dropped_links_count)),
            self.anomaly.into_text()?,
        ];
        columns.extend(origin);
        columns.push(self.attributes.into_binary()?);
        rows(Table::Spans, columns)
    }
}

/// The name of an enum's number; one that is not in the enum is the unspecified first, counted.
fn enum_name(names: &[&'static str], number: i32, context: &mut Context<'_, '_>) -> &'static str {
    let name = usize::try_from(number).ok().and_then(|number| names.get(number));
    context.tally.adjust(Adjustment::UnknownEnum, usize::from(name.is_none()));
    name.unwrap_or(&names[0])
}

/// Events of all spans, one after the other.
#[derive(Debug, Default)]
struct Events {
    rows: Lists,
    timestamp: Vec<i64>,
    name: Bytes,
    attributes: Bytes,
    dropped_attributes_count: Vec<u32>,
}

impl Events {
    fn push<'a>(&mut self, message: &'a [u8], start: i64, context: &mut Context<'a, '_>) -> Result<(), Stop> {
        let (mut unix_nano, mut name, mut dropped) = (0, "", 0);
        context.attributes.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => unix_nano = field.fixed64()?,
                2 => name = field.text()?,
                3 => context.push_attribute(field.bytes()?)?,
                4 => dropped = field.uint32()?,
                _ => {}
            }
        }
        self.attributes.try_push(|out| context.encode_attributes(out))?;
        let time = i64::try_from(unix_nano);
        context.tally.adjust(Adjustment::SecondaryTime, usize::from(time.is_err()));
        self.timestamp.push(time.unwrap_or(start));
        self.name.push(name.as_bytes());
        self.dropped_attributes_count.push(dropped);
        Ok(())
    }

    fn truncate(&mut self, count: usize) {
        self.timestamp.truncate(count);
        self.name.truncate(count);
        self.attributes.truncate(count);
        self.dropped_attributes_count.truncate(count);
    }

    fn finish(self, schema: &arrow::datatypes::Schema) -> Result<ArrayRef, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            timestamps(self.timestamp),
            self.name.into_text()?,
            self.attributes.into_binary()?,
            Arc::new(UInt32Array::from(self.dropped_attributes_count)),
        ];
        self.rows.finish(schema, "events", structs(schema, "events", columns)?)
    }
}

/// Links of all spans, one after the other.
#[derive(Debug, Default)]
struct Links {
    rows: Lists,
    trace_id: Vec<u8>,
    span_id: Vec<u8>,
    trace_state: Vec<Option<String>>,
    attributes: Bytes,
    dropped_attributes_count: Vec<u32>,
    flags: Vec<u32>,
}

impl Links {
    fn push<'a>(&mut self, message: &'a [u8], context: &mut Context<'a, '_>) -> Result<(), Stop> {
        let (mut trace, mut span, mut trace_state, mut dropped, mut flags) = (&[][..], &[][..], "", 0, 0);
        context.attributes.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => trace = field.bytes()?,
                2 => span = field.bytes()?,
                3 => trace_state = field.text()?,
                4 => context.push_attribute(field.bytes()?)?,
                5 => dropped = field.uint32()?,
                6 => flags = field.fixed32()?,
                _ => {}
            }
        }
        let (Some(trace), Some(span)) = (trace_id(trace), span_id(span)) else {
            // A link to nowhere says nothing; its span stays.
            context.tally.adjust(Adjustment::SpanLinkDropped, 1);
            return Ok(());
        };
        self.attributes.try_push(|out| context.encode_attributes(out))?;
        self.trace_id.extend_from_slice(trace);
        self.span_id.extend_from_slice(span);
        self.trace_state.push((!trace_state.is_empty()).then(|| trace_state.to_owned()));
        self.dropped_attributes_count.push(dropped);
        self.flags.push(flags);
        Ok(())
    }

    fn truncate(&mut self, count: usize) {
        self.trace_id.truncate(16 * count);
        self.span_id.truncate(8 * count);
        self.trace_state.truncate(count);
        self.attributes.truncate(count);
        self.dropped_attributes_count.truncate(count);
        self.flags.truncate(count);
    }

    fn finish(self, schema: &arrow::datatypes::Schema) -> Result<ArrayRef, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(FixedSizeBinaryArray::try_new(16, self.trace_id.into(), None)?),
            Arc::new(FixedSizeBinaryArray::try_new(8, self.span_id.into(), None)?),
            Arc::new(StringArray::from(self.trace_state)),
            self.attributes.into_binary()?,
            Arc::new(UInt32Array::from(self.dropped_attributes_count)),
            Arc::new(UInt32Array::from(self.flags)),
        ];
        self.rows.finish(schema, "links", structs(schema, "links", columns)?)
    }
}
