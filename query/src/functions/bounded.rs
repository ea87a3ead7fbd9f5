//! Functions whose result may be far larger than their arguments, refused before they exhaust memory.
//!
//! The memory pool sees what operators keep, not what a function builds in one call.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute,
    datatypes::{DataType, Float64Type, Int64Type},
};
use datafusion::{
    common::{
        Result,
        config::ConfigOptions,
        exec_err,
        tree_node::{Transformed, TreeNode},
    },
    functions, functions_nested,
    logical_expr::{
        BinaryExpr, ColumnarValue, Expr, ExprSchemable, ExpressionPlacement, LogicalPlan, Operator, ReturnFieldArgs,
        ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        expr::ScalarFunction,
        expr_rewriter::NamePreserver,
        simplify::{ExprSimplifyResult, SimplifyContext},
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

const MAX_BYTES: f64 = (64 << 20) as f64;
/// What an element of a built list takes at least.
const ELEMENT_BYTES: f64 = 8.0;

/// How large a call's result gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// `f(text, n)`: n times the text.
    Times,
    /// `f(text, n, …)`: n characters.
    PaddedTo,
    /// `f(element, n)`: a list of n elements.
    ListOf,
    /// `f(list, n, …)`: a list resized to n elements.
    ResizedTo,
    /// `f(stop)`, `f(start, stop)`, `f(start, stop, step)`.
    Series,
    /// `f(text, from, to)`.
    Replaced,
    /// `f(text, …)`: all of them.
    Joined,
}

impl Growth {
    /// One call may build this much.
    const fn max_bytes(self) -> f64 {
        match self {
            // What is joined was there before: only doubling again and again gets here.
            Self::Joined => MAX_BYTES * 2.0,
            _ => MAX_BYTES,
        }
    }
}

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    [
        (functions::string::repeat(), Growth::Times),
        (functions::string::replace(), Growth::Replaced),
        (functions::string::concat(), Growth::Joined),
        (functions::string::concat_ws(), Growth::Joined),
        (functions::unicode::lpad(), Growth::PaddedTo),
        (functions::unicode::rpad(), Growth::PaddedTo),
        (functions_nested::repeat::array_repeat_udf(), Growth::ListOf),
        (functions_nested::resize::array_resize_udf(), Growth::ResizedTo),
        (functions_nested::range::range_udf(), Growth::Series),
        (functions_nested::range::gen_series_udf(), Growth::Series),
    ]
    .map(|(inner, growth)| Arc::new(ScalarUDF::from(Bounded { inner, growth })))
    .into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<arrow::datatypes::FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        // The inner function's own simplification could put the unbounded form back.
        Ok(ExprSimplifyResult::Original(args))
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.inner.placement(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        check(self.name(), self.growth, &args)?;
        self.inner.invoke_with_args(args)
    }
}

fn check(name: &str, growth: Growth, args: &ScalarFunctionArgs) -> Result<()> {
    let bytes = result_bytes(growth, &args.args, args.number_rows)?;
    if bytes > growth.max_bytes() {
        return exec_err!(
            "{name} would build {:.0} MiB at once, at most {:.0} MiB are allowed",
            bytes / f64::from(1 << 20),
            growth.max_bytes() / f64::from(1 << 20)
        );
    }
    Ok(())
}

/// `a || b` of texts, bounded: a chain of doublings would otherwise fill memory.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Concat(Signature);

impl ScalarUDFImpl for Concat {
    fn name(&self) -> &'static str {
        "text_concat"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [left, right] if left == right => Ok(left.clone()),
            _ => exec_err!("|| takes two texts of one type"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        check("||", Growth::Joined, &args)?;
        let [left, right] = args.args.as_slice() else { return exec_err!("|| takes two texts") };
        let (left, right) = (left.to_array(args.number_rows)?, right.to_array(args.number_rows)?);
        Ok(ColumnarValue::Array(compute::kernels::concat_elements::concat_elements_dyn(&left, &right)?))
    }
}

/// Puts the bounded form in the place of `||`. Runs after types are coerced: both sides have one text type.
#[derive(Debug)]
pub(crate) struct BoundConcat;

impl AnalyzerRule for BoundConcat {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let concat = Arc::new(ScalarUDF::from(Concat(Signature::any(2, Volatility::Immutable))));
        plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let new = expr.transform_up(|expr| {
                    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) = &expr else {
                        return Ok(Transformed::no(expr));
                    };
                    let text = |expr: &Expr| expr.get_type(&schema).ok().filter(DataType::is_string);
                    if text(left).is_none() || text(left) != text(right) {
                        return Ok(Transformed::no(expr));
                    }
                    let args = vec![left.as_ref().clone(), right.as_ref().clone()];
                    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&concat), args))))
                })?;
                Ok(if new.transformed { new.update_data(|expr| name.restore(expr)) } else { new })
            })
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &'static str {
        "bound_concat"
    }
}

/// Size of a call's result over all its rows; rough, never far below.
fn result_bytes(growth: Growth, args: &[ColumnarValue], rows: usize) -> Result<f64> {
    let arrays: Vec<ArrayRef> = args
        .iter()
        .map(|arg| match arg {
            ColumnarValue::Array(array) => Ok(Arc::clone(array)),
            // One row stands for all: it is counted as often as there are rows.
            ColumnarValue::Scalar(scalar) => scalar.to_array(),
        })
        .collect::<Result<_>>()?;
    let constant = arrays.iter().all(|array| array.len() == 1);
    let (count, times) = if constant { (1, rows as f64) } else { (rows, 1.0) };
    let number = |argument: usize| arrays.get(argument).map(numbers);
    let length = |argument: usize| arrays.get(argument).map(lengths);
    let at = |values: &Option<Vec<f64>>, row: usize, default: f64| match values {
        Some(values) if values.len() == 1 => values[0],
        Some(values) => values.get(row).copied().unwrap_or(default),
        None => default,
    };
    let total: f64 = match growth {
        Growth::Times => {
            let (text, n) = (length(0), number(1));
            (0..count).map(|row| at(&text, row, 0.0) * at(&n, row, 0.0).max(0.0)).sum()
        }
        Growth::PaddedTo => {
            let n = number(1);
            (0..count).map(|row| at(&n, row, 0.0).max(0.0)).sum()
        }
        Growth::ListOf => {
            let (element, n) = (length(0), number(1));
            (0..count).map(|row| (at(&element, row, 0.0) + ELEMENT_BYTES) * at(&n, row, 0.0).max(0.0)).sum()
        }
        Growth::ResizedTo => {
            let n = number(1);
            (0..count).map(|row| at(&n, row, 0.0).max(0.0) * ELEMENT_BYTES).sum()
        }
        Growth::Series => {
            let (first, second, third) = (number(0), number(1), number(2));
            (0..count)
                .map(|row| {
                    let (start, stop) = if second.is_some() {
                        (at(&first, row, 0.0), at(&second, row, 0.0))
                    } else {
                        (0.0, at(&first, row, 0.0))
                    };
                    let step = at(&third, row, 1.0).abs();
                    ((stop - start).abs() / if step > 0.0 { step } else { 1.0 }) * ELEMENT_BYTES
                })
                .sum()
        }
        Growth::Joined => {
            let texts: Vec<_> = (0..arrays.len()).map(length).collect();
            (0..count).map(|row| texts.iter().map(|text| at(text, row, 0.0)).sum::<f64>()).sum()
        }
        Growth::Replaced => {
            let (text, from, to) = (length(0), length(1), length(2));
            (0..count)
                .map(|row| {
                    let text = at(&text, row, 0.0);
                    text + (text / at(&from, row, 1.0).max(1.0)) * at(&to, row, 0.0)
                })
                .sum()
        }
    };
    Ok(total * times)
}

/// Numbers of an argument; 0 for NULL and for what is no number.
fn numbers(array: &ArrayRef) -> Vec<f64> {
    let as_double = compute::cast(array, &DataType::Float64)
        // Timestamps and the like: count their ticks.
        .or_else(|_| compute::cast(array, &DataType::Int64).and_then(|a| compute::cast(&a, &DataType::Float64)));
    match as_double {
        Ok(array) => array.as_primitive::<Float64Type>().iter().map(Option::unwrap_or_default).collect(),
        Err(_) => vec![0.0; array.len()],
    }
}

/// Bytes of each text; a fixed size for other types.
fn lengths(array: &ArrayRef) -> Vec<f64> {
    if let Ok(lengths) = compute::kernels::length::length(array)
        && let Ok(lengths) = compute::cast(&lengths, &DataType::Int64)
    {
        return lengths.as_primitive::<Int64Type>().iter().map(|n| n.unwrap_or_default() as f64).collect();
    }
    vec![ELEMENT_BYTES; array.len()]
}
