//! Full-text search over the bodies of one segment's log records.
//!
//! Words without a digit are few and indexed exactly with Tantivy: rows with the
//! same ones are one document. Words with a digit are mostly ids:
//! they go into a bloom filter per 1,024 rows. What the index cannot decide is decided on the row, so that the index
//! gives exactly what a scan gives. `docs/format/text-index.md` has the bytes.

mod documents;
mod index;
mod pack;
mod query;
mod rows;
mod words;
mod writer;

pub(super) use self::writer::TextIndexWriter;
pub use self::{
    index::{Candidates, TextIndex},
    query::{Matcher, TextQuery},
    words::words,
};
