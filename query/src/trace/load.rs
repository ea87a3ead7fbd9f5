//! All spans of a trace, from wherever they are stored.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

use arrow::{
    array::{Array, AsArray, StructArray},
    record_batch::RecordBatch,
};
use datafusion::logical_expr::{col, lit};
use storage::model::attributes::Attributes;

use super::tree::{Gap, Kind, Node, Tree, tree};
use crate::{
    Limits, Query, Stats,
    columns::{Columns, optional},
    error::{Error, ErrorKind, Result},
};

/// Spans of one answer at most.
const MAX_SPANS: usize = 250_000;

/// A trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// 32 hex digits.
    pub trace_id: String,
    /// Start of its first span, after clock correction.
    pub start_unix_nano: i64,
    /// From there to the end of its last span.
    pub duration_nano: i64,
    /// By number of spans.
    pub services: Vec<TraceService>,
    /// Parents before children, siblings by start.
    pub spans: Vec<Span>,
    /// Times in which no span ran.
    pub gaps: Vec<Gap>,
    /// What had to be bent to put the spans in order.
    pub notes: Vec<String>,
    /// What it cost.
    pub stats: Stats,
}

/// A service's share of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceService {
    /// Name.
    pub name: String,
    /// Stable number from which its colour follows.
    pub slot: u32,
    /// Its spans in the trace.
    pub span_count: u64,
}

/// One span in its place.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns of the spans table, and their place in the tree")]
pub struct Span {
    pub span_id: String,
    pub parent_span_id: Option<String>,
    pub trace_state: Option<String>,
    pub name: String,
    pub kind: String,
    pub service_name: String,
    pub start_unix_nano: i64,
    pub duration_nano: i64,
    pub status_code: String,
    pub status_message: Option<String>,
    pub scope_name: String,
    pub scope_version: String,
    pub anomaly: Option<String>,
    pub events: Vec<Event>,
    pub links: Vec<Link>,
    pub attributes: Vec<u8>,
    pub resource_attributes: Vec<u8>,
    pub depth: u32,
    /// From the start of the trace, after clock correction.
    pub start_offset_nano: i64,
    /// What clock correction added.
    pub clock_shift_nano: i64,
    /// Without the time in which children ran.
    pub self_nano: i64,
    pub is_critical: bool,
}

/// Something that happened in a span.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Event {
    pub timestamp_unix_nano: i64,
    pub name: String,
    pub attributes: Vec<u8>,
}

/// A reference to another span.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Link {
    pub trace_id: String,
    pub span_id: String,
    pub trace_state: Option<String>,
    pub attributes: Vec<u8>,
}

impl Query {
    /// The trace with this id: 32 hex digits.
    ///
    /// # Errors
    /// `Invalid` for what is no trace id, `NotFound` without a span, `TooLarge` beyond 250,000 spans, and as
    /// [`Query::sql`].
    pub async fn trace(&self, trace_id: &str, mut limits: Limits) -> Result<Trace> {
        let trace_id = trace_id.to_ascii_lowercase();
        if trace_id.len() != 32 || !trace_id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::invalid(format!("{trace_id:?} is no trace id")).hint("a trace id has 32 hex digits"));
        }
        limits.label = format!("trace {trace_id}");
        limits.max_rows = Some(MAX_SPANS + 1);
        let wanted = trace_id.clone();
        let answer = self
            .run(limits, move |ctx| async move {
                let spans = ctx.table("spans").await?.filter(col("trace_id").eq(lit(wanted)))?;
                Ok(spans.limit(0, Some(MAX_SPANS + 1))?)
            })
            .await?;
        let (batches, stats) = answer.collect().await?;
        let mut spans = Vec::new();
        for batch in &batches {
            read_spans(batch, &mut spans)?;
        }
        match spans.len() {
            0 => Err(Error::new(ErrorKind::NotFound, format!("no span of trace {trace_id} is stored"))),
            1..=MAX_SPANS => Ok(self.assembled(trace_id, spans, stats)),
            _ => Err(Error::too_large(format!("the trace has more than {MAX_SPANS} spans"))
                .hint("select the columns needed by SQL: SELECT … FROM spans WHERE trace_id = '…'")),
        }
    }

    fn assembled(&self, trace_id: String, mut spans: Vec<Span>, stats: Stats) -> Trace {
        let Tree { places, order, start_unix_nano, duration_nano, gaps, notes } = tree(&nodes(&spans));
        for (span, place) in spans.iter_mut().zip(&places) {
            span.depth = place.depth;
            span.start_offset_nano = place.start_offset_nano;
            span.clock_shift_nano = place.clock_shift_nano;
            span.self_nano = place.self_nano;
            span.is_critical = place.critical;
            if place.cycle_cut {
                span.anomaly = Some("cycle".to_owned());
            } else if place.orphan {
                span.anomaly.get_or_insert_with(|| "missing_parent".to_owned());
            }
        }
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for span in &spans {
            *counts.entry(span.service_name.clone()).or_default() += 1;
        }
        let mut services: Vec<_> = counts
            .into_iter()
            .map(|(name, span_count)| TraceService { slot: self.slots().slot(&name), name, span_count })
            .collect();
        services.sort_by_key(|service| std::cmp::Reverse(service.span_count));
        let mut waiting: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
        let spans = order.into_iter().filter_map(|i| waiting[i].take()).collect();
        Trace { trace_id, start_unix_nano, duration_nano, services, spans, gaps, notes, stats }
    }
}

fn nodes(spans: &[Span]) -> Vec<Node<'_>> {
    let mut domains: HashMap<&[u8], u64> = HashMap::new();
    spans
        .iter()
        .map(|span| Node {
            span_id: &span.span_id,
            parent_span_id: span.parent_span_id.as_deref(),
            start_unix_nano: span.start_unix_nano,
            duration_nano: span.duration_nano,
            clock_domain: *domains
                .entry(&span.resource_attributes)
                .or_insert_with_key(|resource| clock_domain(Attributes::new(resource))),
            kind: match span.kind.as_str() {
                "client" => Kind::Client,
                "server" => Kind::Server,
                _ => Kind::Other,
            },
        })
        .collect()
}

/// Processes on one host share a clock; a process whose host is unknown has one of its own.
fn clock_domain(resource: Attributes<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let host =
        ["host.id", "host.name", "k8s.node.name", "host.ip"].into_iter().find_map(|key| resource.get(key)?.to_text());
    match host {
        Some(host) => host.hash(&mut hasher),
        None => resource.as_bytes().hash(&mut hasher),
    }
    hasher.finish()
}

fn read_spans(batch: &RecordBatch, spans: &mut Vec<Span>) -> Result<()> {
    let columns = Columns(batch);
    let (span_id, parent_span_id) = (columns.text("span_id")?, columns.text("parent_span_id")?);
    let (trace_state, name) = (columns.text("trace_state")?, columns.text("name")?);
    let (kind, service_name) = (columns.text("kind")?, columns.text("service_name")?);
    let (start, duration) = (columns.int("start_time")?, columns.int("duration_nano")?);
    let (status_code, status_message) = (columns.text("status_code")?, columns.text("status_message")?);
    let (scope_name, scope_version) = (columns.text("scope_name")?, columns.text("scope_version")?);
    let anomaly = columns.text("anomaly")?;
    let (attributes, resource_attributes) = (columns.binary("attributes")?, columns.binary("resource_attributes")?);
    let (events, links) = (columns.column("events")?, columns.column("links")?);
    spans.reserve(batch.num_rows());
    for row in 0..batch.num_rows() {
        spans.push(Span {
            span_id: span_id.value(row).to_owned(),
            parent_span_id: optional(&parent_span_id, row),
            trace_state: optional(&trace_state, row),
            name: name.value(row).to_owned(),
            kind: kind.value(row).to_owned(),
            service_name: service_name.value(row).to_owned(),
            start_unix_nano: start.value(row),
            duration_nano: duration.value(row).max(0),
            status_code: status_code.value(row).to_owned(),
            status_message: optional(&status_message, row),
            scope_name: scope_name.value(row).to_owned(),
            scope_version: scope_version.value(row).to_owned(),
            anomaly: optional(&anomaly, row),
            events: read_items(events.as_ref(), row, read_events)?,
            links: read_items(links.as_ref(), row, read_links)?,
            attributes: attributes.value(row).to_vec(),
            resource_attributes: resource_attributes.value(row).to_vec(),
            depth: 0,
            start_offset_nano: 0,
            clock_shift_nano: 0,
            self_nano: 0,
            is_critical: false,
        });
    }
    Ok(())
}

fn read_items<T>(lists: &dyn Array, row: usize, read: impl Fn(Columns<'_>) -> Result<Vec<T>>) -> Result<Vec<T>> {
    let Some(lists) = lists.as_list_opt::<i32>() else {
        return Err(Error::internal("events and links are lists"));
    };
    if lists.is_null(row) || lists.value_length(row) == 0 {
        return Ok(Vec::new());
    }
    let items: StructArray = lists.value(row).as_struct().clone();
    read(Columns(&RecordBatch::from(items)))
}

fn read_events(columns: Columns<'_>) -> Result<Vec<Event>> {
    let (timestamp, name) = (columns.int("timestamp")?, columns.text("name")?);
    let attributes = columns.binary("attributes")?;
    let event = |row| Event {
        timestamp_unix_nano: timestamp.value(row),
        name: name.value(row).to_owned(),
        attributes: attributes.value(row).to_vec(),
    };
    Ok((0..timestamp.len()).map(event).collect())
}

fn read_links(columns: Columns<'_>) -> Result<Vec<Link>> {
    let (trace_id, span_id) = (columns.text("trace_id")?, columns.text("span_id")?);
    let (trace_state, attributes) = (columns.text("trace_state")?, columns.binary("attributes")?);
    let link = |row| Link {
        trace_id: trace_id.value(row).to_owned(),
        span_id: span_id.value(row).to_owned(),
        trace_state: optional(&trace_state, row),
        attributes: attributes.value(row).to_vec(),
    };
    Ok((0..trace_id.len()).map(link).collect())
}
