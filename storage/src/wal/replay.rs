//! What is in the log after a restart: every undamaged frame, where the torn tail begins, and what is missing.

use std::ops::RangeInclusive;

use super::{
    file_name::{self, FILE_HEADER_BYTES, FileName},
    frame::{self, Damage, Header},
};
use crate::{
    error::{Error, Result},
    schema,
};

/// A whole frame found in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its header.
    pub header: Header,
    /// Its checked body.
    pub body: &'a [u8],
    /// All of it, header and body.
    pub bytes: &'a [u8],
    /// Where it begins in the file.
    pub offset: usize,
}

/// What one file holds.
#[derive(Debug, Default)]
pub struct Scan<'a> {
    /// Whole frames, in the order of the file.
    pub frames: Vec<Found<'a>>,
    /// End of the last whole frame: what follows was never finished, or is damaged.
    pub valid_bytes: usize,
    /// Bytes before that end which belong to no frame.
    pub damaged_bytes: usize,
}

/// Finds every whole frame of a file. Damage costs the frames it touches and no other: the scan goes on at the next
/// magic whose header is right.
pub fn scan(bytes: &[u8], nonce: u64) -> Scan<'_> {
    let mut scan = Scan::default();
    let mut at = 0;
    if FileName::from_header(bytes).is_some() {
        at = FILE_HEADER_BYTES;
        scan.valid_bytes = at;
    }
    while at < bytes.len() {
        match frame::read(&bytes[at..], nonce) {
            Ok((header, body)) => {
                scan.damaged_bytes += at - scan.valid_bytes;
                let start = at;
                at += frame::HEADER_BYTES + header.body_bytes;
                scan.valid_bytes = at;
                scan.frames.push(Found { header, body, bytes: &bytes[start..at], offset: start });
            }
            // A right header is not believed about its length when the body is wrong: a frame may begin inside.
            Err(Damage::Header | Damage::Body) => match next_magic(bytes, at + 1) {
                Some(next) => at = next,
                None => break,
            },
        }
    }
    scan
}

fn next_magic(bytes: &[u8], from: usize) -> Option<usize> {
    let [first, ..] = frame::MAGIC;
    let mut at = from;
    while at + frame::HEADER_BYTES <= bytes.len() {
        at += bytes[at..].iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(&frame::MAGIC) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Refuses a file of the log that a later version wrote. `start` has its header and that of its first frame.
///
/// # Errors
/// `Invalid`, with what was found and what is known.
pub fn refuse_later(path: &str, start: &[u8]) -> Result<()> {
    if let Some(found) = file_name::later_version(start) {
        return Err(Error::later(format!("{path} is a log of version {found}"), file_name::VERSION));
    }
    let Some(name) = FileName::from_header(start).or_else(|| FileName::parse(path)) else { return Ok(()) };
    let Some((layout, schema_version)) =
        start.get(FILE_HEADER_BYTES..).and_then(|rest| frame::versions(rest, name.nonce))
    else {
        return Ok(());
    };
    if layout > frame::VERSION {
        return Err(Error::later(format!("{path} has frames of version {layout}"), frame::VERSION));
    }
    if schema_version > schema::VERSION {
        return Err(Error::later(format!("{path} has rows of schema version {schema_version}"), schema::VERSION));
    }
    Ok(())
}

/// Follows the sequences through the files and finds what must not be read and what is not there.
#[derive(Debug)]
pub struct Order {
    /// Sequences already taken, as runs that do not touch.
    seen: Vec<RangeInclusive<u64>>,
}

impl Order {
    /// Frames up to the floor are of no use any more.
    pub fn above(floor: u64) -> Self {
        Self { seen: vec![0..=floor] }
    }

    /// Whether the frame counts: above the floor, not void because of a younger file's name, and not seen before.
    pub fn admit(&mut self, sequence: u64, void_from: Option<u64>) -> bool {
        if void_from.is_some_and(|first| sequence >= first) {
            return false;
        }
        // Nearly always the next of the last run.
        if let Some(last) = self.seen.last_mut()
            && *last.end() + 1 == sequence
        {
            *last = *last.start()..=sequence;
            return true;
        }
        if self.seen.iter().any(|run| run.contains(&sequence)) {
            return false;
        }
        self.seen.push(sequence..=sequence);
        true
    }

    /// The last sequence that was found, or the floor.
    pub fn last(&self) -> u64 {
        self.seen.iter().map(|run| *run.end()).max().unwrap_or(0)
    }

    /// Sequences between the floor and the last that no file holds; `flushed` is known to have been in one.
    pub fn missing(mut self, flushed: u64) -> Vec<RangeInclusive<u64>> {
        if flushed > self.last() {
            self.seen.push(flushed + 1..=flushed + 1);
        }
        self.seen.sort_by_key(|run| *run.start());
        self.seen
            .windows(2)
            .filter(|pair| *pair[0].end() + 1 < *pair[1].start())
            .map(|pair| *pair[0].end() + 1..=*pair[1].start() - 1)
            .collect()
    }
}

/// For each file, in order, the sequence from which its frames are void: the least first sequence of the files after it.
pub fn void_from(names: &[FileName]) -> Vec<Option<u64>> {
    let mut least = None;
    let mut void: Vec<_> = names
        .iter()
        .rev()
        .map(|name| {
            let here = least;
            least = Some(least.map_or(name.first_sequence, |least: u64| least.min(name.first_sequence)));
            here
        })
        .collect();
    void.reverse();
    void
}

#[cfg(test)]
mod tests;
