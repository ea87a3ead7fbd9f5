//! One segment: an immutable Parquet file with its indexes inside.
//!
//! [`build`] turns rows into files, one per time bucket: sort, give frequent attribute keys a column (`schema::layout`),
//! write Parquet, put the indexes between the last row group and the footer, add checksums. [`Segment`] reads one back:
//! the tail first, then only checked blocks. `docs/format/segment.md` has the bytes.

mod bloom;
mod cache;
mod checksum;
pub(crate) mod describe;
pub(crate) mod gather;
pub(crate) mod lineage;
mod meta;
pub mod number;
pub(crate) mod order;
mod output;
mod properties;
mod read;
mod series;
pub(crate) mod shred;
pub mod text;
mod trace;
pub(crate) mod write;

pub(crate) use self::write::FORMAT_VERSION;
pub use self::{
    cache::SegmentCache,
    lineage::{Flush, Lineage, Made, Part},
    meta::{BlobPlace, SegmentId, SegmentMeta},
    read::{Segment, SegmentReader},
    series::SeriesTable,
    text::{Candidates, TextIndex, TextQuery},
    write::{BuiltSegment, WrittenSegment, build},
};

#[cfg(test)]
mod tests;
