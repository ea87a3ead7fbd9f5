//! Every frame of the log: whole, in order, readable, none missing.

use super::report::{Finding, Report};
use crate::{
    error::{ErrorKind, Result},
    files::{FileSystem, TEMPORARY_SUFFIX},
    recover::{self, Listed},
    wal::{
        file_name::{DIRECTORY, FILE_HEADER_BYTES, FileName},
        replay::{self, Order},
    },
};

/// What to do about frames that cannot be read.
const LOST: &str = "rows of these requests that are in no segment yet are lost unless a backup has this file; the others are \
    recovered by the next start, which rewrites the log";
/// What to do about damage that costs nothing.
const HARMLESS: &str = "no row is lost: the next start reads what is whole; look at the disk";

/// Checks the log of a data directory. `needed` is the floor and the highest checkpoint of its catalog, where known.
pub(super) fn check(files: &dyn FileSystem, needed: Option<(u64, u64)>, report: &mut Report) -> Result<()> {
    recover::refuse_later_log(files)?;
    let (listed, others) = recover::log_files(files)?;
    for path in others {
        let advice = if path.ends_with(TEMPORARY_SUFFIX) { "the next start removes it" } else { "nobody reads it" };
        report.noted(Finding::new(&path, "not a file of the log", advice));
    }
    let mut order = Order::above(needed.map_or(0, |(floor, _)| floor));
    let last = listed.len().saturating_sub(1);
    for (i, file) in listed.iter().enumerate() {
        check_file(files, file, i == last, &mut order, report)?;
    }
    let Some((floor, flushed)) = needed else { return Ok(()) };
    for run in order.missing(flushed) {
        let (first, last) = (run.start(), run.end());
        let problem = format!("frames {first} to {last} are in no file");
        let finding = Finding::new(DIRECTORY, problem, LOST);
        report.found(finding.unlike(format!("every frame after {floor}"), format!("{} missing", last - first + 1)));
    }
    Ok(())
}

fn check_file(
    files: &dyn FileSystem,
    file: &Listed,
    is_last: bool,
    order: &mut Order,
    report: &mut Report,
) -> Result<()> {
    let Listed { path, name, void_from, .. } = file;
    let bytes = match files.read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            report.found(Finding::new(path, format!("cannot be read: {error}"), LOST));
            return Ok(());
        }
    };
    report.checked.wal_files += 1;
    report.checked.wal_bytes += bytes.len() as u64;
    if FileName::from_header(&bytes).is_none() && bytes.len() >= FILE_HEADER_BYTES {
        report.found(Finding::new(path, "the header of the file is damaged", HARMLESS).at(0));
    }
    let scan = replay::scan(&bytes, name.nonce);
    let mut end = FILE_HEADER_BYTES.min(bytes.len());
    for frame in &scan.frames {
        if frame.offset > end {
            report.found(damaged(path, end, frame.offset - end));
        }
        end = frame.offset + frame.bytes.len();
        report.checked.wal_frames += 1;
        if !order.admit(frame.header.sequence, *void_from) {
            continue;
        }
        match frame.header.decode(frame.body) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                report.found(Finding::new(path, error.to_string(), LOST).at(frame.offset as u64));
            }
            Err(error) => return Err(error),
        }
    }
    if end < bytes.len() {
        let left = bytes.len() - end;
        // The next file's first sequence says whether a frame was promised here: a missing one is found by its number.
        let what = if is_last { "after the last whole frame" } else { "of a write that failed" };
        let note = Finding::new(
            path,
            format!("{left} bytes {what}"),
            "they were never acknowledged; the next start cuts them off",
        );
        report.noted(note.at(end as u64));
    }
    Ok(())
}

fn damaged(path: &str, at: usize, bytes: usize) -> Finding {
    let finding = Finding::new(path, format!("{bytes} bytes between whole frames are damaged"), LOST);
    finding.at(at as u64).unlike("a frame whose checksums are right", "bytes that belong to no frame")
}
