//! A catalog file as far as it can be read, without changing it: for checks, and for building a new one from it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::TryStreamExt as _;
use sqlx::{
    Row as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow},
};

use super::{
    Document, StoredKey,
    sqlite::{self, FILE_NAME},
};
use crate::{
    error::{Error, Result},
    model::{Table, Tenant},
    segment::SegmentMeta,
};

/// Lines of SQLite's own check that are kept.
const MAX_CHECK_LINES: usize = 100;

/// A catalog file, open for reading only.
#[derive(Debug)]
pub(crate) struct OldCatalog {
    pool: SqlitePool,
    path: PathBuf,
}

/// One table of the catalog as far as it can be read.
#[derive(Debug)]
pub(crate) struct Part<T> {
    /// The rows that can be read.
    pub(crate) rows: T,
    /// What is wrong with the others.
    pub(crate) damage: Vec<Error>,
}

impl<T> Part<T> {
    pub(crate) fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

impl OldCatalog {
    /// The catalog of a data directory; `None` when there is no such file or nothing in it.
    ///
    /// # Errors
    /// `Invalid` when a later version wrote it; `Corrupt` when it is no catalog; `Unavailable`.
    pub(crate) async fn open(data_dir: &Path) -> Result<Option<Self>> {
        let path = data_dir.join(FILE_NAME);
        if !std::fs::metadata(&path).is_ok_and(|file| file.len() > 0) {
            return Ok(None);
        }
        let log = data_dir.join(format!("{FILE_NAME}-wal"));
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            // Without a log of SQLite's nothing but the file counts, and no file is made beside it.
            .immutable(!std::fs::metadata(log).is_ok_and(|file| file.len() > 0));
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
        let cannot = |error| sqlite::storage_error(&format!("catalog {} cannot be read", path.display()), error);
        let pool = pool.map_err(cannot)?;
        let old = Self { pool, path };
        if !old.has_table("segments").await? {
            old.close().await;
            return Ok(None);
        }
        let refused = sqlite::refuse_later(&old.pool, &old.path).await;
        if let Err(error) = refused {
            old.close().await;
            return Err(error);
        }
        Ok(Some(old))
    }

    /// What SQLite's own check complains about.
    pub(crate) async fn check(&self) -> Vec<String> {
        let statement = format!("PRAGMA integrity_check({MAX_CHECK_LINES})");
        let lines = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(statement)).fetch_all(&self.pool).await;
        match lines {
            Ok(lines) => lines.into_iter().filter(|line| line != "ok").collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    /// Version of the content, and the floor of the log.
    pub(crate) async fn state(&self) -> Result<(u64, u64)> {
        let row: (i64, i64) = sqlx::query_as("SELECT version, wal_floor FROM state")
            .fetch_one(&self.pool)
            .await
            .map_err(|error| self.error("state", error))?;
        Ok((row.0.cast_unsigned(), row.1.cast_unsigned()))
    }

    pub(crate) async fn segments(&self) -> Part<Vec<SegmentMeta>> {
        self.read("SELECT meta FROM segments ORDER BY id", sqlite::segment).await
    }

    pub(crate) async fn checkpoints(&self) -> Part<BTreeMap<(Tenant, Table), u64>> {
        self.read("SELECT tenant, table_name, sequence FROM checkpoints", sqlite::checkpoint).await
    }

    pub(crate) async fn keys(&self) -> Part<Vec<StoredKey>> {
        let statement = "SELECT tenant, batch_key, sequence, stored_unix_nano FROM batch_keys ORDER BY sequence";
        self.read(statement, sqlite::stored_key).await
    }

    pub(crate) async fn states(&self) -> Part<BTreeMap<(Tenant, Table), Bytes>> {
        if !self.has_table("derived_states").await.unwrap_or(true) {
            return Part { rows: BTreeMap::new(), damage: Vec::new() };
        }
        self.read("SELECT tenant, table_name, state FROM derived_states", sqlite::state).await
    }

    /// Hands over each document with its kind, one after another; returns what is wrong with the others.
    pub(crate) async fn documents(
        &self,
        mut each: impl AsyncFnMut(String, Document) -> Result<()>,
    ) -> Result<Option<Error>> {
        if !self.has_table("documents").await.unwrap_or(true) {
            return Ok(None);
        }
        let mut rows = sqlx::query("SELECT kind, id, updated_unix_nano, body FROM documents").fetch(&self.pool);
        loop {
            let read = match rows.try_next().await {
                Ok(None) => return Ok(None),
                Ok(Some(row)) => row
                    .try_get("kind")
                    .map_err(sqlite::unavailable)
                    .and_then(|kind| Ok((kind, sqlite::document(&row)?))),
                Err(error) => Err(self.error("documents", error)),
            };
            match read {
                Ok((kind, document)) => each(kind, document).await?,
                Err(error) => return Ok(Some(error)),
            }
        }
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    async fn read<Row, Rows: Default + Extend<Row>>(
        &self,
        statement: &'static str,
        read: fn(&SqliteRow) -> Result<Row>,
    ) -> Part<Rows> {
        let mut part = Part { rows: Rows::default(), damage: Vec::new() };
        let mut rows = sqlx::query(statement).fetch(&self.pool);
        loop {
            match rows.try_next().await {
                Ok(None) => return part,
                Ok(Some(row)) => match read(&row) {
                    Ok(row) => part.rows.extend([row]),
                    Err(error) => part.damage.push(error),
                },
                // What comes after a damaged page cannot be reached.
                Err(error) => {
                    part.damage.push(self.error(statement, error));
                    return part;
                }
            }
        }
    }

    async fn has_table(&self, name: &'static str) -> Result<bool> {
        sqlite::has_table(&self.pool, name).await
    }

    fn error(&self, what: &str, error: sqlx::Error) -> Error {
        sqlite::storage_error(&format!("catalog {}: {what}", self.path.display()), error)
    }
}
