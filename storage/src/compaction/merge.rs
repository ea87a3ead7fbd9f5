//! Sorted segments of one time bucket become one, its indexes rebuilt in the same row order.

use std::sync::Arc;

use crate::{
    error::{Error, Result},
    segment::{BuiltSegment, Segment},
};

/// The rows of all `inputs` in one segment. Holds about `memory_bytes` at once, whatever the size of the inputs.
/// All inputs are of one tenant, table and time bucket.
pub async fn merge(inputs: &[Arc<Segment>], settings: &config::Storage, memory_bytes: usize) -> Result<BuiltSegment> {
    let _ = (inputs, settings, memory_bytes);
    Err(Error::invalid("not built yet"))
}
