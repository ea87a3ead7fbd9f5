//! The state behind `Storage`: what is in memory, and the one lock under which it changes.
//!
//! A reader sees each acknowledged row once because rows enter a memtable, and move from memtables to segments, only
//! under the write lock of [`View`].

use std::{
    collections::{BTreeMap, HashMap},
    io,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use tokio::sync::{Notify, broadcast};

use crate::{
    append::{Duplicates, Pending, not_stored},
    catalog::Publication,
    environment::Environment,
    error::{Error, Result},
    memtable::{self, Memtable},
    model::{Table, Tenant},
    retention::{Passed, Retired},
    rollup::AllRollups,
    segment::{Made, Segment, SegmentCache, SegmentId},
    snapshot::{Snapshot, TableSnapshot},
    status::{Recovery, Status, TableStatus},
    wal::{Committed, Wal, log::Log},
};

/// Rows that a live tail may lag behind, in batches.
const TAIL_BATCHES: usize = 256;

/// A tenant's table.
pub(crate) type Place = (Tenant, Table);
/// Rows on their way into the memtables of a table.
pub(crate) type PlacedRows = (Place, Vec<RecordBatch>);

pub(crate) struct Store {
    pub(crate) config: config::Config,
    pub(crate) environment: Environment,
    pub(crate) wal: Arc<Wal<Pending>>,
    pub(crate) duplicates: Arc<Duplicates>,
    /// Memory of requests on their way through the log.
    pub(crate) reserved_bytes: Arc<AtomicUsize>,
    /// Held by the request that waits for memory; the others wait for it, in the order in which they came.
    pub(crate) memory_turn: tokio::sync::Mutex<()>,
    /// A flush has given memory free.
    pub(crate) memory_freed: Notify,
    pub(crate) cache: Arc<SegmentCache>,
    view: RwLock<View>,
    /// Taken before the view where both are: what is remembered and what is visible change together.
    rollups: Mutex<AllRollups>,
    tails: HashMap<Table, broadcast::Sender<RecordBatch>>,
    /// One flush at a time, so that a table's checkpoints are published in order.
    pub(crate) flushing: tokio::sync::Mutex<Published>,
    /// One merge or retention run at a time.
    pub(crate) exchanging: tokio::sync::Mutex<()>,
    pub(crate) flush_wanted: Arc<Notify>,
    pub(crate) retired: Mutex<Vec<Retired>>,
    /// See `maintenance`.
    pub(crate) looked_at: Mutex<HashMap<SegmentId, Passed>>,
    pub(crate) disk_free_bytes: AtomicU64,
    pub(crate) is_disk_full: AtomicBool,
    /// Files made since the start.
    files_made: AtomicU64,
    is_closed: AtomicBool,
    acknowledges_early: AtomicBool,
    /// Wall minus monotonic time at the start: shows later whether the wall clock jumped.
    pub(crate) wall_offset_nano: i64,
    pub(crate) log_thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// What the start found.
    pub(crate) recovery: Recovery,
}

/// What of the log is in the catalog.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Published {
    /// Batch keys of requests up to this sequence.
    pub(crate) keys_through: u64,
    /// The WAL's floor.
    pub(crate) wal_floor: u64,
}

/// What readers see.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) tables: BTreeMap<Place, TableView>,
    /// Rows of all frames up to this sequence are here or in segments.
    pub(crate) committed_sequence: u64,
    pub(crate) catalog_version: u64,
    /// Memory of all memtables.
    pub(crate) memtable_bytes: usize,
}

/// One table's rows.
#[derive(Debug)]
pub(crate) struct TableView {
    pub(crate) active: Memtable,
    /// Oldest first.
    pub(crate) sealed: Vec<Arc<Sealed>>,
    pub(crate) segments: Arc<[Arc<Segment>]>,
    /// Rows of frames up to this sequence are in sealed memtables or in segments.
    pub(crate) sealed_through: u64,
}

/// A memtable that takes no more rows and waits for its flush.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) rows: Memtable,
    /// Rows of frames up to this sequence were sealed before.
    pub(crate) after_sequence: u64,
    /// All rows of the table in frames up to this sequence are in it or were flushed before.
    pub(crate) through_sequence: u64,
    /// What the table remembers as of then; `None` for tables that remember nothing.
    pub(crate) state: Option<Bytes>,
    /// Segments that are written and whose publication is not known to have happened: the same is tried again.
    pub(crate) publication: Mutex<Option<Publication>>,
}

impl TableView {
    pub(crate) fn new(table: Table) -> Self {
        Self { active: Memtable::new(table), sealed: Vec::new(), segments: Arc::default(), sealed_through: 0 }
    }

    fn memtables(&self) -> impl Iterator<Item = &Memtable> {
        self.sealed.iter().map(|sealed| &sealed.rows).chain([&self.active])
    }
}

impl View {
    pub(crate) fn table(&mut self, place: &Place) -> &mut TableView {
        if !self.tables.contains_key(place) {
            self.tables.insert(place.clone(), TableView::new(place.1));
        }
        self.tables.get_mut(place).expect("inserted above")
    }

    pub(crate) fn insert(
        &mut self,
        place: &Place,
        rows: RecordBatch,
        sequences: (u64, u64),
        now: Duration,
    ) -> Result<()> {
        let table = self.table(place);
        let before = table.active.bytes();
        let inserted = table.active.insert(rows, sequences, now);
        let after = table.active.bytes();
        self.memtable_bytes = self.memtable_bytes + after - before;
        inserted
    }

    /// Seals the active memtables that `is_due`, each with what its table remembers.
    fn seal(&mut self, rollups: &mut AllRollups, is_due: impl Fn(&Memtable) -> bool) -> usize {
        let through_sequence = self.committed_sequence;
        let mut sealed = 0;
        for (place, view) in &mut self.tables {
            if view.active.is_empty() || !is_due(&view.active) {
                continue;
            }
            let state = match rollups.seal(place) {
                Ok(state) => state,
                Err(error) => {
                    // The memtable stays open: its frames stay in the WAL, and the next try may succeed.
                    tracing::error!(%error, table = %place.1, "what a table remembers cannot be written down");
                    continue;
                }
            };
            let rows = std::mem::replace(&mut view.active, Memtable::new(place.1));
            let after_sequence = std::mem::replace(&mut view.sealed_through, through_sequence);
            let publication = Mutex::default();
            view.sealed.push(Arc::new(Sealed { rows, after_sequence, through_sequence, state, publication }));
            sealed += 1;
        }
        sealed
    }

    /// From how many bytes on a memtable is sealed: `flush_size`, or that of the largest one where many small ones together
    /// fill half of the budget.
    fn due_bytes(&self, flush_size: usize, budget: usize) -> usize {
        let active = || self.tables.values().map(|table| table.active.bytes());
        if active().sum::<usize>() <= budget / 2 { flush_size } else { flush_size.min(active().max().unwrap_or(0)) }
    }

    pub(crate) fn touch(&mut self, place: &Place, sequences: (u64, u64), now: Duration) {
        self.table(place).active.touch(sequences, now);
    }

    /// Rows of all frames up to this sequence are in segments once the oldest sealed memtable of `published` is.
    pub(crate) fn flushed_sequence_after(&self, published: &Place) -> u64 {
        let first_unflushed = |(place, table): (&Place, &TableView)| {
            let flushed = usize::from(place == published);
            let mut left = table.sealed.iter().skip(flushed).map(|sealed| &sealed.rows).chain([&table.active]);
            left.find_map(Memtable::first_sequence)
        };
        let first = self.tables.iter().filter_map(first_unflushed).min();
        first.map_or(self.committed_sequence, |first| first - 1)
    }
}

impl Store {
    /// A store without rows, and with a log that is put in its place once replay knows where it goes on.
    pub(crate) fn new(config: &config::Config, environment: Environment, published: Published) -> Self {
        let duplicates =
            Duplicates::new(environment.clock.clone(), config.ingest.dedup_window, config.ingest.dedup_max_entries);
        let log = Log::new(Arc::clone(&environment.files), environment.random.clone(), 0, Vec::new());
        Self {
            config: config.clone(),
            wal: Wal::new(log, environment.clock.clone(), 1, 0),
            duplicates,
            reserved_bytes: Arc::default(),
            memory_turn: tokio::sync::Mutex::default(),
            memory_freed: Notify::new(),
            cache: SegmentCache::new(usize::try_from(config.memory.cache_bytes()).unwrap_or(usize::MAX)),
            view: RwLock::default(),
            rollups: Mutex::new(AllRollups::new(&config.rollup)),
            tails: Table::ALL.into_iter().map(|table| (table, broadcast::channel(TAIL_BATCHES).0)).collect(),
            flushing: tokio::sync::Mutex::new(published),
            exchanging: tokio::sync::Mutex::default(),
            flush_wanted: Arc::default(),
            retired: Mutex::default(),
            looked_at: Mutex::default(),
            disk_free_bytes: AtomicU64::new(u64::MAX),
            is_disk_full: AtomicBool::new(false),
            files_made: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            acknowledges_early: AtomicBool::new(false),
            wall_offset_nano: wall_offset_nano(&environment),
            log_thread: Mutex::default(),
            recovery: Recovery::default(),
            environment,
        }
    }

    pub(crate) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn rollups(&self) -> MutexGuard<'_, AllRollups> {
        self.rollups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seals the active memtables that `is_due`.
    pub(crate) fn seal(&self, is_due: impl Fn(&Memtable) -> bool) -> usize {
        let mut rollups = self.rollups();
        self.view_mut().seal(&mut rollups, is_due)
    }

    pub(crate) fn retired(&self) -> MutexGuard<'_, Vec<Retired>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the next file among all files.
    pub(crate) fn next_made(&self) -> Made {
        let catalog_version = self.view().catalog_version;
        Made { catalog_version, count: self.files_made.fetch_add(1, Ordering::Relaxed) }
    }

    pub(crate) fn committed_sequence(&self) -> u64 {
        self.view().committed_sequence
    }

    /// Whether a batch may come in at all.
    pub(crate) fn check_writable(&self) -> Result<()> {
        match self.refusal() {
            Some(why) => Err(not_stored(&why)),
            None => Ok(()),
        }
    }

    fn refusal(&self) -> Option<String> {
        if self.is_closed.load(Ordering::Acquire) {
            return Some("the server is shutting down".to_owned());
        }
        self.is_disk_full.load(Ordering::Relaxed).then(|| {
            format!(
                "the disk is nearly full: {} bytes free, storage.min_free_disk is {}",
                self.disk_free_bytes.load(Ordering::Relaxed),
                self.config.storage.min_free_disk.as_u64()
            )
        })
    }

    /// Whether that much more fits into the memory of unflushed rows. A batch larger than all of it fits when there is
    /// nothing else, or it would never get in.
    pub(crate) fn check_memory(&self, bytes: usize) -> Result<()> {
        let budget = self.memtable_budget_bytes();
        let held = self.view().memtable_bytes + self.reserved_bytes.load(Ordering::Relaxed);
        if held > 0 && held.saturating_add(bytes) > budget {
            self.flush_wanted.notify_one();
            return Err(Error::overloaded(format!("{held} of {budget} bytes of unflushed rows are in use")));
        }
        Ok(())
    }

    pub(crate) fn memtable_budget_bytes(&self) -> usize {
        usize::try_from(self.config.memtable_bytes()).unwrap_or(usize::MAX)
    }

    pub(crate) fn snapshot(&self, tenant: &Tenant) -> Snapshot {
        let view = self.view();
        let tables = Table::ALL
            .into_iter()
            .map(|table| {
                view.tables.get(&(tenant.clone(), table)).map_or_else(TableSnapshot::default, |table| TableSnapshot {
                    batches: table.memtables().flat_map(Memtable::batches).collect(),
                    segments: Arc::clone(&table.segments),
                })
            })
            .collect();
        Snapshot { catalog_version: view.catalog_version, tables }
    }

    pub(crate) fn subscribe(&self, table: Table) -> broadcast::Receiver<RecordBatch> {
        self.tails[&table].subscribe()
    }

    pub(crate) fn status(&self) -> Status {
        let (wal_files, wal_bytes) = self.wal.size();
        let view = self.view();
        let mut tables: Vec<_> =
            Table::ALL.into_iter().map(|table| TableStatus { name: table.name(), ..TableStatus::default() }).collect();
        for ((_, table), view) in &view.tables {
            tables[*table as usize - 1].add(view);
        }
        let segment_bytes: u64 = tables.iter().map(|table| table.segment_bytes).sum();
        Status {
            wal_files,
            wal_bytes,
            memtable_bytes: view.memtable_bytes as u64,
            memtable_budget_bytes: self.config.memtable_bytes(),
            segment_cache_bytes: self.cache.bytes() as u64,
            batch_keys: self.duplicates.count(),
            disk_free_bytes: self.disk_free_bytes.load(Ordering::Relaxed),
            disk_used_bytes: segment_bytes + wal_bytes,
            catalog_version: view.catalog_version,
            refuses_because: self.refusal(),
            recovery: self.recovery.clone(),
            tables,
        }
    }

    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(crate) fn acknowledges_early(&self) -> bool {
        cfg!(any(test, feature = "testing")) && self.acknowledges_early.load(Ordering::Relaxed)
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn set_acknowledges_early(&self, on: bool) {
        self.acknowledges_early.store(on, Ordering::Relaxed);
    }

    /// Commits what waits for the log, on the caller's thread. For simulations.
    #[cfg(test)]
    pub(crate) fn commit_next(self: &Arc<Self>) -> bool {
        self.wal.commit_next(&**self)
    }

    /// Starts what runs by itself.
    pub(crate) fn start(self: &Arc<Self>) {
        let threads = self.environment.threads;
        if threads == crate::Threads::Own {
            let (wal, store) = (Arc::clone(&self.wal), Arc::downgrade(self));
            let committed: Weak<dyn Committed<Pending>> = Weak::clone(&store) as _;
            let run = move || {
                let ended = std::panic::catch_unwind(AssertUnwindSafe(|| wal.run(&committed)));
                if ended.is_err() {
                    // Nobody must wait for a log that does not run. Reading goes on; a restart replays what is on disk.
                    tracing::error!("the WAL thread panicked: nothing is taken until a restart");
                    store.upgrade().inspect(|store| store.close());
                    wal.abandon();
                }
            };
            match std::thread::Builder::new().name("wal".to_owned()).spawn(run) {
                Ok(thread) => *self.log_thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread),
                Err(error) => {
                    tracing::error!(%error, "no thread for the WAL");
                    self.close();
                }
            }
        }
        threads.spawn(crate::maintenance::flush_loop(Arc::downgrade(self)));
        threads.spawn(crate::maintenance::exchange_loop(Arc::downgrade(self)));
    }
}

/// Wall minus monotonic time.
pub(crate) fn wall_offset_nano(environment: &Environment) -> i64 {
    let monotonic = i64::try_from(environment.clock.monotonic().as_nanos()).unwrap_or(i64::MAX);
    environment.clock.now_unix_nano().saturating_sub(monotonic)
}

impl TableStatus {
    fn add(&mut self, view: &TableView) {
        for segment in view.segments.iter() {
            let meta = segment.meta();
            self.segments += 1;
            self.segment_rows += meta.row_count;
            self.segment_bytes += meta.file_bytes;
            self.cover(meta.time_range);
        }
        for memtable in view.memtables() {
            self.memtable_rows += memtable.row_count() as u64;
            self.memtable_bytes += memtable.bytes() as u64;
            memtable.time_range().into_iter().for_each(|range| self.cover(range));
        }
    }

    fn cover(&mut self, range: crate::model::TimeRange) {
        let (oldest, newest) = (range.start_unix_nano(), range.end_unix_nano() - 1);
        self.oldest_unix_nano = Some(self.oldest_unix_nano.map_or(oldest, |known| known.min(oldest)));
        self.newest_unix_nano = Some(self.newest_unix_nano.map_or(newest, |known| known.max(newest)));
    }
}

impl Committed<Pending> for Store {
    fn committed(&self, first_sequence: u64, requests: Vec<Pending>) {
        let last_sequence = first_sequence + requests.len() as u64 - 1;
        let mut rows: BTreeMap<Place, Vec<RecordBatch>> = BTreeMap::new();
        for request in &requests {
            for table in &request.batch.tables {
                rows.entry((request.batch.tenant.clone(), table.table)).or_default().push(table.rows.clone());
            }
        }
        // Small requests are merged before anybody has to wait for the lock.
        let mut gathered: Vec<_> = rows
            .into_iter()
            .map(|(place, batches)| {
                let gathered = memtable::gather(place.1, batches.clone()).unwrap_or(batches);
                (place, gathered)
            })
            .collect();
        let sequences = (first_sequence, last_sequence);
        let flush_size = self.config.storage.flush_size.as_usize();
        let mut rollups = self.rollups();
        let now_unix_nano = self.environment.clock.now_unix_nano();
        let derived = rollups.derive(&mut gathered, now_unix_nano, |_| true);
        let is_flush_due = {
            let now = self.environment.clock.monotonic();
            let mut view = self.view_mut();
            view.committed_sequence = last_sequence;
            for (place, batches) in gathered.iter().chain(&derived.rows) {
                for batch in batches {
                    if let Err(error) = view.insert(place, batch.clone(), sequences, now) {
                        // The rows are in; only merging small batches failed.
                        tracing::error!(%error, table = %place.1, "small batches cannot be merged");
                    }
                }
            }
            derived.touched.iter().for_each(|place| view.touch(place, sequences, now));
            metrics::gauge!("rootline_memtable_bytes").set(view.memtable_bytes as f64);
            let due_bytes = view.due_bytes(flush_size, self.memtable_budget_bytes());
            view.seal(&mut rollups, |memtable| memtable.bytes() >= due_bytes) > 0
        };
        drop(rollups);
        for ((_, table), batches) in gathered {
            let tail = &self.tails[&table];
            if tail.receiver_count() > 0 {
                for batch in batches {
                    // Nobody listens any more: fine.
                    let _ = tail.send(batch);
                }
            }
        }
        for (mut request, sequence) in requests.into_iter().zip(first_sequence..) {
            if let Some(claim) = request.claim.take() {
                claim.stored(sequence);
            }
            if let Some(done) = request.done.take() {
                // Whoever asked may have left.
                let _ = done.send(Ok(sequence));
            }
        }
        if is_flush_due {
            self.flush_wanted.notify_one();
        }
    }

    fn failed(&self, requests: Vec<Pending>, error: &io::Error) {
        if error.kind() == io::ErrorKind::StorageFull {
            self.is_disk_full.store(true, Ordering::Relaxed);
        }
        for mut request in requests {
            if let Some(done) = request.done.take() {
                let _ = done.send(Err(not_stored("the WAL cannot be written").with_source(error.to_string())));
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Its thread ends; it may be the very one that drops us, so nobody waits for it here.
        self.wal.close();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("committed_sequence", &self.committed_sequence()).finish_non_exhaustive()
    }
}
