//! Attribute lookups: `attribute(map, 'key')` and its typed forms, on maps as bytes and on a segment's own columns.
//!
//! One rule decides what a value is as text, double, integer or boolean ([`Asked`]); it is applied to values inside maps
//! (memtables, remainders) and to columns (keys that have one in a segment) alike, so that where a value lies never
//! changes an answer. A value of another type than asked for is NULL, never an error.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryViewBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder,
        StringViewBuilder,
    },
    compute,
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type},
};
use datafusion::{
    common::{Result, ScalarValue, exec_err, plan_err},
    logical_expr::{
        ColumnarValue, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility,
    },
};
use storage::{
    model::attributes::{Attributes, MapWriter, Value},
    schema,
};

/// The type in which an attribute's value is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    /// Every value but null has a text: arrays and maps as JSON.
    Text,
    /// Numbers.
    Double,
    /// Integers, and doubles in the range of integers without their fraction.
    Int,
    /// Truth values.
    Bool,
}

impl Asked {
    pub(crate) const ALL: [Self; 4] = [Self::Text, Self::Double, Self::Int, Self::Bool];

    /// Name of the lookup function.
    pub(crate) const fn function(self) -> &'static str {
        match self {
            Self::Text => "attribute",
            Self::Double => "attribute_double",
            Self::Int => "attribute_int",
            Self::Bool => "attribute_bool",
        }
    }

    pub(crate) const fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8View,
            Self::Double => DataType::Float64,
            Self::Int => DataType::Int64,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// Collects values of one asked type.
enum Sink {
    Text(StringViewBuilder),
    Double(Float64Builder),
    Int(Int64Builder),
    Bool(BooleanBuilder),
}

impl Sink {
    fn new(asked: Asked, rows: usize) -> Self {
        match asked {
            Asked::Text => Self::Text(StringViewBuilder::with_capacity(rows)),
            Asked::Double => Self::Double(Float64Builder::with_capacity(rows)),
            Asked::Int => Self::Int(Int64Builder::with_capacity(rows)),
            Asked::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
        }
    }

    fn push(&mut self, value: Option<Value<'_>>) {
        match self {
            Self::Text(sink) => sink.append_option(value.and_then(Value::to_text)),
            Self::Double(sink) => sink.append_option(value.and_then(as_double)),
            Self::Int(sink) => sink.append_option(value.and_then(as_int)),
            Self::Bool(sink) => sink.append_option(match value {
                Some(Value::Bool(value)) => Some(value),
                _ => None,
            }),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut sink) => Arc::new(sink.finish()),
            Self::Double(mut sink) => Arc::new(sink.finish()),
            Self::Int(mut sink) => Arc::new(sink.finish()),
            Self::Bool(mut sink) => Arc::new(sink.finish()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "asked for as a double")]
fn as_double(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Double(value) => Some(value),
        Value::Int(value) => Some(value as f64),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked; the fraction is to go")]
fn as_int(value: Value<'_>) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Int(value) => Some(value),
        Value::Double(value) if (-LIMIT..LIMIT).contains(&value) => Some(value as i64),
        _ => None,
    }
}

/// Calls `visit` with the bytes of each row; `None` for NULL.
fn each_bytes<'a>(array: &'a dyn Array, mut visit: impl FnMut(Option<&'a [u8]>)) -> Result<()> {
    match array.data_type() {
        DataType::Binary => array.as_binary::<i32>().iter().for_each(visit),
        DataType::LargeBinary => array.as_binary::<i64>().iter().for_each(visit),
        DataType::BinaryView => array.as_binary_view().iter().for_each(visit),
        DataType::Null => (0..array.len()).for_each(|_| visit(None)),
        other => return exec_err!("an attribute map cannot be read from {other}"),
    }
    Ok(())
}

/// Applies `f` to the distinct values of a dictionary, or to the array itself.
fn on_values(array: &ArrayRef, f: impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<ArrayRef> {
    match array.as_any_dictionary_opt() {
        Some(dictionary) => Ok(compute::take(f(dictionary.values())?.as_ref(), dictionary.keys(), None)?),
        None => f(array),
    }
}

fn is_map_type(data_type: &DataType) -> bool {
    match data_type {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null => true,
        DataType::Dictionary(_, values) => is_map_type(values),
        _ => false,
    }
}

/// `attribute(map, key)` and its typed forms.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lookup {
    pub(crate) asked: Asked,
    signature: Signature,
}

impl Lookup {
    pub(crate) fn new(asked: Asked) -> Self {
        Self { asked, signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Lookup {
    fn name(&self) -> &str {
        self.asked.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [map, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View] if is_map_type(map) => {
                Ok(self.asked.data_type())
            }
            _ => plan_err!("{} takes an attribute map and the name of a key", self.name()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [map, key] = take_two(args.args)?;
        if let ColumnarValue::Scalar(key) = &key {
            let key = key.try_as_str().flatten();
            let find = |maps: &ArrayRef| {
                let mut sink = Sink::new(self.asked, maps.len());
                each_bytes(maps, |bytes| {
                    sink.push(bytes.zip(key).and_then(|(bytes, key)| Attributes::new(bytes).get(key)));
                })?;
                Ok(sink.finish())
            };
            return match map {
                ColumnarValue::Array(maps) => Ok(ColumnarValue::Array(on_values(&maps, find)?)),
                ColumnarValue::Scalar(map) => {
                    let found = on_values(&map.to_array()?, find)?;
                    Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?))
                }
            };
        }
        let keys = compute::cast(&key.into_array(rows)?, &DataType::Utf8View)?;
        let maps = plain(&map.into_array(rows)?)?;
        let mut keys = keys.as_string_view().iter();
        let mut sink = Sink::new(self.asked, rows);
        each_bytes(&maps, |bytes| {
            let key = keys.next().flatten();
            sink.push(bytes.zip(key).and_then(|(bytes, key)| Attributes::new(bytes).get(key)));
        })?;
        Ok(ColumnarValue::Array(sink.finish()))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [map, key] = args else { return plan_err!("{} takes 2 arguments", self.name()) };
        let name = match key {
            Expr::Literal(key, _) => format!("{}['{key}']", map.schema_name()),
            key => format!("{}[{}]", map.schema_name(), key.schema_name()),
        };
        Ok(match self.asked {
            Asked::Text => name,
            Asked::Double => format!("{name}::double"),
            Asked::Int => format!("{name}::bigint"),
            Asked::Bool => format!("{name}::boolean"),
        })
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        // The scan reads one column instead of the map where a segment has it.
        if matches!(args, [ExpressionPlacement::Column, ExpressionPlacement::Literal]) {
            ExpressionPlacement::MoveTowardsLeafNodes
        } else {
            ExpressionPlacement::KeepInPlace
        }
    }
}

fn take_two(args: Vec<ColumnarValue>) -> Result<[ColumnarValue; 2]> {
    match <[ColumnarValue; 2]>::try_from(args) {
        Ok(args) => Ok(args),
        Err(args) => exec_err!("expected 2 arguments, found {}", args.len()),
    }
}

fn take_one(args: Vec<ColumnarValue>) -> Result<ColumnarValue> {
    match <[ColumnarValue; 1]>::try_from(args) {
        Ok([arg]) => Ok(arg),
        Err(args) => exec_err!("expected 1 argument, found {}", args.len()),
    }
}

/// Without dictionary.
fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    on_values(array, |values| Ok(Arc::clone(values)))
}

/// A segment's own column of an attribute key, in the asked type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct FromColumn {
    asked: Asked,
    signature: Signature,
}

impl FromColumn {
    pub(crate) fn new(asked: Asked) -> Self {
        Self { asked, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for FromColumn {
    fn name(&self) -> &str {
        match self.asked {
            Asked::Text => "column_as_text",
            Asked::Double => "column_as_double",
            Asked::Int => "column_as_int",
            Asked::Bool => "column_as_bool",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.asked.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let column = take_one(args.args)?.into_array(rows)?;
        let convert = |column: &ArrayRef| {
            let mut sink = Sink::new(self.asked, column.len());
            for row in 0..column.len() {
                sink.push(column_value(column, row));
            }
            Ok(sink.finish())
        };
        Ok(ColumnarValue::Array(on_values(&column, convert)?))
    }
}

/// The value in a segment's own column; `None` where the row does not have the key.
fn column_value(column: &dyn Array, row: usize) -> Option<Value<'_>> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Utf8 => Some(Value::String(column.as_string::<i32>().value(row))),
        DataType::Utf8View => Some(Value::String(column.as_string_view().value(row))),
        DataType::Int64 => Some(Value::Int(column.as_primitive::<Int64Type>().value(row))),
        DataType::Float64 => Some(Value::Double(column.as_primitive::<Float64Type>().value(row))),
        DataType::Boolean => Some(Value::Bool(column.as_boolean().value(row))),
        _ => None,
    }
}

/// Puts a map together again: the remainder (first argument) and the values of the keys that have columns (the rest).
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Assemble {
    /// Keys of the second and later arguments, sorted by bytes.
    keys: Vec<String>,
    signature: Signature,
}

impl Assemble {
    pub(crate) fn new(keys: Vec<String>) -> Self {
        debug_assert!(keys.is_sorted(), "keys are merged in byte order");
        Self { signature: Signature::any(keys.len() + 1, Volatility::Immutable), keys }
    }
}

impl ScalarUDFImpl for Assemble {
    fn name(&self) -> &str {
        "assemble_attributes"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::BinaryView)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays =
            args.args.into_iter().map(|arg| plain(&arg.into_array(rows)?)).collect::<Result<Vec<ArrayRef>>>()?;
        let Some((remainder, columns)) = arrays.split_first() else {
            return exec_err!("expected the remainder, found no argument");
        };
        let mut out = BinaryViewBuilder::with_capacity(rows);
        let mut row = 0;
        let mut buffer = Vec::new();
        let mut rest = Vec::new();
        let mut own = Vec::new();
        each_bytes(remainder, |bytes| {
            rest.clear();
            rest.extend(Attributes::new(bytes.unwrap_or_default()).iter_encoded());
            own.clear();
            let present = self.keys.iter().zip(columns).filter_map(|(key, c)| Some((key, column_value(c, row)?)));
            own.extend(present);
            row += 1;
            if own.is_empty() {
                out.append_value(bytes.unwrap_or_default());
                return;
            }
            buffer.clear();
            let mut map = MapWriter::new(&mut buffer, rest.len() + own.len());
            let (mut rest, mut own) = (rest.iter().peekable(), own.iter().peekable());
            loop {
                match (rest.peek(), own.peek()) {
                    (Some((a, value)), b) if b.is_none_or(|(b, _)| **a < *b.as_bytes()) => {
                        map.entry_encoded(a, *value);
                        rest.next();
                    }
                    (_, Some((key, value))) => {
                        map.entry(key, |sink| value.write(sink));
                        own.next();
                    }
                    _ => break,
                }
            }
            out.append_value(&buffer);
        })?;
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(self.name(), DataType::BinaryView, true);
        Ok(Arc::new(match args.arg_fields.first() {
            Some(remainder) => field.with_metadata(remainder.metadata().clone()),
            None => field,
        }))
    }
}

/// `attribute_keys(map)`: the keys, sorted.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Keys(Signature);

impl Keys {
    pub(crate) fn new() -> Self {
        Self(Signature::any(1, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for Keys {
    fn name(&self) -> &str {
        "attribute_keys"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [map] if is_map_type(map) => Ok(DataType::new_list(DataType::Utf8View, true)),
            _ => plan_err!("attribute_keys takes an attribute map"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let maps = plain(&take_one(args.args)?.into_array(rows)?)?;
        let mut out = ListBuilder::new(StringViewBuilder::new());
        each_bytes(&maps, |bytes| {
            for key in bytes.into_iter().flat_map(|bytes| Attributes::new(bytes).keys()) {
                out.values().append_value(key);
            }
            out.append(bytes.is_some());
        })?;
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

/// `attributes_json(map)`: the map as JSON text. Also what a cast of a map to text gives.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Json(Signature);

impl Json {
    pub(crate) fn new() -> Self {
        Self(Signature::any(1, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for Json {
    fn name(&self) -> &str {
        "attributes_json"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [map] if is_map_type(map) => Ok(DataType::Utf8View),
            _ => plan_err!("attributes_json takes an attribute map"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let maps = take_one(args.args)?.into_array(rows)?;
        let json = on_values(&maps, |maps| {
            let mut out = StringViewBuilder::with_capacity(maps.len());
            each_bytes(maps, |bytes| out.append_option(bytes.map(|bytes| Attributes::new(bytes).to_json())))?;
            Ok(Arc::new(out.finish()) as ArrayRef)
        })?;
        Ok(ColumnarValue::Array(json))
    }
}

/// Whether a field holds attribute maps.
pub(crate) fn is_map(field: &Field) -> bool {
    field.metadata().get(schema::KIND_KEY).is_some_and(|kind| kind == schema::KIND_ATTRIBUTES)
}

/// The shared function objects.
pub(crate) fn lookup(asked: Asked) -> Arc<ScalarUDF> {
    static LOOKUPS: std::sync::LazyLock<[Arc<ScalarUDF>; 4]> =
        std::sync::LazyLock::new(|| Asked::ALL.map(|asked| Arc::new(ScalarUDF::from(Lookup::new(asked)))));
    Arc::clone(&LOOKUPS[asked as usize])
}
