//! Numbers as segments keep them: whole and decimal ones as integers, whose differences are small, the others as doubles.
//!
//! | sent | `value` | `value_int` | `value_scale` |
//! | --- | --- | --- | --- |
//! | the integer `i` | NULL | `i` | NULL |
//! | the double `i / 10^s`, bit for bit | NULL | `i` | `s` |
//! | another double | itself | NULL | NULL |
//! | nothing | NULL | NULL | NULL |
//!
//! The wide columns are what was sent: `value` of every number, and `value_int` of integers.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int8Array, Int64Array, PrimitiveArray, RecordBatch},
    datatypes::{ArrowPrimitiveType, DataType, Field, Float64Type, Int8Type, Int64Type, UInt64Type},
};

use super::order::column;
use crate::error::{Error, Result};

/// The column that says how `value_int` is meant.
pub const SCALE_COLUMN: &str = "value_scale";

/// Values of a series that are looked at to choose its scale.
const SAMPLE: usize = 64;
/// A series is kept as integers when at most one in this many of them is not.
const MISFITS: usize = 8;
/// Integers beyond this are not doubles one by one.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
/// Powers of ten up to the largest scale: more digits than people write, and doubles exactly.
const POWERS: [f64; 7] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

/// Field of [`SCALE_COLUMN`].
pub(super) fn scale_field() -> Field {
    Field::new(SCALE_COLUMN, DataType::Int8, true)
}

/// `value`, `value_int` and `value_scale` of sorted points.
pub(super) fn split(points: &RecordBatch) -> Result<[ArrayRef; 3]> {
    let no_numbers = || Error::internal("points without numbers");
    let values = column(points, "value")?.as_primitive_opt::<Float64Type>().ok_or_else(no_numbers)?;
    let ints = column(points, "value_int")?.as_primitive_opt::<Int64Type>().ok_or_else(no_numbers)?;
    let ids = column(points, "series_id")?.as_primitive_opt::<UInt64Type>().ok_or_else(no_numbers)?;
    let rows = points.num_rows();
    let mut kept = (Vec::with_capacity(rows), Vec::with_capacity(rows), Vec::with_capacity(rows));
    let mut start = 0;
    for series in ids.values().chunk_by(|a, b| a == b) {
        let end = start + series.len();
        let scale = scale_of(values, ints, start..end);
        for row in start..end {
            let sent_int = ints.is_valid(row).then(|| ints.value(row));
            let value = (sent_int.is_none() && values.is_valid(row)).then(|| values.value(row));
            let scaled = scale.zip(value).and_then(|(scale, value)| Some((scaled(value, scale)?, scale)));
            kept.0.push(value.filter(|_| scaled.is_none()));
            kept.1.push(sent_int.or(scaled.map(|(int, _)| int)));
            kept.2.push(scaled.and_then(|(_, scale)| i8::try_from(scale).ok()));
        }
        start = end;
    }
    Ok([Arc::new(Float64Array::from(kept.0)), Arc::new(Int64Array::from(kept.1)), Arc::new(Int8Array::from(kept.2))])
}

/// The scale that makes integers of nearly all doubles of a series.
fn scale_of(values: &Float64Array, ints: &Int64Array, rows: std::ops::Range<usize>) -> Option<usize> {
    let step = rows.len().div_ceil(SAMPLE).max(1);
    let (mut scale, mut seen, mut misfits) = (0, 0, 0);
    for row in rows.step_by(step).filter(|row| values.is_valid(*row) && ints.is_null(*row)) {
        seen += 1;
        match (scale..POWERS.len()).find(|scale| scaled(values.value(row), *scale).is_some()) {
            Some(fits) => scale = fits,
            None => misfits += 1,
        }
    }
    (misfits * MISFITS <= seen).then_some(scale)
}

/// The integer that stands for a double at this scale, if one does exactly.
fn scaled(value: f64, scale: usize) -> Option<i64> {
    let int = (value * POWERS[scale]).round_ties_even();
    if int.abs() > MAX_EXACT {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above; what is no number becomes 0 and differs")]
    let int = int as i64;
    (double(int, scale).to_bits() == value.to_bits()).then_some(int)
}

#[expect(clippy::cast_precision_loss, reason = "bounded by MAX_EXACT where it was scaled")]
fn double(int: i64, scale: usize) -> f64 {
    int as f64 / POWERS[scale]
}

/// The wide `value` of kept numbers.
///
/// # Errors
/// `Corrupt` when a scale is none, or the columns are not those of numbers.
pub fn values(value: &dyn Array, value_int: &dyn Array, value_scale: &dyn Array) -> Result<Float64Array> {
    let (values, ints, scales) = (of::<Float64Type>(value)?, of::<Int64Type>(value_int)?, of::<Int8Type>(value_scale)?);
    if ints.null_count() == ints.len() {
        return Ok(values.clone());
    }
    let is_scale = |scale: i8| usize::try_from(scale).is_ok_and(|scale| scale < POWERS.len());
    if let Some(scale) = scales.iter().flatten().find(|scale| !is_scale(*scale)) {
        return Err(Error::corrupt(format!("{SCALE_COLUMN} is {scale}, expected 0 to {}", POWERS.len() - 1)));
    }
    let number = |row: usize| {
        if ints.is_null(row) {
            return values.is_valid(row).then(|| values.value(row));
        }
        let scale = if scales.is_valid(row) { scales.value(row).unsigned_abs() } else { 0 };
        Some(double(ints.value(row), usize::from(scale)))
    };
    Ok((0..ints.len()).map(number).collect())
}

/// The wide `value_int` of kept numbers: those that were sent as integers.
///
/// # Errors
/// `Corrupt` when the columns are not those of numbers.
pub fn sent_ints(value_int: &dyn Array, value_scale: &dyn Array) -> Result<Int64Array> {
    let (ints, scales) = (of::<Int64Type>(value_int)?, of::<Int8Type>(value_scale)?);
    if scales.null_count() == scales.len() {
        return Ok(ints.clone());
    }
    Ok((0..ints.len()).map(|row| (ints.is_valid(row) && scales.is_null(row)).then(|| ints.value(row))).collect())
}

fn of<T: ArrowPrimitiveType>(numbers: &dyn Array) -> Result<&PrimitiveArray<T>> {
    let wrong = || Error::corrupt(format!("a column of numbers is {}, expected {}", numbers.data_type(), T::DATA_TYPE));
    numbers.as_primitive_opt().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::UInt64Array,
        datatypes::{DataType, Schema},
    };
    use proptest::prelude::*;

    use super::*;

    /// A number as it was sent.
    #[derive(Clone, Copy, Debug)]
    enum Sent {
        Int(i64),
        Double(f64),
        Nothing,
    }

    fn points(sent: &[(u64, Sent)]) -> RecordBatch {
        #[expect(clippy::cast_precision_loss, reason = "as ingest does it")]
        let value = |sent: &Sent| match sent {
            Sent::Int(int) => Some(*int as f64),
            Sent::Double(double) => Some(*double),
            Sent::Nothing => None,
        };
        let int = |sent: &Sent| if let Sent::Int(int) = sent { Some(*int) } else { None };
        let schema = Schema::new(vec![
            Field::new("series_id", DataType::UInt64, false),
            Field::new("value", DataType::Float64, true),
            Field::new("value_int", DataType::Int64, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(sent.iter().map(|(id, _)| *id))),
            Arc::new(sent.iter().map(|(_, sent)| value(sent)).collect::<Float64Array>()),
            Arc::new(sent.iter().map(|(_, sent)| int(sent)).collect::<Int64Array>()),
        ];
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    fn bits(values: &Float64Array) -> Vec<Option<u64>> {
        values.iter().map(|value| value.map(f64::to_bits)).collect()
    }

    fn assert_same(sent: &[(u64, Sent)]) -> [ArrayRef; 3] {
        let points = points(sent);
        let [value, int, scale] = split(&points).unwrap();
        let read = values(&value, &int, &scale).unwrap();
        assert_eq!(bits(&read), bits(points.column(1).as_primitive()));
        assert_eq!(&sent_ints(&int, &scale).unwrap(), points.column(2).as_primitive::<Int64Type>());
        [value, int, scale]
    }

    #[test]
    fn whole_and_decimal_series_become_integers() {
        let sent: Vec<_> = [1.0, 2.0, 1e15]
            .map(|value| (1, Sent::Double(value)))
            .into_iter()
            .chain([0.25, 12.5, -3.125, 0.0].map(|value| (2, Sent::Double(value))))
            .chain([std::f64::consts::PI, std::f64::consts::E, 1e300].map(|value| (3, Sent::Double(value))))
            .chain([(4, Sent::Int(i64::MAX)), (4, Sent::Nothing)])
            .collect();
        let [value, int, scale] = assert_same(&sent);
        assert_eq!(value.null_count(), 9, "only what is no decimal stays a double");
        assert_eq!(
            int.as_primitive::<Int64Type>().iter().flatten().collect::<Vec<_>>(),
            [1, 2, 1_000_000_000_000_000, 250, 12_500, -3_125, 0, i64::MAX]
        );
        assert_eq!(scale.as_primitive::<Int8Type>().iter().flatten().collect::<Vec<_>>(), [0, 0, 0, 3, 3, 3, 3]);
    }

    #[test]
    fn a_scale_that_is_none_is_damage() {
        let int: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let value: ArrayRef = Arc::new(Float64Array::new_null(1));
        for scale in [-1, 7, i8::MAX] {
            let scale: ArrayRef = Arc::new(Int8Array::from(vec![scale]));
            assert_eq!(values(&value, &int, &scale).unwrap_err().kind(), crate::error::ErrorKind::Corrupt);
        }
    }

    fn any_number() -> impl Strategy<Value = Sent> {
        prop_oneof![
            any::<i64>().prop_map(Sent::Int),
            // Every bit pattern: NaN with payloads, infinities, negative zero, subnormals.
            any::<u64>().prop_map(|bits| Sent::Double(f64::from_bits(bits))),
            prop::sample::select(vec![
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                -0.0,
                0.0,
                MAX_EXACT,
                f64::MIN_POSITIVE
            ])
            .prop_map(Sent::Double),
            (-1_000_000_i32..1_000_000, 0_u8..8)
                .prop_map(|(int, scale)| Sent::Double(f64::from(int) / 10_f64.powi(i32::from(scale)))),
            Just(Sent::Nothing),
        ]
    }

    proptest! {
        #[test]
        fn every_bit_of_every_number_comes_back(sent in prop::collection::vec((0_u64..4, any_number()), 0..200)) {
            let mut sent = sent;
            sent.sort_by_key(|(id, _)| *id);
            assert_same(&sent);
        }
    }
}
