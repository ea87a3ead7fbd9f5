//! A request body -> Arrow rows of the tables it touches, plus counted rejections.
//!
//! The shared walk goes resource -> scope -> item over the bytes where they lie; `logs`, `spans` and `metrics` turn one
//! item into one row of columns, or into a rejection. JSON bodies are translated to protobuf first (`json`), so that
//! there is one walk and one set of rules.

mod attributes;
mod columns;
mod json;
mod logs;
mod messages;
mod metrics;
mod rejection;
mod sanitize;
mod spans;
#[cfg(test)]
mod tests;
mod wire;

use std::time::Duration;

use config::Age;
use storage::model::{TableRows, attributes::Attributes};
use xxhash_rust::xxh3::Xxh3;

use self::attributes::KeyValues;
pub(crate) use self::{
    rejection::{Rejection, Tally},
    wire::Malformed,
};
use crate::{
    Encoding, Signal,
    admission::{Full, Share},
};

/// What of a service's name goes into the label of its rows: a label is compared and hashed again and again. The attribute
/// keeps all of it.
const MAX_SERVICE_NAME_BYTES: usize = 1 << 10;

/// The service of a resource that names none.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Rules that depend on settings and on the time of arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Time of arrival.
    pub(crate) now_unix_nano: i64,
    /// Items further ahead of the arrival are rejected.
    pub(crate) max_future: Duration,
    /// How long the table keeps its rows.
    pub(crate) age: Age,
    /// The setting that says so.
    pub(crate) age_setting: &'static str,
    /// Deepest nesting of arrays and maps in a value.
    pub(crate) max_attribute_depth: usize,
    /// Longest text or bytes of a value.
    pub(crate) max_value_bytes: usize,
}

impl Limits {
    /// The item's time when the table may hold it.
    pub(crate) fn admit(&self, unix_nano: u64) -> Result<i64, Rejection> {
        let time = i64::try_from(unix_nano).map_err(|_| Rejection::TimeOutOfRange { unix_nano })?;
        if let Age::Limited(age) = self.age
            && time < self.now_unix_nano.saturating_sub(nanos(age))
        {
            return Err(Rejection::TooOld { unix_nano: time, setting: self.age_setting, age });
        }
        if time > self.now_unix_nano.saturating_add(nanos(self.max_future)) {
            return Err(Rejection::TooFarAhead { unix_nano: time, max_future: self.max_future });
        }
        Ok(time)
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// What a body held.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// Accepted rows, at most one entry a table, in the order of the tables.
    pub(crate) tables: Vec<TableRows>,
    /// Log records, spans or data points that were sent.
    pub(crate) item_count: u64,
    /// What was rejected or changed.
    pub(crate) tally: Tally,
}

/// Why a whole body was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// It is not what it claims to be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Its rows do not fit the memory that is left.
    #[error(transparent)]
    Full(#[from] Full),
    /// Columns and schema disagree: a mistake of ours.
    #[error("rows do not fit their schema: {0}")]
    Schema(#[from] arrow::error::ArrowError),
}

/// Decodes one body. `share` grows by what the rows take.
pub(crate) fn decode(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
    limits: &Limits,
    share: &mut Share,
) -> Result<Decoded, DecodeError> {
    match encoding {
        Encoding::Protobuf => decode_protobuf(signal, body, limits, share),
        Encoding::Json => decode_json(signal, body, limits, share),
    }
}

fn decode_json(signal: Signal, body: &[u8], limits: &Limits, share: &mut Share) -> Result<Decoded, DecodeError> {
    let before = share.held();
    let (text, replaced) = json::text(body, share)?;
    // JSON is never shorter than a fraction of its protobuf; see `json::to_protobuf`.
    share.grow(text.len().saturating_mul(2))?;
    let protobuf = json::to_protobuf(signal, &text)?;
    let translation = share.held() - before;
    let mut decoded = decode_protobuf(signal, &protobuf, limits, share)?;
    share.shrink(translation);
    decoded.tally.adjust(rejection::Adjustment::InvalidText, replaced);
    Ok(decoded)
}

fn decode_protobuf(signal: Signal, body: &[u8], limits: &Limits, share: &mut Share) -> Result<Decoded, DecodeError> {
    let before = share.held();
    match walk_request(signal, body, limits, share) {
        Err(DecodeError::Malformed(malformed)) if malformed.is_text() => {
            share.shrink(share.held() - before);
            let sanitized = sanitize::sanitized(signal, body, share)?;
            let copy = share.held() - before;
            let mut decoded = walk_request(signal, &sanitized.message, limits, share)?;
            share.shrink(copy);
            decoded.tally.adjust(rejection::Adjustment::InvalidText, sanitized.replaced);
            Ok(decoded)
        }
        decoded => decoded,
    }
}

fn walk_request(signal: Signal, body: &[u8], limits: &Limits, share: &mut Share) -> Result<Decoded, DecodeError> {
    let mut context = Context {
        limits: *limits,
        budget: Budget { share, pending: 0 },
        tally: Tally::default(),
        item_count: 0,
        attributes: KeyValues::default(),
        origin_serial: 0,
    };
    // Text and attribute bytes move into columns: about what the body has.
    context.budget.charge(body.len())?;
    let tables = match signal {
        Signal::Logs => {
            let mut rows = logs::Logs::default();
            walk(body, &mut context, &mut rows)?;
            rows.finish()?.into_iter().collect()
        }
        Signal::Spans => {
            let mut rows = spans::Spans::default();
            walk(body, &mut context, &mut rows)?;
            rows.finish()?.into_iter().collect()
        }
        Signal::Metrics => {
            let mut rows = metrics::Metrics::default();
            walk(body, &mut context, &mut rows)?;
            rows.finish()?
        }
    };
    Ok(Decoded { tables, item_count: context.item_count, tally: context.tally })
}

/// What the walk carries from item to item.
struct Context<'a, 's> {
    limits: Limits,
    budget: Budget<'s>,
    tally: Tally,
    item_count: u64,
    /// Attributes of the message being read; refilled for each.
    attributes: KeyValues<'a>,
    origin_serial: u64,
}

impl<'a> Context<'a, '_> {
    /// Appends the map in `attributes` to `out`.
    fn encode_attributes(&mut self, out: &mut Vec<u8>) -> Result<(), Stop> {
        let changes = self.attributes.encode(out, &self.limits, &mut self.budget)?;
        self.count(changes);
        Ok(())
    }

    /// Counts what was changed in attributes or in a value.
    fn count(&mut self, changes: attributes::Changes) {
        self.tally.adjust(rejection::Adjustment::DuplicateKey, changes.replaced);
        self.tally.adjust(rejection::Adjustment::TruncatedValue, changes.truncated);
    }

    /// Adds one encoded `KeyValue` to `attributes`.
    #[inline]
    fn push_attribute(&mut self, key_value: &'a [u8]) -> Result<(), Stop> {
        self.attributes.push(key_value, &mut self.budget)
    }

    /// Turns the rejection of `item_count` items into a count; anything else ends the request.
    fn settle(&mut self, result: Result<(), Stop>, item_count: u64) -> Result<(), DecodeError> {
        match result {
            Ok(()) => Ok(()),
            Err(Stop::Reject(rejection)) => {
                self.tally.reject(&rejection, item_count);
                Ok(())
            }
            Err(Stop::Malformed(malformed)) => Err(malformed.into()),
            Err(Stop::Full(full)) => Err(full.into()),
        }
    }
}

/// Why reading an item ended early.
#[derive(Debug)]
enum Stop {
    /// The request is refused.
    Malformed(Malformed),
    /// The request is refused, for now or for its size.
    Full(Full),
    /// This item is rejected; the next is read.
    Reject(Rejection),
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Full> for Stop {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(rejection)
    }
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed(malformed) => Self::Malformed(malformed),
            DecodeError::Full(full) => Self::Full(full),
            DecodeError::Schema(error) => Self::Malformed(Malformed::new(error.to_string())),
        }
    }
}

/// Memory for rows: small charges are gathered, so that the shared counter is touched rarely.
#[derive(Debug)]
struct Budget<'s> {
    share: &'s mut Share,
    pending: usize,
}

impl Budget<'_> {
    const STEP: usize = 256 * 1024;

    #[inline]
    fn charge(&mut self, byte_count: usize) -> Result<(), Full> {
        self.pending += byte_count;
        if self.pending >= Self::STEP {
            self.share.grow(std::mem::take(&mut self.pending))?;
        }
        Ok(())
    }
}

/// Where items come from: their resource and instrumentation scope, encoded once for all of them.
#[derive(Debug)]
struct Origin<'a> {
    /// Differs between origins of one request, starts at 1.
    serial: u64,
    /// Serial of the first origin with its resource. What depends on the resource alone is worked out once for it: its
    /// scopes may be many and short, its attributes long.
    resource_serial: u64,
    service_name: String,
    resource_attributes: Vec<u8>,
    /// Hash of the resource's attributes.
    resource_digest: u128,
    scope_name: &'a str,
    scope_version: &'a str,
    scope_attributes: Vec<u8>,
    /// Hash of the scope's name, version and attributes.
    scope_digest: u128,
    /// Resource or scope cannot be stored, and so none of their items.
    rejection: Option<Rejection>,
}

/// Turns items of one signal into rows.
trait Rows<'a> {
    /// Reads one `LogRecord`, `Span` or `Metric`. Rejections are counted in the context; an error refuses the request.
    fn item(&mut self, item: &'a [u8], origin: &Origin<'a>, context: &mut Context<'a, '_>) -> Result<(), DecodeError>;
}

/// The three signals nest alike: request { resource group = 1 }, resource group { resource = 1, scope group = 2 },
/// scope group { scope = 1, item = 2 }, schema URLs = 3. A group's head may come after its members, so each level is
/// read twice; stepping over members costs a few nanoseconds.
fn walk<'a>(body: &'a [u8], context: &mut Context<'a, '_>, rows: &mut impl Rows<'a>) -> Result<(), DecodeError> {
    for field in wire::Fields::new(body) {
        let field = field?;
        if field.number == 1 {
            walk_resource(field.bytes()?, context, rows)?;
        }
    }
    Ok(())
}

fn walk_resource<'a>(
    group: &'a [u8],
    context: &mut Context<'a, '_>,
    rows: &mut impl Rows<'a>,
) -> Result<(), DecodeError> {
    let mut origin = Origin {
        serial: 0,
        resource_serial: context.origin_serial + 1,
        resource_digest: 0,
        service_name: UNKNOWN_SERVICE.to_owned(),
        resource_attributes: Vec::new(),
        scope_name: "",
        scope_version: "",
        scope_attributes: Vec::new(),
        scope_digest: 0,
        rejection: None,
    };
    let resource_rejection = read_head(group, 1, context, &mut origin.resource_attributes, |number, field| {
        match number {
            // Not kept, but a message in which they have another type is not a resource.
            2 => drop(field.uint32()?),
            3 => drop(field.bytes()?),
            _ => {}
        }
        Ok(())
    })?;
    origin.resource_digest = digest([&origin.resource_attributes[..]]);
    if let Some(name) = Attributes::new(&origin.resource_attributes).get("service.name").and_then(|name| name.to_text())
        && !name.is_empty()
    {
        let label = &name[..name.floor_char_boundary(MAX_SERVICE_NAME_BYTES)];
        context.tally.adjust(rejection::Adjustment::LongServiceName, usize::from(label.len() < name.len()));
        origin.service_name = label.to_owned();
    }
    for field in wire::Fields::new(group) {
        let field = field?;
        if field.number == 2 {
            origin.rejection.clone_from(&resource_rejection);
            walk_scope(field.bytes()?, &mut origin, context, rows)?;
        }
    }
    Ok(())
}

fn walk_scope<'a>(
    group: &'a [u8],
    origin: &mut Origin<'a>,
    context: &mut Context<'a, '_>,
    rows: &mut impl Rows<'a>,
) -> Result<(), DecodeError> {
    context.origin_serial += 1;
    origin.serial = context.origin_serial;
    (origin.scope_name, origin.scope_version) = ("", "");
    let Origin { scope_name, scope_version, scope_attributes, .. } = origin;
    scope_attributes.clear();
    let rejection = read_head(group, 3, context, scope_attributes, |number, field| {
        match number {
            1 => *scope_name = field.text()?,
            2 => *scope_version = field.text()?,
            4 => drop(field.uint32()?),
            _ => {}
        }
        Ok(())
    })?;
    origin.scope_digest = digest([origin.scope_name.as_bytes(), origin.scope_version.as_bytes(), scope_attributes]);
    if origin.rejection.is_none() {
        origin.rejection = rejection;
    }
    for field in wire::Fields::new(group) {
        let field = field?;
        if field.number == 2 {
            rows.item(field.bytes()?, origin, context)?;
        }
    }
    Ok(())
}

/// Reads the head of a group, its resource or scope: the attributes into `out`, all other fields by `other`. Gives back why
/// its items cannot be stored, if so.
fn read_head<'a>(
    group: &'a [u8],
    attributes_field: u32,
    context: &mut Context<'a, '_>,
    out: &mut Vec<u8>,
    mut other: impl FnMut(u32, wire::Field<'a>) -> Result<(), Malformed>,
) -> Result<Option<Rejection>, DecodeError> {
    context.attributes.clear();
    let mut read = || {
        for part in wire::Fields::new(group) {
            let part = part?;
            match part.number {
                // Heads that come twice are one, with the fields of both.
                1 => {
                    for field in wire::Fields::new(part.bytes()?) {
                        let field = field?;
                        match field.number {
                            number if number == attributes_field => context.push_attribute(field.bytes()?)?,
                            number => other(number, field)?,
                        }
                    }
                }
                // The schema URL is not kept, but must be text.
                3 => drop(part.text()?),
                _ => {}
            }
        }
        context.encode_attributes(out)
    };
    match read() {
        Ok(()) => Ok(None),
        Err(Stop::Reject(rejection)) => {
            out.clear();
            Ok(Some(rejection))
        }
        Err(Stop::Malformed(malformed)) => Err(malformed.into()),
        Err(Stop::Full(full)) => Err(full.into()),
    }
}

/// Hash of parts, each preceded by its length: no two lists of parts read alike.
fn digest<const N: usize>(parts: [&[u8]; N]) -> u128 {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.digest128()
}

/// A trace id that names a trace: 16 bytes, not all zero.
fn trace_id(bytes: &[u8]) -> Option<&[u8; 16]> {
    bytes.try_into().ok().filter(|id: &&[u8; 16]| **id != [0; 16])
}

/// A span id that names a span: 8 bytes, not all zero.
fn span_id(bytes: &[u8]) -> Option<&[u8; 8]> {
    bytes.try_into().ok().filter(|id: &&[u8; 8]| **id != [0; 8])
}
