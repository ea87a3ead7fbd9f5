//! The index, written row by row.

use hashbrown::HashMap;
use tantivy::{
    Document, Index,
    directory::RamDirectory,
    indexer::SingleSegmentIndexWriter,
    schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager},
};
use xxhash_rust::xxh3::xxh3_64;

use super::{documents::DocumentsWriter, pack::pack, words::visit_words};
use crate::{
    error::{Error, Result},
    segment::bloom,
};

/// Rows that share one bloom filter.
pub(super) const BLOOM_ROWS: usize = 1024;
const BLOOM_BITS_PER_WORD: usize = 10;

/// Memory that Tantivy may take for its first hash table; it grows with the words, which are few.
const WRITER_BYTES: usize = 16 << 20;

/// Texts that are recognised when they come again: the first ones, as long as they are not more than these.
const MAX_KNOWN: usize = 1 << 16;
const MAX_KNOWN_BYTES: usize = 8 << 20;

/// The blobs of one segment's index.
pub(in crate::segment) struct TextBlobs {
    /// Documents by their plain words.
    pub(in crate::segment) words: Vec<u8>,
    /// Document of each row.
    pub(in crate::segment) documents: Vec<u8>,
    /// Filters of the words that are not plain.
    pub(in crate::segment) filters: Vec<u8>,
}

/// Builds the index of one segment, row by row. Rows with the same plain words in the same order are one document: like
/// lines differ in their ids only.
pub(in crate::segment) struct TextIndexWriter {
    tantivy: SingleSegmentIndexWriter<PlainWords>,
    /// Where Tantivy writes. Read directly, files have their footers.
    directory: RamDirectory,
    field: Field,
    fold: String,
    /// Plain words of the present row, each followed by a space.
    plain: String,
    documents: DocumentsWriter,
    known: HashMap<Box<str>, u32>,
    known_bytes: usize,
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
            plain: String::new(),
            documents: DocumentsWriter::default(),
            known: HashMap::new(),
            known_bytes: 0,
            row_count: 0,
            ids: Vec::new(),
            filters: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Adds the next row's text.
    pub(in crate::segment) fn add(&mut self, text: Option<&str>) -> Result<()> {
        let Self { plain, ids, fold, .. } = self;
        plain.clear();
        visit_words(text.unwrap_or_default(), fold, |word, is_plain| {
            if is_plain {
                plain.push_str(word);
                plain.push(' ');
            } else {
                ids.push(xxh3_64(word.as_bytes()));
            }
        });
        let document = match self.known.get(self.plain.as_str()) {
            Some(document) => *document,
            None => self.add_document()?,
        };
        self.documents.add(document);
        self.row_count += 1;
        if self.row_count.is_multiple_of(BLOOM_ROWS) {
            self.end_block()?;
        }
        Ok(())
    }

    /// The blobs.
    pub(in crate::segment) fn finish(mut self) -> Result<TextBlobs> {
        if !self.row_count.is_multiple_of(BLOOM_ROWS) {
            self.end_block()?;
        }
        let mut filters = (self.ends.len() as u32).to_le_bytes().to_vec();
        self.ends.iter().for_each(|end| filters.extend_from_slice(&end.to_le_bytes()));
        filters.extend_from_slice(&self.filters);
        let documents = std::mem::take(&mut self.documents).finish();
        let (index, directory) = self.finish_words()?;
        Ok(TextBlobs { words: pack(&index, &directory)?, documents, filters })
    }

    /// Tantivy's index, and where it lies.
    pub(super) fn finish_words(self) -> Result<(Index, RamDirectory)> {
        Ok((self.tantivy.finalize().map_err(text_error)?, self.directory))
    }

    /// A document for the plain words at hand.
    fn add_document(&mut self) -> Result<u32> {
        let document = self.documents.count();
        let text = self.plain.clone();
        if self.known.len() < MAX_KNOWN && self.known_bytes + text.len() <= MAX_KNOWN_BYTES {
            self.known_bytes += text.len();
            self.known.insert(text.as_str().into(), document);
        }
        self.tantivy.add_document(PlainWords { field: self.field, text }).map_err(text_error)?;
        Ok(document)
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

pub(super) fn schema() -> (Schema, Field) {
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

/// One document for Tantivy: plain words, each followed by a space.
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

pub(super) fn text_error(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::internal("text index").with_source(error)
}
