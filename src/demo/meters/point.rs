//! Short ways to write OTLP metrics of one point.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{AggregationTemporality, Gauge, Metric, NumberDataPoint, Sum, metric, number_data_point::Value},
};

pub(super) fn metric(name: &str, unit: &str, data: metric::Data) -> Metric {
    let description = match name {
        "http.server.request.duration" => "Duration of HTTP server requests.",
        "rpc.server.call.duration" => "Duration of inbound RPCs.",
        "db.client.operation.duration" => "Duration of database client operations.",
        _ => "",
    };
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        data: Some(data),
        ..Default::default()
    }
}

pub(super) fn gauge(attributes: Vec<KeyValue>, now: u64, value: Value) -> metric::Data {
    let point = NumberDataPoint { attributes, time_unix_nano: now, value: Some(value), ..Default::default() };
    metric::Data::Gauge(Gauge { data_points: vec![point] })
}

pub(super) fn sum(
    attributes: Vec<KeyValue>,
    (start, now): (u64, u64),
    value: Value,
    is_monotonic: bool,
) -> metric::Data {
    let point = NumberDataPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(value),
        ..Default::default()
    };
    metric::Data::Sum(Sum {
        data_points: vec![point],
        aggregation_temporality: AggregationTemporality::Cumulative as i32,
        is_monotonic,
    })
}
