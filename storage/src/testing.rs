//! Rows for tests.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, DictionaryArray, Int32Array, StringArray, TimestampNanosecondArray, new_null_array},
    datatypes::{DataType, Int32Type},
    record_batch::RecordBatch,
};

use crate::{
    model::{Batch, BatchKey, Table, TableRows, Tenant},
    schema,
};

/// Rows of any table with that time each, and in `text` tables a text; every other column NULL, empty or zero.
pub fn rows(table: Table, rows: &[(i64, &str)]) -> RecordBatch {
    let schema = schema::wide(table);
    let columns = schema
        .fields()
        .iter()
        .map(|field| -> ArrayRef {
            let text = || rows.iter().map(|(_, text)| *text);
            match field.name().as_str() {
                name if name == table.time_column() => Arc::new(
                    TimestampNanosecondArray::from_iter_values(rows.iter().map(|(t, _)| *t)).with_timezone("UTC"),
                ),
                "body" => Arc::new(StringArray::from_iter_values(text())),
                "name" | "description" | "service_name" if matches!(field.data_type(), DataType::Dictionary(..)) => {
                    Arc::new(text().map(Some).collect::<DictionaryArray<Int32Type>>())
                }
                "name" => Arc::new(StringArray::from_iter_values(text())),
                _ if field.is_nullable() => new_null_array(field.data_type(), rows.len()),
                _ => zeros(field.data_type(), rows.len()),
            }
        })
        .collect();
    RecordBatch::try_new(schema, columns).expect("columns follow the schema")
}

/// Log records with time and body.
pub fn log_rows(logs: &[(i64, &str)]) -> RecordBatch {
    rows(Table::Logs, logs)
}

/// A batch of one table.
pub fn batch(table: Table, key: Option<u128>, values: &[(i64, &str)]) -> Batch {
    Batch {
        tenant: Tenant::default(),
        key: key.map(BatchKey),
        tables: vec![TableRows { table, rows: rows(table, values) }],
    }
}

/// Empty text, empty maps and lists, zero numbers.
fn zeros(data_type: &DataType, len: usize) -> ArrayRef {
    match data_type {
        DataType::Dictionary(_, values) => {
            let keys = Int32Array::from_value(0, len);
            Arc::new(DictionaryArray::<Int32Type>::try_new(keys, zeros(values, 1)).expect("key 0 exists"))
        }
        other => {
            // The all-zero buffers of a NULL array are valid zeros once the NULLs are taken off.
            let nulls = new_null_array(other, len).to_data().into_builder().nulls(None);
            arrow::array::make_array(nulls.build().expect("zeros are valid"))
        }
    }
}
