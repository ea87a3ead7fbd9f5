//! YAML -> a tree in which every value knows its line, column and path.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use super::Problem;

/// Deepest nesting; OpenSLO needs about ten.
const MAX_DEPTH: usize = 64;
/// Values of one file, aliases written out: a small file cannot become a large tree.
const MAX_NODES: usize = 200_000;

/// Longest name, operation or description.
const MAX_TEXT_BYTES: usize = 4096;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    line: u64,
    column: u64,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Value {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// The documents of a file.
///
/// # Errors
/// What is no YAML, and where.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Problem> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
        },
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let place = error.location();
        Problem {
            line: place.map_or(0, |place| place.line()),
            column: place.map_or(0, |place| place.column()),
            field: String::new(),
            message: format!("cannot be read as YAML: {}", without_place(&error.to_string())),
        }
    })
}

/// The place is told apart.
fn without_place(message: &str) -> &str {
    let line = message.lines().next().unwrap_or_default();
    line.split(" at line ").next().unwrap_or(line)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { line: referenced.line(), column: referenced.column(), value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Value::Map(map))
    }
}

/// A value and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    node: &'a Node,
    path: String,
}

impl<'a> Field<'a> {
    /// The document itself.
    pub(super) fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    /// A problem with this value.
    pub(super) fn refuse(&self, message: impl Into<String>) -> Problem {
        Problem { line: self.node.line, column: self.node.column, field: self.path.clone(), message: message.into() }
    }

    fn expected(&self, what: &str) -> Problem {
        self.refuse(format!("expected {what}, found {}", self.node.value.kind()))
    }

    fn child_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn entries(&self) -> Result<&'a [(String, Node)], Problem> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(self.expected("a mapping")),
        }
    }

    /// This mapping has no keys but these: a misspelt one would silently mean nothing.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        for (key, value) in self.entries()? {
            if !known.contains(&key.as_str()) {
                let field = Self { node: value, path: self.child_path(key) };
                return Err(field.refuse(format!("unknown field, expected one of {}", known.join(", "))));
            }
        }
        Ok(())
    }

    /// The value of a key; `None` where it is absent or null.
    pub(super) fn get(&self, key: &str) -> Result<Option<Self>, Problem> {
        let found = self.entries()?.iter().find(|(name, node)| name == key && !matches!(node.value, Value::Null));
        Ok(found.map(|(_, node)| Self { node, path: self.child_path(key) }))
    }

    /// The value of a key that has to be there.
    pub(super) fn require(&self, key: &str) -> Result<Self, Problem> {
        self.get(key)?.ok_or_else(|| self.missing(key))
    }

    /// The problem of a key that has to be there.
    pub(super) fn missing(&self, key: &str) -> Problem {
        Problem { field: self.child_path(key), ..self.refuse("is missing") }
    }

    pub(super) fn list(&self) -> Result<Vec<Self>, Problem> {
        let Value::List(items) = &self.node.value else { return Err(self.expected("a list")) };
        let item = |(index, node)| Self { node, path: format!("{}[{index}]", self.path) };
        Ok(items.iter().enumerate().map(item).collect())
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    pub(super) fn text(&self) -> Result<&'a str, Problem> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.expected("text")),
        }
    }

    /// The text of a key, if there is one.
    pub(super) fn optional_text(&self, key: &str) -> Result<Option<String>, Problem> {
        let Some(field) = self.get(key)? else { return Ok(None) };
        let text = field.text()?;
        if text.len() > MAX_TEXT_BYTES {
            return Err(field.refuse(format!("at most {MAX_TEXT_BYTES} bytes")));
        }
        Ok(Some(text.to_owned()))
    }

    pub(super) fn number(&self) -> Result<f64, Problem> {
        match &self.node.value {
            Value::Number(number) => Ok(*number),
            _ => Err(self.expected("a number")),
        }
    }

    /// A number, where text is possible too.
    pub(super) fn as_number(&self) -> Option<f64> {
        self.number().ok()
    }

    pub(super) fn bool(&self) -> Result<bool, Problem> {
        match &self.node.value {
            Value::Bool(value) => Ok(*value),
            _ => Err(self.expected("true or false")),
        }
    }
}
