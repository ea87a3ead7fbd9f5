//! Who calls whom: the services of a window and the calls between them, from `service_edges`.

use datafusion::common::ScalarValue;
use storage::model::TimeRange;

use crate::{
    Limits, Query, Stats,
    cost::Cost,
    error::Result,
    red::{Compared, Red, Sums},
    search::timestamp,
};

const KEYS: [&str; 3] = ["caller", "callee", "callee_kind"];

const COUNTS: &str = "
    SELECT caller, callee, callee_kind, timestamp < $from AS before, sum(calls) AS calls, sum(errors) AS errors,
        max(exemplar_trace_id) AS exemplar
    FROM service_edges
    WHERE timestamp >= $before AND timestamp < $to AND ($service = '' OR caller = $service OR callee = $service)
    GROUP BY 1, 2, 3, 4";

/// Durations as one end of the calls saw them: `client` or `server`.
fn durations(end: &str) -> String {
    format!(
        "SELECT caller, callee, callee_kind, before, bucket, sum(count) AS count FROM (
            SELECT caller, callee, callee_kind, timestamp < $from AS before,
                unnest({end}_bucket_indexes) AS bucket, unnest({end}_bucket_counts) AS count
            FROM service_edges
            WHERE timestamp >= $before AND timestamp < $to
                AND ($service = '' OR caller = $service OR callee = $service))
        GROUP BY 1, 2, 3, 4, 5"
    )
}

/// The services and calls of a window.
#[derive(Clone, Debug)]
pub struct Map {
    /// By name.
    pub nodes: Vec<Node>,
    /// By caller and callee.
    pub edges: Vec<Edge>,
    /// What it cost.
    pub stats: Stats,
}

/// A service, or something that services call.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// service, database, messaging, external
    pub kind: String,
    /// Calls that it served; of what sends no spans, the calls to it.
    pub red: Red,
    /// Number from which its colour follows; services only.
    pub slot: Option<u32>,
}

/// Calls from one service to another, or to something without spans.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// service, database, messaging, external
    pub callee_kind: String,
    /// As the caller saw it.
    pub client: Red,
    /// Durations as the callee saw them; without content where it sends no spans.
    pub server: Red,
    /// The same length of time before, as the caller saw it; `None` without calls.
    pub previous: Option<Red>,
    /// Trace of a slow call.
    pub exemplar_trace_id: Option<String>,
}

impl Query {
    /// The service map of `range`.
    ///
    /// # Errors
    /// As [`Query::sql`].
    pub async fn map(&self, range: TimeRange, limits: Limits) -> Result<Map> {
        let mut cost = Cost::new();
        let edges = self.edges(range, None, &limits, &mut cost).await?;
        let services = self.services(range, limits).await?;
        cost.add(services.stats);
        let served = services.services.into_iter().map(|service| Node {
            name: service.name,
            kind: "service".to_owned(),
            red: service.window,
            slot: Some(service.slot),
        });
        let mut nodes: Vec<Node> = served.collect();
        nodes.extend(silent_nodes(&edges));
        nodes.sort_by(|a, b| (&a.name, &a.kind).cmp(&(&b.name, &b.kind)));
        let stats = cost.of(nodes.len() + edges.len());
        Ok(Map { nodes, edges, stats })
    }

    /// The edges of `range`, compared with the period before; those of one service if it is named.
    pub(crate) async fn edges(
        &self,
        range: TimeRange,
        service: Option<&str>,
        limits: &Limits,
        cost: &mut Cost,
    ) -> Result<Vec<Edge>> {
        let params = self.window_params(range, service);
        let (mut clients, mut servers) = (Sums::<3>::default(), Sums::<3>::default());
        for batch in self.ask(limits, "map", COUNTS, params.clone(), cost).await? {
            clients.add_counts(&batch, KEYS)?;
        }
        for batch in self.ask(limits, "map", durations("client"), params.clone(), cost).await? {
            clients.add_durations(&batch, KEYS)?;
        }
        for batch in self.ask(limits, "map", durations("server"), params, cost).await? {
            servers.add_durations(&batch, KEYS)?;
        }
        let edge = |(key, client): ([String; 3], Compared)| {
            let server = servers.0.remove(&key).unwrap_or_default().window;
            let [caller, callee, callee_kind] = key;
            Edge {
                caller,
                callee,
                callee_kind,
                client: client.window,
                server,
                previous: (client.previous.calls > 0).then_some(client.previous),
                exemplar_trace_id: client.exemplar_trace_id,
            }
        };
        Ok(clients.0.into_iter().map(edge).filter(|edge| edge.client.calls > 0).collect())
    }

    /// `$before`, `$from`, `$to` and `$service` of a window, compared with as much time before it. Whole steps.
    pub(crate) fn window_params(&self, range: TimeRange, service: Option<&str>) -> Vec<(String, ScalarValue)> {
        let (start, to) = (range.start_unix_nano(), range.end_unix_nano());
        let step = self.0.counted_step_nano(start.saturating_sub(to.saturating_sub(start)));
        let floor = |nano: i64| nano.saturating_sub(nano.rem_euclid(step));
        let from = floor(start);
        let before = floor(from.saturating_sub(to.saturating_sub(from)));
        vec![
            ("before".to_owned(), timestamp(before)),
            ("from".to_owned(), timestamp(from)),
            ("to".to_owned(), timestamp(to)),
            ("service".to_owned(), ScalarValue::from(service.unwrap_or_default())),
        ]
    }
}

/// What is called and sends no spans, each with all calls to it.
fn silent_nodes(edges: &[Edge]) -> Vec<Node> {
    let mut nodes = std::collections::BTreeMap::<(&str, &str), Red>::new();
    for edge in edges.iter().filter(|edge| edge.callee_kind != "service") {
        let red = nodes.entry((&edge.callee, &edge.callee_kind)).or_default();
        red.calls += edge.client.calls;
        red.errors += edge.client.errors;
        red.durations.merge(edge.client.durations.buckets().to_vec(), 0.0);
    }
    let node = |((name, kind), red): ((&str, &str), Red)| Node {
        name: name.to_owned(),
        kind: kind.to_owned(),
        red,
        slot: None,
    };
    nodes.into_iter().map(node).collect()
}
