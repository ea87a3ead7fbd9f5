//! Where the rows of a segment come from: enough to tell, without the catalog, which files hold the same rows and up to
//! where a table's rows have left the WAL (`catalog::rebuild`).

use serde::{Deserialize, Serialize};

use super::SegmentId;

/// Orders the files of a store by when they were made. Of two files with the same rows, the later one is live, or holds
/// what the earlier one holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Made {
    /// Version of the catalog then: every publication and every exchange makes it larger.
    pub catalog_version: u64,
    /// Grows with every file that one process makes.
    pub count: u64,
}

/// A flush of a memtable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flush {
    /// When its files are made.
    pub made: Made,
    /// The table's checkpoint before it.
    pub after_sequence: u64,
    /// The first sequence that has rows in it.
    pub first_sequence: u64,
    /// The table's checkpoint when it is published.
    pub through_sequence: u64,
}

/// Where the rows of one file come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// When it was made.
    pub made: Made,
    /// All rows of its table and time bucket that are in WAL frames of these sequences are in it: runs, both ends included,
    /// ascending, not touching. Inputs of a merge that were written before there was a lineage are not in here.
    pub sequences: Vec<(u64, u64)>,
    /// Of a flush: which of its files it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flush: Option<Part>,
    /// Of a merge: its inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<SegmentId>,
}

/// One of the files of a flush, which are published together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// See [`Flush::first_sequence`].
    pub first_sequence: u64,
    /// Its number, from 0.
    pub part: usize,
    /// How many there are.
    pub parts: usize,
}

impl Flush {
    /// The lineage of one of its files.
    pub(crate) fn lineage(&self, part: usize, parts: usize) -> Lineage {
        Lineage {
            made: self.made,
            sequences: vec![(self.after_sequence + 1, self.through_sequence)],
            flush: Some(Part { first_sequence: self.first_sequence, part, parts }),
            replaces: Vec::new(),
        }
    }
}

impl Lineage {
    /// The lineage of a merge; an input without one is known by its id only.
    pub(crate) fn merged<'a>(made: Made, inputs: impl IntoIterator<Item = (&'a SegmentId, Option<&'a Self>)>) -> Self {
        let (mut runs, mut replaces) = (Vec::new(), Vec::new());
        for (id, lineage) in inputs {
            replaces.push(id.clone());
            runs.extend(lineage.into_iter().flat_map(|lineage| lineage.sequences.iter().copied()));
        }
        Self { made, sequences: joined(runs), flush: None, replaces }
    }

    /// The last sequence in it; `None` when there is no knowing.
    pub(crate) fn last_sequence(&self) -> Option<u64> {
        self.sequences.last().map(|(_, last)| *last)
    }
}

/// Runs sorted, those that touch or overlap as one.
pub(crate) fn joined(mut runs: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    runs.sort_unstable();
    runs.dedup_by(|next, last| {
        let joins = next.0 <= last.1.saturating_add(1);
        if joins {
            last.1 = last.1.max(next.1);
        }
        joins
    });
    runs
}

/// Whether one of the runs has a sequence in common with one of the others.
pub(crate) fn overlap(runs: &[(u64, u64)], others: &[(u64, u64)]) -> bool {
    runs.iter().any(|run| others.iter().any(|other| run.0 <= other.1 && other.0 <= run.1))
}

/// What of a run is in none of `others`, which are [`joined`].
pub(crate) fn uncovered(run: (u64, u64), others: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let (mut left, mut start) = (Vec::new(), run.0);
    for (first, last) in others.iter().filter(|other| other.1 >= run.0 && other.0 <= run.1) {
        if *first > start {
            left.push((start, first - 1));
        }
        start = start.max(last.saturating_add(1));
    }
    if start <= run.1 {
        left.push((start, run.1));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_compared_and_subtracted() {
        assert_eq!(joined(vec![(7, 9), (1, 3), (4, 5), (11, 12)]), [(1, 5), (7, 9), (11, 12)]);
        assert!(overlap(&[(1, 5)], &[(5, 9)]) && !overlap(&[(1, 5)], &[(6, 9)]));
        assert_eq!(uncovered((1, 20), &[(3, 5), (8, 30)]), [(1, 2), (6, 7)]);
        assert_eq!(uncovered((3, 5), &[(3, 5)]), []);
        assert_eq!(uncovered((3, 5), &[]), [(3, 5)]);
    }

    #[test]
    fn a_merge_has_the_sequences_of_its_inputs_and_names_them() {
        let made = Made { catalog_version: 9, count: 3 };
        let flush = |after, through| {
            Flush { made, after_sequence: after, first_sequence: after + 1, through_sequence: through }.lineage(0, 1)
        };
        let ids = [SegmentId::new("a"), SegmentId::new("b"), SegmentId::new("old")];
        let (a, b) = (flush(0, 10), flush(10, 20));
        let merged = Lineage::merged(made, [(&ids[0], Some(&b)), (&ids[1], Some(&a)), (&ids[2], None)]);
        assert_eq!((merged.sequences.as_slice(), merged.last_sequence()), ([(1, 20)].as_slice(), Some(20)));
        assert_eq!(merged.replaces, ids);
    }
}
