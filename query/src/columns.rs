//! Typed access to the columns of an answer, by name.

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Int64Array, StringArray},
    compute::cast,
    datatypes::{DataType, Int64Type},
    record_batch::RecordBatch,
};

use crate::error::{Error, Result};

/// Columns of one batch. A column of a neighbouring type (a dictionary, a narrower integer) is converted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a>(pub &'a RecordBatch);

impl Columns<'_> {
    pub(crate) fn text(self, name: &str) -> Result<StringArray> {
        let column = self.column(name)?;
        if let DataType::FixedSizeBinary(_) = column.data_type() {
            let ids = column.as_fixed_size_binary();
            return Ok((0..ids.len()).map(|row| ids.is_valid(row).then(|| hex::encode(ids.value(row)))).collect());
        }
        Ok(self.converted(name, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    pub(crate) fn int(self, name: &str) -> Result<Int64Array> {
        Ok(self.converted(name, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    }

    pub(crate) fn bool(self, name: &str) -> Result<BooleanArray> {
        Ok(self.converted(name, &DataType::Boolean)?.as_boolean().clone())
    }

    pub(crate) fn binary(self, name: &str) -> Result<BinaryArray> {
        Ok(self.converted(name, &DataType::Binary)?.as_binary::<i32>().clone())
    }

    fn converted(self, name: &str, to: &DataType) -> Result<ArrayRef> {
        cast(&self.column(name)?, to).map_err(|error| Error::internal(format!("column {name}: {error}")))
    }

    pub(crate) fn column(self, name: &str) -> Result<ArrayRef> {
        self.0.column_by_name(name).cloned().ok_or_else(|| Error::internal(format!("the answer has no column {name}")))
    }
}

/// A cell that may be NULL.
pub(crate) fn optional(array: &StringArray, row: usize) -> Option<String> {
    array.is_valid(row).then(|| array.value(row).to_owned())
}
