//! A disk in memory that fails like a real one: bytes that were not synced are lost or torn per 512-byte sector, names
//! that were not synced come back or vanish, an fsync that failed once never tells the truth again.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, path::Path,
};

use super::chance::Chance;
use crate::files::{AppendFile, FileSystem, NewFile, TEMPORARY_SUFFIX};

const SECTOR: usize = 512;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// `kill -9`: the kernel keeps what was written.
    Kill,
    /// Only what was synced is sure to be there.
    PowerCut,
}

/// How often things fail, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) append: u64,
    pub(super) sync: u64,
    pub(super) put: u64,
    pub(super) remove: u64,
}

#[derive(Clone, Debug)]
pub(super) struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    chance: Chance,
    faults: Faults,
    /// Operations left before the process dies in the middle of one.
    fuel: Option<u64>,
    is_dead: bool,
    free_bytes: u64,
    files: BTreeMap<String, SimulatedFile>,
    /// Removed, and it is not durable that they are.
    removed: Vec<(String, SimulatedFile)>,
}

#[derive(Clone, Debug, Default)]
struct SimulatedFile {
    /// What reads see.
    content: Vec<u8>,
    /// What survives a power cut.
    durable: Vec<u8>,
    /// Whether the name survives one.
    is_name_durable: bool,
    /// An fsync failed: later ones succeed and do nothing.
    is_poisoned: bool,
}

impl SimulatedFile {
    fn sync(&mut self) {
        if !self.is_poisoned {
            self.durable.clone_from(&self.content);
        }
    }

    fn cut_power(&mut self, chance: &Chance) {
        // Each sector that was not synced is written or not, in any order; the file's length is that of the last one.
        let mut survived = std::mem::take(&mut self.durable);
        let start = survived.len() / SECTOR * SECTOR;
        for at in (start..self.content.len()).step_by(SECTOR) {
            let end = (at + SECTOR).min(self.content.len());
            if !self.is_poisoned && chance.percent(40) {
                let from = at.max(survived.len().min(end));
                survived.resize(survived.len().max(end), 0);
                survived[from.min(end)..end].copy_from_slice(&self.content[from.min(end)..end]);
            }
        }
        self.content.clone_from(&survived);
        self.durable = survived;
        self.is_poisoned = false;
        self.is_name_durable = true;
    }
}

impl SimulatedDisk {
    pub(super) fn new(chance: Chance) -> Self {
        Self(Arc::new(Mutex::new(State {
            chance,
            faults: Faults::default(),
            fuel: None,
            is_dead: false,
            free_bytes: u64::MAX,
            files: BTreeMap::new(),
            removed: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_faults(&self, faults: Faults, fuel: Option<u64>) {
        let mut state = self.state();
        (state.faults, state.fuel) = (faults, fuel);
    }

    pub(super) fn set_free_bytes(&self, bytes: u64) {
        self.state().free_bytes = bytes;
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// One operation of the process: `false` when it dies before it is done.
    pub(super) fn burn(&self) -> bool {
        self.state().burn()
    }

    /// What the next process finds.
    pub(super) fn crash(&self, crash: Crash) {
        let mut state = self.state();
        let state = &mut *state;
        (state.is_dead, state.fuel) = (false, None);
        if crash == Crash::PowerCut {
            let chance = &state.chance;
            state.files.retain(|_, file| file.is_name_durable || chance.percent(50));
            for (path, file) in state.removed.drain(..) {
                if chance.percent(50) {
                    state.files.entry(path).or_insert(file);
                }
            }
            state.files.values_mut().for_each(|file| file.cut_power(chance));
        }
    }

    /// Makes every name durable.
    pub(super) fn sync_names(&self) {
        self.state().sync_names();
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }
}

impl State {
    fn burn(&mut self) -> bool {
        if let Some(fuel) = &mut self.fuel {
            self.is_dead |= *fuel == 0;
            *fuel = fuel.saturating_sub(1);
        }
        !self.is_dead
    }

    fn dies(&mut self) -> io::Result<()> {
        if self.burn() { Ok(()) } else { Err(io::Error::other("the process is dead")) }
    }

    fn fails(&self, percent: u64, kind: io::ErrorKind) -> io::Result<()> {
        if self.chance.percent(percent) { Err(io::Error::new(kind, "injected")) } else { Ok(()) }
    }

    /// A synced directory has all its names: those that came and those that went.
    fn sync_names(&mut self) {
        self.removed.clear();
        self.files.values_mut().for_each(|file| file.is_name_durable = true);
    }

    fn file(&mut self, path: &str) -> io::Result<&mut SimulatedFile> {
        self.files.get_mut(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn part<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[..self.chance.below(bytes.len() as u64 + 1) as usize]
    }
}

impl FileSystem for SimulatedDisk {
    fn create(&self, path: &str) -> io::Result<Box<dyn AppendFile>> {
        let mut state = self.state();
        state.dies()?;
        state.fails(state.faults.put, io::ErrorKind::StorageFull)?;
        if state.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.files.insert(path.to_owned(), SimulatedFile::default());
        // Dying here leaves a name that is not durable.
        state.dies()?;
        state.fails(state.faults.put, io::ErrorKind::Other)?;
        state.sync_names();
        drop(state);
        Ok(Box::new(SimulatedAppend { disk: self.clone(), path: path.to_owned() }))
    }

    fn begin(&self, path: &str) -> io::Result<Box<dyn NewFile>> {
        Ok(Box::new(SimulatedNew { disk: self.clone(), path: path.to_owned(), content: Vec::new() }))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<(String, u64)>> {
        let mut state = self.state();
        state.dies()?;
        let below = |path: &str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        let files = state.files.iter().filter(|(path, _)| below(path));
        Ok(files.map(|(path, file)| (path.clone(), file.content.len() as u64)).collect())
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        let mut state = self.state();
        state.dies()?;
        state.file(path).map(|file| Bytes::from(file.content.clone()))
    }

    fn read_start(&self, path: &str, bytes: usize) -> io::Result<Bytes> {
        self.read(path).map(|content| content.slice(..bytes.min(content.len())))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.dies()?;
        state.fails(state.faults.remove, io::ErrorKind::Other)?;
        if let Some(file) = state.files.remove(path) {
            state.removed.push((path.to_owned(), file));
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state().free_bytes)
    }
}

/// What is written reaches the disk when it is published; dying there leaves any part of it.
#[derive(Debug)]
struct SimulatedNew {
    disk: SimulatedDisk,
    path: String,
    content: Vec<u8>,
}

impl io::Write for SimulatedNew {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.content.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for SimulatedNew {
    fn publish(self: Box<Self>) -> io::Result<()> {
        let Self { disk, path, content } = *self;
        let mut state = disk.state();
        if state.files.contains_key(&path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let temporary = format!("{path}{TEMPORARY_SUFFIX}");
        let part = state.part(&content).to_vec();
        state.files.insert(temporary.clone(), SimulatedFile { content: part, ..SimulatedFile::default() });
        state.dies()?;
        state.fails(state.faults.put, io::ErrorKind::StorageFull)?;
        let mut whole = SimulatedFile { content, ..SimulatedFile::default() };
        whole.sync();
        state.files.insert(temporary.clone(), whole.clone());
        state.dies()?;
        state.files.remove(&temporary);
        state.files.insert(path, whole);
        state.dies()?;
        state.fails(state.faults.put, io::ErrorKind::Other)?;
        state.sync_names();
        Ok(())
    }
}

#[derive(Debug)]
struct SimulatedAppend {
    disk: SimulatedDisk,
    path: String,
}

impl AppendFile for SimulatedAppend {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.is_dead {
            return state.dies();
        }
        let part = state.part(bytes).to_vec();
        let done = state.dies().and_then(|()| state.fails(state.faults.append, io::ErrorKind::StorageFull));
        let written = if done.is_ok() { bytes } else { &part };
        state.file(&self.path)?.content.extend_from_slice(written);
        done
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.dies()?;
        let failed = state.fails(state.faults.sync, io::ErrorKind::Other);
        let file = state.file(&self.path)?;
        let before = file.durable.len();
        file.sync();
        if failed.is_err() {
            // Part of it may have reached the disk, and the kernel forgot which.
            let reached = before + (file.durable.len() - before) / 2;
            file.durable.truncate(reached);
            file.is_poisoned = true;
        }
        failed
    }
}

/// Segments are read from the same disk.
#[async_trait]
impl ObjectStore for SimulatedDisk {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let not_found =
            |error: io::Error| object_store::Error::NotFound { path: location.to_string(), source: error.into() };
        let content = self.read(location.as_ref()).map_err(not_found)?;
        let size = content.len() as u64;
        let range: Range<u64> = match options.range {
            Some(range) => range
                .as_range(size)
                .map_err(|error| object_store::Error::Generic { store: "simulation", source: error.into() })?,
            None => 0..size,
        };
        let part = content.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap());
        Ok(GetResult {
            payload: GetResultPayload::Stream(futures::stream::once(async move { Ok(part) }).boxed()),
            meta: ObjectMeta {
                location: location.clone(),
                last_modified: Default::default(),
                size,
                e_tag: None,
                version: None,
            },
            range,
            attributes: object_store::Attributes::default(),
        })
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
        Err(object_store::Error::NotImplemented { operation: "put".into(), implementer: "simulation".into() })
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(object_store::Error::NotImplemented { operation: "put".into(), implementer: "simulation".into() })
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        futures::stream::empty().boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        futures::stream::empty().boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        Err(object_store::Error::NotImplemented { operation: "list".into(), implementer: "simulation".into() })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(object_store::Error::NotImplemented { operation: "copy".into(), implementer: "simulation".into() })
    }
}

impl std::fmt::Display for SimulatedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("simulated disk")
    }
}
