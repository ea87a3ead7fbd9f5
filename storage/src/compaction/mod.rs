//! Small segments become larger ones.

pub mod merge;
mod order;
pub mod plan;
