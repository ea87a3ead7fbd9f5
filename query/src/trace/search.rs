//! Traces with a span on which all conditions hold.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use arrow::{array::Array, record_batch::RecordBatch};
use datafusion::{
    functions_aggregate::expr_fn::max,
    logical_expr::{col, lit},
    prelude::SessionContext,
};
use futures::StreamExt;
use storage::model::{Table, TimeRange};

use super::TraceService;
use crate::{
    Answer, Limits, Query, Stats,
    columns::Columns,
    cost::Cost,
    error::Result,
    search::{Filter, Order, Slices, Subject, during, predicate},
};

/// Which traces are wanted.
#[derive(Clone, Debug)]
pub struct TraceSearch {
    /// What holds on one span of the trace.
    pub filter: Filter,
    /// When that span started.
    pub range: TimeRange,
    /// How many traces at most.
    pub limit: usize,
    /// At most `query.max_timeout`.
    pub timeout: Option<Duration>,
    /// By which name it can be cancelled.
    pub query_id: Option<String>,
}

/// Traces found.
#[derive(Clone, Debug)]
pub struct TracePage {
    /// By start of the newest matching span, the newest first.
    pub traces: Vec<TraceSummary>,
    /// What it cost.
    pub stats: Stats,
}

/// One trace in a list; its counts are those of the whole trace.
#[derive(Clone, Debug)]
pub struct TraceSummary {
    /// 32 hex digits.
    pub trace_id: String,
    /// Start of its first span, as received.
    pub start_unix_nano: i64,
    /// From there to the end of its last span.
    pub duration_nano: i64,
    /// The span without a parent; the first span where none is stored.
    pub root: SpanSummary,
    /// Spans stored.
    pub span_count: u64,
    /// Spans with status error.
    pub error_count: u64,
    /// By number of spans.
    pub services: Vec<TraceService>,
    /// The longest span on which all conditions hold.
    pub matched: SpanSummary,
    /// How many such spans there are.
    pub matched_count: u64,
}

/// One span in a list.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the columns of the spans table")]
pub struct SpanSummary {
    pub span_id: String,
    pub service_name: String,
    pub name: String,
    pub start_unix_nano: i64,
    pub duration_nano: i64,
}

impl Query {
    /// Traces with a span on which all conditions hold, the newest first.
    ///
    /// # Errors
    /// As [`Query::sql`].
    pub async fn traces(&self, search: TraceSearch) -> Result<TracePage> {
        let mut cost = Cost::new();
        let mut trace_ids: Vec<String> = Vec::new();
        let mut slices = Slices::new(Some(search.range), Order::Descending, self.extents(Table::Spans));
        while trace_ids.len() < search.limit
            && let Some(slice) = slices.next()
        {
            let (filter, known) = (search.filter.clone(), trace_ids.len());
            // Traces of a newer slice may come again.
            let wanted = search.limit.saturating_add(known);
            let answer = self.run(search.limits(), move |ctx| newest_traces(ctx, filter, slice, wanted)).await?;
            let (batches, stats) = answer.collect().await?;
            cost.add(stats);
            for batch in &batches {
                let found = Columns(batch).text("trace_id")?;
                let new: Vec<_> =
                    found.iter().flatten().filter(|id| !trace_ids[..known].iter().any(|k| k == id)).collect();
                trace_ids.extend(new.into_iter().map(str::to_owned));
            }
            trace_ids.truncate(search.limit);
            slices.found(trace_ids.len() - known, search.limit - trace_ids.len());
        }
        let traces = self.summaries(&search, &trace_ids, &mut cost).await?;
        let stats = cost.of(traces.len());
        Ok(TracePage { traces, stats })
    }

    async fn summaries(&self, search: &TraceSearch, ids: &[String], cost: &mut Cost) -> Result<Vec<TraceSummary>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let (filter, range) = (search.filter.clone(), search.range);
        let wanted: Vec<_> = ids.iter().map(|id| lit(id.as_str())).collect();
        let answer = self
            .run(search.limits(), move |ctx| async move {
                let matched = during("start_time", range).and(predicate(&filter, Subject::Spans)?).is_true();
                let spans = ctx.table("spans").await?.filter(col("trace_id").in_list(wanted, false))?;
                let mut columns: Vec<_> = SUMMARY_COLUMNS.into_iter().map(col).collect();
                columns.push(matched.alias("matched"));
                Ok(spans.select(columns)?)
            })
            .await?;
        let Answer { mut rows, stats, .. } = answer;
        let mut drafts: HashMap<String, Draft> = HashMap::new();
        while let Some(batch) = rows.next().await {
            add_spans(&batch?, &mut drafts)?;
        }
        cost.add(stats.get());
        Ok(ids.iter().filter_map(|id| Some(self.finished(id, drafts.remove(id)?))).collect())
    }

    fn finished(&self, trace_id: &str, draft: Draft) -> TraceSummary {
        let mut services: Vec<_> = draft
            .services
            .into_iter()
            .map(|(name, span_count)| TraceService { slot: self.slots().slot(&name), name, span_count })
            .collect();
        services.sort_by_key(|service| std::cmp::Reverse(service.span_count));
        let start_unix_nano = draft.start_unix_nano;
        TraceSummary {
            trace_id: trace_id.to_owned(),
            start_unix_nano,
            duration_nano: draft.end_unix_nano.saturating_sub(start_unix_nano),
            root: draft.root.map(|(_, root)| root).unwrap_or_default(),
            span_count: draft.span_count,
            error_count: draft.error_count,
            services,
            matched: draft.matched.unwrap_or_default(),
            matched_count: draft.matched_count,
        }
    }
}

impl TraceSearch {
    fn limits(&self) -> Limits {
        Limits {
            timeout: self.timeout,
            max_rows: Some(usize::MAX),
            range: None,
            query_id: self.query_id.clone(),
            label: "trace search".to_owned(),
        }
    }
}

async fn newest_traces(
    ctx: SessionContext,
    filter: Filter,
    slice: TimeRange,
    wanted: usize,
) -> Result<datafusion::dataframe::DataFrame> {
    let predicate = predicate(&filter, Subject::Spans)?;
    let spans = ctx.table("spans").await?.filter(during("start_time", slice).and(predicate))?;
    let traces = spans.aggregate(vec![col("trace_id")], vec![max(col("start_time")).alias("newest")])?;
    Ok(traces
        .sort(vec![col("newest").sort(false, false), col("trace_id").sort(true, false)])?
        .limit(0, Some(wanted))?)
}

const SUMMARY_COLUMNS: [&str; 8] =
    ["trace_id", "span_id", "parent_span_id", "service_name", "name", "start_time", "duration_nano", "status_code"];

#[derive(Default)]
struct Draft {
    start_unix_nano: i64,
    end_unix_nano: i64,
    span_count: u64,
    error_count: u64,
    services: BTreeMap<String, u64>,
    /// Whether it has a parent, then the span: the first of the least is the root.
    root: Option<((bool, i64, String), SpanSummary)>,
    matched: Option<SpanSummary>,
    matched_count: u64,
}

fn add_spans(batch: &RecordBatch, drafts: &mut HashMap<String, Draft>) -> Result<()> {
    let columns = Columns(batch);
    let (trace_id, span_id) = (columns.text("trace_id")?, columns.text("span_id")?);
    let (parent, service) = (columns.text("parent_span_id")?, columns.text("service_name")?);
    let (name, status) = (columns.text("name")?, columns.text("status_code")?);
    let (start, duration) = (columns.int("start_time")?, columns.int("duration_nano")?);
    let matched = columns.bool("matched")?;
    for row in 0..batch.num_rows() {
        let span = SpanSummary {
            span_id: span_id.value(row).to_owned(),
            service_name: service.value(row).to_owned(),
            name: name.value(row).to_owned(),
            start_unix_nano: start.value(row),
            duration_nano: duration.value(row),
        };
        let end = span.start_unix_nano.saturating_add(span.duration_nano);
        let draft = drafts.entry(trace_id.value(row).to_owned()).or_insert_with(|| Draft {
            start_unix_nano: i64::MAX,
            end_unix_nano: i64::MIN,
            ..Draft::default()
        });
        draft.start_unix_nano = draft.start_unix_nano.min(span.start_unix_nano);
        draft.end_unix_nano = draft.end_unix_nano.max(end);
        draft.span_count += 1;
        draft.error_count += u64::from(status.value(row) == "error");
        *draft.services.entry(span.service_name.clone()).or_default() += 1;
        if matched.is_valid(row) && matched.value(row) {
            draft.matched_count += 1;
            let longer = |best: &SpanSummary| {
                (span.duration_nano, std::cmp::Reverse(&span.span_id))
                    > (best.duration_nano, std::cmp::Reverse(&best.span_id))
            };
            if draft.matched.as_ref().is_none_or(longer) {
                draft.matched = Some(span.clone());
            }
        }
        let key = (parent.is_valid(row), span.start_unix_nano, span.span_id.clone());
        if draft.root.as_ref().is_none_or(|(best, _)| key < *best) {
            draft.root = Some((key, span));
        }
    }
    Ok(())
}
