//! Where the bytes of a segment file go: through, all but the tail, which is kept until it can be sealed.

use std::io::{self, Write};

use super::checksum::{self, Blocks};
use crate::error::{Error, Result};

/// What a segment is written to.
pub(super) struct Output<'a> {
    sink: &'a mut (dyn Write + Send),
    written: u64,
    blocks: Blocks,
    /// From its beginning on.
    tail: Option<Vec<u8>>,
}

impl<'a> Output<'a> {
    pub(super) fn new(sink: &'a mut (dyn Write + Send)) -> Self {
        Self { sink, written: 0, blocks: Blocks::default(), tail: None }
    }

    /// Begins the tail. How many bytes come before it, and their checksums.
    pub(super) fn begin_tail(&mut self) -> (u64, Vec<u8>) {
        self.tail = Some(Vec::new());
        (self.written, std::mem::take(&mut self.blocks).finish())
    }

    /// Seals and writes the tail. Its length.
    pub(super) fn finish(self) -> Result<u64> {
        let mut tail = self.tail.ok_or_else(|| Error::internal("a segment without a tail"))?;
        checksum::seal(&mut tail)?;
        self.sink.write_all(&tail).map_err(unwritten)?;
        Ok(tail.len() as u64)
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(tail) = &mut self.tail {
            tail.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let count = self.sink.write(bytes)?;
        self.blocks.add(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// The disk did not take it.
pub(super) fn unwritten(error: io::Error) -> Error {
    Error::unavailable("a segment cannot be written").with_source(error)
}
