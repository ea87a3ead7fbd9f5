//! The protobuf wire format, read in place: fields of a message without copying and without a tree in between.
//!
//! Known fields must have their wire type, unknown fields and groups are stepped over, a field that comes twice is read as
//! protobuf says: whatever a generated decoder accepts is accepted, and means the same (property tests compare both).

use std::borrow::Cow;

/// Deepest nesting of unknown groups that is stepped over.
const MAX_GROUP_DEPTH: usize = 100;

/// Bytes that are not the message they claim to be. The whole request is refused: nothing after them can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Malformed {
    what: Cow<'static, str>,
    is_text: bool,
}

impl Malformed {
    pub(crate) fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into(), is_text: false }
    }

    /// Whether text is not UTF-8, and that is all that is known to be wrong.
    pub(crate) fn is_text(&self) -> bool {
        self.is_text
    }
}

/// The payload of one field.
#[derive(Clone, Copy, Debug)]
enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
    Group,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// Its number in the message's definition.
    pub(crate) number: u32,
    payload: Payload<'a>,
}

/// Fields of a message in the order they were sent. Ends after the first error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field, and the bytes it was read from.
    pub(crate) fn next_with_bytes(&mut self) -> Option<(Result<Field<'a>, Malformed>, &'a [u8])> {
        let before = self.rest;
        let field = self.next()?;
        Some((field, &before[..before.len() - self.rest.len()]))
    }

    fn read(&mut self) -> Result<Field<'a>, Malformed> {
        let (number, wire_type) = read_key(&mut self.rest)?;
        let payload = match wire_type {
            0 => Payload::Varint(read_varint(&mut self.rest)?),
            1 => Payload::Fixed64(u64::from_le_bytes(read_array(&mut self.rest)?)),
            2 => Payload::Bytes(read_sized(&mut self.rest)?),
            3 => {
                skip_group(&mut self.rest, number, 1)?;
                Payload::Group
            }
            4 => return Err(Malformed::new("a group ends that never began")),
            5 => Payload::Fixed32(u32::from_le_bytes(read_array(&mut self.rest)?)),
            _ => return Err(Malformed::new(format!("wire type {wire_type} of field {number} does not exist"))),
        };
        Ok(Field { number, payload })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// A message that may have come in several parts: protobuf reads a singular field that comes more than once as one
/// message with the fields of all, in their order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parts<'a> {
    /// The usual case.
    One(&'a [u8]),
    /// Every field with that number in a message that has more than one.
    Of {
        /// Where the parts are.
        message: &'a [u8],
        /// Their number in it.
        number: u32,
    },
}

impl<'a> Parts<'a> {
    /// What was found so far, `message` among it: another part of field `number` of `message`.
    pub(crate) const fn add(found: Option<Self>, part: &'a [u8], message: &'a [u8], number: u32) -> Self {
        match found {
            None => Self::One(part),
            Some(_) => Self::Of { message, number },
        }
    }

    /// Hands all fields to `read`, in order.
    #[inline]
    pub(crate) fn each<E: From<Malformed>>(self, mut read: impl FnMut(Field<'a>) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::One(message) => Fields::new(message).try_for_each(|field| read(field?)),
            Self::Of { message, number } => Fields::new(message).try_for_each(|part| {
                let part = part?;
                if part.number != number {
                    return Ok(());
                }
                Fields::new(part.bytes()?).try_for_each(|field| read(field?))
            }),
        }
    }
}

impl<'a> Field<'a> {
    fn wrong(self, expected: &str) -> Malformed {
        let found = match self.payload {
            Payload::Varint(_) => "a varint",
            Payload::Fixed64(_) => "64 fixed bits",
            Payload::Fixed32(_) => "32 fixed bits",
            Payload::Bytes(_) => "a length-delimited value",
            Payload::Group => "a group",
        };
        Malformed::new(format!("field {} is {found}, expected {expected}", self.number))
    }

    /// A nested message or raw bytes.
    #[inline]
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self.payload {
            Payload::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong("a length-delimited value")),
        }
    }

    #[inline]
    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|error| Malformed {
            what: format!("text of field {} is not UTF-8 after {} bytes", self.number, error.valid_up_to()).into(),
            is_text: true,
        })
    }

    #[inline]
    pub(crate) fn fixed64(self) -> Result<u64, Malformed> {
        match self.payload {
            Payload::Fixed64(value) => Ok(value),
            _ => Err(self.wrong("64 fixed bits")),
        }
    }

    pub(crate) fn sfixed64(self) -> Result<i64, Malformed> {
        self.fixed64().map(u64::cast_signed)
    }

    #[inline]
    pub(crate) fn double(self) -> Result<f64, Malformed> {
        self.fixed64().map(f64::from_bits)
    }

    #[inline]
    pub(crate) fn fixed32(self) -> Result<u32, Malformed> {
        match self.payload {
            Payload::Fixed32(value) => Ok(value),
            _ => Err(self.wrong("32 fixed bits")),
        }
    }

    #[inline]
    pub(crate) fn uint64(self) -> Result<u64, Malformed> {
        match self.payload {
            Payload::Varint(value) => Ok(value),
            _ => Err(self.wrong("a varint")),
        }
    }

    pub(crate) fn int64(self) -> Result<i64, Malformed> {
        self.uint64().map(u64::cast_signed)
    }

    /// Larger values lose their upper half, as protobuf says.
    #[inline]
    pub(crate) fn uint32(self) -> Result<u32, Malformed> {
        self.uint64().map(|value| (value & u64::from(u32::MAX)) as u32)
    }

    pub(crate) fn int32(self) -> Result<i32, Malformed> {
        self.uint32().map(u32::cast_signed)
    }

    pub(crate) fn sint32(self) -> Result<i32, Malformed> {
        self.uint32().map(|zigzag| (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    pub(crate) fn bool(self) -> Result<bool, Malformed> {
        self.uint64().map(|value| value != 0)
    }

    /// Adds the values of a repeated `fixed64` field, packed or not.
    pub(crate) fn repeated_fixed64(self, out: &mut Vec<u64>) -> Result<(), Malformed> {
        match self.payload {
            Payload::Fixed64(value) => out.push(value),
            Payload::Bytes(bytes) => {
                let (values, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(Malformed::new(format!("packed field {} ends inside a value", self.number)));
                }
                out.extend(values.iter().map(|value| u64::from_le_bytes(*value)));
            }
            _ => return Err(self.wrong("64 fixed bits")),
        }
        Ok(())
    }

    /// Adds the values of a repeated `uint64` field, packed or not.
    pub(crate) fn repeated_uint64(self, out: &mut Vec<u64>) -> Result<(), Malformed> {
        match self.payload {
            Payload::Varint(value) => out.push(value),
            Payload::Bytes(mut bytes) => {
                while !bytes.is_empty() {
                    out.push(read_varint(&mut bytes)?);
                }
            }
            _ => return Err(self.wrong("a varint")),
        }
        Ok(())
    }
}

#[inline]
fn read_key(rest: &mut &[u8]) -> Result<(u32, u8), Malformed> {
    let key = u32::try_from(read_varint(rest)?).map_err(|_| Malformed::new("a field key does not fit 32 bits"))?;
    match key >> 3 {
        0 => Err(Malformed::new("field number 0 does not exist")),
        number => Ok((number, (key & 7) as u8)),
    }
}

#[inline]
fn read_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    // Most varints are one byte: keys, short lengths, flags.
    if let Some((&byte, after)) = rest.split_first()
        && byte < 0x80
    {
        *rest = after;
        return Ok(u64::from(byte));
    }
    read_long_varint(rest)
}

fn read_long_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for (index, &byte) in rest.iter().enumerate().take(10) {
        if index == 9 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err(Malformed::new(if rest.len() < 10 { "the message ends inside a varint" } else { "a varint exceeds 64 bits" }))
}

#[inline]
fn read_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (array, after) =
        rest.split_first_chunk::<N>().ok_or_else(|| Malformed::new("the message ends inside a fixed-size value"))?;
    *rest = after;
    Ok(*array)
}

#[inline]
fn read_sized<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = read_varint(rest)?;
    let (bytes, after) =
        usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)).ok_or_else(|| {
            Malformed::new(format!("a value of {length} bytes is announced where {} are left", rest.len()))
        })?;
    *rest = after;
    Ok(bytes)
}

fn skip_group(rest: &mut &[u8], group: u32, depth: usize) -> Result<(), Malformed> {
    if depth > MAX_GROUP_DEPTH {
        return Err(Malformed::new("groups are nested too deep"));
    }
    loop {
        let (number, wire_type) = read_key(rest)?;
        match wire_type {
            0 => drop(read_varint(rest)?),
            1 => drop(read_array::<8>(rest)?),
            2 => drop(read_sized(rest)?),
            3 => skip_group(rest, number, depth + 1)?,
            4 if number == group => return Ok(()),
            4 => return Err(Malformed::new(format!("group {group} is ended as group {number}"))),
            5 => drop(read_array::<4>(rest)?),
            _ => return Err(Malformed::new(format!("wire type {wire_type} of field {number} does not exist"))),
        }
    }
}
