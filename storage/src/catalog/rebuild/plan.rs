//! Pure: what a catalog must say, given what the files say of themselves, what the log holds and what is left of the old
//! catalog.
//!
//! Three questions decide, for each tenant's table:
//! - *Which files are live?* Of files that hold the same rows (a merge and its inputs, two tries of one flush) the one made
//!   last: the others were replaced by it, or were never published, and it has what they have.
//! - *Was the last flush published?* Anything later of the table, a merge of it, or the old catalog proves that it was. In
//!   doubt it counts if it is whole; else its rows are in the log, and are taken from there.
//! - *Where is the checkpoint?* At the last sequence of the live files. The log is replayed from there on: no row is
//!   taken from both, and none from neither.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{
    catalog::{Contents, StoredKey},
    error::{Error, Result},
    model::{Table, Tenant},
    segment::{
        SegmentId,
        describe::Described,
        lineage::{joined, overlap, uncovered},
    },
};

/// A tenant's table.
type Place = (Tenant, Table);

/// What to do with rows of the log where no file says whether they are in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldLog {
    /// Store them: rows that are in segments already are there twice.
    Replay,
    /// Leave them out: rows that are in no segment are lost.
    Skip,
}

/// What the log holds.
#[derive(Debug, Default)]
pub(crate) struct LogContents {
    /// Sequences of the frames that count, as runs that do not touch.
    pub(crate) frames: Vec<(u64, u64)>,
    /// Batch keys of the frames.
    pub(crate) keys: Vec<StoredKey>,
    /// The last frame with rows of each table, or with rows that they follow from.
    pub(crate) last_rows: BTreeMap<Place, u64>,
}

impl LogContents {
    /// Whether the log has every frame of a run.
    fn holds(&self, run: (u64, u64)) -> bool {
        uncovered(run, &self.frames).is_empty()
    }
}

/// What the old catalog says; `None`: it is gone, or that part of it cannot be read.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) version: u64,
    pub(crate) wal_floor: Option<u64>,
    pub(crate) live: Option<BTreeSet<SegmentId>>,
    pub(crate) checkpoints: BTreeMap<Place, u64>,
    /// A table without a checkpoint has none.
    pub(crate) has_all_checkpoints: bool,
    pub(crate) keys: Vec<StoredKey>,
    pub(crate) states: BTreeMap<Place, Bytes>,
}

impl Known {
    fn checkpoint(&self, place: &Place) -> Option<u64> {
        self.checkpoints.get(place).copied().or(self.has_all_checkpoints.then_some(0))
    }
}

/// A file that the new catalog does not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) path: String,
    pub(crate) why: &'static str,
}

/// The new catalog.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) contents: Contents,
    pub(crate) aside: Vec<Aside>,
    /// What cannot be had back, or may not be what it was.
    pub(crate) lost: Vec<String>,
}

impl Plan {
    fn set_aside(&mut self, file: &Described, why: &'static str) {
        self.aside.push(Aside { path: file.meta.path.clone(), why });
    }
}

const REPLACED: &str = "another segment has its rows";
const UNPUBLISHED: &str = "its flush was not finished; the log has its rows";
const NOT_LIVE: &str = "the old catalog did not name it";

/// Decides.
///
/// # Errors
/// `Invalid` when the files of a table do not say which rows of the log they have, and `old_log` does not say what to do.
pub(crate) fn plan(files: Vec<Described>, log: &LogContents, known: &Known, old_log: Option<OldLog>) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut by_place: BTreeMap<Place, Vec<Described>> = BTreeMap::new();
    let mut version = known.version;
    for file in files {
        version = version.max(file.lineage.as_ref().map_or(0, |lineage| lineage.made.catalog_version));
        by_place.entry((file.meta.tenant.clone(), file.meta.table)).or_default().push(file);
    }
    for place in known.checkpoints.keys().chain(log.last_rows.keys()) {
        by_place.entry(place.clone()).or_default();
    }
    for (place, files) in by_place {
        let mut live = live_files(files, known.live.as_ref(), log, &mut plan);
        take_back_unpublished(&mut live, log, known.checkpoint(&place), &mut plan);
        let checkpoint = checkpoint(&place, &live, log, known.checkpoint(&place), old_log)?;
        if checkpoint > 0 {
            plan.contents.checkpoints.insert(place.clone(), checkpoint);
        }
        plan.contents.segments.extend(live.into_iter().map(|file| file.meta));
        take_state(&place, checkpoint, known, &mut plan);
    }
    plan.contents.segments.sort_by(|a, b| a.id.cmp(&b.id));
    plan.contents.version = version + 1;
    plan.contents.wal_floor = floor(log, known, &plan.contents);
    plan.contents.keys = keys(log, known, &plan.contents);
    Ok(plan)
}

/// The files that hold rows which no later file holds.
fn live_files(
    mut files: Vec<Described>,
    known: Option<&BTreeSet<SegmentId>>,
    log: &LogContents,
    plan: &mut Plan,
) -> Vec<Described> {
    // The last made first; files without a lineage are older than all others.
    files.sort_by(|a, b| {
        let made = |file: &Described| file.lineage.as_ref().map(|lineage| lineage.made);
        made(b).cmp(&made(a)).then_with(|| a.meta.id.cmp(&b.meta.id))
    });
    let mut taken: BTreeMap<i64, Vec<(u64, u64)>> = BTreeMap::new();
    let mut replaced: BTreeSet<SegmentId> = BTreeSet::new();
    let (mut live, mut aside) = (Vec::with_capacity(files.len()), Vec::new());
    for file in files {
        let runs = file.lineage.as_ref().map(|lineage| lineage.sequences.as_slice()).unwrap_or_default();
        let of_bucket = taken.entry(file.meta.bucket_start_unix_nano).or_default();
        let why = if replaced.contains(&file.meta.id) || overlap(runs, of_bucket) {
            Some(REPLACED)
        } else if file.lineage.is_none() && known.is_some_and(|known| !known.contains(&file.meta.id)) {
            Some(NOT_LIVE)
        } else {
            None
        };
        match why {
            Some(why) => aside.push((file, why)),
            None => {
                of_bucket.extend_from_slice(runs);
                replaced.extend(file.lineage.iter().flat_map(|lineage| lineage.replaces.iter().cloned()));
                live.push(file);
            }
        }
    }
    let taken: BTreeMap<i64, Vec<(u64, u64)>> =
        taken.into_iter().map(|(bucket, runs)| (bucket, joined(runs))).collect();
    for (file, why) in aside {
        let covered = taken.get(&file.meta.bucket_start_unix_nano).map(Vec::as_slice).unwrap_or_default();
        let lost = nowhere_else(&file, covered, log).filter(|_| !replaced.contains(&file.meta.id));
        plan.lost.extend(lost);
        plan.set_aside(&file, why);
    }
    live
}

/// A flush of which nothing proves that it was published, and which is not whole, or which the old catalog does not know,
/// is made again from the log, if the log has all of it.
fn take_back_unpublished(live: &mut Vec<Described>, log: &LogContents, known: Option<u64>, plan: &mut Plan) {
    let merged = live.iter().filter_map(|file| file.lineage.as_ref()).filter(|lineage| lineage.flush.is_none());
    let published = merged.filter_map(|lineage| lineage.last_sequence()).max().unwrap_or(0).max(known.unwrap_or(0));
    loop {
        let last = live.iter().filter_map(|file| file.lineage.as_ref()?.last_sequence()).max().unwrap_or(0);
        if last <= published {
            return;
        }
        let is_last =
            |file: &Described| file.lineage.as_ref().and_then(|lineage| lineage.last_sequence()) == Some(last);
        let parts: Vec<_> =
            live.iter().filter(|file| is_last(file)).filter_map(|file| file.lineage.as_ref()?.flush).collect();
        let is_whole = parts.iter().all(|part| part.parts == parts.len());
        let is_held = parts.iter().all(|part| log.holds((part.first_sequence, last)));
        if !is_held || (is_whole && known.is_none()) {
            return;
        }
        let (unpublished, rest) = std::mem::take(live).into_iter().partition(is_last);
        *live = rest;
        let unpublished: Vec<Described> = unpublished;
        unpublished.iter().for_each(|file| plan.set_aside(file, UNPUBLISHED));
        if known.is_none() {
            // What was before it was published before it.
            return;
        }
    }
}

fn checkpoint(
    place: &Place,
    live: &[Described],
    log: &LogContents,
    known: Option<u64>,
    old_log: Option<OldLog>,
) -> Result<u64> {
    let last = live.iter().filter_map(|file| file.lineage.as_ref()?.last_sequence()).max();
    let is_told = last.is_some() || known.is_some() || live.is_empty();
    let last = last.unwrap_or(0).max(known.unwrap_or(0));
    match (log.last_rows.get(place), old_log) {
        (Some(_), None) if !is_told => Err(Error::invalid(format!(
            "segments of {}/{} were written by an early version and do not say which rows of the log they have: \
             give `--old-log replay` (rows may be stored twice) or `--old-log skip` (rows may be lost)",
            place.0, place.1
        ))),
        (Some(in_log), Some(OldLog::Skip)) if !is_told => Ok(*in_log),
        _ => Ok(last),
    }
}

/// What a derived table remembers is worth something as of its checkpoint only.
fn take_state(place: &Place, checkpoint: u64, known: &Known, plan: &mut Plan) {
    let what = match place.1 {
        Table::ServiceEdges => {
            "halves of calls that wait for the other half: such calls may be missing, or count as calls to the outside"
        }
        Table::LogPatterns => "known log patterns: lines may get another pattern_id than before",
        Table::Changes => "known versions: the next version of a service may not be noticed as a change",
        _ => return,
    };
    match known.states.get(place) {
        Some(state) if known.checkpoint(place) == Some(checkpoint) => {
            plan.contents.states.insert(place.clone(), state.clone());
        }
        // Nothing was ever remembered, or all of it is remembered again from the log.
        None if checkpoint == 0 => {}
        None if known.has_all_checkpoints && known.checkpoint(place) == Some(checkpoint) => {}
        _ => plan.lost.push(format!("{}/{}: {what}", place.0, place.1)),
    }
}

/// Rows of a file that is set aside, if they are nowhere else: not in the sequences that live files of its bucket have, and
/// not in the log.
fn nowhere_else(file: &Described, live: &[(u64, u64)], log: &LogContents) -> Option<String> {
    let lineage = file.lineage.as_ref()?;
    let first = lineage.flush.map_or(0, |part| part.first_sequence);
    let runs = lineage.sequences.iter().map(|run| (run.0.max(first), run.1)).filter(|run| run.0 <= run.1);
    let left: Vec<_> = runs.flat_map(|run| uncovered(run, live)).flat_map(|run| uncovered(run, &log.frames)).collect();
    let (first, last) = (left.first()?.0, left.last()?.1);
    Some(format!("{}: rows of requests {first} to {last} may be in no other file", file.meta.path))
}

fn floor(log: &LogContents, known: &Known, contents: &Contents) -> u64 {
    let before_log = log.frames.first().map(|(first, _)| first.saturating_sub(1));
    let flushed = contents.checkpoints.values().copied().max().unwrap_or(0);
    known.wal_floor.unwrap_or_else(|| before_log.unwrap_or(flushed))
}

/// Keys that the old catalog knew, and those of frames that will be dropped from the log without another flush.
fn keys(log: &LogContents, known: &Known, contents: &Contents) -> Vec<StoredKey> {
    let flushed = contents.checkpoints.values().copied().max().unwrap_or(0);
    let mut keys: BTreeMap<_, StoredKey> = BTreeMap::new();
    for key in known.keys.iter().chain(log.keys.iter().filter(|key| key.sequence <= flushed)) {
        keys.entry((key.tenant.clone(), key.key.0)).or_insert_with(|| key.clone());
    }
    let mut keys: Vec<_> = keys.into_values().collect();
    keys.sort_by_key(|key| key.sequence);
    keys
}

#[cfg(test)]
mod tests;
