//! Spans -> calls from one service to another in ten seconds.
//!
//! A call has two halves: the caller's client or producer span, and the callee's server or consumer span, whose parent or
//! link it is. They come in any order, in different requests, minutes apart. A half waits in a bounded table; when its
//! other half has not come in time, or there is no more room, the callee is one that sends no spans and is named by the
//! caller's span. A call counts exactly once, a message once for each consumer.

mod state;
mod waiting;

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, ListArray, RecordBatch, UInt64Array},
    datatypes::{Int32Type, Int64Type, UInt64Type},
};
use bytes::Bytes;

use self::waiting::{Callee, Caller, SpanKey, Waiting};
use super::{
    DurationHistogram, STEP_NANO,
    cells::{self, Cells, HistogramColumns},
    ids,
    kept::{self, Exemplar, kept_step},
    label_texts, labels, numbers,
    peer::{Peer, PeerKind, peer},
    step_start, times,
};
use crate::{
    error::{Error, Result},
    model::{Table, attributes::Attributes},
    schema,
};

/// Who called whom, and when. Names by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    step: i64,
    caller: u32,
    callee: u32,
    kind: u8,
}

#[derive(Debug, Default)]
struct Edge {
    calls: u64,
    errors: u64,
    client: DurationHistogram,
    server: DurationHistogram,
    exemplar: Exemplar,
}

type Sums = Cells<Key, Edge>;

/// The halves of calls that wait for their other half.
#[derive(Debug)]
pub(super) struct Edges {
    waiting: Waiting,
}

impl Edges {
    pub(super) fn new(settings: &config::Rollup) -> Self {
        Self { waiting: Waiting::new(settings.edge_wait, settings.edge_pending_max) }
    }

    /// Pairs some spans with the halves that wait; the rows of `service_edges` that follow, if any.
    pub(super) fn pair(&mut self, spans: &RecordBatch, now_unix_nano: i64) -> Result<Option<RecordBatch>> {
        let columns = Spans::of(spans)?;
        let mut sums = Sums::default();
        for row in 0..spans.num_rows() {
            match columns.role(row) {
                Role::Caller { is_producer } => self.add_caller(&columns, row, is_producer, now_unix_nano, &mut sums),
                Role::Callee => self.add_callee(&columns, row, now_unix_nano, &mut sums),
                Role::Neither => {}
            }
        }
        for (key, caller) in self.waiting.expired(now_unix_nano) {
            count_alone(&mut sums, &key, &caller);
        }
        metrics::gauge!("rootline_edge_pending_halves").set(self.waiting.len() as f64);
        if sums.is_empty() { Ok(None) } else { self.rows(&sums).map(Some) }
    }

    fn add_caller(&mut self, spans: &Spans<'_>, row: usize, is_producer: bool, now: i64, sums: &mut Sums) {
        let Peer { kind, name } = peer(spans.attributes(row));
        let names = &mut self.waiting.names;
        let caller = Caller {
            service: names.number(spans.service(row)),
            peer: names.number(&name),
            peer_kind: kind,
            step: step_start(spans.starts[row], STEP_NANO),
            duration_nano: spans.durations[row],
            is_error: spans.is_error(row),
            is_producer,
            is_counted: false,
        };
        let key = spans.key(row);
        if kind == PeerKind::Database {
            // Databases send no spans: nothing to wait for.
            count_alone(sums, &key, &caller);
            return;
        }
        for callee in self.waiting.add_caller(key, caller, now) {
            count_pair(sums, &key, &caller, callee);
        }
    }

    fn add_callee(&mut self, spans: &Spans<'_>, row: usize, now: i64, sums: &mut Sums) {
        let service = self.waiting.names.number(spans.service(row));
        let callee = Callee { service, duration_nano: spans.durations[row] };
        // A link often says again who the parent is.
        let callers: BTreeSet<SpanKey> = spans.callers(row).collect();
        for key in callers {
            if let Some(caller) = self.waiting.add_callee(key, callee, now) {
                count_pair(sums, &key, &caller, callee);
            }
        }
    }

    fn rows(&self, sums: &Sums) -> Result<RecordBatch> {
        let (mut places, mut texts) = (hashbrown::HashMap::new(), Vec::new());
        let mut place = |number: u32| {
            *places.entry(number).or_insert_with(|| {
                texts.push(self.waiting.names.text(number));
                texts.len() as i32 - 1
            })
        };
        let ends: Vec<(i32, i32)> = sums.iter().map(|(key, _)| (place(key.caller), place(key.callee))).collect();
        let names = cells::texts(texts.iter().map(|text| &**text));
        rows(sums, &ends, &names)
    }

    /// The halves that wait, for the catalog. Names that none of them has are forgotten, as they are after a restart.
    pub(super) fn save(&mut self) -> Result<Bytes> {
        self.waiting.forget_names();
        state::encode(&self.waiting)
    }

    /// Puts the halves of [`Self::save`] back.
    pub(super) fn load(&mut self, state: &[u8]) -> Result<()> {
        state::decode(state, &mut self.waiting)
    }
}

fn count_pair(sums: &mut Sums, key: &SpanKey, caller: &Caller, callee: Callee) {
    let kind = PeerKind::Service as u8;
    let edge =
        count(sums, key, caller, Key { step: caller.step, caller: caller.service, callee: callee.service, kind });
    edge.server.record(callee.duration_nano);
}

fn count_alone(sums: &mut Sums, key: &SpanKey, caller: &Caller) {
    let kind = caller.peer_kind as u8;
    count(sums, key, caller, Key { step: caller.step, caller: caller.service, callee: caller.peer, kind });
}

fn count<'a>(sums: &'a mut Sums, span: &SpanKey, caller: &Caller, key: Key) -> &'a mut Edge {
    let edge = sums.get(key);
    edge.calls += 1;
    edge.errors += u64::from(caller.is_error);
    edge.client.record(caller.duration_nano);
    edge.exemplar.offer(caller.duration_nano, Some(span.trace));
    edge
}

/// What a span is in a call.
enum Role {
    Caller { is_producer: bool },
    Callee,
    Neither,
}

/// The columns of spans that calls are made of.
struct Spans<'a> {
    service: &'a DictionaryArray<Int32Type>,
    services: Vec<&'a str>,
    kind: &'a DictionaryArray<Int32Type>,
    kinds: Vec<&'a str>,
    status: &'a DictionaryArray<Int32Type>,
    statuses: Vec<&'a str>,
    starts: &'a [i64],
    durations: &'a [i64],
    traces: &'a FixedSizeBinaryArray,
    spans: &'a FixedSizeBinaryArray,
    parents: &'a FixedSizeBinaryArray,
    attributes: &'a arrow::array::BinaryArray,
    links: &'a ListArray,
    linked_traces: &'a FixedSizeBinaryArray,
    linked_spans: &'a FixedSizeBinaryArray,
}

impl<'a> Spans<'a> {
    fn of(rows: &'a RecordBatch) -> Result<Self> {
        let wrong = |what: &str| Error::internal(format!("spans without {what}"));
        let (service, kind) = (labels(rows, "service_name")?, labels(rows, "kind")?);
        let status = labels(rows, "status_code")?;
        let links = rows.column_by_name("links").and_then(|column| column.as_list_opt::<i32>());
        let links = links.ok_or_else(|| wrong("links"))?;
        let linked = links.values().as_struct_opt().ok_or_else(|| wrong("links"))?;
        let linked_ids = |name: &str| {
            let column = linked.column_by_name(name).and_then(|column| column.as_fixed_size_binary_opt());
            column.ok_or_else(|| wrong("ids of links"))
        };
        let attributes = rows.column_by_name("attributes").and_then(|column| column.as_binary_opt::<i32>());
        Ok(Self {
            services: label_texts(service)?,
            kinds: label_texts(kind)?,
            statuses: label_texts(status)?,
            service,
            kind,
            status,
            starts: times(rows, "start_time")?,
            durations: numbers::<Int64Type>(rows, "duration_nano")?,
            traces: ids(rows, "trace_id")?,
            spans: ids(rows, "span_id")?,
            parents: ids(rows, "parent_span_id")?,
            attributes: attributes.ok_or_else(|| wrong("attributes"))?,
            links,
            linked_traces: linked_ids("trace_id")?,
            linked_spans: linked_ids("span_id")?,
        })
    }

    fn role(&self, row: usize) -> Role {
        match self.kinds[self.kind.keys().value(row) as usize] {
            "client" => Role::Caller { is_producer: false },
            "producer" => Role::Caller { is_producer: true },
            "server" | "consumer" => Role::Callee,
            _ => Role::Neither,
        }
    }

    fn service(&self, row: usize) -> &'a str {
        self.services[self.service.keys().value(row) as usize]
    }

    fn is_error(&self, row: usize) -> bool {
        self.statuses[self.status.keys().value(row) as usize] == "error"
    }

    fn attributes(&self, row: usize) -> Attributes<'a> {
        Attributes::new(self.attributes.value(row))
    }

    fn key(&self, row: usize) -> SpanKey {
        SpanKey::new(self.traces.value(row), self.spans.value(row))
    }

    /// The spans that this one may be called by: its parent, and what it links to.
    fn callers(&self, row: usize) -> impl Iterator<Item = SpanKey> {
        let parent = self.parents.is_valid(row).then(|| SpanKey::new(self.traces.value(row), self.parents.value(row)));
        let offsets = self.links.value_offsets();
        let links = offsets[row] as usize..offsets[row + 1] as usize;
        let linked = links.map(|link| SpanKey::new(self.linked_traces.value(link), self.linked_spans.value(link)));
        parent.into_iter().chain(linked)
    }
}

/// The columns of `service_edges`. `ends` are caller and callee of each cell, by their place in `names`.
fn rows(sums: &Sums, ends: &[(i32, i32)], names: &ArrayRef) -> Result<RecordBatch> {
    let keys = || sums.iter().map(|(key, _)| key);
    let values = || sums.iter().map(|(_, edge)| edge);
    let [client_sums, client_indexes, client_counts] = cells::histograms(values().map(|edge| &edge.client));
    let [server_sums, server_indexes, server_counts] = cells::histograms(values().map(|edge| &edge.server));
    let kinds = cells::texts(PeerKind::ALL.into_iter().map(PeerKind::name));
    let columns = vec![
        cells::timestamps(keys().map(|key| key.step)),
        cells::labels(ends.iter().map(|(caller, _)| *caller), Arc::clone(names))?,
        cells::labels(ends.iter().map(|(_, callee)| *callee), Arc::clone(names))?,
        cells::labels(keys().map(|key| i32::from(key.kind)), kinds)?,
        Arc::new(UInt64Array::from_iter_values(values().map(|edge| edge.calls))),
        Arc::new(UInt64Array::from_iter_values(values().map(|edge| edge.errors))),
        client_sums,
        client_indexes,
        client_counts,
        server_sums,
        server_indexes,
        server_counts,
        cells::trace_ids(values().map(|edge| edge.exemplar.trace()))?,
    ];
    Ok(RecordBatch::try_new(schema::wide(Table::ServiceEdges), columns)?)
}

/// Rows of `service_edges` with one key as one. `united` has one dictionary a column.
pub(super) fn combined(united: &RecordBatch, fine_from_unix_nano: i64) -> Result<RecordBatch> {
    let (caller, callee) = (labels(united, "caller")?, labels(united, "callee")?);
    let (callers, callees) = (label_texts(caller)?, label_texts(callee)?);
    let kind = labels(united, "callee_kind")?;
    let kinds: Vec<u8> = label_texts(kind)?.into_iter().map(kind_number).collect();
    let (steps, traces) = (times(united, "timestamp")?, ids(united, "exemplar_trace_id")?);
    let (calls, errors) = (numbers::<UInt64Type>(united, "calls")?, numbers::<UInt64Type>(united, "errors")?);
    let (client, server) = (HistogramColumns::of(united, "client_")?, HistogramColumns::of(united, "server_")?);
    let mut sums = Sums::default();
    for row in 0..united.num_rows() {
        let edge = sums.get(Key {
            step: kept_step(steps[row], fine_from_unix_nano),
            caller: caller.keys().value(row).cast_unsigned(),
            callee: callee.keys().value(row).cast_unsigned(),
            kind: kinds[kind.keys().value(row) as usize],
        });
        edge.calls += calls[row];
        edge.errors += errors[row];
        client.add_to(row, &mut edge.client);
        server.add_to(row, &mut edge.server);
        edge.exemplar.offer(client.longest_nano(row), cells::trace_id(traces, row));
    }
    for (_, edge) in sums.iter_mut() {
        edge.exemplar.thin(edge.calls, edge.errors > 0);
        kept::round_sum(&mut edge.client);
        kept::round_sum(&mut edge.server);
    }
    // The two dictionaries, one behind the other.
    let names = cells::texts(callers.iter().chain(&callees).copied());
    let place = |number: u32| i32::try_from(number).map_err(|_| Error::internal("too many names"));
    let first_callee = place(u32::try_from(callers.len()).unwrap_or(u32::MAX))?;
    let ends = sums
        .iter()
        .map(|(key, _)| Ok((place(key.caller)?, place(key.callee)? + first_callee)))
        .collect::<Result<Vec<_>>>()?;
    rows(&sums, &ends, &names)
}

fn kind_number(name: &str) -> u8 {
    PeerKind::ALL.into_iter().find(|kind| kind.name() == name).unwrap_or(PeerKind::External) as u8
}
