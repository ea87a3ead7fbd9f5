//! The walk against generated decoders and against itself: whatever comes in, no panic, no lost item, no changed value.

use std::time::Duration;

use arrow::{
    array::{Array as _, AsArray as _, BinaryArray},
    datatypes::Int32Type,
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value as Any},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point::Value as Point,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span::Event},
};
use proptest::prelude::*;
use prost::Message as _;
use storage::model::attributes::{Attributes, Value};

use super::*;
use crate::admission::Admission;

const NOW: i64 = 1_700_000_000_000_000_000;

fn limits() -> Limits {
    Limits {
        now_unix_nano: NOW,
        max_future: Duration::from_secs(86_400),
        age: Age::Forever,
        age_setting: "retention.logs",
        max_attribute_depth: 64,
    }
}

fn read(signal: Signal, body: &[u8]) -> Result<Decoded, DecodeError> {
    decode(signal, body, &limits(), &mut Admission::new(1 << 30).share())
}

fn stored(decoded: &Decoded) -> usize {
    decoded.tables.iter().filter(|rows| rows.table != storage::model::Table::Exemplars).map(|t| t.rows.num_rows()).sum()
}

fn holds(decoded: &Decoded) -> bool {
    decoded.item_count == stored(decoded) as u64 + decoded.tally.rejected_item_count()
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        ".{0,12}".prop_map(|text| Some(Any::StringValue(text))),
        any::<bool>().prop_map(|value| Some(Any::BoolValue(value))),
        prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)].prop_map(|value| Some(Any::IntValue(value))),
        any::<f64>().prop_map(|value| Some(Any::DoubleValue(value))),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| Some(Any::BytesValue(bytes))),
    ];
    let leaf = leaf.prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| AnyValue { value: Some(Any::ArrayValue(ArrayValue { values })) }),
            proptest::collection::vec(("[a-c]{0,2}", inner), 0..4).prop_map(|entries| AnyValue {
                value: Some(Any::KvlistValue(KeyValueList { values: entries.into_iter().map(key_value).collect() }))
            }),
        ]
    })
}

fn key_value((key, value): (String, AnyValue)) -> KeyValue {
    KeyValue { key, value: Some(value), ..Default::default() }
}

fn key_values() -> impl Strategy<Value = Vec<KeyValue>> {
    proptest::collection::vec(("[a-d]{0,2}", any_value()).prop_map(key_value), 0..6)
}

fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(1..=u8::MAX, length),
        1 => Just(vec![0; length]),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

fn time() -> impl Strategy<Value = u64> {
    let near = NOW as u64 - 1_000_000..NOW as u64 + 1_000_000;
    prop_oneof![4 => near, 1 => Just(0), 1 => any::<u64>()]
}

fn log_record() -> impl Strategy<Value = LogRecord> {
    let ids = (id(16), id(8));
    (time(), time(), -1..30i32, ".{0,8}", proptest::option::of(any_value()), key_values(), any::<u32>(), ids).prop_map(
        |(time_unix_nano, observed_time_unix_nano, severity_number, text, body, attributes, flags, ids)| LogRecord {
            time_unix_nano,
            observed_time_unix_nano,
            severity_number,
            severity_text: text.clone(),
            body,
            attributes,
            dropped_attributes_count: flags / 2,
            flags,
            trace_id: ids.0,
            span_id: ids.1,
            event_name: text,
        },
    )
}

fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    (key_values(), proptest::collection::vec(log_record(), 0..6)).prop_map(|(attributes, log_records)| {
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(Resource { attributes, ..Default::default() }),
                scope_logs: vec![ScopeLogs { log_records, ..Default::default() }],
                ..Default::default()
            }],
        }
    })
}

fn spans() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let event = (time(), ".{0,5}", key_values()).prop_map(|(time_unix_nano, name, attributes)| Event {
        time_unix_nano,
        name,
        attributes,
        ..Default::default()
    });
    let events = proptest::collection::vec(event, 0..3);
    let span = (id(16), id(8), id(8), time(), time(), key_values(), events).prop_map(
        |(trace_id, span_id, parent_span_id, start_time_unix_nano, end_time_unix_nano, attributes, events)| Span {
            trace_id,
            span_id,
            parent_span_id,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            events,
            kind: 2,
            name: "GET /".to_owned(),
            ..Default::default()
        },
    );
    proptest::collection::vec(span, 0..6).prop_map(|spans| ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans { spans, ..Default::default() }],
            ..Default::default()
        }],
    })
}

fn points() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let value = prop_oneof![any::<f64>().prop_map(Point::AsDouble), any::<i64>().prop_map(Point::AsInt)];
    let point = (time(), proptest::option::of(value), key_values()).prop_map(|(time_unix_nano, value, attributes)| {
        NumberDataPoint { time_unix_nano, value, attributes, ..Default::default() }
    });
    proptest::collection::vec(point, 0..6).prop_map(|data_points| ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![Metric {
                    name: "queue.length".to_owned(),
                    data: Some(Data::Gauge(Gauge { data_points })),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }],
    })
}

/// What a value is after a round trip: maps keep the last of equal keys, all else stays.
fn same(sent: Option<&Any>, found: Value<'_>) -> bool {
    match (sent, found) {
        (None, Value::Null) => true,
        (Some(Any::StringValue(sent)), Value::String(found)) => sent == found,
        (Some(Any::BoolValue(sent)), Value::Bool(found)) => *sent == found,
        (Some(Any::IntValue(sent)), Value::Int(found)) => *sent == found,
        (Some(Any::DoubleValue(sent)), Value::Double(found)) => sent.to_bits() == found.to_bits(),
        (Some(Any::BytesValue(sent)), Value::Bytes(found)) => sent == found,
        (Some(Any::ArrayValue(sent)), Value::Array(found)) => {
            sent.values.len() == found.iter().count()
                && sent.values.iter().zip(found.iter()).all(|(sent, found)| same(sent.value.as_ref(), found))
        }
        (Some(Any::KvlistValue(sent)), Value::Map(found)) => same_map(&sent.values, found),
        _ => false,
    }
}

fn same_map(sent: &[KeyValue], found: Attributes<'_>) -> bool {
    let last: std::collections::BTreeMap<_, _> = sent.iter().map(|kv| (&kv.key, &kv.value)).collect();
    last.len() == found.len()
        && last.into_iter().zip(found.iter()).all(|((key, sent), (found_key, found))| {
            key == found_key && same(sent.as_ref().and_then(|value| value.value.as_ref()), found)
        })
}

fn binary<'a>(rows: &'a TableRows, column: &str) -> &'a BinaryArray {
    rows.rows.column_by_name(column).expect("a column of the schema").as_binary()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for signal in Signal::ALL {
            if let Ok(decoded) = read(signal, &bytes) {
                prop_assert!(holds(&decoded));
            }
            let _ = json::to_protobuf(signal, &bytes);
        }
    }

    #[test]
    fn what_a_generated_decoder_accepts_is_accepted(request in logs(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = request.encode_to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let generated = ExportLogsServiceRequest::decode(&bytes[..]);
        let ours = read(Signal::Logs, &bytes);
        if let Ok(generated) = generated {
            let sent: usize =
                generated.resource_logs.iter().flat_map(|group| &group.scope_logs).map(|s| s.log_records.len()).sum();
            let ours = ours.expect("accepted by the generated decoder");
            prop_assert_eq!(ours.item_count, sent as u64);
            prop_assert!(holds(&ours));
        }
    }

    #[test]
    fn every_log_is_stored_or_rejected_and_its_values_stay(request in logs()) {
        let decoded = read(Signal::Logs, &request.encode_to_vec()).unwrap();
        let records = &request.resource_logs[0].scope_logs[0].log_records;
        prop_assert_eq!(decoded.item_count, records.len() as u64);
        prop_assert!(holds(&decoded));
        let kept: Vec<_> = records.iter().filter(|record| {
            let time = match (record.time_unix_nano, record.observed_time_unix_nano) {
                (0, 0) => NOW as u64,
                (0, observed) => observed,
                (time, _) => time,
            };
            time <= (NOW + 86_400_000_000_000) as u64
        }).collect();
        prop_assert_eq!(stored(&decoded), kept.len());
        if let Some(rows) = decoded.tables.first() {
            let attributes = binary(rows, "attributes");
            let bodies = binary(rows, "body_value");
            let text = rows.rows.column_by_name("body").unwrap().as_string::<i32>();
            let resources = rows.rows.column_by_name("resource_attributes").unwrap().as_dictionary::<Int32Type>();
            let resource = resources.values().as_binary::<i32>().value(0);
            prop_assert!(same_map(&request.resource_logs[0].resource.as_ref().unwrap().attributes, Attributes::new(resource)));
            for (row, record) in kept.into_iter().enumerate() {
                prop_assert!(same_map(&record.attributes, Attributes::new(attributes.value(row))));
                match record.body.as_ref().map(|body| body.value.as_ref()) {
                    None => prop_assert!(text.is_null(row) && bodies.is_null(row)),
                    Some(Some(Any::StringValue(sent))) => {
                        prop_assert_eq!(text.value(row), sent);
                        prop_assert!(bodies.is_null(row));
                    }
                    Some(sent) => prop_assert!(same(sent, Value::read(bodies.value(row)).unwrap())),
                }
            }
        }
    }

    #[test]
    fn every_span_and_point_is_stored_or_rejected(spans in spans(), points in points()) {
        let decoded = read(Signal::Spans, &spans.encode_to_vec()).unwrap();
        prop_assert_eq!(decoded.item_count, spans.resource_spans[0].scope_spans[0].spans.len() as u64);
        prop_assert!(holds(&decoded));
        prop_assert!(holds(&read(Signal::Metrics, &points.encode_to_vec()).unwrap()));
    }

    #[test]
    fn json_decodes_to_the_same_rows_as_protobuf(logs in logs(), spans in spans()) {
        // The generated types write NaN and infinities as null: such a document says something else.
        let written = |text: String| (!text.contains("null")).then_some(text);
        if let Some(json) = written(serde_json::to_string(&logs).unwrap()) {
            let translated = json::to_protobuf(Signal::Logs, json.as_bytes()).unwrap();
            let (left, right) = (read(Signal::Logs, &translated).unwrap(), read(Signal::Logs, &logs.encode_to_vec()).unwrap());
            prop_assert_eq!(rows_of(&left), rows_of(&right));
        }
        if let Some(json) = written(serde_json::to_string(&spans).unwrap()) {
            let translated = json::to_protobuf(Signal::Spans, json.as_bytes()).unwrap();
            let (left, right) = (read(Signal::Spans, &translated).unwrap(), read(Signal::Spans, &spans.encode_to_vec()).unwrap());
            prop_assert_eq!(rows_of(&left), rows_of(&right));
        }
    }
}

fn rows_of(decoded: &Decoded) -> Vec<arrow::record_batch::RecordBatch> {
    decoded.tables.iter().map(|table| table.rows.clone()).collect()
}

#[test]
fn one_series_has_one_number_and_another_has_another() {
    let point = |attributes: Vec<KeyValue>| NumberDataPoint {
        time_unix_nano: NOW as u64,
        value: Some(Point::AsInt(1)),
        attributes,
        ..Default::default()
    };
    let text = |key: &str, value: &str| {
        key_value((key.to_owned(), AnyValue { value: Some(Any::StringValue(value.to_owned())) }))
    };
    let metric = |name: &str, unit: &str, points: Vec<NumberDataPoint>| Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        data: Some(Data::Gauge(Gauge { data_points: points })),
        ..Default::default()
    };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![
                    metric(
                        "m",
                        "s",
                        vec![
                            point(vec![text("a", "1"), text("b", "2")]),
                            point(vec![text("b", "2"), text("a", "1")]),
                            point(vec![text("a", "1")]),
                        ],
                    ),
                    metric("m", "ms", vec![point(vec![text("a", "1")])]),
                ],
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    let decoded = read(Signal::Metrics, &request.encode_to_vec()).unwrap();
    let ids = decoded.tables[0].rows.column_by_name("series_id").unwrap();
    let ids = ids.as_primitive::<arrow::datatypes::UInt64Type>();
    assert_eq!(ids.value(0), ids.value(1), "the order of attributes is not part of a series");
    assert_ne!(ids.value(1), ids.value(2), "attributes are");
    assert_ne!(ids.value(2), ids.value(3), "the unit is");
}

#[test]
fn rows_of_empty_items_stay_within_the_memory_that_is_left() {
    // Two bytes on the wire become a row of a hundred: a small body must not become a large table.
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs { log_records: vec![LogRecord::default(); 100_000], ..Default::default() }],
            ..Default::default()
        }],
    };
    let body = request.encode_to_vec();
    let admission = Admission::new(4 << 20);
    let result = decode(Signal::Logs, &body, &limits(), &mut admission.share());
    assert!(matches!(result, Err(DecodeError::Full(Full::NeverFits { .. }))), "{} bytes became a table", body.len());
    assert_eq!(admission.taken_bytes(), 0);
}

#[test]
fn values_nested_too_deep_are_rejected_and_the_rest_is_stored() {
    let nested = |levels: usize| {
        (0..levels).fold(AnyValue { value: Some(Any::IntValue(1)) }, |value, _| AnyValue {
            value: Some(Any::ArrayValue(ArrayValue { values: vec![value] })),
        })
    };
    let record =
        |levels| LogRecord { attributes: vec![key_value(("deep".to_owned(), nested(levels)))], ..Default::default() };
    for (levels, rejected) in [(64, 0), (65, 1)] {
        let request = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                scope_logs: vec![ScopeLogs { log_records: vec![record(levels), record(0)], ..Default::default() }],
                ..Default::default()
            }],
        };
        let decoded = read(Signal::Logs, &request.encode_to_vec()).unwrap();
        assert_eq!(decoded.tally.rejected_item_count(), rejected, "{levels} levels");
        assert!(holds(&decoded));
    }
    let decoded = read(Signal::Logs, &deep_body(100_000)).unwrap();
    assert_eq!((decoded.item_count, decoded.tally.rejected_item_count()), (1, 1));
}

/// A log record with one attribute of that many nested arrays, written inside out.
fn deep_body(levels: usize) -> Vec<u8> {
    let wrap = |field: u8, inner: Vec<u8>| {
        let mut out = vec![field << 3 | 2];
        prost::encoding::encode_varint(inner.len() as u64, &mut out);
        out.extend(inner);
        out
    };
    let mut value = vec![0x18, 1];
    for _ in 0..levels {
        value = wrap(5, wrap(1, value));
    }
    let attribute = [wrap(1, b"deep".to_vec()), wrap(2, value)].concat();
    wrap(1, wrap(2, wrap(2, wrap(6, attribute))))
}
