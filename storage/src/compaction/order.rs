//! The order of a merge's output: which input each row comes from. The inputs are sorted, so that a batch of the sort
//! columns of each is all that has to be known of them at a time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    sync::Arc,
    vec,
};

use futures::TryStreamExt;
use parquet::arrow::async_reader::ParquetRecordBatchStream;

use crate::{
    error::{Error, Result},
    model::Table,
    schema::sort_key,
    segment::{
        Segment, SegmentReader,
        order::{self, Key, KeyMaker},
        write::CHUNK_ROWS,
    },
};

/// Keys of all inputs in order. The *batch* of a key is its input, its row the row there.
pub(super) struct MergeOrder {
    keys: KeyMaker,
    cursors: Vec<Cursor>,
    /// The next key of each input.
    heads: BinaryHeap<Reverse<Key>>,
    /// See [`order::has_even_times`].
    pub(super) has_even_times: bool,
}

impl MergeOrder {
    pub(super) async fn open(table: Table, inputs: &[Arc<Segment>]) -> Result<Self> {
        let mut keys = KeyMaker::new(table)?;
        for input in inputs {
            see_labels(&mut keys, input).await?;
        }
        keys.rank();
        let has_even_times = table.has_series() && have_even_times(&keys, inputs).await?;
        let mut order = Self { keys, cursors: Vec::new(), heads: BinaryHeap::new(), has_even_times };
        for (i, input) in inputs.iter().enumerate() {
            order.cursors.push(Cursor::open(i, input).await?);
            order.refill(i).await?;
        }
        Ok(order)
    }

    /// The next `rows` keys, or a few more: a piece does not end between keys that go `together`. Empty at the end.
    pub(super) async fn next_piece(&mut self, rows: usize, together: impl Fn(&Key, &Key) -> bool) -> Result<Vec<Key>> {
        let mut piece: Vec<Key> = Vec::with_capacity(rows);
        while let Some(Reverse(key)) = self.heads.peek().copied() {
            if piece.len() >= rows.max(1) && piece.last().is_some_and(|last| !together(last, &key)) {
                break;
            }
            piece.push(key);
            let input = key.position().0;
            if !self.advance(input)? {
                self.refill(input).await?;
            }
        }
        Ok(piece)
    }

    /// Replaces the first head, which is that of `input`, by the key after it; `false` when its batch is at an end.
    fn advance(&mut self, input: usize) -> Result<bool> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(false) };
        match self.cursors[input].next()? {
            Some(key) => head.0 = key,
            None => {
                PeekMut::pop(head);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the next keys of an input that has no head.
    async fn refill(&mut self, input: usize) -> Result<()> {
        if let Some(key) = self.cursors[input].read(&self.keys).await? {
            self.heads.push(Reverse(key));
        }
        Ok(())
    }
}

async fn see_labels(keys: &mut KeyMaker, input: &Arc<Segment>) -> Result<()> {
    let mut stream = input.stream(Some(keys.label_columns()), CHUNK_ROWS).await?;
    while let Some(rows) = stream.try_next().await.map_err(|error| input.read_error(error))? {
        keys.see(&rows)?;
    }
    Ok(())
}

/// Told from the first rows of each input.
async fn have_even_times(keys: &KeyMaker, inputs: &[Arc<Segment>]) -> Result<bool> {
    let (mut even, mut seen) = (0, 0);
    for (i, input) in inputs.iter().enumerate() {
        let mut cursor = Cursor::open(i, input).await?;
        cursor.read(keys).await?;
        let of_input = order::even_times(cursor.keys.as_slice());
        (even, seen) = (even + of_input.0, seen + of_input.1);
    }
    Ok(even * 2 >= seen)
}

/// The keys of one input.
struct Cursor {
    input: u32,
    segment: Arc<Segment>,
    stream: ParquetRecordBatchStream<SegmentReader>,
    keys: vec::IntoIter<Key>,
    next_row: u32,
    last: Option<Key>,
}

impl Cursor {
    async fn open(input: usize, segment: &Arc<Segment>) -> Result<Self> {
        let stream = segment.stream(Some(sort_key(segment.meta().table)), CHUNK_ROWS).await?;
        let keys = Vec::new().into_iter();
        Ok(Self { input: input as u32, segment: Arc::clone(segment), stream, keys, next_row: 0, last: None })
    }

    /// The next key of the batch that was read.
    fn next(&mut self) -> Result<Option<Key>> {
        let Some(key) = self.keys.next() else { return Ok(None) };
        if self.last.is_some_and(|last| last > key) {
            let row = key.position().1;
            return Err(Error::corrupt(format!(
                "{} is not sorted: row {row} comes out of order",
                self.segment.meta().path
            )));
        }
        self.last = Some(key);
        Ok(Some(key))
    }

    /// Reads another batch; its first key.
    async fn read(&mut self, maker: &KeyMaker) -> Result<Option<Key>> {
        let rows = self.stream.try_next().await.map_err(|error| self.segment.read_error(error))?;
        let Some(rows) = rows else { return Ok(None) };
        let mut keys = Vec::with_capacity(rows.num_rows());
        maker.keys(self.input, self.next_row, &rows, &mut keys)?;
        self.next_row += rows.num_rows() as u32;
        self.keys = keys.into_iter();
        self.next()
    }
}
