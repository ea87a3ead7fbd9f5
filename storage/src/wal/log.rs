//! The files of the log: appending groups, starting new files, dropping old ones.

use std::{io, sync::Arc};

use super::{file_name::FileName, frame::Payload};
use crate::{
    files::{AppendFile, FileSystem},
    random::Random,
};

/// The log on disk. Appending is for one thread at a time.
#[derive(Debug)]
pub struct Log {
    files: Arc<dyn FileSystem>,
    random: Random,
    max_file_bytes: u64,
    current: Option<Current>,
    /// Older files, oldest first.
    finished: Vec<Finished>,
    next_number: u64,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Current {
    name: FileName,
    file: Box<dyn AppendFile>,
    bytes: u64,
}

/// A file that is not appended to any more.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which file it is.
    pub name: FileName,
    /// Where it is: by its name, unless somebody renamed it.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Every valid frame in it has at most this sequence.
    pub last_sequence: u64,
}

impl Log {
    /// A log that goes on after the files that replay found. It starts a new file with the first group.
    pub fn new(files: Arc<dyn FileSystem>, random: Random, max_file_bytes: u64, finished: Vec<Finished>) -> Self {
        let next_number = finished.iter().map(|file| file.name.number).max().map_or(1, |number| number + 1);
        Self { files, random, max_file_bytes, current: None, finished, next_number, buffer: Vec::new() }
    }

    /// Writes and syncs a group. When it returns, the frames are on disk.
    ///
    /// # Errors
    /// Whatever the disk says. The file is given up: nothing is ever appended to it or acknowledged from it again, and
    /// the next group starts a new file whose name makes this group void.
    pub fn append<'a>(
        &mut self,
        first_sequence: u64,
        now_unix_nano: i64,
        payloads: impl Iterator<Item = &'a Payload> + Clone,
    ) -> io::Result<u64> {
        let group_bytes: u64 = payloads.clone().map(|payload| payload.frame_bytes() as u64).sum();
        let is_full = |current: &Current| current.bytes + group_bytes > self.max_file_bytes;
        if self.current.as_ref().is_some_and(is_full) {
            self.finish(first_sequence);
        }
        let written = self.append_to_current(first_sequence, now_unix_nano, payloads);
        if written.is_err() {
            self.finish(first_sequence);
        }
        // One huge group should not be paid for until the process ends.
        self.buffer.clear();
        self.buffer.shrink_to(1 << 20);
        written.map(|()| group_bytes)
    }

    fn append_to_current<'a>(
        &mut self,
        first_sequence: u64,
        now_unix_nano: i64,
        payloads: impl Iterator<Item = &'a Payload>,
    ) -> io::Result<()> {
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.start_file(first_sequence)?,
        };
        if current.bytes == 0 {
            self.buffer.extend_from_slice(&current.name.header());
        }
        for (payload, sequence) in payloads.zip(first_sequence..) {
            payload.write(sequence, now_unix_nano, current.name.nonce, &mut self.buffer);
        }
        let written = current.file.append(&self.buffer).and_then(|()| current.file.sync());
        current.bytes += self.buffer.len() as u64;
        self.current = Some(current);
        written
    }

    fn start_file(&mut self, first_sequence: u64) -> io::Result<Current> {
        // A number is used once, even when making the file fails half way.
        let name = FileName { number: self.next_number, first_sequence, nonce: self.random.next_u64() };
        self.next_number += 1;
        match self.files.create(&name.path()) {
            Ok(file) => Ok(Current { name, file, bytes: 0 }),
            Err(error) => {
                // It may be there all the same, and goes with the others.
                self.finished.push(Finished { name, path: name.path(), bytes: 0, last_sequence: first_sequence - 1 });
                Err(error)
            }
        }
    }

    /// Appends no more to the current file, whose valid frames end before `next_sequence`.
    pub fn finish(&mut self, next_sequence: u64) {
        if let Some(Current { name, bytes, .. }) = self.current.take() {
            self.finished.push(Finished { name, path: name.path(), bytes, last_sequence: next_sequence - 1 });
        }
    }

    /// Removes the files whose frames all have at most that sequence; oldest first, so that what a younger file's
    /// name makes void never outlives it.
    ///
    /// # Errors
    /// Whatever the disk says. What could not be removed is tried again next time.
    pub fn remove_through(&mut self, sequence: u64) -> io::Result<usize> {
        let mut removed = 0;
        while self.finished.first().is_some_and(|file| file.last_sequence <= sequence) {
            self.files.remove(&self.finished[0].path)?;
            self.finished.remove(0);
            removed += 1;
        }
        Ok(removed)
    }

    /// Number and length of the files.
    pub fn size(&self) -> (usize, u64) {
        let finished: u64 = self.finished.iter().map(|file| file.bytes).sum();
        let current = self.current.as_ref().map_or(0, |file| file.bytes);
        (self.finished.len() + usize::from(self.current.is_some()), finished + current)
    }
}
