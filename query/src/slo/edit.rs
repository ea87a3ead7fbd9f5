//! The rim: objectives written and removed through the API. Files stay the source: this only edits them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use config::objective::{Library, MAX_FILE_BYTES, directory};

use crate::{
    Query,
    error::{Error, Result},
};

impl Query {
    /// Puts a document into the directory, in place of the file that has the objectives of this name alone. Nothing is
    /// written unless it would be in force. Returns the file.
    ///
    /// # Errors
    /// `Invalid` with line and field when it cannot be used; `Impossible` when its objectives share a file with others;
    /// `Unavailable` when the directory cannot be written.
    pub async fn put_objective(&self, directory: &Path, name: &str, text: String) -> Result<PathBuf> {
        let path = self.file_of(directory, name)?.unwrap_or_else(|| directory.join(format!("{name}.yaml")));
        let (directory, name) = (directory.to_owned(), name.to_owned());
        blocking(move || {
            check(&directory, &path, &name, &text)?;
            write(&directory, &path, &text).map_err(|error| unavailable(&path, &error))?;
            Ok(path)
        })
        .await
    }

    /// Removes the file that has the objectives of this name alone. Returns the file.
    ///
    /// # Errors
    /// `NotFound`; `Impossible` when its objectives share a file with others; `Unavailable`.
    pub async fn remove_objective(&self, directory: &Path, name: &str) -> Result<PathBuf> {
        let path = self.file_of(directory, name)?;
        let path = path
            .filter(|path| path.is_file())
            .ok_or_else(|| Error::new(crate::ErrorKind::NotFound, format!("there is no objective {name:?}")))?;
        blocking(move || {
            fs::remove_file(&path).map_err(|error| unavailable(&path, &error))?;
            Ok(path)
        })
        .await
    }

    /// The file with the objectives of this name: the one they are in, or the one that a put would have made.
    fn file_of(&self, directory: &Path, name: &str) -> Result<Option<PathBuf>> {
        let published = self.objectives().published();
        let Some(file) = published.files.iter().find(|file| file.slos.contains(name)) else {
            let made = directory.join(format!("{name}.yaml"));
            return Ok(is_file_name(name).then_some(made).filter(|path| path.is_file()));
        };
        if file.slos.len() == 1 {
            return Ok(Some(PathBuf::from(&file.path)));
        }
        Err(Error::impossible(format!("{} has other objectives too", file.path)).hint("change the file itself"))
    }
}

/// A name of a document is a name of a file: letters, digits, `-`, `_` and `.`, not hidden.
fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.len() <= 128 && name.bytes().all(is_plain) && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

/// Whether the text would be in force, beside the files that are there.
fn check(directory: &Path, path: &Path, name: &str, text: &str) -> Result<()> {
    if !is_file_name(name) {
        return Err(Error::invalid(format!("{name:?} is no name of an objective")));
    }
    if text.len() > MAX_FILE_BYTES {
        return Err(Error::too_large(format!("larger than {} KiB", MAX_FILE_BYTES >> 10)));
    }
    let own = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut files = directory::read(directory).map_err(|error| unavailable(directory, &error))?;
    files.retain(|(file, _)| file != own);
    let mut library = Library::default();
    // The others first: a name is theirs if they have it.
    library.update(files.clone(), 0);
    files.push((own.to_owned(), Ok(text.to_owned())));
    library.update(files, 0);
    let file = library.files().find(|file| file.name == own).expect("it was put there");
    if let Some(problem) = file.problem {
        return Err(Error::invalid(problem.to_string()));
    }
    match file.objectives.iter().find(|objective| objective.slo != name) {
        Some(other) => {
            Err(Error::invalid(format!("metadata.name is {:?}, expected {name:?} as in the path", other.slo)))
        }
        None if file.objectives.is_empty() => Err(Error::invalid("there is no document of kind SLO in it")),
        None => Ok(()),
    }
}

/// Whole or not at all: readers see the file as it was or as it is.
fn write(directory: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let draft = directory.join(format!(".{name}.draft"));
    fs::write(&draft, text)?;
    fs::File::open(&draft)?.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(directory)?.sync_all()
}

fn unavailable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(crate::ErrorKind::Unavailable, format!("{}: {error}", path.display()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::internal(format!("objectives: {error}"))))
}
