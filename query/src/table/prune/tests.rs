use datafusion::prelude::{col, lit};

use super::*;

fn at(nano: i64) -> Expr {
    lit(ScalarValue::TimestampNanosecond(Some(nano), Some("UTC".into())))
}

#[test]
fn bounds_of_all_conditions_together() {
    let filters = [col("timestamp").gt(at(5)).and(lit(100i64).eq(lit(1i64))), at(90).gt_eq(col("timestamp"))];
    let asked = Asked::of(Table::Logs, &filters);
    assert_eq!((asked.from, asked.to), (Some(6), Some(90)));
    let range = |start, end| TimeRange::new(start, end).unwrap();
    assert!(asked.may_be_in(range(0, 7)) && !asked.may_be_in(range(0, 6)));
    assert!(asked.may_be_in(range(90, 91)) && !asked.may_be_in(range(91, 99)));
}

#[test]
fn alternatives_prune_nothing() {
    let filters = [col("timestamp").gt(at(5)).or(col("body").eq(lit("x")))];
    assert_eq!(Asked::of(Table::Logs, &filters), Asked::default());
    // spans have another time column
    assert_eq!(Asked::of(Table::Spans, &[col("timestamp").gt(at(5))]), Asked::default());
}

#[test]
fn traces_by_equality_list_and_alternatives() {
    let (a, b) = ("0".repeat(31) + "a", "0".repeat(31) + "b");
    let one = Asked::of(Table::Spans, &[col("trace_id").eq(lit(a.as_str()))]);
    assert_eq!(one.traces.unwrap().len(), 1);
    let list = col("trace_id").in_list(vec![lit(a.as_str()), lit(b.as_str())], false);
    assert_eq!(Asked::of(Table::Spans, &[list]).traces.unwrap().len(), 2);
    let or = col("trace_id").eq(lit(a.as_str())).or(col("trace_id").eq(lit(b.as_str())));
    assert_eq!(Asked::of(Table::Spans, std::slice::from_ref(&or)).traces.unwrap().len(), 2);
    // no id reads so: no trace
    assert_eq!(Asked::of(Table::Spans, &[col("trace_id").eq(lit("xyz"))]).traces.unwrap().len(), 0);
    let mixed = or.or(col("name").eq(lit("x")));
    assert_eq!(Asked::of(Table::Spans, &[mixed]).traces, None);
}
