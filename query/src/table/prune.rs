//! What a query's conditions say about the segments to read. Pure.
//!
//! Only conditions that every row of the answer must meet are looked at; what is not understood prunes nothing.

use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, expr::InList, utils::split_conjunction},
};
use storage::{
    model::{Table, TimeRange},
    segment::TextQuery,
};

use super::ids;
use crate::text::{self, Match};

/// What the rows asked for have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Asked {
    /// First time, in nanoseconds.
    pub(crate) from: Option<i64>,
    /// Last time, included.
    pub(crate) to: Option<i64>,
    /// One of these traces.
    pub(crate) traces: Option<Vec<[u8; 16]>>,
    /// Bodies match all of these.
    pub(crate) texts: Vec<TextQuery>,
}

impl Asked {
    /// Reads the conditions, all of which hold.
    pub(crate) fn of(table: Table, filters: &[Expr]) -> Self {
        let mut asked = Self::default();
        for condition in filters.iter().flat_map(split_conjunction) {
            match condition {
                Expr::BinaryExpr(binary) => asked.binary(table, binary),
                Expr::Between(between) if !between.negated && is_column(&between.expr, table.time_column()) => {
                    if let (Some(low), Some(high)) = (time(&between.low), time(&between.high)) {
                        asked.not_before(low);
                        asked.not_after(high);
                    }
                }
                Expr::InList(list) if !list.negated => asked.in_list(list),
                Expr::ScalarFunction(call) if call.func.name() == Match::NAME => {
                    if let [column, query] = call.args.as_slice()
                        && is_column(column, "body")
                        && let Some(Ok(query)) = string(query).map(text::parse)
                    {
                        asked.texts.push(query);
                    }
                }
                _ => {}
            }
        }
        asked
    }

    /// Whether a row in this range may be asked for.
    pub(crate) fn may_be_in(&self, times: TimeRange) -> bool {
        self.from.is_none_or(|from| from < times.end_unix_nano())
            && self.to.is_none_or(|to| times.start_unix_nano() <= to)
    }

    fn not_before(&mut self, time: i64) {
        self.from = Some(self.from.map_or(time, |from| from.max(time)));
    }

    fn not_after(&mut self, time: i64) {
        self.to = Some(self.to.map_or(time, |to| to.min(time)));
    }

    fn binary(&mut self, table: Table, binary: &BinaryExpr) {
        let turned;
        let binary = if matches!(binary.left.as_ref(), Expr::Literal(..)) {
            let Some(op) = binary.op.swap() else { return };
            turned = BinaryExpr { left: binary.right.clone(), op, right: binary.left.clone() };
            &turned
        } else {
            binary
        };
        if is_column(&binary.left, table.time_column())
            && let Some(time) = time(&binary.right)
        {
            match binary.op {
                Operator::GtEq => self.not_before(time),
                Operator::Gt => self.not_before(time.saturating_add(1)),
                Operator::LtEq => self.not_after(time),
                Operator::Lt => self.not_after(time.saturating_sub(1)),
                Operator::Eq => {
                    self.not_before(time);
                    self.not_after(time);
                }
                _ => {}
            }
        } else if binary.op == Operator::Eq && is_column(&binary.left, "trace_id") {
            self.one_of_traces(std::iter::once(binary.right.as_ref()));
        } else if binary.op == Operator::Or
            && let Some(list) = same_column_or(binary)
        {
            self.one_of_traces(list.into_iter());
        }
    }

    fn in_list(&mut self, list: &InList) {
        if is_column(&list.expr, "trace_id") {
            self.one_of_traces(list.list.iter());
        }
    }

    fn one_of_traces<'a>(&mut self, values: impl Iterator<Item = &'a Expr>) {
        let mut traces = Vec::new();
        for value in values {
            let Some(text) = string(value) else { return };
            // A text that is no id equals no id.
            traces.extend(ids::parse(text, 16).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()));
        }
        self.traces = Some(match self.traces.take() {
            Some(before) => before.into_iter().filter(|trace| traces.contains(trace)).collect(),
            None => traces,
        });
    }
}

/// `trace_id = a OR trace_id = b OR …`: the optimizer writes short lists so.
fn same_column_or(binary: &BinaryExpr) -> Option<Vec<&Expr>> {
    let mut values = Vec::new();
    let mut open = vec![binary.left.as_ref(), binary.right.as_ref()];
    while let Some(expr) = open.pop() {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
        match op {
            Operator::Or => open.extend([left.as_ref(), right.as_ref()]),
            Operator::Eq if is_column(left, "trace_id") => values.push(right.as_ref()),
            _ => return None,
        }
    }
    Some(values)
}

fn is_column(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Column(column) if column.name == name)
}

fn string(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

fn time(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(time), _), _) => Some(*time),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
