//! Typed attribute maps as bytes: every OpenTelemetry value type, sorted keys, lookup without decoding the rest.
//!
//! `docs/format/attributes.md` has the layout. A map is `count` then entries of `key`, `value`; a value is a tag byte and
//! its payload. Lengths are LEB128 varints; arrays and maps carry their byte length so that a reader can step over them.
//! Keys are sorted by their bytes and unique, so equal maps have equal bytes.

use std::fmt::Write as _;

use super::varint::{read_varint, write_varint};

/// Deepest nesting of arrays and maps that is written. Deeper values are rejected by `ingest` before they come here.
pub const MAX_DEPTH: usize = 64;

const NULL: u8 = 0;
const STRING: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const INT: u8 = 4;
const DOUBLE: u8 = 5;
const BYTES: u8 = 6;
const ARRAY: u8 = 7;
const MAP: u8 = 8;

/// One value, borrowed from encoded bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A value that was sent without content.
    Null,
    /// Text.
    String(&'a str),
    /// Truth value.
    Bool(bool),
    /// 64-bit integer.
    Int(i64),
    /// 64-bit float, bit for bit.
    Double(f64),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// Values in order, of any types.
    Array(Array<'a>),
    /// A nested map.
    Map(Attributes<'a>),
}

/// An encoded map. Reading damaged bytes yields fewer entries, never a panic: checksums guard them elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes<'a>(&'a [u8]);

/// An encoded array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Reads a map written by [`MapWriter`]. No bytes at all are an empty map.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes this map was read from.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Number of entries.
    pub fn len(self) -> usize {
        read_varint(self.0).map_or(0, |(count, _)| usize::try_from(count).unwrap_or(0))
    }

    /// Whether there are no entries.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of `key`; `None` when the map has no such key.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        let wanted = key.as_bytes();
        let (count, mut rest) = read_varint(self.0)?;
        for _ in 0..count {
            let (found, after) = read_slice(rest)?;
            match found.cmp(wanted) {
                std::cmp::Ordering::Equal => return read_value(after).map(|(value, _)| value),
                std::cmp::Ordering::Greater => return None,
                std::cmp::Ordering::Less => rest = skip_value(after)?,
            }
        }
        None
    }

    /// Entries in key order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let (mut left, mut rest) = read_varint(self.0).unwrap_or((0, &[]));
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (key, after) = read_slice(rest)?;
            let (value, after) = read_value(after)?;
            rest = after;
            Some((std::str::from_utf8(key).ok()?, value))
        })
    }

    /// Entries in key order as bytes: the key, and the value as it is encoded. For passes over many maps, which compare
    /// and copy: text was checked when it came in.
    pub fn iter_encoded(self) -> impl Iterator<Item = (&'a [u8], Encoded<'a>)> {
        let (mut left, mut rest) = read_varint(self.0).unwrap_or((0, &[]));
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (key, after) = read_slice(rest)?;
            let next = skip_value(after)?;
            let value = &after[..after.len() - next.len()];
            rest = next;
            Some((key, Encoded(value)))
        })
    }

    /// Keys in their order.
    pub fn keys(self) -> impl Iterator<Item = &'a str> {
        self.iter_encoded().map_while(|(key, _)| std::str::from_utf8(key).ok())
    }

    /// The map as JSON text: bytes as base64-free hex strings, NaN and infinities as strings.
    pub fn to_json(self) -> String {
        let mut out = String::new();
        write_json_map(&mut out, self);
        out
    }
}

/// One value as it is encoded, tag and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded<'a>(&'a [u8]);

impl<'a> Encoded<'a> {
    /// The value; `None` for damaged bytes.
    pub fn read(self) -> Option<Value<'a>> {
        Value::read(self.0)
    }

    /// The bytes of a text, not looked at; `None` for all else.
    pub fn text_bytes(self) -> Option<&'a [u8]> {
        match self.0.split_first() {
            Some((&STRING, rest)) => read_slice(rest).map(|(text, _)| text),
            _ => None,
        }
    }
}

impl<'a> Array<'a> {
    /// Values in order.
    pub fn iter(self) -> impl Iterator<Item = Value<'a>> {
        let (mut left, mut rest) = read_varint(self.0).unwrap_or((0, &[]));
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (value, after) = read_value(rest)?;
            rest = after;
            Some(value)
        })
    }
}

impl<'a> Value<'a> {
    /// Reads one value written by a [`ValueSink`] method; `None` for damaged bytes.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        read_value(bytes).map(|(value, _)| value)
    }

    /// The value as text, as `attributes['k']` shows it: strings as they are, arrays and maps as JSON. `None` for null.
    pub fn to_text(self) -> Option<std::borrow::Cow<'a, str>> {
        match self {
            Self::Null => None,
            Self::String(text) => Some(text.into()),
            other => {
                let mut out = String::new();
                write_json(&mut out, other);
                // Scalars read better bare: a quoted NaN or hex string is for JSON documents only.
                Some(out.trim_matches('"').to_owned().into())
            }
        }
    }

    /// The value as a JSON document.
    pub fn to_json(self) -> String {
        let mut out = String::new();
        write_json(&mut out, self);
        out
    }

    /// Writes this value again, byte for byte the same.
    pub fn write(self, sink: &mut impl ValueSink) {
        match self {
            Self::Null => sink.null(),
            Self::String(text) => sink.string(text),
            Self::Bool(value) => sink.bool(value),
            Self::Int(value) => sink.int(value),
            Self::Double(value) => sink.double(value),
            Self::Bytes(bytes) => sink.bytes(bytes),
            Self::Array(array) => {
                let items: Vec<_> = array.iter().collect();
                sink.array(items.len(), |sink| items.iter().for_each(|item| item.write(sink)));
            }
            Self::Map(map) => sink.map(map.len(), |writer| {
                for (key, value) in map.iter() {
                    writer.entry(key, |sink| value.write(sink));
                }
            }),
        }
    }
}

/// Where one value is written. Implemented by `Vec<u8>`.
pub trait ValueSink {
    /// A value without content.
    fn null(&mut self);
    /// Text.
    fn string(&mut self, text: &str);
    /// Truth value.
    fn bool(&mut self, value: bool);
    /// 64-bit integer.
    fn int(&mut self, value: i64);
    /// 64-bit float, bit for bit.
    fn double(&mut self, value: f64);
    /// Raw bytes.
    fn bytes(&mut self, bytes: &[u8]);
    /// `count` values, each written by one call on the sink that `fill` gets.
    fn array(&mut self, count: usize, fill: impl FnOnce(&mut Self));
    /// `count` entries with sorted unique keys, each written by one call of [`MapWriter::entry`].
    fn map(&mut self, count: usize, fill: impl FnOnce(&mut MapWriter<'_>));
}

impl ValueSink for Vec<u8> {
    fn null(&mut self) {
        self.push(NULL);
    }

    fn string(&mut self, text: &str) {
        self.push(STRING);
        write_slice(self, text.as_bytes());
    }

    fn bool(&mut self, value: bool) {
        self.push(if value { TRUE } else { FALSE });
    }

    fn int(&mut self, value: i64) {
        self.push(INT);
        // Zigzag: small negative numbers stay small.
        write_varint(self, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn double(&mut self, value: f64) {
        self.push(DOUBLE);
        self.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.push(BYTES);
        write_slice(self, bytes);
    }

    fn array(&mut self, count: usize, fill: impl FnOnce(&mut Self)) {
        self.push(ARRAY);
        write_sized(self, |out| {
            write_varint(out, count as u64);
            fill(out);
        });
    }

    fn map(&mut self, count: usize, fill: impl FnOnce(&mut MapWriter<'_>)) {
        self.push(MAP);
        write_sized(self, |out| fill(&mut MapWriter::new(out, count)));
    }
}

/// Writes one map: exactly the announced number of entries, keys sorted by bytes and unique.
#[derive(Debug)]
pub struct MapWriter<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
}

impl<'a> MapWriter<'a> {
    /// Begins a map of `count` entries at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, count: usize) -> Self {
        write_varint(out, count as u64);
        Self { out, left: count }
    }

    /// One entry; `fill` writes exactly one value.
    pub fn entry(&mut self, key: &str, fill: impl FnOnce(&mut Vec<u8>)) {
        self.begin(key.as_bytes());
        fill(self.out);
    }

    /// One entry of [`Attributes::iter_encoded`].
    pub fn entry_encoded(&mut self, key: &[u8], value: Encoded<'_>) {
        self.begin(key);
        self.out.extend_from_slice(value.0);
    }

    fn begin(&mut self, key: &[u8]) {
        debug_assert!(self.left > 0, "more entries than announced");
        self.left = self.left.saturating_sub(1);
        write_slice(self.out, key);
    }
}

/// Encodes a map from entries in any order; of entries with one key the last wins. Convenient, not for hot paths.
pub fn encode<'a>(entries: impl IntoIterator<Item = (&'a str, Value<'a>)>) -> Vec<u8> {
    let sorted: std::collections::BTreeMap<&str, Value<'_>> = entries.into_iter().collect();
    let mut out = Vec::new();
    let mut writer = MapWriter::new(&mut out, sorted.len());
    for (key, value) in sorted {
        writer.entry(key, |sink| value.write(sink));
    }
    out
}

fn write_slice(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes what `fill` writes, preceded by its length in bytes.
fn write_sized(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    fill(out);
    let mut length = Vec::with_capacity(3);
    write_varint(&mut length, (out.len() - start) as u64);
    out.splice(start..start, length);
}

fn read_slice(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = read_varint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

fn read_value(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    Some(match *tag {
        NULL => (Value::Null, rest),
        FALSE => (Value::Bool(false), rest),
        TRUE => (Value::Bool(true), rest),
        INT => {
            let (zigzag, rest) = read_varint(rest)?;
            (Value::Int((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()), rest)
        }
        DOUBLE => {
            let (bits, rest) = rest.split_first_chunk::<8>()?;
            (Value::Double(f64::from_bits(u64::from_le_bytes(*bits))), rest)
        }
        tag @ (STRING | BYTES | ARRAY | MAP) => {
            let (slice, rest) = read_slice(rest)?;
            let value = match tag {
                STRING => Value::String(std::str::from_utf8(slice).ok()?),
                BYTES => Value::Bytes(slice),
                ARRAY => Value::Array(Array(slice)),
                _ => Value::Map(Attributes(slice)),
            };
            (value, rest)
        }
        _ => return None,
    })
}

fn skip_value(bytes: &[u8]) -> Option<&[u8]> {
    let (tag, rest) = bytes.split_first()?;
    match *tag {
        NULL | FALSE | TRUE => Some(rest),
        INT => read_varint(rest).map(|(_, rest)| rest),
        DOUBLE => rest.get(8..),
        STRING | BYTES | ARRAY | MAP => read_slice(rest).map(|(_, rest)| rest),
        _ => None,
    }
}

fn write_json(out: &mut String, value: Value<'_>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::String(text) => write_json_string(out, text),
        Value::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Value::Int(value) => drop(write!(out, "{value}")),
        Value::Double(value) if value.is_finite() => drop(write!(out, "{value:?}")),
        Value::Double(value) if value.is_nan() => out.push_str("\"NaN\""),
        Value::Double(value) => out.push_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }),
        Value::Bytes(bytes) => drop(write!(out, "\"{}\"", hex::encode(bytes))),
        Value::Array(array) => {
            out.push('[');
            for (i, item) in array.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json(out, item);
            }
            out.push(']');
        }
        Value::Map(map) => write_json_map(out, map),
    }
}

fn write_json_map(out: &mut String, map: Attributes<'_>) {
    out.push('{');
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_json_string(out, key);
        out.push(':');
        write_json(out, value);
    }
    out.push('}');
}

fn write_json_string(out: &mut String, text: &str) {
    // A string always serialises; the fallback keeps the document valid.
    out.push_str(&serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let nested = encode([("x", Value::Int(i64::MIN)), ("y", Value::Null)]);
        let mut array = Vec::new();
        array.array(2, |sink| {
            sink.string("a");
            sink.double(f64::NEG_INFINITY);
        });
        let mut out = Vec::new();
        let mut writer = MapWriter::new(&mut out, 7);
        writer.entry("", |sink| sink.bool(true));
        writer.entry_encoded(b"array", Encoded(&array));
        writer.entry("bytes", |sink| sink.bytes(&[0, 255]));
        writer.entry("double", |sink| sink.double(-0.0));
        writer.entry("int", |sink| sink.int(i64::MAX));
        writer.entry("map", |sink| Value::Map(Attributes::new(&nested)).write(sink));
        writer.entry("text", |sink| sink.string("é\"\n"));
        out
    }

    #[test]
    fn each_type_is_found_again() {
        let bytes = sample();
        let map = Attributes::new(&bytes);
        assert_eq!(map.len(), 7);
        assert_eq!(map.get(""), Some(Value::Bool(true)));
        assert_eq!(map.get("int"), Some(Value::Int(i64::MAX)));
        assert!(matches!(map.get("double"), Some(Value::Double(v)) if v.to_bits() == (-0.0f64).to_bits()));
        assert_eq!(map.get("bytes"), Some(Value::Bytes(&[0, 255])));
        assert_eq!(map.get("nope"), None);
        assert_eq!(
            map.to_json(),
            r#"{"":true,"array":["a","-Infinity"],"bytes":"00ff","double":-0.0,"int":9223372036854775807,"map":{"x":-9223372036854775808,"y":null},"text":"é\"\n"}"#
        );
    }

    #[test]
    fn writing_what_was_read_gives_the_same_bytes() {
        let bytes = sample();
        assert_eq!(encode(Attributes::new(&bytes).iter()), bytes);
    }

    #[test]
    fn damaged_bytes_never_panic() {
        let bytes = sample();
        for cut in 0..bytes.len() {
            let map = Attributes::new(&bytes[..cut]);
            let _ = (map.to_json(), map.get("text"), map.iter_encoded().count());
        }
    }
}
