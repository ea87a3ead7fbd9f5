//! Rules for some rows of a table: which rows of a batch they say are too old.

use arrow::{
    array::{Array, AsArray, BooleanArray, DictionaryArray, RecordBatch},
    datatypes::{Int32Type, Schema, SchemaRef},
};
use config::{RetentionRule, RuleTable};

use crate::{
    error::{Error, Result},
    model::{
        Table,
        attributes::{Attributes, Value},
    },
    schema::layout::attribute_of,
    segment::{order::column, shred::row_schema},
};

/// The rules for rows of a table, in their order.
pub(super) fn of(table: Table, settings: &config::Retention) -> impl Iterator<Item = &RetentionRule> {
    let wanted = match table {
        Table::Logs => Some(RuleTable::Logs),
        Table::Spans => Some(RuleTable::Spans),
        Table::Metrics | Table::Histograms | Table::ExponentialHistograms | Table::Summaries | Table::Exemplars => {
            Some(RuleTable::Metrics)
        }
        Table::SpanMetrics | Table::ServiceEdges | Table::LogPatterns | Table::Changes => None,
    };
    settings.rules.iter().filter(move |rule| Some(rule.table) == wanted)
}

/// Which ages the rows of a segment have passed: that of each rule, and last their table's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passed(pub(super) Vec<bool>);

impl Passed {
    pub(super) fn count(&self) -> usize {
        self.0.iter().filter(|passed| **passed).count()
    }
}

/// Tells rows that are too old from those that stay. The first rule that a row meets counts, or else its table's age.
#[derive(Clone, Debug)]
pub struct ExpiredRows {
    rules: Vec<(RetentionRule, bool)>,
    others: bool,
}

impl ExpiredRows {
    /// Rules, and whether the rows that meet each are too old; and whether all others are.
    pub(super) const fn new(rules: Vec<(RetentionRule, bool)>, others: bool) -> Self {
        Self { rules, others }
    }

    pub(crate) fn passed(&self) -> Passed {
        Passed(self.rules.iter().map(|(_, passed)| *passed).chain([self.others]).collect())
    }

    /// What of [`row_schema`] has to be read to tell.
    pub(crate) fn schema(&self, table: Table) -> SchemaRef {
        let rows = row_schema(table);
        let asks = |name: &str| {
            self.rules.iter().any(|(rule, _)| match name {
                "service_name" => rule.service.is_some(),
                "metric_name" => rule.metric.is_some(),
                "severity_number" => rule.severity_below.is_some(),
                "attributes" | "resource_attributes" => !rule.attributes.is_empty(),
                _ => false,
            })
        };
        let fields: Vec<_> = rows.fields().iter().filter(|field| asks(field.name())).cloned().collect();
        Schema::new(fields).into()
    }

    /// Names of a file's columns that [`ExpiredRows::schema`] is made of.
    pub(crate) fn file_columns<'a>(&self, table: Table, file: &'a Schema) -> Vec<&'a str> {
        let wanted = self.schema(table);
        let asks = |name: &str| {
            let own = attribute_of(name).map_or(name, |(map, _)| map);
            wanted.index_of(own).is_ok()
        };
        file.fields().iter().map(|field| field.name().as_str()).filter(|name| asks(name)).collect()
    }

    /// Which rows stay. `rows` have at least the columns of [`ExpiredRows::schema`].
    pub(crate) fn kept(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let rules = self.rules.iter().map(|(rule, passed)| Ok((Meets::new(rule, rows)?, *passed)));
        let rules = rules.collect::<Result<Vec<_>>>()?;
        let is_expired = |row| {
            let met = rules.iter().find(|(meets, _)| meets.row(row));
            met.map_or(self.others, |(_, passed)| *passed)
        };
        Ok((0..rows.num_rows()).map(|row| Some(!is_expired(row))).collect())
    }
}

/// The conditions of a rule on one batch.
struct Meets<'a> {
    labels: Vec<Label<'a>>,
    /// Severity numbers, and the one that the row's must be below.
    severity: Option<(&'a [i32], i32)>,
    attributes: &'a std::collections::BTreeMap<String, String>,
    maps: Vec<&'a dyn Array>,
}

impl<'a> Meets<'a> {
    fn new(rule: &'a RetentionRule, rows: &'a RecordBatch) -> Result<Self> {
        let labels = [("service_name", &rule.service), ("metric_name", &rule.metric)];
        let labels = labels.into_iter().filter_map(|(name, pattern)| Some((name, pattern.as_deref()?)));
        let severity = match rule.severity_below {
            Some(severity) => {
                let numbers = column(rows, "severity_number")?.as_primitive_opt::<Int32Type>();
                let numbers = numbers.ok_or_else(|| Error::internal("severities are no numbers"))?;
                Some((&**numbers.values(), severity as i32))
            }
            None => None,
        };
        let maps = if rule.attributes.is_empty() { &[][..] } else { &["attributes", "resource_attributes"] };
        Ok(Self {
            labels: labels.map(|(name, pattern)| Label::new(rows, name, pattern)).collect::<Result<_>>()?,
            severity,
            attributes: &rule.attributes,
            maps: maps.iter().map(|map| column(rows, map)).collect::<Result<_>>()?,
        })
    }

    fn row(&self, row: usize) -> bool {
        self.labels.iter().all(|label| label.row(row))
            // 0 is a record that does not say how severe it is.
            && self.severity.is_none_or(|(numbers, below)| (1..below).contains(&numbers[row]))
            && self.attributes.iter().all(|(key, text)| self.has(row, key, text))
    }

    fn has(&self, row: usize, key: &str, text: &str) -> bool {
        let mut maps = self.maps.iter().filter_map(|maps| bytes_at(*maps, row));
        maps.any(|map| Attributes::new(map).get(key).and_then(Value::to_text).is_some_and(|value| value == text))
    }
}

fn bytes_at(maps: &dyn Array, row: usize) -> Option<&[u8]> {
    if let Some(maps) = maps.as_binary_opt::<i32>() {
        return Some(maps.value(row));
    }
    let maps = maps.as_dictionary_opt::<Int32Type>()?;
    Some(maps.values().as_binary_opt::<i32>()?.value(maps.key(row)?))
}

/// A label column, and which of its values fit.
struct Label<'a> {
    column: &'a DictionaryArray<Int32Type>,
    fits: Vec<bool>,
}

impl<'a> Label<'a> {
    fn new(rows: &'a RecordBatch, name: &str, pattern: &str) -> Result<Self> {
        let column = column(rows, name)?
            .as_dictionary_opt::<Int32Type>()
            .ok_or_else(|| Error::internal(format!("{name} is no label")))?;
        let values =
            column.values().as_string_opt::<i32>().ok_or_else(|| Error::internal(format!("{name} is no label")))?;
        let fits = |value: &str| match pattern.strip_suffix('*') {
            Some(beginning) => value.starts_with(beginning),
            None => value == pattern,
        };
        Ok(Self { column, fits: values.iter().map(|value| value.is_some_and(fits)).collect() })
    }

    fn row(&self, row: usize) -> bool {
        self.column.key(row).is_some_and(|key| self.fits[key])
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use arrow::array::{BinaryArray, Int32Array};

    use super::*;
    use crate::{model::attributes::encode, testing::log_rows};

    fn rule() -> RetentionRule {
        RetentionRule {
            table: RuleTable::Logs,
            keep: config::Age::Forever,
            service: None,
            metric: None,
            severity_below: None,
            attributes: BTreeMap::new(),
        }
    }

    fn rows() -> RecordBatch {
        let rows = log_rows(&[(1, "cart"), (2, "cart-db"), (3, "shop"), (4, "")]);
        let mut columns = rows.columns().to_vec();
        columns[rows.schema_ref().index_of("severity_number").unwrap()] = Arc::new(Int32Array::from(vec![0, 8, 9, 17]));
        let map = |status: Value<'_>| encode([("http.status", status), ("n", Value::Null)]);
        let maps = [map(Value::Int(200)), map(Value::String("200")), map(Value::Int(500)), Vec::new()];
        columns[rows.schema_ref().index_of("attributes").unwrap()] =
            Arc::new(BinaryArray::from_iter_values(maps.iter()));
        RecordBatch::try_new(rows.schema(), columns).unwrap()
    }

    fn kept(rules: Vec<(RetentionRule, bool)>, others: bool) -> Vec<bool> {
        let expired = ExpiredRows::new(rules, others);
        let rows = rows();
        let asked = expired.schema(Table::Logs);
        let places: Vec<_> = asked.fields().iter().map(|f| rows.schema_ref().index_of(f.name()).unwrap()).collect();
        let kept = expired.kept(&rows.project(&places).unwrap()).unwrap();
        assert_eq!(kept, expired.kept(&rows).unwrap(), "the columns asked for suffice");
        kept.values().iter().collect()
    }

    #[test]
    fn a_row_meets_a_rule_with_all_its_conditions() {
        let service = |name: &str| RetentionRule { service: Some(name.to_owned()), ..rule() };
        assert_eq!(kept(vec![(service("cart"), true)], false), [false, true, true, true]);
        assert_eq!(kept(vec![(service("cart*"), true)], false), [false, false, true, true]);
        assert_eq!(kept(vec![(service("*"), true)], false), [false; 4]);
        let below = RetentionRule { severity_below: Some(config::Severity::Info), ..rule() };
        assert_eq!(kept(vec![(below.clone(), true)], false), [true, false, true, true], "0 says nothing");
        let status = RetentionRule { attributes: BTreeMap::from([("http.status".into(), "200".into())]), ..rule() };
        assert_eq!(kept(vec![(status.clone(), true)], false), [false, false, true, true]);
        let both = RetentionRule { severity_below: below.severity_below, ..status };
        assert_eq!(kept(vec![(both, true)], false), [true, false, true, true]);
        let null = RetentionRule { attributes: BTreeMap::from([("n".into(), String::new())]), ..rule() };
        assert_eq!(kept(vec![(null, true)], false), [true; 4]);
    }

    #[test]
    fn the_first_rule_that_a_row_meets_counts() {
        let service = |name: &str| RetentionRule { service: Some(name.to_owned()), ..rule() };
        let rules = vec![(service("cart"), false), (service("cart*"), true)];
        assert_eq!(kept(rules.clone(), false), [true, false, true, true]);
        assert_eq!(kept(rules, true), [true, false, false, false]);
    }
}
