//! Short ways to write OTLP attributes and to draw numbers.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use rand::{Rng, rngs::StdRng};

pub(super) fn string(text: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.into())) }
}

fn entry(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    entry(key, Value::StringValue(value.into()))
}

pub(super) fn int(key: &str, value: i64) -> KeyValue {
    entry(key, Value::IntValue(value))
}

pub(super) fn double(key: &str, value: f64) -> KeyValue {
    entry(key, Value::DoubleValue(value))
}

pub(super) fn flag(key: &str, value: bool) -> KeyValue {
    entry(key, Value::BoolValue(value))
}

pub(super) fn texts(key: &str, values: &[&str]) -> KeyValue {
    entry(key, Value::ArrayValue(ArrayValue { values: values.iter().map(|v| string(*v)).collect() }))
}

/// A log-normal number with this median; `sigma` is the spread of its logarithm. Drawn by the Box-Muller method.
pub(super) fn lognormal(rng: &mut StdRng, median: f64, sigma: f64) -> f64 {
    let radius = (-2.0 * rng.random::<f64>().max(1e-12).ln()).sqrt();
    let angle = std::f64::consts::TAU * rng.random::<f64>();
    median * (sigma * radius * angle.cos()).exp()
}

pub(super) fn pick<T: Copy>(rng: &mut StdRng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

pub(super) fn id<const N: usize>(rng: &mut StdRng) -> [u8; N] {
    // An id of zeros is invalid; one in 2^64 draws is worth the loop.
    loop {
        let bytes: [u8; N] = std::array::from_fn(|_| rng.random());
        if bytes.iter().any(|b| *b != 0) {
            return bytes;
        }
    }
}

pub(super) fn uuid(rng: &mut StdRng) -> String {
    let bits: u128 = rng.random();
    let hex = format!("{bits:032x}");
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}
