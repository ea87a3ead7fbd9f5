//! Which server a client command talks to, and how its refusals read.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use config::{Flag, Listener};
use reqwest::{Method, RequestBuilder, Response, StatusCode};

use crate::listen::{Bound, reachable};

/// Flags of every command that asks a server.
#[derive(Debug, Args)]
pub(super) struct ServerOptions {
    /// The server's URL [default: the one that uses the data directory]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Data directory of the server to ask [default: as configured]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Configuration file [default: rootline.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Certificates (PEM) to trust besides the configured one
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A client of one server's HTTP API. The bearer token comes from ROOTLINE_TOKEN.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl ServerOptions {
    /// Finds the server; does not talk to it yet.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let flag = self.data_dir.clone();
        let flags: Vec<_> =
            flag.map(|value| Flag { name: "--data-dir", key: "storage.data_dir", value }).into_iter().collect();
        let config = config::load(self.config.as_deref(), &flags)?;

        let mut builder = reqwest::Client::builder();
        let configured = &config.listen.tls_certificate_file;
        let trusted = self.ca.iter().chain((!configured.as_os_str().is_empty()).then_some(configured));
        for path in trusted {
            let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let base = match &self.server {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let scheme = if configured.as_os_str().is_empty() { "http" } else { "https" };
                let bound = Bound::read(&config.storage.data_dir).and_then(|bound| Some((bound.scheme, bound.http?)));
                let configured = match config.listen.http {
                    Listener::Address(address) => Some((scheme.to_owned(), address)),
                    Listener::Off => None,
                };
                let (scheme, address) =
                    bound.or(configured).context("the server's HTTP listener is off (listen.http)")?;
                format!("{scheme}://{}", reachable(address))
            }
        };
        Ok(Client { http: builder.build()?, base, token: config::client_token() })
    }
}

impl Client {
    /// A request for a path of the API.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends it; a refusal becomes an error with the server's own words.
    pub(super) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let answer = request.send().await.map_err(|error| {
            let cause = anyhow::Error::new(error.without_url());
            anyhow::anyhow!("no answer from {}: {}; is the server running?", self.base, cause.root_cause())
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.text().await.unwrap_or_default();
        bail!("{}", refusal(status, &body))
    }
}

/// A problem document in one line, or the status where there is none.
fn refusal(status: StatusCode, body: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let text = |key: &str| problem.get(key).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
    let mut message = match text("detail").or_else(|| text("title")) {
        Some(detail) => detail.to_owned(),
        None => format!("the server answered {status}"),
    };
    if let Some(position) = problem.get("position").and_then(serde_json::Value::as_u64) {
        message.push_str(&format!(" (at character {position})"));
    }
    if let Some(hint) = text("hint") {
        message.push_str(&format!("; {hint}"));
    }
    if status == StatusCode::UNAUTHORIZED {
        message.push_str("; put a token into ROOTLINE_TOKEN");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_use_the_words_of_the_server() {
        let body = r#"{"title":"Invalid query","detail":"no table \"log\"","position":14,"hint":"did you mean logs?"}"#;
        assert_eq!(refusal(StatusCode::BAD_REQUEST, body), "no table \"log\" (at character 14); did you mean logs?");
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, "<html>"), "the server answered 502 Bad Gateway");
    }
}
