//! Which source decides each key: flags over environment over file over defaults, each value traced to its source.

use std::path::Path;

use figment::{
    Figment, Metadata, Profile, Provider,
    error::Kind,
    value::{Dict, Map, Value},
};

use crate::{Config, DEFAULT_TOML, Error, Problem, validate};

/// Prefix of environment variables that are settings: `ROOTLINE__ROOM__KEY`.
const ENVIRONMENT_PREFIX: &str = "ROOTLINE__";

/// A command-line flag that sets a key.
#[derive(Clone, Debug)]
pub struct Flag {
    /// As typed, for messages: `--data-dir`.
    pub name: &'static str,
    /// The setting it stands for: `storage.data_dir`.
    pub key: &'static str,
    /// Its value as typed.
    pub value: String,
}

/// One source of settings and how to call it in a message.
struct Layer {
    source: String,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// All layers merged, typed and validated. Pure: files and environment are arguments.
pub(crate) fn merged(
    file: Option<(&Path, &str)>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Config, Error> {
    let defaults: Dict =
        toml::from_str(DEFAULT_TOML).expect("default.toml is part of the binary and covered by a test");
    let shape = Value::from(defaults.clone());
    let mut figment = Figment::from(Layer { source: "default".to_owned(), values: defaults });

    if let Some((path, text)) = file {
        let values = toml::from_str(text).map_err(|error| Error::file(path, Located { text, error: &error }))?;
        figment = figment.merge(Layer { source: path.display().to_string(), values });
    }
    let mut variables: Vec<_> =
        environment.into_iter().filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)).collect();
    variables.sort();
    for (name, text) in variables {
        let key = name[ENVIRONMENT_PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
        let values = nested(&key, typed(&shape, &key, &text));
        figment = figment.merge(Layer { source: format!("environment variable {name}"), values });
    }
    for flag in flags {
        let values = nested(flag.key, typed(&shape, flag.key, &flag.value));
        figment = figment.merge(Layer { source: format!("flag {}", flag.name), values });
    }

    let all = figment.find_value("").map_err(|error| unexpected(&error))?;
    let unknown = unknown_keys(&figment, &shape, &all);
    if !unknown.is_empty() {
        return Err(Error::new(unknown));
    }
    let config: Config = figment.extract().map_err(|error| wrong_type(&figment, &error))?;
    let impossible: Vec<_> = validate::violations(&config)
        .into_iter()
        .map(|violation| problem(&figment, violation.key, violation.found, violation.allowed))
        .collect();
    if impossible.is_empty() { Ok(config) } else { Err(Error::new(impossible)) }
}

/// Text from a flag or variable as the key's own type: what is a string by default stays one (`data_dir = 2026`).
fn typed(shape: &Value, key: &str, text: &str) -> Value {
    match shape.find_ref(key) {
        Some(Value::String(..)) => Value::from(text),
        _ => text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {}),
    }
}

fn nested(key: &str, value: Value) -> Dict {
    match key.split_once('.') {
        Some((room, rest)) => Dict::from([(room.to_owned(), Value::from(nested(rest, value)))]),
        None => Dict::from([(key.to_owned(), value)]),
    }
}

/// Every key that has no default, since every setting has one. Entries of lists are checked by their type.
fn unknown_keys(figment: &Figment, shape: &Value, all: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (Some(rooms), Some(known_rooms)) = (all.as_dict(), shape.as_dict()) else { return problems };
    for (room, keys) in rooms {
        let Some(known) = known_rooms.get(room).and_then(Value::as_dict) else {
            problems.push(unknown(figment, room, keys, known_rooms));
            continue;
        };
        let Some(keys) = keys.as_dict() else { continue };
        for (key, value) in keys.iter().filter(|(key, _)| !known.contains_key(*key)) {
            problems.push(unknown(figment, &format!("{room}.{key}"), value, known));
        }
    }
    problems
}

fn unknown(figment: &Figment, key: &str, value: &Value, known: &Dict) -> Problem {
    Problem {
        key: key.to_owned(),
        source: source_of(figment, value),
        found: None,
        allowed: format!("unknown key, expected one of {}", known.keys().cloned().collect::<Vec<_>>().join(", ")),
    }
}

fn wrong_type(figment: &Figment, error: &figment::Error) -> Error {
    let key = error.path.join(".");
    let (found, allowed) = match &error.kind {
        Kind::Message(message) => (None, message.clone()),
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            (Some(found.to_string()), format!("expected {expected}"))
        }
        Kind::UnknownVariant(found, allowed) => {
            (Some(format!("{found:?}")), format!("expected one of {}", allowed.join(", ")))
        }
        Kind::UnknownField(found, allowed) => {
            (None, format!("unknown key {found:?}, expected one of {}", allowed.join(", ")))
        }
        kind => (None, kind.to_string()),
    };
    Error::new(vec![problem(figment, &key, found, allowed)])
}

fn problem(figment: &Figment, key: &str, found: Option<String>, allowed: String) -> Problem {
    let value = figment.find_value(key).ok();
    Problem {
        key: key.to_owned(),
        source: value.as_ref().map_or_else(|| "settings".to_owned(), |value| source_of(figment, value)),
        found: found.or_else(|| value.as_ref().and_then(written)),
        allowed,
    }
}

fn source_of(figment: &Figment, value: &Value) -> String {
    // A table has no source of its own: its first entry tells.
    match value.as_dict().and_then(|entries| entries.values().next()) {
        Some(first) => source_of(figment, first),
        None => {
            figment.get_metadata(value.tag()).map_or_else(|| "settings".to_owned(), |source| source.name.to_string())
        }
    }
}

/// A scalar as its author wrote it; lists may hold secrets and stay unsaid.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(format!("{text:?}")),
        Value::Bool(_, flag) => Some(flag.to_string()),
        Value::Num(..) => value
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| value.to_u128().map(|number| number.to_string()))
            .or_else(|| value.to_f64().map(|number| number.to_string())),
        _ => None,
    }
}

fn unexpected(error: &figment::Error) -> Error {
    Error::new(vec![Problem {
        key: "settings".to_owned(),
        source: "all sources".to_owned(),
        found: None,
        allowed: error.to_string(),
    }])
}

/// A syntax error on one line, with its place.
struct Located<'a> {
    text: &'a str,
    error: &'a toml::de::Error,
}

impl std::fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(span) = self.error.span() {
            let before = self.text.get(..span.start).unwrap_or(self.text);
            write!(f, "line {}: ", before.lines().count().max(1))?;
        }
        f.write_str(self.error.message().lines().next().unwrap_or("not valid TOML"))
    }
}

#[cfg(test)]
mod tests;
