//! OTLP/JSON -> protobuf, translated while it is parsed: no tree in between, one set of rules for both encodings.
//!
//! Follows the protobuf JSON mapping with OTLP's deviations: ids are hex, enums are integers only, keys are lowerCamelCase
//! and unknown ones are ignored. 64-bit integers come as text or number; `null` is a field that was not sent.

mod number;

use std::{borrow::Cow, fmt};

use base64::Engine as _;
use serde::{
    Deserialize as _,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use storage::model::attributes::MAX_DEPTH;

use super::{
    messages::{self, EnumName, Field, Kind, Message},
    wire::Malformed,
};
use crate::{
    Signal,
    admission::{Full, Share},
};

/// Bytes reserved for the length of a nested message, written once it is known: a varint may be padded.
const LENGTH_BYTES: usize = 5;

/// Values nested this deep in each other are parsed anew from their text: the parser bounds its own nesting to less than
/// our values may have.
const VALUES_PER_PARSER: usize = 16;

/// The document's text, and how many byte sequences that are not UTF-8 were replaced in it by U+FFFD. Only text can have
/// such bytes: anywhere else the document is no JSON before and after.
pub(crate) fn text<'a>(json: &'a [u8], share: &mut Share) -> Result<(Cow<'a, str>, usize), Full> {
    // Some senders write a byte order mark.
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    if let Ok(text) = std::str::from_utf8(json) {
        return Ok((Cow::Borrowed(text), 0));
    }
    // A byte becomes three at most.
    share.grow(json.len().saturating_mul(3))?;
    let replaced = json.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
    Ok((String::from_utf8_lossy(json), replaced))
}

/// Translates one request. A key and value take at least three bytes of JSON for seven of protobuf at most (key 2,
/// length 5), so that the result is at most about twice as long.
///
/// # Errors
/// What is wrong and where, in line and column.
pub(crate) fn to_protobuf(signal: Signal, json: &str) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(json.len() / 2);
    if json.is_empty() {
        return Ok(out);
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let describe = |error: serde_json::Error| Malformed::new(format!("JSON: {error}"));
    let fields = Fields { message: messages::request(signal), out: &mut out, value_depth: 0 };
    fields.deserialize(&mut deserializer).map_err(describe)?;
    deserializer.end().map_err(describe)?;
    Ok(out)
}

/// Writes the fields of one JSON object.
struct Fields<'m, 'o> {
    message: &'m Message,
    out: &'o mut Vec<u8>,
    /// Values (`AnyValue`) around it.
    value_depth: usize,
}

impl<'de> DeserializeSeed<'de> for Fields<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object ({})", self.message.name)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        Err(E::custom(format!("{} is no object ({})", Excerpt(text), self.message.name)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Key(self.message))? {
            match field {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(field) => {
                    map.next_value_seed(FieldValue { field, out: self.out, value_depth: self.value_depth })?;
                }
            }
        }
        Ok(())
    }
}

/// The field that a key names.
struct Key<'m>(&'m Message);

impl<'de, 'm> DeserializeSeed<'de> for Key<'m> {
    type Value = Option<&'m Field>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'m> Visitor<'_> for Key<'m> {
    type Value = Option<&'m Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.fields.iter().find(|field| field.key == key))
    }
}

/// Writes the value of one field, or all of its values when it is repeated.
struct FieldValue<'m, 'o> {
    field: &'m Field,
    out: &'o mut Vec<u8>,
    value_depth: usize,
}

impl<'de> DeserializeSeed<'de> for FieldValue<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.field.is_repeated { deserializer.deserialize_any(self) } else { self.one().deserialize(deserializer) }
    }
}

impl<'m, 'o> FieldValue<'m, 'o> {
    fn one(self) -> Single<'m, 'o> {
        Single { field: self.field, out: self.out, value_depth: self.value_depth, is_element: false }
    }
}

impl<'de> Visitor<'de> for FieldValue<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array for {:?}", self.field.key)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        Err(E::custom(format!("{:?} is {}, expected an array", self.field.key, Excerpt(text))))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let Self { field, value_depth, .. } = self;
            let element = Single { field, out: self.out, value_depth, is_element: true };
            if seq.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }
}

/// Writes one value with its key.
struct Single<'m, 'o> {
    field: &'m Field,
    out: &'o mut Vec<u8>,
    value_depth: usize,
    is_element: bool,
}

impl Single<'_, '_> {
    fn key(&mut self, wire_type: u8) {
        varint(self.out, u64::from(self.field.number << 3 | u32::from(wire_type)));
    }

    fn varint(mut self, value: u64) {
        self.key(0);
        varint(self.out, value);
    }

    fn fixed64(mut self, value: u64) {
        self.key(1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(mut self, value: &[u8]) {
        self.key(2);
        varint(self.out, value.len() as u64);
        self.out.extend_from_slice(value);
    }

    /// An integer in the range of the field's type.
    fn integer<E: serde::de::Error>(self, value: i128) -> Result<(), E> {
        let key = self.field.key;
        let out_of_range = || E::custom(format!("{value} is out of range for {key:?}"));
        match self.field.kind {
            Kind::Fixed64 => self.fixed64(u64::try_from(value).map_err(|_| out_of_range())?),
            Kind::Uint64 => self.varint(u64::try_from(value).map_err(|_| out_of_range())?),
            Kind::Uint32 => self.varint(u32::try_from(value).map_err(|_| out_of_range())?.into()),
            Kind::Int64 => self.varint(i64::try_from(value).map_err(|_| out_of_range())?.cast_unsigned()),
            Kind::Sfixed64 => self.fixed64(i64::try_from(value).map_err(|_| out_of_range())?.cast_unsigned()),
            Kind::Enum(_) => {
                let number = i32::try_from(value).map_err(|_| out_of_range())?;
                self.varint(i64::from(number).cast_unsigned());
            }
            Kind::Sint32 => {
                let number = i32::try_from(value).map_err(|_| out_of_range())?;
                self.varint(((number << 1) ^ (number >> 31)).cast_unsigned().into());
            }
            Kind::Fixed32 => {
                let number = u32::try_from(value).map_err(|_| out_of_range())?;
                let mut this = self;
                this.key(5);
                this.out.extend_from_slice(&number.to_le_bytes());
            }
            _ => return Err(E::custom(format!("{key:?} is not a number"))),
        }
        Ok(())
    }

    fn text<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let key = self.field.key;
        match self.field.kind {
            Kind::String => self.bytes(text.as_bytes()),
            Kind::Id => {
                let id = hex::decode(text).map_err(|_| {
                    E::custom(format!("{key:?} is {}; ids are hex text in OTLP/JSON, not base64", Excerpt(text)))
                })?;
                self.bytes(&id);
            }
            Kind::Base64 => {
                let bytes =
                    decode_base64(text).map_err(|error| E::custom(format!("{key:?} is not base64: {error}")))?;
                self.bytes(&bytes);
            }
            Kind::Enum(name) => return Err(E::custom(enum_hint(key, text, name))),
            Kind::Double => {
                let value = number::parse_double(text)
                    .ok_or_else(|| E::custom(format!("{key:?} is {}, expected a number", Excerpt(text))))?;
                self.fixed64(value.to_bits());
            }
            Kind::Bool | Kind::Message(_) => {
                return Err(E::custom(format!("{key:?} is text, expected {}", self.field.kind)));
            }
            _ => {
                let value = number::parse_integer(text)
                    .ok_or_else(|| E::custom(format!("{key:?} is {}, expected an integer", Excerpt(text))))?;
                return self.integer(value);
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Single<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let is_value = matches!(self.field.kind, Kind::Message(message) if std::ptr::eq(message, &messages::ANY_VALUE));
        if !is_value || self.value_depth == 0 {
            return deserializer.deserialize_any(self);
        }
        if self.value_depth > MAX_DEPTH {
            // Its item is rejected for the values around it, however deep this one goes on.
            return IgnoredAny::deserialize(deserializer).map(drop);
        }
        if self.value_depth.is_multiple_of(VALUES_PER_PARSER) {
            let text = <&RawValue>::deserialize(deserializer)?;
            return serde::Deserializer::deserialize_any(&mut serde_json::Deserializer::from_str(text.get()), self)
                .map_err(D::Error::custom);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Single<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {:?}", self.field.kind, self.field.key)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        // Only a whole field may be null; a null among the values of an array stands for nothing.
        if self.is_element { Err(E::custom(format!("null among the values of {:?}", self.field.key))) } else { Ok(()) }
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => {
                self.varint(value.into());
                Ok(())
            }
            kind => Err(E::custom(format!("{:?} is a truth value, expected {kind}", self.field.key))),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double => self.visit_f64(value as f64),
            _ => self.integer(value.into()),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double => self.visit_f64(value as f64),
            _ => self.integer(value.into()),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double => {
                self.fixed64(value.to_bits());
                Ok(())
            }
            _ => match number::whole(value) {
                Some(value) => self.integer(value),
                None => Err(E::custom(format!("{value} for {:?}, expected {}", self.field.key, self.field.kind))),
            },
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let Kind::Message(message) = self.field.kind else {
            return Err(A::Error::custom(format!("{:?} is an object, expected {}", self.field.key, self.field.kind)));
        };
        self.key(2);
        let start = self.out.len();
        self.out.extend_from_slice(&[0; LENGTH_BYTES]);
        let value_depth = self.value_depth + usize::from(std::ptr::eq(message, &messages::ANY_VALUE));
        Fields { message, out: self.out, value_depth }.visit_map(map)?;
        let mut length = self.out.len() - start - LENGTH_BYTES;
        for byte in &mut self.out[start..start + LENGTH_BYTES - 1] {
            *byte = (length & 0x7f) as u8 | 0x80;
            length >>= 7;
        }
        self.out[start + LENGTH_BYTES - 1] = (length & 0x7f) as u8;
        Ok(())
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Standard and URL-safe alphabets, with or without padding, as the protobuf JSON mapping asks.
fn decode_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    use base64::{
        alphabet,
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    };
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabet = if text.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
    GeneralPurpose::new(&alphabet, lenient).decode(text)
}

fn enum_hint(key: &str, text: &str, name: EnumName) -> String {
    let found = Excerpt(text);
    match name(text) {
        Some(number) => format!("{key:?} is {found}; enums are integers in OTLP/JSON: write {number}"),
        None => format!("{key:?} is {found}; enums are integers in OTLP/JSON"),
    }
}

/// The beginning of text from outside: an answer must not grow with what is wrong.
struct Excerpt<'a>(&'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_BYTES: usize = 80;
        let start = &self.0[..self.0.floor_char_boundary(MAX_BYTES)];
        if start.len() == self.0.len() { write!(f, "{start:?}") } else { write!(f, "{start:?}…") }
    }
}
