//! Is everything on disk what was written, and does it fit together?
//!
//! [`scrub`] reads every byte of a data directory that no server holds, and changes none: each live segment (`segments`),
//! each frame of the log (`log`), the catalog (`catalog`), and what lies beside them (`leftovers`). One segment, or one file
//! of the log, is in memory at a time.

mod leftovers;
mod log;
mod report;

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem};

use self::leftovers::Leftovers;
pub use self::report::{Checked, Finding, Report};
use crate::{
    catalog::salvage::{OldCatalog, Part},
    error::{Error, ErrorKind, Result},
    files::{Disk, FileSystem},
    flush::SEGMENTS,
    segment::{Lineage, Segment, SegmentCache, SegmentId, SegmentMeta},
    wal::file_name::DIRECTORY,
};

/// Footers and indexes of the segment that is being read.
const CACHE_BYTES: usize = 64 << 20;
/// The catalog, as findings name it.
const CATALOG: &str = "catalog.db";

/// What to do about a damaged segment.
const RESTORE_SEGMENT: &str = "restore this file from a backup; until then queries that touch it fail and name it";
/// What to do when the catalog is damaged.
const REBUILD: &str = "restore catalog.db from a backup, or make it anew with `rootline catalog rebuild`";

/// Checks a data directory. `grace` is `compaction.grace` of its server: replaced files may lie there for so long.
///
/// # Errors
/// `Invalid` when it is no data directory, a server uses it, or a later version wrote it; `Unavailable` when it cannot be
/// read at all. What is wrong with single files is in the report.
pub async fn scrub(data_dir: &Path, grace: Duration) -> Result<Report> {
    let disk = open(data_dir)?;
    let objects: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(data_dir)?);
    let mut report = Report::default();
    let catalog = match OldCatalog::open(data_dir).await {
        Err(error) if error.kind() != ErrorKind::Invalid => {
            report.found(Finding::new(CATALOG, error.to_string(), REBUILD));
            None
        }
        opened => opened?,
    };
    let live = match &catalog {
        Some(catalog) => check_catalog(catalog, &mut report).await?,
        None => {
            if report.findings.is_empty() {
                report.found(Finding::new(CATALOG, "there is no catalog", REBUILD));
            }
            Live::default()
        }
    };
    if let Some(catalog) = catalog {
        catalog.close().await;
    }
    let mut leftovers = Leftovers::new(data_dir, grace);
    check_segments(&live.segments, &objects, &mut leftovers, &mut report).await?;
    let disk = Arc::new(disk);
    let (disk, mut report) = {
        let needed = live.log;
        tokio::task::spawn_blocking(move || log::check(&*disk, needed, &mut report).map(|()| (disk, report)))
            .await
            .map_err(|error| Error::internal("the check of the log ended early").with_source(error))??
    };
    let listed = disk.list(SEGMENTS).map_err(|error| Error::unavailable(SEGMENTS).with_source(error))?;
    check_listing(&live, listed, &leftovers, &mut report);
    Ok(report)
}

/// Takes the lock of a directory that is one of ours.
pub(crate) fn open(data_dir: &Path) -> Result<Disk> {
    let is_ours = [CATALOG, SEGMENTS, DIRECTORY].iter().any(|name| data_dir.join(name).exists());
    if !is_ours {
        return Err(Error::invalid(format!(
            "{} is no data directory: expected {CATALOG}, {SEGMENTS}/ or {DIRECTORY}/ in it, found none",
            data_dir.display()
        )));
    }
    Disk::open(data_dir).map_err(|error| match error.kind() {
        ErrorKind::Invalid => {
            Error::invalid(format!("{error}: stop its server first, or give a copy of the directory"))
        }
        _ => error,
    })
}

/// What the catalog says of the rest.
#[derive(Debug, Default)]
struct Live {
    /// `None` of the files below `segments/` is known to be a leftover unless these are all.
    is_whole: bool,
    segments: Vec<SegmentMeta>,
    /// Floor and highest checkpoint; `None` when they cannot be read: what is missing in the log is not known then.
    log: Option<(u64, u64)>,
}

async fn check_catalog(catalog: &OldCatalog, report: &mut Report) -> Result<Live> {
    for line in catalog.check().await {
        report.found(Finding::new(CATALOG, format!("SQLite: {line}"), REBUILD));
    }
    let segments = catalog.segments().await;
    let checkpoints = catalog.checkpoints().await;
    let (keys, states) = (catalog.keys().await, catalog.states().await);
    let state = catalog.state().await;
    let documents = &mut report.checked.documents;
    let mut bad = Vec::new();
    let rest = catalog
        .documents(async |kind, document| {
            *documents += 1;
            if serde_json::from_str::<serde::de::IgnoredAny>(&document.body).is_err() {
                bad.push(format!("{kind} {:?}", document.id));
            }
            Ok(())
        })
        .await?;
    for document in bad {
        report.found(Finding::new(CATALOG, format!("the document {document} is no JSON"), REBUILD));
    }
    let damage = [damage(&segments), damage(&checkpoints), damage(&keys), damage(&states)].into_iter().flatten();
    let damage: Vec<String> = damage.chain(rest.iter().map(Error::to_string)).collect();
    for error in damage.into_iter().chain(state.as_ref().err().map(Error::to_string)) {
        report.found(Finding::new(CATALOG, error, REBUILD));
    }
    let flushed = checkpoints.rows.values().copied().max().unwrap_or(0);
    Ok(Live {
        is_whole: segments.is_whole(),
        log: state.ok().filter(|_| checkpoints.is_whole()).map(|(_, floor)| (floor, flushed)),
        segments: segments.rows,
    })
}

fn damage<T>(part: &Part<T>) -> Vec<String> {
    part.damage.iter().map(Error::to_string).collect()
}

async fn check_segments(
    live: &[SegmentMeta],
    objects: &Arc<dyn ObjectStore>,
    leftovers: &mut Leftovers,
    report: &mut Report,
) -> Result<()> {
    let cache = SegmentCache::new(CACHE_BYTES);
    for meta in live {
        let path = object_store::path::Path::from(meta.path.as_str());
        match objects.head(&path).await {
            Ok(object) if object.size == meta.file_bytes => {}
            Ok(object) => {
                let problem = "the file is not as long as the catalog says";
                let lengths = (format!("{} bytes", meta.file_bytes), format!("{} bytes", object.size));
                report.found(Finding::new(&meta.path, problem, RESTORE_SEGMENT).unlike(lengths.0, lengths.1));
                continue;
            }
            Err(object_store::Error::NotFound { .. }) => {
                let problem = format!("the file of a live segment with {} rows is missing", meta.row_count);
                report.found(Finding::new(&meta.path, problem, RESTORE_SEGMENT));
                continue;
            }
            Err(error) => {
                report.found(Finding::new(&meta.path, error.to_string(), RESTORE_SEGMENT));
                continue;
            }
        }
        let segment = Segment::open(meta.clone(), Arc::clone(objects), Arc::clone(&cache));
        let format = segment
            .inspect(&mut |defect| {
                let mut finding = Finding::new(&meta.path, defect.problem, RESTORE_SEGMENT);
                (finding.offset, finding.expected, finding.found) = (defect.offset, defect.expected, defect.found);
                report.found(finding);
            })
            .await?;
        report.checked.segments += 1;
        report.checked.segment_bytes += meta.file_bytes;
        report.checked.rows += meta.row_count;
        let Some(format) = format else { continue };
        *report.checked.segment_formats.entry(format).or_default() += 1;
        // Its footer is sound: it was read above.
        if let Ok(Some(lineage)) = segment.lineage().await {
            leftovers.replaced_by(&meta.path, &lineage.replaces);
            check_replaced(live, meta, &lineage, report);
        }
    }
    Ok(())
}

/// A segment and what it was made of must not both be live.
fn check_replaced(live: &[SegmentMeta], meta: &SegmentMeta, lineage: &Lineage, report: &mut Report) {
    // Sorted by id, as the catalog hands them out.
    let is_live = |id: &SegmentId| live.binary_search_by(|other| other.id.cmp(id)).is_ok();
    for id in lineage.replaces.iter().filter(|id| is_live(id)) {
        let problem = format!("segment {id} is live beside this one, which has its rows: they are there twice");
        report.found(Finding::new(&meta.path, problem, REBUILD));
    }
}

/// Files below `segments/` that no live segment names.
fn check_listing(live: &Live, listed: Vec<(String, u64)>, leftovers: &Leftovers, report: &mut Report) {
    let named: BTreeSet<&str> = live.segments.iter().map(|meta| meta.path.as_str()).collect();
    for (path, bytes) in listed.into_iter().filter(|(path, _)| !named.contains(path.as_str())) {
        if !live.is_whole {
            let advice = "once the catalog is whole again this can be told: do not start a server before";
            report.noted(Finding::new(&path, "whether this file is live is not known", advice));
            continue;
        }
        let advice = "the next start of the server removes it";
        if leftovers.is_expected(&path) {
            report.noted(Finding::new(
                &path,
                format!("{bytes} bytes that nothing refers to, within the grace time"),
                advice,
            ));
        } else {
            report.found(Finding::new(&path, format!("{bytes} bytes that nothing refers to"), advice));
        }
    }
}

#[cfg(test)]
mod tests;
