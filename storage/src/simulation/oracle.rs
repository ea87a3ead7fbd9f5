//! What was promised, and whether the store keeps it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    model::{Batch, BatchKey, Table, TableRows, Tenant},
    testing,
};

/// Rows of one request are at most this many a table.
pub(super) const MAX_ROWS: u64 = 100;

/// A request that clients may send several times.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Table and number of rows.
    pub(super) tables: Vec<(Table, u64)>,
    pub(super) has_key: bool,
    pub(super) is_acknowledged: bool,
    /// Sending it again does no harm.
    pub(super) is_recognised: bool,
    /// Somebody waits for an answer.
    pub(super) is_on_its_way: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Oracle(Arc<Mutex<BTreeMap<u64, Sent>>>);

impl Oracle {
    pub(super) fn sent(&self) -> MutexGuard<'_, BTreeMap<u64, Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new request.
    pub(super) fn send(&self, tables: Vec<(Table, u64)>, has_key: bool) -> u64 {
        let mut sent = self.sent();
        let id = sent.len() as u64 + 1;
        sent.insert(id, Sent { tables, has_key, is_acknowledged: false, is_recognised: true, is_on_its_way: true });
        id
    }

    /// The rows of a request: its number and the row's in the time, and in the text where the table has one.
    pub(super) fn batch(&self, id: u64) -> Batch {
        let sent = self.sent()[&id].clone();
        let tables = sent.tables.iter().map(|(table, row_count)| {
            let rows: Vec<_> = (0..*row_count).map(|row| (time(id, row), text(id, row))).collect();
            let rows: Vec<_> = rows.iter().map(|(time, text)| (*time, text.as_str())).collect();
            TableRows { table: *table, rows: testing::rows(*table, &rows) }
        });
        Batch {
            tenant: Tenant::default(),
            key: sent.has_key.then(|| BatchKey(u128::from(id))),
            tables: tables.collect(),
        }
    }

    /// A process died: nobody waits any more.
    pub(super) fn forget_waiting(&self) {
        self.sent().values_mut().for_each(|sent| sent.is_on_its_way = false);
    }

    /// The store does not recognise any of the requests so far.
    pub(super) fn forget_keys(&self) {
        self.sent().values_mut().for_each(|sent| sent.is_recognised = false);
    }

    /// Requests to send again: those without an answer that can be recognised.
    pub(super) fn unanswered(&self) -> Vec<u64> {
        let sent = self.sent();
        let again = sent
            .iter()
            .filter(|(_, sent)| sent.has_key && sent.is_recognised && !sent.is_acknowledged && !sent.is_on_its_way);
        again.map(|(id, _)| *id).collect()
    }

    /// Compares what is stored with what was promised: acknowledged requests once, others whole and at most once.
    pub(super) fn check(&self, stored: &BTreeMap<Table, Vec<i64>>) -> Result<(), String> {
        let mut counts: BTreeMap<(u64, Table), Vec<u64>> = BTreeMap::new();
        for (table, times) in stored {
            for time in times {
                let (id, row) = (time.cast_unsigned() / MAX_ROWS, time.cast_unsigned() % MAX_ROWS);
                counts.entry((id, *table)).or_default().push(row);
            }
        }
        let sent = self.sent();
        for (id, sent) in sent.iter() {
            let mut is_there = Vec::new();
            for (table, row_count) in &sent.tables {
                let mut rows = counts.remove(&(*id, *table)).unwrap_or_default();
                rows.sort_unstable();
                let is_whole = rows == (0..*row_count).collect::<Vec<_>>();
                if !is_whole && !rows.is_empty() {
                    return Err(format!("request {id}: rows {rows:?} of {row_count} in {table}: {sent:?}"));
                }
                is_there.push(is_whole);
            }
            if sent.is_acknowledged && is_there.contains(&false) {
                return Err(format!("request {id} was acknowledged and is lost: {sent:?}"));
            }
            if is_there.contains(&true) && is_there.contains(&false) {
                return Err(format!("request {id} is stored in part: {sent:?}"));
            }
        }
        match counts.first_key_value() {
            Some((unknown, _)) => Err(format!("rows that nobody sent: {unknown:?}")),
            None => Ok(()),
        }
    }
}

fn time(id: u64, row: u64) -> i64 {
    (id * MAX_ROWS + row).cast_signed()
}

fn text(id: u64, row: u64) -> String {
    format!("request {id} row {row}")
}
