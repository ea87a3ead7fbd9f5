//! Small segments become larger ones.

pub mod merge;
pub mod plan;
