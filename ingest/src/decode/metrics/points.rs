//! What data points of every kind have: identity, times, flags, and the labels of their series.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, UInt32Array, UInt64Array},
    error::ArrowError,
};
use storage::model::{Table, TableRows};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    super::{
        Context, Rejection, Stop,
        columns::{Dictionary, OriginColumns, optional_timestamps, rows, timestamps},
        rejection::Adjustment,
        wire::{Field, Malformed},
    },
    Exemplars, Source,
};

/// What a row takes beside its attributes and buckets.
const ROW_BYTES: usize = 144;

/// The flag of a point that says: there is no value.
const NO_RECORDED_VALUE: u32 = 1;

/// The shared fields of a point as it was sent. Field numbers differ between kinds; these do not.
#[derive(Debug, Default)]
pub(super) struct Point {
    pub(super) start_time_unix_nano: u64,
    pub(super) time_unix_nano: u64,
    pub(super) flags: u32,
}

impl Point {
    /// Fields 2 and 3 are the times in every kind of point.
    pub(super) fn read_time(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        match field.number {
            2 => self.start_time_unix_nano = field.fixed64()?,
            _ => self.time_unix_nano = field.fixed64()?,
        }
        Ok(())
    }

    pub(super) const fn has_no_recorded_value(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

/// A point that was accepted: what its exemplars refer to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted {
    pub(super) series_id: u64,
    pub(super) timestamp: i64,
}

/// The columns that all tables of points have.
#[derive(Debug, Default)]
pub(super) struct PointColumns {
    /// Which metric the keys below belong to.
    serial: u64,
    keys: [i32; 4],
    metric_name: Dictionary,
    series_id: Vec<u64>,
    timestamp: Vec<i64>,
    start_timestamp: Vec<Option<i64>>,
    flags: Vec<u32>,
    anomaly: Dictionary,
    description: Dictionary,
    unit: Dictionary,
    kind: Dictionary,
    temporality: Dictionary,
    is_monotonic: Vec<Option<bool>>,
    origin: OriginColumns,
    attributes: Dictionary,
    /// The encoded attributes of the point at hand.
    encoded: Vec<u8>,
}

impl PointColumns {
    /// Adds the shared columns of one point, whose attributes stand in the context, or rejects it without a trace. The
    /// caller has checked everything else and adds its own columns afterwards.
    pub(super) fn push(
        &mut self,
        point: &Point,
        anomaly: Option<&'static str>,
        source: Source<'_, '_>,
        context: &mut Context<'_, '_>,
    ) -> Result<Accepted, Stop> {
        let Source { metric, origin } = source;
        if let Some(rejection) = &origin.rejection {
            return Err(rejection.clone().into());
        }
        let timestamp = context.limits.admit(point.time_unix_nano)?;
        let start = match point.start_time_unix_nano {
            0 => None,
            unix_nano => Some(i64::try_from(unix_nano).map_err(|_| Rejection::TimeOutOfRange { unix_nano })?),
        };
        context.budget.charge(ROW_BYTES)?;
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        let result = context.encode_attributes(&mut encoded);
        self.encoded = encoded;
        result?;
        // From here nothing fails: a row is in all columns or in none.
        let series_id = series_id(metric.identity, &self.encoded);
        if self.serial != metric.serial {
            self.serial = metric.serial;
            self.keys = [
                self.metric_name.intern(metric.name.as_bytes()),
                self.description.intern(metric.description.as_bytes()),
                self.unit.intern(metric.unit.as_bytes()),
                self.kind.intern(metric.kind.as_bytes()),
            ];
        }
        self.metric_name.push_key(self.keys[0]);
        self.description.push_key(self.keys[1]);
        self.unit.push_key(self.keys[2]);
        self.kind.push_key(self.keys[3]);
        self.series_id.push(series_id);
        self.timestamp.push(timestamp);
        self.start_timestamp.push(start);
        self.flags.push(point.flags);
        let late_start = start.is_some_and(|start| start > timestamp);
        self.anomaly.push_option(anomaly.or(late_start.then_some("start_after_time")));
        self.temporality.push_option(metric.temporality);
        self.is_monotonic.push(metric.is_monotonic);
        self.origin.push(origin);
        self.attributes.push(&self.encoded);
        Ok(Accepted { series_id, timestamp })
    }

    pub(super) fn finish(self, table: Table, own: Vec<ArrayRef>) -> Result<Option<TableRows>, ArrowError> {
        let (service_name, origin) = self.origin.finish()?;
        let mut columns: Vec<ArrayRef> = vec![
            self.metric_name.into_text()?,
            Arc::new(UInt64Array::from(self.series_id)),
            timestamps(self.timestamp),
            optional_timestamps(self.start_timestamp),
        ];
        columns.extend(own);
        columns.extend([
            Arc::new(UInt32Array::from(self.flags)) as ArrayRef,
            self.anomaly.into_text()?,
            self.description.into_text()?,
            self.unit.into_text()?,
            self.kind.into_text()?,
            self.temporality.into_text()?,
            Arc::new(BooleanArray::from(self.is_monotonic)),
            service_name,
        ]);
        columns.extend(origin);
        columns.push(self.attributes.into_binary()?);
        rows(table, columns)
    }
}

/// The number of a series: xxh3-64 over the identity of its metric and the encoded attributes of its points.
fn series_id(identity: u128, attributes: &[u8]) -> u64 {
    // Most attribute lists are short: one buffer on the stack, one hash.
    let mut short = [0u8; 256];
    let length = 16 + attributes.len();
    if length <= short.len() {
        short[..16].copy_from_slice(&identity.to_le_bytes());
        short[16..length].copy_from_slice(attributes);
        return xxh3_64(&short[..length]);
    }
    let mut long = Vec::with_capacity(length);
    long.extend_from_slice(&identity.to_le_bytes());
    long.extend_from_slice(attributes);
    xxh3_64(&long)
}

/// Stores the exemplars of a point that was accepted.
pub(super) fn push_exemplars<'a>(
    messages: &[&'a [u8]],
    accepted: Accepted,
    source: Source<'_, 'a>,
    exemplars: &mut Exemplars,
    context: &mut Context<'a, '_>,
) -> Result<(), Stop> {
    for message in messages {
        match exemplars.push(message, accepted, source, context) {
            Err(Stop::Reject(_)) => context.tally.adjust(Adjustment::ExemplarDropped, 1),
            result => result?,
        }
    }
    Ok(())
}
