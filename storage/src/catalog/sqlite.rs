//! The catalog of one machine: SQLite in the data directory, WAL mode, synchronous FULL. A returned transaction is on disk.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sqlx::{
    Connection as _, Row as _, Sqlite, SqlitePool, Transaction,
    migrate::Migrator,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};

use super::{Catalog, Contents, Document, DocumentChange, Publication, StoredKey, salvage::OldCatalog};
use crate::{
    error::{Error, ErrorKind, Result},
    flush::SEGMENTS,
    model::{BatchKey, Table, Tenant},
    schema,
    segment::{self, SegmentId, SegmentMeta},
};

/// File name in the data directory.
pub(super) const FILE_NAME: &str = "catalog.db";

static MIGRATIONS: Migrator = sqlx::migrate!("src/catalog/migrations");

/// A catalog in a SQLite file.
#[derive(Debug)]
pub struct SqliteCatalog {
    pool: SqlitePool,
    is_new: bool,
}

impl SqliteCatalog {
    /// Opens the catalog of a data directory, makes it if there is none, and brings its schema up to this version.
    ///
    /// # Errors
    /// `Invalid` when a later version of the program wrote it; `Corrupt` when it is not a catalog; `Unavailable`.
    pub async fn open(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(FILE_NAME);
        // Before anything is written: an older program must leave a newer one's catalog as it is, and a lost catalog must
        // not be replaced by an empty one, which would make every segment a leftover.
        match OldCatalog::open(data_dir).await? {
            Some(old) => old.close().await,
            None => refuse_lost_catalog(data_dir)?,
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            // Nobody else has it open while we run, so its index of the WAL can be on the heap. In a shared file it is mapped
            // memory, and touching that on a full disk ends the process (SIGBUS).
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10));
        // One connection: SQLite has one writer anyway, and nobody but the start reads much.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            // SQLite rolls back by itself when the disk is full or fails, and then refuses the rollback that sqlx asks
            // for. sqlx goes on counting that transaction and would begin no other one, ever.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(options)
            .await
            .map_err(|error| storage_error(&format!("catalog {} cannot be opened", path.display()), error))?;
        let is_new = !has_table(&pool, "segments").await?;
        MIGRATIONS.run(&pool).await.map_err(|error| {
            Error::invalid(format!("catalog {}: schema cannot be brought up to date", path.display()))
                .with_source(error)
        })?;
        Ok(Self { pool, is_new })
    }

    async fn begin(&self) -> Result<Transaction<'_, Sqlite>> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)
    }
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn load(&self) -> Result<Contents> {
        let mut transaction = self.begin().await?;
        let (version, wal_floor): (i64, i64) = sqlx::query_as("SELECT version, wal_floor FROM state")
            .fetch_one(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let segments = sqlx::query("SELECT meta FROM segments ORDER BY id")
            .fetch_all(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let checkpoints = sqlx::query("SELECT tenant, table_name, sequence FROM checkpoints")
            .fetch_all(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let keys =
            sqlx::query("SELECT tenant, batch_key, sequence, stored_unix_nano FROM batch_keys ORDER BY sequence")
                .fetch_all(&mut *transaction)
                .await
                .map_err(unavailable)?;
        let states = sqlx::query("SELECT tenant, table_name, state FROM derived_states")
            .fetch_all(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(Contents {
            is_new: self.is_new,
            version: version.cast_unsigned(),
            wal_floor: wal_floor.cast_unsigned(),
            segments: segments.iter().map(segment).collect::<Result<_>>()?,
            checkpoints: checkpoints.iter().map(checkpoint).collect::<Result<_>>()?,
            keys: keys.iter().map(stored_key).collect::<Result<_>>()?,
            states: states.iter().map(state).collect::<Result<_>>()?,
        })
    }

    async fn publish(&self, publication: &Publication) -> Result<u64> {
        let Publication { tenant, table, through_sequence, .. } = publication;
        let mut transaction = self.begin().await?;
        let moved = sqlx::query(
            "INSERT INTO checkpoints (tenant, table_name, sequence) VALUES (?, ?, ?)
             ON CONFLICT (tenant, table_name) DO UPDATE SET sequence = excluded.sequence
             WHERE excluded.sequence > checkpoints.sequence",
        )
        .bind(tenant.as_str())
        .bind(table.name())
        .bind(through_sequence.cast_signed())
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        sqlx::query("UPDATE state SET wal_floor = max(wal_floor, ?)")
            .bind(publication.wal_floor.cast_signed())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        if moved.rows_affected() == 0 {
            // Done before, and its answer was lost.
            let version = version(&mut transaction).await?;
            transaction.commit().await.map_err(unavailable)?;
            return Ok(version);
        }
        add_segments(&mut transaction, &publication.segments).await?;
        if let Some(state) = &publication.state {
            put_state(&mut transaction, &(tenant.clone(), *table), state).await?;
        }
        for key in &publication.keys {
            put_key(&mut transaction, key).await?;
        }
        sqlx::query("DELETE FROM batch_keys WHERE sequence < ?")
            .bind(publication.keys_from_sequence.cast_signed())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let version = next_version(&mut transaction).await?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(version)
    }

    async fn replace(&self, removed: &[SegmentId], added: &[SegmentMeta]) -> Result<u64> {
        let mut transaction = self.begin().await?;
        for id in removed {
            let gone = sqlx::query("DELETE FROM segments WHERE id = ?")
                .bind(id.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
            if gone.rows_affected() == 0 {
                return Err(Error::not_found(format!("segment {id} is not live")));
            }
        }
        add_segments(&mut transaction, added).await?;
        let version = next_version(&mut transaction).await?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(version)
    }

    async fn live(&self, ids: &[SegmentId]) -> Result<Vec<SegmentId>> {
        let mut live = Vec::new();
        for id in ids {
            let row = sqlx::query("SELECT 1 FROM segments WHERE id = ?")
                .bind(id.as_str())
                .fetch_optional(&self.pool)
                .await
                .map_err(unavailable)?;
            live.extend(row.map(|_| id.clone()));
        }
        Ok(live)
    }

    async fn documents(&self, kind: &str, limit: usize) -> Result<Vec<Document>> {
        let rows = sqlx::query(
            "SELECT id, updated_unix_nano, body FROM documents WHERE kind = ?
             ORDER BY updated_unix_nano DESC, id LIMIT ?",
        )
        .bind(kind)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(unavailable)?;
        rows.iter().map(document).collect()
    }

    async fn document(&self, kind: &str, id: &str) -> Result<Option<Document>> {
        let row = sqlx::query("SELECT id, updated_unix_nano, body FROM documents WHERE kind = ? AND id = ?")
            .bind(kind)
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(unavailable)?;
        row.as_ref().map(document).transpose()
    }

    async fn change_documents(&self, changes: &[DocumentChange]) -> Result<()> {
        let mut transaction = self.begin().await?;
        for change in changes {
            let query = match change {
                DocumentChange::Put { kind, document } => sqlx::query(
                    "INSERT OR REPLACE INTO documents (kind, id, updated_unix_nano, body) VALUES (?, ?, ?, ?)",
                )
                .bind(*kind)
                .bind(&document.id)
                .bind(document.updated_unix_nano)
                .bind(&document.body),
                DocumentChange::Forget { kind, before_unix_nano, keep } => sqlx::query(
                    "DELETE FROM documents WHERE kind = ?1 AND (updated_unix_nano < ?2 OR id IN (
                         SELECT id FROM documents WHERE kind = ?1 ORDER BY updated_unix_nano DESC, id LIMIT -1 OFFSET ?3))",
                )
                .bind(*kind)
                .bind(before_unix_nano)
                .bind(i64::try_from(*keep).unwrap_or(i64::MAX)),
                DocumentChange::Remove { kind, id } => {
                    sqlx::query("DELETE FROM documents WHERE kind = ? AND id = ?").bind(*kind).bind(id)
                }
            };
            query.execute(&mut *transaction).await.map_err(unavailable)?;
        }
        transaction.commit().await.map_err(unavailable)
    }

    async fn close(&self) {
        // Folds SQLite's own WAL into the file.
        self.pool.close().await;
    }
}

pub(super) async fn has_table(pool: &SqlitePool, name: &'static str) -> Result<bool> {
    let row = sqlx::query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?")
        .bind(name)
        .fetch_optional(pool)
        .await
        .map_err(|error| storage_error("catalog cannot be read", error))?;
    Ok(row.is_some())
}

/// Refuses a catalog that only a later version of the program can read, by its own schema or by a segment's format.
pub(super) async fn refuse_later(pool: &SqlitePool, path: &Path) -> Result<()> {
    let cannot = |error| storage_error(&format!("catalog {} cannot be read", path.display()), error);
    if has_table(pool, "_sqlx_migrations").await? {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(pool).await.map_err(cannot)?;
        let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
        if let Some(found) = found.filter(|found| *found > known) {
            return Err(Error::later(format!("catalog {} has schema version {found}", path.display()), known));
        }
    }
    for (key, what, known) in [
        ("$.format_version", "format", segment::FORMAT_VERSION),
        ("$.schema_version", "rows of schema version", schema::VERSION),
    ] {
        // A row that is no JSON is damage, and not found here.
        let later: Option<(String, i64)> = sqlx::query_as(
            "SELECT coalesce(json_extract(meta, '$.path'), id), json_extract(meta, ?1) FROM segments
             WHERE json_valid(meta) AND json_extract(meta, ?1) > ?2 LIMIT 1",
        )
        .bind(key)
        .bind(i64::from(known))
        .fetch_optional(pool)
        .await
        .map_err(cannot)?;
        if let Some((path, found)) = later {
            return Err(Error::later(format!("segment {path} has {what} {found}"), known));
        }
    }
    Ok(())
}

/// Refuses to make a catalog where there are segments: it would own none of them.
fn refuse_lost_catalog(data_dir: &Path) -> Result<()> {
    let segments = data_dir.join(SEGMENTS);
    match std::fs::read_dir(&segments).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(Error::invalid(format!(
            "{} holds segments and there is no catalog ({FILE_NAME}): restore it, or make a new one with `rootline catalog rebuild`; nothing was changed",
            segments.display()
        ))),
        _ => Ok(()),
    }
}

/// A row of `segments` as JSON: its description, and which programs can read the file.
#[derive(Serialize, Deserialize)]
struct StoredMeta {
    #[serde(flatten)]
    meta: SegmentMeta,
    #[serde(default = "first_format")]
    format_version: u16,
}

/// Rows without a version were written when there was only one.
const fn first_format() -> u16 {
    1
}

/// A catalog being made for a data directory that has none it can use.
#[derive(Debug)]
pub(super) struct Fresh {
    catalog: SqliteCatalog,
    path: PathBuf,
}

impl Fresh {
    /// An empty catalog in a new file, without a log of SQLite's beside it.
    pub(super) async fn create(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            // Nobody reads it before it is whole, and `finish` makes it durable.
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
        let cannot = |error| storage_error(&format!("catalog {} cannot be made", path.display()), error);
        let pool = pool.map_err(cannot)?;
        MIGRATIONS
            .run(&pool)
            .await
            .map_err(|error| Error::unavailable(format!("catalog {}", path.display())).with_source(error))?;
        Ok(Self { catalog: SqliteCatalog { pool, is_new: true }, path: path.to_owned() })
    }

    /// Puts all but documents in it.
    pub(super) async fn put(&self, contents: &Contents) -> Result<()> {
        let mut transaction = self.catalog.begin().await?;
        sqlx::query("UPDATE state SET version = ?, wal_floor = ?")
            .bind(contents.version.cast_signed())
            .bind(contents.wal_floor.cast_signed())
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        add_segments(&mut transaction, &contents.segments).await?;
        for ((tenant, table), sequence) in &contents.checkpoints {
            sqlx::query("INSERT INTO checkpoints (tenant, table_name, sequence) VALUES (?, ?, ?)")
                .bind(tenant.as_str())
                .bind(table.name())
                .bind(sequence.cast_signed())
                .execute(&mut *transaction)
                .await
                .map_err(unavailable)?;
        }
        for (place, state) in &contents.states {
            put_state(&mut transaction, place, state).await?;
        }
        for key in &contents.keys {
            put_key(&mut transaction, key).await?;
        }
        transaction.commit().await.map_err(unavailable)
    }

    pub(super) async fn put_document(&self, kind: &str, document: &Document) -> Result<()> {
        sqlx::query("INSERT OR REPLACE INTO documents (kind, id, updated_unix_nano, body) VALUES (?, ?, ?, ?)")
            .bind(kind)
            .bind(&document.id)
            .bind(document.updated_unix_nano)
            .bind(&document.body)
            .execute(&self.catalog.pool)
            .await
            .map_err(unavailable)
            .map(drop)
    }

    /// Makes it durable.
    pub(super) async fn finish(self) -> Result<()> {
        self.catalog.pool.close().await;
        let synced = std::fs::File::open(&self.path).and_then(|file| file.sync_all());
        synced.map_err(|error| Error::unavailable(format!("catalog {}", self.path.display())).with_source(error))
    }
}

async fn put_state(transaction: &mut Transaction<'_, Sqlite>, place: &(Tenant, Table), state: &Bytes) -> Result<()> {
    sqlx::query("INSERT OR REPLACE INTO derived_states (tenant, table_name, state) VALUES (?, ?, ?)")
        .bind(place.0.as_str())
        .bind(place.1.name())
        .bind(state.to_vec())
        .execute(&mut **transaction)
        .await
        .map_err(unavailable)
        .map(drop)
}

async fn put_key(transaction: &mut Transaction<'_, Sqlite>, key: &StoredKey) -> Result<()> {
    sqlx::query("INSERT OR REPLACE INTO batch_keys (tenant, batch_key, sequence, stored_unix_nano) VALUES (?, ?, ?, ?)")
        .bind(key.tenant.as_str())
        .bind(key.key.0.to_be_bytes().to_vec())
        .bind(key.sequence.cast_signed())
        .bind(key.stored_unix_nano)
        .execute(&mut **transaction)
        .await
        .map_err(unavailable)
        .map(drop)
}

async fn add_segments(transaction: &mut Transaction<'_, Sqlite>, segments: &[SegmentMeta]) -> Result<()> {
    for meta in segments {
        let stored = StoredMeta { meta: meta.clone(), format_version: segment::FORMAT_VERSION };
        let json = serde_json::to_string(&stored)
            .map_err(|error| Error::internal(format!("segment {} cannot be described", meta.id)).with_source(error))?;
        sqlx::query(
            "INSERT INTO segments (id, tenant, table_name, start_unix_nano, end_unix_nano, row_count, file_bytes, meta)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(meta.id.as_str())
        .bind(meta.tenant.as_str())
        .bind(meta.table.name())
        .bind(meta.time_range.start_unix_nano())
        .bind(meta.time_range.end_unix_nano())
        .bind(meta.row_count.cast_signed())
        .bind(meta.file_bytes.cast_signed())
        .bind(json)
        .execute(&mut **transaction)
        .await
        .map_err(unavailable)?;
    }
    Ok(())
}

async fn version(transaction: &mut Transaction<'_, Sqlite>) -> Result<u64> {
    let version: i64 =
        sqlx::query_scalar("SELECT version FROM state").fetch_one(&mut **transaction).await.map_err(unavailable)?;
    Ok(version.cast_unsigned())
}

async fn next_version(transaction: &mut Transaction<'_, Sqlite>) -> Result<u64> {
    let version: i64 = sqlx::query_scalar("UPDATE state SET version = version + 1 RETURNING version")
        .fetch_one(&mut **transaction)
        .await
        .map_err(unavailable)?;
    Ok(version.cast_unsigned())
}

pub(super) fn segment(row: &SqliteRow) -> Result<SegmentMeta> {
    let meta: String = row.try_get("meta").map_err(unavailable)?;
    serde_json::from_str(&meta).map_err(|error| Error::corrupt("catalog: segment is not readable").with_source(error))
}

pub(super) fn checkpoint(row: &SqliteRow) -> Result<((Tenant, Table), u64)> {
    let tenant: String = row.try_get("tenant").map_err(unavailable)?;
    let table: String = row.try_get("table_name").map_err(unavailable)?;
    let sequence: i64 = row.try_get("sequence").map_err(unavailable)?;
    let table = table.parse().map_err(|error: String| Error::corrupt("catalog: checkpoint").with_source(error))?;
    Ok(((Tenant::new(tenant), table), sequence.cast_unsigned()))
}

pub(super) fn state(row: &SqliteRow) -> Result<((Tenant, Table), Bytes)> {
    let tenant: String = row.try_get("tenant").map_err(unavailable)?;
    let table: String = row.try_get("table_name").map_err(unavailable)?;
    let state: Vec<u8> = row.try_get("state").map_err(unavailable)?;
    let table = table.parse().map_err(|error: String| Error::corrupt("catalog: derived state").with_source(error))?;
    Ok(((Tenant::new(tenant), table), state.into()))
}

pub(super) fn stored_key(row: &SqliteRow) -> Result<StoredKey> {
    let tenant: String = row.try_get("tenant").map_err(unavailable)?;
    let key: Vec<u8> = row.try_get("batch_key").map_err(unavailable)?;
    let key = key.try_into().map_err(|_| Error::corrupt("catalog: batch key is not 16 bytes"))?;
    let sequence: i64 = row.try_get("sequence").map_err(unavailable)?;
    Ok(StoredKey {
        tenant: Tenant::new(tenant),
        key: BatchKey(u128::from_be_bytes(key)),
        sequence: sequence.cast_unsigned(),
        stored_unix_nano: row.try_get("stored_unix_nano").map_err(unavailable)?,
    })
}

pub(super) fn document(row: &SqliteRow) -> Result<Document> {
    Ok(Document {
        id: row.try_get("id").map_err(unavailable)?,
        updated_unix_nano: row.try_get("updated_unix_nano").map_err(unavailable)?,
        body: row.try_get("body").map_err(unavailable)?,
    })
}

pub(super) fn unavailable(error: sqlx::Error) -> Error {
    storage_error("catalog", error)
}

pub(super) fn storage_error(message: &str, error: sqlx::Error) -> Error {
    // SQLITE_CORRUPT and SQLITE_NOTADB: waiting does not help.
    let code = error.as_database_error().and_then(|error| error.code()).map(Cow::into_owned);
    let kind = match code.as_deref() {
        Some("11" | "26") => ErrorKind::Corrupt,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_fails_one_transaction_and_not_all_later_ones() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = SqliteCatalog::open(directory.path()).await.unwrap();
        let put = |bytes: usize| {
            let body = format!("\"{}\"", "x".repeat(bytes));
            let document = Document { id: "id".to_owned(), updated_unix_nano: 1, body };
            [DocumentChange::Put { kind: "kind", document }]
        };
        // Of this connection only, as the disk is full for a while only.
        sqlx::query("PRAGMA max_page_count = 1").execute(&catalog.pool).await.unwrap();
        let full = catalog.change_documents(&put(1 << 20)).await.unwrap_err();
        assert_eq!(full.kind(), ErrorKind::Unavailable, "{full}");
        catalog.change_documents(&put(100)).await.unwrap();
        assert!(catalog.document("kind", "id").await.unwrap().is_some());
    }
}
