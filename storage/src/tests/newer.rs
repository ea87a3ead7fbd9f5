//! A directory that a later version has written to is refused, with what was found, and nothing in it is changed.

use std::{collections::BTreeMap, path::Path, time::Duration};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::copy_tree;
use crate::{
    Environment, Storage,
    error::ErrorKind,
    model::Table,
    testing::{batch, quiet},
    wal::{
        file_name::{FILE_HEADER_BYTES, FileName},
        frame::{HEADER_BYTES, VERSION},
    },
};

/// A copy of the directory of a store with a segment and, after a kill, a frame in the log.
async fn directory(is_killed: bool) -> tempfile::TempDir {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let storage = Storage::open(&quiet(), Environment::system(directory.path()).await.unwrap()).await.unwrap();
    storage.append(batch(Table::Logs, Some(1), &[(1, "a")])).await.unwrap();
    storage.flush().await.unwrap();
    storage.append(batch(Table::Logs, Some(2), &[(2, "b")])).await.unwrap();
    if !is_killed {
        storage.clone().shutdown(Duration::from_secs(60)).await.unwrap();
    }
    copy_tree(directory.path(), copy.path());
    copy
}

fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    found
}

async fn refused(directory: &Path, words: &[&str]) {
    let before = contents(directory);
    let error = match Environment::system(directory).await {
        Ok(environment) => Storage::open(&quiet(), environment).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    for word in words.iter().chain(&["this program knows up to", "use the version of Rootline that wrote it"]) {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
    assert!(contents(directory) == before, "something was changed");
}

async fn change_catalog(directory: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(directory.join("catalog.db"));
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    sqlx::query(statement).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn a_catalog_with_a_later_schema() {
    let directory = directory(false).await;
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', TRUE, x'00', 0)";
    change_catalog(directory.path(), later).await;
    refused(directory.path(), &["catalog.db has schema version 9999"]).await;
}

#[tokio::test]
async fn a_segment_with_a_later_format_or_later_columns() {
    let directory = directory(false).await;
    change_catalog(directory.path(), "UPDATE segments SET meta = json_set(meta, '$.format_version', 99)").await;
    refused(directory.path(), &["segments/default/log", ".parquet has format 99"]).await;
    let later = "UPDATE segments SET meta = json_set(meta, '$.format_version', 1, '$.schema_version', 98)";
    change_catalog(directory.path(), later).await;
    refused(directory.path(), &["segments/default/log", "has rows of schema version 98"]).await;
}

#[tokio::test]
async fn a_log_with_later_frames_later_columns_or_of_a_later_kind() {
    let directory = directory(true).await;
    let path = std::fs::read_dir(directory.path().join("wal")).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&path).unwrap();
    let nonce = FileName::from_header(&whole).unwrap().nonce;
    // Versions of layout and of columns, where every version has them, under a checksum that is right.
    let with = |at: usize, value: u16| {
        let mut bytes = whole.clone();
        let header = &mut bytes[FILE_HEADER_BYTES..FILE_HEADER_BYTES + HEADER_BYTES];
        header[at..at + 2].copy_from_slice(&value.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&nonce.to_le_bytes()), &header[12..]);
        header[8..12].copy_from_slice(&crc.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
    };
    with(12, VERSION + 1);
    refused(directory.path(), &["has frames of version 2"]).await;
    with(14, 77);
    refused(directory.path(), &["has rows of schema version 77"]).await;
    let mut bytes = whole.clone();
    bytes[6] = b'2';
    std::fs::write(&path, bytes).unwrap();
    refused(directory.path(), &["is a log of version 2"]).await;
    std::fs::write(&path, whole).unwrap();
    let storage = Storage::open(&quiet(), Environment::system(directory.path()).await.unwrap()).await.unwrap();
    assert_eq!(storage.status().recovery.rows, 1, "the frame that was not flushed is as it was");
}
