//! Rows for tests.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use arrow::{
    array::{ArrayRef, DictionaryArray, Int32Array, StringArray, TimestampNanosecondArray, new_null_array},
    datatypes::{DataType, Int32Type},
    record_batch::RecordBatch,
};

use crate::{
    model::{Batch, BatchKey, Table, TableRows, Tenant},
    schema,
};

/// Rows that [`blank`] keeps for the next caller.
const BLANK_ROWS: usize = 64;

/// A column without content: NULL where that is allowed, else empty or zero.
fn blank(table: Table, column: usize, len: usize) -> ArrayRef {
    static BLANKS: LazyLock<HashMap<Table, Vec<ArrayRef>>> = LazyLock::new(|| {
        let make = |data_type: &DataType, is_nullable| {
            if is_nullable { new_null_array(data_type, BLANK_ROWS) } else { zeros(data_type, BLANK_ROWS) }
        };
        let columns = |table| {
            let schema = schema::wide(table);
            schema.fields().iter().map(|field| make(field.data_type(), field.is_nullable())).collect()
        };
        Table::ALL.into_iter().map(|table| (table, columns(table))).collect()
    });
    if len <= BLANK_ROWS {
        return BLANKS[&table][column].slice(0, len);
    }
    let schema = schema::wide(table);
    let field = schema.field(column);
    if field.is_nullable() { new_null_array(field.data_type(), len) } else { zeros(field.data_type(), len) }
}

/// Rows of any table with that time each, and in `text` tables a text; every other column NULL, empty or zero.
pub fn rows(table: Table, rows: &[(i64, &str)]) -> RecordBatch {
    let schema = schema::wide(table);
    let columns = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(column, field)| -> ArrayRef {
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
                _ => blank(table, column, rows.len()),
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

/// Settings with which nothing is flushed, merged or deleted unless the test asks for it.
pub fn quiet() -> config::Config {
    let mut config = config::Config::default();
    let hour = std::time::Duration::from_secs(3_600);
    (config.storage.flush_age, config.compaction.interval, config.compaction.grace) = (hour, hour, hour);
    config.retention = config::Retention {
        logs: config::Age::Forever,
        spans: config::Age::Forever,
        metrics: config::Age::Forever,
        ..config.retention
    };
    config
}
