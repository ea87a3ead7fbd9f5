//! Rows of an answer -> bytes, batch by batch: JSON, NDJSON, CSV, Arrow IPC, Parquet.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Field, SchemaRef},
    ipc::writer::StreamWriter,
    record_batch::RecordBatch,
};
use axum::http::{HeaderMap, header};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use crate::{
    error::{Answer, Problem},
    json::{write_cell, write_string},
    wire,
};

/// Rows of one Parquet row group: they wait in memory.
const ROW_GROUP_ROWS: usize = 1 << 16;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Ndjson,
    Csv,
    Arrow,
    Parquet,
}

impl Format {
    /// The format that `?format=` or else the `Accept` header asks for.
    pub(crate) fn wanted(name: Option<&str>, headers: &HeaderMap) -> Answer<Self> {
        if let Some(name) = name {
            return Self::named(name)
                .ok_or_else(|| Problem::invalid(format!("unknown format {name:?}")).with_hint(KNOWN));
        }
        let Some(accept) = headers.get(header::ACCEPT) else { return Ok(Self::Json) };
        let accept = accept.to_str().unwrap_or_default();
        let types = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
        types.into_iter().find_map(Self::of_media_type).ok_or_else(|| {
            Problem::new(axum::http::StatusCode::NOT_ACCEPTABLE, format!("cannot answer as {accept:?}"))
                .with_hint(KNOWN)
        })
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "ndjson" => Self::Ndjson,
            "csv" => Self::Csv,
            "arrow" => Self::Arrow,
            "parquet" => Self::Parquet,
            _ => return None,
        })
    }

    fn of_media_type(media_type: &str) -> Option<Self> {
        Some(match media_type.to_ascii_lowercase().as_str() {
            "" | "*/*" | "application/*" | "application/json" => Self::Json,
            "application/x-ndjson" | "application/jsonl" => Self::Ndjson,
            "text/csv" | "text/*" => Self::Csv,
            "application/vnd.apache.arrow.stream" => Self::Arrow,
            "application/vnd.apache.parquet" => Self::Parquet,
            _ => return None,
        })
    }

    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

const KNOWN: &str = "application/json, application/x-ndjson, text/csv, application/vnd.apache.arrow.stream, \
                     application/vnd.apache.parquet (or ?format=json, ndjson, csv, arrow, parquet)";

/// Writes one answer. Each step returns the bytes that are ready.
pub(crate) enum Encoder {
    Json { schema: SchemaRef, any_rows: bool },
    Ndjson { schema: SchemaRef },
    Csv { schema: SchemaRef },
    Arrow { writer: Box<StreamWriter<Written>>, written: Written },
    Parquet { writer: Box<ArrowWriter<Written>>, written: Written },
}

impl Encoder {
    pub(crate) fn new(format: Format, schema: &SchemaRef) -> io::Result<Self> {
        let written = Written::default();
        let schema = Arc::clone(schema);
        Ok(match format {
            Format::Json => Self::Json { schema, any_rows: false },
            Format::Ndjson => Self::Ndjson { schema },
            Format::Csv => Self::Csv { schema },
            Format::Arrow => Self::Arrow {
                writer: Box::new(StreamWriter::try_new(written.clone(), &schema).map_err(io::Error::other)?),
                written,
            },
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).map_err(io::Error::other)?))
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
                    .build();
                let writer =
                    ArrowWriter::try_new(written.clone(), schema, Some(properties)).map_err(io::Error::other)?;
                Self::Parquet { writer: Box::new(writer), written }
            }
        })
    }

    /// What stands before the rows.
    pub(crate) fn begin(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Json { schema, .. } => {
                out.extend_from_slice(b"{\"columns\":");
                let _ = serde_json::to_writer(&mut out, &columns(schema));
                out.extend_from_slice(b",\"rows\":[");
            }
            Self::Csv { schema } => {
                for (i, field) in schema.fields().iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_csv_text(&mut out, field.name());
                }
                out.extend_from_slice(b"\r\n");
            }
            Self::Arrow { written, .. } | Self::Parquet { written, .. } => return written.take(),
            Self::Ndjson { .. } => {}
        }
        out
    }

    pub(crate) fn rows(&mut self, batch: &RecordBatch) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(batch.num_rows() * batch.num_columns() * 16);
        match self {
            Self::Json { schema, any_rows } => {
                for row in 0..batch.num_rows() {
                    if std::mem::replace(any_rows, true) {
                        out.push(b',');
                    }
                    out.push(b'[');
                    for (i, (column, field)) in batch.columns().iter().zip(schema.fields()).enumerate() {
                        if i > 0 {
                            out.push(b',');
                        }
                        write_cell(&mut out, column.as_ref(), field, row);
                    }
                    out.push(b']');
                }
            }
            Self::Ndjson { schema } => {
                for row in 0..batch.num_rows() {
                    out.push(b'{');
                    for (i, (column, field)) in batch.columns().iter().zip(schema.fields()).enumerate() {
                        if i > 0 {
                            out.push(b',');
                        }
                        write_string(&mut out, field.name());
                        out.push(b':');
                        write_cell(&mut out, column.as_ref(), field, row);
                    }
                    out.extend_from_slice(b"}\n");
                }
            }
            Self::Csv { schema } => {
                for row in 0..batch.num_rows() {
                    for (i, (column, field)) in batch.columns().iter().zip(schema.fields()).enumerate() {
                        if i > 0 {
                            out.push(b',');
                        }
                        write_csv_cell(&mut out, column.as_ref(), field, row);
                    }
                    out.extend_from_slice(b"\r\n");
                }
            }
            Self::Arrow { writer, written } => {
                writer.write(batch).map_err(io::Error::other)?;
                return Ok(written.take());
            }
            Self::Parquet { writer, written } => {
                writer.write(batch).map_err(io::Error::other)?;
                return Ok(written.take());
            }
        }
        Ok(out)
    }

    /// What stands after the rows. A format that cannot say that rows are missing fails instead, so that the connection
    /// ends early and nobody takes a part for the whole.
    pub(crate) fn end(self, stats: wire::Stats, problem: Option<Problem>) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        match (self, problem) {
            (Self::Json { .. }, problem) => {
                out.extend_from_slice(b"],\"stats\":");
                serde_json::to_writer(&mut out, &stats)?;
                if let Some(problem) = problem {
                    out.extend_from_slice(b",\"error\":");
                    serde_json::to_writer(&mut out, &problem.body())?;
                }
                out.push(b'}');
            }
            (Self::Ndjson { .. }, Some(problem)) => {
                out.extend_from_slice(b"{\"error\":");
                serde_json::to_writer(&mut out, &problem.body())?;
                out.extend_from_slice(b"}\n");
            }
            (_, Some(problem)) => return Err(io::Error::other(problem.body().detail)),
            (Self::Ndjson { .. } | Self::Csv { .. }, None) => {}
            (Self::Arrow { mut writer, written }, None) => {
                writer.finish().map_err(io::Error::other)?;
                return Ok(written.take());
            }
            (Self::Parquet { writer, written }, None) => {
                writer.close().map_err(io::Error::other)?;
                return Ok(written.take());
            }
        }
        Ok(out)
    }
}

/// Names and types of columns.
pub(crate) fn columns(schema: &SchemaRef) -> Vec<wire::Column> {
    let column = |field: &Arc<Field>| wire::Column { name: field.name().clone(), r#type: type_name(field) };
    schema.fields().iter().map(column).collect()
}

/// Short name of a column's type.
pub(crate) fn type_name(field: &Field) -> String {
    match (field.data_type(), field.metadata().get(query::KIND_KEY).map(String::as_str)) {
        (_, Some(query::KIND_ATTRIBUTES)) => "Map".to_owned(),
        (_, Some(query::KIND_VALUE)) => "Value".to_owned(),
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, _) => "Text".to_owned(),
        (DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_), _) => {
            "Binary".to_owned()
        }
        (DataType::Timestamp(..), _) => "Timestamp".to_owned(),
        (DataType::Date32 | DataType::Date64, _) => "Date".to_owned(),
        (DataType::Time32(_) | DataType::Time64(_), _) => "Time".to_owned(),
        (DataType::Interval(_), _) => "Interval".to_owned(),
        (DataType::Duration(_), _) => "Duration".to_owned(),
        (DataType::Dictionary(_, values), _) => type_name(&Field::new("", values.as_ref().clone(), true)),
        (DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _), _) => {
            format!("List<{}>", type_name(item))
        }
        (DataType::Struct(_), _) => "Struct".to_owned(),
        (DataType::Decimal128(p, s) | DataType::Decimal256(p, s), _) => format!("Decimal({p}, {s})"),
        // Int64, UInt32, Float64, Boolean, Null
        (other, _) => format!("{other:?}"),
    }
}

fn write_csv_cell(out: &mut Vec<u8>, array: &dyn Array, field: &Field, row: usize) {
    if array.is_null(row) {
        return;
    }
    if let Some(text) = array.as_string_opt::<i32>() {
        return write_csv_text(out, text.value(row));
    }
    let mut cell = Vec::new();
    write_cell(&mut cell, array, field, row);
    match serde_json::from_slice::<String>(&cell) {
        // Times, hex, large numbers: text in JSON only.
        Ok(text) if array.data_type().is_nested() => write_csv_text(out, &text),
        Ok(text) => write_quoted(out, &text),
        Err(_) => write_quoted(out, &String::from_utf8_lossy(&cell)),
    }
}

/// Text from outside. A cell that a spreadsheet would run as a formula gets an apostrophe before it.
fn write_csv_text(out: &mut Vec<u8>, text: &str) {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        return write_quoted(out, &format!("'{text}"));
    }
    write_quoted(out, text);
}

fn write_quoted(out: &mut Vec<u8>, text: &str) {
    // An empty text differs from NULL, which is nothing at all.
    if text.is_empty() || text.contains([',', '"', '\n', '\r', ' ']) {
        out.push(b'"');
        out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Bytes that a writer has written and nobody has taken yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
