//! A message with text that is not UTF-8 -> the same message with U+FFFD in place of what is none.
//!
//! Senders do this with bytes of files and of other encodings; nothing else in their request is wrong. The walk reads
//! text where it lies and stops at the first such text; then the message is copied once, its text made good, and walked
//! again. Requests of nothing but UTF-8, which is nearly all of them, pay nothing.

use super::{
    DecodeError,
    messages::{self, Kind, Message},
    wire::{Fields, Malformed},
};
use crate::{Signal, admission::Share};

/// Deepest nesting of messages that is looked into. A value takes three of them a level, and the walk reads no text in
/// values nested deeper than 64 levels.
const MAX_MESSAGE_DEPTH: usize = 256;

/// The copy may be three times as long as the message, but not longer than any message may be.
const MAX_BYTES: usize = 1 << 30;

/// What stands for bytes that are no text.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Bytes of a nested message's length while it is not known: a varint may be padded.
const LENGTH_BYTES: usize = 5;

/// A message in which all text is text.
#[derive(Debug)]
pub(super) struct Sanitized {
    pub(super) message: Vec<u8>,
    /// Byte sequences that were replaced.
    pub(super) replaced: usize,
}

/// Copies `body`; the share grows ahead of the copy and holds it until the caller gives it back.
pub(super) fn sanitized(signal: Signal, body: &[u8], share: &mut Share) -> Result<Sanitized, DecodeError> {
    let mut copy = Copy { out: Vec::new(), admitted: 0, replaced: 0, share };
    copy.room(body.len())?;
    copy.fields(messages::request(signal), body, 0)?;
    Ok(Sanitized { message: copy.out, replaced: copy.replaced })
}

struct Copy<'s> {
    out: Vec<u8>,
    /// Bytes of `out` that the share holds.
    admitted: usize,
    replaced: usize,
    share: &'s mut Share,
}

impl Copy<'_> {
    /// Takes room for `byte_count` more bytes before they are written.
    fn room(&mut self, byte_count: usize) -> Result<(), DecodeError> {
        let needed = self.out.len() + byte_count;
        if needed > MAX_BYTES {
            return Err(
                Malformed::new(format!("with U+FFFD for what is not UTF-8 it exceeds {MAX_BYTES} bytes")).into()
            );
        }
        if needed > self.admitted {
            let step = (needed - self.admitted).max(self.admitted / 4);
            self.share.grow(step)?;
            self.admitted += step;
            self.out.reserve_exact(self.admitted - self.out.len());
        }
        Ok(())
    }

    fn fields(&mut self, message: &Message, bytes: &[u8], depth: usize) -> Result<(), DecodeError> {
        let mut fields = Fields::new(bytes);
        while let Some((field, whole)) = fields.next_with_bytes() {
            let field = field?;
            let known = message.fields.iter().find(|known| known.number == field.number);
            match (known.map(|known| known.kind), field.bytes()) {
                (Some(Kind::String), Ok(text)) => self.text(field.number, text, whole)?,
                (Some(Kind::Message(inner)), Ok(bytes)) if depth < MAX_MESSAGE_DEPTH => {
                    self.nested(field.number, inner, bytes, depth)?;
                }
                _ => self.verbatim(whole)?,
            }
        }
        Ok(())
    }

    fn verbatim(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.room(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn text(&mut self, number: u32, text: &[u8], whole: &[u8]) -> Result<(), DecodeError> {
        if std::str::from_utf8(text).is_ok() {
            return self.verbatim(whole);
        }
        let start = self.open(number)?;
        for chunk in text.utf8_chunks() {
            self.verbatim(chunk.valid().as_bytes())?;
            if !chunk.invalid().is_empty() {
                self.verbatim(REPLACEMENT)?;
                self.replaced += 1;
            }
        }
        self.close(start);
        Ok(())
    }

    fn nested(&mut self, number: u32, message: &Message, bytes: &[u8], depth: usize) -> Result<(), DecodeError> {
        let start = self.open(number)?;
        self.fields(message, bytes, depth + 1)?;
        self.close(start);
        Ok(())
    }

    /// Begins a length-delimited field and returns where its content starts.
    fn open(&mut self, number: u32) -> Result<usize, DecodeError> {
        self.room(2 * LENGTH_BYTES)?;
        let mut key = number << 3 | 2;
        while key >= 0x80 {
            self.out.push((key & 0x7f) as u8 | 0x80);
            key >>= 7;
        }
        self.out.push(key as u8);
        self.out.extend_from_slice(&[0; LENGTH_BYTES]);
        Ok(self.out.len())
    }

    fn close(&mut self, start: usize) {
        let mut length = self.out.len() - start;
        if length < 0x80 {
            // Most messages are short: written in five bytes, their lengths would be a good part of the copy.
            self.out[start - LENGTH_BYTES] = length as u8;
            self.out.copy_within(start.., start - LENGTH_BYTES + 1);
            self.out.truncate(start - LENGTH_BYTES + 1 + length);
            return;
        }
        for byte in &mut self.out[start - LENGTH_BYTES..start - 1] {
            *byte = (length & 0x7f) as u8 | 0x80;
            length >>= 7;
        }
        self.out[start - 1] = (length & 0x7f) as u8;
    }
}
