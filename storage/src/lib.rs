//! How telemetry is kept, found and dropped.
//!
//! `append`: WAL (fsync) -> memtable -> acknowledged. `flush`: memtable -> sorted segment -> one catalog transaction.
//! `snapshot`: memtables + segments of one catalog version, for one reader.

pub mod clock;
pub mod compaction;
pub mod error;
pub mod model;
pub mod random;
pub mod schema;
pub mod segment;
