//! Arrow cells and attribute maps -> JSON text.
//!
//! Numbers that a JSON reader would change (integers beyond 2^53, NaN, infinities) are strings; ids and bytes are hex;
//! timestamps RFC 3339 with nine digits and `Z`.

use std::io::Write as _;

use arrow::{
    array::{Array, AsArray},
    datatypes::{
        DataType, Field, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
        UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
    util::display::{ArrayFormatter, FormatOptions},
};
use query::attributes::{Attributes, Value};
use serde_json::value::RawValue;

use crate::wire::Json;

/// Largest integer that every JSON reader keeps.
const MAX_SAFE_INTEGER: u64 = 1 << 53;

/// Writes one cell. `field` tells what the bytes of a binary column mean.
pub(crate) fn write_cell(out: &mut Vec<u8>, array: &dyn Array, field: &Field, row: usize) {
    if array.is_null(row) {
        out.extend_from_slice(b"null");
        return;
    }
    macro_rules! int {
        ($type:ty) => {
            write_int(out, i128::from(array.as_primitive::<$type>().value(row)))
        };
    }
    match array.data_type() {
        DataType::Null => out.extend_from_slice(b"null"),
        DataType::Boolean => {
            let value: &[u8] = if array.as_boolean().value(row) { b"true" } else { b"false" };
            out.extend_from_slice(value);
        }
        DataType::Int8 => int!(Int8Type),
        DataType::Int16 => int!(Int16Type),
        DataType::Int32 => int!(Int32Type),
        DataType::Int64 => int!(Int64Type),
        DataType::UInt8 => int!(UInt8Type),
        DataType::UInt16 => int!(UInt16Type),
        DataType::UInt32 => int!(UInt32Type),
        DataType::UInt64 => int!(UInt64Type),
        DataType::Float16 => write_double(out, array.as_primitive::<Float16Type>().value(row).to_f64()),
        DataType::Float32 => write_double(out, f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => write_double(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => write_string(out, array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => write_string(out, array.as_string::<i64>().value(row)),
        DataType::Utf8View => write_string(out, array.as_string_view().value(row)),
        DataType::Binary => write_bytes(out, array.as_binary::<i32>().value(row), field),
        DataType::LargeBinary => write_bytes(out, array.as_binary::<i64>().value(row), field),
        DataType::BinaryView => write_bytes(out, array.as_binary_view().value(row), field),
        DataType::FixedSizeBinary(_) => write_string(out, &hex::encode(array.as_fixed_size_binary().value(row))),
        DataType::Timestamp(unit, _) => match timestamp_nano(array, *unit, row) {
            Some(nanos) => {
                out.push(b'"');
                write_timestamp(out, nanos);
                out.push(b'"');
            }
            None => write_formatted(out, array, row),
        },
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let key = dictionary.normalized_keys()[row];
            write_cell(out, dictionary.values().as_ref(), field, key);
        }
        DataType::List(item) => write_list(out, array.as_list::<i32>().value(row).as_ref(), item),
        DataType::LargeList(item) => write_list(out, array.as_list::<i64>().value(row).as_ref(), item),
        DataType::FixedSizeList(item, _) => write_list(out, array.as_fixed_size_list().value(row).as_ref(), item),
        DataType::Struct(fields) => {
            out.push(b'{');
            for (i, (column, field)) in array.as_struct().columns().iter().zip(fields).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(out, field.name());
                out.push(b':');
                write_cell(out, column.as_ref(), field, row);
            }
            out.push(b'}');
        }
        // Dates, times, intervals, decimals, maps: text, so that no digit is lost.
        _ => write_formatted(out, array, row),
    }
}

fn write_list(out: &mut Vec<u8>, items: &dyn Array, field: &Field) {
    out.push(b'[');
    for row in 0..items.len() {
        if row > 0 {
            out.push(b',');
        }
        write_cell(out, items, field, row);
    }
    out.push(b']');
}

/// As text in quotes, the way Arrow shows it.
fn write_formatted(out: &mut Vec<u8>, array: &dyn Array, row: usize) {
    let options = FormatOptions::default();
    let text = match ArrayFormatter::try_new(array, &options) {
        Ok(formatter) => formatter.value(row).to_string(),
        Err(error) => error.to_string(),
    };
    write_string(out, &text);
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8], field: &Field) {
    match field.metadata().get(query::KIND_KEY).map(String::as_str) {
        Some(query::KIND_ATTRIBUTES) => write_map(out, Attributes::new(bytes)),
        Some(query::KIND_VALUE) => match Value::read(bytes) {
            Some(value) => write_value(out, value),
            None => out.extend_from_slice(b"null"),
        },
        _ => write_string(out, &hex::encode(bytes)),
    }
}

fn write_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Value::Int(value) => write_int(out, i128::from(value)),
        Value::Double(value) => write_double(out, value),
        Value::String(text) => write_string(out, text),
        Value::Bytes(bytes) => write_string(out, &hex::encode(bytes)),
        Value::Array(array) => {
            out.push(b'[');
            for (i, item) in array.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(out, item);
            }
            out.push(b']');
        }
        Value::Map(map) => write_map(out, map),
    }
}

fn write_map(out: &mut Vec<u8>, map: Attributes<'_>) {
    out.push(b'{');
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(out, key);
        out.push(b':');
        write_value(out, value);
    }
    out.push(b'}');
}

pub(crate) fn write_int(out: &mut Vec<u8>, value: i128) {
    let quoted = value.unsigned_abs() > u128::from(MAX_SAFE_INTEGER);
    // Writing to a vector does not fail.
    let _ = if quoted { write!(out, "\"{value}\"") } else { write!(out, "{value}") };
}

fn write_double(out: &mut Vec<u8>, value: f64) {
    let special = if value.is_finite() {
        let _ = serde_json::to_writer(out, &value);
        return;
    } else if value.is_nan() {
        "\"NaN\""
    } else if value > 0.0 {
        "\"Infinity\""
    } else {
        "\"-Infinity\""
    };
    out.extend_from_slice(special.as_bytes());
}

pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}

/// An encoded attribute map as a JSON object.
pub(crate) fn attributes(bytes: &[u8]) -> Json {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    write_map(&mut out, Attributes::new(bytes));
    String::from_utf8(out).ok().and_then(|text| RawValue::from_string(text).ok()).unwrap_or_default()
}

/// RFC 3339 with nine digits and `Z`.
pub(crate) fn timestamp(unix_nano: i64) -> String {
    let mut out = Vec::with_capacity(30);
    write_timestamp(&mut out, unix_nano);
    String::from_utf8(out).unwrap_or_default()
}

fn timestamp_nano(array: &dyn Array, unit: TimeUnit, row: usize) -> Option<i64> {
    use arrow::datatypes::{
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    };
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000_000),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000_000),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row).checked_mul(1000),
        TimeUnit::Nanosecond => Some(array.as_primitive::<TimestampNanosecondType>().value(row)),
    }
}

/// All instants of an `i64` of nanoseconds lie in years 1677 to 2262: four digits always.
fn write_timestamp(out: &mut Vec<u8>, unix_nano: i64) {
    let seconds = unix_nano.div_euclid(1_000_000_000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second_of_day = seconds.rem_euclid(86_400);
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        second_of_day / 3600,
        second_of_day / 60 % 60,
        second_of_day % 60,
        unix_nano.rem_euclid(1_000_000_000)
    );
}

/// Days since 1970 -> year, month, day. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests;
