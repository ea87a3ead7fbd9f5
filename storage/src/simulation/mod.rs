//! The store against a failing world, on one thread, from a seed: the same seed is the same run.
//!
//! Clients append and repeat, the log commits, memtables are flushed, segments merged and deleted, the disk fails and
//! fills, the process is killed or loses power in the middle of any operation; afterwards the store is opened again and
//! compared with what was promised. Parquet is written in a small share of the seeds, a number in its place in the others.
//!
//! More seeds: `ROOTLINE_SIMULATION_SEEDS=100000 cargo test -p storage simulation`, read when it is compiled.

mod builder;
mod chance;
mod disk;
mod oracle;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::{
    array::AsArray as _,
    datatypes::{TimestampNanosecondType, UInt64Type},
    record_batch::RecordBatch,
};

use self::{
    builder::CheapBuilder,
    chance::Chance,
    disk::{Crash, Faults, SimulatedDisk},
    oracle::Oracle,
};
use crate::{
    catalog::{
        Catalog as _, CrashPoint, MemoryCatalog,
        rebuild::{Known, plan, read_log},
    },
    clock::Clock,
    environment::{Environment, ParquetBuilder, SegmentBuilder, Threads},
    files::FileSystem as _,
    flush::SEGMENTS,
    model::{Batch, Table, Tenant},
    segment::describe::describe,
    snapshot::Snapshot,
    store::Store,
};

const TABLES: [Table; 3] = [Table::Logs, Table::Spans, Table::Exemplars];
const START_UNIX_NANO: i64 = 1_700_000_000_000_000_000;

struct World {
    chance: Chance,
    clock: Clock,
    disk: SimulatedDisk,
    catalog: MemoryCatalog,
    cheap: CheapBuilder,
    is_parquet: bool,
    config: config::Config,
    oracle: Oracle,
    /// The negative control: acknowledge before the write.
    is_wrong: bool,
    /// The catalog is made anew after crashes, with or without what the old one says.
    loses_catalog: bool,
}

/// How a run went, to see that it went anywhere.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    acknowledged: usize,
    unanswered: usize,
    crashes: usize,
    flushed: usize,
    merged: usize,
    rebuilt: usize,
    set_aside: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.unanswered += other.unanswered;
        self.crashes += other.crashes;
        self.flushed += other.flushed;
        self.merged += other.merged;
        self.rebuilt += other.rebuilt;
        self.set_aside += other.set_aside;
    }
}

impl World {
    fn new(seed: u64, is_parquet: bool) -> Self {
        let chance = Chance::new(seed);
        let disk = SimulatedDisk::new(Chance::new(seed ^ 0x00d1_5c00));
        let mut config = config::Config::default();
        let size = |bytes| config::ByteSize::bytes(bytes);
        config.storage.flush_size = size(20_000 + chance.below(200_000));
        config.storage.wal_file_size = size(1_000 + chance.below(30_000));
        config.storage.group_commit_size = size(1 + chance.below(20_000));
        config.storage.memtable_budget = size(if chance.percent(20) { 200_000 } else { 1 << 30 });
        config.storage.flush_threads = 1 + usize::try_from(chance.below(3)).unwrap();
        // Longer than any run: what is recognised after the window is not the question here.
        config.ingest.dedup_window = Duration::from_secs(86_400);
        config.compaction.min_segments = 2 + usize::try_from(chance.below(3)).unwrap();
        Self {
            cheap: CheapBuilder::new(disk.clone()),
            clock: Clock::manual(START_UNIX_NANO),
            catalog: MemoryCatalog::new(),
            oracle: Oracle::default(),
            is_wrong: false,
            loses_catalog: false,
            chance,
            disk,
            is_parquet,
            config,
        }
    }

    /// The world of one process.
    fn environment(&self, catalog_faults: u64) -> Environment {
        let (disk, chance) = (self.disk.clone(), self.chance.clone());
        let catalog = self.catalog.failing(move |point: CrashPoint| {
            // After a transaction the process may be dead without the catalog being any the wiser.
            let dies = !disk.burn();
            dies || (chance.percent(catalog_faults) && point != CrashPoint::Before) || disk.is_dead()
        });
        Environment {
            clock: self.clock.clone(),
            random: self.chance.random(),
            files: Arc::new(self.disk.clone()),
            objects: Arc::new(self.disk.clone()),
            catalog: Arc::new(catalog),
            builder: self.builder(),
            threads: Threads::Caller,
        }
    }

    fn builder(&self) -> Arc<dyn SegmentBuilder> {
        if self.is_parquet { Arc::new(ParquetBuilder) } else { Arc::new(self.cheap.clone()) }
    }

    /// One process from start to death.
    async fn live(&self, faults: Faults, catalog_faults: u64, steps: u64, tally: &mut Tally) -> Result<(), String> {
        let environment = self.environment(catalog_faults);
        self.disk.set_faults(Faults::default(), None);
        if self.chance.percent(15) {
            // Dying while starting, over and over.
            self.disk.set_faults(Faults::default(), Some(self.chance.below(20)));
        }
        let store = match Store::recover(&self.config, environment).await {
            Ok(store) => store,
            Err(_) if self.disk.is_dead() => return Ok(()),
            Err(error) if error.is_retryable() => return Ok(()),
            Err(error) => return Err(format!("cannot start: {error}")),
        };
        store.set_acknowledges_early(self.is_wrong);
        self.check(&store.snapshot(&Tenant::default())).await.map_err(|e| format!("after the start: {e}"))?;
        let fuel = self.chance.percent(70).then(|| 1 + self.chance.below(60));
        self.disk.set_faults(faults, fuel);
        let mut kept: Option<Snapshot> = None;
        for _ in 0..steps {
            if self.disk.is_dead() {
                break;
            }
            match self.chance.below(100) {
                0..40 => self.append(&store, None),
                40..50 => {
                    let again = self.oracle.unanswered();
                    if let Some(id) = again.get(usize::try_from(self.chance.below(again.len() as u64)).unwrap()) {
                        self.append(&store, Some(*id));
                    }
                }
                50..72 => {
                    store.commit_next();
                }
                72..80 => self.beside(&store, Work::Flush),
                80..83 => self.beside(&store, Work::FlushDue),
                83..86 => self.beside(&store, Work::Compact),
                86..90 => self.clock.advance(Duration::from_secs(self.chance.below(70))),
                90..92 => {
                    let jump = [3_600_000_000_000, -3_600_000_000_000, 315_000_000_000_000_000, 0];
                    let jump = jump[usize::try_from(self.chance.below(4)).unwrap()];
                    self.clock.set_unix_nano(START_UNIX_NANO + jump);
                }
                92..94 => {
                    self.disk.set_free_bytes(if self.chance.percent(50) { 0 } else { u64::MAX });
                    store.look_at_disk().await;
                }
                94..96 => self.beside(&store, Work::Delete),
                96..98 => kept = Some(store.snapshot(&Tenant::default())),
                _ => {
                    // What a reader holds stays readable whatever has happened since.
                    if let Some(kept) = kept.take() {
                        let read = self.read(&kept).await;
                        read.map(drop).or_else(|e| {
                            if self.disk.is_dead() { Ok(()) } else { Err(format!("a held snapshot: {e}")) }
                        })?;
                    }
                    self.check(&store.snapshot(&Tenant::default())).await?;
                }
            }
            for _ in 0..self.chance.below(4) {
                tokio::task::yield_now().await;
            }
        }
        let status = store.status();
        tally.flushed += status.tables.iter().map(|table| table.segments).sum::<usize>();
        tally.merged += store.retired().len();
        if !self.disk.is_dead() && self.chance.percent(30) {
            // The other way to end: in order.
            self.disk.set_free_bytes(u64::MAX);
            self.disk.set_faults(Faults::default(), None);
            if store.shutdown(Duration::from_secs(1)).await.is_ok() {
                let left: Vec<_> = self.disk.paths().into_iter().filter(|path| path.starts_with("wal/")).collect();
                if !left.is_empty() {
                    return Err(format!("an orderly end leaves {left:?}"));
                }
            }
        }
        Ok(())
    }

    /// A client sends a request, a new one or one that it has no answer for.
    fn append(&self, store: &Arc<Store>, again: Option<u64>) {
        let id = again.unwrap_or_else(|| {
            let rows = |table| (table, 1 + self.chance.below(6));
            let first = usize::try_from(self.chance.below(3)).unwrap();
            let mut tables = vec![rows(TABLES[first])];
            if self.chance.percent(25) && first < 2 {
                tables.push(rows(TABLES[2]));
            }
            self.oracle.send(tables, self.chance.percent(80))
        });
        if let Some(sent) = self.oracle.sent().get_mut(&id) {
            sent.is_on_its_way = true;
        }
        let (store, oracle, batch) = (Arc::clone(store), self.oracle.clone(), self.oracle.batch(id));
        let is_twice = batch.key.is_some() && self.chance.percent(5);
        if is_twice {
            // The network sent it twice at once.
            tokio::spawn(send(id, batch.clone(), oracle.clone(), Arc::clone(&store)));
        }
        tokio::spawn(send(id, batch, oracle, store));
    }

    /// What the server does by itself, while clients go on.
    fn beside(&self, store: &Arc<Store>, work: Work) {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            // Failures are tried again by the next one.
            let _ = match work {
                Work::Flush => store.flush_all().await,
                Work::FlushDue => store.flush_due().await,
                Work::Compact => store.compact().await,
                Work::Delete => {
                    store.delete_retired().await;
                    Ok(())
                }
            };
        });
    }

    async fn check(&self, snapshot: &Snapshot) -> Result<(), String> {
        match self.read(snapshot).await {
            Ok(stored) => {
                self.oracle.check(&stored)?;
                self.check_derived(snapshot, &stored).await
            }
            Err(_) if self.disk.is_dead() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whatever happened, each span and each log record counts once.
    async fn check_derived(&self, snapshot: &Snapshot, stored: &BTreeMap<Table, Vec<i64>>) -> Result<(), String> {
        for (source, derived, column) in
            [(Table::Spans, Table::SpanMetrics, "calls"), (Table::Logs, Table::LogPatterns, "records")]
        {
            let batches = match self.rows(snapshot, derived).await {
                Ok(batches) => batches,
                Err(_) if self.disk.is_dead() => return Ok(()),
                Err(error) => return Err(error),
            };
            let counted: u64 = batches.iter().flat_map(|rows| counts(rows, column)).sum();
            let expected = stored[&source].len() as u64;
            if counted != expected {
                return Err(format!("{derived} counts {counted} of {expected} rows of {source}"));
            }
        }
        Ok(())
    }

    async fn read(&self, snapshot: &Snapshot) -> Result<BTreeMap<Table, Vec<i64>>, String> {
        let mut stored = BTreeMap::new();
        for table in TABLES {
            let batches = self.rows(snapshot, table).await?;
            let times = batches.iter().flat_map(|rows| times(table, rows)).collect();
            stored.insert(table, times);
        }
        Ok(stored)
    }

    async fn rows(&self, snapshot: &Snapshot, table: Table) -> Result<Vec<RecordBatch>, String> {
        let mut batches = snapshot.memtables(table);
        for segment in snapshot.segments(table) {
            let rows = if self.is_parquet { segment.read_wide().await } else { self.cheap.read(segment) };
            match rows {
                Ok(rows) => batches.extend(rows),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(batches)
    }

    fn crash(&self, tally: &mut Tally) {
        let crash = if self.chance.percent(50) { Crash::PowerCut } else { Crash::Kill };
        self.disk.crash(crash);
        self.disk.set_free_bytes(u64::MAX);
        self.clock.set_unix_nano(START_UNIX_NANO);
        self.oracle.forget_waiting();
        tally.crashes += 1;
    }

    /// The catalog is gone, or damaged; a new one is made.
    async fn rebuild_catalog(&self, tally: &mut Tally) -> Result<(), String> {
        let failed = |error: crate::Error| format!("cannot rebuild: {error}");
        let old = self.catalog.load().await.map_err(failed)?;
        let is_known = self.chance.percent(40);
        let known = Known {
            version: old.version,
            wal_floor: Some(old.wal_floor),
            live: Some(old.segments.iter().map(|meta| meta.id.clone()).collect()),
            checkpoints: old.checkpoints.clone(),
            has_all_checkpoints: true,
            keys: old.keys.clone(),
            states: old.states.clone(),
        };
        let known = if is_known { known } else { Known::default() };
        let mut files = Vec::new();
        for path in self.disk.paths() {
            if !path.starts_with(SEGMENTS) || !path.ends_with(".parquet") {
                continue;
            }
            let described = if self.is_parquet {
                let bytes = self.disk.read(&path).map_err(|error| error.to_string())?.len() as u64;
                describe(&self.disk, &path, bytes).await
            } else {
                self.cheap.describe(&path)
            };
            files.push(described.map_err(failed)?);
        }
        let mut lost = Vec::new();
        let log = read_log(&self.disk, &mut lost).map_err(failed)?;
        let plan = plan(files, &log, &known, None).map_err(failed)?;
        tally.rebuilt += 1;
        tally.set_aside += plan.aside.len();
        if !is_known {
            // Requests that were stored without anybody knowing are stored again if they come again: the keys are lost.
            self.oracle.forget_keys();
        }
        // As `rebuild` does before a catalog names them.
        self.disk.sync_names();
        self.catalog.put_in_place(plan.contents);
        Ok(())
    }

    /// Nothing fails any more: every client gets its answer, and everything is there.
    async fn settle(&self, tally: &mut Tally) -> Result<(), String> {
        self.disk.set_faults(Faults::default(), None);
        self.disk.set_free_bytes(u64::MAX);
        let open = async || {
            Store::recover(&self.config, self.environment(0)).await.map_err(|error| format!("cannot start: {error}"))
        };
        let store = open().await?;
        self.check(&store.snapshot(&Tenant::default())).await.map_err(|e| format!("after the last start: {e}"))?;
        for _ in 0..50 {
            for id in self.oracle.unanswered() {
                self.append(&store, Some(id));
            }
            tokio::task::yield_now().await;
            while store.commit_next() {}
            tokio::task::yield_now().await;
            store.flush_all().await.map_err(|error| format!("cannot flush: {error}"))?;
        }
        if let Some(id) = self.oracle.unanswered().first() {
            return Err(format!("request {id} is never taken"));
        }
        self.check(&store.snapshot(&Tenant::default())).await.map_err(|e| format!("when all is well: {e}"))?;
        store.shutdown(Duration::from_secs(1)).await.map_err(|error| format!("cannot shut down: {error}"))?;
        drop(store);
        let store = open().await?;
        self.check(&store.snapshot(&Tenant::default())).await.map_err(|e| format!("opened once more: {e}"))?;
        let live: Vec<_> = Table::ALL
            .into_iter()
            .flat_map(|table| store.snapshot(&Tenant::default()).segments(table).to_vec())
            .map(|segment| segment.meta().path.clone())
            .collect();
        if let Some(path) = self.disk.paths().iter().find(|path| !live.contains(path)) {
            return Err(format!("{path} belongs to nobody"));
        }
        let sent = self.oracle.sent();
        tally.acknowledged = sent.values().filter(|sent| sent.is_acknowledged).count();
        tally.unanswered = sent.len() - tally.acknowledged;
        Ok(())
    }
}

async fn send(id: u64, batch: Batch, oracle: Oracle, store: Arc<Store>) {
    let answer = store.append(batch).await;
    let mut sent = oracle.sent();
    let sent = sent.get_mut(&id).expect("it was sent");
    sent.is_on_its_way = false;
    match answer {
        Ok(_) => sent.is_acknowledged = true,
        Err(error) => assert!(error.is_retryable(), "a client cannot do anything about {error}"),
    }
}

#[derive(Clone, Copy)]
enum Work {
    Flush,
    FlushDue,
    Compact,
    Delete,
}

fn times(table: Table, rows: &RecordBatch) -> Vec<i64> {
    let column = rows.column_by_name(table.time_column()).expect("every table has its time");
    column.as_primitive::<TimestampNanosecondType>().values().to_vec()
}

fn counts(rows: &RecordBatch, column: &str) -> Vec<u64> {
    let column = rows.column_by_name(column).expect("every derived table has its count");
    column.as_primitive::<UInt64Type>().values().to_vec()
}

fn run(world: &World) -> Result<Tally, String> {
    let chance = &world.chance;
    let mut tally = Tally::default();
    // A runtime a process: its tasks die with it.
    let block_on = |future: std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + '_>>| {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    };
    for _ in 0..2 + chance.below(4) {
        let rate = if chance.percent(50) { 0 } else { 1 + chance.below(10) };
        let faults = Faults { append: rate, sync: rate, put: rate, remove: rate };
        let (catalog_faults, steps) = (if chance.percent(70) { 0 } else { 10 }, 20 + chance.below(60));
        block_on(Box::pin(world.live(faults, catalog_faults, steps, &mut tally)))?;
        world.crash(&mut tally);
        if world.loses_catalog && chance.percent(60) {
            block_on(Box::pin(world.rebuild_catalog(&mut tally)))?;
        }
    }
    block_on(Box::pin(world.settle(&mut tally)))?;
    Ok(tally)
}

/// Runs each seed, on as many threads as there are processors: runs share nothing.
fn run_seeds(seeds: std::ops::Range<u64>, is_parquet: bool) -> Tally {
    run_worlds(seeds, |seed| World::new(seed, is_parquet))
}

fn run_worlds(seeds: std::ops::Range<u64>, world: impl Fn(u64) -> World + Sync) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let world = &world;
    let run_every = &|first: u64| {
        let mut sum = Tally::default();
        for seed in (first..seeds.end).step_by(threads) {
            let tally = run(&world(seed)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            sum.add(tally);
        }
        sum
    };
    std::thread::scope(|scope| {
        let runs: Vec<_> = seeds.clone().take(threads).map(|first| scope.spawn(move || run_every(first))).collect();
        let mut sum = Tally::default();
        for run in runs {
            match run.join() {
                Ok(tally) => sum.add(tally),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        sum
    })
}

fn seed_count() -> u64 {
    option_env!("ROOTLINE_SIMULATION_SEEDS").map_or(2_000, |count| count.parse().expect("a number of seeds"))
}

#[test]
fn what_was_acknowledged_is_there_exactly_once_whatever_fails() {
    let tally = run_seeds(0..seed_count(), false);
    // A simulation in which nothing happens proves nothing.
    assert!(tally.acknowledged as u64 > 10 * seed_count() && tally.crashes as u64 > 2 * seed_count(), "{tally:?}");
    assert!(tally.flushed as u64 > seed_count() && tally.merged > 0 && tally.unanswered > 0, "{tally:?}");
}

#[test]
fn parquet_segments_keep_the_promise_too() {
    run_seeds(1_000_000..1_000_000 + seed_count() / 30, true);
}

#[test]
fn a_catalog_made_anew_from_the_segments_keeps_every_row_once() {
    let losing = |is_parquet| move |seed| World { loses_catalog: true, ..World::new(seed, is_parquet) };
    let tally = run_worlds(2_000_000..2_000_000 + seed_count() / 2, losing(false));
    assert!(tally.rebuilt as u64 > seed_count() / 2 && tally.set_aside as u64 > seed_count() / 20, "{tally:?}");
    let tally = run_worlds(3_000_000..3_000_000 + seed_count() / 50, losing(true));
    assert!(tally.rebuilt > 0, "{tally:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        let tally = || format!("{:?}", run(&World::new(seed, false)).unwrap());
        assert_eq!(tally(), tally());
    }
}

#[test]
fn acknowledging_before_the_write_is_found_out() {
    let caught = (0..50).filter(|seed| {
        let world = World { is_wrong: true, ..World::new(*seed, false) };
        run(&world).is_err_and(|error| error.contains("was acknowledged and is lost"))
    });
    assert!(caught.count() > 10);
}

/// Runs that went wrong once.
#[test]
fn what_was_found_stays_found() {
    for seed in [36, 1923, 2143] {
        run_seeds(seed..seed + 1, false);
    }
}
