//! One frame of the WAL: all rows of one request, checksummed, independent of every other frame.
//!
//! `docs/format/wal.md` has the layout. Checksums are seeded with the nonce of the file, so that bytes which a client
//! chose and which happen to look like a frame are never taken for one.

use std::{collections::HashMap, sync::LazyLock};

use arrow::{
    buffer::Buffer,
    ipc::{
        reader::StreamDecoder,
        writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message},
    },
    record_batch::RecordBatch,
};

use crate::{
    error::{Error, Result},
    model::{Batch, BatchKey, Table, TableRows, Tenant},
    schema,
};

/// First bytes of every frame.
pub const MAGIC: [u8; 8] = *b"\xd5RLframe";
/// Version of the frame's layout.
pub const VERSION: u16 = 1;
/// Length of the header.
pub const HEADER_BYTES: usize = 64;
/// Longest body that is written or believed.
pub const MAX_BODY_BYTES: usize = 1 << 30;

const HAS_KEY: u8 = 1;
/// Table number and length before compression.
const TABLE_ENTRY_BYTES: usize = 5;

/// A request's rows, encoded and compressed, waiting for its place in the log.
#[derive(Clone, Debug)]
pub struct Payload {
    tenant_bytes: u16,
    table_count: u8,
    key: Option<BatchKey>,
    schema_version: u16,
    body: Vec<u8>,
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Position in the order of the log.
    pub sequence: u64,
    /// Wall time at which the frame was written.
    pub appended_unix_nano: i64,
    /// Identity of the request, if duplicates are recognised.
    pub key: Option<BatchKey>,
    /// `schema::VERSION` of the rows.
    pub schema_version: u16,
    /// Length of what follows the header.
    pub body_bytes: usize,
    body_crc: u32,
    tenant_bytes: usize,
    table_count: usize,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// They do not begin with the magic or the header's checksum is wrong.
    Header,
    /// The header is right and the body is cut short or its checksum is wrong.
    Body,
}

impl Payload {
    /// Encodes a batch. Worth doing before anybody waits.
    ///
    /// # Errors
    /// `Invalid` when the rows are not in their table's wide schema, or too large for one frame.
    pub fn encode(batch: &Batch) -> Result<Self> {
        let tenant = batch.tenant.as_str().as_bytes();
        let tenant_bytes = u16::try_from(tenant.len()).map_err(|_| Error::invalid("tenant name is too long"))?;
        let table_count =
            u8::try_from(batch.tables.len()).map_err(|_| Error::invalid("more tables than there are in one batch"))?;
        let mut raw = Vec::new();
        let mut body = Vec::with_capacity(tenant.len() + batch.tables.len() * TABLE_ENTRY_BYTES);
        body.extend_from_slice(tenant);
        for rows in &batch.tables {
            let start = raw.len();
            encode_rows(rows, &mut raw)?;
            let raw_bytes = u32::try_from(raw.len() - start)
                .map_err(|_| Error::invalid(format!("rows of {} are too large for one frame", rows.table)))?;
            body.push(rows.table as u8);
            body.extend_from_slice(&raw_bytes.to_le_bytes());
        }
        let start = body.len();
        body.resize(start + lz4_flex::block::get_maximum_output_size(raw.len()), 0);
        let compressed = lz4_flex::block::compress_into(&raw, &mut body[start..])
            .map_err(|e| Error::internal("lz4").with_source(e))?;
        body.truncate(start + compressed);
        // The slack of the worst case would be held until the frame is written.
        body.shrink_to_fit();
        if body.len() > MAX_BODY_BYTES {
            return Err(Error::invalid(format!("batch of {} bytes is too large for one frame", body.len())));
        }
        Ok(Self { tenant_bytes, table_count, key: batch.key, schema_version: schema::VERSION, body })
    }

    /// Length of the frame in the file.
    pub fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    /// Writes the frame at the end of `out`.
    pub fn write(&self, sequence: u64, appended_unix_nano: i64, nonce: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.schema_version.to_le_bytes());
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&appended_unix_nano.to_le_bytes());
        out.extend_from_slice(&self.key.map_or(0, |key| key.0).to_le_bytes());
        let body_bytes = u32::try_from(self.body.len()).expect("encode checks the length");
        out.extend_from_slice(&body_bytes.to_le_bytes());
        out.extend_from_slice(&checksum(nonce, &self.body).to_le_bytes());
        out.extend_from_slice(&self.tenant_bytes.to_le_bytes());
        out.push(self.table_count);
        out.push(if self.key.is_some() { HAS_KEY } else { 0 });
        out.resize(start + HEADER_BYTES, 0);
        let crc = checksum(nonce, &out[start + 12..]);
        out[start + 8..start + 12].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&self.body);
    }
}

/// Reads the frame at the start of `bytes`: its header, and its body, checked.
///
/// # Errors
/// [`Damage`] when there is no whole frame.
pub fn read(bytes: &[u8], nonce: u64) -> Result<(Header, &[u8]), Damage> {
    let header = bytes.get(..HEADER_BYTES).ok_or(Damage::Header)?;
    if header[..8] != MAGIC || u32_at(header, 8) != checksum(nonce, &header[12..]) || u16_at(header, 12) != VERSION {
        return Err(Damage::Header);
    }
    let header = Header {
        schema_version: u16_at(header, 14),
        sequence: u64_at(header, 16),
        appended_unix_nano: u64_at(header, 24).cast_signed(),
        key: (header[59] & HAS_KEY != 0).then(|| BatchKey(u128_at(header, 32))),
        body_bytes: u32_at(header, 48) as usize,
        body_crc: u32_at(header, 52),
        tenant_bytes: usize::from(u16_at(header, 56)),
        table_count: usize::from(header[58]),
    };
    let body = bytes.get(HEADER_BYTES..HEADER_BYTES + header.body_bytes).ok_or(Damage::Body)?;
    if checksum(nonce, body) != header.body_crc {
        return Err(Damage::Body);
    }
    Ok((header, body))
}

/// Versions of the layout and of the rows that a header names whose checksum is right. The first 16 bytes and what the
/// checksum covers are the same in every version.
pub fn versions(bytes: &[u8], nonce: u64) -> Option<(u16, u16)> {
    let header = bytes.get(..HEADER_BYTES)?;
    let is_header = header[..8] == MAGIC && u32_at(header, 8) == checksum(nonce, &header[12..]);
    is_header.then(|| (u16_at(header, 12), u16_at(header, 14)))
}

impl Header {
    /// The rows of a checked body.
    ///
    /// # Errors
    /// `Invalid` when a later version wrote it; `Corrupt` when it is not what this version writes.
    pub fn decode(&self, body: &[u8]) -> Result<Batch> {
        let corrupt = |what: &str| Error::corrupt(format!("WAL frame {}: {what}", self.sequence));
        if self.schema_version > schema::VERSION {
            return Err(Error::invalid(format!(
                "WAL frame {} holds rows of schema version {}, this program knows {}",
                self.sequence,
                self.schema_version,
                schema::VERSION
            )));
        }
        let (tenant, rest) = body.split_at_checked(self.tenant_bytes).ok_or_else(|| corrupt("cut tenant"))?;
        let tenant = std::str::from_utf8(tenant).map_err(|_| corrupt("tenant is not UTF-8"))?;
        let (entries, compressed) =
            rest.split_at_checked(self.table_count * TABLE_ENTRY_BYTES).ok_or_else(|| corrupt("cut table list"))?;
        let mut parts = Vec::with_capacity(self.table_count);
        let mut raw_bytes = 0;
        for entry in entries.chunks_exact(TABLE_ENTRY_BYTES) {
            let table = Table::from_number(entry[0]).ok_or_else(|| {
                Error::invalid(format!("WAL frame {} holds table {} of a later version", self.sequence, entry[0]))
            })?;
            let bytes = u32_at(entry, 1) as usize;
            raw_bytes += bytes;
            parts.push((table, bytes));
        }
        // lz4 cannot expand more than that: a length that claims more would only make us allocate.
        if raw_bytes > compressed.len().saturating_mul(255).saturating_add(64) {
            return Err(corrupt("impossible length"));
        }
        let mut raw = vec![0; raw_bytes];
        let read =
            lz4_flex::block::decompress_into(compressed, &mut raw).map_err(|e| corrupt("not lz4").with_source(e))?;
        if read != raw_bytes {
            return Err(corrupt("wrong length"));
        }
        let mut rest = Buffer::from_vec(raw);
        let mut tables = Vec::with_capacity(parts.len());
        for (table, bytes) in parts {
            let mut part = rest.slice_with_length(0, bytes);
            rest.advance(bytes);
            let rows =
                decode_rows(self.schema_version, table, &mut part).map_err(|e| corrupt("rows").with_source(e))?;
            tables.push(TableRows { table, rows });
        }
        Ok(Batch { tenant: Tenant::new(tenant), key: self.key, tables })
    }
}

/// Checksum that only the owner of the file's nonce can make.
pub(super) fn checksum(nonce: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&nonce.to_le_bytes()), bytes)
}

fn ipc_options() -> IpcWriteOptions {
    IpcWriteOptions::try_new(8, false, arrow::ipc::MetadataVersion::V5).expect("8 is an alignment of the format")
}

/// What both sides know of a table and therefore nobody writes.
struct Known {
    schema_message: Buffer,
    dictionary_count: usize,
}

fn known(version: u16, table: Table) -> &'static Known {
    static KNOWN: LazyLock<HashMap<(u16, Table), Known>> = LazyLock::new(|| {
        let make = |version, table| {
            let mut dictionaries = DictionaryTracker::new(false);
            let encoded = IpcDataGenerator {}.schema_to_bytes_with_dictionary_tracker(
                &schema::wide_of(version, table),
                &mut dictionaries,
                &ipc_options(),
            );
            let mut message = Vec::new();
            write_message(&mut message, encoded, &ipc_options()).expect("writing to memory");
            Known { schema_message: Buffer::from_vec(message), dictionary_count: dictionaries.dict_id().len() }
        };
        let versions = 1..=schema::VERSION;
        let of_all = |version| Table::ALL.into_iter().map(move |table| (version, table));
        versions.flat_map(of_all).map(|(version, table)| ((version, table), make(version, table))).collect()
    });
    &KNOWN[&(version.max(1), table)]
}

/// Dictionary batches and the record batch, without the schema.
fn encode_rows(rows: &TableRows, out: &mut Vec<u8>) -> Result<()> {
    let wide = schema::wide(rows.table);
    if rows.rows.schema() != wide {
        return Err(Error::invalid(format!("rows of {} are not in its wide schema", rows.table)));
    }
    let options = ipc_options();
    let mut dictionaries = DictionaryTracker::new(false);
    // The numbers that writing the schema message would give to the dictionary columns.
    for _ in 0..known(schema::VERSION, rows.table).dictionary_count {
        dictionaries.next_dict_id();
    }
    let (encoded_dictionaries, encoded_rows) =
        IpcDataGenerator {}.encode(&rows.rows, &mut dictionaries, &options, &mut IpcWriteContext::default())?;
    for encoded in encoded_dictionaries {
        write_message(&mut *out, encoded, &options)?;
    }
    write_message(&mut *out, encoded_rows, &options)?;
    Ok(())
}

fn decode_rows(version: u16, table: Table, bytes: &mut Buffer) -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut decoder = StreamDecoder::new();
    decoder.decode(&mut known(version, table).schema_message.clone())?;
    let batch = decoder.decode(bytes)?;
    let batch = batch.ok_or_else(|| arrow::error::ArrowError::IpcError("no rows".to_owned()))?;
    // The schema everybody else uses, so that comparing pointers is enough.
    let wide = schema::wide(table);
    let kept = wide.fields().iter().map(|field| batch.schema_ref().index_of(field.name()));
    let kept = kept.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(wide, batch.project(&kept)?.columns().to_vec())
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the length is N")
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn u128_at(bytes: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(array_at(bytes, at))
}
