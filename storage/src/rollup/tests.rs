use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BinaryDictionaryBuilder, DictionaryArray, FixedSizeBinaryArray, Int64Array, ListArray,
        RecordBatch, StructArray, new_null_array,
    },
    buffer::OffsetBuffer,
    datatypes::{DataType, Int32Type, UInt64Type},
};
use proptest::prelude::*;

use super::*;
use crate::{
    model::attributes::{Value, encode},
    testing,
};

const SECOND: i64 = 1_000_000_000;

#[derive(Clone, Debug)]
struct Span {
    trace: u8,
    span: u8,
    parent: Option<u8>,
    service: &'static str,
    version: Option<&'static str>,
    name: String,
    kind: &'static str,
    start: i64,
    duration: i64,
    is_error: bool,
    attributes: Vec<(&'static str, &'static str)>,
    /// Spans of the same trace.
    links: Vec<u8>,
}

impl Span {
    fn new(service: &'static str, kind: &'static str, span: u8, parent: Option<u8>) -> Self {
        Self {
            trace: 1,
            span,
            parent,
            service,
            version: None,
            name: "GET /".to_owned(),
            kind,
            start: 0,
            duration: 1_000_000,
            is_error: false,
            attributes: Vec::new(),
            links: Vec::new(),
        }
    }
}

fn labels_of<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<DictionaryArray<Int32Type>>())
}

fn resource(service: &str, version: Option<&str>) -> Vec<u8> {
    let version = version.map(|version| ("service.version", Value::String(version)));
    encode([("service.name", Value::String(service))].into_iter().chain(version))
}

fn resources<'a>(rows: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> ArrayRef {
    let mut builder = BinaryDictionaryBuilder::<Int32Type>::new();
    rows.for_each(|(service, version)| builder.append_value(resource(service, version)));
    Arc::new(builder.finish())
}

fn replace(rows: &RecordBatch, columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let mut all = rows.columns().to_vec();
    for (name, column) in columns {
        all[rows.schema_ref().index_of(name).unwrap()] = column;
    }
    RecordBatch::try_new(rows.schema(), all).unwrap()
}

fn links(spans: &[Span]) -> ArrayRef {
    let schema = crate::schema::wide(Table::Spans);
    let DataType::List(item) = schema.field_with_name("links").unwrap().data_type().clone() else { panic!("a list") };
    let DataType::Struct(fields) = item.data_type() else { panic!("of structs") };
    let linked: Vec<(u8, u8)> = spans.iter().flat_map(|span| span.links.iter().map(|id| (span.trace, *id))).collect();
    let ids = |size: i32, bytes: Vec<u8>| -> ArrayRef {
        Arc::new(FixedSizeBinaryArray::try_new(size, bytes.into(), None).unwrap())
    };
    let columns = fields.iter().map(|field| match field.name().as_str() {
        "trace_id" => ids(16, linked.iter().flat_map(|(trace, _)| [*trace; 16]).collect()),
        "span_id" => ids(8, linked.iter().flat_map(|(_, span)| [*span; 8]).collect()),
        "attributes" => Arc::new(BinaryArray::from_iter_values(linked.iter().map(|_| []))),
        "trace_state" => new_null_array(field.data_type(), linked.len()),
        _ => Arc::new(arrow::array::UInt32Array::from(vec![0; linked.len()])),
    });
    let items = StructArray::try_new(fields.clone(), columns.collect(), None).unwrap();
    let offsets = OffsetBuffer::from_lengths(spans.iter().map(|span| span.links.len()));
    Arc::new(ListArray::try_new(item, offsets, Arc::new(items), None).unwrap())
}

fn span_rows(spans: &[Span]) -> RecordBatch {
    let blank: Vec<_> = spans.iter().map(|span| (span.start, span.service)).collect();
    let ids = |size: usize, id: fn(&Span) -> Option<u8>| -> ArrayRef {
        let ids = spans.iter().map(|span| id(span).map(|id| vec![id; size]));
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, size as i32).unwrap())
    };
    let attributes = spans.iter().map(|span| encode(span.attributes.iter().map(|(k, v)| (*k, Value::String(v)))));
    replace(
        &testing::rows(Table::Spans, &blank),
        vec![
            ("trace_id", ids(16, |span| Some(span.trace))),
            ("span_id", ids(8, |span| Some(span.span))),
            ("parent_span_id", ids(8, |span| span.parent)),
            ("name", labels_of(spans.iter().map(|span| span.name.as_str()))),
            ("kind", labels_of(spans.iter().map(|span| span.kind))),
            ("status_code", labels_of(spans.iter().map(|span| if span.is_error { "error" } else { "unset" }))),
            ("duration_nano", Arc::new(Int64Array::from_iter_values(spans.iter().map(|span| span.duration)))),
            ("attributes", Arc::new(BinaryArray::from_iter_values(attributes))),
            ("links", links(spans)),
            ("resource_attributes", resources(spans.iter().map(|span| (span.service, span.version)))),
        ],
    )
}

fn rollups() -> Rollups {
    Rollups::new(&config::Config::default().rollup)
}

fn derive(rollups: &mut Rollups, spans: &[Span], now: i64) -> Vec<(Table, RecordBatch)> {
    rollups.derive(Table::Spans, &mut span_rows(spans), now, |_| true).unwrap().rows
}

/// caller, callee, callee_kind, calls, errors of every row.
fn edges(derived: &[(Table, RecordBatch)]) -> Vec<(String, String, String, u64, u64)> {
    let mut edges = Vec::new();
    for (_, rows) in derived.iter().filter(|(table, _)| *table == Table::ServiceEdges) {
        let text = |name: &str, row: usize| {
            let column = labels(rows, name).unwrap();
            label_texts(column).unwrap()[column.keys().value(row) as usize].to_owned()
        };
        let number = |name: &str, row: usize| numbers::<UInt64Type>(rows, name).unwrap()[row];
        for row in 0..rows.num_rows() {
            edges.push((
                text("caller", row),
                text("callee", row),
                text("callee_kind", row),
                number("calls", row),
                number("errors", row),
            ));
        }
    }
    edges
}

fn edge(caller: &str, callee: &str, kind: &str, calls: u64, errors: u64) -> (String, String, String, u64, u64) {
    (caller.to_owned(), callee.to_owned(), kind.to_owned(), calls, errors)
}

fn total(rows: &[(Table, RecordBatch)], table: Table, column: &str) -> u64 {
    let of = rows.iter().filter(|(found, _)| *found == table);
    of.map(|(_, rows)| numbers::<UInt64Type>(rows, column).unwrap().iter().sum::<u64>()).sum()
}

#[test]
fn spans_of_one_operation_and_step_are_one_row() {
    let mut spans = vec![Span::new("cart", "server", 1, None); 5];
    spans[1].start = 9 * SECOND;
    spans[1].duration = 80_000_000;
    spans[2].start = 10 * SECOND;
    spans[3].is_error = true;
    spans[4].version = Some("2.0");
    let derived = derive(&mut rollups(), &spans, 0);
    let (_, rows) = derived.iter().find(|(table, _)| *table == Table::SpanMetrics).unwrap();
    assert_eq!(numbers::<UInt64Type>(rows, "calls").unwrap(), [2, 1, 1, 1]);
    assert_eq!(times(rows, "timestamp").unwrap(), [0, 10 * SECOND, 0, 0]);
    assert_eq!(numbers::<arrow::datatypes::Int64Type>(rows, "max_duration_nano").unwrap()[0], 80_000_000);
    let version = labels(rows, "service_version").unwrap();
    assert_eq!((version.key(0), version.key(3)), (None, Some(0)));
}

#[test]
fn too_many_operations_become_one() {
    let mut rollups = Rollups::new(&config::Rollup { max_operations: 2, ..config::Config::default().rollup });
    let named = |i: u8| Span { name: format!("GET /{i}"), ..Span::new("cart", "server", i, None) };
    let derived = derive(&mut rollups, &(1..=9).map(named).collect::<Vec<_>>(), 0);
    let (_, rows) = derived.iter().find(|(table, _)| *table == Table::SpanMetrics).unwrap();
    let names = labels(rows, "name").unwrap();
    let found: Vec<_> =
        (0..rows.num_rows()).map(|row| label_texts(names).unwrap()[names.keys().value(row) as usize]).collect();
    assert_eq!(found, ["GET /1", "GET /2", OTHER]);
    assert_eq!(total(&derived, Table::SpanMetrics, "calls"), 9);
}

#[test]
fn halves_meet_in_any_order_and_across_requests() {
    let call = |is_error| Span { is_error, ..Span::new("web", "client", 2, Some(1)) };
    let served = Span::new("cart", "server", 3, Some(2));
    for (first, second) in [(call(true), served.clone()), (served, call(true))] {
        let mut rollups = rollups();
        assert_eq!(edges(&derive(&mut rollups, &[first], 0)), []);
        assert_eq!(edges(&derive(&mut rollups, &[second], 14 * 60 * SECOND)), [edge("web", "cart", "service", 1, 1)]);
        let later = derive(&mut rollups, &[Span::new("web", "internal", 9, None)], 60 * 60 * SECOND);
        assert_eq!(edges(&later), [], "a call counts once");
    }
}

#[test]
fn a_callee_without_spans_is_named_by_its_caller() {
    let mut rollups = rollups();
    let bank = Span { attributes: vec![("server.address", "api.bank.example")], ..Span::new("pay", "client", 2, None) };
    let query = Span { attributes: vec![("db.system.name", "postgresql")], ..Span::new("pay", "client", 3, None) };
    let derived = derive(&mut rollups, &[bank, query], 0);
    assert_eq!(edges(&derived), [edge("pay", "postgresql", "database", 1, 0)], "a database sends no spans: no waiting");
    let derived = derive(&mut rollups, &[Span::new("x", "internal", 9, None)], 15 * 60 * SECOND);
    assert_eq!(edges(&derived), [edge("pay", "api.bank.example", "external", 1, 0)]);
}

#[test]
fn a_message_has_several_consumers() {
    let mut rollups = rollups();
    let consumer = |service, span| Span::new(service, "consumer", span, Some(2));
    derive(&mut rollups, &[consumer("mail", 3)], 0);
    let derived = derive(&mut rollups, &[Span::new("shop", "producer", 2, None), consumer("stock", 4)], 0);
    assert_eq!(edges(&derived), [edge("shop", "mail", "service", 1, 0), edge("shop", "stock", "service", 1, 0)]);
    assert_eq!(edges(&derive(&mut rollups, &[], 60 * 60 * SECOND)), []);
}

#[test]
fn a_consumer_whose_link_is_its_parent_is_one_consumer() {
    let produced = Span::new("shop", "producer", 2, None);
    let consumed = Span { links: vec![2, 2], ..Span::new("mail", "consumer", 3, Some(2)) };
    for order in [[produced.clone(), consumed.clone()], [consumed, produced]] {
        assert_eq!(edges(&derive(&mut rollups(), &order, 0)), [edge("shop", "mail", "service", 1, 0)]);
    }
}

#[test]
fn names_of_the_past_make_room_for_new_ones() {
    let mut rollups = rollups();
    let waits = Span { trace: 9, attributes: vec![("server.address", "bank")], ..Span::new("pay", "client", 1, None) };
    derive(&mut rollups, &[waits], 0);
    for i in 0..5_u32 {
        let hosts: Vec<String> = (0..5_000).map(|host| format!("10.{i}.{host}")).collect();
        for hosts in hosts.chunks(250) {
            let call = |(span, host): (usize, &String)| Span {
                trace: 1,
                span: span as u8,
                attributes: vec![("db.system.name", Box::leak(host.clone().into_boxed_str()))],
                ..Span::new("web", "client", 1, None)
            };
            derive(&mut rollups, &hosts.iter().enumerate().map(call).collect::<Vec<_>>(), 0);
        }
        rollups.seal(Table::ServiceEdges).unwrap();
    }
    let later = derive(&mut rollups, &[Span::new("x", "internal", 9, None)], 15 * 60 * SECOND);
    assert_eq!(edges(&later), [edge("pay", "bank", "external", 1, 0)]);
}

#[test]
fn the_table_of_halves_is_bounded_and_loses_no_call() {
    let mut rollups = Rollups::new(&config::Rollup { edge_pending_max: 10, ..config::Config::default().rollup });
    let calls: Vec<_> = (0..100).map(|i| Span { trace: i, ..Span::new("web", "client", 1, None) }).collect();
    let mut derived = derive(&mut rollups, &calls, 0);
    assert_eq!(total(&derived, Table::ServiceEdges, "calls"), 90);
    derived.extend(derive(&mut rollups, &[], 60 * 60 * SECOND));
    assert_eq!(total(&derived, Table::ServiceEdges, "calls"), 100);
}

#[test]
fn huge_names_do_not_fill_the_memory() {
    let huge: &'static str = Box::leak("é".repeat(1 << 20).into_boxed_str());
    let mut rollups = rollups();
    let call =
        Span { attributes: vec![("server.address", huge)], version: Some(huge), ..Span::new("web", "client", 2, None) };
    derive(&mut rollups, std::slice::from_ref(&call), 0);
    derive(&mut rollups, &[Span { version: Some("1"), ..call }], 0);
    for table in [Table::ServiceEdges, Table::Changes] {
        let remembered = rollups.seal(table).unwrap().unwrap();
        assert!(remembered.len() < 8 << 10, "{table} remembers {} bytes", remembered.len());
    }
}

#[test]
fn a_new_version_is_a_change_once() {
    let mut rollups = rollups();
    let version = |version| Span { version: Some(version), ..Span::new("cart", "server", 1, None) };
    let changes = |derived: &[(Table, RecordBatch)]| -> usize {
        derived.iter().filter(|(table, _)| *table == Table::Changes).map(|(_, rows)| rows.num_rows()).sum()
    };
    assert_eq!(changes(&derive(&mut rollups, &[version("1")], 0)), 0, "the first is no change");
    assert_eq!(changes(&derive(&mut rollups, &[version("1"), version("2"), version("2")], 0)), 1);
    let state = rollups.seal(Table::Changes).unwrap().unwrap();
    let mut again = self::rollups();
    again.load(Table::Changes, &state).unwrap();
    assert_eq!(changes(&derive(&mut again, &[version("2"), version("1")], 0)), 0);
    assert_eq!(changes(&derive(&mut again, &[version("3")], 0)), 1);
    let late = Span { start: -SECOND, ..version("0") };
    assert_eq!(changes(&derive(&mut again, &[late], 0)), 0, "an old version that comes late is no news");
}

#[test]
fn log_records_get_their_pattern_and_are_counted() {
    let mut rollups = rollups();
    let mut logs =
        testing::log_rows(&[(0, "order 1 paid"), (1, "order 2 paid"), (61 * SECOND, "order 3 paid"), (2, "x")]);
    let derived = rollups.derive(Table::Logs, &mut logs, 0, |_| true).unwrap();
    let ids = numbers::<UInt64Type>(&logs, "pattern_id").unwrap();
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3]);
    let (_, rows) = &derived.rows[0];
    assert_eq!(total(&derived.rows, Table::LogPatterns, "records"), 4);
    assert_eq!(label_texts(labels(rows, "template").unwrap()).unwrap()[0], "order <*> paid");
    // Records without a text count too, under no pattern.
    let mut logs = testing::log_rows(&[(0, "x"), (0, "y")]);
    let mut columns = logs.columns().to_vec();
    let place = logs.schema_ref().index_of("body").unwrap();
    columns[place] = arrow::array::new_null_array(columns[place].data_type(), 2);
    logs = RecordBatch::try_new(logs.schema(), columns).unwrap();
    let derived = rollups.derive(Table::Logs, &mut logs, 0, |_| true).unwrap();
    assert_eq!(total(&derived.rows, Table::LogPatterns, "records"), 2);
    assert!(numbers::<UInt64Type>(&derived.rows[0].1, "pattern_id").unwrap().iter().all(|pattern| *pattern == 0));
    assert_eq!(logs.column(logs.schema_ref().index_of("pattern_id").unwrap()).null_count(), 2);
    // A frame that counts already still gives its rows their pattern.
    let mut again = testing::log_rows(&[(0, "order 9 paid")]);
    let derived = rollups.derive(Table::Logs, &mut again, 0, |_| false).unwrap();
    assert!(derived.rows.is_empty());
    assert_eq!(numbers::<UInt64Type>(&again, "pattern_id").unwrap()[0], ids[0]);
}

#[test]
fn rows_with_one_key_become_one() {
    let mut rollups = rollups();
    let spans = |offset: i64| {
        let mut call = Span { start: offset, duration: 1_000_000 + offset, ..Span::new("web", "client", 2, None) };
        call.attributes = vec![("db.system.name", "redis")];
        [call, Span { start: offset, ..Span::new("web", "server", 1, None) }]
    };
    let parts: Vec<_> = (0..5).flat_map(|i| derive(&mut rollups, &spans(i * SECOND), 0)).collect();
    for table in [Table::SpanMetrics, Table::ServiceEdges] {
        let of: Vec<_> = parts.iter().filter(|(found, _)| *found == table).map(|(_, rows)| rows.clone()).collect();
        let combined = combined(table, of, i64::MIN).unwrap();
        let rows: Vec<_> = combined.into_iter().map(|rows| (table, rows)).collect();
        assert_eq!(total(&rows, table, "calls"), total(&parts, table, "calls"), "{table}");
        assert_eq!(rows[0].1.num_rows(), if table == Table::SpanMetrics { 2 } else { 1 }, "{table}");
    }
    let mut logs = testing::log_rows(&[(0, "a 1"), (0, "b")]);
    let parts = [(); 3].map(|()| rollups.derive(Table::Logs, &mut logs, 0, |_| true).unwrap().rows.remove(0).1);
    let combined = combined(Table::LogPatterns, parts.to_vec(), i64::MIN).unwrap();
    assert_eq!(numbers::<UInt64Type>(&combined[0], "records").unwrap(), [3, 3]);
}

proptest! {
    /// However calls are cut into requests, and wherever the process ends and begins again, every call counts once and
    /// under the same callee.
    #[test]
    fn every_call_counts_once_whatever_the_order(
        order in Just((0..40u8).collect::<Vec<_>>()).prop_shuffle(),
        cuts in prop::collection::vec(1usize..8, 12),
        restarts in prop::collection::vec(any::<bool>(), 12),
    ) {
        // 20 calls of two halves each; of every fifth the callee's never comes.
        let half = |i: &u8| {
            let (call, is_callee) = (i / 2, i % 2 == 1);
            let span = if is_callee { Span::new("cart", "server", 3, Some(2)) } else { Span::new("web", "client", 2, None) };
            Span { trace: call + 1, ..span }
        };
        let sent: Vec<_> = order.iter().filter(|i| **i % 2 == 0 || (**i / 2) % 5 != 0).map(half).collect();
        let (mut rollups, mut derived, mut rest) = (rollups(), Vec::new(), sent.as_slice());
        for (cut, restart) in cuts.iter().zip(&restarts) {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            derived.extend(derive(&mut rollups, now, 0));
            rest = later;
            if *restart {
                let state = rollups.seal(Table::ServiceEdges).unwrap().unwrap();
                rollups = self::rollups();
                rollups.load(Table::ServiceEdges, &state).unwrap();
            }
        }
        derived.extend(derive(&mut rollups, rest, 0));
        derived.extend(derive(&mut rollups, &[], 60 * 60 * SECOND));
        let calls = |callee: &str| -> u64 { edges(&derived).iter().filter(|edge| edge.1 == callee).map(|edge| edge.3).sum() };
        prop_assert_eq!((calls("cart"), calls("unknown")), (16, 4));
    }
}
