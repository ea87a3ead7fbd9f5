//! New bearer tokens: the secret is shown once, its hash goes into the configuration.

use clap::{Subcommand, ValueEnum};
use sha2::{Digest as _, Sha256};
use storage::random::Random;

use super::print;

/// 256 random bits: what a guess cannot hit.
const SECRET_BYTES: usize = 32;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token and print the lines that allow it.
    New {
        /// What its bearer may do.
        #[arg(long)]
        role: Role,
        /// What logs call it.
        #[arg(long, default_value = "token")]
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Role {
    /// Push telemetry; nothing else
    Ingest,
    /// Read everything
    Viewer,
    /// Also change objectives, dashboards and views
    Editor,
    /// Also administer, and push telemetry
    Admin,
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    let Command::New { role, name, json } = command;
    let secret: [u8; SECRET_BYTES] = Random::system().bytes();
    let token = format!("rl_{}", hex(&secret));
    let hash = hex(&Sha256::digest(token.as_bytes()));
    let role = role.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    if *json {
        let answer = serde_json::json!({ "name": name, "role": role, "token": token, "sha256": hash });
        return print::line(answer.to_string());
    }
    let name = toml_string(name);
    print::line(format!(
        "Token, shown only now; clients send it as `Authorization: Bearer …`, `rootline sql` reads it from ROOTLINE_TOKEN:\n\n\
         {token}\n\n\
         For rootline.toml:\n\n\
         [[auth.tokens]]\nname = {name}\nrole = \"{role}\"\nsha256 = \"{hash}\""
    ))
}

/// JSON's escapes are a subset of TOML's.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
