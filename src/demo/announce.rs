//! Tells the receiver of changes, as a deployment pipeline would: `POST /api/changes`. Who does not want to hear of them
//! is not asked again for that one; they show in telemetry anyway.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    catalogue::SERVICES,
    fault::Change,
    world::{self, World},
};

const PATIENCE: Duration = Duration::from_secs(10);
const AUTHORS: [&str; 5] = ["ana", "bo", "chen", "dilara", "release-bot"];

/// A client of the receiver's HTTP API.
#[derive(Clone, Debug)]
pub(super) struct Announcer {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Announcer {
    /// `api`: `http://host:port`
    pub(super) fn new(api: &str, token: Option<String>, tls_ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let mut builder = reqwest::Client::builder().timeout(PATIENCE);
        if let Some(file) = tls_ca_file {
            let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let url = format!("{}/api/changes", api.trim_end_matches('/'));
        Ok(Self { http: builder.build()?, url, token })
    }

    pub(super) async fn announce(&self, world: &World, change: &Change) {
        let body = event(world, change);
        let mut request = self.http.post(&self.url).json(&body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        match request.send().await.and_then(reqwest::Response::error_for_status) {
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "a change was not announced"),
        }
    }
}

/// The body of `POST /api/changes`.
pub(super) fn event(world: &World, change: &Change) -> Value {
    let time = jiff::Timestamp::from_second(change.at().cast_signed()).unwrap_or_default().to_string();
    match change {
        Change::Rollout(rollout) => {
            let service = world.service(rollout.service);
            let (from, to) =
                (world::version(service, rollout.release_before), world::version(service, rollout.release));
            let verb = if rollout.release < rollout.release_before { "roll back" } else { "release" };
            json!({
                "time": time,
                "service": service.name,
                "kind": "deploy",
                "version": to,
                "from": from,
                "author": author(change.at()),
                "link": format!("https://git.shop.example.com/{}/compare/{from}...{to}", service.name),
                "message": format!("{verb} {} {to}", service.name),
            })
        }
        Change::Flag { at, service, word, percent } => json!({
            "time": time,
            "service": SERVICES[*service].name,
            "kind": "flag",
            "author": author(*at),
            "link": format!("https://flags.shop.example.com/{word}"),
            "message": format!("{word} raised to {percent} %"),
        }),
    }
}

/// A restart brings no other release: nobody announces it.
pub(super) fn is_announced(change: &Change) -> bool {
    !matches!(change, Change::Rollout(rollout) if rollout.release == rollout.release_before)
}

fn author(at: u64) -> &'static str {
    AUTHORS[(at % AUTHORS.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::{
        super::fault::{Kind, Occurrence, Schedule},
        *,
    };

    const AT: u64 = 1_763_900_000;

    #[test]
    fn a_deployment_and_its_rollback_are_announced_and_a_restart_is_not() {
        let world = World::new(3);
        let faulty = |kind| Schedule { seed: 3, opens: AT, anchor: AT + 600, occurrence: Occurrence::Once(kind, 400) };
        let schedule = faulty(Kind::BadDeploy);
        let fault = schedule.fault(&world, 0).unwrap();
        let changes = schedule.changes(&world, AT + 1200);
        let out = changes.iter().find(|c| c.at() == fault.start).unwrap();
        let told = event(&world, out);
        assert_eq!((&told["kind"], &told["time"]), (&json!("deploy"), &json!("2025-11-23T12:23:20Z")));
        assert!(told["from"].as_str().unwrap() < told["version"].as_str().unwrap(), "{told}");
        assert!(changes.iter().all(is_announced));
        let back = event(&world, changes.iter().find(|c| c.at() == fault.end - 30).unwrap());
        assert_eq!((&back["version"], &back["from"]), (&told["from"], &told["version"]));
        assert!(back["message"].as_str().unwrap().starts_with("roll back"));

        let leak = faulty(Kind::MemoryLeak);
        let end = leak.fault(&world, 0).unwrap().end;
        let changes = leak.changes(&world, AT + 1200);
        assert!(changes.iter().filter(|c| c.at() == end).all(|c| !is_announced(c)), "the same release again");
    }
}
