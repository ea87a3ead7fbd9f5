//! `rootline sql`: one statement, its rows as a table or as any format the API speaks.

use std::io::{IsTerminal as _, Read as _};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use reqwest::{Method, header};
use serde::Deserialize;
use serde_json::Value;

use super::{client::ServerOptions, print};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The statement; "-" reads it from standard input
    query: String,
    /// Print the server's JSON answer
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// What to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Rows at most
    #[arg(long)]
    limit: Option<usize>,
    /// How long the query may take, such as "30s"
    #[arg(long)]
    timeout: Option<String>,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
    Arrow,
    Parquet,
}

impl Format {
    fn media_type(self) -> &'static str {
        match self {
            Self::Table | Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// The JSON answer, as far as a table needs it.
#[derive(Debug, Deserialize)]
struct Answer {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    #[serde(default)]
    stats: Value,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let format = if options.json { Format::Json } else { options.format };
    let query = match options.query.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the statement from standard input")?;
            text
        }
        text => text.to_owned(),
    };
    let mut body = serde_json::json!({ "query": query });
    body["limit"] = options.limit.map_or(Value::Null, Value::from);
    body["timeout"] = options.timeout.map_or(Value::Null, Value::from);
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }

    let client = options.server.client()?;
    let request = client.request(Method::POST, "/api/sql").header(header::ACCEPT, format.media_type()).json(&body);
    let mut answer = client.send(request).await?;
    if format != Format::Table {
        while let Some(chunk) = answer.chunk().await.context("the answer broke off")? {
            print::raw(&chunk)?;
        }
        return Ok(());
    }
    let answer: Answer = answer.json().await.context("the answer broke off")?;
    let headers = answer.columns.into_iter().map(|column| column.name).collect();
    let rows = answer.rows.iter().map(|row| row.iter().map(cell));
    print::line(print::table(headers, rows))?;
    if std::io::stdout().is_terminal() {
        print::line(summary(answer.rows.len(), &answer.stats))?;
    }
    Ok(())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn summary(row_count: usize, stats: &Value) -> String {
    let number = |key: &str| stats.get(key).and_then(Value::as_f64);
    let mut text = format!("{row_count} rows");
    if let Some(elapsed) = number("elapsed_ms") {
        text.push_str(&format!(" in {elapsed:.0} ms"));
    }
    if let Some(scanned) = number("rows_scanned") {
        text.push_str(&format!(", {scanned:.0} scanned"));
    }
    if stats.get("complete").and_then(Value::as_bool) == Some(false) {
        text.push_str(", cut at the limit");
    }
    text
}
