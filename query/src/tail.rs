//! Log records as they arrive, through the same search as stored ones.
//!
//! Arriving batches are gathered for a moment and asked the same plan as the store, so that a filter means the same here.
//! A reader that is too slow loses records, never memory, and is told how many.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use arrow::record_batch::RecordBatch;
use futures::Stream;
use storage::{clock::Clock, model::Table, segment::Segment};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc,
};

use crate::{
    Limits, Query, Source, TableSnapshot,
    error::Result,
    logs::{LogRecord, records_in_order},
    search::{Filter, Subject, predicate},
};

/// How long arriving records are gathered.
const GATHER: Duration = Duration::from_millis(200);
/// Records gathered at most before they are looked at.
const MAX_GATHERED_ROWS: usize = 20_000;
/// Records of one event at most; more of one moment are dropped and counted.
const MAX_EVENT_ROWS: usize = 1000;
/// Events waiting for the reader.
const MAX_WAITING: usize = 8;

/// What a reader of the tail is told.
#[derive(Clone, Debug)]
pub enum TailEvent {
    /// Records that arrived, by time.
    Rows(Vec<LogRecord>),
    /// Records that this reader was too slow for.
    Dropped {
        /// How many are known.
        rows: u64,
        /// Whether there may be more: batches were skipped before the search could look at them.
        at_least: bool,
    },
}

impl Query {
    /// Log records on which `filter` holds, from now on. Dropping the stream ends it.
    ///
    /// # Errors
    /// `Invalid` for text that cannot be searched for; `Impossible` over rows that are in no store.
    pub fn tail(&self, filter: Filter) -> Result<impl Stream<Item = TailEvent> + Send + use<>> {
        // Errors show before the stream begins.
        predicate(&filter, Subject::Logs)?;
        let arriving = self.subscribe(Table::Logs)?;
        let (sender, mut events) = mpsc::channel(MAX_WAITING);
        tokio::spawn(Tail { query: self.clone(), filter, sender, lost: Lost::default() }.run(arriving));
        Ok(futures::stream::poll_fn(move |cx| events.poll_recv(cx)))
    }
}

struct Tail {
    query: Query,
    filter: Filter,
    sender: mpsc::Sender<TailEvent>,
    lost: Lost,
}

#[derive(Clone, Copy, Default)]
struct Lost {
    rows: u64,
    at_least: bool,
}

impl Tail {
    async fn run(mut self, mut arriving: broadcast::Receiver<RecordBatch>) {
        let clock = self.query.clock();
        loop {
            let first = tokio::select! {
                () = self.sender.closed() => return,
                first = arriving.recv() => first,
            };
            let mut gathered = VecDeque::new();
            match first {
                Ok(batch) => gathered.push_back(batch),
                Err(RecvError::Lagged(batches)) => self.skipped(batches),
                Err(RecvError::Closed) => return,
            }
            let open = self.gather(&clock, &mut arriving, &mut gathered).await;
            let found = self.matching(gathered).await;
            if !self.tell(found) || !open {
                return;
            }
        }
    }

    /// What arrives within a moment. Whether more can come.
    async fn gather(
        &mut self,
        clock: &Clock,
        arriving: &mut broadcast::Receiver<RecordBatch>,
        gathered: &mut VecDeque<RecordBatch>,
    ) -> bool {
        let until = clock.monotonic() + GATHER;
        let mut rows: usize = gathered.iter().map(RecordBatch::num_rows).sum();
        while rows < MAX_GATHERED_ROWS {
            let left = until.saturating_sub(clock.monotonic());
            match clock.timeout(left, arriving.recv()).await {
                Err(_) => return true,
                Ok(Ok(batch)) => {
                    rows += batch.num_rows();
                    gathered.push_back(batch);
                }
                Ok(Err(RecvError::Lagged(batches))) => self.skipped(batches),
                Ok(Err(RecvError::Closed)) => return false,
            }
        }
        true
    }

    fn skipped(&mut self, batches: u64) {
        self.lost.rows += batches;
        self.lost.at_least = true;
    }

    async fn matching(&mut self, gathered: VecDeque<RecordBatch>) -> Vec<LogRecord> {
        let batches: Vec<_> = gathered.into();
        let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        if rows == 0 {
            return Vec::new();
        }
        match self.search(batches).await {
            Ok(mut found) => {
                let over = found.len().saturating_sub(MAX_EVENT_ROWS);
                self.lost.rows += over as u64;
                // The newest are worth most.
                found.drain(..over);
                found
            }
            Err(error) => {
                // Too many questions at once, mostly: the records are stored, only not shown here.
                tracing::debug!(%error, "a tail skips records");
                self.lost.rows += rows;
                self.lost.at_least = true;
                Vec::new()
            }
        }
    }

    async fn search(&self, batches: Vec<RecordBatch>) -> Result<Vec<LogRecord>> {
        let source: Arc<dyn Source> = Arc::new(Arrived { batches: Arc::new(batches), clock: self.query.clock() });
        let filter = self.filter.clone();
        let limits = Limits { label: "live tail".to_owned(), max_rows: Some(usize::MAX), ..Limits::default() };
        let answer = self
            .query
            .0
            .run_over(&source, limits, move |ctx| async move {
                let rows = ctx.table("logs").await?.filter(predicate(&filter, Subject::Logs)?)?;
                Ok(rows.select_columns(&crate::logs::COLUMNS)?)
            })
            .await?;
        records_in_order(&answer.collect().await?.0)
    }

    /// Hands over without waiting. Whether anybody listens.
    fn tell(&mut self, found: Vec<LogRecord>) -> bool {
        if self.lost.rows > 0 {
            let Lost { rows, at_least } = self.lost;
            match self.sender.try_send(TailEvent::Dropped { rows, at_least }) {
                Ok(()) => self.lost = Lost::default(),
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
                Err(mpsc::error::TrySendError::Full(_)) => {}
            }
        }
        if found.is_empty() {
            return !self.sender.is_closed();
        }
        match self.sender.try_send(TailEvent::Rows(found)) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(TailEvent::Rows(rows))) => {
                self.lost.rows += rows.len() as u64;
                true
            }
            Err(mpsc::error::TrySendError::Full(TailEvent::Dropped { .. })) => true,
        }
    }
}

/// Batches that just arrived, as the only rows there are.
#[derive(Clone, Debug)]
struct Arrived {
    batches: Arc<Vec<RecordBatch>>,
    clock: Clock,
}

impl Source for Arrived {
    fn snapshot(&self) -> Arc<dyn TableSnapshot> {
        Arc::new(self.clone())
    }

    fn clock(&self) -> Clock {
        self.clock.clone()
    }
}

impl TableSnapshot for Arrived {
    fn memtables(&self, table: Table) -> Vec<RecordBatch> {
        if table == Table::Logs { self.batches.to_vec() } else { Vec::new() }
    }

    fn segments(&self, _: Table) -> Vec<Arc<Segment>> {
        Vec::new()
    }
}
