//! The rim: what the files of a directory say.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use super::{MAX_FILE_BYTES, MAX_FILES, Problem};

/// Every `.yaml`, `.yml` and `.json` of the directory by name, with its text or why there is none. Hidden files and
/// what is no file are passed over. A directory that does not exist is an empty one.
///
/// # Errors
/// When the directory cannot be listed.
pub fn read(directory: &Path) -> io::Result<Vec<(String, Result<String, Problem>)>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        // Through links, as mounted configuration has them.
        let is_file = fs::metadata(directory.join(&name)).is_ok_and(|metadata| metadata.is_file());
        match name.into_string() {
            Ok(name) if is_file && is_definition(&name) => names.push(name),
            _ => {}
        }
    }
    names.sort();
    let text = |(index, name): (usize, String)| {
        let text = if index < MAX_FILES {
            read_file(&directory.join(&name))
        } else {
            Err(Problem::of_file(format!("not read: there are more than {MAX_FILES} files")))
        };
        (name, text)
    };
    Ok(names.into_iter().enumerate().map(text).collect())
}

/// Whether a file of this name holds definitions.
pub fn is_definition(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    !name.starts_with('.') && extension.is_some_and(|extension| matches!(extension, "yaml" | "yml" | "json"))
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let cannot = |error: io::Error| Problem::of_file(format!("cannot be read: {error}"));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Problem::of_file(format!("larger than {} KiB", MAX_FILE_BYTES >> 10)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        Problem::of_file(format!("is not UTF-8 after {valid} bytes"))
    })
}
