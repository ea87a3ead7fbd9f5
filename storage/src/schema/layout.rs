//! Which attribute keys get a column of their own in one segment file; the others stay in the remainder map.
//!
//! A key gets one when it is in enough rows and all its values in the file have one scalar type, so that reading the
//! column alone tells the whole story. Which keys do differs from file to file: there is no global schema to explode.
//! Maps that many rows share, as those of resources, stay whole: their columns would all say which resource it was, each
//! once more.

use arrow::datatypes::{DataType, Field};
use hashbrown::{HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_64;

use crate::model::attributes::{Attributes, Encoded, Value};

/// Columns of a segment that hold attribute maps, in the order of their columns.
pub const MAPS: [&str; 3] = ["attributes", "resource_attributes", "scope_attributes"];

/// Type of an attribute column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// Utf8.
    Text,
    /// Int64.
    Int,
    /// Float64.
    Double,
    /// Boolean.
    Bool,
}

impl Scalar {
    /// The type of this value; `None` for nulls, bytes, arrays and maps.
    pub fn of(value: Encoded<'_>) -> Option<Self> {
        if value.text_bytes().is_some() {
            return Some(Self::Text);
        }
        match value.read()? {
            Value::String(_) => Some(Self::Text),
            Value::Int(_) => Some(Self::Int),
            Value::Double(_) => Some(Self::Double),
            Value::Bool(_) => Some(Self::Bool),
            Value::Null | Value::Bytes(_) | Value::Array(_) | Value::Map(_) => None,
        }
    }

    /// The type of a column of that Arrow type.
    pub const fn from_arrow(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Utf8 => Some(Self::Text),
            DataType::Int64 => Some(Self::Int),
            DataType::Float64 => Some(Self::Double),
            DataType::Boolean => Some(Self::Bool),
            _ => None,
        }
    }

    const fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// One attribute key with a column of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeColumn {
    /// The map it was taken from, one of [`MAPS`].
    pub map: &'static str,
    /// Its key there.
    pub key: String,
    /// The type of all its values.
    pub scalar: Scalar,
    /// Its values rarely repeat: a dictionary would be work for nothing.
    pub distinct: bool,
}

impl AttributeColumn {
    /// Name of the column: `attributes.http.route`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.map, self.key)
    }

    /// The column. NULL: the row has no such key.
    pub fn field(&self) -> Field {
        Field::new(self.name(), self.scalar.arrow(), true)
    }
}

/// The map and key whose values a column of a segment file holds; `None` for the table's own columns.
pub fn attribute_of(column: &str) -> Option<(&'static str, &str)> {
    MAPS.into_iter().find_map(|map| Some((map, column.strip_prefix(map)?.strip_prefix('.')?)))
}

/// How often each key of one map column occurs, and with which type.
#[derive(Debug, Default)]
pub struct KeyCounts {
    keys: Vec<KeyCount>,
    by_key: HashMap<Box<[u8]>, usize>,
    /// Keys of the map before: rows beside each other mostly have the same ones.
    previous: Vec<usize>,
    /// Hashes of distinct maps that rows share, and the bytes of these maps, as long as they are few.
    shared: HashSet<u64>,
    shared_bytes: usize,
    /// A file has columns for keys of these maps: how many maps there are is not known.
    is_split: bool,
}

#[derive(Debug)]
struct KeyCount {
    key: Box<str>,
    rows: u64,
    /// `None`: not scalar, or not always the same.
    scalar: Option<Scalar>,
    sample: HashSet<u64>,
    sampled: u32,
    /// Rows that have the values looked at.
    sampled_rows: u64,
}

impl KeyCount {
    fn new(key: &str) -> Self {
        Self { key: key.into(), rows: 0, scalar: None, sample: HashSet::new(), sampled: 0, sampled_rows: 0 }
    }

    /// Hardly two rows have the same text: of a value that many rows share, a dictionary keeps one copy.
    fn is_distinct(&self) -> bool {
        self.sampled >= MIN_SAMPLE && self.sample.len() as u64 * 5 > self.sampled_rows * 4
    }
}

/// More keys than this are not counted: the ones seen first can be columns, the others stay in the remainder.
const MAX_KEYS: usize = 16_384;
/// Longer keys make no column names.
const MAX_KEY_BYTES: usize = 256;
/// Maps of more bytes are too many for a dictionary of a row group.
pub const MAX_SHARED_BYTES: usize = 4 << 20;
/// Values looked at to tell whether they repeat.
const SAMPLE: u32 = 256;
/// Fewer tell nothing.
const MIN_SAMPLE: u32 = 64;

impl KeyCounts {
    /// Counts a map that `rows` rows have.
    pub fn add(&mut self, map: Attributes<'_>, rows: u64) {
        for (place, (key, value)) in map.iter_encoded().enumerate() {
            let Some(id) = self.id(place, key) else { continue };
            let count = &mut self.keys[id];
            let scalar = Scalar::of(value);
            if count.rows == 0 {
                count.scalar = scalar;
            } else if count.scalar != scalar {
                count.scalar = None;
            }
            count.rows += rows;
            if count.sampled < SAMPLE
                && let Some(text) = value.text_bytes()
            {
                count.sampled += 1;
                count.sampled_rows += rows;
                count.sample.insert(xxh3_64(text));
            }
        }
    }

    /// Counts a map of a dictionary that `rows` rows share.
    pub fn add_shared(&mut self, map: Attributes<'_>, rows: u64) {
        if self.shared_bytes <= MAX_SHARED_BYTES && self.shared.insert(xxh3_64(map.as_bytes())) {
            self.shared_bytes += map.as_bytes().len();
        }
        self.add(map, rows);
    }

    /// Whether the maps are kept as they are, in a dictionary.
    fn stay_whole(&self) -> bool {
        !self.is_split && !self.shared.is_empty() && self.shared_bytes <= MAX_SHARED_BYTES
    }

    /// Counts a key that has a column in a file already.
    pub fn add_column(&mut self, key: &str, scalar: Scalar, rows: u64, distinct: bool) {
        self.is_split = true;
        let place = self.previous.len();
        let Some(id) = self.id(place, key.as_bytes()) else { return };
        let count = &mut self.keys[id];
        if count.rows == 0 {
            count.scalar = Some(scalar);
        } else if count.scalar != Some(scalar) {
            count.scalar = None;
        }
        count.rows += rows;
        if distinct && rows > 0 {
            count.sample.extend(0..u64::from(SAMPLE));
            count.sampled = SAMPLE;
            count.sampled_rows = u64::from(SAMPLE);
        }
    }

    fn id(&mut self, place: usize, key: &[u8]) -> Option<usize> {
        if let Some(id) = self.previous.get(place)
            && self.keys[*id].key.as_bytes() == key
        {
            return Some(*id);
        }
        let id = match self.by_key.get(key) {
            Some(id) => *id,
            None if self.keys.len() < MAX_KEYS && key.len() <= MAX_KEY_BYTES => {
                let id = self.keys.len();
                self.keys.push(KeyCount::new(std::str::from_utf8(key).ok()?));
                self.by_key.insert(key.into(), id);
                id
            }
            None => return None,
        };
        if let Some(slot) = self.previous.get_mut(place) {
            *slot = id;
        } else if place == self.previous.len() && place < MAX_KEYS {
            self.previous.push(id);
        }
        Some(id)
    }
}

/// The keys that get a column: of maps that do not stay whole, the most frequent ones, at most `max_count` over all maps,
/// each in at least `min_ratio` of the rows. In order of map and key. `counts` are the maps' counts in the order of [`MAPS`].
pub fn attribute_columns(
    counts: &[KeyCounts; 3],
    row_count: u64,
    min_ratio: f64,
    max_count: usize,
) -> Vec<AttributeColumn> {
    let min_rows = (row_count as f64 * min_ratio).ceil().max(1.0) as u64;
    let mut candidates: Vec<(u64, usize, &KeyCount, Scalar)> = counts
        .iter()
        .enumerate()
        .filter(|(_, counts)| !counts.stay_whole())
        .flat_map(|(map, counts)| counts.keys.iter().map(move |count| (map, count)))
        .filter_map(|(map, count)| Some((count.rows, map, count, count.scalar?)))
        .filter(|(rows, ..)| *rows >= min_rows)
        .collect();
    let place = |(_, map, count, _): &(u64, usize, &KeyCount, Scalar)| (*map, count.key.clone());
    candidates.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| place(a).cmp(&place(b))));
    candidates.truncate(max_count);
    candidates.sort_by_key(place);
    candidates
        .into_iter()
        .map(|(_, map, count, scalar)| AttributeColumn {
            map: MAPS[map],
            key: count.key.to_string(),
            scalar,
            distinct: scalar == Scalar::Text && count.is_distinct(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attributes::encode;

    fn counts(maps: &[&[(&str, Value<'_>)]]) -> [KeyCounts; 3] {
        let mut counts = <[KeyCounts; 3]>::default();
        for map in maps {
            counts[0].add(Attributes::new(&encode(map.iter().copied())), 1);
        }
        counts
    }

    fn names(columns: &[AttributeColumn]) -> Vec<String> {
        columns.iter().map(AttributeColumn::name).collect()
    }

    #[test]
    fn frequent_keys_of_one_scalar_type_get_a_column() {
        let counts = counts(&[
            &[("a", Value::Int(1)), ("mixed", Value::Int(1)), ("n", Value::Null), ("rare", Value::Bool(true))],
            &[("a", Value::Int(2)), ("mixed", Value::Double(1.0)), ("n", Value::Null)],
            &[("a", Value::Int(3)), ("b", Value::String("x"))],
            &[("b", Value::String("y"))],
        ]);
        assert_eq!(names(&attribute_columns(&counts, 4, 0.5, 10)), ["attributes.a", "attributes.b"]);
        assert_eq!(
            names(&attribute_columns(&counts, 4, 0.01, 10)),
            ["attributes.a", "attributes.b", "attributes.rare"]
        );
        assert_eq!(names(&attribute_columns(&counts, 4, 0.01, 1)), ["attributes.a"]);
    }

    #[test]
    fn values_that_many_rows_share_are_not_distinct() {
        let mut counts = <[KeyCounts; 3]>::default();
        for i in 0..100 {
            let id = format!("id{i}");
            counts[0].add(Attributes::new(&encode([("request", Value::String(&id))])), 1);
            counts[1].add(Attributes::new(&encode([("instance", Value::String(&id))])), 2);
        }
        let columns = attribute_columns(&counts, 200, 0.01, 10);
        assert_eq!(columns.iter().map(|column| column.distinct).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn maps_that_rows_share_stay_whole_while_they_are_few() {
        let value = "x".repeat(1000);
        let map = |i: usize| encode([("host", Value::String(&format!("{i}{value}"))), ("zone", Value::String("a"))]);
        let counted = |maps: usize| {
            let mut counts = <[KeyCounts; 3]>::default();
            // Each batch has a dictionary of its own.
            for _ in 0..2 {
                (0..maps).for_each(|i| counts[1].add_shared(Attributes::new(&map(i)), 10));
            }
            counts
        };
        let few = counted(3000);
        assert_eq!(names(&attribute_columns(&few, 60_000, 0.01, 10)), [""; 0]);
        let many = counted(5000);
        let both = ["resource_attributes.host", "resource_attributes.zone"];
        assert_eq!(names(&attribute_columns(&many, 100_000, 0.01, 10)), both);
        let mut split = few;
        split[1].add_column("host", Scalar::Text, 10, false);
        assert_eq!(names(&attribute_columns(&split, 60_010, 0.01, 10)), both);
    }

    #[test]
    fn a_million_keys_stay_bounded() {
        let mut counts = <[KeyCounts; 3]>::default();
        for i in 0..20_000 {
            counts[0].add(Attributes::new(&encode([(format!("key{i}").as_str(), Value::Int(1))])), 1);
        }
        assert_eq!(counts[0].keys.len(), MAX_KEYS);
        assert!(attribute_columns(&counts, 20_000, 0.01, 64).is_empty());
    }

    #[test]
    fn column_names_tell_map_and_key() {
        assert_eq!(attribute_of("attributes.http.route"), Some(("attributes", "http.route")));
        assert_eq!(attribute_of("resource_attributes."), Some(("resource_attributes", "")));
        assert_eq!(attribute_of("attributes"), None);
        assert_eq!(attribute_of("service_name"), None);
    }
}
