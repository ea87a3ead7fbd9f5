//! Log records -> their pattern, and how many there are of each in a minute.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Int32Array, RecordBatch, UInt64Array},
    datatypes::{Int32Type, UInt64Type},
};
use bytes::Bytes;
use hashbrown::HashMap;

use super::{
    cells::{self, Cells},
    labels, numbers, step_start, times,
};
use crate::{
    error::{Error, Result},
    model::Table,
    pattern::{Drain, PatternMiner, write_masked},
    schema,
};
use xxhash_rust::xxh3::xxh3_64;

const MINUTE_NANO: i64 = 60_000_000_000;
/// Masked texts whose pattern is remembered; beyond this many all are looked up again.
const MAX_MASKED: usize = 100_000;

/// Place of the template of records without a body: they count under pattern 0, for the counts to be those of all records.
const NO_TEXT: u32 = u32::MAX;

/// What is counted of one pattern in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    minute: i64,
    service: i32,
    pattern: u64,
    severity: i32,
}

#[derive(Debug, Default)]
struct Records {
    count: u64,
    /// Place of the template.
    template: u32,
}

impl Records {
    fn add(&mut self, count: u64, template: u32) {
        self.count += count;
        self.template = template;
    }
}

/// The patterns known so far.
#[derive(Debug)]
pub(super) struct Patterns {
    miner: Box<dyn PatternMiner>,
    /// Pattern of each masked text, by hash: lines of one form are looked up, not mined.
    known: HashMap<u64, u32>,
    masked: Vec<u8>,
}

impl Patterns {
    pub(super) fn new(max_patterns: usize) -> Self {
        Self { miner: Box::new(Drain::new(max_patterns)), known: HashMap::new(), masked: Vec::new() }
    }

    /// The rows with `pattern_id` filled in; the rows of `log_patterns` that follow; whether a pattern is new or has changed.
    pub(super) fn assign(&mut self, logs: &RecordBatch) -> Result<(RecordBatch, RecordBatch, bool)> {
        let bodies = logs.column_by_name("body").and_then(|column| column.as_string_opt::<i32>());
        let bodies = bodies.ok_or_else(|| Error::internal("log bodies are no text"))?;
        let service = labels(logs, "service_name")?;
        let (times, severities) = (times(logs, "timestamp")?, numbers::<Int32Type>(logs, "severity_number")?);
        let mut cells = Cells::<Key, Records>::default();
        let mut ids = Vec::with_capacity(logs.num_rows());
        let mut is_new = false;
        for (row, body) in bodies.iter().enumerate() {
            let (place, pattern) = match body {
                None => (NO_TEXT, None),
                Some(body) => {
                    let (place, has_changed) = self.place(body);
                    is_new |= has_changed;
                    (place, Some(self.miner.id(place)))
                }
            };
            ids.push(pattern);
            let key = Key {
                minute: step_start(times[row], MINUTE_NANO),
                service: service.keys().value(row),
                pattern: pattern.unwrap_or(0),
                severity: severities[row],
            };
            cells.get(key).add(1, place);
        }
        let place = logs.schema_ref().index_of("pattern_id")?;
        let mut columns = logs.columns().to_vec();
        columns[place] = Arc::new(ids.into_iter().collect::<UInt64Array>());
        let with_patterns = RecordBatch::try_new(logs.schema(), columns)?;
        let counts = self.rows(&cells, Arc::clone(service.values()))?;
        Ok((with_patterns, counts, is_new))
    }

    /// Place of the pattern of a text, and whether it is new or has changed.
    fn place(&mut self, body: &str) -> (u32, bool) {
        self.masked.clear();
        write_masked(body, &mut self.masked);
        let hash = xxh3_64(&self.masked);
        if let Some(place) = self.known.get(&hash) {
            return (*place, false);
        }
        let (place, has_changed) = self.miner.assign(&String::from_utf8_lossy(&self.masked));
        if self.known.len() >= MAX_MASKED {
            self.known.clear();
        }
        self.known.insert(hash, place);
        (place, has_changed)
    }

    fn rows(&self, cells: &Cells<Key, Records>, services: ArrayRef) -> Result<RecordBatch> {
        let (mut places, mut templates) = (HashMap::new(), Vec::new());
        let keys: Vec<i32> = cells
            .iter()
            .map(|(_, records)| {
                *places.entry(records.template).or_insert_with(|| {
                    let is_text = records.template != NO_TEXT;
                    templates.push(if is_text { self.miner.template(records.template) } else { String::new() });
                    templates.len() as i32 - 1
                })
            })
            .collect();
        rows(cells, services, &keys, cells::texts(templates.iter().map(String::as_str)))
    }

    pub(super) fn save(&self) -> Result<Bytes> {
        self.miner.save()
    }

    pub(super) fn load(&mut self, state: &[u8]) -> Result<()> {
        self.known.clear();
        self.miner.load(state)
    }
}

/// The columns of `log_patterns`; `templates` are places in `texts`.
fn rows(cells: &Cells<Key, Records>, services: ArrayRef, templates: &[i32], texts: ArrayRef) -> Result<RecordBatch> {
    let keys = || cells.iter().map(|(key, _)| key);
    let values = || cells.iter().map(|(_, records)| records);
    let columns = vec![
        cells::timestamps(keys().map(|key| key.minute)),
        cells::labels(keys().map(|key| key.service), services)?,
        Arc::new(UInt64Array::from_iter_values(keys().map(|key| key.pattern))),
        cells::labels(templates.iter().copied(), texts)?,
        Arc::new(Int32Array::from_iter_values(keys().map(|key| key.severity))),
        Arc::new(UInt64Array::from_iter_values(values().map(|records| records.count))),
    ];
    Ok(RecordBatch::try_new(schema::wide(Table::LogPatterns), columns)?)
}

/// Rows of `log_patterns` with one key as one, under the newest template. `united` has one dictionary a column.
pub(super) fn combined(united: &RecordBatch) -> Result<RecordBatch> {
    let (service, template) = (labels(united, "service_name")?, labels(united, "template")?);
    let (minutes, severities) = (times(united, "timestamp")?, numbers::<Int32Type>(united, "severity_number")?);
    let (ids, counts) = (numbers::<UInt64Type>(united, "pattern_id")?, numbers::<UInt64Type>(united, "records")?);
    let mut cells = Cells::<Key, Records>::default();
    for row in 0..united.num_rows() {
        let key = Key {
            minute: minutes[row],
            service: service.keys().value(row),
            pattern: ids[row],
            severity: severities[row],
        };
        cells.get(key).add(counts[row], template.keys().value(row).cast_unsigned());
    }
    let templates: Vec<i32> = cells.iter().map(|(_, records)| records.template.cast_signed()).collect();
    rows(&cells, Arc::clone(service.values()), &templates, Arc::clone(template.values()))
}
