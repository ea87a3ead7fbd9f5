//! Where a row lies (memtable, one segment or another) never changes an answer.

use proptest::prelude::*;
use storage::{model::Table, segment::TextQuery};

use super::{sql_schema, view_type};
use crate::{
    Query, SqlRequest,
    testing::{Row, Rows, Scalar, batch, config, lines},
    text,
};

const SERVICES: [&str; 3] = ["cart", "shop", "支付"];
const BODIES: [&str; 8] = [
    "connection refused by db-1",
    "user 42 logged in",
    "连接 数据库 失败",
    "GET /api/v1/cart?id=7f3a 200",
    "token eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9_eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4 expired",
    "Connection reset, retry_count=3",
    "",
    "日本語 and English with 漢字",
];
const SEARCHES: [&str; 14] = [
    "connection",
    "conn*",
    "\"connection refused\"",
    "\"refused connection\"",
    "42",
    "7f3a OR 42",
    "NOT connection",
    "数据",
    "库",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9_eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4",
    "eyJhb*",
    "retry_count AND (3 OR 4)",
    "(english OR 語) NOT user",
    "nothing",
];

/// A condition that can be written as SQL and evaluated on a row, each in its own way.
#[derive(Clone, Debug)]
enum Filter {
    Service(usize, bool),
    After(i64),
    Before(i64),
    Severity(i64),
    Route(usize),
    Size(i64),
    SizeBelow(f64),
    Missing(&'static str),
    Flag(bool),
    Trace(u8),
    Traces(u8, u8),
    Search(usize),
    Like(&'static str),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
}

fn id(trace: u8) -> String {
    hex::encode([trace; 16])
}

impl Filter {
    fn names_traces(&self) -> bool {
        match self {
            Self::Trace(_) | Self::Traces(..) => true,
            Self::And(a, b) | Self::Or(a, b) => a.names_traces() || b.names_traces(),
            Self::Not(a) => a.names_traces(),
            _ => false,
        }
    }

    /// Whether `AND` joins two conditions on the trace.
    fn joins_lists(&self) -> bool {
        match self {
            Self::And(a, b) => a.names_traces() && b.names_traces() || a.joins_lists() || b.joins_lists(),
            Self::Or(a, b) => a.joins_lists() || b.joins_lists(),
            Self::Not(a) => a.joins_lists(),
            _ => false,
        }
    }

    fn sql(&self) -> String {
        let time = |nano: i64| format!("to_timestamp_nanos({nano})");
        match self {
            Self::Service(n, equal) => format!("service_name {} '{}'", if *equal { "=" } else { "<>" }, SERVICES[*n]),
            Self::After(t) => format!("timestamp >= {}", time(*t)),
            Self::Before(t) => format!("timestamp < {}", time(*t)),
            Self::Severity(n) => format!("severity_number >= {n}"),
            Self::Route(n) => format!("attributes['route'] = '/r{n}'"),
            Self::Size(n) => format!("attributes['size'] >= {n}"),
            Self::SizeBelow(n) => format!("attributes['size'] < {n:?}"),
            Self::Missing(key) => format!("attributes['{key}'] IS NULL"),
            Self::Flag(value) => format!("attributes['flag'] = {value}"),
            Self::Trace(t) => format!("trace_id = '{}'", id(*t)),
            Self::Traces(a, b) => format!("trace_id IN ('{}', '{}')", id(*a), id(*b)),
            Self::Search(n) => format!("match(body, '{}')", SEARCHES[*n]),
            Self::Like(pattern) => format!("body LIKE '%{pattern}%'"),
            Self::And(a, b) => format!("({} AND {})", a.sql(), b.sql()),
            Self::Or(a, b) => format!("({} OR {})", a.sql(), b.sql()),
            Self::Not(a) => format!("NOT ({})", a.sql()),
        }
    }

    /// SQL's three values.
    fn holds(&self, row: &Row) -> Option<bool> {
        let text = |name: &str| row.text.iter().find(|(n, _)| *n == name).map(|(_, text)| text.as_str());
        let attribute = |key: &str| row.attributes.iter().find(|(k, _)| k == key).map(|(_, value)| value);
        let number = |key: &str| match attribute(key)? {
            Scalar::Int(value) => Some(*value as f64),
            Scalar::Double(value) => Some(*value),
            _ => None,
        };
        match self {
            Self::Service(n, equal) => Some((text("service_name")? == SERVICES[*n]) == *equal),
            Self::After(t) => Some(row.time >= *t),
            Self::Before(t) => Some(row.time < *t),
            Self::Severity(n) => Some(row.number[0].1 >= *n as f64),
            Self::Route(n) => match attribute("route")? {
                Scalar::Text(text) => Some(*text == format!("/r{n}")),
                _ => Some(false),
            },
            Self::Size(n) => Some(number("size")? >= *n as f64),
            Self::SizeBelow(n) => Some(number("size")? < *n),
            Self::Missing(key) => Some(attribute(key).is_none()),
            Self::Flag(value) => match attribute("flag")? {
                Scalar::Bool(flag) => Some(flag == value),
                _ => None,
            },
            Self::Trace(t) => Some(row.trace? == *t),
            Self::Traces(a, b) => row.trace.map(|trace| trace == *a || trace == *b),
            Self::Search(n) => Some(text::parse(SEARCHES[*n]).unwrap().matches(text("body")?)),
            Self::Like(pattern) => Some(text("body")?.contains(pattern)),
            Self::And(a, b) => match (a.holds(row), b.holds(row)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(a, b) => match (a.holds(row), b.holds(row)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Self::Not(a) => a.holds(row).map(|holds| !holds),
        }
    }
}

/// DataFusion makes `false` of lists of one column that have nothing in common, where SQL says `NULL` for a row without a
/// value: under a `NOT` that row is in its answer and not in ours.
fn filter() -> impl Strategy<Value = Filter> {
    any_filter().prop_filter("lists of one column joined by AND", |filter| !filter.joins_lists())
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        (0..SERVICES.len(), any::<bool>()).prop_map(|(n, equal)| Filter::Service(n, equal)),
        (0..600i64).prop_map(Filter::After),
        (0..600i64).prop_map(Filter::Before),
        (0..24i64).prop_map(Filter::Severity),
        (0..4usize).prop_map(Filter::Route),
        (-5..10i64).prop_map(Filter::Size),
        (-5.0..10.0f64).prop_map(Filter::SizeBelow),
        prop_oneof![Just("route"), Just("size"), Just("flag"), Just("rare"), Just("never")].prop_map(Filter::Missing),
        any::<bool>().prop_map(Filter::Flag),
        (0..6u8).prop_map(Filter::Trace),
        (0..6u8, 0..6u8).prop_map(|(a, b)| Filter::Traces(a, b)),
        (0..SEARCHES.len()).prop_map(Filter::Search),
        prop_oneof![Just("refused"), Just("库"), Just("7f3a")].prop_map(Filter::Like),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Filter::And(Box::new(a), Box::new(b))),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Filter::Or(Box::new(a), Box::new(b))),
            1 => inner.prop_map(|a| Filter::Not(Box::new(a))),
        ]
    })
}

/// Rows numbered by `flags`. `route` is always text, `size` an integer, a double or a text, `rare` seldom there.
fn row() -> impl Strategy<Value = Row> {
    (
        0..600i64,
        0..SERVICES.len(),
        0..24i64,
        proptest::option::weighted(0.9, 0..BODIES.len()),
        proptest::option::of(0..6u8),
        proptest::option::of(0..4usize),
        proptest::option::of(prop_oneof![
            4 => (-5..10i64).prop_map(Scalar::Int),
            1 => (-5.0..10.0f64).prop_map(Scalar::Double),
            1 => Just(Scalar::Text("big".to_owned())),
        ]),
        proptest::option::of(any::<bool>()),
        proptest::bool::weighted(0.02),
    )
        .prop_map(|(time, service, severity, body, trace, route, size, flag, rare)| {
            let mut row =
                Row::at(time).number("severity_number", severity as f64).text("service_name", SERVICES[service]);
            row.trace = trace;
            if let Some(body) = body {
                row = row.text("body", BODIES[body]);
            }
            if let Some(route) = route {
                row = row.attribute("route", format!("/r{route}").as_str());
            }
            if let Some(size) = size {
                row.attributes.push(("size".to_owned(), size));
            }
            if let Some(flag) = flag {
                row = row.attribute("flag", flag);
            }
            if rare {
                row = row.attribute("rare", 1);
            }
            row
        })
}

/// Small row groups and pages, so that pruning has something to prune.
fn settings() -> config::Storage {
    let mut settings = config().storage;
    settings.row_group_rows = 64;
    settings.page_rows = 16;
    settings.time_bucket = std::time::Duration::from_nanos(300);
    settings.attribute_column_min_ratio = 0.1;
    settings
}

const COLUMNS: &str = "timestamp, service_name, severity_number, body, trace_id, attributes['route'], attributes['size'], \
                       attributes['flag'], CAST(attributes AS VARCHAR)";

async fn spread(rows: &[Row]) -> Query {
    let settings = settings();
    let mut store = Rows::default();
    let third = rows.len() / 3;
    for part in [&rows[..third], &rows[third..2 * third]] {
        if !part.is_empty() {
            store = store.stored(Table::Logs, batch(Table::Logs, part), &settings).await;
        }
    }
    store.in_memory(Table::Logs, batch(Table::Logs, &rows[2 * third..])).query()
}

async fn sorted(query: &Query, text: &str) -> Vec<String> {
    let mut lines = lines(query, text).await;
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn segments_and_memtables_answer_like_a_scan(
        rows in proptest::collection::vec(row(), 1..400),
        filters in proptest::collection::vec(filter(), 12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let spread = spread(&rows).await;
            let together = Rows::default().in_memory(Table::Logs, batch(Table::Logs, &rows)).query();
            for filter in &filters {
                let condition = filter.sql();
                let expected = rows.iter().filter(|row| filter.holds(row) == Some(true)).count();
                let count = format!("SELECT count(*) FROM logs WHERE {condition}");
                let found = lines(&together, &count).await;
                assert_eq!(found, [expected.to_string()], "in memory: {condition}");
                let found = lines(&spread, &count).await;
                assert_eq!(found, [expected.to_string()], "spread: {condition}");
                let text = format!("SELECT {COLUMNS} FROM logs WHERE {condition}");
                assert_eq!(sorted(&spread, &text).await, sorted(&together, &text).await, "{condition}");
                let newest = format!("SELECT timestamp FROM logs WHERE {condition} ORDER BY timestamp DESC LIMIT 10");
                assert_eq!(lines(&spread, &newest).await, lines(&together, &newest).await, "{condition}");
            }
        });
    }
}

#[test]
fn searches_of_the_property_test_are_what_they_seem() {
    for search in SEARCHES {
        assert_ne!(text::parse(search).unwrap(), TextQuery::All, "{search}");
    }
}

#[test]
fn every_table_has_its_columns_in_sql() {
    for table in Table::ALL {
        let (sql, wide) = (sql_schema(table), storage::schema::wide(table));
        assert_eq!(sql.fields().len(), wide.fields().len());
        for (sql, wide) in sql.fields().iter().zip(wide.fields()) {
            assert!(
                *sql.data_type() == view_type(wide.data_type())
                    || sql.data_type() == &arrow::datatypes::DataType::Utf8View,
                "{table}.{}",
                wide.name()
            );
        }
    }
}

/// Points of three series over two segments and a memtable.
async fn points() -> (Query, Query) {
    let rows: Vec<Row> = (0..240)
        .map(|n| {
            let series = n % 3;
            Row::at(n)
                .text("metric_name", if series == 2 { "b" } else { "a" })
                .text("service_name", SERVICES[usize::try_from(series).unwrap()])
                .text("unit", if series == 0 { "ms" } else { "s" })
                .text("type", "gauge")
                .number("series_id", 100.0 + series as f64)
                .number("value", n as f64)
                .attribute("host", format!("h{series}").as_str())
                .attribute("cpu", series)
        })
        .collect();
    let mut store = Rows::default();
    for part in [&rows[..100], &rows[100..200]] {
        store = store.stored(Table::Metrics, batch(Table::Metrics, part), &settings()).await;
    }
    let spread = store.in_memory(Table::Metrics, batch(Table::Metrics, &rows[200..])).query();
    (spread, Rows::default().in_memory(Table::Metrics, batch(Table::Metrics, &rows)).query())
}

#[tokio::test]
async fn labels_of_series_are_columns_of_their_points() {
    let (spread, together) = points().await;
    for text in [
        "SELECT * FROM metrics",
        "SELECT unit, count(*), sum(value) FROM metrics GROUP BY 1",
        "SELECT attributes['host'] AS h, count(*) FROM metrics GROUP BY 1",
        "SELECT value FROM metrics WHERE attributes['host'] = 'h1' AND timestamp < to_timestamp_nanos(150)",
        "SELECT value FROM metrics WHERE unit = 'ms' AND value > 100",
        "SELECT value FROM metrics WHERE attributes['cpu'] >= 1 AND metric_name = 'a'",
        "SELECT value FROM metrics WHERE unit = 'nothing'",
        "SELECT value, CAST(attributes AS VARCHAR) FROM metrics WHERE unit = 's' OR value < 5",
        "SELECT metric_name, unit, attributes['host'], sum(row_count) FROM series GROUP BY 1, 2, 3",
        "SELECT max(value) FROM metrics m WHERE m.series_id IN (SELECT series_id FROM series WHERE attributes['host'] = 'h2')",
    ] {
        let (spread, together) = (sorted(&spread, text).await, sorted(&together, text).await);
        assert_eq!(spread, together, "{text}");
        assert!(text.contains("nothing") || !spread.is_empty(), "{text}");
    }
}

#[tokio::test]
async fn traces_and_times_prune_segments() {
    let rows: Vec<Row> = (0..900u16)
        .map(|n| {
            Row { trace: Some(u8::try_from(n / 300).unwrap()), ..Row::at(i64::from(n)) }
                .text("name", "op")
                .text("service_name", "a")
        })
        .collect();
    let query = Rows::default().stored(Table::Spans, batch(Table::Spans, &rows), &settings()).await.query();
    for (condition, expected) in [
        (format!("trace_id = '{}'", id(1)), (300, 1, 2)),
        ("start_time < to_timestamp_nanos(10)".to_owned(), (10, 1, 2)),
        (format!("trace_id = '{}'", id(9)), (0, 0, 3)),
        ("start_time > to_timestamp_nanos(5000)".to_owned(), (0, 0, 3)),
    ] {
        let text = format!("SELECT span_id FROM spans WHERE {condition}");
        let (_, stats) = query.sql(SqlRequest { text, ..Default::default() }).await.unwrap().collect().await.unwrap();
        assert_eq!((stats.rows, stats.segments_scanned, stats.segments_pruned), expected, "{condition}");
    }
    assert_eq!(lines(&query, "SELECT count(*) FROM spans").await, ["900"]);
}

#[tokio::test]
async fn plans() {
    let rows: Vec<Row> =
        (0..100).map(|n| Row::at(n).text("service_name", "a").text("body", "x").attribute("route", "/r")).collect();
    let stored = Rows::default().stored(Table::Logs, batch(Table::Logs, &rows), &settings()).await;
    let query = stored.in_memory(Table::Logs, batch(Table::Logs, &rows)).query();
    for (name, text) in [
        (
            "group_by_attribute",
            "SELECT attributes['route'] AS route, count(*) AS n FROM logs GROUP BY 1 ORDER BY n DESC LIMIT 10",
        ),
        (
            "newest_of_service",
            "SELECT timestamp, body FROM logs WHERE service_name = 'a' ORDER BY timestamp DESC LIMIT 100",
        ),
        (
            "several_attributes",
            "SELECT attributes['a'], attributes['b'], attributes['c'] > 5 FROM logs WHERE attributes['route'] = '/r'",
        ),
        ("search", "SELECT count(*) FROM logs WHERE match(body, 'x') AND timestamp > to_timestamp_nanos(5)"),
    ] {
        let plan = query.explain(SqlRequest { text: text.to_owned(), ..Default::default() }).await.unwrap();
        insta::assert_snapshot!(name, plan);
    }
}
