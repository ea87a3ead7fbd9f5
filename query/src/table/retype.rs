//! `attributes['k']` in SQL: becomes a lookup of text, and of another type where its surroundings ask for one.
//!
//! Beside a number it is a double (an integer beside integers too large for a double), beside a truth value a boolean,
//! in a cast or a numeric aggregate what that wants. SQL is retyped while it is planned, because an addition to text is
//! refused right there; plans built by code, and what planning does not pass by, in an analyzer rule before coercion.

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, Result, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Cast, Expr, ExprSchemable, GetFieldAccess, LogicalPlan, Operator, SortExpr, TryCast,
        expr::{AggregateFunctionParams, Alias, ScalarFunction, WindowFunctionParams},
        expr_rewriter::NamePreserver,
        planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawFieldAccessExpr, RawWindowExpr},
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
    prelude::lit,
    sql::sqlparser::ast::BinaryOperator,
};

use super::attributes::{Asked, Json, Lookup, is_map, lookup};

/// Integers up to here are exact as doubles.
const EXACT_IN_DOUBLE: u64 = 1 << 53;

/// Aggregates that want numbers. `min` and `max` are not among them: text has an order too.
const NUMERIC_AGGREGATES: [&str; 23] = [
    "approx_median",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "avg",
    "corr",
    "covar_pop",
    "covar_samp",
    "mean",
    "median",
    "percentile_cont",
    "quantile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "sum",
    "var",
    "var_pop",
    "var_samp",
];

/// The lookup of `key` in a map, as text.
pub(crate) fn attribute(map: Expr, key: Expr, asked: Asked) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(lookup(asked), vec![map, key]))
}

/// The arguments of a lookup of text.
fn text_lookup(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args })
            if func.inner().downcast_ref::<Lookup>().is_some_and(|lookup| lookup.asked == Asked::Text) =>
        {
            Some(args)
        }
        Expr::Alias(Alias { expr, .. }) => text_lookup(expr),
        _ => None,
    }
}

fn retyped(expr: &Expr, asked: Asked) -> Option<Expr> {
    let args = text_lookup(expr)?;
    Some(Expr::ScalarFunction(ScalarFunction::new_udf(lookup(asked), args.to_vec())))
}

fn retype(expr: &mut Expr, asked: Option<Asked>) -> bool {
    match asked.and_then(|asked| retyped(expr, asked)) {
        Some(new) => {
            *expr = new;
            true
        }
        None => false,
    }
}

/// In which type an attribute is to be compared with, or added to, `other`.
fn asked_beside(other: &Expr, schema: &DFSchema) -> Option<Asked> {
    if let Expr::Literal(value, _) = other {
        return match value {
            ScalarValue::Int64(Some(value)) if value.unsigned_abs() > EXACT_IN_DOUBLE => Some(Asked::Int),
            ScalarValue::UInt64(Some(value)) if *value > EXACT_IN_DOUBLE && i64::try_from(*value).is_ok() => {
                Some(Asked::Int)
            }
            value => asked_for(&value.data_type()),
        };
    }
    if let Expr::Negative(inner) = other {
        return asked_beside(inner, schema);
    }
    if text_lookup(other).is_some() {
        return None;
    }
    asked_for(&other.get_type(schema).ok()?)
}

fn asked_for(data_type: &DataType) -> Option<Asked> {
    match data_type {
        DataType::Boolean => Some(Asked::Bool),
        other if other.is_numeric() => Some(Asked::Double),
        _ => None,
    }
}

/// Retypes both sides of an operator. `true` when something changed.
fn retype_sides(left: &mut Expr, right: &mut Expr, arithmetic: bool, schema: &DFSchema) -> bool {
    if text_lookup(left).is_none() && text_lookup(right).is_none() {
        return false;
    }
    let number = arithmetic.then_some(Asked::Double);
    let temporal = |expr: &Expr| expr.get_type(schema).is_ok_and(|t| t.is_temporal());
    if arithmetic && (temporal(left) || temporal(right)) {
        return false;
    }
    let asked_left = asked_beside(right, schema).or(number);
    let asked_right = asked_beside(left, schema).or(number);
    let changed = retype(left, asked_left);
    retype(right, asked_right) || changed
}

/// Plans `attributes['k']` and operators beside it.
#[derive(Debug)]
pub(crate) struct AttributePlanner;

impl ExprPlanner for AttributePlanner {
    fn plan_field_access(
        &self,
        raw: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if !raw.expr.to_field(schema).is_ok_and(|(_, field)| is_map(&field)) {
            return Ok(PlannerResult::Original(raw));
        }
        let RawFieldAccessExpr { field_access, expr } = raw;
        match field_access {
            GetFieldAccess::NamedStructField { name } => {
                Ok(PlannerResult::Planned(attribute(expr, lit(name), Asked::Text)))
            }
            GetFieldAccess::ListIndex { key } => Ok(PlannerResult::Planned(attribute(expr, *key, Asked::Text))),
            field_access @ GetFieldAccess::ListRange { .. } => {
                Ok(PlannerResult::Original(RawFieldAccessExpr { field_access, expr }))
            }
        }
    }

    fn plan_binary_op(&self, mut raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
        let arithmetic = matches!(raw.op, Plus | Minus | Multiply | Divide | Modulo);
        let comparison = matches!(
            raw.op,
            BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq
                | BinaryOperator::And
                | BinaryOperator::Or
        );
        if matches!(raw.op, BinaryOperator::And | BinaryOperator::Or) {
            retype(&mut raw.left, Some(Asked::Bool));
            retype(&mut raw.right, Some(Asked::Bool));
        } else if arithmetic || comparison {
            retype_sides(&mut raw.left, &mut raw.right, arithmetic, schema);
        }
        Ok(PlannerResult::Original(raw))
    }

    fn plan_aggregate(&self, mut raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        retype_aggregate(raw.func.name(), &mut raw.args, &mut raw.order_by);
        Ok(PlannerResult::Original(raw))
    }

    fn plan_window(&self, mut raw: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        // The window's own order stays text: only what is aggregated has to be a number.
        retype_aggregate(raw.func_def.name(), &mut raw.args, &mut []);
        Ok(PlannerResult::Original(raw))
    }
}

fn retype_aggregate(name: &str, args: &mut [Expr], order_by: &mut [SortExpr]) -> bool {
    if !NUMERIC_AGGREGATES.contains(&name) {
        return false;
    }
    let mut changed = false;
    for arg in args.iter_mut().chain(order_by.iter_mut().map(|sort| &mut sort.expr)) {
        changed |= retype(arg, Some(Asked::Double));
    }
    changed
}

/// Retypes lookups in whole plans, before types are coerced.
#[derive(Debug)]
pub(crate) struct RetypeAttributes;

impl AnalyzerRule for RetypeAttributes {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let mut schema = merge_schema(&plan.inputs());
            if let LogicalPlan::TableScan(scan) = &plan {
                schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
            }
            let names = NamePreserver::new(&plan);
            let plan = plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let new = expr.transform_up(|expr| retype_expr(expr, &schema))?;
                Ok(if new.transformed { new.update_data(|expr| name.restore(expr)) } else { new })
            })?;
            if plan.transformed { plan.map_data(LogicalPlan::recompute_schema) } else { Ok(plan) }
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &'static str {
        "retype_attributes"
    }
}

fn retype_expr(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Expr::Cast(Cast { expr: inner, field }) | Expr::TryCast(TryCast { expr: inner, field }) = &expr {
        let cast = retype_cast(inner, field.data_type(), schema);
        return Ok(cast.map_or_else(|| Transformed::no(expr), Transformed::yes));
    }
    let changed = match &mut expr {
        Expr::BinaryExpr(binary) => {
            use Operator::{And, Divide, Minus, Modulo, Multiply, Or, Plus};
            match binary.op {
                And | Or => {
                    let left = retype(&mut binary.left, Some(Asked::Bool));
                    retype(&mut binary.right, Some(Asked::Bool)) || left
                }
                Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                    retype_sides(&mut binary.left, &mut binary.right, false, schema)
                }
                Plus | Minus | Multiply | Divide | Modulo => {
                    retype_sides(&mut binary.left, &mut binary.right, true, schema)
                }
                _ => false,
            }
        }
        Expr::Between(between) => {
            let asked = asked_beside(&between.low, schema).max_int(asked_beside(&between.high, schema));
            retype(&mut between.expr, asked)
        }
        Expr::InList(list) => {
            let asked = list.list.iter().map(|item| asked_beside(item, schema)).reduce(AskedExt::max_int).flatten();
            retype(&mut list.expr, asked)
        }
        Expr::Negative(inner) => retype(inner, Some(Asked::Double)),
        Expr::Not(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner) => retype(inner, Some(Asked::Bool)),
        Expr::AggregateFunction(aggregate) => {
            let AggregateFunctionParams { args, order_by, .. } = &mut aggregate.params;
            retype_aggregate(aggregate.func.name(), args, order_by)
        }
        Expr::WindowFunction(window) => {
            let WindowFunctionParams { args, .. } = &mut window.params;
            retype_aggregate(window.fun.name(), args, &mut [])
        }
        _ => false,
    };
    Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
}

/// `CAST(attributes['k'] AS DOUBLE)`: a value of another type is NULL. `CAST(attributes AS VARCHAR)`: JSON.
fn retype_cast(inner: &Expr, wanted: &DataType, schema: &DFSchema) -> Option<Expr> {
    let try_cast = |expr: Expr| Expr::TryCast(TryCast::new(Box::new(expr), wanted.clone()));
    let text = matches!(wanted, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if text_lookup(inner).is_some() {
        let asked = match wanted {
            DataType::Boolean => Asked::Bool,
            other if other.is_integer() => Asked::Int,
            other if other.is_numeric() => Asked::Double,
            _ if text => return None,
            // A text that is no date is NULL as well.
            _ => Asked::Text,
        };
        // Never an error: a value beyond the wanted type's range is NULL.
        return retyped(inner, asked).map(try_cast);
    }
    let map = matches!(inner, Expr::Column(_)) && inner.to_field(schema).is_ok_and(|(_, field)| is_map(&field));
    (text && map).then(|| try_cast(Expr::ScalarFunction(ScalarFunction::new_udf(json(), vec![inner.clone()]))))
}

fn json() -> std::sync::Arc<datafusion::logical_expr::ScalarUDF> {
    std::sync::Arc::new(Json::new().into())
}

trait AskedExt {
    /// Of two wishes the one that keeps most: integers before doubles.
    fn max_int(self, other: Self) -> Self;
}

impl AskedExt for Option<Asked> {
    fn max_int(self, other: Self) -> Self {
        match (self, other) {
            (Some(Asked::Int), _) | (_, Some(Asked::Int)) => Some(Asked::Int),
            (first, second) => first.or(second),
        }
    }
}

#[cfg(test)]
mod tests;
