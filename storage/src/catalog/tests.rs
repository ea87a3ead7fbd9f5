//! The same tests for every home of the catalog.

use std::sync::Arc;

use super::*;
use crate::{error::ErrorKind, model::TimeRange};

fn meta(id: &str) -> SegmentMeta {
    SegmentMeta {
        id: SegmentId::new(id),
        tenant: Tenant::default(),
        table: Table::Logs,
        path: format!("segments/{id}.parquet"),
        file_bytes: 10,
        tail_bytes: 5,
        row_count: 3,
        time_range: TimeRange::spanning(-5, 7),
        bucket_start_unix_nano: -86_400_000_000_000,
        schema_version: 1,
        trace_filter: None,
    }
}

fn key(key: u128, sequence: u64, stored_unix_nano: i64) -> StoredKey {
    StoredKey { tenant: Tenant::default(), key: BatchKey(key), sequence, stored_unix_nano }
}

fn publication(through_sequence: u64, segments: &[&str], keys: Vec<StoredKey>) -> Publication {
    Publication {
        tenant: Tenant::default(),
        table: Table::Logs,
        through_sequence,
        wal_floor: through_sequence - 1,
        segments: segments.iter().map(|id| meta(id)).collect(),
        keys,
        keys_from_sequence: 0,
        state: None,
    }
}

fn ids(contents: &Contents) -> Vec<&str> {
    contents.segments.iter().map(|meta| meta.id.as_str()).collect()
}

/// Runs a test on each home; the second argument opens the same catalog once more.
async fn on_each_home(test: impl AsyncFn(&dyn AsyncOpen)) {
    test(&Memory(MemoryCatalog::new())).await;
    let directory = tempfile::tempdir().unwrap();
    test(&File(directory.path().to_owned())).await;
}

#[async_trait]
trait AsyncOpen: Sync {
    async fn open(&self) -> Arc<dyn Catalog>;
}

struct Memory(MemoryCatalog);

#[async_trait]
impl AsyncOpen for Memory {
    async fn open(&self) -> Arc<dyn Catalog> {
        Arc::new(self.0.clone())
    }
}

struct File(std::path::PathBuf);

#[async_trait]
impl AsyncOpen for File {
    async fn open(&self) -> Arc<dyn Catalog> {
        Arc::new(SqliteCatalog::open(&self.0).await.unwrap())
    }
}

#[tokio::test]
async fn what_is_published_is_there_after_opening_again() {
    on_each_home(async |home| {
        let catalog = home.open().await;
        let empty = catalog.load().await.unwrap();
        assert_eq!(empty, Contents { is_new: true, ..Contents::default() });
        let keys = vec![key(u128::MAX, 4, 100), key(1, 5, 200)];
        assert_eq!(catalog.publish(&publication(5, &["a", "b"], keys.clone())).await.unwrap(), 1);
        catalog.close().await;
        let contents = home.open().await.load().await.unwrap();
        assert!(!contents.is_new);
        assert_eq!(contents.version, 1);
        assert_eq!(contents.segments, [meta("a"), meta("b")]);
        assert_eq!(contents.checkpoints[&(Tenant::default(), Table::Logs)], 5);
        assert_eq!(contents.keys, keys);
        assert_eq!(contents.wal_floor, 4);
    })
    .await;
}

#[tokio::test]
async fn publishing_again_changes_nothing_and_checkpoints_only_go_forward() {
    on_each_home(async |home| {
        let catalog = home.open().await;
        catalog.load().await.unwrap();
        let first = publication(5, &["a"], vec![key(1, 5, 1)]);
        catalog.publish(&first).await.unwrap();
        let again = Publication { wal_floor: 5, ..first.clone() };
        assert_eq!(catalog.publish(&again).await.unwrap(), 1);
        assert_eq!(catalog.publish(&publication(4, &["late"], vec![])).await.unwrap(), 1);
        let spans = Publication { table: Table::Spans, ..publication(2, &["s"], vec![]) };
        assert_eq!(catalog.publish(&spans).await.unwrap(), 2);
        let contents = catalog.load().await.unwrap();
        assert_eq!(ids(&contents), ["a", "s"]);
        assert_eq!(contents.wal_floor, 5, "it never moves down");
        assert_eq!(contents.checkpoints.values().copied().collect::<Vec<_>>(), [5, 2]);
    })
    .await;
}

#[tokio::test]
async fn segments_are_exchanged_all_or_not_at_all() {
    on_each_home(async |home| {
        let catalog = home.open().await;
        catalog.load().await.unwrap();
        catalog.publish(&publication(5, &["a", "b", "c"], vec![])).await.unwrap();
        let gone = [SegmentId::new("a"), SegmentId::new("nowhere")];
        let refused = catalog.replace(&gone, &[meta("x")]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound);
        assert_eq!(ids(&catalog.load().await.unwrap()), ["a", "b", "c"]);
        let merged = [SegmentId::new("a"), SegmentId::new("b")];
        assert_eq!(catalog.replace(&merged, &[meta("ab")]).await.unwrap(), 2);
        assert_eq!(catalog.live(&[merged[0].clone(), SegmentId::new("ab")]).await.unwrap(), [SegmentId::new("ab")]);
        assert_eq!(catalog.replace(&[SegmentId::new("c")], &[]).await.unwrap(), 3);
        assert_eq!(ids(&catalog.load().await.unwrap()), ["ab"]);
    })
    .await;
}

#[tokio::test]
async fn old_keys_are_forgotten() {
    on_each_home(async |home| {
        let catalog = home.open().await;
        catalog.load().await.unwrap();
        catalog.publish(&publication(5, &["a"], vec![key(1, 4, 100), key(2, 5, 200)])).await.unwrap();
        let later = Publication { keys_from_sequence: 5, ..publication(6, &["b"], vec![key(3, 6, 300)]) };
        catalog.publish(&later).await.unwrap();
        assert_eq!(catalog.load().await.unwrap().keys, [key(2, 5, 200), key(3, 6, 300)]);
    })
    .await;
}

fn put(kind: &'static str, id: &str, updated_unix_nano: i64, body: &str) -> DocumentChange {
    let document = Document { id: id.to_owned(), updated_unix_nano, body: body.to_owned() };
    DocumentChange::Put { kind, document }
}

async fn document_ids(catalog: &dyn Catalog, kind: &str, limit: usize) -> Vec<String> {
    catalog.documents(kind, limit).await.unwrap().into_iter().map(|document| document.id).collect()
}

#[tokio::test]
async fn documents_change_together_and_are_there_after_opening_again() {
    on_each_home(async |home| {
        let catalog = home.open().await;
        let changes = [put("alert", "a", 1, "{}"), put("alert", "b", 3, "[1]"), put("incident", "a", 2, "{}")];
        catalog.change_documents(&changes).await.unwrap();
        let gone = DocumentChange::Remove { kind: "alert", id: "a".to_owned() };
        catalog.change_documents(&[gone.clone(), put("alert", "c", 3, "{}"), gone]).await.unwrap();
        catalog.change_documents(&[put("alert", "b", 4, "[2]")]).await.unwrap();
        catalog.close().await;
        let catalog = home.open().await;
        assert_eq!(document_ids(&*catalog, "alert", 10).await, ["b", "c"]);
        assert_eq!(document_ids(&*catalog, "alert", 1).await, ["b"]);
        assert_eq!(catalog.document("alert", "b").await.unwrap().unwrap().body, "[2]");
        assert_eq!(catalog.document("alert", "a").await.unwrap(), None);
        assert_eq!(document_ids(&*catalog, "incident", 10).await, ["a"]);
    })
    .await;
}

#[tokio::test]
async fn documents_are_forgotten_by_age_and_by_number() {
    on_each_home(async |home| {
        let catalog = home.open().await;
        let mut changes: Vec<_> = (0..6).map(|at| put("report", &format!("r{at}"), at, "{}")).collect();
        changes.push(put("alert", "a", 0, "{}"));
        catalog.change_documents(&changes).await.unwrap();
        let forget = |before_unix_nano, keep| DocumentChange::Forget { kind: "report", before_unix_nano, keep };
        // The newest of the same time are told apart by id, as in a list.
        catalog.change_documents(&[put("report", "same", 5, "{}"), forget(2, 100)]).await.unwrap();
        assert_eq!(document_ids(&*catalog, "report", 9).await, ["r5", "same", "r4", "r3", "r2"]);
        catalog.change_documents(&[forget(i64::MIN, 1)]).await.unwrap();
        assert_eq!(document_ids(&*catalog, "report", 9).await, ["r5"]);
        catalog.change_documents(&[forget(6, 9)]).await.unwrap();
        assert_eq!(document_ids(&*catalog, "report", 9).await, [""; 0]);
        assert_eq!(document_ids(&*catalog, "alert", 9).await, ["a"]);
        catalog.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_can_be_repeated() {
    let catalog = MemoryCatalog::new();
    let change = [put("alert", "a", 1, "{}")];
    let unsure = catalog.failing(|point| point == CrashPoint::After);
    assert_eq!(unsure.change_documents(&change).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(document_ids(&catalog, "alert", 10).await, ["a"]);
    catalog.change_documents(&change).await.unwrap();
    assert_eq!(document_ids(&catalog, "alert", 10).await, ["a"]);
}

#[tokio::test]
async fn a_catalog_of_a_later_version_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    SqliteCatalog::open(directory.path()).await.unwrap().close().await;
    let path = directory.path().join("catalog.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'of the future', 1, x'00', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let before = std::fs::read(&path).unwrap();
    let refused = SqliteCatalog::open(directory.path()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let message = refused.to_string();
    assert!(message.contains("schema version 999, this program knows up to 3"), "{message}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_no_catalog_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("catalog.db"), [7; 8192]).unwrap();
    let refused = SqliteCatalog::open(directory.path()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
}
