//! Stored tables as SQL tables.
//!
//! `provider`: one table of a snapshot; `prune` leaves out segments, `text` and `series` turn conditions into rows to
//! read; `scan`: memtables and segments as one source that takes filters and projections; `adapter` rewrites each
//! expression for what a segment or a memtable really holds (ids as bytes, attributes as columns, series once).

pub(crate) mod adapter;
pub(crate) mod attributes;
pub(crate) mod catalog;
pub(crate) mod ids;
pub(crate) mod memtable;
mod number;
pub(crate) mod provider;
pub(crate) mod prune;
pub(crate) mod retype;
pub(crate) mod scan;
pub(crate) mod series;
pub(crate) mod text;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use storage::{model::Table, schema};

/// Columns of a table as SQL sees them: text and bytes as views, ids as hex text, the rest as stored.
pub(crate) fn sql_schema(table: Table) -> SchemaRef {
    static SCHEMAS: LazyLock<HashMap<Table, SchemaRef>> =
        LazyLock::new(|| Table::ALL.into_iter().map(|table| (table, Arc::new(build(table)))).collect());
    Arc::clone(&SCHEMAS[&table])
}

fn build(table: Table) -> Schema {
    let wide = schema::wide(table);
    Schema::new(wide.fields().iter().map(|field| sql_field(field)).collect::<Vec<_>>())
}

/// One column as SQL sees it.
pub(crate) fn sql_field(field: &Field) -> Field {
    let is_id = field.metadata().get(schema::KIND_KEY).is_some_and(|kind| kind == schema::KIND_ID);
    let data_type = if is_id { DataType::Utf8View } else { view_type(field.data_type()) };
    field.clone().with_data_type(data_type)
}

/// The type without dictionary, text and bytes as views.
pub(crate) fn view_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => view_type(values),
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
