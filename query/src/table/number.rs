//! Numbers of metric points: `value` and `value_int` out of the columns in which a segment keeps them.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::{DataFusionError, Result, exec_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};
use storage::segment::number;

/// Which of the two columns is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Value,
    SentInt,
}

/// `number_value(value, value_int, value_scale)` and `number_int(value_int, value_scale)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Number {
    asked: Asked,
    signature: Signature,
}

impl Number {
    fn udf(asked: Asked, columns: usize) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::from(Self { asked, signature: Signature::any(columns, Volatility::Immutable) }))
    }

    /// The function that gives the column of that name, and the columns of a file it takes.
    pub(crate) fn of(column: &str) -> Option<(Arc<ScalarUDF>, &'static [&'static str])> {
        match column {
            "value" => Some((Self::udf(Asked::Value, 3), &["value", "value_int", number::SCALE_COLUMN])),
            "value_int" => Some((Self::udf(Asked::SentInt, 2), &["value_int", number::SCALE_COLUMN])),
            _ => None,
        }
    }
}

impl ScalarUDFImpl for Number {
    fn name(&self) -> &str {
        match self.asked {
            Asked::Value => "number_value",
            Asked::SentInt => "number_int",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.asked {
            Asked::Value => DataType::Float64,
            Asked::SentInt => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let external = |error: storage::error::Error| DataFusionError::External(Box::new(error));
        Ok(ColumnarValue::Array(match (self.asked, columns.as_slice()) {
            (Asked::Value, [value, int, scale]) => Arc::new(number::values(value, int, scale).map_err(external)?),
            (Asked::SentInt, [int, scale]) => Arc::new(number::sent_ints(int, scale).map_err(external)?),
            (_, other) => return exec_err!("{} does not take {} arguments", self.name(), other.len()),
        }))
    }
}
