use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampNanosecondArray},
    ipc::reader::StreamReader,
};
use axum::http::HeaderValue;

use super::*;

fn batch() -> RecordBatch {
    let times = TimestampNanosecondArray::from(vec![0, 1, 2]).with_timezone("UTC");
    RecordBatch::try_from_iter([
        ("t", Arc::new(times) as ArrayRef),
        ("n", Arc::new(Int64Array::from(vec![Some(-1), None, Some(i64::MAX)]))),
        ("x", Arc::new(Float64Array::from(vec![0.5, f64::NAN, 1e9]))),
        ("s, \"q\"", Arc::new(StringArray::from(vec![Some("=1+1"), None, Some("")]))),
    ])
    .unwrap()
}

fn stats() -> wire::Stats {
    query::Stats { rows: 3, complete: true, ..query::Stats::default() }.into()
}

fn written(format: Format, problem: Option<Problem>) -> io::Result<Vec<u8>> {
    let batch = batch();
    let mut encoder = Encoder::new(format, &batch.schema())?;
    let mut out = encoder.begin();
    out.extend(encoder.rows(&batch.slice(0, 2))?);
    out.extend(encoder.rows(&batch.slice(2, 1))?);
    out.extend(encoder.end(stats(), problem)?);
    Ok(out)
}

fn text(format: Format) -> String {
    String::from_utf8(written(format, None).unwrap()).unwrap()
}

#[test]
fn json_is_one_document() {
    let value: serde_json::Value = serde_json::from_str(&text(Format::Json)).unwrap();
    insta::assert_json_snapshot!(value);
}

#[test]
fn json_and_ndjson_say_when_rows_are_missing() {
    let problem = || Some(Problem::new(axum::http::StatusCode::GATEWAY_TIMEOUT, "too slow"));
    let json: serde_json::Value = serde_json::from_slice(&written(Format::Json, problem()).unwrap()).unwrap();
    assert_eq!(json["error"]["status"], 504);
    assert_eq!(json["rows"].as_array().unwrap().len(), 3);
    let ndjson = String::from_utf8(written(Format::Ndjson, problem()).unwrap()).unwrap();
    assert!(ndjson.lines().last().unwrap().starts_with(r#"{"error":{"#));
    for format in [Format::Csv, Format::Arrow, Format::Parquet] {
        assert!(written(format, problem()).is_err(), "{format:?}");
    }
}

#[test]
fn ndjson_is_one_object_a_line() {
    insta::assert_snapshot!(text(Format::Ndjson));
}

#[test]
fn csv_runs_no_formula_and_tells_null_from_nothing() {
    insta::assert_snapshot!(text(Format::Csv));
    let mut out = Vec::new();
    for cell in ["=cmd", "+1", "-1", "@x", "\tx", "plain", "a \"b\""] {
        write_csv_text(&mut out, cell);
        out.push(b'|');
    }
    assert_eq!(String::from_utf8(out).unwrap(), "'=cmd|'+1|'-1|'@x|'\tx|plain|\"a \"\"b\"\"\"|");
}

#[test]
fn arrow_and_parquet_come_back_equal() {
    let arrow = written(Format::Arrow, None).unwrap();
    let batches: Vec<_> = StreamReader::try_new(arrow.as_slice(), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    assert_eq!(batches[1].column(1).as_primitive::<arrow::datatypes::Int64Type>().value(0), i64::MAX);
    let parquet = written(Format::Parquet, None).unwrap();
    assert_eq!((&parquet[..4], &parquet[parquet.len() - 4..]), (&b"PAR1"[..], &b"PAR1"[..]));
}

#[test]
fn the_first_known_type_of_accept_is_answered() {
    let wanted = |accept: &'static str| {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        Format::wanted(None, &headers).map_err(|problem| problem.body().status)
    };
    assert_eq!(wanted("*/*"), Ok(Format::Json));
    assert_eq!(wanted("text/html,application/xhtml+xml,*/*;q=0.8"), Ok(Format::Json));
    assert_eq!(wanted("Text/CSV"), Ok(Format::Csv));
    assert_eq!(wanted("application/vnd.apache.arrow.stream"), Ok(Format::Arrow));
    assert_eq!(wanted("image/png"), Err(406));
    assert_eq!(Format::wanted(Some("parquet"), &HeaderMap::new()).ok(), Some(Format::Parquet));
    assert!(Format::wanted(Some("xml"), &HeaderMap::new()).is_err());
}
