//! A sound directory has no findings, and each kind of damage is found where it is.

use std::path::{Path, PathBuf};

use super::*;
use crate::{
    Environment, Storage,
    model::Table,
    segment::FORMAT_VERSION,
    testing::{batch, quiet},
};

/// A killed server's directory: segments of seven tables, and frames that are in the log only.
async fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(&quiet(), Environment::system(directory.path()).await.unwrap()).await.unwrap();
    for table in [Table::Logs, Table::Spans, Table::Metrics, Table::Exemplars] {
        storage.append(batch(table, None, &[(1, "one two"), (2, "three")])).await.unwrap();
    }
    storage.flush().await.unwrap();
    storage.append(batch(Table::Logs, Some(2), &[(3, "in the log")])).await.unwrap();
    storage.append(batch(Table::Logs, Some(3), &[(4, "in the log")])).await.unwrap();
    copied(directory.path())
}

/// What a kill would leave: threads of the store that is dropped may hold its directory a moment longer.
fn copied(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    crate::tests::copy_tree(directory, copy.path());
    copy
}

async fn checked(directory: &Path) -> Report {
    scrub(directory, Duration::from_secs(5)).await.unwrap()
}

fn only(report: &Report) -> &Finding {
    assert_eq!(report.findings.len(), 1, "{report:#?}");
    &report.findings[0]
}

fn files(directory: &Path, below: &str) -> Vec<PathBuf> {
    let listed = Disk::open(directory).unwrap().list(below).unwrap();
    listed.into_iter().map(|(path, _)| directory.join(path)).collect()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_sound_directory_has_no_findings_and_is_not_changed() {
    let directory = directory().await;
    let before: Vec<_> = ["segments", "wal"].map(|below| files(directory.path(), below)).concat();
    let contents: Vec<_> = before.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let report = checked(directory.path()).await;
    assert!(report.is_sound() && report.notes.is_empty(), "{report:#?}");
    // Logs and spans have tables that follow from them.
    assert_eq!((report.checked.segments, report.checked.wal_frames), (6, 6));
    assert_eq!(report.checked.segment_formats, [(FORMAT_VERSION, 6)].into());
    assert_eq!(["segments", "wal"].map(|below| files(directory.path(), below)).concat(), before);
    assert_eq!(before.iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>(), contents);
}

#[tokio::test]
async fn every_flipped_byte_of_a_segment_is_found_with_its_place() {
    let directory = directory().await;
    for path in files(directory.path(), "segments") {
        let whole = std::fs::read(&path).unwrap();
        for at in [0, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            change(&path, |bytes| bytes[at] ^= 0x10);
            let report = checked(directory.path()).await;
            let finding = only(&report);
            assert!(path.ends_with(&finding.path), "{finding:?}");
            assert!(
                finding.offset.is_some_and(|offset| offset <= at as u64) && finding.expected.is_some(),
                "{finding:?}"
            );
            std::fs::write(&path, &whole).unwrap();
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let report = checked(directory.path()).await;
        assert_eq!(only(&report).found, Some(format!("{} bytes", whole.len() - 1)));
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(checked(directory.path()).await.is_sound());
}

#[tokio::test]
async fn files_without_a_row_and_rows_without_a_file_are_listed() {
    let directory = directory().await;
    let live = files(directory.path(), "segments").remove(0);
    let gone = std::fs::read(&live).unwrap();
    std::fs::remove_file(&live).unwrap();
    let report = checked(directory.path()).await;
    assert!(only(&report).problem.contains("is missing"), "{report:?}");
    std::fs::write(&live, gone).unwrap();

    let beside = live.with_file_name("0123.parquet");
    std::fs::write(&beside, "x").unwrap();
    let report = checked(directory.path()).await;
    assert!(report.is_sound() && report.notes.len() == 1, "just written: {report:?}");
    let long_ago = std::fs::metadata(&beside).unwrap().modified().unwrap() - Duration::from_secs(3_600);
    std::fs::File::options().write(true).open(&beside).unwrap().set_modified(long_ago).unwrap();
    let report = checked(directory.path()).await;
    assert!(only(&report).problem.contains("nothing refers to"), "{report:?}");
}

#[tokio::test]
async fn replaced_files_may_lie_there_for_the_grace_time_after_they_were_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(&quiet(), Environment::system(directory.path()).await.unwrap()).await.unwrap();
    for time in 0..4 {
        storage.append(batch(Table::Spans, None, &[(time, "one")])).await.unwrap();
        storage.flush().await.unwrap();
    }
    let inputs = storage.snapshot().segments(Table::Spans).to_vec();
    storage.compact().await.unwrap();
    let merged = storage.snapshot().segments(Table::Spans)[0].meta().path.clone();
    let directory = copied(directory.path());
    let age = |path: &str, seconds: u64| {
        let file = std::fs::File::options().write(true).open(directory.path().join(path)).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified - Duration::from_secs(seconds)).unwrap();
    };
    inputs.iter().for_each(|input| age(&input.meta().path, 3_600));
    let report = checked(directory.path()).await;
    assert!(report.is_sound() && report.notes.len() >= inputs.len(), "old, and replaced just now: {report:#?}");
    age(&merged, 1_800);
    let report = checked(directory.path()).await;
    assert_eq!(report.findings.len(), inputs.len(), "the server ran on for half an hour: {report:#?}");
}

#[tokio::test]
async fn damage_in_the_log_is_told_from_a_torn_end() {
    let directory = directory().await;
    let path = files(directory.path(), "wal").pop().unwrap();
    change(&path, |bytes| bytes.extend([7; 50]));
    let report = checked(directory.path()).await;
    assert!(report.is_sound(), "never acknowledged: {report:?}");
    assert_eq!(report.notes.len(), 1);
    let whole = std::fs::read(&path).unwrap();
    change(&path, |bytes| bytes[36 + 70] ^= 1);
    let report = checked(directory.path()).await;
    assert_eq!(report.findings.len(), 1, "the frame was flushed, so nothing is missing: {report:#?}");
    assert_eq!(report.findings[0].offset, Some(36));
    std::fs::write(&path, &whole[..whole.len() - 60]).unwrap();
    let report = checked(directory.path()).await;
    assert!(report.is_sound(), "nobody can tell a lost last frame from a torn one: {report:?}");
    // A frame that is missing in the middle is missed by its number.
    std::fs::write(&path, &whole).unwrap();
    let fifth = crate::wal::replay::scan(&whole, crate::wal::file_name::FileName::from_header(&whole).unwrap().nonce)
        .frames[4]
        .offset;
    change(&path, |bytes| bytes[fifth + 64] ^= 1);
    let report = checked(directory.path()).await;
    assert_eq!(report.findings.len(), 2, "damaged bytes and a missing frame: {report:#?}");
    assert!(report.findings[1].problem.contains("frames 5 to 5"), "{report:?}");
}

#[tokio::test]
async fn a_damaged_or_missing_catalog_is_a_finding() {
    let directory = directory().await;
    let storage = Storage::open(&quiet(), Environment::system(directory.path()).await.unwrap()).await.unwrap();
    // Folds SQLite's log into the file.
    storage.shutdown(Duration::from_secs(60)).await.unwrap();
    let directory = copied(directory.path());
    let path = directory.path().join("catalog.db");
    let whole = std::fs::read(&path).unwrap();
    for at in (4_096..whole.len()).step_by(4_096) {
        change(&path, |bytes| bytes[at] ^= 0xff);
        let report = checked(directory.path()).await;
        // A free page may hold anything.
        if at < 8 * 4_096 {
            assert!(!report.is_sound(), "page {} may be damaged", at / 4_096);
            assert!(report.findings.iter().all(|finding| finding.path == "catalog.db"), "{report:#?}");
        }
        std::fs::write(&path, &whole).unwrap();
    }
    change(&path, |bytes| bytes[..100].fill(0));
    let report = checked(directory.path()).await;
    assert_eq!(only(&report).path, "catalog.db");
    std::fs::remove_file(&path).unwrap();
    let report = checked(directory.path()).await;
    assert_eq!(only(&report).problem, "there is no catalog");
    assert!(!path.exists(), "checking makes none");
    assert_eq!(report.notes.len(), files(directory.path(), "segments").len());
}

#[tokio::test]
async fn a_directory_in_use_or_of_somebody_else_is_refused() {
    let directory = directory().await;
    let storage = Storage::open(&quiet(), Environment::system(directory.path()).await.unwrap()).await.unwrap();
    let refused = scrub(directory.path(), Duration::ZERO).await.unwrap_err();
    assert!(refused.kind() == ErrorKind::Invalid && refused.to_string().contains("stop its server"), "{refused}");
    drop(storage);
    let other = tempfile::tempdir().unwrap();
    let refused = scrub(other.path(), Duration::ZERO).await.unwrap_err();
    assert!(refused.to_string().contains("no data directory"), "{refused}");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0);
}
