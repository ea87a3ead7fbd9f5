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
    common::{Result, exec_err},
    functions, functions_nested,
    logical_expr::{
        ColumnarValue, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};

/// One call may build this much.
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
}

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    [
        (functions::string::repeat(), Growth::Times),
        (functions::string::replace(), Growth::Replaced),
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
        let bytes = result_bytes(self.growth, &args.args, args.number_rows)?;
        if bytes > MAX_BYTES {
            return exec_err!(
                "{} would build {:.0} MiB at once, at most {:.0} MiB are allowed",
                self.name(),
                bytes / f64::from(1 << 20),
                MAX_BYTES / f64::from(1 << 20)
            );
        }
        self.inner.invoke_with_args(args)
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
