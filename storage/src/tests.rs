//! The store on a real disk, as the server runs it.

use std::time::Duration;

use crate::{Environment, Storage, error::ErrorKind, model::Table, testing::batch};

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

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
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
