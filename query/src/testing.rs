//! Stores for tests: rows in memtables, in real segments, or some in each.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, DictionaryArray, FixedSizeBinaryBuilder, Float64Array, Int32Array, Int64Array,
        RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array, new_null_array,
    },
    datatypes::{DataType, Int32Type},
};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory};
use storage::{
    clock::Clock,
    model::{
        Table, Tenant,
        attributes::{Value, encode},
    },
    schema,
    segment::{Segment, SegmentCache, SegmentId, build},
};

use crate::{Query, Source, TableSnapshot};

/// Rows of one snapshot.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) memtables: HashMap<Table, Vec<RecordBatch>>,
    pub(crate) segments: HashMap<Table, Vec<Arc<Segment>>>,
}

impl Rows {
    pub(crate) fn in_memory(mut self, table: Table, batch: RecordBatch) -> Self {
        self.memtables.entry(table).or_default().push(batch);
        self
    }

    /// Writes the rows as segments.
    pub(crate) async fn stored(mut self, table: Table, batch: RecordBatch, settings: &config::Storage) -> Self {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let cache = SegmentCache::new(64 << 20);
        for built in build(table, &[batch], settings).unwrap() {
            let segments = self.segments.entry(table).or_default();
            let path = format!("{table}-{}.parquet", segments.len());
            objects.put(&path.as_str().into(), built.bytes.clone().into()).await.unwrap();
            let meta = built.written.meta(SegmentId::new(path.as_str()), Tenant::default(), path.as_str());
            segments.push(Segment::open(meta, Arc::clone(&objects), Arc::clone(&cache)));
        }
        self
    }

    pub(crate) fn query(self) -> Query {
        self.query_with(&config())
    }

    pub(crate) fn query_with(self, config: &config::Config) -> Query {
        Query::over(Arc::new(Store(Arc::new(self))), config).unwrap()
    }
}

/// Defaults, with a data directory of its own.
pub(crate) fn config() -> config::Config {
    let mut config = config::Config::default();
    config.storage.data_dir = std::env::temp_dir().join(format!("rootline-query-tests-{}", std::process::id()));
    config
}

#[derive(Debug)]
struct Store(Arc<Rows>);

impl Source for Store {
    fn snapshot(&self) -> Arc<dyn TableSnapshot> {
        Arc::clone(&self.0) as _
    }

    fn clock(&self) -> Clock {
        Clock::system()
    }
}

impl TableSnapshot for Rows {
    fn memtables(&self, table: Table) -> Vec<RecordBatch> {
        self.memtables.get(&table).cloned().unwrap_or_default()
    }

    fn segments(&self, table: Table) -> Vec<Arc<Segment>> {
        self.segments.get(&table).cloned().unwrap_or_default()
    }
}

/// A value that outlives the row it is in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

impl Scalar {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::String(text),
            Self::Int(value) => Value::Int(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Bool(value) => Value::Bool(*value),
        }
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Scalar {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Scalar {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<bool> for Scalar {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// One row of any table; what it does not have is NULL, empty or zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) time: i64,
    pub(crate) text: Vec<(&'static str, String)>,
    pub(crate) number: Vec<(&'static str, f64)>,
    pub(crate) trace: Option<u8>,
    pub(crate) attributes: Vec<(String, Scalar)>,
    pub(crate) resource: Vec<(String, Scalar)>,
}

impl Row {
    pub(crate) fn at(time: i64) -> Self {
        Self { time, ..Self::default() }
    }

    pub(crate) fn text(mut self, column: &'static str, text: &str) -> Self {
        self.text.push((column, text.to_owned()));
        self
    }

    pub(crate) fn number(mut self, column: &'static str, number: f64) -> Self {
        self.number.push((column, number));
        self
    }

    pub(crate) fn attribute(mut self, key: &str, value: impl Into<Scalar>) -> Self {
        self.attributes.push((key.to_owned(), value.into()));
        self
    }

    fn text_of(&self, column: &str) -> Option<&str> {
        self.text.iter().find(|(name, _)| *name == column).map(|(_, text)| text.as_str())
    }

    fn number_of(&self, column: &str) -> Option<f64> {
        self.number.iter().find(|(name, _)| *name == column).map(|(_, number)| *number)
    }

    fn map(&self, column: &str) -> Vec<u8> {
        let entries: &[(String, Scalar)] = match column {
            "attributes" => &self.attributes,
            "resource_attributes" => &self.resource,
            _ => &[],
        };
        encode(entries.iter().map(|(key, value)| (key.as_str(), value.value())))
    }
}

/// The rows in the wide schema.
pub(crate) fn batch(table: Table, rows: &[Row]) -> RecordBatch {
    let schema = schema::wide(table);
    let columns =
        schema.fields().iter().map(|field| column(table, field.name(), field.data_type(), field.is_nullable(), rows));
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

fn column(table: Table, name: &str, data_type: &DataType, nullable: bool, rows: &[Row]) -> ArrayRef {
    let texts = || rows.iter().map(|row| row.text_of(name).or((!nullable).then_some("")));
    let numbers = || rows.iter().map(|row| row.number_of(name).or((!nullable).then_some(0.0)));
    match data_type {
        DataType::Timestamp(..) if name == table.time_column() => {
            Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.time)).with_timezone("UTC"))
        }
        DataType::Utf8 => Arc::new(texts().collect::<StringArray>()),
        DataType::Dictionary(_, value) if **value == DataType::Utf8 => {
            Arc::new(texts().collect::<DictionaryArray<Int32Type>>())
        }
        DataType::Binary if name.ends_with("attributes") => {
            Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| row.map(name))))
        }
        DataType::Dictionary(_, value) if **value == DataType::Binary => {
            let maps: Vec<Vec<u8>> = rows.iter().map(|row| row.map(name)).collect();
            let keys = Int32Array::from_iter_values(0..i32::try_from(rows.len()).unwrap());
            Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(BinaryArray::from_iter_values(maps))))
        }
        DataType::FixedSizeBinary(size) if name == "trace_id" || !nullable => {
            let mut ids = FixedSizeBinaryBuilder::new(*size);
            for row in rows {
                match row.trace {
                    Some(trace) => ids.append_value(vec![trace; usize::try_from(*size).unwrap()]).unwrap(),
                    None if nullable => ids.append_null(),
                    None => ids.append_value(vec![0xff; usize::try_from(*size).unwrap()]).unwrap(),
                }
            }
            Arc::new(ids.finish())
        }
        DataType::Float64 => Arc::new(numbers().collect::<Float64Array>()),
        DataType::Int64 => Arc::new(numbers().map(|n| n.map(|n| n as i64)).collect::<Int64Array>()),
        DataType::Int32 => Arc::new(numbers().map(|n| n.map(|n| n as i32)).collect::<Int32Array>()),
        DataType::UInt64 => Arc::new(numbers().map(|n| n.map(|n| n as u64)).collect::<UInt64Array>()),
        other if nullable => new_null_array(other, rows.len()),
        other => {
            let nulls = new_null_array(other, rows.len()).to_data().into_builder().nulls(None);
            arrow::array::make_array(nulls.build().unwrap())
        }
    }
}

/// All rows of a statement as lines of text, in the answer's order.
pub(crate) async fn lines(query: &Query, text: &str) -> Vec<String> {
    match try_lines(query, text).await {
        Ok(lines) => lines,
        Err(error) => panic!("{text}: {error:?}"),
    }
}

pub(crate) async fn try_lines(query: &Query, text: &str) -> crate::Result<Vec<String>> {
    let request = crate::SqlRequest { text: text.to_owned(), ..Default::default() };
    let (batches, _) = query.sql(request).await?.collect().await?;
    let mut lines = Vec::new();
    for batch in &batches {
        let options = arrow::util::display::FormatOptions::new().with_null("NULL");
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| arrow::util::display::ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    Ok(lines)
}
