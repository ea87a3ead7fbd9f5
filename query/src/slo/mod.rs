//! Good and total -> budget left, burn rate -> present status.
//!
//! `evaluate` reads new rows of `span_metrics` every few seconds, `indicator` shares them out among the objectives, `counts`
//! holds them by time, `budget` turns sums over windows into numbers and a state, and `board` shows the outcome to whoever
//! asks. What fires or is resolved goes on to `alert`.

pub mod board;
pub mod budget;
pub mod counts;
mod edit;
pub mod evaluate;
pub mod indicator;
pub mod task;
