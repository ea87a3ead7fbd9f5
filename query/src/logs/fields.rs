//! Fields of the log records found, with their most frequent values: what a search can be narrowed by.

use std::collections::{BTreeMap, HashMap};

use datafusion::{
    functions_aggregate::expr_fn::count,
    logical_expr::{col, lit},
};
use storage::model::{TimeRange, attributes::Attributes};

use super::{LogRecord, LogSearch};
use crate::{
    Limits, Query, Stats,
    columns::Columns,
    cost::Cost,
    error::Result,
    search::{Filter, Order, Severity, Subject, during, predicate},
};

/// Newest records in which attributes are counted.
const SAMPLE_ROWS: usize = 2000;
/// Most keys of attributes and as many of resources, and values of each.
const MAX_KEYS: usize = 20;
const MAX_VALUES: usize = 10;
const MAX_SERVICES: usize = 100;
/// In fewer records nobody can tell whether a key narrows a search: whether its values are neither all different nor all
/// the same.
const MIN_TELLING_ROWS: usize = 20;
/// Longer values are no facets: nobody picks them from a list.
const MAX_VALUE_BYTES: usize = 200;

/// A field and how often each value occurs, the most frequent first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCounts {
    /// As the search language writes it.
    pub name: String,
    /// Counted in a sample only.
    pub is_sampled: bool,
    /// Values and counts.
    pub values: Vec<(String, u64)>,
}

/// Fields of the records found.
#[derive(Clone, Debug)]
pub struct LogFields {
    /// `service`, `severity`, then attribute keys by frequency.
    pub fields: Vec<FieldCounts>,
    /// All records found.
    pub total: u64,
    /// Records in which attributes were counted.
    pub sampled_rows: u64,
    /// What it cost.
    pub stats: Stats,
}

impl Query {
    /// Counts values of fields: service and level in all records found, attributes in the newest of them.
    ///
    /// # Errors
    /// As [`Query::sql`].
    pub async fn log_fields(&self, filter: Filter, range: TimeRange, limits: Limits) -> Result<LogFields> {
        let mut cost = Cost::new();
        let (timeout, query_id) = (limits.timeout, limits.query_id.clone());
        let counted_filter = filter.clone();
        let answer = self
            .run(limits, move |ctx| async move {
                let predicate = predicate(&counted_filter, Subject::Logs)?;
                let rows = ctx.table("logs").await?.filter(during("timestamp", range).and(predicate))?;
                let by = vec![col("service_name"), col("severity_number")];
                Ok(rows.aggregate(by, vec![count(lit(1i64)).alias("n")])?)
            })
            .await?;
        let (batches, stats) = answer.collect().await?;
        cost.add(stats);
        let mut services: HashMap<String, u64> = HashMap::new();
        let mut levels: BTreeMap<std::cmp::Reverse<Severity>, u64> = BTreeMap::new();
        let mut total = 0;
        for batch in &batches {
            let columns = Columns(batch);
            let (service, severity) = (columns.text("service_name")?, columns.int("severity_number")?);
            let n = columns.int("n")?;
            for row in 0..batch.num_rows() {
                let n = u64::try_from(n.value(row)).unwrap_or(0);
                *services.entry(service.value(row).to_owned()).or_default() += n;
                let level = Severity::of(i32::try_from(severity.value(row)).unwrap_or(0));
                *levels.entry(std::cmp::Reverse(level)).or_default() += n;
                total += n;
            }
        }

        let sample =
            LogSearch { filter, range, order: Order::Descending, limit: SAMPLE_ROWS, after: None, timeout, query_id };
        let sample = self.logs(sample).await?;
        cost.add(sample.stats);

        let exact = |name: &str, values| FieldCounts { name: name.to_owned(), is_sampled: false, values };
        let mut fields = vec![
            exact("service", most_frequent(services, MAX_SERVICES)),
            exact("severity", levels.into_iter().map(|(level, n)| (level.0.name().to_owned(), n)).collect()),
        ];
        fields.extend(attribute_fields(&sample.rows));
        let stats = cost.of(fields.len());
        Ok(LogFields { fields, total, sampled_rows: sample.rows.len() as u64, stats })
    }
}

/// The keys that most records have, with their most frequent values; those of attributes before those of resources.
fn attribute_fields(rows: &[LogRecord]) -> Vec<FieldCounts> {
    let mut fields = key_fields("attributes", rows, |row| &row.attributes);
    fields.extend(key_fields("resource", rows, |row| &row.resource_attributes));
    fields
}

fn key_fields(prefix: &str, rows: &[LogRecord], map: impl Fn(&LogRecord) -> &[u8]) -> Vec<FieldCounts> {
    let mut keys: HashMap<String, HashMap<String, u64>> = HashMap::new();
    for row in rows {
        for (key, value) in Attributes::new(map(row)).iter() {
            let Some(text) = value.to_text().filter(|text| text.len() <= MAX_VALUE_BYTES) else { continue };
            *keys.entry(field_name(prefix, key)).or_default().entry(text.into_owned()).or_default() += 1;
        }
    }
    let narrows = |values: &HashMap<String, u64>| {
        let is_unique = values.values().all(|count| *count == 1);
        let is_everywhere = values.values().any(|count| *count == rows.len() as u64);
        rows.len() < MIN_TELLING_ROWS || !(is_unique || is_everywhere)
    };
    let mut keys: Vec<_> = keys
        .into_iter()
        .filter(|(_, values)| narrows(values))
        .map(|(key, values)| (values.values().sum::<u64>(), key, values))
        .collect();
    keys.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    keys.truncate(MAX_KEYS);
    let counts = |(_, name, values)| FieldCounts { name, is_sampled: true, values: most_frequent(values, MAX_VALUES) };
    keys.into_iter().map(counts).collect()
}

/// `attributes.key`, in quotes where the search language needs them.
fn field_name(prefix: &str, key: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '@');
    if !key.is_empty() && key.chars().all(is_plain) {
        return format!("{prefix}.{key}");
    }
    format!("{prefix}.\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))
}

fn most_frequent(values: HashMap<String, u64>, limit: usize) -> Vec<(String, u64)> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    values.truncate(limit);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Field, parse};

    #[test]
    fn field_names_can_be_searched_for() {
        for key in ["http.route", "odd key", "a\"b\\c", "超时", "k8s.io/name"] {
            let text = format!("{}:x", field_name("attributes", key));
            let Ok(Filter::Compare(comparison)) = parse(&text, Subject::Logs) else { panic!("{text}") };
            assert_eq!(comparison.field, Field::Attribute { map: "attributes", key: key.to_owned() });
        }
    }
}
