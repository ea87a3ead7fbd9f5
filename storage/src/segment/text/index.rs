//! The index itself: written in row order, asked for candidate rows.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tantivy::{
    DocSet, Document, Index, TERMINATED, Term,
    directory::{Directory, RamDirectory},
    index::InvertedIndexReader,
    indexer::SingleSegmentIndexWriter,
    schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager},
};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    TextQuery,
    rows::Rows,
    words::{is_plain, visit_words, words},
};
use crate::{
    error::{Error, Result},
    segment::bloom,
};

/// Rows that share one bloom filter.
const BLOOM_ROWS: usize = 1024;
const BLOOM_BITS_PER_WORD: usize = 10;

/// Memory that Tantivy may take for its first hash table; it grows with the words, which are few.
const WRITER_BYTES: usize = 16 << 20;

/// Tantivy names files after a random id; in a blob they have this one, so that equal rows give equal bytes.
const INDEX_SEGMENT: &str = "00000000000000000000000000000000";

/// Rows that may answer a search: every row that does is among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Sorted, disjoint row ranges of the segment.
    pub rows: Vec<Range<usize>>,
    /// Every candidate is a match: nothing to verify on the row.
    pub exact: bool,
}

/// Builds the index of one segment, row by row.
pub(in crate::segment) struct TextIndexWriter {
    tantivy: SingleSegmentIndexWriter<PlainWords>,
    /// Where Tantivy writes. Read directly, files have their footers.
    directory: RamDirectory,
    field: Field,
    fold: String,
    row_count: usize,
    /// Hashes of the words with a digit in the present block of rows.
    ids: Vec<u64>,
    filters: Vec<u8>,
    /// Bytes of `filters` after each block of rows.
    ends: Vec<u32>,
}

impl TextIndexWriter {
    pub(in crate::segment) fn new() -> Result<Self> {
        let (schema, field) = schema();
        let directory = RamDirectory::create();
        let tantivy = Index::builder()
            .schema(schema)
            .tokenizers(tokenizers())
            .single_segment_index_writer(directory.clone(), WRITER_BYTES)
            .map_err(text_error)?;
        Ok(Self {
            tantivy,
            directory,
            field,
            fold: String::new(),
            row_count: 0,
            ids: Vec::new(),
            filters: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Adds the next row's text.
    pub(in crate::segment) fn add(&mut self, text: Option<&str>) -> Result<()> {
        let text = text.unwrap_or_default();
        let mut plain = String::with_capacity(text.len());
        let ids = &mut self.ids;
        visit_words(text, &mut self.fold, |word, is_plain| {
            if is_plain {
                plain.push_str(word);
                plain.push(' ');
            } else {
                ids.push(xxh3_64(word.as_bytes()));
            }
        });
        self.tantivy.add_document(PlainWords { field: self.field, text: plain }).map_err(text_error)?;
        self.row_count += 1;
        if self.row_count.is_multiple_of(BLOOM_ROWS) {
            self.end_block()?;
        }
        Ok(())
    }

    /// The blobs: words, and filters of the words with a digit.
    pub(in crate::segment) fn finish(mut self) -> Result<(Vec<u8>, Vec<u8>)> {
        if !self.row_count.is_multiple_of(BLOOM_ROWS) {
            self.end_block()?;
        }
        let index = self.tantivy.finalize().map_err(text_error)?;
        let mut filters = (self.ends.len() as u32).to_le_bytes().to_vec();
        self.ends.iter().for_each(|end| filters.extend_from_slice(&end.to_le_bytes()));
        filters.extend_from_slice(&self.filters);
        Ok((pack(&index, &self.directory)?, filters))
    }

    fn end_block(&mut self) -> Result<()> {
        self.ids.sort_unstable();
        self.ids.dedup();
        bloom::write(&self.ids, BLOOM_BITS_PER_WORD, &mut self.filters);
        self.ids.clear();
        let end = u32::try_from(self.filters.len())
            .map_err(|_| Error::internal("the word filters of one segment exceed 4 GiB"))?;
        self.ends.push(end);
        Ok(())
    }
}

/// The text index of one segment, in memory.
pub struct TextIndex {
    row_count: usize,
    words: Arc<InvertedIndexReader>,
    field: Field,
    ends: Vec<u32>,
    filters: Bytes,
}

impl fmt::Debug for TextIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextIndex").field("row_count", &self.row_count).finish_non_exhaustive()
    }
}

impl TextIndex {
    /// Opens the two blobs of [`TextIndexWriter::finish`], whose checksums have been verified.
    pub(in crate::segment) fn open(words: &[u8], filters: Bytes, row_count: usize) -> Result<Self> {
        let index = unpack(words)?;
        let segments = index.searchable_segments().map_err(text_error)?;
        let segment = segments.first().ok_or_else(|| Error::corrupt("a text index without index segment"))?;
        let reader = tantivy::SegmentReader::open(segment).map_err(text_error)?;
        let (_, field) = schema();
        let (ends, filters) = read_filters(filters).ok_or_else(|| Error::corrupt("word filters cut short"))?;
        if reader.max_doc() as usize != row_count || ends.len() != row_count.div_ceil(BLOOM_ROWS) {
            return Err(Error::corrupt(format!(
                "a text index of {} rows in a segment of {row_count}",
                reader.max_doc()
            )));
        }
        Ok(Self { row_count, words: reader.inverted_index(field).map_err(text_error)?, field, ends, filters })
    }

    /// The rows to look at for this search.
    pub fn candidates(&self, query: &TextQuery) -> Candidates {
        // Reading from memory does not fail; if it does, the scan decides.
        let (rows, exact) = self.find(query).unwrap_or_else(|_| (Rows::all(self.row_count), false));
        Candidates { rows: rows.into_ranges(), exact }
    }

    fn find(&self, query: &TextQuery) -> Result<(Rows, bool)> {
        match query {
            // Rows without a text answer neither a search nor its opposite: only the row itself tells.
            TextQuery::All | TextQuery::Not(_) => Ok((Rows::all(self.row_count), false)),
            // A word with a digit may begin so, and those can only be asked for whole.
            TextQuery::Prefix(_) => Ok((Rows::all(self.row_count), false)),
            TextQuery::Word(word) => self.find_words(words(word)),
            TextQuery::Phrase(phrase) => self.find_words(phrase.iter().flat_map(|part| words(part))),
            TextQuery::And(parts) => {
                let mut found = (Rows::all(self.row_count), !parts.is_empty());
                for part in parts {
                    let (rows, exact) = self.find(part)?;
                    found = (found.0.intersection(&rows), found.1 && exact);
                }
                Ok(found)
            }
            TextQuery::Or(parts) => {
                let mut found = (Rows::default(), true);
                for part in parts {
                    let (rows, exact) = self.find(part)?;
                    found = (found.0.union(&rows), found.1 && exact);
                }
                Ok(found)
            }
        }
    }

    /// Rows with all of these words, in whatever order.
    fn find_words<W: AsRef<str>>(&self, words: impl Iterator<Item = W>) -> Result<(Rows, bool)> {
        let mut found: Option<Rows> = None;
        let (mut count, mut plain) = (0, true);
        for word in words {
            let word = word.as_ref();
            count += 1;
            let rows = if is_plain(word) {
                self.rows_with(word)?
            } else {
                plain = false;
                self.blocks_with(word)
            };
            found = Some(found.map_or_else(|| rows.clone(), |found| found.intersection(&rows)));
        }
        Ok(found.map_or_else(|| (Rows::all(self.row_count), false), |rows| (rows, plain && count == 1)))
    }

    fn rows_with(&self, word: &str) -> Result<Rows> {
        let term = Term::from_field_text(self.field, word);
        let postings = self.words.read_postings(&term, IndexRecordOption::Basic).map_err(text_error)?;
        let mut rows = Rows::default();
        if let Some(mut postings) = postings {
            let mut row = postings.doc();
            while row != TERMINATED {
                rows.push(row as usize..row as usize + 1);
                row = postings.advance();
            }
        }
        Ok(rows)
    }

    fn blocks_with(&self, word: &str) -> Rows {
        let hash = xxh3_64(word.as_bytes());
        let mut rows = Rows::default();
        let mut start = 0;
        for (block, end) in self.ends.iter().map(|end| *end as usize).enumerate() {
            if self.filters.get(start..end).is_some_and(|filter| bloom::may_contain(filter, hash)) {
                let first = block * BLOOM_ROWS;
                rows.push(first..(first + BLOOM_ROWS).min(self.row_count));
            }
            start = end;
        }
        rows
    }
}

fn read_filters(blob: Bytes) -> Option<(Vec<u32>, Bytes)> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_le_bytes);
    let count = number(blob.get(..4)?)? as usize;
    let ends = blob.get(4..4 + count.checked_mul(4)?)?;
    let ends: Vec<u32> = ends.chunks_exact(4).filter_map(number).collect();
    Some((ends, blob.slice(4 + count * 4..)))
}

fn schema() -> (Schema, Field) {
    let mut schema = Schema::builder();
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_index_option(IndexRecordOption::Basic)
        .set_fieldnorms(false);
    let field = schema.add_text_field("body", TextOptions::default().set_indexing_options(indexing));
    (schema.build(), field)
}

const TOKENIZER: &str = "spaces";

fn tokenizers() -> TokenizerManager {
    let tokenizers = TokenizerManager::new();
    tokenizers.register(TOKENIZER, TextAnalyzer::builder(Spaces::default()).build());
    tokenizers
}

/// One row for Tantivy: its plain words, each followed by a space.
struct PlainWords {
    field: Field,
    text: String,
}

impl Document for PlainWords {
    type Value<'a> = &'a str;
    type FieldsValuesIter<'a> = std::option::IntoIter<(Field, &'a str)>;

    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        (!self.text.is_empty()).then_some((self.field, self.text.as_str())).into_iter()
    }
}

/// Splits at spaces; the words have been found and folded before.
#[derive(Clone, Default)]
struct Spaces(Token);

struct SpacesStream<'a> {
    rest: &'a str,
    token: &'a mut Token,
}

impl Tokenizer for Spaces {
    type TokenStream<'a> = SpacesStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> SpacesStream<'a> {
        self.0.reset();
        SpacesStream { rest: text, token: &mut self.0 }
    }
}

impl TokenStream for SpacesStream<'_> {
    fn advance(&mut self) -> bool {
        let Some((word, rest)) = self.rest.split_once(' ') else { return false };
        self.rest = rest;
        self.token.text.clear();
        self.token.text.push_str(word);
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

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
fn pack(index: &Index, directory: &RamDirectory) -> Result<Vec<u8>> {
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
        let index = writer.tantivy.finalize().map_err(text_error)?;
        let metas = index.load_metas().map_err(text_error)?;
        let store = metas.list_segment_files().into_iter().find(|path| path.extension().is_some_and(|e| e == STORE));
        let path = store.ok_or_else(|| Error::internal("tantivy lists no document store"))?;
        read_all(&writer.directory.open_read(&path).map_err(text_error)?)
    };
    one().expect("an index of one document in memory does not fail")
});

fn read_all(file: &tantivy::directory::FileSlice) -> Result<Vec<u8>> {
    Ok(file.read_bytes().map_err(text_error)?.as_slice().to_vec())
}

fn unpack(blob: &[u8]) -> Result<Index> {
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

fn text_error(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::internal("text index").with_source(error)
}
