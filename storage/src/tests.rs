//! The store on a real disk, as the server runs it.

mod expiry;
mod newer;

use std::{sync::Arc, time::Duration};

use arrow::{array::AsArray as _, datatypes::TimestampNanosecondType};

use crate::{
    Environment, Storage, clock::Clock, environment::Threads, error::ErrorKind, model::Table, store::Store,
    testing::batch,
};

async fn open(directory: &std::path::Path) -> Storage {
    Storage::open(&config::Config::default(), Environment::system(directory).await.unwrap()).await.unwrap()
}

fn memtable_rows(storage: &Storage) -> usize {
    storage.snapshot().memtables(Table::Logs).iter().map(|rows| rows.num_rows()).sum()
}

#[tokio::test]
async fn an_appended_batch_is_visible_at_once_and_survives_without_a_flush() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).await;
    let mut tail = storage.subscribe(Table::Logs);
    let first = storage.append(batch(Table::Logs, Some(1), &[(1, "a"), (2, "b")])).await.unwrap();
    assert_eq!((first.sequence, first.duplicate), (1, false));
    assert_eq!(memtable_rows(&storage), 2);
    assert_eq!(tail.recv().await.unwrap().num_rows(), 2);
    let again = storage.append(batch(Table::Logs, Some(1), &[(1, "a"), (2, "b")])).await.unwrap();
    assert_eq!((again.sequence, again.duplicate), (1, true));
    let empty = storage.append(crate::model::Batch { tables: vec![], ..batch(Table::Logs, None, &[]) }).await.unwrap();
    assert!(!empty.duplicate);
    assert_eq!(memtable_rows(&storage), 2);

    // The disk keeps it although nobody closed anything in order.
    let copy = tempfile::tempdir().unwrap();
    copy_tree(directory.path(), copy.path());
    let reopened = open(copy.path()).await;
    assert_eq!(memtable_rows(&reopened), 2);
    assert_eq!(reopened.status().recovery.frames, 1);
    let again = reopened.append(batch(Table::Logs, Some(1), &[(1, "a"), (2, "b")])).await.unwrap();
    assert!(again.duplicate, "recognised after the restart");
    assert_eq!(reopened.append(batch(Table::Logs, None, &[(3, "c")])).await.unwrap().sequence, 2);
    reopened.shutdown(Duration::from_secs(10)).await.ok();
}

#[tokio::test]
async fn a_second_store_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).await;
    let refused = Environment::system(directory.path()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    storage.shutdown(Duration::from_secs(10)).await.ok();
}

/// Times of all rows of a table, sorted.
async fn times(storage: &Storage, table: Table) -> Vec<i64> {
    let snapshot = storage.snapshot();
    let mut batches = snapshot.memtables(table);
    for segment in snapshot.segments(table) {
        batches.extend(segment.read_wide().await.unwrap());
    }
    let column = |rows: &arrow::record_batch::RecordBatch| rows.column_by_name(table.time_column()).unwrap().clone();
    let mut times: Vec<_> = batches
        .iter()
        .flat_map(|rows| column(rows).as_primitive::<TimestampNanosecondType>().values().to_vec())
        .collect();
    times.sort_unstable();
    times
}

fn files_below(directory: &std::path::Path) -> usize {
    std::fs::read_dir(directory).map_or(0, |entries| {
        entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
    })
}

fn sent_tables() -> impl Iterator<Item = Table> {
    Table::ALL.into_iter().filter(|table| !Table::DERIVED.contains(table))
}

#[tokio::test]
async fn every_table_moves_to_segments_and_is_read_from_them_after_an_orderly_end() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).await;
    for table in sent_tables() {
        for i in 0..20_i64 {
            storage.append(batch(table, None, &[(i * 2, "one two"), (i * 2 + 1, "three")])).await.unwrap();
        }
    }
    let expected: Vec<i64> = (0..40).collect();
    for table in sent_tables() {
        assert_eq!(times(&storage, table).await, expected, "{table} in memory");
    }
    storage.flush().await.unwrap();
    storage.append(batch(Table::Logs, None, &[(40, "later")])).await.unwrap();
    let status = storage.status();
    for table in status.tables.iter().filter(|table| sent_tables().any(|sent| sent.name() == table.name)) {
        assert_eq!((table.segments, table.segment_rows), (1, 40), "{}", table.name);
        assert!(table.segment_bytes > 0 && table.oldest_unix_nano == Some(0), "{table:?}");
    }
    assert_eq!(status.tables[0].memtable_rows, 1);
    storage.shutdown(Duration::from_secs(60)).await.unwrap();
    assert_eq!(files_below(&directory.path().join("wal")), 0, "an orderly end leaves no log");

    let storage = open(directory.path()).await;
    for table in sent_tables() {
        let expected = if table == Table::Logs { (0..41).collect() } else { expected.clone() };
        assert_eq!(times(&storage, table).await, expected, "{table} on disk");
        assert!(storage.snapshot().memtables(table).is_empty());
    }
    assert_eq!(storage.append(batch(Table::Logs, None, &[(1, "x")])).await.unwrap().sequence, 142);
    storage.shutdown(Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn concurrent_requests_share_fsyncs_and_none_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).await;
    let requests: Vec<_> = (0..300_i64)
        .map(|i| {
            let storage = storage.clone();
            tokio::spawn(
                async move { storage.append(batch(Table::Spans, Some(i as u128), &[(i, "x")])).await.unwrap() },
            )
        })
        .collect();
    let mut sequences = Vec::new();
    for request in requests {
        sequences.push(request.await.unwrap().sequence);
    }
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=300).collect::<Vec<_>>());
    assert_eq!(times(&storage, Table::Spans).await, (0..300).collect::<Vec<_>>());
    assert!(storage.snapshot().memtables(Table::Spans).len() < 100, "one-row requests are merged");
    storage.shutdown(Duration::from_secs(60)).await.unwrap();
}

/// A store whose time, and whose background work, the test moves itself.
async fn by_hand(directory: &std::path::Path, config: &config::Config) -> (Arc<Store>, Clock) {
    let clock = Clock::manual(1_700_000_000_000_000_000);
    let system = Environment::system(directory).await.unwrap();
    let environment = Environment { clock: clock.clone(), threads: Threads::Caller, ..system };
    (Store::recover(config, environment).await.unwrap(), clock)
}

async fn append(store: &Arc<Store>, batch: crate::model::Batch) -> crate::Result<crate::model::Durable> {
    let appending = tokio::spawn({
        let store = Arc::clone(store);
        async move { store.append(batch).await }
    });
    tokio::task::yield_now().await;
    while store.commit_next() {}
    appending.await.unwrap()
}

#[tokio::test]
async fn expired_segments_stay_for_their_reader_and_the_grace_time() {
    let directory = tempfile::tempdir().unwrap();
    let config = config::Config::default();
    let (store, clock) = by_hand(directory.path(), &config).await;
    let now = clock.now_unix_nano();
    append(&store, batch(Table::Logs, None, &[(now - 29 * 86_400_000_000_000, "old"), (now, "new")])).await.unwrap();
    store.flush_all().await.unwrap();
    let segments = || store.snapshot(&crate::model::Tenant::default()).segments(Table::Logs).to_vec();
    assert_eq!(segments().len(), 2, "one a day");
    store.expire().await.unwrap();
    assert_eq!(segments().len(), 2);

    // A clock that was set ten years ahead expires nothing.
    clock.set_unix_nano(now + 3650 * 86_400_000_000_000);
    store.expire().await.unwrap();
    assert_eq!(segments().len(), 2);

    clock.set_unix_nano(now);
    let reader = store.snapshot(&crate::model::Tenant::default());
    clock.advance(Duration::from_secs(2 * 86_400));
    store.expire().await.unwrap();
    assert_eq!(segments().len(), 1);
    clock.advance(config.compaction.grace);
    store.delete_retired().await;
    for segment in reader.segments(Table::Logs) {
        assert_eq!(segment.read_wide().await.unwrap()[0].num_rows(), 1, "its reader is still there");
    }
    drop(reader);
    // As many with log records as with their patterns.
    assert_eq!(files_below(&directory.path().join("segments")), 4);
    store.delete_retired().await;
    assert_eq!(files_below(&directory.path().join("segments")), 2);
}

#[tokio::test]
async fn a_quiet_table_is_flushed_by_age_and_a_busy_one_by_size() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config::Config::default();
    config.storage.flush_size = config::ByteSize::bytes(1 << 20);
    let (store, clock) = by_hand(directory.path(), &config).await;
    append(&store, batch(Table::Logs, None, &[(1, "quiet")])).await.unwrap();
    store.flush_due().await.unwrap();
    assert_eq!(store.status().tables[0].segments, 0);
    clock.advance(config.storage.flush_age);
    store.flush_due().await.unwrap();
    assert_eq!(store.status().tables[0].segments, 1);
    let long = "x".repeat(1 << 20);
    append(&store, batch(Table::Spans, None, &[(1, &long)])).await.unwrap();
    store.flush_due().await.unwrap();
    assert_eq!((store.status().tables[1].segments, store.status().memtable_bytes), (1, 0));
}

/// A builder with a mistake in one table.
#[derive(Debug)]
struct NoLogs;

#[async_trait::async_trait]
impl crate::SegmentBuilder for NoLogs {
    fn build(
        &self,
        table: Table,
        batches: &[arrow::record_batch::RecordBatch],
        settings: &config::Storage,
        flush: &crate::segment::Flush,
    ) -> crate::Result<Vec<crate::segment::BuiltSegment>> {
        match table {
            Table::Logs => Err(crate::Error::internal("a mistake")),
            _ => crate::ParquetBuilder.build(table, batches, settings, flush),
        }
    }

    async fn merge(
        &self,
        _: &[Arc<crate::segment::Segment>],
        _: &crate::environment::MergeTerms<'_>,
        _: &mut (dyn std::io::Write + Send),
    ) -> crate::Result<crate::segment::WrittenSegment> {
        Err(crate::Error::internal("not asked for"))
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_flushed_holds_up_no_other_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let config = config::Config::default();
    let system = Environment::system(directory.path()).await.unwrap();
    let environment = Environment { threads: Threads::Caller, builder: Arc::new(NoLogs), ..system };
    let store = Store::recover(&config, environment).await.unwrap();
    for i in 1..=3 {
        append(&store, batch(Table::Logs, None, &[(i, "a")])).await.unwrap();
        append(&store, batch(Table::Spans, None, &[(i, "b")])).await.unwrap();
        assert_eq!(store.flush_all().await.unwrap_err().kind(), ErrorKind::Internal);
    }
    let status = store.status();
    assert_eq!((status.tables[0].memtable_rows, status.tables[1].segment_rows), (3, 3));
    drop(store);
    let storage = open(directory.path()).await;
    assert_eq!(times(&storage, Table::Logs).await, [1, 2, 3]);
    assert_eq!(times(&storage, Table::Spans).await, [1, 2, 3]);
    storage.shutdown(Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn too_many_unflushed_rows_are_refused_until_a_flush() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config::Config::default();
    config.storage.memtable_budget = config::ByteSize::bytes(3 << 20);
    config.storage.memtable_wait = Duration::ZERO;
    let (store, _) = by_hand(directory.path(), &config).await;
    let long = "x".repeat(2 << 20);
    append(&store, batch(Table::Logs, Some(1), &[(1, &long)])).await.unwrap();
    let refused = append(&store, batch(Table::Logs, Some(2), &[(2, &long)])).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    store.flush_all().await.unwrap();
    let taken = append(&store, batch(Table::Logs, Some(2), &[(2, &long)])).await.unwrap();
    assert!(!taken.duplicate, "a refused request was not stored");
    store.flush_all().await.unwrap();
    // Larger than the budget, and alone.
    append(&store, batch(Table::Logs, None, &[(3, &"x".repeat(4 << 20))])).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_said_and_segments_without_a_catalog_are_not_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config::Config::default();
    config.storage.min_free_disk = config::ByteSize::bytes(u64::MAX);
    let (store, _) = by_hand(directory.path(), &config).await;
    let refused = append(&store, batch(Table::Logs, None, &[(1, "a")])).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("the disk is nearly full"), "{refused}");
    assert!(store.status().refuses_because.is_some());
    drop(store);

    let storage = open(directory.path()).await;
    storage.append(batch(Table::Logs, None, &[(1, "a")])).await.unwrap();
    storage.shutdown(Duration::from_secs(60)).await.unwrap();
    for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        std::fs::remove_file(directory.path().join(file)).ok();
    }
    // However often it is tried: the first try must not leave an empty catalog to the second.
    for _ in 0..2 {
        let refused = Environment::system(directory.path()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains("no catalog"), "{refused}");
    }
    assert_eq!(files_below(&directory.path().join("segments")), 2, "a log record and its pattern");
}

#[tokio::test]
async fn a_damaged_log_starts_with_what_is_whole_and_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = by_hand(directory.path(), &config::Config::default()).await;
    for i in 1..=5 {
        append(&store, batch(Table::Logs, None, &[(i, "some text")])).await.unwrap();
    }
    drop(store);
    let path = std::fs::read_dir(directory.path().join("wal")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    bytes.extend([7; 100]);
    std::fs::write(&path, bytes).unwrap();
    let (store, _) = by_hand(directory.path(), &config::Config::default()).await;
    let recovery = store.status().recovery;
    assert_eq!((recovery.frames, recovery.missing_frames, recovery.torn_bytes), (4, 1, 100));
    assert!(recovery.damaged_bytes > 0);
    assert_eq!(times(&Storage(store), Table::Logs).await.len(), 4);
}

#[tokio::test]
async fn renamed_copied_and_lost_log_files_cost_only_what_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config::Config::default();
    // A few frames a file.
    config.storage.wal_file_size = config::ByteSize::bytes(1_800);
    let (store, _) = by_hand(directory.path(), &config).await;
    for i in 1..=10 {
        append(&store, batch(Table::Logs, Some(i as u128), &[(i, "some text")])).await.unwrap();
    }
    let wal = directory.path().join("wal");
    let mut paths: Vec<_> = std::fs::read_dir(&wal).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let frames: Vec<u64> = paths.iter().map(|path| frames_in(path)).collect();
    assert!(paths.len() >= 4, "{frames:?}");
    drop(store);
    // The first two change names, the last is there twice, one in the middle is gone.
    let aside = wal.join("aside");
    std::fs::rename(&paths[0], &aside).unwrap();
    std::fs::rename(&paths[1], &paths[0]).unwrap();
    std::fs::rename(&aside, &paths[1]).unwrap();
    std::fs::copy(paths.last().unwrap(), wal.join("copy.wal")).unwrap();
    std::fs::remove_file(&paths[2]).unwrap();
    let (store, _) = by_hand(directory.path(), &config).await;
    let recovery = store.status().recovery;
    assert_eq!((recovery.frames, recovery.missing_frames), (10 - frames[2], frames[2]));
    let again = append(&store, batch(Table::Logs, Some(1), &[(1, "some text")])).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(times(&Storage(store), Table::Logs).await.len() as u64, 10 - frames[2]);
}

fn frames_in(path: &std::path::Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let name = crate::wal::file_name::FileName::from_header(&bytes).unwrap();
    crate::wal::replay::scan(&bytes, name.nonce).frames.len() as u64
}

pub(crate) fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
