//! What a segment's file says of itself, for when there is no catalog to say it.

use std::ops::Range;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};

use super::{
    Lineage, SegmentId, SegmentMeta,
    checksum::{self, damaged},
    write::{DESCRIPTION_KEY, Description, FORMAT_VERSION, trace_filter},
};
use crate::{
    error::{Error, ErrorKind, Result},
    flush::SEGMENTS,
    model::{Table, Tenant, TimeRange},
    schema,
};

/// Longest end of a file that is read: a footer of a thousand columns and row groups has a few MiB.
const MAX_TAIL_BYTES: u64 = 256 << 20;
/// Length and magic at the end of a Parquet file.
const END_BYTES: u64 = 8;

/// A file as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// What a catalog would say.
    pub(crate) meta: SegmentMeta,
    /// `None` in files that were written before there was one.
    pub(crate) lineage: Option<Lineage>,
}

/// Reads the end of a file, checks it and returns what it says.
///
/// # Errors
/// `Invalid` when a later version wrote it; `Corrupt` when it is no segment, or a damaged one; `Unavailable`.
pub(crate) async fn describe(objects: &dyn ObjectStore, path: &str, file_bytes: u64) -> Result<Described> {
    let corrupt = |what: &str| Error::corrupt(format!("{path}: {what}"));
    let (tenant, table_name, id) = names(path).ok_or_else(|| corrupt("not the path of a segment"))?;
    let read = async |range: Range<u64>| -> Result<Bytes> {
        let bytes = objects.get_range(&Path::from(path), range).await;
        bytes.map_err(|error| Error::new(ErrorKind::Unavailable, format!("reading {path}")).with_source(error))
    };
    let end = file_bytes.checked_sub(END_BYTES).ok_or_else(|| corrupt("too short for a segment"))?;
    let last = read(end..file_bytes).await?;
    let length = last.first_chunk().map(|length| u64::from(u32::from_le_bytes(*length)));
    let footer = length.filter(|_| last.ends_with(b"PAR1")).and_then(|length| end.checked_sub(length));
    let footer =
        footer.filter(|start| file_bytes - start <= MAX_TAIL_BYTES).ok_or_else(|| corrupt("no Parquet footer"))?;
    let description = description(&read(footer..end).await?).ok_or_else(|| corrupt("no description in its footer"))?;
    let tail_start = description.covered_bytes;
    if tail_start > footer || file_bytes - tail_start > MAX_TAIL_BYTES {
        return Err(damaged(path, footer, "a tail before the footer", tail_start));
    }
    // Nothing of it is believed before this.
    checksum::verify_tail(path, tail_start, &read(tail_start..file_bytes).await?)?;
    if description.version > FORMAT_VERSION {
        return Err(Error::later(format!("{path} has format {}", description.version), FORMAT_VERSION));
    }
    if description.schema_version > schema::VERSION {
        let found = format!("{path} has rows of schema version {}", description.schema_version);
        return Err(Error::later(found, schema::VERSION));
    }
    let table: Table = description.table.parse().map_err(|error: String| corrupt(&error))?;
    if table.name() != table_name {
        return Err(damaged(path, tail_start, format!("rows of {table_name}"), table));
    }
    let meta = SegmentMeta {
        id,
        tenant,
        table,
        path: path.to_owned(),
        file_bytes,
        tail_bytes: file_bytes - tail_start,
        row_count: description.row_count,
        time_range: TimeRange::spanning(description.min_unix_nano, description.max_unix_nano),
        bucket_start_unix_nano: description.bucket_start_unix_nano,
        schema_version: description.schema_version,
        trace_filter: trace_filter(&description.blobs),
    };
    Ok(Described { meta, lineage: description.lineage })
}

/// The description in a footer, found without parsing what was not checked: the last value after its key. Nothing from
/// outside comes after it.
fn description(footer: &[u8]) -> Option<Description> {
    let key = DESCRIPTION_KEY.as_bytes();
    let at = footer.windows(key.len()).rposition(|window| window == key)? + key.len();
    // Between key and value stand a field's header and the value's length.
    let start = at + footer.get(at..(at + 16).min(footer.len()))?.iter().position(|byte| *byte == b'{')?;
    serde_json::Deserializer::from_slice(&footer[start..]).into_iter().next()?.ok()
}

/// Tenant, table and id in a path: `segments/<tenant>/<table>/<time bucket>/<id>.parquet`.
fn names(path: &str) -> Option<(Tenant, &str, SegmentId)> {
    let mut parts = path.strip_prefix(SEGMENTS)?.strip_prefix('/')?.split('/');
    let (tenant, table, _bucket) = (parts.next()?, parts.next()?, parts.next()?);
    let id = parts.next()?.strip_suffix(".parquet")?;
    parts.next().is_none().then(|| (Tenant::new(tenant), table, SegmentId::new(id)))
}
