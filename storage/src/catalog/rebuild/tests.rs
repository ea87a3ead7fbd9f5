//! Real directories whose catalog is gone, damaged, or fine: every acknowledged row once, in every table.

use std::time::Duration;

use arrow::{array::AsArray as _, datatypes::TimestampNanosecondType};

use super::*;
use crate::{
    Environment, Storage,
    catalog::{Document, DocumentChange},
    model::{Batch, Table, Tenant},
    testing::{batch, quiet},
    tests::copy_tree,
};

const TABLES: [Table; 7] = [
    Table::Logs,
    Table::Spans,
    Table::Metrics,
    Table::Histograms,
    Table::ExponentialHistograms,
    Table::Summaries,
    Table::Exemplars,
];

async fn open(directory: &Path) -> Storage {
    Storage::open(&quiet(), Environment::system(directory).await.unwrap()).await.unwrap()
}

fn copied(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(directory, copy.path());
    copy
}

/// A killed server's directory: merged segments and their inputs, segments, and the same tables in the log.
async fn killed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).await;
    let mut key = 0;
    for round in 0..6_i64 {
        for table in TABLES {
            key += 1;
            let time = round * 10;
            storage.append(batch(table, Some(key), &[(time, "one two"), (time + 1, "three")])).await.unwrap();
        }
        let other = Batch { tenant: Tenant::new("other"), ..batch(Table::Logs, Some(key), &[(round, "of others")]) };
        storage.append(other).await.unwrap();
        if round < 5 {
            storage.flush().await.unwrap();
        }
        if round == 3 {
            storage.compact().await.unwrap();
        }
    }
    let document = Document { id: "one".to_owned(), updated_unix_nano: 7, body: "{}".to_owned() };
    storage.catalog().change_documents(&[DocumentChange::Put { kind: "report", document }]).await.unwrap();
    copied(directory.path())
}

/// Times of all rows of a tenant's table, sorted.
async fn times(storage: &Storage, tenant: &Tenant, table: Table) -> Vec<i64> {
    let snapshot = storage.0.snapshot(tenant);
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

fn expected() -> Vec<i64> {
    (0..6).flat_map(|round| [round * 10, round * 10 + 1]).collect()
}

async fn check(directory: &Path) {
    let storage = open(directory).await;
    for table in TABLES {
        assert_eq!(times(&storage, &Tenant::default(), table).await, expected(), "{table}");
    }
    assert_eq!(times(&storage, &Tenant::new("other"), Table::Logs).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(storage.status().recovery.missing_frames, 0);
    storage.shutdown(Duration::from_secs(60)).await.unwrap();
}

fn remove_catalog(directory: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(directory.join(format!("{FILE_NAME}{suffix}"))).ok();
    }
}

#[tokio::test]
async fn without_a_catalog_every_row_is_there_once_and_the_start_was_refused() {
    let directory = killed().await;
    remove_catalog(directory.path());
    let before = directory.path().join(SEGMENTS);
    let count = || walk(&before);
    let files = count();
    for _ in 0..2 {
        let refused = Environment::system(directory.path()).await.unwrap_err();
        assert!(refused.to_string().contains("rootline catalog rebuild"), "{refused}");
        assert_eq!(count(), files, "again and again, and nothing is deleted");
    }
    let dry = rebuild(directory.path(), Options { dry_run: true, old_log: None }).await.unwrap();
    assert!(!directory.path().join(FILE_NAME).exists() && count() == files, "a dry run does nothing");
    let rebuilt = rebuild(directory.path(), Options::default()).await.unwrap();
    assert_eq!((dry.segments, dry.rows, dry.lost), (rebuilt.segments, rebuilt.rows, rebuilt.lost.clone()));
    assert!(!rebuilt.set_aside.is_empty(), "inputs of merges: {rebuilt:?}");
    assert!(rebuilt.lost.iter().any(|line| line.contains("alerts")), "{rebuilt:?}");
    assert_eq!(files - rebuilt.set_aside.len(), count());
    assert_eq!(walk(&directory.path().join(ASIDE)), rebuilt.set_aside.len(), "kept for the operator");
    check(directory.path()).await;
    let report = scrub::scrub(copied(directory.path()).path(), Duration::ZERO).await.unwrap();
    assert!(report.is_sound(), "{report:#?}");
}

fn walk(directory: &Path) -> usize {
    fs::read_dir(directory).map_or(0, |entries| {
        entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
    })
}

#[tokio::test]
async fn a_sound_catalog_is_made_again_as_it_was() {
    let directory = killed().await;
    let old = OldCatalog::open(directory.path()).await.unwrap().unwrap();
    let before = known(&old, &mut Vec::new()).await;
    old.close().await;
    let rebuilt = rebuild(directory.path(), Options::default()).await.unwrap();
    assert!(rebuilt.lost.is_empty() && rebuilt.documents == 1, "{rebuilt:?}");
    let new = OldCatalog::open(directory.path()).await.unwrap().unwrap();
    let after = known(&new, &mut Vec::new()).await;
    new.close().await;
    assert_eq!((before.live, before.checkpoints, before.wal_floor), (after.live, after.checkpoints, after.wal_floor));
    assert_eq!((before.states, before.keys), (after.states, after.keys));
    assert!(directory.path().join(rebuilt.old_catalog.unwrap()).exists());
    check(directory.path()).await;
    let storage = open(copied(directory.path()).path()).await;
    let again = storage.append(batch(Table::Logs, Some(1), &[(0, "one two"), (1, "three")])).await.unwrap();
    assert!(again.duplicate, "batch keys are carried over");
    assert_eq!(storage.catalog().documents("report", 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_damaged_catalog_gives_what_can_be_read_of_it() {
    let directory = killed().await;
    let storage = open(directory.path()).await;
    storage.shutdown(Duration::from_secs(60)).await.unwrap();
    let whole = copied(directory.path());
    let pages = fs::metadata(whole.path().join(FILE_NAME)).unwrap().len() / 4_096;
    for page in 0..pages {
        let directory = copied(whole.path());
        let path = directory.path().join(FILE_NAME);
        let mut bytes = fs::read(&path).unwrap();
        bytes[page as usize * 4_096..][..64].fill(0xff);
        fs::write(&path, bytes).unwrap();
        rebuild(directory.path(), Options::default()).await.unwrap();
        check(directory.path()).await;
    }
}

#[tokio::test]
async fn an_unreadable_segment_is_set_aside_and_said() {
    let directory = killed().await;
    let listed = crate::files::Disk::open(directory.path()).unwrap().list(SEGMENTS).unwrap();
    let path = directory.path().join(&listed[0].0);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let rebuilt = rebuild(directory.path(), Options::default()).await.unwrap();
    assert!(rebuilt.lost.iter().any(|line| line.contains(&listed[0].0)), "{rebuilt:?}");
    let aside = directory.path().join(rebuilt.set_aside_in.unwrap()).join(&listed[0].0);
    assert!(aside.exists() && !path.exists());
}

#[tokio::test]
async fn a_directory_in_use_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).await;
    let refused = rebuild(directory.path(), Options::default()).await.unwrap_err();
    assert!(refused.to_string().contains("stop its server"), "{refused}");
    drop(storage);
}
