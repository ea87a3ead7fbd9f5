//! Which files that nothing refers to a server may have left: those that it had no time to remove.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{flush::SEGMENTS, segment::SegmentId, wal::file_name::DIRECTORY};

/// A reader may hold a replaced file a little longer than the grace time, and deletion has its own rhythm.
const SLACK: Duration = Duration::from_secs(60);

/// What is known about the last moments of the server that used a directory.
#[derive(Debug)]
pub(super) struct Leftovers {
    data_dir: PathBuf,
    /// The last time it wrote anything.
    last_write: Option<SystemTime>,
    /// A file may lie there for so long after it was replaced.
    grace: Duration,
    /// When a file was replaced, where that is known: its own age says nothing about it.
    replaced: HashMap<String, SystemTime>,
}

impl Leftovers {
    pub(super) fn new(data_dir: &Path, grace: Duration) -> Self {
        let mut last_write = None;
        for name in ["catalog.db", "catalog.db-wal", DIRECTORY, SEGMENTS] {
            newest(&data_dir.join(name), &mut last_write);
        }
        Self { data_dir: data_dir.to_owned(), last_write, grace: grace + SLACK, replaced: HashMap::new() }
    }

    /// Notes when the segments were replaced that a live one, in the file at `path`, was made of.
    pub(super) fn replaced_by(&mut self, path: &str, replaced: &[SegmentId]) {
        let (Some(since), Some((directory, _))) = (modified(&self.data_dir.join(path)), path.rsplit_once('/')) else {
            return;
        };
        self.replaced.extend(replaced.iter().map(|id| (format!("{directory}/{id}.parquet"), since)));
    }

    /// Whether the server ended before it had to remove this file.
    pub(super) fn is_expected(&self, path: &str) -> bool {
        let written = || modified(&self.data_dir.join(path));
        let since = self.replaced.get(path).copied().or_else(written);
        let Some((since, last)) = since.zip(self.last_write) else { return false };
        last.duration_since(since).is_ok_and(|age| age <= self.grace)
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// The newest file at or below a path.
fn newest(path: &Path, found: &mut Option<SystemTime>) {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().for_each(|entry| newest(&entry.path(), found)),
        Err(_) => *found = (*found).max(modified(path)),
    }
}
