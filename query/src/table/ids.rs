//! Trace and span ids: bytes in storage, lower-case hex text in SQL.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, StringViewBuilder},
    datatypes::DataType,
};
use datafusion::{
    common::{Result, ScalarValue, exec_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};

/// The bytes of an id as stored. `None`: no stored id reads so, and a comparison with it is made as text.
pub(crate) fn parse(text: &str, length: usize) -> Option<Vec<u8>> {
    if text.len() != length * 2 || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    hex::decode(text).ok()
}

/// The id as a literal of the stored type.
pub(crate) fn literal(text: &str, length: i32) -> Option<ScalarValue> {
    let bytes = parse(text, usize::try_from(length).ok()?)?;
    Some(ScalarValue::FixedSizeBinary(length, Some(bytes)))
}

/// `id_text(bytes)`: the hex text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct IdText(Signature);

impl IdText {
    pub(crate) fn udf() -> Arc<ScalarUDF> {
        static UDF: std::sync::LazyLock<Arc<ScalarUDF>> =
            std::sync::LazyLock::new(|| Arc::new(ScalarUDF::from(IdText(Signature::any(1, Volatility::Immutable)))));
        Arc::clone(&UDF)
    }
}

impl ScalarUDFImpl for IdText {
    fn name(&self) -> &str {
        "id_text"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ids] = args.args.as_slice() else { return exec_err!("id_text takes one argument") };
        let ids = ids.to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(Arc::new(id_text(ids.as_ref())?)))
    }
}

/// Hex text of each id.
pub(crate) fn id_text(ids: &dyn Array) -> Result<arrow::array::StringViewArray> {
    let Some(ids) = ids.as_fixed_size_binary_opt() else {
        return exec_err!("an id cannot be read from {}", ids.data_type());
    };
    let mut out = StringViewBuilder::with_capacity(ids.len());
    let mut buffer = [0; 64];
    for id in ids {
        match id {
            None => out.append_null(),
            Some(id) => {
                let text = &mut buffer[..id.len() * 2];
                if hex::encode_to_slice(id, text).is_err() {
                    return exec_err!("an id is longer than 32 bytes");
                }
                out.append_value(str::from_utf8(text).unwrap_or_default());
            }
        }
    }
    Ok(out.finish())
}
