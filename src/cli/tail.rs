//! `rootline tail`: records as they arrive, with a word on what a slow reader missed.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use clap::Args;
use reqwest::{Method, header};
use serde_json::Value;

use super::{client::ServerOptions, print};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which records: 'service:payment level>=warn "connection refused" -health'
    #[arg(default_value = "")]
    query: String,
    /// Print one JSON object a record
    #[arg(long)]
    json: bool,
    /// End after this many records
    #[arg(long, short = 'n', value_name = "COUNT")]
    lines: Option<usize>,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let client = options.server.client()?;
    let request = client
        .request(Method::GET, "/api/logs/tail")
        .query(&[("q", &options.query)])
        .header(header::ACCEPT, "text/event-stream");
    let mut answer = client.send(request).await?;
    let color = std::io::stdout().is_terminal();
    let mut events = Events::default();
    let mut left = options.lines.unwrap_or(usize::MAX);
    while let Some(chunk) = answer.chunk().await.context("the server closed the stream")? {
        for event in events.push(&chunk) {
            let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
            match event.name.as_str() {
                "rows" => {
                    for row in data.get("rows").and_then(Value::as_array).into_iter().flatten() {
                        print::line(if options.json { row.to_string() } else { readable(row, color) })?;
                        left = left.saturating_sub(1);
                        if left == 0 {
                            return Ok(());
                        }
                    }
                }
                "dropped" if !options.json => {
                    let count = data.get("count").and_then(Value::as_u64).unwrap_or_default();
                    print::line(format!("… {count} records not shown: this reader is too slow"))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// One record as one line: time, level, service, body.
fn readable(row: &Value, color: bool) -> String {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
    let level = match row.get("severity_number").and_then(Value::as_i64).unwrap_or_default() {
        1..=4 => "TRACE",
        5..=8 => "DEBUG",
        9..=12 => "INFO",
        13..=16 => "WARN",
        17..=20 => "ERROR",
        21..=24 => "FATAL",
        _ => "-",
    };
    let level = match (color, level) {
        (true, "ERROR" | "FATAL") => format!("\u{1b}[31m{level:<5}\u{1b}[0m"),
        (true, "WARN") => format!("\u{1b}[33m{level:<5}\u{1b}[0m"),
        _ => format!("{level:<5}"),
    };
    let body = match row.get("body") {
        Some(Value::String(body)) => body.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    format!("{} {level} {} {}", text("timestamp"), print::inert(text("service")), print::inert(&body))
}

/// One server-sent event.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    name: String,
    data: String,
}

/// Cuts a byte stream into events, wherever its chunks end.
#[derive(Debug, Default)]
struct Events {
    pending: Vec<u8>,
}

impl Events {
    fn push(&mut self, chunk: &[u8]) -> Vec<Event> {
        self.pending.extend(chunk.iter().filter(|byte| **byte != b'\r'));
        let mut events = Vec::new();
        while let Some(end) = self.pending.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.pending.drain(..end + 2).collect();
            let mut event = Event { name: "message".to_owned(), data: String::new() };
            for line in String::from_utf8_lossy(&block).lines() {
                match line.split_once(':').map(|(field, value)| (field, value.strip_prefix(' ').unwrap_or(value))) {
                    Some(("event", name)) => name.clone_into(&mut event.name),
                    Some(("data", data)) => event.data.push_str(data),
                    _ => {}
                }
            }
            if !event.data.is_empty() {
                events.push(event);
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_any_cut() {
        let stream =
            ": keep-alive\n\nevent: rows\r\ndata: {\"rows\":[]}\r\n\r\nevent: dropped\ndata: {\"count\":3}\n\n";
        for cut in 0..stream.len() {
            let mut events = Events::default();
            let mut all = events.push(&stream.as_bytes()[..cut]);
            all.extend(events.push(&stream.as_bytes()[cut..]));
            assert_eq!(
                all,
                [
                    Event { name: "rows".to_owned(), data: "{\"rows\":[]}".to_owned() },
                    Event { name: "dropped".to_owned(), data: "{\"count\":3}".to_owned() },
                ]
            );
        }
    }

    #[test]
    fn a_record_is_one_readable_line() {
        let row = serde_json::json!({
            "timestamp": "2026-01-01T00:00:00.000000000Z", "severity_number": 17, "service": "pay", "body": "no\u{7}"
        });
        assert_eq!(readable(&row, false), "2026-01-01T00:00:00.000000000Z ERROR pay no\\u{7}");
    }
}
