use std::{collections::HashMap, sync::Arc};

use arrow::array::{
    ArrayRef, BinaryArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int64Array, ListArray, StringArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::Int32Type;
use query::attributes::{ValueSink as _, encode};

use super::*;

fn cells(array: ArrayRef, kind: Option<&str>) -> String {
    let mut field = Field::new("c", array.data_type().clone(), true);
    if let Some(kind) = kind {
        field = field.with_metadata(HashMap::from([(query::KIND_KEY.to_owned(), kind.to_owned())]));
    }
    let mut out = Vec::new();
    for row in 0..array.len() {
        write_cell(&mut out, array.as_ref(), &field, row);
        out.push(b' ');
    }
    String::from_utf8(out).unwrap().trim_end().to_owned()
}

#[test]
fn numbers_that_json_readers_would_change_are_strings() {
    let limit = 1i64 << 53;
    let ints = Int64Array::from(vec![Some(limit), Some(limit + 1), Some(i64::MIN), None]);
    assert_eq!(cells(Arc::new(ints), None), r#"9007199254740992 "9007199254740993" "-9223372036854775808" null"#);
    assert_eq!(cells(Arc::new(UInt64Array::from(vec![u64::MAX])), None), r#""18446744073709551615""#);
    let doubles = Float64Array::from(vec![1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300]);
    assert_eq!(cells(Arc::new(doubles), None), r#"1.5 "NaN" "Infinity" "-Infinity" -0.0 1e+300"#);
}

#[test]
fn times_have_nine_digits_and_ids_are_hex() {
    let times = TimestampNanosecondArray::from(vec![0, 1_795_000_000_000_000_001, -1, i64::MIN, i64::MAX]);
    assert_eq!(
        cells(Arc::new(times.with_timezone("UTC")), None),
        r#""1970-01-01T00:00:00.000000000Z" "2026-11-18T11:06:40.000000001Z" "1969-12-31T23:59:59.999999999Z" "1677-09-21T00:12:43.145224192Z" "2262-04-11T23:47:16.854775807Z""#
    );
    let ids = FixedSizeBinaryArray::try_from(vec![&[0xabu8, 0x01][..]]).unwrap();
    assert_eq!(cells(Arc::new(ids), None), r#""ab01""#);
}

#[test]
fn attribute_maps_are_objects_with_the_same_rules() {
    let mut array = Vec::new();
    array.array(2, |sink| {
        sink.int(i64::MAX);
        sink.bytes(&[255]);
    });
    let map = encode([
        ("__proto__", Value::Double(f64::NAN)),
        ("big", Value::Int(i64::MAX)),
        ("list", Value::read(&array).unwrap()),
        ("text", Value::String("\"\u{1}é</script>")),
    ]);
    let column: ArrayRef = Arc::new(BinaryArray::from(vec![map.as_slice()]));
    let expected = r#"{"__proto__":"NaN","big":"9223372036854775807","list":["9223372036854775807","ff"],"text":"\"\u0001é</script>"}"#;
    assert_eq!(cells(column.clone(), Some(query::KIND_ATTRIBUTES)), expected);
    assert_eq!(attributes(&map).get(), expected);
    assert!(cells(column, None).starts_with('"'));
}

#[test]
fn nested_and_dictionary_columns_are_written_by_value() {
    let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    assert_eq!(cells(Arc::new(dictionary), None), r#""a" null "b" "a""#);
    let list = ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(vec![Some(vec![Some(1), None])]);
    assert_eq!(cells(Arc::new(list), None), "[1,null]");
    assert_eq!(cells(Arc::new(StringArray::from(vec!["x\n"])), None), r#""x\n""#);
}

#[test]
fn times_agree_with_a_calendar_library() {
    for days in (-106_000..106_000).step_by(97) {
        let nanos = days * 86_400_000_000_000 + 12_345;
        let expected = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
        assert_eq!(timestamp(nanos).parse::<jiff::Timestamp>().unwrap(), expected);
    }
}
