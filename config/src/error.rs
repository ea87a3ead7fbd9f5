//! What is wrong with the settings, in words an operator can act on.

use std::{fmt, path::Path};

/// One setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `room.key`, or the file that cannot be read.
    pub key: String,
    /// Where the value came from: a file, an environment variable, a flag or the defaults.
    pub source: String,
    /// The value as written; `None` for secrets and where there is none.
    pub found: Option<String>,
    /// What would be accepted.
    pub allowed: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.key, self.source)?;
        if let Some(found) = &self.found {
            write!(f, ": found {found}")?;
        }
        write!(f, ": {}", self.allowed)
    }
}

/// Settings that the server refuses to start with. At least one problem, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Vec<Problem>);

impl Error {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        debug_assert!(!problems.is_empty(), "an error says what is wrong");
        Self(problems)
    }

    pub(crate) fn file(path: &Path, error: impl fmt::Display) -> Self {
        Self(vec![Problem {
            key: path.display().to_string(),
            source: "configuration file".to_owned(),
            found: None,
            allowed: error.to_string(),
        }])
    }

    /// Each problem by itself.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
