//! The start: catalog, leftovers, replay of the WAL. Afterwards every acknowledged row is in a segment or a memtable.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;

use crate::{
    catalog::{Contents, StoredKey},
    environment::Environment,
    error::{Error, ErrorKind, Result},
    files::{FileSystem, TEMPORARY_SUFFIX},
    flush::SEGMENTS,
    model::{Batch, TableRows},
    status::Recovery,
    store::{Place, Published, Store},
    wal::{
        Wal,
        file_name::{DIRECTORY, FILE_HEADER_BYTES, FileName},
        frame,
        log::{Finished, Log},
        replay::{self, Found, Order},
    },
};

/// A file of the log and from where on its frames are void.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: FileName,
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) void_from: Option<u64>,
}

impl Store {
    pub(crate) async fn recover(config: &config::Config, environment: Environment) -> Result<Arc<Self>> {
        let contents = environment.catalog.load().await?;
        let (files, listing) = (Arc::clone(&environment.files), contents.clone());
        let (recovery, log_files) =
            environment.threads.blocking(move || Ok((clear_leftovers(&*files, &listing)?, list_log(&*files)?))).await?;

        // Whatever moved a checkpoint kept the batch keys up to it as well.
        let flushed = contents.checkpoints.values().copied().max().unwrap_or(0);
        let published = Published { keys_through: flushed, wal_floor: contents.wal_floor };
        let mut store = Self::new(config, environment, published);
        store.recovery = recovery;
        store.load(&contents);
        let (mut finished, order) = store.replay(&contents, log_files).await?;
        let next_sequence = order.last().max(flushed) + 1;
        store.view_mut().committed_sequence = next_sequence - 1;
        store.recovery.missing_frames = order.missing(flushed).iter().map(|run| run.end() - run.start() + 1).sum();
        // A file without a younger one ends where the log ends.
        finished.iter_mut().for_each(|file| file.last_sequence = file.last_sequence.min(next_sequence - 1));
        let (environment, settings) = (&store.environment, &config.storage);
        let log = Log::new(
            Arc::clone(&environment.files),
            environment.random.clone(),
            settings.wal_file_size.as_u64(),
            finished,
        );
        store.wal = Wal::new(log, environment.clock.clone(), next_sequence, settings.group_commit_size.as_usize());
        store.look_at_disk().await;
        let Recovery { frames, rows, torn_bytes, damaged_bytes, missing_frames, .. } = store.recovery;
        tracing::info!(frames, rows, torn_bytes, next_sequence, "the WAL is replayed");
        if damaged_bytes > 0 || missing_frames > 0 {
            tracing::error!(damaged_bytes, missing_frames, "the WAL is damaged; what is whole was recovered");
            metrics::counter!("rootline_wal_damaged_bytes_total").increment(damaged_bytes);
            metrics::counter!("rootline_wal_missing_frames_total").increment(missing_frames);
        }
        Ok(Arc::new(store))
    }

    /// Takes over what the catalog knows.
    fn load(&self, contents: &Contents) {
        for key in &contents.keys {
            self.duplicates.remember(key);
        }
        let mut rollups = self.rollups();
        for (place, state) in &contents.states {
            rollups.load(place, state);
        }
        drop(rollups);
        let mut view = self.view_mut();
        view.catalog_version = contents.version;
        for (place, checkpoint) in &contents.checkpoints {
            view.table(place).sealed_through = *checkpoint;
        }
        for meta in &contents.segments {
            let table = view.table(&(meta.tenant.clone(), meta.table));
            table.segments = table.segments.iter().cloned().chain([self.segment(meta)]).collect();
        }
    }

    /// Puts the rows that are in no segment into memtables, flushing when they are too many.
    async fn replay(&mut self, contents: &Contents, listed: Vec<Listed>) -> Result<(Vec<Finished>, Order)> {
        let mut order = Order::above(contents.wal_floor);
        let mut finished = Vec::with_capacity(listed.len());
        let last_path = listed.last().map(|file| file.path.clone());
        for file in listed {
            let (files, path) = (Arc::clone(&self.environment.files), file.path.clone());
            let bytes = self
                .environment
                .threads
                .blocking(move || files.read(&path).map_err(|error| unreadable(&path, error)))
                .await?;
            let is_last = last_path.as_ref() == Some(&file.path);
            finished.push(self.replay_file(contents, file, &bytes, is_last, &mut order).await?);
        }
        Ok((finished, order))
    }

    async fn replay_file(
        &mut self,
        contents: &Contents,
        file: Listed,
        bytes: &Bytes,
        is_last: bool,
        order: &mut Order,
    ) -> Result<Finished> {
        let scan = replay::scan(bytes, file.name.nonce);
        self.recovery.damaged_bytes += scan.damaged_bytes as u64;
        for found in &scan.frames {
            if order.admit(found.header.sequence, file.void_from) {
                self.replay_frame(contents, found)?;
                self.recovery.frames += 1;
            }
            let half = usize::try_from(self.config.memtable_bytes() / 2).unwrap_or(usize::MAX);
            if self.view().memtable_bytes > half {
                self.flush_all().await?;
            }
        }
        let last_sequence = file.void_from.map_or(u64::MAX, |first| first.saturating_sub(1));
        let finished = Finished { name: file.name, path: file.path, bytes: file.bytes, last_sequence };
        if !is_last {
            return Ok(finished);
        }
        self.recovery.torn_bytes += finished.bytes - scan.valid_bytes as u64;
        let frames: Vec<_> = scan.frames.iter().map(|found| found.bytes).collect();
        self.rewrite(finished, frames.concat()).await
    }

    /// Writes the whole frames of the last file once more, and removes it. What is visible from now on must be durable,
    /// and syncing the old file would not prove that: the crash may have followed a failed fsync, after which the kernel
    /// shows bytes that it will never write.
    async fn rewrite(&self, old: Finished, frames: Vec<u8>) -> Result<Finished> {
        // The same first sequence makes the old file void, should the crash come in between.
        let name = FileName { number: old.name.number + 1, ..old.name };
        let new = Finished { name, path: name.path(), bytes: 0, last_sequence: old.last_sequence };
        let mut bytes = name.header().to_vec();
        bytes.extend(frames);
        let new = Finished { bytes: bytes.len() as u64, ..new };
        let (files, path) = (Arc::clone(&self.environment.files), new.path.clone());
        self.environment
            .threads
            .blocking(move || {
                files
                    .put_durable(&path, &bytes)
                    .and_then(|()| files.remove(&old.path))
                    .map_err(|error| Error::unavailable(format!("{path} cannot be written")).with_source(error))
            })
            .await?;
        Ok(new)
    }

    fn replay_frame(&mut self, contents: &Contents, found: &Found<'_>) -> Result<()> {
        let sequence = found.header.sequence;
        let batch = match found.header.decode(found.body) {
            Ok(batch) => batch,
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(%error, "a WAL frame cannot be read");
                self.recovery.damaged_bytes += found.body.len() as u64;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let is_first = batch.key.is_none_or(|key| {
            self.duplicates.remember(&StoredKey {
                tenant: batch.tenant.clone(),
                key,
                sequence,
                stored_unix_nano: found.header.appended_unix_nano,
            })
        });
        let mut rows = 0;
        if is_first {
            rows = self.replay_rows(contents, found, batch)?;
        }
        let mut view = self.view_mut();
        view.committed_sequence = view.committed_sequence.max(sequence);
        drop(view);
        self.recovery.rows += rows;
        Ok(())
    }

    /// Puts the rows of a frame, and what follows from them, into the memtables of the tables that do not have them in
    /// segments. Returns how many rows of the frame itself.
    fn replay_rows(&self, contents: &Contents, found: &Found<'_>, batch: Batch) -> Result<u64> {
        let sequence = found.header.sequence;
        let is_missing =
            |place: &Place| contents.checkpoints.get(place).is_none_or(|checkpoint| *checkpoint < sequence);
        let placed = |table: TableRows| ((batch.tenant.clone(), table.table), vec![table.rows]);
        let mut own: Vec<_> = batch.tables.into_iter().map(placed).collect();
        let mut rollups = self.rollups();
        let derived = rollups.derive(&mut own, found.header.appended_unix_nano, is_missing);
        let (now, mut rows) = (self.environment.clock.monotonic(), 0);
        let mut view = self.view_mut();
        for (place, batches) in own.into_iter().filter(|(place, _)| is_missing(place)) {
            for batch in batches {
                rows += batch.num_rows() as u64;
                view.insert(&place, batch, (sequence, sequence), now)?;
            }
        }
        for (place, batches) in derived.rows {
            for batch in batches {
                view.insert(&place, batch, (sequence, sequence), now)?;
            }
        }
        derived.touched.iter().for_each(|place| view.touch(place, (sequence, sequence), now));
        Ok(rows)
    }
}

/// Removes files of segments that are not live: what a crash left between writing and publishing, or between replacing
/// and deleting. Refuses when there are segments and the catalog was not there.
fn clear_leftovers(files: &dyn FileSystem, contents: &Contents) -> Result<Recovery> {
    let listed = files.list(SEGMENTS).map_err(|error| unreadable(SEGMENTS, error))?;
    if contents.is_new && !listed.is_empty() {
        return Err(Error::invalid(format!(
            "there are {} files below {SEGMENTS} and no catalog: restore it, or make a new one with `rootline catalog rebuild`; nothing was changed",
            listed.len()
        )));
    }
    let live: BTreeSet<_> = contents.segments.iter().map(|meta| meta.path.as_str()).collect();
    let mut recovery = Recovery::default();
    for (path, _) in listed.iter().filter(|(path, _)| !live.contains(path.as_str())) {
        files.remove(path).map_err(|error| unreadable(path, error))?;
        recovery.leftover_files += 1;
    }
    let present: BTreeSet<_> = listed.iter().map(|(path, _)| path.as_str()).collect();
    for path in live.difference(&present) {
        tracing::error!(path, "the file of a live segment is missing");
        recovery.missing_segments += 1;
    }
    Ok(recovery)
}

/// Refuses a log that a later version has written to, before anything is changed: to this version its frames would be
/// damage. A file is written by one process, so its beginning says it all.
pub(crate) fn refuse_later_log(files: &dyn FileSystem) -> Result<()> {
    for (path, _) in files.list(DIRECTORY).map_err(|error| unreadable(DIRECTORY, error))? {
        let start = files.read_start(&path, FILE_HEADER_BYTES + frame::HEADER_BYTES);
        replay::refuse_later(&path, &start.map_err(|error| unreadable(&path, error))?)?;
    }
    Ok(())
}

/// The files of the log in their order, without what an unfinished rewriting of the last one has left.
fn list_log(files: &dyn FileSystem) -> Result<Vec<Listed>> {
    let (listed, others) = log_files(files)?;
    for path in others {
        if path.ends_with(TEMPORARY_SUFFIX) {
            files.remove(&path).map_err(|error| unreadable(&path, error))?;
        } else {
            tracing::warn!(path, "not a file of the WAL; left alone");
        }
    }
    Ok(listed)
}

/// The files of the log in their order, and what else lies there. What a file says of itself counts more than its name.
pub(crate) fn log_files(files: &dyn FileSystem) -> Result<(Vec<Listed>, Vec<String>)> {
    let (mut listed, mut others) = (Vec::new(), Vec::new());
    for (path, bytes) in files.list(DIRECTORY).map_err(|error| unreadable(DIRECTORY, error))? {
        if path.ends_with(TEMPORARY_SUFFIX) {
            others.push(path);
            continue;
        }
        let start = files.read_start(&path, FILE_HEADER_BYTES).map_err(|error| unreadable(&path, error))?;
        match FileName::from_header(&start).or_else(|| FileName::parse(&path)) {
            Some(name) => listed.push(Listed { name, path, bytes, void_from: None }),
            None => others.push(path),
        }
    }
    listed.sort_by_key(|file| file.name);
    let names: Vec<_> = listed.iter().map(|file| file.name).collect();
    for (file, void_from) in listed.iter_mut().zip(replay::void_from(&names)) {
        file.void_from = void_from;
    }
    Ok((listed, others))
}

fn unreadable(path: &str, error: std::io::Error) -> Error {
    Error::unavailable(format!("{path} cannot be read")).with_source(error)
}
