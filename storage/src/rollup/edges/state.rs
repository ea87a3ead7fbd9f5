//! The waiting halves as bytes for the catalog: one Arrow IPC stream of one batch.

use std::sync::Arc;

use arrow::{
    array::{AsArray, BooleanArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, UInt8Array},
    buffer::Buffer,
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt8Type},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use bytes::Bytes;

use super::{
    super::peer::PeerKind,
    waiting::{Callee, Caller, Half, SpanKey, Waiting},
};
use crate::error::{Error, Result};

/// Role of a half.
const CALLER: u8 = 0;
const PRODUCER: u8 = 1;
const COUNTED_PRODUCER: u8 = 2;
const CALLEE: u8 = 3;

fn schema() -> SchemaRef {
    let field = |name, data_type| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        field("trace_id", DataType::FixedSizeBinary(16)),
        field("span_id", DataType::FixedSizeBinary(8)),
        field("since_unix_nano", DataType::Int64),
        field("role", DataType::UInt8),
        field("service", DataType::Utf8),
        field("peer", DataType::Utf8),
        field("peer_kind", DataType::UInt8),
        field("step_unix_nano", DataType::Int64),
        field("duration_nano", DataType::Int64),
        field("is_error", DataType::Boolean),
    ]))
}

/// One row: a caller, or one callee.
struct Row {
    key: SpanKey,
    since: i64,
    role: u8,
    caller: Caller,
}

fn rows(waiting: &Waiting) -> Vec<Row> {
    let row = |(key, since, half): (SpanKey, i64, &Half)| match half {
        Half::Caller(caller) => {
            let role = match (caller.is_producer, caller.is_counted) {
                (false, _) => CALLER,
                (true, false) => PRODUCER,
                (true, true) => COUNTED_PRODUCER,
            };
            vec![Row { key, since, role, caller: *caller }]
        }
        Half::Callees(callees) => {
            callees.iter().map(|callee| Row { key, since, role: CALLEE, caller: of(*callee) }).collect()
        }
    };
    waiting.iter().flat_map(row).collect()
}

/// A callee in the columns of a caller.
fn of(callee: Callee) -> Caller {
    Caller {
        service: callee.service,
        peer: callee.service,
        peer_kind: PeerKind::Service,
        step: 0,
        duration_nano: callee.duration_nano,
        is_error: false,
        is_producer: false,
        is_counted: false,
    }
}

pub(super) fn encode(waiting: &Waiting) -> Result<Bytes> {
    let rows = rows(waiting);
    let ids = |size: i32, bytes: Vec<u8>| FixedSizeBinaryArray::try_new(size, Buffer::from_vec(bytes), None);
    let text = |number: fn(&Caller) -> u32| -> StringArray {
        rows.iter().map(|row| Some(waiting.names.text(number(&row.caller)))).collect()
    };
    let batch = RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(ids(16, rows.iter().flat_map(|row| row.key.trace).collect())?),
            Arc::new(ids(8, rows.iter().flat_map(|row| row.key.span).collect())?),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.since))),
            Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.role))),
            Arc::new(text(|caller| caller.service)),
            Arc::new(text(|caller| caller.peer)),
            Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.caller.peer_kind as u8))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.caller.step))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.caller.duration_nano))),
            Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.caller.is_error)))),
        ],
    )?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema())?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?.into())
}

pub(super) fn decode(state: &[u8], waiting: &mut Waiting) -> Result<()> {
    let corrupt = |error: &dyn std::fmt::Display| Error::corrupt("waiting halves").with_source(error.to_string());
    for batch in StreamReader::try_new(state, None).map_err(|error| corrupt(&error))? {
        let batch = batch.map_err(|error| corrupt(&error))?;
        if batch.schema() != schema() {
            return Err(corrupt(&"columns of another version"));
        }
        restore(&batch, waiting);
    }
    Ok(())
}

/// `batch` has the columns of [`schema`].
fn restore(batch: &RecordBatch, waiting: &mut Waiting) {
    let column = |i: usize| batch.column(i);
    let (traces, spans) = (column(0).as_fixed_size_binary(), column(1).as_fixed_size_binary());
    let (since, roles) = (column(2).as_primitive::<Int64Type>(), column(3).as_primitive::<UInt8Type>());
    let (services, peers) = (column(4).as_string::<i32>(), column(5).as_string::<i32>());
    let kinds = column(6).as_primitive::<UInt8Type>();
    let (steps, durations) = (column(7).as_primitive::<Int64Type>(), column(8).as_primitive::<Int64Type>());
    let errors = column(9).as_boolean();
    for row in 0..batch.num_rows() {
        let key = SpanKey::new(traces.value(row), spans.value(row));
        let service = waiting.names.number(services.value(row));
        let duration_nano = durations.value(row);
        let half = match roles.value(row) {
            CALLEE => Half::Callees(vec![Callee { service, duration_nano }]),
            role => Half::Caller(Caller {
                service,
                peer: waiting.names.number(peers.value(row)),
                peer_kind: PeerKind::from_number(kinds.value(row)),
                step: steps.value(row),
                duration_nano,
                is_error: errors.value(row),
                is_producer: role != CALLER,
                is_counted: role == COUNTED_PRODUCER,
            }),
        };
        waiting.restore(key, since.value(row), half);
    }
}
