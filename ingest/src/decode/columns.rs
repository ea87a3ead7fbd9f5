//! Columns under construction: dictionaries filled by key, byte columns filled in place, lists by offset.

use std::{collections::HashMap, hash::BuildHasherDefault, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, DictionaryArray, Int32Array, ListArray, StringArray, StructArray,
        TimestampNanosecondArray,
    },
    buffer::{NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Schema},
    error::ArrowError,
};
use xxhash_rust::xxh3::xxh3_64;

use super::Origin;

/// The key of a NULL while a dictionary column is built.
const NULL_KEY: i32 = -1;

/// Hashes are already well mixed: the table takes them as they are.
#[derive(Debug, Default)]
struct Mixed(u64);

impl std::hash::Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Byte strings one after the other.
#[derive(Debug)]
pub(crate) struct Bytes {
    offsets: Vec<i32>,
    values: Vec<u8>,
}

impl Default for Bytes {
    fn default() -> Self {
        Self { offsets: vec![0], values: Vec::new() }
    }
}

impl Bytes {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn get(&self, index: usize) -> &[u8] {
        &self.values[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }

    fn end(&self) -> i32 {
        i32::try_from(self.values.len()).expect("a request's bytes are bounded far below 2 GiB")
    }

    pub(crate) fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.offsets.push(self.end());
    }

    /// Lets `fill` append one value; what it wrote is taken back when it fails.
    pub(crate) fn try_push<T, E>(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> Result<T, E>) -> Result<T, E> {
        let start = self.values.len();
        let result = fill(&mut self.values);
        match &result {
            Ok(_) => self.offsets.push(self.end()),
            Err(_) => self.values.truncate(start),
        }
        result
    }

    /// Takes the last value back.
    pub(crate) fn pop(&mut self) {
        self.truncate(self.len().saturating_sub(1));
    }

    /// Keeps the first `count` values.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.offsets.truncate(count + 1);
        self.values.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    fn into_parts(self) -> (OffsetBuffer<i32>, arrow::buffer::Buffer) {
        (OffsetBuffer::new(ScalarBuffer::from(self.offsets)), self.values.into())
    }

    pub(crate) fn into_binary(self) -> Result<ArrayRef, ArrowError> {
        let (offsets, values) = self.into_parts();
        Ok(Arc::new(BinaryArray::try_new(offsets, values, None)?))
    }

    pub(crate) fn into_text(self) -> Result<ArrayRef, ArrowError> {
        let (offsets, values) = self.into_parts();
        Ok(Arc::new(StringArray::try_new(offsets, values, None)?))
    }
}

/// A dictionary column: each distinct value is kept once, rows hold its key.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    keys: Vec<i32>,
    values: Bytes,
    known: HashMap<u64, i32, BuildHasherDefault<Mixed>>,
    has_nulls: bool,
}

impl Dictionary {
    /// The key of `value`, adding it when it is new.
    pub(crate) fn intern(&mut self, value: &[u8]) -> i32 {
        let next = self.values.len() as i32;
        let key = *self.known.entry(xxh3_64(value)).or_insert(next);
        if key != next && self.values.get(key as usize) == value {
            return key;
        }
        // New, or another value with the same hash: that one is kept again each time it comes, which costs bytes only.
        self.values.push(value);
        next
    }

    pub(crate) fn push_key(&mut self, key: i32) {
        self.keys.push(key);
    }

    pub(crate) fn push(&mut self, value: &[u8]) {
        let key = self.intern(value);
        self.keys.push(key);
    }

    pub(crate) fn push_null(&mut self) {
        self.has_nulls = true;
        self.keys.push(NULL_KEY);
    }

    /// Empty text is text that was not sent.
    pub(crate) fn push_nonempty(&mut self, value: &str) {
        if value.is_empty() { self.push_null() } else { self.push(value.as_bytes()) }
    }

    pub(crate) fn push_option(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.push(value.as_bytes()),
            None => self.push_null(),
        }
    }

    fn finish(self, into_array: impl FnOnce(Bytes) -> Result<ArrayRef, ArrowError>) -> Result<ArrayRef, ArrowError> {
        let keys = if self.has_nulls {
            let valid: NullBuffer = self.keys.iter().map(|key| *key != NULL_KEY).collect();
            Int32Array::new(self.keys.into_iter().map(|key| key.max(0)).collect(), Some(valid))
        } else {
            Int32Array::new(self.keys.into(), None)
        };
        Ok(Arc::new(DictionaryArray::try_new(keys, into_array(self.values)?)?))
    }

    pub(crate) fn into_text(self) -> Result<ArrayRef, ArrowError> {
        self.finish(Bytes::into_text)
    }

    pub(crate) fn into_binary(self) -> Result<ArrayRef, ArrowError> {
        self.finish(Bytes::into_binary)
    }
}

/// The columns that all items of one resource and scope share.
#[derive(Debug, Default)]
pub(crate) struct OriginColumns {
    /// Which resource and which origin the keys below belong to.
    serials: (u64, u64),
    resource_keys: [i32; 2],
    scope_keys: [i32; 3],
    service_name: Dictionary,
    resource_attributes: Dictionary,
    scope_name: Dictionary,
    scope_version: Dictionary,
    scope_attributes: Dictionary,
}

impl OriginColumns {
    pub(crate) fn push(&mut self, origin: &Origin<'_>) {
        if self.serials.0 != origin.resource_serial {
            self.serials.0 = origin.resource_serial;
            self.resource_keys = [
                self.service_name.intern(origin.service_name.as_bytes()),
                self.resource_attributes.intern(&origin.resource_attributes),
            ];
        }
        if self.serials.1 != origin.serial {
            self.serials.1 = origin.serial;
            self.scope_keys = [
                self.scope_name.intern(origin.scope_name.as_bytes()),
                self.scope_version.intern(origin.scope_version.as_bytes()),
                self.scope_attributes.intern(&origin.scope_attributes),
            ];
        }
        self.service_name.push_key(self.resource_keys[0]);
        self.resource_attributes.push_key(self.resource_keys[1]);
        self.scope_name.push_key(self.scope_keys[0]);
        self.scope_version.push_key(self.scope_keys[1]);
        self.scope_attributes.push_key(self.scope_keys[2]);
    }

    /// `service_name`, then the columns of resource and scope in schema order.
    pub(crate) fn finish(self) -> Result<(ArrayRef, [ArrayRef; 4]), ArrowError> {
        Ok((
            self.service_name.into_text()?,
            [
                self.resource_attributes.into_binary()?,
                self.scope_name.into_text()?,
                self.scope_version.into_text()?,
                self.scope_attributes.into_binary()?,
            ],
        ))
    }
}

/// Where each row's part of a list column ends.
#[derive(Debug)]
pub(crate) struct Lists {
    offsets: Vec<i32>,
}

impl Default for Lists {
    fn default() -> Self {
        Self { offsets: vec![0] }
    }
}

impl Lists {
    /// Ends a row after `item_count` items of all rows so far.
    pub(crate) fn end_row(&mut self, item_count: usize) {
        self.offsets.push(i32::try_from(item_count).expect("a request's items are bounded far below 2^31"));
    }

    pub(crate) fn finish(self, schema: &Schema, column: &str, items: ArrayRef) -> Result<ArrayRef, ArrowError> {
        let DataType::List(item) = schema.field_with_name(column)?.data_type() else {
            return Err(ArrowError::SchemaError(format!("{column} is not a list")));
        };
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, None)?))
    }
}

/// The items of a list of structs; `columns` in the order of the schema.
pub(crate) fn structs(schema: &Schema, column: &str, columns: Vec<ArrayRef>) -> Result<ArrayRef, ArrowError> {
    let DataType::List(item) = schema.field_with_name(column)?.data_type() else {
        return Err(ArrowError::SchemaError(format!("{column} is not a list")));
    };
    let DataType::Struct(fields) = item.data_type() else {
        return Err(ArrowError::SchemaError(format!("items of {column} are not structs")));
    };
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None)?))
}

/// Instants in UTC.
pub(crate) fn timestamps(unix_nano: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::new(unix_nano.into(), None).with_timezone("UTC"))
}

/// Instants in UTC that may be absent.
pub(crate) fn optional_timestamps(unix_nano: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from(unix_nano).with_timezone("UTC"))
}

/// Checks rows against the schema of their table.
pub(crate) fn rows(
    table: storage::model::Table,
    columns: Vec<ArrayRef>,
) -> Result<Option<storage::model::TableRows>, ArrowError> {
    if columns.first().is_none_or(Array::is_empty) {
        return Ok(None);
    }
    let rows = arrow::record_batch::RecordBatch::try_new(storage::schema::wide(table), columns)?;
    Ok(Some(storage::model::TableRows { table, rows }))
}
