//! Full-text search over the bodies of one segment's log records.
//!
//! Words without a digit are few and indexed exactly with Tantivy (document id = row). Words with a digit are mostly ids:
//! they go into a bloom filter per 1,024 rows. What the index cannot decide is decided on the row, so that the index
//! gives exactly what a scan gives. `docs/format/text-index.md` has the bytes.

mod index;
mod query;
mod rows;
mod words;

pub(super) use self::index::TextIndexWriter;
pub use self::{
    index::{Candidates, TextIndex},
    query::{Matcher, TextQuery},
    words::words,
};
