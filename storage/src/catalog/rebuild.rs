//! A new catalog from the segments themselves, with what can be read of the old one.
//!
//! `plan` decides. Here the files are read, and the new catalog is put in the place of the old one: whoever dies in between
//! leaves the old one, or none, in which case a start is refused until this was done again.

mod plan;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use object_store::{ObjectStore, local::LocalFileSystem};
use serde::Serialize;

pub use self::plan::OldLog;
pub(crate) use self::plan::{Known, LogContents, Plan, plan};
use super::{
    StoredKey,
    salvage::OldCatalog,
    sqlite::{self, FILE_NAME},
};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    files::{FileSystem, TEMPORARY_SUFFIX},
    flush::SEGMENTS,
    model::Table,
    recover, scrub,
    segment::{
        describe::{Described, describe},
        lineage::joined,
    },
    wal::replay::{self, Order},
};

/// The new catalog until it is whole.
const NEW_NAME: &str = "catalog.db.new";
/// Where files go that the new catalog does not name.
const ASIDE: &str = "set-aside";

/// What an operator may choose.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
    /// What to do with rows of the log where no file says whether they are in segments.
    pub old_log: Option<OldLog>,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Segments in the new catalog.
    pub segments: usize,
    /// Their rows.
    pub rows: u64,
    /// Documents taken from the old catalog.
    pub documents: u64,
    /// Batch keys in the new catalog.
    pub batch_keys: usize,
    /// Tables whose memory was taken from the old catalog.
    pub states: usize,
    /// The old catalog's new name; `None` when there was none.
    pub old_catalog: Option<String>,
    /// Files that the new catalog does not name, and why.
    pub set_aside: Vec<SetAside>,
    /// Where these files are now; `None` when there are none.
    pub set_aside_in: Option<String>,
    /// What is lost, or may not be what it was.
    pub lost: Vec<String>,
}

/// A file that the new catalog does not name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Where it was.
    pub path: String,
    /// Why it is not needed, or cannot be used.
    pub why: String,
}

/// Makes the catalog of a data directory anew.
///
/// # Errors
/// `Invalid` when it is no data directory, a server uses it, a later version wrote it, or [`OldLog`] must be chosen;
/// `Unavailable` when it cannot be read or written. The old catalog is in its place then.
pub async fn rebuild(data_dir: &Path, options: Options) -> Result<Rebuilt> {
    let disk = scrub::open(data_dir)?;
    recover::refuse_later_log(&disk)?;
    let mut rebuilt = Rebuilt::default();
    let old = match OldCatalog::open(data_dir).await {
        Ok(Some(old)) => Some(old),
        Ok(None) => {
            rebuilt.lost.push(format!("there is no {FILE_NAME}: {}", ONLY_THERE));
            None
        }
        Err(error) if error.kind() == ErrorKind::Invalid => return Err(error),
        Err(error) => {
            rebuilt.lost.push(format!("{error}: {ONLY_THERE}"));
            None
        }
    };
    let known = match &old {
        Some(old) => known(old, &mut rebuilt.lost).await,
        None => Known::default(),
    };
    let objects = LocalFileSystem::new_with_prefix(data_dir)?;
    let files = described(&disk, &objects, &mut rebuilt).await?;
    let log = read_log(&disk, &mut rebuilt.lost)?;
    let plan = plan(files, &log, &known, options.old_log)?;
    rebuilt.lost.extend(plan.lost.iter().cloned());
    rebuilt
        .set_aside
        .extend(plan.aside.iter().map(|aside| SetAside { path: aside.path.clone(), why: aside.why.to_owned() }));
    rebuilt.segments = plan.contents.segments.len();
    rebuilt.rows = plan.contents.segments.iter().map(|meta| meta.row_count).sum();
    (rebuilt.batch_keys, rebuilt.states) = (plan.contents.keys.len(), plan.contents.states.len());
    let new = data_dir.join(NEW_NAME);
    let written = write(&new, &plan, old.as_ref(), &mut rebuilt).await;
    if let Some(old) = old {
        old.close().await;
    }
    if written.is_err() || options.dry_run {
        // A part of a catalog is of no use to anybody.
        let _ = fs::remove_file(&new);
        return written.map(|()| rebuilt);
    }
    let at = Clock::system().now_unix_nano() / 1_000_000_000;
    let put = sync_names(data_dir, &plan).and_then(|()| put_in_place(data_dir, at, &mut rebuilt));
    put.map_err(|error| Error::unavailable(format!("the catalog of {}", data_dir.display())).with_source(error))?;
    drop(disk);
    Ok(rebuilt)
}

/// What is lost with a catalog.
const ONLY_THERE: &str = "alerts, incidents, notifications and reports are lost, and what derived tables remember; requests \
    that were stored and dropped from the log are stored again if a client repeats them";

async fn known(old: &OldCatalog, lost: &mut Vec<String>) -> Known {
    let (segments, checkpoints) = (old.segments().await, old.checkpoints().await);
    let (keys, states, state) = (old.keys().await, old.states().await, old.state().await);
    let damage = segments.damage.iter().chain(&checkpoints.damage).chain(&keys.damage).chain(&states.damage);
    lost.extend(damage.chain(state.as_ref().err()).map(|error| format!("of the old catalog: {error}")));
    let (is_whole, has_all_checkpoints) = (segments.is_whole(), checkpoints.is_whole());
    let live: BTreeSet<_> = segments.rows.into_iter().map(|meta| meta.id).collect();
    Known {
        version: state.as_ref().map_or(0, |(version, _)| *version),
        wal_floor: state.ok().map(|(_, floor)| floor),
        live: is_whole.then_some(live),
        checkpoints: checkpoints.rows,
        has_all_checkpoints,
        keys: keys.rows,
        states: states.rows,
    }
}

/// Every segment file as it describes itself.
async fn described(files: &dyn FileSystem, objects: &dyn ObjectStore, rebuilt: &mut Rebuilt) -> Result<Vec<Described>> {
    let listed = files.list(SEGMENTS).map_err(|error| Error::unavailable(SEGMENTS).with_source(error))?;
    let mut found = Vec::with_capacity(listed.len());
    for (path, bytes) in listed.into_iter().filter(|(path, _)| !path.ends_with(TEMPORARY_SUFFIX)) {
        match describe(objects, &path, bytes).await {
            Ok(described) => found.push(described),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                rebuilt.lost.push(format!("{error}: its rows are lost unless a backup has this file"));
                rebuilt.set_aside.push(SetAside { path, why: "it cannot be read".to_owned() });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// What the log holds, whatever a catalog says.
pub(crate) fn read_log(files: &dyn FileSystem, lost: &mut Vec<String>) -> Result<LogContents> {
    let mut log = LogContents::default();
    let mut order = Order::above(0);
    for file in recover::log_files(files)?.0 {
        let unreadable = |error| Error::unavailable(format!("{} cannot be read", file.path)).with_source(error);
        let bytes = files.read(&file.path).map_err(unreadable)?;
        for frame in replay::scan(&bytes, file.name.nonce).frames {
            let sequence = frame.header.sequence;
            if !order.admit(sequence, file.void_from) {
                continue;
            }
            let batch = match frame.header.decode(frame.body) {
                Ok(batch) => batch,
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    lost.push(error.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            log.frames.push((sequence, sequence));
            log.keys.extend(batch.key.map(|key| StoredKey {
                tenant: batch.tenant.clone(),
                key,
                sequence,
                stored_unix_nano: frame.header.appended_unix_nano,
            }));
            for table in batch.tables.iter().flat_map(|rows| lead_to(rows.table)) {
                let last = log.last_rows.entry((batch.tenant.clone(), table)).or_default();
                *last = sequence.max(*last);
            }
        }
    }
    log.frames = joined(log.frames);
    Ok(log)
}

/// The tables that rows of a table go to or lead to.
fn lead_to(table: Table) -> Vec<Table> {
    match table {
        Table::Logs => vec![table, Table::LogPatterns, Table::Changes],
        Table::Spans => vec![table, Table::SpanMetrics, Table::ServiceEdges, Table::Changes],
        Table::SpanMetrics | Table::ServiceEdges | Table::LogPatterns => vec![table],
        _ => vec![table, Table::Changes],
    }
}

/// Writes the new catalog beside the old one: one file, durable.
async fn write(path: &Path, plan: &Plan, old: Option<&OldCatalog>, rebuilt: &mut Rebuilt) -> Result<()> {
    if path.exists() {
        // Left by one who died.
        fs::remove_file(path).map_err(|error| Error::unavailable(NEW_NAME).with_source(error))?;
    }
    let new = sqlite::Fresh::create(path).await?;
    new.put(&plan.contents).await?;
    if let Some(old) = old {
        let documents = &mut rebuilt.documents;
        let damage = old
            .documents(async |kind, document| {
                *documents += 1;
                new.put_document(&kind, &document).await
            })
            .await?;
        if let Some(error) = damage {
            rebuilt.lost.push(format!("{error}: documents after the first {} are lost", rebuilt.documents));
        }
    }
    new.finish().await
}

/// Makes the names of all live files durable: one that a killed process had only just made could vanish with the power, and
/// the catalog would name it.
fn sync_names(data_dir: &Path, plan: &Plan) -> io::Result<()> {
    let live = plan.contents.segments.iter();
    let directories: BTreeSet<&Path> = live.flat_map(|meta| Path::new(&meta.path).ancestors().skip(1)).collect();
    directories.into_iter().try_for_each(|directory| File::open(data_dir.join(directory))?.sync_all())
}

/// Exchanges the catalogs and takes the files away that the new one does not name.
fn put_in_place(data_dir: &Path, at: i64, rebuilt: &mut Rebuilt) -> io::Result<()> {
    let aside = format!("{ASIDE}/{at}");
    for file in &rebuilt.set_aside {
        let target = data_dir.join(&aside).join(&file.path);
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)?;
        }
        // A second name first: whenever this ends, no file is gone.
        fs::hard_link(data_dir.join(&file.path), target)?;
    }
    let old = data_dir.join(FILE_NAME);
    if old.exists() {
        let name = format!("{FILE_NAME}.before-{at}");
        // SQLite's own log belongs to the file of its name: it moves along, and after it.
        for suffix in ["", "-wal", "-shm"] {
            let with = |base: &Path| PathBuf::from(format!("{}{suffix}", base.display()));
            match fs::rename(with(&old), with(&data_dir.join(&name))) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => moved?,
            }
        }
        rebuilt.old_catalog = Some(name);
    }
    // The catalog is named last: until then a start finds none and is refused.
    File::open(data_dir)?.sync_all()?;
    fs::rename(data_dir.join(NEW_NAME), &old)?;
    File::open(data_dir)?.sync_all()?;
    for file in &rebuilt.set_aside {
        fs::remove_file(data_dir.join(&file.path))?;
    }
    rebuilt.set_aside_in = (!rebuilt.set_aside.is_empty()).then_some(aside);
    Ok(())
}

#[cfg(test)]
mod tests;
