//! What is bounded, by how much, and how much of it is taken: `rootline_limit` and `rootline_used` in `/metrics`, one
//! value a resource. What has no `rootline_used` is a bound on one request, one answer or one file.

use config::Config;
use query::Query;
use storage::Storage;

/// Says every bound once; each is a setting (docs/configuration.md).
pub(crate) fn announce(config: &Config) {
    let Config { listen, memory, ingest, storage, rollup, compaction, query, .. } = config;
    let limits: [(&'static str, u64); 22] = [
        ("connections", listen.max_connections as u64),
        ("memory_bytes", memory.budget_bytes()),
        ("segment_cache_bytes", memory.cache_bytes()),
        ("query_memory_bytes", memory.query_bytes()),
        ("memtable_bytes", config.memtable_bytes()),
        ("request_bytes", ingest.max_request_size.as_u64()),
        ("attribute_depth", ingest.max_attribute_depth as u64),
        ("batch_keys", ingest.dedup_max_entries as u64),
        ("wal_file_bytes", storage.wal_file_size.as_u64()),
        ("group_commit_bytes", storage.group_commit_size.as_u64()),
        ("segment_attribute_columns", storage.attribute_column_max_count as u64),
        ("edge_pending_halves", rollup.edge_pending_max as u64),
        ("operations_per_service", rollup.max_operations as u64),
        ("patterns", rollup.max_patterns as u64),
        ("merged_segment_bytes", compaction.target_size.as_u64()),
        ("merge_memory_bytes", compaction.memory.as_u64()),
        ("merge_bytes_per_second", compaction.max_bytes_per_second.as_u64()),
        ("queries", query.max_concurrent as u64),
        ("statement_bytes", query.max_statement_size.as_u64()),
        ("answer_rows", query.max_rows as u64),
        ("search_rows", query.max_search_limit as u64),
        ("spill_bytes", query.max_spill.as_u64()),
    ];
    for (resource, limit) in limits {
        metrics::gauge!("rootline_limit", "resource" => resource).set(limit as f64);
    }
}

/// Says how much is taken now.
pub(crate) fn measure(storage: &Storage, query: &Query, resident_bytes: Option<u64>) {
    let status = storage.status();
    let used: [(&'static str, u64); 7] = [
        ("memory_bytes", resident_bytes.unwrap_or_default()),
        ("memtable_bytes", status.memtable_bytes),
        ("segment_cache_bytes", status.segment_cache_bytes),
        ("batch_keys", status.batch_keys as u64),
        ("wal_files", status.wal_files as u64),
        ("segments", status.tables.iter().map(|table| table.segments as u64).sum()),
        ("queries", query.running().len() as u64),
    ];
    for (resource, used) in used {
        metrics::gauge!("rootline_used", "resource" => resource).set(used as f64);
    }
}
