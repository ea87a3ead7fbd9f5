//! What a scrub found, for people and programs.

use std::collections::BTreeMap;

use serde::Serialize;

/// Findings and notes kept of each; the others are counted.
const MAX_KEPT: usize = 1_000;

/// What was read, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How much was read.
    pub checked: Checked,
    /// What is not as it should be; none: the directory is sound.
    pub findings: Vec<Finding>,
    /// Findings beyond those that are listed.
    pub more_findings: u64,
    /// What a stopped or killed server leaves and its next start clears up.
    pub notes: Vec<Finding>,
    /// Notes beyond those that are listed.
    pub more_notes: u64,
}

/// How much was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Live segments whose files were read to the end.
    pub segments: u64,
    /// Their length.
    pub segment_bytes: u64,
    /// Their rows.
    pub rows: u64,
    /// Number of them by the version of their format.
    pub segment_formats: BTreeMap<u16, u64>,
    /// Files of the log.
    pub wal_files: u64,
    /// Their length.
    pub wal_bytes: u64,
    /// Whole frames in them.
    pub wal_frames: u64,
    /// Documents in the catalog.
    pub documents: u64,
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file, relative to the data directory.
    pub path: String,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// What is wrong.
    pub problem: String,
    /// What should be there.
    pub expected: Option<String>,
    /// What is there.
    pub found: Option<String>,
    /// What to do about it.
    pub advice: String,
}

impl Finding {
    pub(super) fn new(path: &str, problem: impl Into<String>, advice: &str) -> Self {
        Self {
            path: path.to_owned(),
            offset: None,
            problem: problem.into(),
            expected: None,
            found: None,
            advice: advice.to_owned(),
        }
    }

    pub(super) fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    pub(super) fn unlike(mut self, expected: impl Into<String>, found: impl Into<String>) -> Self {
        (self.expected, self.found) = (Some(expected.into()), Some(found.into()));
        self
    }
}

impl Report {
    /// Whether everything is as it should be.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn found(&mut self, finding: Finding) {
        keep(&mut self.findings, &mut self.more_findings, finding);
    }

    pub(super) fn noted(&mut self, note: Finding) {
        keep(&mut self.notes, &mut self.more_notes, note);
    }
}

fn keep(kept: &mut Vec<Finding>, more: &mut u64, finding: Finding) {
    if kept.len() < MAX_KEPT {
        kept.push(finding);
    } else {
        *more += 1;
    }
}
