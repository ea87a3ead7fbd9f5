//! How each column is written to Parquet, as `docs/format/segment.md` explains and measures.

use arrow::datatypes::Schema;
use parquet::{
    arrow::ArrowSchemaConverter,
    basic::{Compression, Encoding, Type, ZstdLevel},
    file::{
        metadata::SortingColumn,
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion},
    },
    schema::types::{ColumnDescriptor, ColumnPath},
};

use super::write::Layout;
use crate::{
    error::{Error, Result},
    model::Table,
    rollup::is_summed,
    schema::{
        layout::{AttributeColumn, MAX_SHARED_BYTES},
        sort_key,
    },
};

/// A dictionary of all trace ids of one row group, were they all different.
const TRACE_DICTIONARY_BYTES: usize = 4 << 20;
/// Bounds of text in page and chunk statistics are cut after this: longer ones rarely tell two pages apart.
const BOUND_BYTES: usize = 24;

/// Properties of a file with this schema.
pub(super) fn writer_properties(
    table: Table,
    file: &Schema,
    layout: &Layout,
    settings: &config::Storage,
) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(settings.zstd_level)
        .map_err(|error| Error::invalid("storage.zstd_level").with_source(error))?;
    let parquet = ArrowSchemaConverter::new().convert(file)?;
    let sorting = sort_key(table)
        .iter()
        .filter_map(|name| parquet.columns().iter().position(|column| column.path().string() == *name))
        .filter_map(|column| i32::try_from(column).ok())
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true })
        .collect();
    let mut builder = WriterProperties::builder()
        .set_writer_version(writer_version(table))
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(settings.row_group_rows.max(1)))
        .set_data_page_row_count_limit(settings.page_rows.max(1))
        .set_write_batch_size(settings.page_rows.clamp(1, 1000))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_column_index_truncate_length(Some(BOUND_BYTES))
        .set_statistics_truncate_length(Some(BOUND_BYTES))
        .set_sorting_columns(Some(sorting))
        .set_created_by(concat!("rootline ", env!("CARGO_PKG_VERSION")).to_owned());
    for column in parquet.columns() {
        builder = column_properties(builder, table, layout, column);
    }
    Ok(builder.build())
}

/// Version 2 has dictionaries for ids of fixed length: half the bytes of a span's trace id. But it leaves uncompressed
/// where lists begin and end, which of histograms is nearly always the same.
const fn writer_version(table: Table) -> WriterVersion {
    match table {
        Table::Histograms | Table::ExponentialHistograms | Table::Summaries => WriterVersion::PARQUET_1_0,
        _ => WriterVersion::PARQUET_2_0,
    }
}

fn column_properties(
    builder: WriterPropertiesBuilder,
    table: Table,
    layout: &Layout,
    column: &ColumnDescriptor,
) -> WriterPropertiesBuilder {
    let attributes = &layout.attributes;
    let path = column.path().clone();
    let name = path.parts().last().map_or("", String::as_str);
    let root = path.parts().first().map_or("", String::as_str);
    let plain = |builder: WriterPropertiesBuilder, path: &ColumnPath, encoding| {
        builder.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path.clone(), encoding)
    };
    let quiet = |builder: WriterPropertiesBuilder, path: &ColumnPath| {
        builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
    };
    let nested = column.max_rep_level() > 0;
    match (column.physical_type(), name) {
        // Ids of traces repeat within a span file; everywhere else ids are as good as random, and bounds say nothing.
        (_, "trace_id") if table == Table::Spans && !nested => quiet(
            builder
                .set_column_dictionary_enabled(path.clone(), true)
                .set_column_dictionary_page_size_limit(path.clone(), TRACE_DICTIONARY_BYTES),
            &path,
        ),
        // Rare operations have one row for a call: their examples are the same few traces, their steps and counts repeat.
        (Type::FIXED_LEN_BYTE_ARRAY, "exemplar_trace_id") => quiet(builder, &path),
        (Type::INT64, "timestamp" | "calls" | "errors" | "records") if is_summed(table) => builder,
        (Type::INT64, _) if is_summed(table) && nested => quiet(builder, &path),
        (Type::INT64, "max_duration_nano") => plain(builder, &path, Encoding::BYTE_STREAM_SPLIT),
        (Type::FIXED_LEN_BYTE_ARRAY, _) => quiet(plain(builder, &path, Encoding::PLAIN), &path),
        (_, "body" | "body_value" | "attributes") => quiet(plain(builder, &path, Encoding::PLAIN), &path),
        (_, "resource_attributes" | "scope_attributes") => {
            quiet(builder.set_column_dictionary_page_size_limit(path.clone(), 2 * MAX_SHARED_BYTES), &path)
        }
        (_, "duration_nano") => plain(builder, &path, Encoding::BYTE_STREAM_SPLIT),
        (Type::INT64, "series_id" | "pattern_id") => builder,
        // Jitter is the same for all series of one sender: its bytes repeat, the differences do not.
        (Type::INT64, "timestamp") if table.has_series() && !layout.has_even_times => {
            plain(builder, &path, Encoding::BYTE_STREAM_SPLIT)
        }
        // Bucket counts are small and irregular: plain, for zstd.
        (Type::INT64, _) if nested && root != "events" => quiet(plain(builder, &path, Encoding::PLAIN), &path),
        (Type::DOUBLE, _) if nested => quiet(builder, &path),
        (Type::INT64, _) if is_attribute(attributes, root).is_some() => {
            builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
        }
        (Type::INT64, _) => plain(builder, &path, Encoding::DELTA_BINARY_PACKED),
        // People measure in few decimals: whole doubles repeat in ways that zstd finds and split bytes hide.
        (Type::DOUBLE, _) if is_attribute(attributes, root).is_some() => plain(builder, &path, Encoding::PLAIN),
        (Type::DOUBLE, _) => plain(builder, &path, Encoding::BYTE_STREAM_SPLIT),
        (Type::BYTE_ARRAY, _) if nested => quiet(builder, &path),
        (Type::BYTE_ARRAY, _) if is_attribute(attributes, root).is_some_and(|column| column.distinct) => {
            plain(builder, &path, Encoding::PLAIN)
        }
        _ => builder,
    }
}

fn is_attribute<'a>(attributes: &'a [AttributeColumn], name: &str) -> Option<&'a AttributeColumn> {
    let (map, key) = crate::schema::layout::attribute_of(name)?;
    attributes.iter().find(|column| column.map == map && column.key == key)
}
