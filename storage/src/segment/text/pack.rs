//! A Tantivy index of one index segment as one blob, and back.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};
use tantivy::{
    Index,
    directory::{Directory, FileSlice, RamDirectory},
};

use super::writer::{TextIndexWriter, text_error};
use crate::error::{Error, Result};

/// Tantivy names files after a random id; in a blob they have this one, so that equal rows give equal bytes.
const INDEX_SEGMENT: &str = "00000000000000000000000000000000";

/// What stands before the files of a packed index.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Tantivy's `meta.json`.
    meta: String,
    /// Extension and length of each file, in order.
    files: Vec<(String, usize)>,
}

/// All files of an index as one blob. The document store, four bytes a row though nothing is stored, is replaced by that
/// of an index with one document: opening wants the file, nothing reads it.
pub(super) fn pack(index: &Index, directory: &RamDirectory) -> Result<Vec<u8>> {
    let metas = index.load_metas().map_err(text_error)?;
    let segment = metas.segments.first().ok_or_else(|| Error::internal("a text index without index segment"))?;
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for path in metas.list_segment_files() {
        let Some(extension) = path.extension().and_then(|extension| extension.to_str()) else { continue };
        if extension == STORE {
            continue;
        }
        // Files that an index segment does not need are listed all the same.
        if let Ok(file) = directory.open_read(&path) {
            files.insert(extension.to_owned(), read_all(&file)?);
        }
    }
    files.insert(STORE.to_owned(), EMPTY_STORE.clone());
    let meta = directory.atomic_read(Path::new(META)).map_err(text_error)?;
    let meta = String::from_utf8_lossy(&meta);
    let header = Header {
        meta: replace_id(&meta, &segment.id().uuid_string()),
        files: files.iter().map(|(extension, bytes)| (extension.clone(), bytes.len())).collect(),
    };
    let header = serde_json::to_vec(&header).map_err(text_error)?;
    let mut blob = (header.len() as u32).to_le_bytes().to_vec();
    blob.extend_from_slice(&header);
    files.values().for_each(|bytes| blob.extend_from_slice(bytes));
    Ok(blob)
}

const META: &str = "meta.json";
const STORE: &str = "store";

/// `meta.json` writes the id with dashes, file names without.
fn replace_id(meta: &str, id: &str) -> String {
    let dashed = |id: &str| [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
    meta.replace(&dashed(id), &dashed(INDEX_SEGMENT)).replace(id, INDEX_SEGMENT)
}

/// The document store of an index with one empty document.
static EMPTY_STORE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let one = || -> Result<Vec<u8>> {
        let mut writer = TextIndexWriter::new()?;
        writer.add(None)?;
        let (index, directory) = writer.finish_words()?;
        let metas = index.load_metas().map_err(text_error)?;
        let store = metas.list_segment_files().into_iter().find(|path| path.extension().is_some_and(|e| e == STORE));
        let path = store.ok_or_else(|| Error::internal("tantivy lists no document store"))?;
        read_all(&directory.open_read(&path).map_err(text_error)?)
    };
    one().expect("an index of one document in memory does not fail")
});

fn read_all(file: &FileSlice) -> Result<Vec<u8>> {
    Ok(file.read_bytes().map_err(text_error)?.as_slice().to_vec())
}

pub(super) fn unpack(blob: &[u8]) -> Result<Index> {
    let damaged = || Error::corrupt("a packed text index cut short");
    let (length, rest) = blob.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (header, mut rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
    let header: Header = serde_json::from_slice(header)
        .map_err(|error| Error::corrupt("the header of a packed text index").with_source(error))?;
    let directory = RamDirectory::create();
    let put = |path: &Path, bytes: &[u8]| directory.atomic_write(path, bytes).map_err(text_error);
    for (extension, length) in &header.files {
        let (bytes, after) = rest.split_at_checked(*length).ok_or_else(damaged)?;
        put(&PathBuf::from(format!("{INDEX_SEGMENT}.{extension}")), bytes)?;
        rest = after;
    }
    put(Path::new(META), header.meta.as_bytes())?;
    Index::open(directory).map_err(text_error)
}
