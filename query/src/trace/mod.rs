//! Traces: one with its spans put in order, or those with a span that a search describes.

mod load;
mod search;
mod tree;

pub use self::{
    load::{Event, Link, Span, Trace, TraceService},
    search::{SpanSummary, TracePage, TraceSearch, TraceSummary},
    tree::Gap,
};
