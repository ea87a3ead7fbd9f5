//! [`Filter`] -> one boolean DataFusion expression, so that search and SQL share plans, pruning and indexes.

use datafusion::{
    common::ScalarValue,
    execution::FunctionRegistry,
    logical_expr::{Expr, col, lit},
};

use super::{Comparison, Field, Filter, Operator, Subject, Text, Value};
use crate::error::Result;

/// Integers up to here are exact as doubles.
const EXACT_DOUBLE: i64 = 1 << 53;

/// Whether `filter` holds on a row of `subject`'s table; never NULL where it is negated.
///
/// # Errors
/// `Internal` when `functions` lacks one that searches need.
pub(crate) fn predicate(filter: &Filter, subject: Subject, functions: &dyn FunctionRegistry) -> Result<Expr> {
    let planner = Planner { subject, functions };
    planner.filter(filter)
}

struct Planner<'a> {
    subject: Subject,
    functions: &'a dyn FunctionRegistry,
}

impl Planner<'_> {
    fn filter(&self, filter: &Filter) -> Result<Expr> {
        Ok(match filter {
            Filter::All => lit(true),
            Filter::Text(text) => self.call("match", vec![col(self.subject.text_column()), lit(match_query(text))])?,
            Filter::Compare(comparison) => self.comparison(comparison)?,
            Filter::And(filters) => self.joined(filters, Expr::and)?,
            Filter::Or(filters) => self.joined(filters, Expr::or)?,
            // A row that lacks the field is not what was excluded.
            Filter::Not(filter) => self.filter(filter)?.is_not_true(),
        })
    }

    fn joined(&self, filters: &[Filter], join: impl Fn(Expr, Expr) -> Expr) -> Result<Expr> {
        let mut joined: Option<Expr> = None;
        for filter in filters {
            let next = self.filter(filter)?;
            joined = Some(match joined {
                Some(before) => join(before, next),
                None => next,
            });
        }
        Ok(joined.unwrap_or_else(|| lit(true)))
    }

    fn comparison(&self, Comparison { field, operator, value }: &Comparison) -> Result<Expr> {
        match field {
            Field::Attribute { map, key } => self.attribute(map, key, *operator, value),
            Field::Severity => Ok(severity(*operator, value)),
            Field::Duration => Ok(match value {
                Value::DurationNano(nanos) => compared(col("duration_nano"), *operator, lit(*nanos)),
                _ => lit(true),
            }),
            Field::Column(column) | Field::Id(column) => Ok(text_comparison(col(*column), *operator, value)),
        }
    }

    /// Attributes have types: a bare number also compares as a number, so `user_id:42` finds 42, 42.0 and "42".
    fn attribute(&self, map: &str, key: &str, operator: Operator, value: &Value) -> Result<Expr> {
        let arguments = || vec![col(map), lit(key)];
        let text = self.call("attribute", arguments())?;
        let Value::Bare(bare) = value else {
            return Ok(text_comparison(text, operator, value));
        };
        let Some(number) = bare.parse::<f64>().ok().filter(|number| number.is_finite()) else {
            return Ok(text_comparison(text, operator, value));
        };
        let numeric = match bare.parse::<i64>() {
            Ok(integer) if integer.unsigned_abs() > EXACT_DOUBLE.unsigned_abs() => {
                compared(self.call("attribute_int", arguments())?, operator, lit(integer))
            }
            _ => compared(self.call("attribute_double", arguments())?, operator, lit(number)),
        };
        Ok(match operator {
            Operator::Equal => text.eq(lit(bare.as_str())).or(numeric),
            _ => numeric,
        })
    }

    fn call(&self, function: &str, arguments: Vec<Expr>) -> Result<Expr> {
        Ok(self.functions.udf(function)?.call(arguments))
    }
}

/// The text as the argument of `match(column, '…')`.
fn match_query(text: &Text) -> String {
    match text {
        // Quotes inside only separate words: they cannot be part of one.
        Text::Phrase(phrase) => format!("\"{}\"", phrase.replace(['"', '\\'], " ")),
        Text::Prefix(prefix) => format!("{prefix}*"),
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

    #[test]
    fn wildcards_become_like_patterns_with_escapes() {
        assert_eq!(like_pattern(&["GET /a_b".into(), String::new()]), r"GET /a\_b%");
        assert_eq!(like_pattern(&[String::new(), "100%".into(), String::new()]), r"%100\%%");
    }

    #[test]
    fn no_quote_leaves_a_phrase() {
        assert_eq!(match_query(&Text::Phrase(r#"a" OR "b"#.into())), r#""a  OR  b""#);
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
