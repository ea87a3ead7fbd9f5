//! Which file of the log it is: the order, what is void, and the nonce of the checksums. Both the name and the first
//! bytes of a file say it, so that a renamed or a damaged file is still known.

/// Directory of the log.
pub const DIRECTORY: &str = "wal";

/// Version of the files: a digit of their first bytes.
pub const VERSION: u8 = 1;
/// First bytes of every file of the log, with the version between [`MAGIC_START`] and [`MAGIC_END`].
const MAGIC: [u8; 8] = *b"RLwal 1\n";
const MAGIC_START: &[u8] = b"RLwal ";
const MAGIC_END: u8 = b'\n';
/// Length of what comes before the frames.
pub const FILE_HEADER_BYTES: usize = 36;

/// What the name of a file of the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName {
    /// Position among the files. Each number is used once.
    pub number: u64,
    /// Sequence of the first frame. Frames in files before with this or a later sequence are void: their group failed,
    /// nobody was told that they are stored, and their sequences were given out again.
    pub first_sequence: u64,
    /// Seed of the file's checksums.
    pub nonce: u64,
}

impl FileName {
    /// Path in the data directory.
    pub fn path(&self) -> String {
        format!("{DIRECTORY}/{:012}-{:020}-{:016x}.wal", self.number, self.first_sequence, self.nonce)
    }

    /// The name of such a path; `None` when it is not one of ours.
    pub fn parse(path: &str) -> Option<Self> {
        let name = path.strip_prefix(DIRECTORY)?.strip_prefix('/')?.strip_suffix(".wal")?;
        let mut parts = name.split('-');
        let name = Self {
            number: parts.next()?.parse().ok()?,
            first_sequence: parts.next()?.parse().ok()?,
            nonce: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        parts.next().is_none().then_some(name)
    }

    /// The same as the first bytes of the file.
    pub fn header(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut header = [0; FILE_HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..16].copy_from_slice(&self.number.to_le_bytes());
        header[16..24].copy_from_slice(&self.first_sequence.to_le_bytes());
        header[24..32].copy_from_slice(&self.nonce.to_le_bytes());
        let crc = crc32c::crc32c(&header[..32]);
        header[32..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// What the first bytes of a file say; `None` when they are damaged or missing.
    pub fn from_header(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<FILE_HEADER_BYTES>()?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| header[at + i]));
        let name = Self { number: number(8), first_sequence: number(16), nonce: number(24) };
        (name.header() == *header).then_some(name)
    }
}

/// The version that the first bytes of a file name, if it is a later one.
pub fn later_version(bytes: &[u8]) -> Option<u8> {
    let rest = bytes.strip_prefix(MAGIC_START)?;
    let [digit, MAGIC_END, ..] = rest else { return None };
    let found = digit.checked_sub(b'0').filter(|found| *found <= 9)?;
    (found > VERSION).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_like_numbers_and_are_read_back() {
        let name = FileName { number: 9, first_sequence: 1234, nonce: 0xfe };
        let later = FileName { number: 10, first_sequence: 99_999, nonce: 0 };
        assert!(name.path() < later.path());
        assert_eq!(FileName::parse(&name.path()), Some(name));
        assert_eq!(FileName::from_header(&name.header()), Some(name));
        let mut damaged = name.header();
        damaged[20] ^= 1;
        assert_eq!(FileName::from_header(&damaged), None);
        assert_eq!(FileName::from_header(&name.header()[1..]), None);
        assert_eq!(FileName::parse("wal/notes.txt"), None);
        assert_eq!(FileName::parse("wal/1-2-3-4.wal"), None);
    }
}
