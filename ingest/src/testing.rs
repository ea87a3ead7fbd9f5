//! Decoding alone, for fuzzing and benchmarks: no socket, no store, no limit on memory.

use std::time::Duration;

use config::Age;
use storage::model::{Batch, Tenant};

use crate::{
    Encoding, Signal,
    admission::{Admission, Connection},
    decode::{self, Decoded, Limits},
};

/// The time at which everything arrives.
const NOW_UNIX_NANO: i64 = 1_700_000_000_000_000_000;

/// Decodes one body of logs (0), spans (1) or metrics (2) into Arrow rows. `None` when the body is refused.
pub fn batch(signal: u8, is_json: bool, body: &[u8]) -> Option<Batch> {
    let tables = decoded(signal, is_json, body)?.tables;
    Some(Batch { tenant: Tenant::default(), key: None, tables })
}

fn decoded(signal: u8, is_json: bool, body: &[u8]) -> Option<Decoded> {
    let signal = Signal::ALL[usize::from(signal) % Signal::ALL.len()];
    let limits = Limits {
        now_unix_nano: NOW_UNIX_NANO,
        max_future: Duration::MAX,
        age: Age::Forever,
        age_setting: "retention",
        max_attribute_depth: storage::model::attributes::MAX_DEPTH,
        max_value_bytes: usize::MAX,
    };
    let mut share = Admission::new(usize::MAX).share(&Connection::default());
    let encoding = if is_json { Encoding::Json } else { Encoding::Protobuf };
    decode::decode(signal, encoding, body, &limits, &mut share).ok()
}

/// The same, as counts: items sent, items rejected.
///
/// # Panics
/// When they do not add up.
pub fn decode(signal: u8, is_json: bool, body: &[u8]) -> Option<(u64, u64)> {
    let decoded = decoded(signal, is_json, body)?;
    let stored: usize = decoded
        .tables
        .iter()
        .filter(|table| table.table != storage::model::Table::Exemplars)
        .map(|table| table.rows.num_rows())
        .sum();
    let rejected = decoded.tally.rejected_item_count();
    assert_eq!(decoded.item_count, stored as u64 + rejected, "an item got lost");
    Some((decoded.item_count, rejected))
}
