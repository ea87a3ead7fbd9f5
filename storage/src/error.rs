//! What can go wrong in storage, and what a caller does about it.

use std::{error::Error as StdError, fmt};

/// Result of storage operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the storage room.
///
/// The message carries the facts; [`Error::kind`] says what a caller can do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request or the data directory cannot be used as it is: change it, a retry does not help.
    Invalid,
    /// The thing asked for is not there (any more).
    NotFound,
    /// Memory for unflushed rows is used up: retry after a delay.
    Overloaded,
    /// Nothing was promised and nothing is wrong with the request: retry after a delay.
    Unavailable,
    /// Bytes on disk are not the ones that were written: report, do not retry.
    Corrupt,
    /// A bug or a failure of the machine: report.
    Internal,
}

impl Error {
    /// An error of that kind with its facts, in lower case and without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Keeps what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = source.into();
        self.message = format!("{}: {source}", self.message);
        self.source = Some(source);
        self
    }

    /// The request or the data directory is unusable.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// A later version wrote it: what was found, and the last version that this program knows of such a thing.
    pub fn later(found: impl fmt::Display, known: impl fmt::Display) -> Self {
        Self::invalid(format!(
            "{found}, this program knows up to {known}: use the version of Rootline that wrote it, or a later one; nothing was changed"
        ))
    }

    /// Not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// No memory left for rows.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Overloaded, message)
    }

    /// Not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Damaged bytes.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// Should not happen.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// What the caller can do.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later: only `Overloaded` and `Unavailable`.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Overloaded | ErrorKind::Unavailable)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not found",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
        })
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::internal("arrow").with_source(error)
    }
}

impl From<parquet::errors::ParquetError> for Error {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::internal("parquet").with_source(error)
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        let kind = match error {
            object_store::Error::NotFound { .. } => ErrorKind::NotFound,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, "object store").with_source(error)
    }
}
