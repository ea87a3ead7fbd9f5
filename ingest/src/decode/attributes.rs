//! Attribute lists of protobuf -> encoded maps of `storage::model::attributes`: sorted, unique keys, every type kept.

use storage::model::attributes::{MapWriter, ValueSink};

use super::{
    Budget, Limits, Stop,
    rejection::Rejection,
    wire::{Field, Fields, Malformed, Parts},
};

/// A list of `KeyValue` as it was sent. Kept and refilled from item to item, so that its memory is taken once.
#[derive(Debug, Default)]
pub(crate) struct KeyValues<'a> {
    entries: Vec<Entry<'a>>,
}

/// A key and its `AnyValue`.
type Entry<'a> = (&'a str, Parts<'a>);

impl<'a> KeyValues<'a> {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Adds one encoded `KeyValue`.
    #[inline]
    pub(crate) fn push(&mut self, key_value: &'a [u8], budget: &mut Budget<'_>) -> Result<(), Stop> {
        if self.entries.len() == self.entries.capacity() {
            // An empty entry takes two bytes on the wire: what is kept of it is many times larger.
            budget.charge(self.entries.len() * size_of::<Entry<'_>>())?;
        }
        let (mut key, mut value) = ("", None);
        for field in Fields::new(key_value) {
            let field = field?;
            match field.number {
                1 => key = field.text()?,
                2 => value = Some(Parts::add(value, field.bytes()?, key_value, 2)),
                _ => {}
            }
        }
        self.entries.push((key, value.unwrap_or(Parts::One(&[]))));
        Ok(())
    }

    /// Appends the map to `out`. On an error, `out` has a part of the map: the caller cuts it off.
    pub(crate) fn encode(
        &mut self,
        out: &mut Vec<u8>,
        limits: &Limits,
        budget: &mut Budget<'_>,
    ) -> Result<Changes, Stop> {
        write_map(&mut self.entries, out, Bounds::of(limits), budget)
    }
}

/// Field of a value that points into a table of strings, which only profiles have: here it says nothing.
const STRING_INDEX: u32 = 8;

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
pub(crate) fn value_kind(any_value: Parts<'_>) -> Result<ValueKind<'_>, Malformed> {
    let mut kind = ValueKind::Unset;
    any_value.each(|field| {
        match field.number {
            1 => kind = ValueKind::Text(field.text()?),
            2..=7 => kind = ValueKind::Other,
            STRING_INDEX => kind = ValueKind::Unset,
            _ => {}
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(kind)
}

/// Appends one encoded `AnyValue` to `out` in the storage encoding.
pub(crate) fn encode_value(
    any_value: Parts<'_>,
    out: &mut Vec<u8>,
    limits: &Limits,
    budget: &mut Budget<'_>,
) -> Result<Changes, Stop> {
    write_value(any_value, out, Bounds::of(limits), budget)
}

/// What of a map or value is stored in another way than it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Entries that a later one with the same key replaced.
    pub(crate) replaced: usize,
    /// Texts and bytes that were cut.
    pub(crate) truncated: usize,
}

impl Changes {
    const NONE: Self = Self { replaced: 0, truncated: 0 };
    const TRUNCATED: Self = Self { replaced: 0, truncated: 1 };

    const fn and(self, other: Self) -> Self {
        Self { replaced: self.replaced + other.replaced, truncated: self.truncated + other.truncated }
    }
}

/// Text that is cut has this at its end.
const CUT_MARK: &str = "…";

/// The stored form of text that is longer than `max_bytes`: its beginning, marked.
pub(crate) fn cut(text: &str, max_bytes: usize) -> Option<String> {
    (text.len() > max_bytes).then(|| format!("{}{CUT_MARK}", &text[..text.floor_char_boundary(max_bytes)]))
}

/// Levels of arrays and maps that may still be entered, and how long one text may be.
#[derive(Clone, Copy)]
struct Bounds {
    levels_left: usize,
    max_levels: usize,
    value_bytes: usize,
}

impl Bounds {
    const fn of(limits: &Limits) -> Self {
        let levels = limits.max_attribute_depth;
        Self { levels_left: levels, max_levels: levels, value_bytes: limits.max_value_bytes }
    }

    fn enter(self) -> Result<Self, Stop> {
        let levels_left =
            self.levels_left.checked_sub(1).ok_or(Stop::Reject(Rejection::AttributeDepth { max: self.max_levels }))?;
        Ok(Self { levels_left, ..self })
    }
}

fn write_map(
    entries: &mut [Entry<'_>],
    out: &mut Vec<u8>,
    bounds: Bounds,
    budget: &mut Budget<'_>,
) -> Result<Changes, Stop> {
    let kept = sort(entries);
    write_entries(entries, kept, &mut MapWriter::new(out, kept), bounds, budget)
}

/// Sorts by key and returns the number of distinct keys.
fn sort(entries: &mut [Entry<'_>]) -> usize {
    if !entries.is_sorted_by(|(left, _), (right, _)| left < right) {
        // Stable: entries with one key stay in the order they were sent, and the last wins.
        entries.sort_by_key(|(key, _)| *key);
    }
    (0..entries.len()).filter(|index| is_last(entries, *index)).count()
}

/// Whether no later entry has the same key.
fn is_last(sorted: &[Entry<'_>], index: usize) -> bool {
    sorted.get(index + 1).is_none_or(|next| next.0 != sorted[index].0)
}

fn write_entries(
    sorted: &[Entry<'_>],
    kept: usize,
    writer: &mut MapWriter<'_>,
    bounds: Bounds,
    budget: &mut Budget<'_>,
) -> Result<Changes, Stop> {
    let mut changes = Ok(Changes { replaced: sorted.len() - kept, truncated: 0 });
    for (index, (key, value)) in sorted.iter().enumerate() {
        if is_last(sorted, index) {
            writer.entry(key, |out| {
                let inner = write_value(*value, out, bounds, budget);
                changes = changes.as_ref().map_or(Ok(Changes::NONE), |changes| inner.map(|inner| changes.and(inner)));
            });
            if changes.is_err() {
                break;
            }
        }
    }
    changes
}

fn write_value(
    any_value: Parts<'_>,
    out: &mut Vec<u8>,
    bounds: Bounds,
    budget: &mut Budget<'_>,
) -> Result<Changes, Stop> {
    let Some((field, is_whole)) = set_field(any_value)? else {
        out.null();
        return Ok(Changes::NONE);
    };
    match field.number {
        1 => {
            let text = field.text()?;
            if let Some(cut) = cut(text, bounds.value_bytes) {
                out.string(&cut);
                return Ok(Changes::TRUNCATED);
            }
            out.string(text);
        }
        2 => out.bool(field.bool()?),
        3 => out.int(field.int64()?),
        4 => out.double(field.double()?),
        5 | 6 => {
            let bounds = bounds.enter()?;
            let write = if field.number == 5 { write_array } else { write_nested_map };
            if is_whole {
                return write(&[field.bytes()?], out, bounds, budget);
            }
            return write(&last_run(any_value, field.number, budget)?, out, bounds, budget);
        }
        STRING_INDEX => out.null(),
        _ => {
            let bytes = field.bytes()?;
            if bytes.len() > bounds.value_bytes {
                out.bytes(&bytes[..bounds.value_bytes]);
                return Ok(Changes::TRUNCATED);
            }
            out.bytes(bytes);
        }
    }
    Ok(Changes::NONE)
}

/// The field that says what the value is. One of them may be set; when several are, the last wins. `false` when it is a
/// part of what it says: arrays and maps that come twice in a row are one.
fn set_field(any_value: Parts<'_>) -> Result<Option<(Field<'_>, bool)>, Malformed> {
    let mut set: Option<(Field<'_>, bool)> = None;
    any_value.each(|field| {
        match field.number {
            2 | 3 | STRING_INDEX => drop(field.uint64()?),
            4 => drop(field.fixed64()?),
            // Text is checked once, where it is written.
            1 | 5..=7 => drop(field.bytes()?),
            _ => return Ok(()),
        }
        set = Some((field, set.is_none_or(|(before, _)| before.number != field.number)));
        Ok::<_, Malformed>(())
    })?;
    Ok(set)
}

/// The messages of the fields with that number after the last other one that is set.
fn last_run<'a>(any_value: Parts<'a>, number: u32, budget: &mut Budget<'_>) -> Result<Vec<&'a [u8]>, Stop> {
    let mut run = Vec::new();
    any_value.each(|field| {
        if field.number == number {
            budget.charge(size_of::<&[u8]>())?;
            run.push(field.bytes()?);
        } else if (1..=STRING_INDEX).contains(&field.number) {
            run.clear();
        }
        Ok::<_, Stop>(())
    })?;
    Ok(run)
}

fn write_array(parts: &[&[u8]], out: &mut Vec<u8>, bounds: Bounds, budget: &mut Budget<'_>) -> Result<Changes, Stop> {
    let mut count = 0;
    for field in parts.iter().flat_map(|part| Fields::new(part)) {
        count += usize::from(field?.number == 1);
    }
    let mut result = Ok(Changes::NONE);
    out.array(count, |out| {
        result = (|| {
            let mut changes = Changes::NONE;
            for field in parts.iter().flat_map(|part| Fields::new(part)) {
                let field = field?;
                if field.number == 1 {
                    changes = changes.and(write_value(Parts::One(field.bytes()?), out, bounds, budget)?);
                }
            }
            Ok(changes)
        })();
    });
    result
}

fn write_nested_map(
    parts: &[&[u8]],
    out: &mut Vec<u8>,
    bounds: Bounds,
    budget: &mut Budget<'_>,
) -> Result<Changes, Stop> {
    let mut nested = KeyValues::default();
    for field in parts.iter().flat_map(|part| Fields::new(part)) {
        let field = field?;
        if field.number == 1 {
            nested.push(field.bytes()?, budget)?;
        }
    }
    let kept = sort(&mut nested.entries);
    let mut result = Ok(Changes::NONE);
    out.map(kept, |writer| result = write_entries(&nested.entries, kept, writer, bounds, budget));
    result
}
