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
        Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
        exponential_histogram_data_point::Buckets, metric::Data, number_data_point::Value as Point,
        summary_data_point::ValueAtQuantile,
    },
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, Link},
    },
};
use proptest::prelude::*;
use prost::Message as _;
use storage::model::attributes::{Attributes, Value};

use super::{
    messages::{Kind, Message},
    *,
};
use crate::admission::{Admission, Connection};

const NOW: i64 = 1_700_000_000_000_000_000;

fn limits() -> Limits {
    Limits {
        now_unix_nano: NOW,
        max_future: Duration::from_secs(86_400),
        age: Age::Forever,
        age_setting: "retention.logs",
        max_attribute_depth: 64,
        max_value_bytes: usize::MAX,
    }
}

fn read(signal: Signal, body: &[u8]) -> Result<Decoded, DecodeError> {
    decode(signal, Encoding::Protobuf, body, &limits(), &mut Admission::new(1 << 30).share(&Connection::default()))
}

fn read_json(signal: Signal, body: &[u8]) -> Result<Decoded, DecodeError> {
    decode(signal, Encoding::Json, body, &limits(), &mut Admission::new(1 << 30).share(&Connection::default()))
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
    let link = (id(16), id(8), key_values()).prop_map(|(trace_id, span_id, attributes)| Link {
        trace_id,
        span_id,
        attributes,
        ..Default::default()
    });
    let links = proptest::collection::vec(link, 0..2);
    let span = (id(16), id(8), id(8), time(), time(), key_values(), events, links).prop_map(
        |(trace_id, span_id, parent_span_id, start_time_unix_nano, end_time_unix_nano, attributes, events, links)| {
            Span {
                trace_id,
                span_id,
                parent_span_id,
                start_time_unix_nano,
                end_time_unix_nano,
                attributes,
                events,
                links,
                status: Some(Status { message: "timeout".to_owned(), code: 2 }),
                kind: 2,
                name: "GET /".to_owned(),
                ..Default::default()
            }
        },
    );
    proptest::collection::vec(span, 0..6).prop_map(|spans| ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans { spans, ..Default::default() }],
            ..Default::default()
        }],
    })
}

fn data() -> impl Strategy<Value = Data> {
    let value = prop_oneof![any::<f64>().prop_map(Point::AsDouble), any::<i64>().prop_map(Point::AsInt)];
    let exemplar = (time(), id(16), key_values()).prop_map(|(time_unix_nano, trace_id, filtered_attributes)| {
        Exemplar { time_unix_nano, trace_id, filtered_attributes, ..Default::default() }
    });
    let exemplars = proptest::collection::vec(exemplar, 0..2).boxed();
    let number = (time(), proptest::option::of(value), key_values(), exemplars.clone()).prop_map(
        |(time_unix_nano, value, attributes, exemplars)| NumberDataPoint {
            time_unix_nano,
            value,
            attributes,
            exemplars,
            ..Default::default()
        },
    );
    let numbers = proptest::collection::vec(number, 0..4).boxed();
    let histogram =
        (time(), 0..4usize, 0..4usize, exemplars).prop_map(|(time_unix_nano, buckets, bounds, exemplars)| {
            HistogramDataPoint {
                time_unix_nano,
                sum: Some(1.5),
                bucket_counts: vec![1; buckets],
                explicit_bounds: (0..bounds).map(|bound| bound as f64).collect(),
                exemplars,
                ..Default::default()
            }
        });
    let buckets = |count| Some(Buckets { offset: -1, bucket_counts: vec![1; count] });
    let exponential =
        (time(), -3..3i32, 0..3usize).prop_map(move |(time_unix_nano, scale, count)| ExponentialHistogramDataPoint {
            time_unix_nano,
            scale,
            count: count as u64,
            positive: buckets(count),
            negative: buckets(0),
            ..Default::default()
        });
    let summary = (time(), 0..3usize).prop_map(|(time_unix_nano, count)| SummaryDataPoint {
        time_unix_nano,
        quantile_values: vec![ValueAtQuantile { quantile: 0.5, value: 1.0 }; count],
        ..Default::default()
    });
    let aggregation_temporality = 2;
    prop_oneof![
        numbers.clone().prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        numbers.prop_map(|data_points| Data::Sum(Sum { data_points, aggregation_temporality: 1, is_monotonic: true })),
        proptest::collection::vec(histogram, 0..3)
            .prop_map(move |data_points| Data::Histogram(Histogram { data_points, aggregation_temporality })),
        proptest::collection::vec(exponential, 0..3).prop_map(move |data_points| Data::ExponentialHistogram(
            ExponentialHistogram { data_points, aggregation_temporality }
        )),
        proptest::collection::vec(summary, 0..3).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ]
}

fn points() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let metric =
        data().prop_map(|data| Metric { name: "queue.length".to_owned(), data: Some(data), ..Default::default() });
    (key_values(), proptest::collection::vec(metric, 0..4)).prop_map(|(attributes, metrics)| {
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource { attributes, ..Default::default() }),
                scope_metrics: vec![ScopeMetrics { metrics, ..Default::default() }],
                ..Default::default()
            }],
        }
    })
}

/// A whole request of any signal.
fn request() -> impl Strategy<Value = (Signal, Vec<u8>)> {
    prop_oneof![
        logs().prop_map(|request| (Signal::Logs, request.encode_to_vec())),
        spans().prop_map(|request| (Signal::Spans, request.encode_to_vec())),
        points().prop_map(|request| (Signal::Metrics, request.encode_to_vec())),
    ]
}

/// A request's fields as a tree, so that they can be moved about with all lengths right.
#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<u8>),
    Nested(u32, Fieldset),
}

#[derive(Clone, Debug)]
struct Fieldset {
    message: &'static Message,
    nodes: Vec<Node>,
}

impl Fieldset {
    fn read(message: &'static Message, bytes: &[u8]) -> Self {
        let mut fields = wire::Fields::new(bytes);
        let mut nodes = Vec::new();
        while let Some((field, whole)) = fields.next_with_bytes() {
            let field = field.unwrap();
            let known = message.fields.iter().find(|known| known.number == field.number);
            nodes.push(match known.map(|known| known.kind) {
                Some(Kind::Message(inner)) => Node::Nested(field.number, Self::read(inner, field.bytes().unwrap())),
                _ => Node::Leaf(whole.to_vec()),
            });
        }
        Self { message, nodes }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for node in &self.nodes {
            match node {
                Node::Leaf(bytes) => out.extend_from_slice(bytes),
                Node::Nested(number, inner) => {
                    let mut content = Vec::new();
                    inner.write(&mut content);
                    prost::encoding::encode_key(*number, prost::encoding::WireType::LengthDelimited, out);
                    prost::encoding::encode_varint(content.len() as u64, out);
                    out.extend_from_slice(&content);
                }
            }
        }
    }

    fn visit(&mut self, act: &mut impl FnMut(&mut Self)) {
        act(self);
        for node in &mut self.nodes {
            if let Node::Nested(_, inner) = node {
                inner.visit(act);
            }
        }
    }

    /// Copies a field of some message to some place of the same message or of another of its kind.
    fn splice(&mut self, from: usize, to: usize) {
        let mut fields = Vec::new();
        self.visit(&mut |message| {
            fields.extend(message.nodes.iter().cloned().map(|node| (message.message.name, node)));
        });
        if fields.is_empty() {
            return;
        }
        let (kind, field) = fields.swap_remove(from % fields.len());
        let mut places = 0;
        self.visit(&mut |message| {
            places += usize::from(message.message.name == kind) * (message.nodes.len() + 1);
        });
        let mut left = Some(to % places);
        self.visit(&mut |message| {
            if message.message.name != kind {
                return;
            }
            left = match left {
                Some(place) if place <= message.nodes.len() => {
                    message.nodes.insert(place, field.clone());
                    None
                }
                Some(place) => Some(place - message.nodes.len() - 1),
                None => None,
            };
        });
    }
}

/// What happens to a request's bytes on its way.
#[derive(Clone, Debug)]
enum Damage {
    Cut(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Splice(usize, usize),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let damage = prop_oneof![
        1 => any::<prop::sample::Index>().prop_map(Damage::Cut),
        4 => (any::<prop::sample::Index>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        8 => (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Damage::Splice(from, to)),
    ];
    proptest::collection::vec(damage, 0..4)
}

/// Splices first: they need a message that can be read.
fn damaged(signal: Signal, body: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut tree = Fieldset::read(messages::request(signal), body);
    for damage in damages {
        if let Damage::Splice(from, to) = damage {
            tree.splice(*from, *to);
        }
    }
    let mut bytes = Vec::new();
    tree.write(&mut bytes);
    for damage in damages {
        match damage {
            _ if bytes.is_empty() => {}
            Damage::Splice(..) => {}
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
        }
    }
    bytes
}

/// What the generated types read, written again, and the items in it; `None` when they refuse the bytes.
fn canonical(signal: Signal, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    match signal {
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(bytes).ok()?;
            let scopes = request.resource_logs.iter().flat_map(|group| &group.scope_logs);
            Some((request.encode_to_vec(), scopes.map(|scope| scope.log_records.len()).sum()))
        }
        Signal::Spans => {
            let request = ExportTraceServiceRequest::decode(bytes).ok()?;
            let scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
            Some((request.encode_to_vec(), scopes.map(|scope| scope.spans.len()).sum()))
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(bytes).ok()?;
            let scopes = request.resource_metrics.iter().flat_map(|group| &group.scope_metrics);
            let data = scopes.flat_map(|scope| &scope.metrics).filter_map(|metric| metric.data.as_ref());
            let points = data.map(|data| match data {
                Data::Gauge(data) => data.data_points.len(),
                Data::Sum(data) => data.data_points.len(),
                Data::Histogram(data) => data.data_points.len(),
                Data::ExponentialHistogram(data) => data.data_points.len(),
                Data::Summary(data) => data.data_points.len(),
            });
            let points = points.sum();
            Some((request.encode_to_vec(), points))
        }
    }
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
            if let Ok(decoded) = read_json(signal, &bytes) {
                prop_assert!(holds(&decoded));
            }
        }
    }

    /// Also of bytes that somebody bent on the way: fields that come twice or elsewhere, bits that flipped, an end that is
    /// missing. The rows are those of the message that the generated types read.
    #[test]
    fn what_a_generated_decoder_accepts_is_accepted_and_means_the_same(request in request(), damages in damages()) {
        let (signal, body) = request;
        let bytes = damaged(signal, &body, &damages);
        let ours = read(signal, &bytes);
        if let Ok(ours) = &ours {
            prop_assert!(holds(ours));
        }
        if let Some((again, item_count)) = canonical(signal, &bytes) {
            let (ours, expected) = (ours.expect("the generated decoder accepts it"), read(signal, &again).unwrap());
            prop_assert_eq!(ours.item_count, item_count as u64);
            prop_assert_eq!(ours.tally.rejected_item_count(), expected.tally.rejected_item_count());
            prop_assert_eq!(rows_of(&ours), rows_of(&expected));
        }
    }

    /// Bytes that are no text become U+FFFD, wherever text stands, and change nothing else.
    #[test]
    fn text_that_is_none_is_stored_as_far_as_it_is_text(request in request(), at in any::<prop::sample::Index>()) {
        let (signal, body) = request;
        // Names and text of all kinds are there to be damaged: "queue.length", "GET /", "timeout", keys and values.
        let letters: Vec<_> = (0..body.len()).filter(|at| body[*at].is_ascii_lowercase()).collect();
        if letters.is_empty() {
            return Ok(());
        }
        let mut bytes = body.clone();
        bytes[letters[at.index(letters.len())]] = 0xff;
        let Ok(damaged) = read(signal, &bytes) else {
            // The letter was part of the framing.
            return Ok(());
        };
        prop_assert!(holds(&damaged));
        if canonical(signal, &bytes).is_none() && canonical(signal, &body).is_some() {
            prop_assert_eq!(damaged.item_count, read(signal, &body).unwrap().item_count);
        }
    }

    /// JSON with the same bends: accepted, rejected or refused, and nothing gets lost.
    #[test]
    fn bent_json_loses_nothing(request in request(), damages in damages(), cut in any::<prop::sample::Index>()) {
        let (signal, body) = request;
        let bytes = damaged(signal, &body, &damages);
        let json = match signal {
            Signal::Logs => ExportLogsServiceRequest::decode(&bytes[..]).ok().and_then(|r| serde_json::to_vec(&r).ok()),
            Signal::Spans => ExportTraceServiceRequest::decode(&bytes[..]).ok().and_then(|r| serde_json::to_vec(&r).ok()),
            Signal::Metrics => ExportMetricsServiceRequest::decode(&bytes[..]).ok().and_then(|r| serde_json::to_vec(&r).ok()),
        };
        let Some(mut json) = json else { return Ok(()) };
        if let Ok(decoded) = read_json(signal, &json) {
            prop_assert!(holds(&decoded));
        }
        for damage in &damages {
            match damage {
                Damage::Flip(at, bit) => {
                    let at = at.index(json.len());
                    json[at] ^= 1 << bit;
                }
                Damage::Cut(_) => json.truncate(cut.index(json.len()).max(1)),
                Damage::Splice(from, to) => {
                    let (from, to) = (from % json.len(), to % json.len());
                    let piece = json[from.min(to)..from.max(to)].to_vec();
                    json.splice(from..from, piece);
                    json.truncate(100_000);
                }
            }
        }
        if let Ok(decoded) = read_json(signal, &json) {
            prop_assert!(holds(&decoded));
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
            let (left, right) = (read_json(Signal::Logs, json.as_bytes()).unwrap(), read(Signal::Logs, &logs.encode_to_vec()).unwrap());
            prop_assert_eq!(rows_of(&left), rows_of(&right));
        }
        if let Some(json) = written(serde_json::to_string(&spans).unwrap()) {
            let (left, right) = (read_json(Signal::Spans, json.as_bytes()).unwrap(), read(Signal::Spans, &spans.encode_to_vec()).unwrap());
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
    let result =
        decode(Signal::Logs, Encoding::Protobuf, &body, &limits(), &mut admission.share(&Connection::default()));
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
    for levels in [101, 100_000, 1_000_000] {
        let decoded = read(Signal::Logs, &deep_body(levels)).unwrap();
        assert_eq!((decoded.item_count, decoded.tally.rejected_item_count()), (1, 1), "{levels} levels");
    }
}

/// The parser of JSON bounds its nesting to less than our values may have, and values may nest deeper than any stack.
#[test]
fn json_values_nest_as_deep_as_those_of_protobuf() {
    let array = |levels: usize| {
        format!("{}{{\"intValue\":1}}{}", "{\"arrayValue\":{\"values\":[".repeat(levels), "]}}".repeat(levels))
    };
    let map = |levels: usize| {
        let (open, close) = ("{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":", "}]}}");
        format!("{}{{\"intValue\":1}}{}", open.repeat(levels), close.repeat(levels))
    };
    let request = |value: &str| {
        format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[
            {{"attributes":[{{"key":"deep","value":{value}}}]}},{{"body":{{"stringValue":"a good neighbour"}}}}]}}]}}]}}"#
        )
    };
    for (levels, rejected) in [(16, 0), (63, 0), (64, 0), (65, 1), (101, 1), (20_000, 1)] {
        for value in [array(levels), map(levels)] {
            let decoded = read_json(Signal::Logs, request(&value).as_bytes()).unwrap();
            assert_eq!((decoded.item_count, decoded.tally.rejected_item_count()), (2, rejected), "{levels} levels");
            assert!(holds(&decoded));
        }
    }
    let decoded = read_json(Signal::Logs, request(&array(200_000)).as_bytes()).unwrap();
    assert_eq!((decoded.item_count, decoded.tally.rejected_item_count()), (2, 1));
    let decoded = read_json(Signal::Logs, request(&map(64)).as_bytes()).unwrap();
    let json = Attributes::new(binary(&decoded.tables[0], "attributes").value(0)).to_json();
    assert_eq!(json, format!("{{\"deep\":{}1{}}}", "{\"k\":".repeat(64), "}".repeat(64)));
    // Somewhere else the same nesting is no OTLP, or is stepped over where nobody knows the field.
    for document in [format!("{{\"resourceLogs\":{}", "[".repeat(100_000)), "[".repeat(100_000), array(100_000)] {
        let decoded = read_json(Signal::Logs, document.as_bytes());
        assert!(decoded.is_err() || decoded.is_ok_and(|decoded| decoded.item_count == 0));
    }
}

/// A long resource with many short scopes, metrics and exemplars: what depends on the resource is worked out once. Were it
/// done for each of them, this would take hours.
#[test]
fn a_long_resource_costs_its_length_once() {
    const COUNT: usize = 20_000;
    let long = "x".repeat(4 << 20);
    let text = |text: &str| AnyValue { value: Some(Any::StringValue(text.to_owned())) };
    let resource = Some(Resource {
        attributes: vec![
            key_value(("service.name".to_owned(), text(&long))),
            key_value(("more".to_owned(), text(&long))),
        ],
        ..Default::default()
    });
    let scope = ScopeLogs { log_records: vec![LogRecord::default()], ..Default::default() };
    let logs = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource.clone(),
            scope_logs: vec![scope; COUNT],
            ..Default::default()
        }],
    };
    let decoded = read(Signal::Logs, &logs.encode_to_vec()).unwrap();
    assert_eq!((decoded.item_count, stored(&decoded)), (COUNT as u64, COUNT));
    let exemplars = vec![Exemplar::default(); COUNT];
    let point = NumberDataPoint { time_unix_nano: NOW as u64, exemplars, ..Default::default() };
    let gauge = |name: &str, data_points| Metric {
        name: name.to_owned(),
        data: Some(Data::Gauge(Gauge { data_points })),
        ..Default::default()
    };
    let mut metrics = vec![gauge("m", vec![]); COUNT];
    metrics.push(gauge(&long, vec![point]));
    let metrics = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource,
            scope_metrics: vec![ScopeMetrics { metrics, ..Default::default() }],
            ..Default::default()
        }],
    };
    let decoded = read(Signal::Metrics, &metrics.encode_to_vec()).unwrap();
    assert_eq!((decoded.item_count, decoded.tables.len()), (1, 2));
    assert_eq!(decoded.tables[1].rows.num_rows(), COUNT, "exemplars");
}

/// Bodies that are no text are stored as JSON too, which is longer: that is part of what a request may take.
#[test]
fn bodies_that_grow_as_json_stay_within_the_memory_that_is_left() {
    let nul = |bytes: usize| {
        let inner = AnyValue { value: Some(Any::StringValue("\0".repeat(bytes))) };
        let body = Some(AnyValue { value: Some(Any::ArrayValue(ArrayValue { values: vec![inner] })) });
        LogRecord { body, ..Default::default() }
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs { log_records: vec![nul(300_000); 10], ..Default::default() }],
            ..Default::default()
        }],
    };
    let body = request.encode_to_vec();
    let admission = Admission::new(16 << 20);
    let result =
        decode(Signal::Logs, Encoding::Protobuf, &body, &limits(), &mut admission.share(&Connection::default()));
    assert!(matches!(result, Err(DecodeError::Full(Full::NeverFits { .. }))), "{} bytes were admitted", body.len());
}

/// An answer does not grow with what is wrong.
#[test]
fn messages_about_long_text_stay_short() {
    let long = "\\u0001".repeat(100_000);
    let log = |field: &str| format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{field}}}]}}]}}]}}"#);
    for document in [
        log(&format!(r#""traceId":"{long}""#)),
        log(&format!(r#""severityNumber":"{long}""#)),
        log(&format!(r#""timeUnixNano":"{long}""#)),
        log(&format!(r#""attributes":"{long}""#)),
        log(&format!(r#""body":"{long}""#)),
        log(&format!(r#""body":{{"doubleValue":"{long}"}}"#)),
        log(&format!(r#""body":{{"bytesValue":"{long}"}}"#)),
        format!("\"{long}\""),
    ] {
        let error = read_json(Signal::Logs, document.as_bytes()).unwrap_err().to_string();
        assert!(error.len() < 1_000, "{} bytes: {:.200}", error.len(), error);
    }
}

/// Messages that come twice are one, as the generated types read them: no point of the first gets lost.
#[test]
fn fields_that_come_twice_are_read_as_protobuf_says() {
    let record = |body: &str, severity_number| LogRecord {
        body: Some(AnyValue { value: Some(Any::StringValue(body.to_owned())) }),
        severity_number,
        ..Default::default()
    };
    let both = [record("first", 9).encode_to_vec(), record("last", 17).encode_to_vec()].concat();
    let wrap = |field: u32, inner: &[u8]| {
        let mut out = Vec::new();
        prost::encoding::encode_key(field, prost::encoding::WireType::LengthDelimited, &mut out);
        prost::encoding::encode_varint(inner.len() as u64, &mut out);
        out.extend_from_slice(inner);
        out
    };
    let decoded = read(Signal::Logs, &wrap(1, &wrap(2, &wrap(2, &both)))).unwrap();
    let rows = &decoded.tables[0].rows;
    assert_eq!((decoded.item_count, rows.num_rows()), (1, 1), "one record with the last of each field");
    assert_eq!(rows.column_by_name("body").unwrap().as_string::<i32>().value(0), "last");
    let severity = rows.column_by_name("severity_number").unwrap();
    assert_eq!(severity.as_primitive::<Int32Type>().value(0), 17);

    let gauge = |values: &[i64]| {
        let data_points = values.iter().map(|value| NumberDataPoint {
            time_unix_nano: NOW as u64,
            value: Some(Point::AsInt(*value)),
            ..Default::default()
        });
        wrap(5, &Gauge { data_points: data_points.collect() }.encode_to_vec())
    };
    let sum = wrap(7, &Sum::default().encode_to_vec());
    for (data, points) in [
        ([gauge(&[1, 2]), gauge(&[3])].concat(), 3),
        ([gauge(&[1, 2]), sum.clone(), gauge(&[3])].concat(), 1),
        ([gauge(&[1, 2]), sum].concat(), 0),
    ] {
        let decoded = read(Signal::Metrics, &wrap(1, &wrap(2, &wrap(2, &data)))).unwrap();
        assert_eq!(decoded.item_count, points);
        assert!(holds(&decoded));
    }
}

/// A log record with one attribute of that many nested arrays, written from its end.
fn deep_body(levels: usize) -> Vec<u8> {
    let mut reversed = vec![1, 0x18];
    let wrap = |reversed: &mut Vec<u8>, field: u8| {
        let mut head = vec![field << 3 | 2];
        prost::encoding::encode_varint(reversed.len() as u64, &mut head);
        reversed.extend(head.iter().rev());
    };
    for _ in 0..levels {
        wrap(&mut reversed, 1);
        wrap(&mut reversed, 5);
    }
    wrap(&mut reversed, 2);
    reversed.extend(b"\x0a\x04deep".iter().rev());
    for field in [6, 2, 2, 1] {
        wrap(&mut reversed, field);
    }
    reversed.reverse();
    reversed
}
