//! One expression over the SQL table becomes one over what a segment or a memtable really holds.
//!
//! - `trace_id = '4bf9…'` compares bytes; an id used otherwise becomes hex text.
//! - `attribute(attributes, 'k')` is the file's own column of that key, or the lookup in the remainder; a whole map is
//!   put together from both.
//! - What only depends on a series' columns is computed once per series and looked up by `series_id`.
//! - A time condition that every row of the file meets is dropped.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::{
    common::{
        Result, ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    config::ConfigOptions,
    logical_expr::{Operator, ScalarUDF},
    physical_expr::{
        PhysicalExpr, ScalarFunctionExpr,
        expressions::{BinaryExpr, Column, InListExpr, Literal, cast, in_list},
    },
    physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory},
};
use storage::{
    model::{Table, TimeRange},
    segment::SeriesTable,
};

use super::{
    attributes::{Asked, Assemble, FromColumn, Lookup, is_map},
    ids,
    number::Number,
    series::SeriesLookup,
};

/// Metadata key of a file's Arrow schema: which [`FileFacts`] belong to it.
pub(crate) const FILE_KEY: &str = "rootline.file";

/// What is known of one file (or memtable) besides its columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileFacts {
    /// Times of its rows.
    pub(crate) times: Option<TimeRange>,
    /// Its series, when points are stored without their series' columns.
    pub(crate) series: Option<Arc<SeriesTable>>,
}

/// Makes adapters for the files of one scan.
#[derive(Debug)]
pub(crate) struct AdapterFactory {
    pub(crate) table: Table,
    pub(crate) files: HashMap<String, FileFacts>,
}

impl PhysicalExprAdapterFactory for AdapterFactory {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let facts = physical.metadata().get(FILE_KEY).and_then(|key| self.files.get(key)).cloned().unwrap_or_default();
        Ok(Arc::new(Adapter { table: self.table, logical, physical, facts }))
    }
}

/// Rewrites expressions for one file.
#[derive(Debug)]
pub(crate) struct Adapter {
    pub(crate) table: Table,
    pub(crate) logical: SchemaRef,
    pub(crate) physical: SchemaRef,
    pub(crate) facts: FileFacts,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        self.adapt(&expr)
    }
}

impl Adapter {
    fn adapt(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        if let Some(series) = self.facts.series.as_ref().filter(|_| self.only_series_columns(expr)) {
            return SeriesLookup::over(series, expr, &self.logical, &self.physical);
        }
        if let Some(column) = expr.downcast_ref::<Column>() {
            return self.column(column);
        }
        if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>()
            && let Some(adapted) = self.lookup(call)?
        {
            return Ok(adapted);
        }
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>()
            && let Some(adapted) = self.comparison(binary)?
        {
            return Ok(adapted);
        }
        if let Some(list) = expr.downcast_ref::<InListExpr>()
            && let Some(adapted) = self.id_in_list(list)?
        {
            return Ok(adapted);
        }
        let children = expr.children();
        if children.is_empty() {
            return Ok(Arc::clone(expr));
        }
        let adapted = children.iter().map(|child| self.adapt(child)).collect::<Result<Vec<_>>>()?;
        if children.iter().zip(&adapted).all(|(old, new)| Arc::ptr_eq(old, new)) {
            return Ok(Arc::clone(expr));
        }
        Arc::clone(expr).with_new_children(adapted)
    }

    /// The expression needs nothing but columns that this file keeps once per series.
    fn only_series_columns(&self, expr: &Arc<dyn PhysicalExpr>) -> bool {
        let (mut columns, mut only) = (0, true);
        let walked = expr.apply(|node| {
            if node.is_volatile_node() || node.snapshot_generation() > 0 {
                only = false;
            }
            if let Some(column) = node.downcast_ref::<Column>() {
                columns += 1;
                only &= self.is_missing(column.name());
            }
            Ok(if only { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        walked.is_ok() && only && columns > 0
    }

    fn is_missing(&self, column: &str) -> bool {
        self.physical.index_of(column).is_err()
    }

    fn own(&self, name: &str) -> Option<(Arc<dyn PhysicalExpr>, &DataType)> {
        let index = self.physical.index_of(name).ok()?;
        Some((Arc::new(Column::new(name, index)), self.physical.field(index).data_type()))
    }

    fn column(&self, column: &Column) -> Result<Arc<dyn PhysicalExpr>> {
        let Ok(logical) = self.logical.field_with_name(column.name()) else {
            // A column that only the file knows: adapted already.
            return Ok(Arc::new(column.clone()));
        };
        if is_map(logical)
            && let Some(map) = self.whole_map(column.name())?
        {
            return Ok(map);
        }
        if let Some(number) = self.number(column.name())? {
            return Ok(number);
        }
        let Some((own, stored)) = self.own(column.name()) else {
            return Ok(Arc::new(Literal::new(ScalarValue::try_new_null(logical.data_type())?)));
        };
        if matches!(stored, DataType::FixedSizeBinary(_)) && *logical.data_type() == DataType::Utf8View {
            return self.call(ids::IdText::udf(), vec![own]);
        }
        if stored == logical.data_type() { Ok(own) } else { cast(own, &self.physical, logical.data_type().clone()) }
    }

    /// The remainder together with the keys that have columns here; `None` when no key has.
    fn whole_map(&self, name: &str) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let mut own: Vec<(&str, Arc<dyn PhysicalExpr>)> = Vec::new();
        for (index, field) in self.physical.fields().iter().enumerate() {
            if let Some(key) = field.name().strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) {
                own.push((key, Arc::new(Column::new(field.name(), index))));
            }
        }
        if own.is_empty() {
            return Ok(None);
        }
        own.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        let remainder = match self.own(name) {
            Some((remainder, _)) => remainder,
            None => Arc::new(Literal::new(ScalarValue::BinaryView(Some(Vec::new())))),
        };
        let keys = own.iter().map(|(key, _)| (*key).to_owned()).collect();
        let args = std::iter::once(remainder).chain(own.into_iter().map(|(_, column)| column)).collect();
        self.call(Arc::new(ScalarUDF::from(Assemble::new(keys))), args).map(Some)
    }

    /// A number of a point, where the file keeps it as an integer and its scale.
    fn number(&self, name: &str) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        if self.table != Table::Metrics {
            return Ok(None);
        }
        let Some((function, columns)) = Number::of(name) else { return Ok(None) };
        let args: Option<Vec<_>> = columns.iter().map(|column| Some(self.own(column)?.0)).collect();
        args.map(|args| self.call(function, args)).transpose()
    }

    /// `attribute(map, 'key')` on this file.
    fn lookup(&self, call: &ScalarFunctionExpr) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(lookup) = call.fun().inner().downcast_ref::<Lookup>() else { return Ok(None) };
        let [map, key] = call.args() else { return Ok(None) };
        let (Some(map), Some(key)) = (map.downcast_ref::<Column>(), key.downcast_ref::<Literal>()) else {
            return Ok(None);
        };
        let Some(key) = key.value().try_as_str().flatten() else { return Ok(None) };
        if let Some((column, stored)) = self.own(&format!("{}.{key}", map.name())) {
            return self.typed(column, stored, lookup.asked).map(Some);
        }
        let Some((remainder, _)) = self.own(map.name()) else { return Ok(None) };
        // The map as stored, without cast: a dictionary is looked up once per distinct map.
        let key = Arc::clone(&call.args()[1]);
        self.call(Arc::new(call.fun().clone()), vec![remainder, key]).map(Some)
    }

    /// A key's own column in the asked type.
    fn typed(&self, column: Arc<dyn PhysicalExpr>, stored: &DataType, asked: Asked) -> Result<Arc<dyn PhysicalExpr>> {
        let plain = super::view_type(stored);
        match (asked, &plain) {
            (Asked::Text, DataType::Utf8View) => cast(column, &self.physical, DataType::Utf8View),
            (Asked::Double, DataType::Float64)
            | (Asked::Int, DataType::Int64)
            | (Asked::Bool, DataType::Boolean)
            // A cast is understood by pruning.
            | (Asked::Double, DataType::Int64) => cast(column, &self.physical, asked.data_type()),
            (Asked::Text, _) | (Asked::Int, DataType::Float64) => {
                self.call(Arc::new(ScalarUDF::from(FromColumn::new(asked))), vec![column])
            }
            _ => Ok(Arc::new(Literal::new(ScalarValue::try_new_null(&asked.data_type())?))),
        }
    }

    fn call(&self, function: Arc<ScalarUDF>, args: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let options = Arc::new(ConfigOptions::default());
        Ok(Arc::new(ScalarFunctionExpr::try_new(function, args, &self.physical, options)?))
    }

    fn comparison(&self, binary: &BinaryExpr) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let (left, right) = (binary.left(), binary.right());
        let (column, literal, operator) = match (left.downcast_ref::<Column>(), right.downcast_ref::<Literal>()) {
            (Some(column), Some(literal)) => (column, literal, *binary.op()),
            _ => match (right.downcast_ref::<Column>(), left.downcast_ref::<Literal>()) {
                (Some(column), Some(literal)) => match binary.op().swap() {
                    Some(operator) => (column, literal, operator),
                    None => return Ok(None),
                },
                _ => return Ok(None),
            },
        };
        if column.name() == self.table.time_column() {
            return Ok(self
                .always_true(literal.value(), operator)
                .then(|| datafusion::physical_expr::expressions::lit(true)));
        }
        if !matches!(operator, Operator::Eq | Operator::NotEq) {
            return Ok(None);
        }
        let Some((own, DataType::FixedSizeBinary(length))) = self.own(column.name()) else { return Ok(None) };
        let Some(bytes) = literal.value().try_as_str().flatten().and_then(|text| ids::literal(text, *length)) else {
            return Ok(None);
        };
        Ok(Some(Arc::new(BinaryExpr::new(own, operator, Arc::new(Literal::new(bytes))))))
    }

    /// Every row of this file meets `time <operator> value`. The time column is never NULL.
    fn always_true(&self, value: &ScalarValue, operator: Operator) -> bool {
        let (Some(times), ScalarValue::TimestampNanosecond(Some(value), _)) = (self.facts.times, value) else {
            return false;
        };
        let (first, end) = (times.start_unix_nano(), times.end_unix_nano());
        match operator {
            Operator::GtEq => first >= *value,
            Operator::Gt => first > *value,
            Operator::LtEq => end.saturating_sub(1) <= *value,
            Operator::Lt => end <= *value,
            _ => false,
        }
    }

    fn id_in_list(&self, list: &InListExpr) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(column) = list.expr().downcast_ref::<Column>() else { return Ok(None) };
        let Some((own, DataType::FixedSizeBinary(length))) = self.own(column.name()) else { return Ok(None) };
        let mut bytes: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
        for item in list.list() {
            let Some(Some(text)) = item.downcast_ref::<Literal>().map(|item| item.value().try_as_str().flatten())
            else {
                return Ok(None);
            };
            let Some(literal) = ids::literal(text, *length) else { return Ok(None) };
            bytes.push(Arc::new(Literal::new(literal)));
        }
        in_list(own, bytes, &list.negated(), &self.physical).map(Some)
    }
}

/// The file's columns with text and bytes as views, tagged with the key of its facts.
pub(crate) fn tagged(schema: &Schema, key: &str) -> SchemaRef {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| {
            let view = super::view_type(field.data_type());
            if view == *field.data_type() {
                Arc::clone(field)
            } else {
                Arc::new(field.as_ref().clone().with_data_type(view))
            }
        })
        .collect();
    let metadata = HashMap::from([(FILE_KEY.to_owned(), key.to_owned())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}
