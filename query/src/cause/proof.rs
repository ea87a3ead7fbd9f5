//! Pure: a finding -> the statement and the page that show it.

use std::fmt::Write as _;

use super::{
    facts::{Facts, Name, Stretch},
    finding::{Family, Finding, Subject},
    forest::Sides,
    report::{Evidence, Indicator, Table, Texts},
    tally::End,
    words,
};

/// A text in a statement.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A moment in a statement.
fn moment(nanos: i64) -> String {
    format!("to_timestamp_nanos({nanos})")
}

/// Rows of the baseline or the window, and which of both a row is from.
fn periods(column: &str, sides: &Sides) -> (String, String) {
    let within =
        |stretch: Stretch| format!("({column} >= {} AND {column} < {})", moment(stretch.from), moment(stretch.to));
    let period =
        format!("CASE WHEN {column} >= {} THEN 'window' ELSE 'baseline' END AS period", moment(sides.window.from));
    (period, format!("({} OR {})", within(sides.baseline), within(sides.window)))
}

/// The statement that shows a finding, over the stored tables.
pub(crate) fn query(facts: &Facts, sides: &Sides, finding: &Finding) -> String {
    let service = quoted(facts.text(finding.service));
    let spans = |select: &str, filter: &str| {
        let (period, times) = periods("start_time", sides);
        format!(
            "SELECT {period}, count(*) AS calls, {select} FROM spans WHERE {filter} AND {times} GROUP BY 1 ORDER BY 1"
        )
    };
    let duration = "approx_percentile_cont(duration_nano, 0.5) / 1e6 AS median_ms";
    let errors = "avg(CASE WHEN status_code = 'error' THEN 1.0 ELSE 0.0 END) AS error_ratio";
    match finding.subject {
        Subject::Edge(caller, End::Service(callee)) => edge_query(sides, facts.text(caller), facts.text(callee)),
        Subject::Edge(caller, _) => spans(
            duration,
            &format!("service_name = {} AND kind IN ('client', 'producer')", quoted(facts.text(caller))),
        ),
        Subject::Operation(operation) => {
            spans(duration, &format!("service_name = {service} AND name = {}", quoted(facts.text(operation))))
        }
        Subject::Failure(operation, _) => spans(errors, &format!("name = {}", quoted(facts.text(operation)))),
        Subject::Call(from, to) => {
            let (period, times) = periods("start_time", sides);
            let name = |(service, operation): (_, _)| {
                format!("service_name = {} AND name = {}", quoted(facts.text(service)), quoted(facts.text(operation)))
            };
            format!(
                "SELECT {period}, count(DISTINCT CASE WHEN {} THEN trace_id END) AS traces, \
                 count(DISTINCT CASE WHEN {} THEN trace_id END) AS traces_with_call FROM spans WHERE {times} GROUP BY 1 ORDER BY 1",
                name(from),
                name(to)
            )
        }
        Subject::Log { template, .. } => {
            let (period, times) = periods("timestamp", sides);
            let mut words = String::new();
            for word in telling_words(facts.text(template)) {
                let _ = write!(words, " AND body LIKE {}", quoted(&format!("%{word}%")));
            }
            format!(
                "SELECT {period}, count(*) AS records, count(DISTINCT trace_id) AS traces FROM logs \
                 WHERE service_name = {service}{words} AND {times} GROUP BY 1 ORDER BY 1"
            )
        }
        Subject::Series(index) | Subject::Node { series: index, .. } => {
            let series = &facts.series[index];
            let pod = series.place.pod.map_or(String::new(), |pod| {
                format!(" AND resource_attributes['k8s.pod.name'] = {}", quoted(facts.text(pod)))
            });
            format!(
                "SELECT timestamp, coalesce(value, value_int) AS value FROM metrics WHERE metric_name = {} AND service_name = {}{pod} \
                 AND timestamp >= {} AND timestamp < {} ORDER BY timestamp",
                quoted(facts.text(series.metric)),
                quoted(facts.text(series.service)),
                moment(sides.baseline.from),
                moment(sides.window.to)
            )
        }
        Subject::Change(_) => format!(
            "SELECT timestamp, service_name, kind, version FROM changes WHERE service_name = {service} \
             AND timestamp >= {} AND timestamp < {} ORDER BY timestamp",
            moment(sides.baseline.from),
            moment(sides.window.to)
        ),
    }
}

fn edge_query(sides: &Sides, caller: &str, callee: &str) -> String {
    let (period, times) = periods("c.start_time", sides);
    format!(
        "SELECT {period}, count(*) AS calls, approx_percentile_cont(c.duration_nano - s.duration_nano, 0.5) / 1e6 AS median_gap_ms \
         FROM spans c JOIN spans s ON s.trace_id = c.trace_id AND s.parent_span_id = c.span_id \
         WHERE c.service_name = {} AND s.service_name = {} AND {times} GROUP BY 1 ORDER BY 1",
        quoted(caller),
        quoted(callee)
    )
}

/// The longest words of a template: a record with all of them was most likely written by it.
fn telling_words(template: &str) -> Vec<&str> {
    let mut words: Vec<&str> =
        template.split(' ').filter(|word| *word != "<*>" && !word.contains(['%', '_'])).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.truncate(3);
    words
}

/// The page that shows a finding in the window.
pub(crate) fn link(facts: &Facts, sides: &Sides, finding: &Finding) -> String {
    let (from, to) = (sides.window.from / 1_000_000, sides.window.to / 1_000_000);
    let page = |path: &str, key: &str, text: &str| format!("/{path}?{key}={}&from={from}&to={to}", encoded(text));
    let service = facts.text(finding.service);
    let of = |service: &str, operation: &str| format!("service:{} name:{}", term(service), term(operation));
    match finding.subject {
        Subject::Edge(caller, _) => page("traces", "q", &format!("service:{}", term(facts.text(caller)))),
        Subject::Operation(operation) => page("traces", "q", &of(service, facts.text(operation))),
        Subject::Failure(operation, _) => {
            format!("{}&status=error", page("traces", "q", &format!("name:{}", term(facts.text(operation)))))
        }
        Subject::Call(from, _) => page("traces", "q", &of(facts.text(from.0), facts.text(from.1))),
        Subject::Log { template, .. } if finding.family == Family::Novelty || finding.after > 0.0 => {
            let words: Vec<String> = telling_words(facts.text(template)).into_iter().map(term).collect();
            page("logs", "q", &format!("service:{} {}", term(service), words.join(" ")))
        }
        Subject::Log { .. } => page("logs", "q", &format!("service:{}", term(service))),
        Subject::Series(_) | Subject::Node { .. } | Subject::Change(_) => {
            page("sql", "sql", &query(facts, sides, finding))
        }
    }
}

/// A word of the search language.
fn term(text: &str) -> String {
    let plain =
        !text.is_empty() && !text.starts_with('-') && text.chars().all(|c| c.is_alphanumeric() || "_.-/@".contains(c));
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// Percent-encoded for a query string.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A service's failure ratio as a line that speaks against it.
pub(crate) fn errors(
    facts: &Facts,
    sides: &Sides,
    service: Name,
    texts: Texts,
    seen: ([u32; 2], [f64; 2]),
) -> Evidence {
    let (period, times) = periods("start_time", sides);
    let name = facts.text(service);
    let (calls, ratios) = seen;
    let row = |period: &str, side: usize| {
        vec![period.to_owned(), calls[side].to_string(), words::show(ratios[side], "ratio")]
    };
    Evidence {
        family: Family::Error.name().to_owned(),
        indicator: Indicator { kind: "operation".to_owned(), name: format!("errors of {name}") },
        texts,
        query: format!(
            "SELECT {period}, count(*) AS calls, avg(CASE WHEN status_code = 'error' THEN 1.0 ELSE 0.0 END) AS error_ratio \
             FROM spans WHERE service_name = {} AND {times} GROUP BY 1 ORDER BY 1",
            quoted(name)
        ),
        link: format!(
            "/traces?q={}&status=error&from={}&to={}",
            encoded(&format!("service:{}", term(name))),
            sides.window.from / 1_000_000,
            sides.window.to / 1_000_000
        ),
        value: ratios[1],
        expected: ratios[0],
        unit: "ratio".to_owned(),
        contradicts: true,
        result: Table {
            columns: ["period", "observations", "value"].map(str::to_owned).to_vec(),
            rows: vec![row("baseline", 0), row("window", 1)],
        },
    }
}
