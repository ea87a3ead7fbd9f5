//! What can go wrong with a question, in one clear sentence.

use std::fmt;

use arrow::error::ArrowError;
use datafusion::{
    common::SchemaError, error::DataFusionError, parquet::errors::ParquetError, sql::sqlparser::tokenizer::Location,
};

use crate::guard;

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

    /// What was asked for is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
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

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        from_datafusion(error, None)
    }
}

impl From<storage::error::Error> for Error {
    fn from(error: storage::error::Error) -> Self {
        of_storage(&error)
    }
}

pub(crate) fn of_storage(error: &storage::error::Error) -> Error {
    use storage::error::ErrorKind as Stored;
    let kind = match error.kind() {
        Stored::Invalid | Stored::Internal => ErrorKind::Internal,
        Stored::NotFound => ErrorKind::NotFound,
        Stored::Overloaded => ErrorKind::Overloaded,
        Stored::Unavailable => ErrorKind::Unavailable,
        Stored::Corrupt => ErrorKind::Corrupt,
    };
    Error::new(kind, error.to_string())
}

/// Carries an error of ours through DataFusion.
pub(crate) fn into_datafusion(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Carries an error of storage through DataFusion.
pub(crate) fn from_storage(error: storage::error::Error) -> DataFusionError {
    into_datafusion(of_storage(&error))
}

/// DataFusion's error in one sentence, with the place in `text` where it is known.
pub(crate) fn from_datafusion(error: DataFusionError, text: Option<&str>) -> Error {
    let mut position = None;
    let mut hint = None;
    let mut root = &error;
    loop {
        root = match root {
            DataFusionError::Diagnostic(diagnostic, inner) => {
                if let (Some(span), Some(text)) = (diagnostic.span, text) {
                    let start = Location { line: span.start.line, column: span.start.column };
                    position = Some(guard::position(text, start));
                }
                let said = diagnostic.helps.iter().map(|help| &help.message);
                hint = hint.or_else(|| said.chain(diagnostic.notes.iter().map(|note| &note.message)).next().cloned());
                inner
            }
            DataFusionError::Context(_, inner) => inner,
            DataFusionError::Shared(inner) => inner,
            DataFusionError::Collection(errors) => match errors.first() {
                Some(first) => first,
                None => break,
            },
            DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
                ArrowError::ExternalError(external) => match external.downcast_ref::<DataFusionError>() {
                    Some(inner) => inner,
                    None => return external_error(external.as_ref()),
                },
                _ => break,
            },
            DataFusionError::External(external) => match external.downcast_ref::<DataFusionError>() {
                Some(inner) => inner,
                None => return external_error(external.as_ref()),
            },
            DataFusionError::ParquetError(error) => return of_parquet(error),
            _ => break,
        };
    }
    let mut found = described(root, text);
    if found.position.is_none() {
        found.position = position;
    }
    if found.hint.is_none() {
        found.hint = hint;
    }
    found
}

fn external_error(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    if let Some(own) = error.downcast_ref::<Error>() {
        return own.clone();
    }
    if let Some(stored) = error.downcast_ref::<storage::error::Error>() {
        return of_storage(stored);
    }
    if let Some(parquet) = error.downcast_ref::<ParquetError>() {
        return of_parquet(parquet);
    }
    let message = one_line(&error.to_string());
    of_pattern(&message).unwrap_or_else(|| Error::internal(message))
}

fn of_parquet(error: &ParquetError) -> Error {
    if let ParquetError::External(external) = error {
        return external_error(external.as_ref());
    }
    Error::new(ErrorKind::Corrupt, format!("a segment cannot be read: {}", one_line(&error.to_string())))
}

/// A pattern that cannot be compiled. DataFusion takes it for a bug of its own, and wraps it differently in a scan, in a
/// projection and while planning: only the words are the same.
fn of_pattern(message: &str) -> Option<Error> {
    if message.contains("CompiledTooBig") {
        return Some(Error::too_large("the regular expression is too large"));
    }
    ["Regular expression did not compile", "regex parse error"]
        .iter()
        .any(|words| message.contains(words))
        .then(|| Error::invalid(format!("the regular expression cannot be read: {}", one_line(message))))
}

fn described(root: &DataFusionError, text: Option<&str>) -> Error {
    if let Some(error) = of_pattern(&root.to_string()) {
        return error;
    }
    match root {
        DataFusionError::SQL(error, _) => match text {
            Some(text) => guard::located(text, &error.to_string()),
            None => Error::invalid(one_line(&error.to_string())),
        },
        DataFusionError::SchemaError(error, _) => of_schema(error),
        DataFusionError::Plan(message) => planned(message),
        DataFusionError::NotImplemented(message) => Error::impossible(format!("not supported: {}", one_line(message))),
        DataFusionError::Execution(message) => executed(message),
        DataFusionError::ResourcesExhausted(message) => {
            let what = if message.contains("disk") || message.contains("spill") { "spill space" } else { "memory" };
            Error::too_large(format!("the query needs more {what} than queries may use: {}", one_line(message)))
                .hint("narrow the time range or the conditions, or group by fewer values")
        }
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero
            | ArrowError::CastError(_)
            | ArrowError::ParseError(_)
            | ArrowError::ComputeError(_)
            | ArrowError::ArithmeticOverflow(_)
            | ArrowError::InvalidArgumentError(_) => executed(&error.to_string()),
            ArrowError::OffsetOverflowError(_) => Error::too_large("a text or list grew beyond 2 GiB"),
            _ => Error::internal(one_line(&error.to_string())),
        },
        DataFusionError::ObjectStore(error) => Error::new(ErrorKind::Unavailable, one_line(&error.to_string())),
        DataFusionError::IoError(error) => Error::new(ErrorKind::Unavailable, one_line(&error.to_string())),
        DataFusionError::ExecutionJoin(_) => {
            Error::internal("the query failed inside the server; its log has the details")
        }
        DataFusionError::Configuration(message) => Error::invalid(one_line(message)),
        other => Error::internal(one_line(&other.strip_backtrace())),
    }
}

fn planned(message: &str) -> Error {
    let message = one_line(message);
    if message.starts_with("table 'rootline.public.") {
        let name = message.trim_start_matches("table 'rootline.public.").split('\'').next().unwrap_or_default();
        let known = "logs, spans, metrics, histograms, exponential_histograms, summaries, exemplars, series, span_metrics, \
                     service_edges, log_patterns, changes";
        return Error::invalid(format!("there is no table {name:?}")).hint(format!("there are {known}"));
    }
    Error::invalid(message)
}

/// What went wrong with values, not with us.
fn executed(message: &str) -> Error {
    Error::invalid(one_line(message))
}

fn of_schema(error: &SchemaError) -> Error {
    let SchemaError::FieldNotFound { field, valid_fields } = error else {
        return Error::invalid(one_line(&error.to_string()));
    };
    let found = Error::invalid(format!("there is no column {:?}", field.name));
    let mut names: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let near = names.iter().copied().filter(|name| is_near(name, &field.name)).take(3).collect::<Vec<_>>();
    if !near.is_empty() {
        return found.hint(format!("did you mean {}?", near.join(" or ")));
    }
    if names.contains(&"attributes") {
        return found.hint(format!("an attribute is written attributes['{}']", field.name));
    }
    found.hint(format!("there are {}", names.join(", ")))
}

/// One contains the other, or few letters differ.
fn is_near(known: &str, asked: &str) -> bool {
    let asked = asked.to_lowercase();
    if asked.len() > 2 && (known.contains(&asked) || asked.contains(known)) {
        return true;
    }
    distance(known, &asked) <= (known.len().min(asked.len()) / 4).max(1)
}

/// Letters to add, drop or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// One sentence: no backtrace, no second line, no advice to report bugs elsewhere, not too long.
fn one_line(message: &str) -> String {
    const MAX_CHARS: usize = 400;
    let message = message.split("\n\nbacktrace:").next().unwrap_or_default();
    let message = message.split(".\nThis issue was likely caused").next().unwrap_or_default();
    let mut line: String = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    for prefix in ["Error during planning: ", "Execution error: ", "Arrow error: ", "Compute error: ", "Parser error: "]
    {
        if let Some(rest) = line.strip_prefix(prefix) {
            line = rest.to_owned();
        }
    }
    if line.chars().count() > MAX_CHARS {
        line = line.chars().take(MAX_CHARS).chain(['…']).collect();
    }
    line.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
