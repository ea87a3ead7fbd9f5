//! `rootline why`: the cause of a service's trouble, as Markdown for people or JSON for programs.

use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use super::{client::ServerOptions, print};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The service in trouble
    service: String,
    /// How far back an incident is looked for
    #[arg(long, value_name = "DURATION", default_value = "30m", conflicts_with = "from")]
    since: String,
    /// When the trouble began, where that is known: a time or now-10m
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// When it ended [default: now]
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,
    /// Language of the report
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    language: Language,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    En,
    Zh,
}

impl Language {
    const fn name(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let client = options.server.client()?;
    let request = client.request(Method::POST, "/api/causes").json(&question(&options));
    let answer: Value = client.send(request).await?.json().await?;
    if options.json {
        return print::line(serde_json::to_string_pretty(&answer)?);
    }
    let report = answer.pointer(&format!("/report/{}", options.language.name()));
    print::line(print::inert(report.and_then(Value::as_str).unwrap_or_default()))
}

fn question(options: &Options) -> Value {
    let mut question = json!({ "service": options.service, "language": options.language.name() });
    match &options.from {
        Some(from) => {
            question["from"] = json!(from);
            question["to"] = json!(options.to.as_deref().unwrap_or("now"));
        }
        None => question["since"] = json!(options.since),
    }
    question
}
