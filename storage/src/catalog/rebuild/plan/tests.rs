//! Each way in which files can hold the same rows, and each state that a crash can leave.

use super::*;
use crate::{
    model::TimeRange,
    segment::{Flush, Lineage, Made, SegmentMeta},
};

fn file(id: &str, table: Table, lineage: Option<Lineage>) -> Described {
    let meta = SegmentMeta {
        id: SegmentId::new(id),
        tenant: Tenant::default(),
        table,
        path: format!("segments/default/{table}/0/{id}.parquet"),
        file_bytes: 10,
        tail_bytes: 5,
        row_count: 3,
        time_range: TimeRange::spanning(0, 1),
        bucket_start_unix_nano: 0,
        schema_version: 1,
        trace_filter: None,
    };
    Described { meta, lineage }
}

fn made(catalog_version: u64, count: u64) -> Made {
    Made { catalog_version, count }
}

/// A file of a flush of the requests after one up to another.
fn flushed(id: &str, made: Made, after: u64, through: u64) -> Described {
    let flush = Flush { made, after_sequence: after, first_sequence: after + 1, through_sequence: through };
    file(id, Table::Logs, Some(flush.lineage(0, 1)))
}

/// The same, of another time bucket.
fn part(id: &str, made: Made, (after, through): (u64, u64), (part, parts): (usize, usize)) -> Described {
    let flush = Flush { made, after_sequence: after, first_sequence: after + 1, through_sequence: through };
    let mut file = file(id, Table::Logs, Some(flush.lineage(part, parts)));
    file.meta.bucket_start_unix_nano = part as i64;
    file
}

fn merged(id: &str, made: Made, inputs: &[&Described]) -> Described {
    let inputs = inputs.iter().map(|input| (&input.meta.id, input.lineage.as_ref()));
    file(id, Table::Logs, Some(Lineage::merged(made, inputs)))
}

fn log(first: u64, last: u64) -> LogContents {
    let last_rows = [((Tenant::default(), Table::Logs), last)].into();
    LogContents { frames: vec![(first, last)], last_rows, ..LogContents::default() }
}

fn known(checkpoint: u64) -> Known {
    let checkpoints = [((Tenant::default(), Table::Logs), checkpoint)].into();
    Known { checkpoints, has_all_checkpoints: true, ..Known::default() }
}

fn decided(files: Vec<Described>, log: &LogContents, known: &Known) -> Plan {
    plan(files, log, known, None).unwrap()
}

fn live(plan: &Plan) -> Vec<&str> {
    plan.contents.segments.iter().map(|meta| meta.id.as_str()).collect()
}

fn checkpoint(plan: &Plan) -> u64 {
    plan.contents.checkpoints.get(&(Tenant::default(), Table::Logs)).copied().unwrap_or(0)
}

#[test]
fn a_merge_takes_the_place_of_its_inputs_whichever_was_published() {
    let (a, b, c) =
        (flushed("a", made(0, 0), 0, 10), flushed("b", made(1, 1), 10, 20), flushed("c", made(2, 2), 20, 30));
    let m = merged("m", made(3, 3), &[&a, &b]);
    let plan = decided(vec![a, m, c, b], &log(25, 40), &Known::default());
    assert_eq!((live(&plan), checkpoint(&plan)), (vec!["c", "m"], 30));
    assert_eq!((plan.contents.wal_floor, plan.contents.version), (24, 4));
    assert!(plan.lost.is_empty(), "{:?}", plan.lost);
}

#[test]
fn a_merge_that_was_never_published_does_not_cover_what_later_ones_hold() {
    let files = |id: &str, n: u64| flushed(id, made(n, n), n * 10, n * 10 + 10);
    let (a, b, c, d) = (files("a", 0), files("b", 1), files("c", 2), files("d", 3));
    // `stale` was given up, then its inputs went into other merges.
    let stale = merged("stale", made(4, 4), &[&a, &b]);
    let (ac, bd) = (merged("ac", made(4, 5), &[&a, &c]), merged("bd", made(5, 6), &[&b, &d]));
    let plan = decided(vec![stale, ac, bd], &log(100, 100), &Known::default());
    assert_eq!(live(&plan), ["ac", "bd"]);
    assert!(plan.lost.is_empty(), "{:?}", plan.lost);
}

#[test]
fn a_flush_that_was_tried_twice_counts_once() {
    // The first try was given up by a crash; the next process flushed the same rows, in two steps.
    let first = flushed("first", made(4, 9), 10, 20);
    let (again, rest) = (flushed("again", made(4, 0), 10, 15), flushed("rest", made(5, 1), 15, 25));
    let plan = decided(vec![first.clone(), again.clone(), rest], &log(16, 30), &Known::default());
    assert_eq!((live(&plan), checkpoint(&plan)), (vec!["again", "rest"], 25));
    // Before the second step either try is right, as the log has what comes after it.
    let plan = decided(vec![first, again], &log(16, 30), &Known::default());
    assert_eq!((live(&plan), checkpoint(&plan)), (vec!["first"], 20));
    assert!(plan.lost.is_empty(), "{:?}", plan.lost);
}

#[test]
fn a_flush_without_all_its_files_is_made_again_from_the_log() {
    let before = part("before", made(0, 0), (0, 10), (0, 1));
    let half = part("half", made(1, 1), (10, 20), (1, 2));
    let plan = decided(vec![before.clone(), half.clone()], &log(11, 25), &Known::default());
    assert_eq!((live(&plan), checkpoint(&plan)), (vec!["before"], 10));
    // Where the log does not have its rows any more it was published, and the other file has expired.
    let plan = decided(vec![before.clone(), half.clone()], &log(15, 25), &Known::default());
    assert_eq!((live(&plan), checkpoint(&plan)), (vec!["before", "half"], 20));
    // So it was where something came after it.
    let after = part("after", made(2, 2), (20, 30), (0, 1));
    let plan = decided(vec![before, half, after], &log(11, 35), &Known::default());
    assert_eq!((live(&plan), checkpoint(&plan)), (vec!["after", "before", "half"], 30));
}

#[test]
fn the_old_catalog_decides_about_the_last_flush_as_long_as_the_log_bears_it_out() {
    let files =
        || vec![flushed("a", made(0, 0), 0, 10), flushed("b", made(1, 1), 10, 20), flushed("c", made(2, 2), 20, 30)];
    let place = (Tenant::default(), Table::ServiceEdges);
    let state = |checkpoint| Known { states: [(place.clone(), Bytes::from("halves"))].into(), ..known(checkpoint) };
    let plan = decided(files(), &log(11, 40), &state(30));
    assert_eq!((live(&plan).len(), checkpoint(&plan)), (3, 30));
    let plan = decided(files(), &log(11, 40), &state(20));
    assert_eq!((live(&plan), checkpoint(&plan)), (vec!["a", "b"], 20));
    // An old copy of the catalog: what it does not know is in no log any more.
    let plan = decided(files(), &log(35, 40), &state(10));
    assert_eq!((live(&plan).len(), checkpoint(&plan)), (3, 30));
    // The catalog knows better than files that have expired.
    assert_eq!(checkpoint(&decided(Vec::new(), &log(35, 40), &state(33))), 33);
}

#[test]
fn what_is_remembered_is_taken_as_of_its_checkpoint_only() {
    let place = (Tenant::default(), Table::ServiceEdges);
    let edges = |id: &str, after, through| {
        let mut file = flushed(id, made(after, after), after, through);
        file.meta.table = Table::ServiceEdges;
        file
    };
    let known = |checkpoint: u64| Known {
        checkpoints: [(place.clone(), checkpoint)].into(),
        has_all_checkpoints: true,
        states: [(place.clone(), Bytes::from("halves"))].into(),
        ..Known::default()
    };
    let plan = decided(vec![edges("a", 0, 10)], &log(11, 12), &known(10));
    assert!(plan.contents.states.contains_key(&place) && plan.lost.is_empty(), "{plan:?}");
    let plan = decided(vec![edges("a", 0, 10), edges("b", 10, 20)], &log(25, 30), &known(10));
    assert!(!plan.contents.states.contains_key(&place) && plan.lost.len() == 1, "{plan:?}");
}

#[test]
fn files_of_early_versions_need_the_old_catalog_or_a_decision() {
    let early = |id: &str| file(id, Table::Logs, None);
    let refused = plan(vec![early("a")], &log(5, 9), &Known::default(), None).unwrap_err();
    assert!(refused.to_string().contains("--old-log"), "{refused}");
    let replayed = plan(vec![early("a")], &log(5, 9), &Known::default(), Some(OldLog::Replay)).unwrap();
    assert_eq!((checkpoint(&replayed), live(&replayed)), (0, vec!["a"]));
    let skipped = plan(vec![early("a")], &log(5, 9), &Known::default(), Some(OldLog::Skip)).unwrap();
    assert_eq!(checkpoint(&skipped), 9);
    let told = Known { live: Some([SegmentId::new("a")].into()), ..known(7) };
    let told = decided(vec![early("a"), early("replaced")], &log(5, 9), &told);
    assert_eq!((checkpoint(&told), live(&told), told.aside.len()), (7, vec!["a"], 1));
    // A merge of them names them, whatever else is known.
    let m = merged("m", made(3, 3), &[&early("a"), &early("b")]);
    let plan = plan(vec![early("a"), early("b"), m], &LogContents::default(), &Known::default(), None).unwrap();
    assert_eq!(live(&plan), ["m"]);
}

#[test]
fn rows_that_would_be_lost_are_told() {
    let (old, new) = (flushed("old", made(1, 1), 10, 20), flushed("new", made(2, 2), 10, 15));
    let plan = decided(vec![old, new], &log(30, 40), &Known::default());
    assert_eq!(live(&plan), ["new"]);
    assert!(plan.lost.iter().any(|line| line.contains("requests 16 to 20")), "{:?}", plan.lost);
}
