//! Log records: pages of them, counts over time, and the fields that narrow a search.
//!
//! A page is ordered by (timestamp, content hash, copy number), which does not change when a record moves from memory to a
//! segment; a [`Cursor`] is the place of a page's last record in that order.

mod fields;
mod histogram;
mod page;
mod record;

pub use self::{
    fields::{FieldCounts, LogFields},
    histogram::{Histogram, HistogramRequest},
    page::{Cursor, LogPage, LogSearch},
    record::{LogRecord, RowId},
};
pub(crate) use self::{page::records_in_order, record::COLUMNS};
