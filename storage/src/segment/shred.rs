//! Attribute maps into columns of their own, and back.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayBuilder, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanBuilder, DictionaryArray,
        Float64Builder, Int32Array, Int64Builder, RecordBatch, StringArray, UInt32Array,
    },
    compute::take,
    datatypes::{DataType, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, UInt64Type},
};
use hashbrown::HashMap;

use super::{SeriesTable, number};
use crate::{
    error::{Error, Result},
    model::{
        Table,
        attributes::{Attributes, Encoded, MapWriter, Value, ValueSink},
    },
    schema::{
        self, SERIES_COLUMNS,
        layout::{AttributeColumn, MAPS, Scalar, attribute_of},
    },
};

/// Columns that a segment of `table` keeps with its rows; the others are in its series table.
pub(crate) fn row_schema(table: Table) -> SchemaRef {
    let wide = schema::wide(table);
    if !table.has_series() {
        return wide;
    }
    let keep = |name: &str| !SERIES_COLUMNS.contains(&name) || matches!(name, "metric_name" | "service_name");
    let fields: Vec<_> = wide.fields().iter().filter(|field| keep(field.name())).cloned().collect();
    Arc::new(Schema::new(fields))
}

/// Gives attribute keys their columns.
pub(super) struct Shredder {
    schema: SchemaRef,
    maps: Vec<(usize, MapShredder)>,
    /// Places of `value` and `value_int` where points are numbers.
    numbers: Option<(usize, usize)>,
}

impl Shredder {
    pub(super) fn new(table: Table, columns: &[AttributeColumn]) -> Self {
        let rows = row_schema(table);
        let mut fields: Vec<_> = rows.fields().iter().cloned().collect();
        let mut maps = Vec::new();
        for map in MAPS {
            let Ok(index) = rows.index_of(map) else { continue };
            let own: Vec<&AttributeColumn> = columns.iter().filter(|column| column.map == map).collect();
            fields.extend(own.iter().map(|column| Arc::new(column.field())));
            maps.push((index, MapShredder::new(&own)));
        }
        let numbers = rows.index_of("value").ok().zip(rows.index_of("value_int").ok());
        let numbers = numbers.filter(|_| table == Table::Metrics);
        if numbers.is_some() {
            fields.push(Arc::new(number::scale_field()));
        }
        Self { schema: Arc::new(Schema::new(fields)), maps, numbers }
    }

    /// Columns of the file.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows of [`row_schema`] as rows of the file. Text columns may come as dictionaries; Parquet stores both alike.
    pub(super) fn shred(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        for (index, map) in &mut self.maps {
            let (own, remainder) = map.shred_column(rows.column(*index))?;
            columns[*index] = remainder;
            columns.extend(own);
        }
        if let Some((value, value_int)) = self.numbers {
            let scale;
            [columns[value], columns[value_int], scale] = number::split(rows)?;
            columns.push(scale);
        }
        let fields: Vec<_> = self
            .schema
            .fields()
            .iter()
            .zip(&columns)
            .map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()))
            .collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}

struct MapShredder {
    scalars: Vec<Scalar>,
    by_key: HashMap<Box<[u8]>, usize>,
    /// Key and column at each place of the map before: rows beside each other mostly have the same keys.
    previous: Vec<(Vec<u8>, Option<usize>)>,
    /// What the dictionary that was seen last became.
    dictionary: Option<(ArrayRef, Vec<ArrayRef>, ArrayRef)>,
}

impl MapShredder {
    fn new(columns: &[&AttributeColumn]) -> Self {
        Self {
            scalars: columns.iter().map(|column| column.scalar).collect(),
            by_key: columns.iter().enumerate().map(|(i, column)| (column.key.as_bytes().into(), i)).collect(),
            previous: Vec::new(),
            dictionary: None,
        }
    }

    fn shred_column(&mut self, column: &ArrayRef) -> Result<(Vec<ArrayRef>, ArrayRef)> {
        if self.scalars.is_empty() {
            return Ok((Vec::new(), Arc::clone(column)));
        }
        if let Some(maps) = column.as_binary_opt::<i32>() {
            let (own, remainder) = self.shred(maps)?;
            return Ok((own, Arc::new(remainder)));
        }
        let column = column
            .as_dictionary_opt::<Int32Type>()
            .ok_or_else(|| Error::internal(format!("attributes of type {}", column.data_type())))?;
        // Many batches share one dictionary: its values are taken apart once.
        let fresh = match &self.dictionary {
            Some((values, ..)) => !Arc::ptr_eq(values, column.values()),
            None => true,
        };
        if fresh {
            let maps =
                column.values().as_binary_opt::<i32>().ok_or_else(|| Error::internal("attributes are no bytes"))?;
            let (own, remainder) = self.shred(maps)?;
            self.dictionary = Some((Arc::clone(column.values()), own, Arc::new(remainder)));
        }
        let Some((_, own, remainder)) = &self.dictionary else { return Err(Error::internal("no dictionary")) };
        let own = own.iter().map(|values| spread(values, column.keys())).collect::<Result<_>>()?;
        let remainder = DictionaryArray::try_new(column.keys().clone(), Arc::clone(remainder))?;
        Ok((own, Arc::new(remainder)))
    }

    fn shred(&mut self, maps: &BinaryArray) -> Result<(Vec<ArrayRef>, BinaryArray)> {
        let mut own: Vec<Builder> = self.scalars.iter().map(|scalar| Builder::new(*scalar, maps.len())).collect();
        let mut remainder = BinaryBuilder::with_capacity(maps.len(), 0);
        let (mut rest, mut scratch) = (Vec::new(), Vec::new());
        for row in 0..maps.len() {
            if maps.is_null(row) {
                remainder.append_value([]);
                continue;
            }
            let bytes = maps.value(row);
            let mut taken = false;
            for (place, (key, value)) in Attributes::new(bytes).iter_encoded().enumerate() {
                match self.column(place, key) {
                    Some(column) => {
                        own[column].append(row, value)?;
                        taken = true;
                    }
                    None => rest.push((key, value)),
                }
            }
            if !taken {
                remainder.append_value(bytes);
            } else if rest.is_empty() {
                remainder.append_value([]);
            } else {
                scratch.clear();
                let mut writer = MapWriter::new(&mut scratch, rest.len());
                rest.iter().for_each(|(key, value)| writer.entry_encoded(key, *value));
                remainder.append_value(&scratch);
            }
            rest.clear();
        }
        let own = own.into_iter().map(|builder| builder.finish(maps.len())).collect::<Result<_>>()?;
        Ok((own, remainder.finish()))
    }

    fn column(&mut self, place: usize, key: &[u8]) -> Option<usize> {
        if let Some((previous, column)) = self.previous.get(place)
            && previous == key
        {
            return *column;
        }
        let column = self.by_key.get(key).copied();
        match self.previous.get_mut(place) {
            Some((previous, at)) => {
                previous.clear();
                previous.extend_from_slice(key);
                *at = column;
            }
            None => self.previous.push((key.to_vec(), column)),
        }
        column
    }
}

/// The value of each row, given that of each dictionary key.
fn spread(values: &ArrayRef, keys: &Int32Array) -> Result<ArrayRef> {
    if values.data_type() != &DataType::Utf8 {
        return Ok(take(values, keys, None)?);
    }
    let keys: Int32Array = if values.null_count() == 0 {
        keys.clone()
    } else {
        keys.iter().map(|key| key.filter(|key| values.is_valid(*key as usize))).collect()
    };
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::clone(values))?))
}

/// A column being filled; rows left out are NULL.
enum Builder {
    /// Checked as a whole when it is finished.
    Text(BinaryBuilder),
    Int(Int64Builder),
    Double(Float64Builder),
    Bool(BooleanBuilder),
}

macro_rules! append {
    ($builder:expr, $row:expr, $value:expr) => {{
        if $builder.len() < $row {
            $builder.append_nulls($row - $builder.len());
        }
        $builder.append_value($value);
    }};
}

impl Builder {
    fn new(scalar: Scalar, rows: usize) -> Self {
        match scalar {
            Scalar::Text => Self::Text(BinaryBuilder::with_capacity(rows, rows * 16)),
            Scalar::Int => Self::Int(Int64Builder::with_capacity(rows)),
            Scalar::Double => Self::Double(Float64Builder::with_capacity(rows)),
            Scalar::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
        }
    }

    fn append(&mut self, row: usize, value: Encoded<'_>) -> Result<()> {
        if let (Self::Text(builder), Some(text)) = (&mut *self, value.text_bytes()) {
            append!(builder, row, text);
            return Ok(());
        }
        match (self, value.read()) {
            (Self::Int(builder), Some(Value::Int(value))) => append!(builder, row, value),
            (Self::Double(builder), Some(Value::Double(value))) => append!(builder, row, value),
            (Self::Bool(builder), Some(Value::Bool(value))) => append!(builder, row, value),
            (_, value) => return Err(Error::internal(format!("an attribute column met {value:?}"))),
        }
        Ok(())
    }

    fn finish(self, rows: usize) -> Result<ArrayRef> {
        macro_rules! finish {
            ($builder:expr) => {{
                let mut builder = $builder;
                builder.append_nulls(rows.saturating_sub(builder.len()));
                builder.finish()
            }};
        }
        Ok(match self {
            Self::Text(builder) => Arc::new(StringArray::try_from_binary(finish!(builder))?),
            Self::Int(builder) => Arc::new(finish!(builder)),
            Self::Double(builder) => Arc::new(finish!(builder)),
            Self::Bool(builder) => Arc::new(finish!(builder)),
        })
    }
}

/// Rows of a file back in the table's columns.
pub(crate) struct Assembler {
    target: SchemaRef,
    sources: Vec<Source>,
    series_id: Option<usize>,
}

enum Source {
    /// A column of the file.
    Column(usize),
    /// A column of the series table.
    Series(usize),
    /// A remainder column and the keys with columns of their own, sorted by key.
    Map(usize, Vec<(String, usize)>),
    /// `value` of numbers that are kept as [`number`] says: places of value, integer and scale.
    Number([usize; 3]),
    /// `value_int` of such numbers: places of integer and scale.
    SentInt([usize; 2]),
}

impl Source {
    /// How a column of numbers is read where the file says at which scale they are.
    fn number(name: &str, file: &Schema) -> Option<Self> {
        let scale = file.index_of(number::SCALE_COLUMN).ok()?;
        let (value, int) = (file.index_of("value").ok()?, file.index_of("value_int").ok()?);
        match name {
            "value" => Some(Self::Number([value, int, scale])),
            "value_int" => Some(Self::SentInt([int, scale])),
            _ => None,
        }
    }
}

impl Assembler {
    /// From files with these columns to the columns of `target`: all of the table's, or those of [`row_schema`].
    /// `Corrupt` when the file cannot be a segment of `table`.
    pub(crate) fn new(table: Table, target: SchemaRef, file: &Schema) -> Result<Self> {
        let series = SeriesTable::schema(table);
        let sources: Vec<Source> = target
            .fields()
            .iter()
            .map(|field| {
                let Ok(column) = file.index_of(field.name()) else {
                    return series
                        .index_of(field.name())
                        .ok()
                        .filter(|_| table.has_series())
                        .map(Source::Series)
                        .ok_or_else(|| Error::corrupt(format!("a segment of {table} without {}", field.name())));
                };
                if file.field(column).data_type() != field.data_type() {
                    let found = file.field(column).data_type();
                    return Err(Error::corrupt(format!("{} of {table} is {found}", field.name())));
                }
                if let Some(source) = Source::number(field.name(), file) {
                    return Ok(source);
                }
                let mut own: Vec<(String, usize)> = file
                    .fields()
                    .iter()
                    .enumerate()
                    .filter_map(|(i, own)| {
                        attribute_of(own.name())
                            .filter(|(map, _)| map == field.name())
                            .map(|(_, key)| (key.to_owned(), i))
                    })
                    .collect();
                own.sort();
                Ok(if own.is_empty() { Source::Column(column) } else { Source::Map(column, own) })
            })
            .collect::<Result<_>>()?;
        let joins = sources.iter().any(|source| matches!(source, Source::Series(_)));
        let series_id = file.index_of("series_id").ok().filter(|_| joins);
        Ok(Self { target, sources, series_id })
    }

    /// Whether any column comes from the series table.
    pub(crate) const fn needs_series(&self) -> bool {
        self.series_id.is_some()
    }

    pub(crate) fn assemble(&self, rows: &RecordBatch, series: Option<&SeriesTable>) -> Result<RecordBatch> {
        let series_rows = match (self.series_id, series) {
            (Some(column), Some(series)) => Some((series, series_rows(rows.column(column), series)?)),
            _ => None,
        };
        let columns = self
            .sources
            .iter()
            .map(|source| match source {
                Source::Column(column) => Ok(Arc::clone(rows.column(*column))),
                Source::Series(column) => {
                    let (series, indices) =
                        series_rows.as_ref().ok_or_else(|| Error::internal("points without their series"))?;
                    Ok(take(series.rows().column(*column), indices, None)?)
                }
                Source::Map(remainder, own) => join(rows, *remainder, own),
                Source::Number([value, int, scale]) => {
                    let [value, int, scale] = [value, int, scale].map(|column| rows.column(*column));
                    Ok(Arc::new(number::values(value, int, scale)?) as ArrayRef)
                }
                Source::SentInt([int, scale]) => {
                    Ok(Arc::new(number::sent_ints(rows.column(*int), rows.column(*scale))?) as ArrayRef)
                }
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.target), columns)?)
    }
}

fn series_rows(ids: &ArrayRef, series: &SeriesTable) -> Result<UInt32Array> {
    let ids = ids.as_primitive_opt::<UInt64Type>().ok_or_else(|| Error::corrupt("series ids are no numbers"))?;
    let mut last = None;
    ids.values()
        .iter()
        .map(|id| match last {
            Some((known, row)) if known == *id => Ok(row),
            _ => {
                let row =
                    series.lookup(*id).ok_or_else(|| Error::corrupt(format!("no series {id} in the series table")))?;
                last = Some((*id, row as u32));
                Ok(row as u32)
            }
        })
        .collect()
}

/// The maps of a remainder column and of the keys beside it.
fn join(rows: &RecordBatch, remainder: usize, own: &[(String, usize)]) -> Result<ArrayRef> {
    let columns =
        own.iter().map(|(key, i)| Ok((key.as_str(), Cells::new(rows.column(*i))?))).collect::<Result<Vec<_>>>()?;
    let remainder = rows.column(remainder);
    let mut scratch = Vec::new();
    if let Some(maps) = remainder.as_binary_opt::<i32>() {
        let mut out = BinaryBuilder::with_capacity(maps.len(), maps.values().len());
        for row in 0..maps.len() {
            join_row(&columns, row, maps.value(row), &mut scratch);
            out.append_value(&scratch);
        }
        return Ok(Arc::new(out.finish()));
    }
    let maps = remainder.as_dictionary_opt::<Int32Type>().ok_or_else(|| Error::corrupt("attributes are no bytes"))?;
    let values = maps.values().as_binary_opt::<i32>().ok_or_else(|| Error::corrupt("attributes are no bytes"))?;
    let mut known: HashMap<Vec<u8>, i32> = HashMap::new();
    let mut out = BinaryBuilder::new();
    let mut last: (Vec<u8>, i32) = (Vec::new(), -1);
    let mut keys = Vec::with_capacity(maps.len());
    for row in 0..maps.len() {
        let rest = maps.key(row).map_or(&[][..], |key| values.value(key));
        join_row(&columns, row, rest, &mut scratch);
        if last.1 < 0 || last.0 != scratch {
            let key = match known.get(&scratch) {
                Some(key) => *key,
                None => {
                    out.append_value(&scratch);
                    let key = known.len() as i32;
                    known.insert(scratch.clone(), key);
                    key
                }
            };
            last.0.clone_from(&scratch);
            last.1 = key;
        }
        keys.push(last.1);
    }
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys.into(), Arc::new(out.finish()))?))
}

/// Entries of a row's columns and of its remainder, merged by key. A row without values in columns keeps its bytes.
fn join_row(columns: &[(&str, Cells<'_>)], row: usize, rest: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let own = columns.iter().filter(|(_, cells)| cells.is_valid(row)).count();
    if own == 0 {
        out.extend_from_slice(rest);
        return;
    }
    let rest = Attributes::new(rest);
    let mut writer = MapWriter::new(out, own + rest.len());
    let mut rest = rest.iter_encoded().peekable();
    for (key, cells) in columns.iter().filter(|(_, cells)| cells.is_valid(row)) {
        while let Some((before, value)) = rest.next_if(|(before, _)| *before < key.as_bytes()) {
            writer.entry_encoded(before, value);
        }
        writer.entry(key, |sink| cells.write(row, sink));
    }
    rest.for_each(|(key, value)| writer.entry_encoded(key, value));
}

/// An attribute column that was read from a file.
enum Cells<'a> {
    Text(&'a arrow::array::StringArray),
    Int(&'a arrow::array::Int64Array),
    Double(&'a arrow::array::Float64Array),
    Bool(&'a arrow::array::BooleanArray),
}

impl<'a> Cells<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self> {
        Ok(match Scalar::from_arrow(column.data_type()) {
            Some(Scalar::Text) => Self::Text(column.as_string()),
            Some(Scalar::Int) => Self::Int(column.as_primitive::<Int64Type>()),
            Some(Scalar::Double) => Self::Double(column.as_primitive::<Float64Type>()),
            Some(Scalar::Bool) => Self::Bool(column.as_boolean()),
            None => return Err(Error::corrupt(format!("an attribute column of type {}", column.data_type()))),
        })
    }

    fn is_valid(&self, row: usize) -> bool {
        match self {
            Self::Text(cells) => cells.is_valid(row),
            Self::Int(cells) => cells.is_valid(row),
            Self::Double(cells) => cells.is_valid(row),
            Self::Bool(cells) => cells.is_valid(row),
        }
    }

    fn write(&self, row: usize, sink: &mut Vec<u8>) {
        match self {
            Self::Text(cells) => sink.string(cells.value(row)),
            Self::Int(cells) => sink.int(cells.value(row)),
            Self::Double(cells) => sink.double(cells.value(row)),
            Self::Bool(cells) => sink.bool(cells.value(row)),
        }
    }
}
