//! [`Filter`] -> one boolean DataFusion expression, so that search and SQL share plans, pruning and indexes.

use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, col, lit},
};

use storage::model::TimeRange;

use super::{Comparison, Field, Filter, Operator, Subject, Text, Value};
use crate::{
    error::Result,
    functions::{attribute, attribute_double, attribute_int, matches},
};

/// Integers up to here are exact as doubles.
const EXACT_DOUBLE: u64 = 1 << 53;

/// Whether `filter` holds on a row of `subject`'s table; never NULL where it is negated.
///
/// # Errors
/// `Invalid` for text that `match` cannot look for.
pub(crate) fn predicate(filter: &Filter, subject: Subject) -> Result<Expr> {
    if let Some(query) = match_query(filter, 0) {
        crate::text::parse(&query)?;
        return Ok(matches(col(subject.text_column()), &query));
    }
    Ok(match filter {
        // Text has been dealt with.
        Filter::All | Filter::Text(_) => lit(true),
        Filter::Compare(comparison) => comparison_predicate(comparison),
        Filter::And(filters) => joined(filters, subject, Expr::and)?,
        Filter::Or(filters) => joined(filters, subject, Expr::or)?,
        // A row that lacks the field is not what was excluded.
        Filter::Not(filter) => predicate(filter, subject)?.is_not_true(),
    })
}

/// Whether a time column lies in `range`.
pub(crate) fn during(column: &str, range: TimeRange) -> Expr {
    col(column)
        .gt_eq(lit(timestamp(range.start_unix_nano())))
        .and(col(column).lt(lit(timestamp(range.end_unix_nano()))))
}

/// A literal of the type that time columns have.
pub(crate) fn timestamp(unix_nano: i64) -> ScalarValue {
    ScalarValue::TimestampNanosecond(Some(unix_nano), Some("UTC".into()))
}

fn joined(filters: &[Filter], subject: Subject, join: impl Fn(Expr, Expr) -> Expr) -> Result<Expr> {
    let mut joined: Option<Expr> = None;
    for filter in filters {
        let next = predicate(filter, subject)?;
        joined = Some(match joined {
            Some(before) => join(before, next),
            None => next,
        });
    }
    Ok(joined.unwrap_or_else(|| lit(true)))
}

fn comparison_predicate(Comparison { field, operator, value }: &Comparison) -> Expr {
    match field {
        Field::Attribute { map, key } => attribute_comparison(map, key, *operator, value),
        Field::Severity => severity(*operator, value),
        Field::Duration => match value {
            Value::DurationNano(nanos) => compared(col("duration_nano"), *operator, lit(*nanos)),
            _ => lit(true),
        },
        Field::Column(column) | Field::Id(column) => text_comparison(col(*column), *operator, value),
    }
}

/// Attributes have types: a bare number also compares as a number, so `user_id:42` finds 42, 42.0 and "42".
fn attribute_comparison(map: &str, key: &str, operator: Operator, value: &Value) -> Expr {
    let text = attribute(col(map), key);
    let Value::Bare(bare) = value else {
        return text_comparison(text, operator, value);
    };
    let Some(number) = bare.parse::<f64>().ok().filter(|number| number.is_finite()) else {
        return text_comparison(text, operator, value);
    };
    let numeric = match bare.parse::<i64>() {
        Ok(integer) if integer.unsigned_abs() > EXACT_DOUBLE => {
            compared(attribute_int(col(map), key), operator, lit(integer))
        }
        _ => compared(attribute_double(col(map), key), operator, lit(number)),
    };
    match operator {
        Operator::Equal => text.eq(lit(bare.as_str())).or(numeric),
        _ => numeric,
    }
}

/// Deepest nesting of text that becomes one `match`; deeper text is as many.
const MAX_MATCH_DEPTH: usize = 8;

/// A filter that is text only as the argument of one `match(column, '…')`: the index answers it at once.
fn match_query(filter: &Filter, depth: usize) -> Option<String> {
    let group = |filters: &[Filter], word: &str| {
        let parts = filters.iter().map(|part| match_query(part, depth + 1)).collect::<Option<Vec<_>>>()?;
        Some(format!("({})", parts.join(word)))
    };
    match filter {
        // Quotes inside only separate words: they cannot be part of one.
        Filter::Text(Text::Phrase(phrase)) => Some(format!("\"{}\"", phrase.replace(['"', '\\'], " "))),
        Filter::Text(Text::Prefix(prefix)) => Some(format!("{prefix}*")),
        Filter::And(filters) if depth < MAX_MATCH_DEPTH => group(filters, " AND "),
        Filter::Or(filters) if depth < MAX_MATCH_DEPTH => group(filters, " OR "),
        _ => None,
    }
}

fn severity(operator: Operator, value: &Value) -> Expr {
    let number = || col("severity_number");
    let Value::Severity(level) = value else {
        return number().not_eq(lit(0));
    };
    let (low, high) = (*level.start(), *level.end());
    match operator {
        Operator::Equal if low == high => number().eq(lit(low)),
        Operator::Equal => number().between(lit(low), lit(high)),
        Operator::Greater => number().gt(lit(high)),
        Operator::GreaterOrEqual => number().gt_eq(lit(low)),
        // A record without a level is not below any.
        Operator::Less => number().between(lit(1), lit(low - 1)),
        Operator::LessOrEqual => number().between(lit(1), lit(high)),
    }
}

fn text_comparison(left: Expr, operator: Operator, value: &Value) -> Expr {
    match value {
        Value::Any => left.is_not_null(),
        Value::Wildcard(pieces) => left.like(lit(like_pattern(pieces))),
        Value::Exact(text) | Value::Bare(text) => compared(left, operator, lit(text.as_str())),
        // The parser gives these to their own fields only.
        Value::Severity(_) | Value::DurationNano(_) => lit(ScalarValue::Boolean(None)),
    }
}

fn compared(left: Expr, operator: Operator, right: Expr) -> Expr {
    match operator {
        Operator::Equal => left.eq(right),
        Operator::Less => left.lt(right),
        Operator::LessOrEqual => left.lt_eq(right),
        Operator::Greater => left.gt(right),
        Operator::GreaterOrEqual => left.gt_eq(right),
    }
}

/// Pieces with anything between them, as a `LIKE` pattern (escape character `\`).
fn like_pattern(pieces: &[String]) -> String {
    let escaped = pieces.iter().map(|piece| piece.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_"));
    escaped.collect::<Vec<_>>().join("%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::parse;

    #[test]
    fn wildcards_become_like_patterns_with_escapes() {
        assert_eq!(like_pattern(&["GET /a_b".into(), String::new()]), r"GET /a\_b%");
        assert_eq!(like_pattern(&[String::new(), "100%".into(), String::new()]), r"%100\%%");
    }

    #[test]
    fn no_quote_leaves_a_phrase() {
        let phrase = Filter::Text(Text::Phrase(r#"a" OR "b"#.into()));
        assert_eq!(match_query(&phrase, 0).unwrap(), r#""a  OR  b""#);
    }

    #[test]
    fn text_is_one_match_and_negation_is_not_in_it() {
        let filter = parse("a (b OR c*) -d", Subject::Logs).unwrap();
        assert_eq!(
            predicate(&filter, Subject::Logs).unwrap().to_string(),
            r#"match(body, Utf8(""a"")) AND match(body, Utf8("("b" OR c*)")) AND match(body, Utf8(""d"")) IS NOT TRUE"#
        );
    }

    #[test]
    fn levels_are_ranges_of_numbers() {
        let warn = Value::Severity(13..=16);
        let text = |operator| severity(operator, &warn).to_string();
        assert_eq!(text(Operator::GreaterOrEqual), "severity_number >= Int32(13)");
        assert_eq!(text(Operator::Greater), "severity_number > Int32(16)");
        assert_eq!(text(Operator::Less), "severity_number BETWEEN Int32(1) AND Int32(12)");
    }
}
