//! Runs plans: limits, cancellation, accounting.
//!
//! A query is a task on the query runtime. It sends its schema, then its batches, through a small channel; whoever reads
//! them holds a guard that cancels the task when dropped. A panic inside ends as one error, an operator that does not
//! yield cannot hold the reader beyond the deadline.

use std::{
    collections::HashMap,
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    dataframe::DataFrame,
    physical_plan::{ExecutionPlan, ExecutionPlanVisitor, accept, execute_stream},
    prelude::SessionContext,
};
use futures::{FutureExt, StreamExt};
use storage::{
    clock::Clock,
    model::{Table, TimeRange},
    rollup::{COARSE_STEP_NANO, STEP_NANO},
    segment::Segment,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    Answer, Error, ErrorKind, Result, Rows, SqlRequest, StatsHandle,
    accounting::Cost,
    error::from_datafusion,
    output::Output,
    session::{Sessions, Shares},
    sql,
};

/// Stack of the query runtime's threads: plans are walked by recursion. Only what is used becomes memory.
const STACK_BYTES: usize = 64 << 20;
/// Batches waiting for a slow reader.
const BATCHES_AHEAD: usize = 2;
/// How long a question waits for its turn when `query.max_concurrent` are running.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The reader stops waiting this long after the deadline, should an operator not yield.
const DEADLINE_GRACE: Duration = Duration::from_millis(500);

/// Where rows come from.
pub trait Source: fmt::Debug + Send + Sync {
    /// All tables as they are now.
    fn snapshot(&self) -> Arc<dyn TableSnapshot>;
    /// Deadlines are measured on it.
    fn clock(&self) -> Clock;
}

/// All tables at one moment.
pub trait TableSnapshot: fmt::Debug + Send + Sync {
    /// Rows that are in no segment yet, in the wide schema.
    fn memtables(&self, table: Table) -> Vec<RecordBatch>;
    /// The other rows.
    fn segments(&self, table: Table) -> Vec<Arc<Segment>>;
}

impl Source for storage::Storage {
    fn snapshot(&self) -> Arc<dyn TableSnapshot> {
        Arc::new(Self::snapshot(self))
    }

    fn clock(&self) -> Clock {
        Self::clock(self).clone()
    }
}

impl TableSnapshot for storage::Snapshot {
    fn memtables(&self, table: Table) -> Vec<RecordBatch> {
        Self::memtables(self, table)
    }

    fn segments(&self, table: Table) -> Vec<Arc<Segment>> {
        Self::segments(self, table).to_vec()
    }
}

/// What a question may cost.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// At most `query.max_timeout`; `query.timeout` when absent.
    pub timeout: Option<Duration>,
    /// Rows of the answer at most; `query.max_rows` when absent. More is an error: say LIMIT in the plan to cut.
    pub max_rows: Option<usize>,
    /// Restricts the time column of every table.
    pub range: Option<TimeRange>,
    /// By which name it can be cancelled; made up when absent.
    pub query_id: Option<String>,
    /// What `GET /api/queries` shows for it.
    pub label: String,
}

/// A question that is being answered.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RunningQuery {
    /// Its name.
    pub query_id: String,
    /// The statement, or what it is about.
    pub text: String,
    /// How long it has been running.
    pub elapsed_ms: u64,
    /// Its cost so far.
    pub stats: crate::Stats,
}

struct Running {
    text: String,
    cost: Arc<Cost>,
    cancel: CancellationToken,
}

type Registry = Arc<Mutex<HashMap<String, Running>>>;

/// Takes a question off the list when it has ended.
struct Registered {
    registry: Registry,
    query_id: String,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.query_id);
    }
}

pub(crate) struct Engine {
    source: Arc<dyn Source>,
    clock: Clock,
    sessions: Arc<Sessions>,
    settings: config::Query,
    fine_age: Duration,
    /// `None` only while it is dropped.
    runtime: Option<tokio::runtime::Runtime>,
    turns: Arc<Semaphore>,
    running: Registry,
    next_id: AtomicU64,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // An engine may be dropped inside another runtime, where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// What a query tells its reader before the rows.
type Head = Result<SchemaRef>;

/// What the reader of a query holds.
struct Reading {
    rows: mpsc::Receiver<Result<RecordBatch>>,
    deadline: Duration,
    cost: Arc<Cost>,
    clock: Clock,
    _cancel_on_drop: DropGuard,
}

impl Engine {
    pub(crate) fn new(source: Arc<dyn Source>, config: &config::Config) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores)
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| Error::internal(format!("the query runtime cannot start: {error}")))?;
        let spill = config.storage.data_dir.join("spill");
        // What a killed server left behind belongs to no query.
        let _ = std::fs::remove_dir_all(&spill);
        let shares = Shares {
            memory_bytes: usize::try_from(config.memory.query_bytes()).unwrap_or(usize::MAX),
            spill_bytes: config.query.max_spill.as_u64(),
            spill_directory: std::fs::create_dir_all(&spill).is_ok().then_some(spill),
            partitions: cores,
        };
        Ok(Self {
            clock: source.clock(),
            source,
            sessions: Arc::new(Sessions::new(&shares).map_err(|error| from_datafusion(error, None))?),
            settings: config.query.clone(),
            fine_age: config.rollup.fine_age,
            runtime: Some(runtime),
            turns: Arc::new(Semaphore::new(config.query.max_concurrent)),
            running: Registry::default(),
            next_id: AtomicU64::default(),
        })
    }

    /// Length of the steps in which calls since `unix_nano` are counted: long ones when any of them may be.
    pub(crate) fn counted_step_nano(&self, unix_nano: i64) -> i64 {
        let fine_age = i64::try_from(self.fine_age.as_nanos()).unwrap_or(i64::MAX);
        let fine_from = self.clock.now_unix_nano().saturating_sub(fine_age);
        if unix_nano >= fine_from { STEP_NANO } else { COARSE_STEP_NANO }
    }

    pub(crate) async fn sql(&self, request: SqlRequest) -> Result<Answer> {
        let limits = Limits {
            timeout: request.timeout,
            max_rows: None,
            range: request.range,
            query_id: request.query_id.clone(),
            label: request.text.clone(),
        };
        let bounds = self.bounds();
        let text = Arc::<str>::from(request.text.as_str());
        self.start(limits, Some(text), &self.source, move |context| async move {
            sql::plan(&context, &request, bounds).await
        })
        .await
    }

    pub(crate) async fn explain(&self, request: SqlRequest) -> Result<String> {
        let bounds = self.bounds();
        let limits = Limits {
            timeout: request.timeout,
            range: request.range,
            query_id: request.query_id.clone(),
            label: format!("EXPLAIN {}", request.text),
            ..Limits::default()
        };
        let text = Arc::<str>::from(request.text.as_str());
        let answer = self.start(limits, Some(text), &self.source, move |context| async move {
            sql::explain(&context, &request, bounds).await
        });
        sql::explanation(&answer.await?.collect().await?.0)
    }

    pub(crate) async fn run<B, F>(&self, limits: Limits, build: B) -> Result<Answer>
    where
        B: FnOnce(SessionContext) -> F + Send + 'static,
        F: Future<Output = Result<DataFrame>> + Send + 'static,
    {
        self.start(limits, None, &self.source, build).await
    }

    /// As [`Self::run`], over other rows than the store's.
    pub(crate) async fn run_over<B, F>(&self, source: &Arc<dyn Source>, limits: Limits, build: B) -> Result<Answer>
    where
        B: FnOnce(SessionContext) -> F + Send + 'static,
        F: Future<Output = Result<DataFrame>> + Send + 'static,
    {
        self.start(limits, None, source, build).await
    }

    pub(crate) fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    fn bounds(&self) -> crate::guard::Bounds {
        crate::guard::Bounds {
            bytes: self.settings.max_statement_size.as_usize(),
            depth: self.settings.max_statement_depth,
        }
    }

    async fn start<B, F>(
        &self,
        limits: Limits,
        text: Option<Arc<str>>,
        source: &Arc<dyn Source>,
        build: B,
    ) -> Result<Answer>
    where
        B: FnOnce(SessionContext) -> F + Send + 'static,
        F: Future<Output = Result<DataFrame>> + Send + 'static,
    {
        let Some(runtime) = &self.runtime else { return Err(Error::internal("the query runtime is gone")) };
        let cost = Cost::new(self.clock.clone());
        let deadline = limits.timeout.unwrap_or(self.settings.timeout).min(self.settings.max_timeout);
        let max_rows = limits.max_rows.unwrap_or(self.settings.max_rows);
        let cancel = CancellationToken::new();
        let registered = self.register(limits.query_id, limits.label, &cost, &cancel)?;
        let query_id = registered.query_id.clone();
        let cancel_on_drop = cancel.clone().drop_guard();
        let turn = self.turn(deadline).await?;

        let (head_sender, head) = oneshot::channel();
        let (sender, rows) = mpsc::channel(BATCHES_AHEAD);
        let task = Task {
            sessions: Arc::clone(&self.sessions),
            source: Arc::clone(source),
            range: limits.range,
            cost: Arc::clone(&cost),
            clock: self.clock.clone(),
            deadline,
            max_rows,
            text,
        };
        runtime.spawn(task.run(build, head_sender, sender, cancel, registered, turn));

        let grace = deadline.saturating_sub(cost.elapsed()) + DEADLINE_GRACE;
        let schema = match self.clock.timeout(grace, head).await {
            Ok(Ok(head)) => head?,
            Ok(Err(_)) => return Err(Error::internal("the query ended without an answer")),
            Err(_) => return Err(too_slow(deadline)),
        };
        let reading = Reading {
            rows,
            deadline,
            cost: Arc::clone(&cost),
            clock: self.clock.clone(),
            _cancel_on_drop: cancel_on_drop,
        };
        Ok(Answer { schema, rows: reading.into_rows(), stats: StatsHandle::new(move || cost.stats()), query_id })
    }

    async fn turn(&self, deadline: Duration) -> Result<OwnedSemaphorePermit> {
        let wait = deadline.min(MAX_WAIT);
        match self.clock.timeout(wait, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(Error::new(ErrorKind::Unavailable, "the server is stopping")),
            Err(_) => Err(Error::new(
                ErrorKind::Overloaded,
                format!("{} queries are running already, which is query.max_concurrent", self.settings.max_concurrent),
            )),
        }
    }

    fn register(
        &self,
        query_id: Option<String>,
        text: String,
        cost: &Arc<Cost>,
        cancel: &CancellationToken,
    ) -> Result<Registered> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let query_id = match query_id {
            Some(id) if running.contains_key(&id) => {
                return Err(Error::invalid(format!("a query named {id:?} is running already")));
            }
            Some(id) if id.is_empty() || id.len() > 128 => {
                return Err(Error::invalid("a query_id has 1 to 128 bytes"));
            }
            Some(id) => id,
            None => format!("q{}-{:x}", self.next_id.fetch_add(1, Relaxed), self.clock.now_unix_nano()),
        };
        let entry = Running { text, cost: Arc::clone(cost), cancel: cancel.clone() };
        running.insert(query_id.clone(), entry);
        Ok(Registered { registry: Arc::clone(&self.running), query_id })
    }

    pub(crate) fn running(&self) -> Vec<RunningQuery> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<RunningQuery> = running
            .iter()
            .map(|(query_id, query)| {
                let stats = query.cost.stats();
                RunningQuery {
                    query_id: query_id.clone(),
                    text: query.text.clone(),
                    elapsed_ms: stats.elapsed_ms,
                    stats,
                }
            })
            .collect();
        list.sort_by(|a, b| b.elapsed_ms.cmp(&a.elapsed_ms).then_with(|| a.query_id.cmp(&b.query_id)));
        list
    }

    pub(crate) fn cancel(&self, query_id: &str) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let found = running.get(query_id);
        if let Some(query) = found {
            query.cancel.cancel();
        }
        found.is_some()
    }
}

fn too_slow(deadline: Duration) -> Error {
    Error::new(ErrorKind::Deadline, format!("the query did not end within {} s", deadline.as_secs_f64()))
        .hint("narrow the time range or the conditions, or allow more time with timeout")
}

impl Reading {
    /// The rows until the end, an error, or the deadline.
    fn into_rows(self) -> Rows {
        Rows::new(futures::stream::unfold(Some(self), |reading| async move {
            let mut reading = reading?;
            let left = reading.deadline.saturating_sub(reading.cost.elapsed()) + DEADLINE_GRACE;
            match reading.clock.timeout(left, reading.rows.recv()).await {
                Ok(Some(Ok(batch))) => {
                    reading.cost.add_answered(batch.num_rows());
                    Some((Ok(batch), Some(reading)))
                }
                Ok(Some(Err(error))) => Some((Err(error), None)),
                Ok(None) if reading.cost.stats().complete => None,
                Ok(None) | Err(_) => {
                    let error = too_slow(reading.deadline);
                    Some((Err(error), None))
                }
            }
        }))
    }
}

/// One question on the query runtime.
struct Task {
    sessions: Arc<Sessions>,
    source: Arc<dyn Source>,
    range: Option<TimeRange>,
    cost: Arc<Cost>,
    clock: Clock,
    deadline: Duration,
    max_rows: usize,
    text: Option<Arc<str>>,
}

impl Task {
    async fn run<B, F>(
        self,
        build: B,
        head: oneshot::Sender<Head>,
        rows: mpsc::Sender<Result<RecordBatch>>,
        cancel: CancellationToken,
        registered: Registered,
        turn: OwnedSemaphorePermit,
    ) where
        B: FnOnce(SessionContext) -> F + Send + 'static,
        F: Future<Output = Result<DataFrame>> + Send + 'static,
    {
        let mut head = Some(head);
        let left = self.deadline.saturating_sub(self.cost.elapsed());
        let work = AssertUnwindSafe(self.answer(build, &mut head, &rows)).catch_unwind();
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::new(ErrorKind::Deadline, "the query was cancelled")),
            outcome = self.clock.timeout(left, work) => match outcome {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => Err(panicked(panic.as_ref())),
                Err(_) => Err(too_slow(self.deadline)),
            },
        };
        self.cost.end(outcome.is_ok());
        drop((registered, turn));
        if let Err(error) = outcome {
            // Either may be gone: then nobody waits for the error.
            match head.take() {
                Some(head) => drop(head.send(Err(error))),
                None => drop(self.clock.timeout(MAX_WAIT, rows.send(Err(error))).await),
            }
        }
    }

    async fn answer<B, F>(
        &self,
        build: B,
        head: &mut Option<oneshot::Sender<Head>>,
        rows: &mpsc::Sender<Result<RecordBatch>>,
    ) -> Result<()>
    where
        B: FnOnce(SessionContext) -> F + Send + 'static,
        F: Future<Output = Result<DataFrame>> + Send + 'static,
    {
        let readable = |error| from_datafusion(error, self.text.as_deref());
        // Held to the end: the files of a snapshot stay as long as it does.
        let snapshot = self.source.snapshot();
        let context = self.sessions.over(&snapshot, &self.cost, self.range).map_err(readable)?;
        let frame = build(context).await?;
        let tasks = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await.map_err(readable)?;
        let output = Output::of(&plan.schema());
        let mut stream = execute_stream(Arc::clone(&plan), tasks).map_err(readable)?;
        if let Some(head) = head.take() {
            drop(head.send(Ok(output.schema())));
        }
        let mut left = self.max_rows;
        while let Some(batch) = stream.next().await {
            let batch = output.convert(&batch.map_err(readable)?).map_err(readable)?;
            if batch.num_rows() == 0 {
                continue;
            }
            let Some(rest) = left.checked_sub(batch.num_rows()) else {
                return Err(Error::too_large(format!("the answer has more than {} rows", self.max_rows))
                    .hint("add LIMIT, or aggregate"));
            };
            left = rest;
            if rows.send(Ok(batch)).await.is_err() {
                return Err(Error::new(ErrorKind::Deadline, "nobody reads the answer any more"));
            }
        }
        let mut counter = RowCounter { rows: 0 };
        let _ = accept(plan.as_ref(), &mut counter);
        self.cost.add_rows(counter.rows);
        drop(snapshot);
        Ok(())
    }
}

/// Adds up the rows that segment scans looked at.
struct RowCounter {
    rows: usize,
}

impl ExecutionPlanVisitor for RowCounter {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, plan: &dyn ExecutionPlan) -> std::result::Result<bool, Self::Error> {
        if plan.name() == "DataSourceExec"
            && let Some(metrics) = plan.metrics()
        {
            let count = |name: &str| metrics.sum_by_name(name).map_or(0, |value| value.as_usize());
            let filtered = count("pushdown_rows_pruned") + count("pushdown_rows_matched");
            self.rows += if filtered > 0 { filtered } else { metrics.output_rows().unwrap_or(0) };
        }
        Ok(true)
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(%message, "a query panicked");
    Error::internal("the query failed inside the server; its log has the details")
}
