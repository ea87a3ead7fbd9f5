//! Batches as readers outside get them: plain types only.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions},
    compute,
    datatypes::{DataType, Field, Fields, Schema, SchemaRef},
};
use datafusion::common::Result;
use storage::schema;

use crate::table::ids;

/// How a plan's batches become an answer's.
#[derive(Debug)]
pub(crate) struct Output {
    schema: SchemaRef,
}

impl Output {
    pub(crate) fn of(plan: &Schema) -> Self {
        let fields: Vec<Field> = plan
            .fields()
            .iter()
            .map(|field| {
                let data_type = if is_id(field) { DataType::Utf8 } else { plain(field.data_type()) };
                field.as_ref().clone().with_data_type(data_type).with_name(name(field.name())).with_nullable(true)
            })
            .collect();
        Self { schema: Arc::new(Schema::new(fields)) }
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(crate) fn convert(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = batch
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(column, field)| self::column(column, field.data_type()))
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema(), columns, &options)?)
    }
}

fn column(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if column.data_type() == wanted {
        return Ok(Arc::clone(column));
    }
    if matches!(column.data_type(), DataType::FixedSizeBinary(_)) && *wanted == DataType::Utf8 {
        let text: ArrayRef = Arc::new(ids::id_text(column.as_ref())?);
        return Ok(compute::cast(&text, wanted)?);
    }
    Ok(compute::cast(column, wanted)?)
}

fn is_id(field: &Field) -> bool {
    matches!(field.data_type(), DataType::FixedSizeBinary(_))
        && field.metadata().get(schema::KIND_KEY).is_some_and(|kind| kind == schema::KIND_ID)
}

/// `logs.attributes['k']` is shown as `attributes['k']`: which table is clear from the statement.
fn name(name: &str) -> String {
    match name.split_once('.') {
        Some((table, rest))
            if rest.ends_with("']")
                && (rest.starts_with("attributes['")
                    || rest.starts_with("resource_attributes['")
                    || rest.starts_with("scope_attributes['"))
                && table.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') =>
        {
            rest.to_owned()
        }
        _ => name.to_owned(),
    }
}

/// The type without views and dictionaries, also inside lists and structs.
fn plain(data_type: &DataType) -> DataType {
    let inner = |field: &Arc<Field>| Arc::new(field.as_ref().clone().with_data_type(plain(field.data_type())));
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) | DataType::ListView(item) => DataType::List(inner(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(inner(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(inner(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect::<Fields>()),
        other => other.clone(),
    }
}
