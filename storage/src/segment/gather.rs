//! Rows from anywhere in many batches, in a new order.
//!
//! Labels of all batches share one dictionary afterwards: it is made once, and each row costs one lookup.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanBufferBuilder, DictionaryArray, FixedSizeBinaryArray, Int32Array,
        RecordBatch, StringArray,
    },
    buffer::{Buffer, NullBuffer, OffsetBuffer},
    compute::interleave,
    datatypes::{DataType, Int32Type, SchemaRef},
};
use hashbrown::HashMap;

use super::order::{Position, column};
use crate::error::{Error, Result};

/// Columns of several batches, ready to be picked from by row.
pub(crate) struct Gather<'a> {
    schema: SchemaRef,
    columns: Vec<Column<'a>>,
}

enum Column<'a> {
    Plain(Vec<&'a dyn Array>),
    Ids(Vec<&'a FixedSizeBinaryArray>, i32),
    Labels { batches: Vec<&'a DictionaryArray<Int32Type>>, keys: Vec<Vec<i32>>, values: ArrayRef },
}

impl<'a> Gather<'a> {
    /// Picks the columns of `schema` out of batches that have at least these.
    pub(crate) fn new(batches: &'a [RecordBatch], schema: SchemaRef) -> Result<Self> {
        let columns = schema
            .fields()
            .iter()
            .map(|field| {
                let arrays = batches.iter().map(|batch| column(batch, field.name())).collect::<Result<Vec<_>>>()?;
                if arrays.iter().any(|array| array.data_type() != field.data_type()) {
                    return Err(Error::internal(format!("column {} is not {}", field.name(), field.data_type())));
                }
                Ok(match field.data_type() {
                    DataType::FixedSizeBinary(size) => {
                        Column::Ids(arrays.iter().map(|array| array.as_fixed_size_binary()).collect(), *size)
                    }
                    DataType::Dictionary(..) => {
                        let batches: Vec<_> = arrays.iter().map(|array| array.as_dictionary()).collect();
                        let (keys, values) = unite(&batches, field.data_type())?;
                        Column::Labels { batches, keys, values }
                    }
                    _ => Column::Plain(arrays),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { schema, columns })
    }

    /// These rows, in this order.
    pub(crate) fn rows(&self, positions: &[Position]) -> Result<RecordBatch> {
        let columns = self
            .columns
            .iter()
            .map(|column| {
                Ok(match column {
                    Column::Plain(arrays) => interleave(arrays, positions)?,
                    Column::Ids(arrays, size) => Arc::new(ids(arrays, *size, positions)?) as ArrayRef,
                    Column::Labels { batches, keys, values } => {
                        let keys: Int32Array = if batches.iter().all(|batch| batch.keys().null_count() == 0) {
                            let key =
                                |(batch, row): &Position| keys[*batch][batches[*batch].keys().values()[*row] as usize];
                            // A NULL among the dictionary's values is a NULL row too.
                            let picked: Vec<i32> = positions.iter().map(key).collect();
                            if picked.iter().any(|key| *key < 0) {
                                picked.into_iter().map(|key| (key >= 0).then_some(key)).collect()
                            } else {
                                picked.into()
                            }
                        } else {
                            let key = |(batch, row): &Position| {
                                Some(keys[*batch][batches[*batch].key(*row)?]).filter(|key| *key >= 0)
                            };
                            positions.iter().map(key).collect()
                        };
                        Arc::new(DictionaryArray::try_new(keys, Arc::clone(values))?)
                    }
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn ids(arrays: &[&FixedSizeBinaryArray], size: i32, positions: &[Position]) -> Result<FixedSizeBinaryArray> {
    let mut bytes = Vec::with_capacity(positions.len() * usize::try_from(size).unwrap_or(0));
    positions.iter().for_each(|(batch, row)| bytes.extend_from_slice(arrays[*batch].value(*row)));
    let nulls = arrays.iter().any(|array| array.null_count() > 0).then(|| {
        let mut valid = BooleanBufferBuilder::new(positions.len());
        positions.iter().for_each(|(batch, row)| valid.append(arrays[*batch].is_valid(*row)));
        NullBuffer::new(valid.finish())
    });
    Ok(FixedSizeBinaryArray::try_new(size, Buffer::from_vec(bytes), nulls)?)
}

/// One dictionary for all: for each batch the new key of each of its values (-1: NULL), and the values.
fn unite(batches: &[&DictionaryArray<Int32Type>], data_type: &DataType) -> Result<(Vec<Vec<i32>>, ArrayRef)> {
    let mut interner = Interner::default();
    let keys = batches
        .iter()
        .map(|batch| {
            (0..batch.values().len()).map(|i| bytes_at(batch.values(), i).map_or(-1, |b| interner.key(b))).collect()
        })
        .collect();
    Ok((keys, interner.values(data_type)?))
}

/// Rows of label columns by value, with a dictionary of only the values used. For few rows of large dictionaries.
pub(crate) fn pick_labels(
    arrays: &[&DictionaryArray<Int32Type>],
    positions: &[Position],
    data_type: &DataType,
) -> Result<ArrayRef> {
    let mut interner = Interner::default();
    let keys: Int32Array = positions
        .iter()
        .map(|(batch, row)| {
            bytes_at(arrays[*batch].values(), arrays[*batch].key(*row)?).map(|bytes| interner.key(bytes))
        })
        .collect();
    Ok(Arc::new(DictionaryArray::try_new(keys, interner.values(data_type)?)?))
}

/// Distinct byte strings, numbered as they come.
#[derive(Default)]
pub(crate) struct Interner<'a> {
    keys: HashMap<&'a [u8], i32>,
    values: Vec<&'a [u8]>,
}

impl<'a> Interner<'a> {
    pub(crate) fn key(&mut self, bytes: &'a [u8]) -> i32 {
        *self.keys.entry(bytes).or_insert_with(|| {
            self.values.push(bytes);
            self.values.len() as i32 - 1
        })
    }

    /// The values as the dictionary of a column of that type.
    pub(crate) fn values(self, data_type: &DataType) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::from_lengths(self.values.iter().map(|value| value.len()));
        let bytes = Buffer::from_vec(self.values.concat());
        match data_type {
            DataType::Dictionary(_, values) if **values == DataType::Utf8 => {
                Ok(Arc::new(StringArray::try_new(offsets, bytes, None)?))
            }
            DataType::Dictionary(_, values) if **values == DataType::Binary => {
                Ok(Arc::new(BinaryArray::try_new(offsets, bytes, None)?))
            }
            other => Err(Error::internal(format!("no labels of type {other}"))),
        }
    }
}

fn bytes_at(values: &ArrayRef, i: usize) -> Option<&[u8]> {
    if values.is_null(i) {
        return None;
    }
    match values.data_type() {
        DataType::Utf8 => Some(values.as_string::<i32>().value(i).as_bytes()),
        _ => values.as_binary_opt::<i32>().map(|values| values.value(i)),
    }
}
