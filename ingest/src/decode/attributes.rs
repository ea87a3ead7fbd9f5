//! Attribute lists of protobuf -> encoded maps of `storage::model::attributes`: sorted, unique keys, every type kept.

use storage::model::attributes::{MapWriter, ValueSink};

use super::{
    Budget, Stop,
    rejection::Rejection,
    wire::{Fields, Malformed},
};

/// A list of `KeyValue` as it was sent. Kept and refilled from item to item, so that its memory is taken once.
#[derive(Debug, Default)]
pub(crate) struct KeyValues<'a> {
    entries: Vec<(&'a str, &'a [u8])>,
}

impl<'a> KeyValues<'a> {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Adds one encoded `KeyValue`.
    #[inline]
    pub(crate) fn push(&mut self, key_value: &'a [u8], budget: &mut Budget<'_>) -> Result<(), Stop> {
        if self.entries.len() == self.entries.capacity() {
            // An empty entry takes two bytes on the wire: what is kept of it is many times larger.
            budget.charge(self.entries.len() * size_of::<(&str, &[u8])>())?;
        }
        let (mut key, mut value) = ("", &[][..]);
        for field in Fields::new(key_value) {
            let field = field?;
            match field.number {
                1 => key = field.text()?,
                2 => value = field.bytes()?,
                _ => {}
            }
        }
        self.entries.push((key, value));
        Ok(())
    }

    /// Appends the map to `out` and returns how many entries a later one with the same key replaced. On an error, `out`
    /// has a part of the map: the caller cuts it off.
    pub(crate) fn encode(
        &mut self,
        out: &mut Vec<u8>,
        max_depth: usize,
        budget: &mut Budget<'_>,
    ) -> Result<usize, Stop> {
        write_map(&mut self.entries, out, Depth { left: max_depth, max: max_depth }, budget)
    }
}

/// What a value turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind<'a> {
    /// Nothing was set.
    Unset,
    /// Text, borrowed.
    Text(&'a str),
    /// Anything else.
    Other,
}

/// Tells text, by far the most frequent body, from all else without encoding it.
pub(crate) fn value_kind(any_value: &[u8]) -> Result<ValueKind<'_>, Malformed> {
    let mut kind = ValueKind::Unset;
    for field in Fields::new(any_value) {
        let field = field?;
        match field.number {
            1 => kind = ValueKind::Text(field.text()?),
            2..=7 => kind = ValueKind::Other,
            _ => {}
        }
    }
    Ok(kind)
}

/// Appends one encoded `AnyValue` to `out` in the storage encoding.
pub(crate) fn encode_value(
    any_value: &[u8],
    out: &mut Vec<u8>,
    max_depth: usize,
    budget: &mut Budget<'_>,
) -> Result<usize, Stop> {
    write_value(any_value, out, Depth { left: max_depth, max: max_depth }, budget)
}

/// Levels of arrays and maps that may still be entered.
#[derive(Clone, Copy)]
struct Depth {
    left: usize,
    max: usize,
}

impl Depth {
    fn enter(self) -> Result<Self, Stop> {
        let left = self.left.checked_sub(1).ok_or(Stop::Reject(Rejection::AttributeDepth { max: self.max }))?;
        Ok(Self { left, ..self })
    }
}

fn write_map(
    entries: &mut [(&str, &[u8])],
    out: &mut Vec<u8>,
    depth: Depth,
    budget: &mut Budget<'_>,
) -> Result<usize, Stop> {
    let kept = sort(entries);
    write_entries(entries, kept, &mut MapWriter::new(out, kept), depth, budget)
}

/// Sorts by key and returns the number of distinct keys.
fn sort(entries: &mut [(&str, &[u8])]) -> usize {
    if !entries.is_sorted_by(|(left, _), (right, _)| left < right) {
        // Stable: entries with one key stay in the order they were sent, and the last wins.
        entries.sort_by_key(|(key, _)| *key);
    }
    (0..entries.len()).filter(|index| is_last(entries, *index)).count()
}

/// Whether no later entry has the same key.
fn is_last(sorted: &[(&str, &[u8])], index: usize) -> bool {
    sorted.get(index + 1).is_none_or(|next| next.0 != sorted[index].0)
}

fn write_entries(
    sorted: &[(&str, &[u8])],
    kept: usize,
    writer: &mut MapWriter<'_>,
    depth: Depth,
    budget: &mut Budget<'_>,
) -> Result<usize, Stop> {
    let mut replaced = Ok(sorted.len() - kept);
    for (index, (key, value)) in sorted.iter().enumerate() {
        if is_last(sorted, index) {
            writer.entry(key, |out| {
                let inner = write_value(value, out, depth, budget);
                replaced = replaced.as_ref().map_or(Ok(0), |count| inner.map(|inner| count + inner));
            });
            if replaced.is_err() {
                break;
            }
        }
    }
    replaced
}

fn write_value(any_value: &[u8], out: &mut Vec<u8>, depth: Depth, budget: &mut Budget<'_>) -> Result<usize, Stop> {
    // One of the fields may be set; when several are, the last wins.
    let mut set = None;
    for field in Fields::new(any_value) {
        let field = field?;
        match field.number {
            2 | 3 => drop(field.uint64()?),
            4 => drop(field.fixed64()?),
            // Text is checked once, below.
            1 | 5..=7 => drop(field.bytes()?),
            _ => continue,
        }
        set = Some(field);
    }
    let Some(field) = set else {
        out.null();
        return Ok(0);
    };
    match field.number {
        1 => out.string(field.text()?),
        2 => out.bool(field.bool()?),
        3 => out.int(field.int64()?),
        4 => out.double(field.double()?),
        5 => return write_array(field.bytes()?, out, depth.enter()?, budget),
        6 => return write_nested_map(field.bytes()?, out, depth.enter()?, budget),
        _ => out.bytes(field.bytes()?),
    }
    Ok(0)
}

fn write_array(array: &[u8], out: &mut Vec<u8>, depth: Depth, budget: &mut Budget<'_>) -> Result<usize, Stop> {
    let mut count = 0;
    for field in Fields::new(array) {
        count += usize::from(field?.number == 1);
    }
    let mut result = Ok(0);
    out.array(count, |out| {
        result = (|| {
            let mut replaced = 0;
            for field in Fields::new(array) {
                let field = field?;
                if field.number == 1 {
                    replaced += write_value(field.bytes()?, out, depth, budget)?;
                }
            }
            Ok(replaced)
        })();
    });
    result
}

fn write_nested_map(list: &[u8], out: &mut Vec<u8>, depth: Depth, budget: &mut Budget<'_>) -> Result<usize, Stop> {
    let mut nested = KeyValues::default();
    for field in Fields::new(list) {
        let field = field?;
        if field.number == 1 {
            nested.push(field.bytes()?, budget)?;
        }
    }
    let kept = sort(&mut nested.entries);
    let mut result = Ok(0);
    out.map(kept, |writer| result = write_entries(&nested.entries, kept, writer, depth, budget));
    result
}
