//! The corpora of the fuzz targets, as ordinary tests: bytes that were interesting once stay harmless.

use std::{fs, path::Path};

#[path = "../../fuzz/checks.rs"]
mod checks;

/// Runs the check on each file of the corpus, and on `variants` of it: cut short, and with single bytes changed.
fn run(target: &str, variants: usize, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a corpus") {
        let path = entry.expect("a file").path();
        let bytes = fs::read(&path).expect("a readable file");
        check(&bytes);
        let step = (bytes.len() / variants).max(1);
        for at in (0..bytes.len()).step_by(step) {
            check(&bytes[..at]);
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            check(&changed);
        }
        count += 1;
    }
    assert!(count >= 5, "{count} files in {}", folder.display());
}

#[test]
fn otlp() {
    run("otlp", 100, checks::otlp);
}

#[test]
fn wal_frame() {
    run("wal_frame", 100, checks::wal_frame);
}

#[test]
fn attributes() {
    run("attributes", 100, checks::attributes);
}

#[test]
fn sql() {
    run("sql", 10, checks::sql);
}

#[test]
fn objective() {
    run("objective", 200, checks::objective);
}

#[test]
fn search() {
    run("search", 100, checks::search);
}
