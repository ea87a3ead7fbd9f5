//! Objectives: OpenSLO v1 documents -> plain data.
//!
//! `node` reads YAML (or JSON) into a tree that knows the place of everything; `document` and `source` read that tree as
//! OpenSLO and say line and field of what they cannot use; [`Library`] holds the files of a directory, so that a bad file
//! changes nothing; [`directory`] is the only part that touches files.

pub mod directory;
mod document;
mod library;
mod node;
mod source;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

pub use self::{
    document::{Documents, read},
    library::{FileStatus, Library},
};

/// Bytes of one file.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// Files of the directory.
pub const MAX_FILES: usize = 1000;
/// Objectives of all files together: each costs memory (some 50 KB) and a share of every evaluation.
pub const MAX_OBJECTIVES: usize = 5000;

/// One objective: how large a share of what is counted has to be good, over which time.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Name of the document; with `.2`, `.3`, … for the second and later objectives of one document.
    pub id: String,
    /// `metadata.name` of the document.
    pub slo: String,
    /// For people: of the document, and of the objective where it has one of its own.
    pub display_name: String,
    /// `spec.description`
    pub description: String,
    /// What is counted.
    pub indicator: Indicator,
    /// Share that has to be good, from 0 and below 1: without a budget nothing could be measured against it.
    pub target_ratio: f64,
    /// Length of the rolling window.
    pub window: Duration,
    /// How counts become the share.
    pub budgeting: Budgeting,
}

/// Spans that are counted, and which of them are bad.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Indicator {
    /// `service.name`
    pub service: String,
    /// Name of the spans; every call of the service where absent.
    pub operation: Option<String>,
    /// Which of them are bad.
    pub bad: Bad,
}

/// What makes a span a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bad {
    /// Its status is error.
    Errors,
    /// It took longer.
    SlowerThan(Duration),
}

/// How counts become the share that is good (OpenSLO `budgetingMethod`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budgeting {
    /// Good spans of all spans.
    Occurrences,
    /// Good slices of time of all slices with traffic; a slice is good when its own share is at least `target_ratio`.
    Timeslices {
        /// Length of a slice; divides an hour.
        slice: Duration,
        /// What a good slice reaches.
        target_ratio: f64,
    },
    /// The mean of the shares of all slices with traffic: quiet times count as much as busy ones.
    RatioTimeslices {
        /// Length of a slice; divides an hour.
        slice: Duration,
    },
}

impl Budgeting {
    /// As OpenSLO writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Occurrences => "Occurrences",
            Self::Timeslices { .. } => "Timeslices",
            Self::RatioTimeslices { .. } => "RatioTimeslices",
        }
    }
}

/// Why a file is refused, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 where it is about the file as a whole.
    pub line: u64,
    /// From 1; 0 where it is about the file as a whole.
    pub column: u64,
    /// Path of the field from its document's start: `spec.objectives[0].target`. Empty where there is none.
    pub field: String,
    /// What is wrong and what would be accepted.
    pub message: String,
}

impl Problem {
    /// About a file as a whole.
    pub fn of_file(message: impl Into<String>) -> Self {
        Self { line: 0, column: 0, field: String::new(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}
