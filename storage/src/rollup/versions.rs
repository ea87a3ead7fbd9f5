//! Resources -> changes: a `service.version` that was not seen before, of a service that had another one.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, new_null_array},
    datatypes::Int32Type,
};
use bytes::Bytes;
use hashbrown::HashSet;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{MAX_SERVICES, cells, remembered, times};
use crate::{
    error::{Error, Result},
    model::{
        Table,
        attributes::{Attributes, Value},
    },
    schema,
};

/// Versions remembered of a service: the latest.
const MAX_VERSIONS: usize = 32;
/// Resources looked at are remembered by hash; beyond this many all are looked at again.
const MAX_RESOURCES: usize = 100_000;

/// The versions seen of each service, each with the time of its first row.
#[derive(Debug, Default)]
pub(super) struct Versions {
    by_service: BTreeMap<String, Vec<(String, i64)>>,
    resources: HashSet<u64>,
}

/// A version seen for the first time.
struct Change<'a> {
    time: i64,
    service: &'a str,
    version: &'a str,
    version_from: String,
}

impl Versions {
    /// Looks at the resources of some rows: the rows of `changes` that follow, and whether anything new was seen.
    pub(super) fn see(&mut self, table: Table, rows: &RecordBatch) -> Result<(Option<RecordBatch>, bool)> {
        let Some(resources) = rows.column_by_name("resource_attributes") else { return Ok((None, false)) };
        let resources = resources.as_dictionary_opt::<Int32Type>();
        let resources = resources.ok_or_else(|| Error::internal("resources are no labels"))?;
        let maps = resources.values().as_binary_opt::<i32>();
        let maps = maps.ok_or_else(|| Error::internal("resources are no bytes"))?;
        let first_rows = first_rows(resources.keys(), maps.len());
        let (mut changes, mut is_new) = (Vec::new(), false);
        for (row, map) in first_rows.into_iter().zip(maps) {
            let map = map.unwrap_or_default();
            if !self.is_unseen(map) {
                continue;
            }
            let attributes = Attributes::new(map);
            let (Some(Value::String(service)), Some(Value::String(version))) =
                (attributes.get("service.name"), attributes.get("service.version"))
            else {
                continue;
            };
            let Some(row) = row else { continue };
            let time = times(rows, table.time_column())?[row];
            let (service, version) = (remembered(service), remembered(version));
            let Some(version_from) = self.add(service, version, time) else { continue };
            is_new = true;
            if let Some(version_from) = version_from {
                changes.push(Change { time, service, version, version_from });
            }
        }
        let changes = if changes.is_empty() { None } else { Some(change_rows(&changes)?) };
        Ok((changes, is_new))
    }

    fn is_unseen(&mut self, resource: &[u8]) -> bool {
        if self.resources.len() >= MAX_RESOURCES {
            self.resources.clear();
        }
        self.resources.insert(xxh3_64(resource))
    }

    /// Remembers a version: `None` when it was known, or there is no room; else the version before it, if any. A version
    /// that is older than all known ones comes late and is no news.
    fn add(&mut self, service: &str, version: &str, time: i64) -> Option<Option<String>> {
        if !self.by_service.contains_key(service) && self.by_service.len() >= MAX_SERVICES {
            return None;
        }
        let known = self.by_service.entry(service.to_owned()).or_default();
        if known.iter().any(|(known, _)| known == version) {
            return None;
        }
        if known.len() >= MAX_VERSIONS {
            known.remove(0);
        }
        let before = known.iter().filter(|(_, first)| *first <= time).max_by_key(|(_, first)| *first);
        let before = before.map(|(version, _)| version.clone());
        known.push((version.to_owned(), time));
        Some(before)
    }

    pub(super) fn save(&self) -> Result<Bytes> {
        let json = serde_json::to_vec(&self.by_service);
        Ok(json.map_err(|error| Error::internal("known versions").with_source(error))?.into())
    }

    pub(super) fn load(&mut self, state: &[u8]) -> Result<()> {
        self.by_service =
            serde_json::from_slice(state).map_err(|error| Error::corrupt("known versions").with_source(error))?;
        Ok(())
    }
}

/// For each value of a dictionary the first row that has it.
fn first_rows(keys: &Int32Array, values: usize) -> Vec<Option<usize>> {
    let mut rows = vec![None; values];
    for (row, key) in keys.iter().enumerate() {
        let place = key.and_then(|key| usize::try_from(key).ok()).and_then(|key| rows.get_mut(key));
        place.into_iter().for_each(|first| {
            first.get_or_insert(row);
        });
    }
    rows
}

/// Rows of `changes` that telemetry tells.
fn change_rows(changes: &[Change<'_>]) -> Result<RecordBatch> {
    let schema = schema::wide(Table::Changes);
    let constant = |text| cells::labels(changes.iter().map(|_| 0), cells::texts([text]));
    let own = |text: fn(&Change<'_>) -> String| -> Result<ArrayRef> {
        let texts: Vec<String> = changes.iter().map(text).collect();
        cells::labels((0..).take(texts.len()), cells::texts(texts.iter().map(String::as_str)))
    };
    let ids: Vec<[u8; 16]> = changes
        .iter()
        .map(|change| xxh3_128(format!("{}\0{}", change.service, change.version).as_bytes()).to_be_bytes())
        .collect();
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "timestamp" => Ok(cells::timestamps(changes.iter().map(|change| change.time))),
            "service_name" => own(|change| change.service.to_owned()),
            "kind" => constant("deploy"),
            "version" => own(|change| change.version.to_owned()),
            "version_from" => own(|change| change.version_from.clone()),
            "source" => constant("telemetry"),
            "change_id" => cells::trace_ids(ids.iter().map(Some)),
            _ => Ok(new_null_array(field.data_type(), changes.len())),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
}
