//! What can go wrong with a question, in one clear sentence.

use std::fmt;

/// What the caller should do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The question is wrong: change it. `position` tells where, if known.
    Invalid,
    /// What was asked for does not exist.
    NotFound,
    /// The question or its answer is larger than allowed: narrow it.
    TooLarge,
    /// The answer took longer than allowed, or somebody cancelled it: narrow the question or allow more time.
    Deadline,
    /// Too many questions at once, or not enough memory for this one now: ask again later.
    Overloaded,
    /// The store cannot be read now: ask again later.
    Unavailable,
    /// Stored bytes are damaged: asking again does not help, an operator must look.
    Corrupt,
    /// The question is understood but cannot be answered (not supported, or it would change something).
    Impossible,
    /// A bug of ours.
    Internal,
}

/// Why a question has no answer.
#[derive(Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    position: Option<usize>,
    hint: Option<String>,
}

/// `Result` of this room.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error. `message` is lower case, without a full stop, and carries the facts.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), position: None, hint: None }
    }

    /// The question is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// The question is understood but refused.
    pub fn impossible(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Impossible, message)
    }

    /// The question or its answer is larger than allowed.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    /// A bug of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Where in the question's text it went wrong: characters (not bytes) before it, from 0.
    #[must_use]
    pub fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    /// What would help.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What the caller should do about it.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Characters of the question's text before the place where it went wrong, if known.
    pub const fn position(&self) -> Option<usize> {
        self.position
    }

    /// What would help, if known.
    pub fn get_hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        if let Some(position) = self.position {
            write!(f, " (at {position})")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl From<datafusion::error::DataFusionError> for Error {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::new(ErrorKind::Internal, error.strip_backtrace())
    }
}
