//! How much memory the process may use, and who gets which share.

use std::{fs, path::Path, sync::OnceLock};

use crate::{Budget, Config, Memory};

/// What is assumed where the machine does not say: enough to start, too little to do harm.
const UNKNOWN_MACHINE_BYTES: u64 = 2 << 30;

/// Memory this process can have at most: the machine's, or its control group's limit where that is smaller.
/// Read once; a machine does not grow while we run.
pub fn machine_memory_bytes() -> u64 {
    static MACHINE: OnceLock<u64> = OnceLock::new();
    *MACHINE.get_or_init(|| {
        let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_bytes(&text));
        let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_bytes(&text));
        [machine, group].into_iter().flatten().min().unwrap_or(UNKNOWN_MACHINE_BYTES)
    })
}

/// `MemTotal` of `/proc/meminfo`, which counts in KiB.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The smallest limit of our control group (version 2) and those around it; "max" is none.
fn group_bytes(cgroup: &str) -> Option<u64> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = Path::new("/sys/fs/cgroup").join(path);
    let limits = group.ancestors().take_while(|group| group.starts_with("/sys/fs/cgroup"));
    limits.filter_map(|group| fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok()).min()
}

impl Memory {
    /// The whole budget.
    pub fn budget_bytes(&self) -> u64 {
        match self.budget {
            Budget::Auto => machine_memory_bytes() / 2,
            Budget::Fixed(size) => size.as_u64(),
        }
    }

    /// Share of ingest: requests being read and rows not yet flushed. 40 %.
    pub fn ingest_bytes(&self) -> u64 {
        self.budget_bytes() / 5 * 2
    }

    /// Share of queries: what they may hold before they spill. 40 %.
    pub fn query_bytes(&self) -> u64 {
        self.budget_bytes() / 5 * 2
    }

    /// Share of caches: footers, indexes and file ranges. The remaining 20 %.
    pub fn cache_bytes(&self) -> u64 {
        self.budget_bytes() - self.ingest_bytes() - self.query_bytes()
    }
}

/// A memtable filling, one being written, and two for the other tables.
const FLUSH_SIZES: u64 = 4;

impl Config {
    /// Rows in memory before new batches wait: as set, or five eighths of the share of ingest, up to what flushes make use
    /// of. More would not be written any faster.
    pub fn memtable_bytes(&self) -> u64 {
        match self.storage.memtable_budget.as_u64() {
            0 => (self.memory.ingest_bytes() / 8 * 5).min(self.storage.flush_size.as_u64().saturating_mul(FLUSH_SIZES)),
            bytes => bytes,
        }
    }

    /// Requests being read, inflated and decoded before new ones are refused: three eighths of the share of ingest, and
    /// never less than one request of the largest size needs.
    pub fn admission_bytes(&self) -> u64 {
        (self.memory.ingest_bytes() / 8 * 3).max(self.ingest.max_request_size.as_u64().saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ByteSize;

    #[test]
    fn meminfo_counts_in_kib() {
        assert_eq!(total_bytes("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn shares_make_up_the_budget() {
        let memory = Memory { budget: Budget::Fixed(ByteSize::bytes(1_000_003)) };
        assert_eq!(memory.ingest_bytes(), 400_000);
        assert_eq!(memory.query_bytes(), 400_000);
        assert_eq!(memory.ingest_bytes() + memory.query_bytes() + memory.cache_bytes(), 1_000_003);
    }
}
