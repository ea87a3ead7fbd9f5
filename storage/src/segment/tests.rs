//! A segment gives back what was written, finds what a scan finds, and never hands out damaged bytes.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array,
        Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampNanosecondArray, UInt32Array,
        UInt64Array, new_null_array,
    },
    buffer::OffsetBuffer,
    compute::{cast, concat_batches},
    datatypes::{DataType, Field, Int32Type},
    row::{RowConverter, SortField},
};
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use proptest::prelude::*;

use super::*;
use crate::{
    compaction,
    environment::MergeTerms,
    error::ErrorKind,
    model::{
        Table, Tenant, TimeRange,
        attributes::{Value, ValueSink, encode},
    },
    rollup,
    schema::{KIND_ATTRIBUTES, KIND_KEY, KIND_VALUE, SERIES_COLUMNS, wide},
};

/// A small generator of its own: the same seed gives the same rows for ever.
#[derive(Clone)]
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len() as u64) as usize]
    }

    fn double(&mut self) -> f64 {
        match self.below(8) {
            0 => f64::from_bits(0x7ff8_0000_0000_0000 | self.below(1000)),
            1 => -0.0,
            2 => f64::NEG_INFINITY,
            3 => self.below(10) as f64,
            _ => f64::from_bits(self.next()),
        }
    }
}

const WORDS: [&str; 14] = [
    "Timeout",
    "order",
    "支付失败",
    "GET",
    "user_42",
    "7f3a9c",
    "ÉCOLE",
    "σίσυφος",
    "/api/v1",
    "",
    "\"q\"",
    "retry",
    "x",
    "서버",
];

fn text(rng: &mut Rng) -> String {
    let count = rng.below(6);
    (0..count).map(|_| rng.pick(&WORDS)).collect::<Vec<_>>().join(" ")
}

fn value(rng: &mut Rng, depth: u32, out: &mut Vec<u8>) {
    match rng.below(if depth > 2 { 7 } else { 9 }) {
        0 => out.null(),
        1 | 2 => out.string(&text(rng)),
        3 => out.bool(rng.below(2) == 0),
        4 => out.int(rng.next().cast_signed()),
        5 => out.double(rng.double()),
        6 => out.bytes(&rng.next().to_le_bytes()),
        7 => {
            let items: Vec<Vec<u8>> = (0..rng.below(3))
                .map(|_| {
                    let mut item = Vec::new();
                    value(rng, depth + 1, &mut item);
                    item
                })
                .collect();
            out.array(items.len(), |sink| items.iter().for_each(|item| sink.extend_from_slice(item)));
        }
        _ => {
            let nested = map(rng, depth + 1);
            Value::Map(crate::model::attributes::Attributes::new(&nested)).write(out);
        }
    }
}

/// Some keys always have one type, some do not, some are rare.
fn map(rng: &mut Rng, depth: u32) -> Vec<u8> {
    let mut entries: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut add = |key, fill: &mut dyn FnMut(&mut Vec<u8>)| {
        let mut encoded = Vec::new();
        fill(&mut encoded);
        entries.push((key, encoded));
    };
    if rng.below(2) == 0 {
        let (text, number, double, truth) = (text(rng), rng.next().cast_signed(), rng.double(), rng.below(2) == 0);
        add("http.route", &mut |out| out.string(&text));
        add("http.status", &mut |out| out.int(number));
        add("ratio", &mut |out| out.double(double));
        add("Ratio", &mut |out| out.bool(truth));
    }
    for key in ["", "mixed", "z.last", "a.first"] {
        if rng.below(3) == 0 {
            add(key, &mut |out| value(rng, depth, out));
        }
    }
    encode(entries.iter().filter_map(|(key, bytes)| Some((*key, Value::read(bytes)?))))
}

const HOUR: i64 = 3_600_000_000_000;

fn array(field: &Field, rngs: &mut [Rng]) -> ArrayRef {
    let kind = field.metadata().get(KIND_KEY).map(String::as_str);
    let nullable = field.is_nullable();
    macro_rules! values {
        ($array:ty, $value:expr) => {{
            let make = $value;
            rngs.iter_mut().map(|rng| (!nullable || rng.below(4) > 0).then(|| make(rng))).collect::<$array>()
        }};
    }
    match field.data_type() {
        DataType::Timestamp(..) => Arc::new(
            values!(TimestampNanosecondArray, |rng: &mut Rng| 1_699_920_000_000_000_000
                + rng.below(30 * HOUR as u64) as i64)
            .with_timezone("UTC"),
        ),
        DataType::Int32 => Arc::new(values!(Int32Array, |rng: &mut Rng| rng.next() as i32)),
        DataType::UInt32 => Arc::new(values!(UInt32Array, |rng: &mut Rng| rng.below(3) as u32)),
        DataType::Int64 => Arc::new(values!(Int64Array, |rng: &mut Rng| rng.next() as i64)),
        DataType::UInt64 => Arc::new(values!(UInt64Array, |rng: &mut Rng| rng.next() >> rng.below(64))),
        DataType::Float64 => Arc::new(values!(Float64Array, Rng::double)),
        DataType::Boolean => Arc::new(values!(BooleanArray, |rng: &mut Rng| rng.below(2) == 0)),
        DataType::Utf8 => Arc::new(values!(StringArray, text)),
        DataType::Binary if kind == Some(KIND_ATTRIBUTES) => {
            Arc::new(values!(BinaryArrayOf, |rng: &mut Rng| map(rng, 0)).0)
        }
        DataType::Binary => {
            assert_eq!(kind, Some(KIND_VALUE));
            let make = |rng: &mut Rng| {
                let mut out = Vec::new();
                value(rng, 0, &mut out);
                out
            };
            Arc::new(values!(BinaryArrayOf, make).0)
        }
        DataType::FixedSizeBinary(size) => {
            let ids = rngs
                .iter_mut()
                .map(|rng| (!nullable || rng.below(4) > 0).then(|| vec![rng.below(5) as u8; *size as usize]));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, *size).unwrap())
        }
        DataType::Dictionary(_, values) => {
            let plain = array(&field.clone().with_data_type((**values).clone()), rngs);
            cast(&plain, field.data_type()).unwrap()
        }
        DataType::List(item) => {
            let lengths: Vec<usize> = rngs.iter_mut().map(|rng| rng.below(4) as usize).collect();
            let mut items: Vec<Rng> = rngs
                .iter_mut()
                .zip(&lengths)
                .flat_map(|(rng, n)| (0..*n).map(|_| Rng(rng.next())).collect::<Vec<_>>())
                .collect();
            let items = array(item, &mut items);
            Arc::new(ListArray::new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), items, None))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|field| array(field, rngs)).collect();
            Arc::new(StructArray::new(fields.clone(), columns, None))
        }
        other => panic!("no generator for {other}"),
    }
}

struct BinaryArrayOf(BinaryArray);

impl FromIterator<Option<Vec<u8>>> for BinaryArrayOf {
    fn from_iter<I: IntoIterator<Item = Option<Vec<u8>>>>(items: I) -> Self {
        Self(BinaryArray::from_iter(items))
    }
}

/// Rows as `ingest` could have made them.
fn rows(table: Table, count: usize, seed: u64) -> RecordBatch {
    let mut rng = Rng(seed);
    let schema = wide(table);
    let mut rngs: Vec<Rng> = (0..count).map(|_| Rng(rng.next())).collect();
    let series: Vec<u64> = (0..count).map(|_| rng.below(5)).collect();
    let ints: Vec<Option<i64>> =
        (0..count).map(|_| (rng.below(3) == 0).then(|| rng.next().cast_signed() >> rng.below(60))).collect();
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "pattern_id" if table == Table::Logs => new_null_array(field.data_type(), count),
            "series_id" if table.has_series() => {
                Arc::new(series.iter().map(|s| Some(s.wrapping_mul(u64::MAX / 3))).collect::<UInt64Array>()) as ArrayRef
            }
            // What belongs to a series is the same in all its rows.
            name if table.has_series() && SERIES_COLUMNS.contains(&name) => {
                let seed = |s: &u64| Rng(s * 1_000 + name.len() as u64 + name.as_bytes()[0] as u64);
                let mut rngs: Vec<Rng> = series.iter().map(seed).collect();
                array(field, &mut rngs)
            }
            // As ingest has it: an integer stands in both columns.
            "value" if table == Table::Metrics => {
                let doubles = rngs.iter_mut().map(|rng| (rng.below(4) > 0).then(|| rng.double()));
                let value = |(int, double): (&Option<i64>, Option<f64>)| int.map(|int| int as f64).or(double);
                Arc::new(ints.iter().zip(doubles).map(value).collect::<Float64Array>())
            }
            "value_int" if table == Table::Metrics => Arc::new(Int64Array::from(ints.clone())),
            // They are added up.
            "calls" | "errors" | "records" => {
                Arc::new(UInt64Array::from_iter_values(rngs.iter_mut().map(|rng| rng.below(1_000))))
            }
            _ => array(field, &mut rngs),
        })
        .collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

fn settings() -> config::Storage {
    let mut settings = config::Config::default().storage;
    settings.row_group_rows = 500;
    settings.page_rows = 50;
    settings
}

fn terms() -> MergeTerms<'static> {
    static SETTINGS: std::sync::LazyLock<config::Storage> = std::sync::LazyLock::new(settings);
    MergeTerms { settings: &SETTINGS, memory_bytes: 1 << 20, fine_from_unix_nano: i64::MIN, made: None, expired: None }
}

async fn publish(objects: &Arc<InMemory>, built: &BuiltSegment, name: &str) -> Arc<Segment> {
    objects.put(&Path::from(name), built.bytes.clone().into()).await.unwrap();
    let meta = built.written.meta(SegmentId::new(name), Tenant::default(), name);
    let store: Arc<dyn ObjectStore> = Arc::clone(objects) as _;
    Segment::open(meta, store, SegmentCache::new(1 << 24))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Each row as comparable bytes, bit for bit, without the pattern id that building adds.
fn comparable(batches: &[RecordBatch]) -> Vec<Vec<u8>> {
    let Some(first) = batches.first() else { return Vec::new() };
    let batch = concat_batches(first.schema_ref(), batches).unwrap();
    let keep: Vec<usize> =
        (0..batch.num_columns()).filter(|i| batch.schema_ref().field(*i).name() != "pattern_id").collect();
    let batch = batch.project(&keep).unwrap();
    // Doubles as their bits: a row format orders them, but may treat kinds of NaN alike.
    let fields = batch.schema_ref().fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
    let converter = RowConverter::new(fields).unwrap();
    let rows = converter.convert_columns(batch.columns()).unwrap();
    rows.iter().map(|row| row.as_ref().to_vec()).collect()
}

fn sorted(mut rows: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    rows.sort();
    rows
}

fn check_round_trip(table: Table, counts: &[usize], seed: u64) {
    let batches: Vec<RecordBatch> =
        counts.iter().enumerate().map(|(i, n)| rows(table, *n, seed ^ (i as u64) << 40)).collect();
    let built = build(table, &batches, &settings()).unwrap();
    assert_eq!(built.iter().map(|b| b.written.row_count).sum::<u64>(), counts.iter().sum::<usize>() as u64);
    run(async {
        let objects = Arc::new(InMemory::new());
        let mut read = Vec::new();
        for (i, built) in built.iter().enumerate() {
            let segment = publish(&objects, built, &format!("{table}-{i}")).await;
            segment.verify().await.unwrap();
            for batch in segment.read_wide().await.unwrap() {
                assert_eq!(batch.schema(), wide(table));
                read.push(batch);
            }
        }
        assert_eq!(sorted(comparable(&read)), sorted(comparable(&batches)), "{table}");
    });
}

#[test]
fn every_table_reads_back_what_was_written() {
    for table in Table::ALL {
        check_round_trip(table, &[1], 1);
        check_round_trip(table, &[700, 1, 1300], 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn rows_read_back_bit_for_bit(
        table in prop::sample::select(Table::ALL.to_vec()),
        counts in prop::collection::vec(1..40usize, 1..4),
        seed: u64,
    ) {
        check_round_trip(table, &counts, seed);
    }
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    for table in Table::ALL {
        let batches = [rows(table, 300, 3), rows(table, 200, 4)];
        let (once, again) =
            (build(table, &batches, &settings()).unwrap(), build(table, &batches, &settings()).unwrap());
        assert_eq!(once.len(), again.len());
        assert!(once.iter().zip(&again).all(|(a, b)| a.bytes == b.bytes), "{table}");
    }
}

#[test]
fn segments_hold_one_bucket_and_are_sorted() {
    let batches = [rows(Table::Spans, 2000, 5)];
    let built = build(Table::Spans, &batches, &settings()).unwrap();
    assert_eq!(built.len(), 2, "30 hours touch two days");
    let day = 24 * HOUR;
    for segment in &built {
        let written = &segment.written;
        assert_eq!(written.bucket_start_unix_nano % day, 0);
        assert!(written.time_range.start_unix_nano() >= written.bucket_start_unix_nano);
        assert!(written.time_range.end_unix_nano() <= written.bucket_start_unix_nano + day);
    }
}

#[test]
fn frequent_keys_have_columns_and_mixed_ones_do_not() {
    run(async {
        let objects = Arc::new(InMemory::new());
        let built = build(Table::Logs, &[rows(Table::Logs, 500, 6)], &settings()).unwrap();
        let segment = publish(&objects, &built[0], "s").await;
        let schema = segment.schema().await.unwrap();
        let of = |name: &str| schema.field_with_name(name).ok().map(|field| field.data_type().clone());
        assert_eq!(of("attributes.http.route"), Some(DataType::Utf8));
        assert_eq!(of("attributes.http.status"), Some(DataType::Int64));
        assert_eq!(of("attributes.ratio"), Some(DataType::Float64));
        assert_eq!(of("attributes.Ratio"), Some(DataType::Boolean));
        assert_eq!(of("attributes.mixed"), None);
        assert_eq!(of("resource_attributes.Ratio"), None, "few resources are a dictionary");
    });
}

/// Rows of as many resources, 8 KiB each.
fn rows_of_many_resources(seed: u64) -> RecordBatch {
    let rows = rows(Table::Logs, 700, seed);
    let maps: Vec<Vec<u8>> = (0..700)
        .map(|i| {
            let (pod, note) = (format!("pod-{seed}-{i}"), "x".repeat(8192));
            encode([("odd", Value::Bytes(&[1, 2])), ("pod", Value::String(&pod)), ("note", Value::String(&note))])
        })
        .collect();
    let keys = Int32Array::from_iter_values(0..700);
    let maps = DictionaryArray::<Int32Type>::new(keys, Arc::new(BinaryArray::from_iter_values(&maps)));
    let mut columns = rows.columns().to_vec();
    columns[rows.schema_ref().index_of("resource_attributes").unwrap()] = Arc::new(maps);
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

#[test]
fn resources_have_columns_where_they_are_many() {
    run(async {
        let objects = Arc::new(InMemory::new());
        let mut inputs = Vec::new();
        let mut expected = Vec::new();
        for seed in [6, 7] {
            let rows = rows_of_many_resources(seed);
            for (i, built) in build(Table::Logs, std::slice::from_ref(&rows), &settings()).unwrap().iter().enumerate() {
                inputs.push(publish(&objects, built, &format!("{seed}-{i}")).await);
            }
            expected.push(rows);
        }
        let mut read = Vec::new();
        inputs.sort_by_key(|input| input.meta().bucket_start_unix_nano);
        for inputs in inputs.chunk_by(|a, b| a.meta().bucket_start_unix_nano == b.meta().bucket_start_unix_nano) {
            let schema = inputs[0].schema().await.unwrap();
            assert_eq!(schema.field_with_name("resource_attributes.pod").unwrap().data_type(), &DataType::Utf8);
            assert!(schema.field_with_name("resource_attributes.odd").is_err());
            let merged = publish(&objects, &merge(inputs, &terms()).await.unwrap(), "merged").await;
            assert!(merged.schema().await.unwrap().field_with_name("resource_attributes.note").is_ok());
            read.extend(merged.read_wide().await.unwrap());
        }
        assert_eq!(sorted(comparable(&read)), sorted(comparable(&expected)));
    });
}

#[test]
fn series_are_found_by_their_id() {
    run(async {
        let objects = Arc::new(InMemory::new());
        for built in build(Table::Metrics, &[rows(Table::Metrics, 900, 7)], &settings()).unwrap() {
            let segment = publish(&objects, &built, "s").await;
            let series = segment.series().await.unwrap().unwrap();
            assert_eq!(series.rows().schema(), SeriesTable::schema(Table::Metrics));
            assert_eq!(series.rows().num_rows(), 5);
            let row = series.lookup(u64::MAX / 3).unwrap();
            assert_eq!(series.lookup(12345), None);
            let counts = series.rows().column_by_name("row_count").unwrap();
            let counts = counts.as_any().downcast_ref::<UInt64Array>().unwrap();
            assert!(counts.value(row) > 0);
            assert_eq!(counts.iter().flatten().sum::<u64>(), built.written.row_count);
        }
    });
}

#[test]
fn traces_that_are_there_are_never_missed() {
    run(async {
        let objects = Arc::new(InMemory::new());
        for table in [Table::Logs, Table::Spans, Table::Exemplars] {
            let built = build(table, &[rows(table, 400, 8)], &settings()).unwrap();
            let segment = publish(&objects, &built[0], table.name()).await;
            assert!(segment.meta().trace_filter.is_some(), "{table}: a lookup would read its footer");
            for id in 0..5u8 {
                assert!(segment.may_contain_trace(&[id; 16]).await.unwrap(), "{table} {id}");
            }
            let missed = (10..210u8).filter(|id| !run_now(segment.may_contain_trace(&[*id; 16]))).count();
            assert!(missed > 150, "{table}: {missed} of 200");
        }
    });
}

fn run_now<T>(future: impl Future<Output = Result<T, crate::error::Error>>) -> T {
    futures::executor::block_on(future).unwrap()
}

#[test]
fn damage_anywhere_is_found_before_bytes_are_handed_out() {
    run(async {
        let built = build(Table::Logs, &[rows(Table::Logs, 400, 9)], &settings()).unwrap().remove(0);
        let whole = publish(&Arc::new(InMemory::new()), &built, "s").await;
        let expected = comparable(&whole.read_wide().await.unwrap());
        let mut rng = Rng(10);
        for round in 0..150 {
            let mut bytes = built.bytes.to_vec();
            let at = rng.below(bytes.len() as u64) as usize;
            match round % 3 {
                0 => bytes[at] ^= 1 << rng.below(8),
                1 => bytes.truncate(at),
                _ => {
                    let end = (at + 1 + rng.below(5000) as usize).min(bytes.len());
                    bytes[at..end].fill(0);
                }
            }
            if bytes == built.bytes {
                continue;
            }
            let objects = Arc::new(InMemory::new());
            let damaged = BuiltSegment { bytes: Bytes::from(bytes), ..built.clone() };
            let segment = publish(&objects, &damaged, "s").await;
            let meta = SegmentMeta { file_bytes: built.bytes.len() as u64, ..segment.meta().clone() };
            let segment = Segment::open(meta, objects, SegmentCache::new(0));
            let error = segment.verify().await.expect_err("damage was not found");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains("s is damaged at byte "), "{error}");
            // Reading may avoid the damaged block, but never gives other rows.
            match segment.read_wide().await {
                Ok(read) => assert_eq!(comparable(&read), expected),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
            }
        }
    });
}

async fn published(objects: &Arc<InMemory>, table: Table, seeds: &[u64], rows_each: usize) -> Vec<Arc<Segment>> {
    let mut segments = Vec::new();
    for seed in seeds {
        for (i, built) in build(table, &[rows(table, rows_each, *seed)], &settings()).unwrap().iter().enumerate() {
            segments.push(publish(objects, built, &format!("{table}-{seed}-{i}")).await);
        }
    }
    segments
}

async fn merge(inputs: &[Arc<Segment>], terms: &MergeTerms<'_>) -> crate::Result<BuiltSegment> {
    let mut bytes = Vec::new();
    let written = compaction::merge::merge(inputs, terms, &mut bytes).await?;
    assert_eq!(written.file_bytes, bytes.len() as u64);
    Ok(BuiltSegment { written, bytes: bytes.into() })
}

#[test]
fn a_merge_that_the_disk_does_not_take_may_be_tried_again() {
    run(async {
        let objects = Arc::new(InMemory::new());
        let mut inputs = published(&objects, Table::Logs, &[20, 21], 700).await;
        let bucket = inputs[0].meta().bucket_start_unix_nano;
        inputs.retain(|input| input.meta().bucket_start_unix_nano == bucket);
        let whole = merge(&inputs, &terms()).await.unwrap().bytes.len();
        for room in [0, whole / 2, whole - 1] {
            let mut room = vec![0; room];
            let error = compaction::merge::merge(&inputs, &terms(), &mut &mut room[..]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
    });
}

#[test]
fn a_merge_has_the_rows_of_its_inputs_as_if_built_at_once() {
    run(async {
        for table in Table::ALL {
            let objects = Arc::new(InMemory::new());
            let mut inputs = published(&objects, table, &[20, 21, 22], 700).await;
            inputs.sort_by_key(|input| input.meta().bucket_start_unix_nano);
            for inputs in inputs.chunk_by(|a, b| a.meta().bucket_start_unix_nano == b.meta().bucket_start_unix_nano) {
                let mut expected = Vec::new();
                for input in inputs {
                    expected.extend(input.read_wide().await.unwrap());
                }
                let expected = rollup::combined(table, expected, i64::MIN).unwrap();
                let merged = merge(inputs, &terms()).await.unwrap();
                let at_once = build(table, &expected, &settings()).unwrap();
                assert_eq!(at_once.len(), 1);
                let segment = publish(&objects, &merged, "merged").await;
                segment.verify().await.unwrap();
                let read = segment.read_wide().await.unwrap();
                assert_eq!(sorted(comparable(&read)), sorted(comparable(&expected)), "{table}");
                let other = publish(&objects, &at_once[0], "at-once").await;
                assert_eq!(comparable(&read), comparable(&other.read_wide().await.unwrap()), "{table}");
                let (fields, at_once_fields) = (segment.schema().await.unwrap(), other.schema().await.unwrap());
                assert_eq!(fields.fields(), at_once_fields.fields(), "{table}");
                assert_eq!(merged.written.time_range, at_once[0].written.time_range);
                if let (Some(a), Some(b)) = (segment.series().await.unwrap(), other.series().await.unwrap()) {
                    assert_eq!(comparable(&[a.rows().clone()]), comparable(&[b.rows().clone()]), "{table}");
                }
            }
        }
    });
}

#[test]
fn a_merge_of_old_counts_has_fewer_rows_that_count_the_same() {
    run(async {
        for table in [Table::SpanMetrics, Table::ServiceEdges] {
            let objects = Arc::new(InMemory::new());
            let step = |seconds: i64| {
                let rows = rows(table, 50, 7);
                let mut columns = rows.columns().to_vec();
                let times = TimestampNanosecondArray::from(vec![seconds * 1_000_000_000; 50]).with_timezone("UTC");
                columns[rows.schema_ref().index_of("timestamp").unwrap()] = Arc::new(times);
                RecordBatch::try_new(rows.schema(), columns).unwrap()
            };
            let mut inputs = Vec::new();
            for seconds in [0, 10, 50, 60] {
                let built = build(table, &[step(seconds)], &settings()).unwrap();
                inputs.push(publish(&objects, &built[0], &format!("{seconds}")).await);
            }
            let merged = merge(&inputs, &MergeTerms { fine_from_unix_nano: 60_000_000_000, ..terms() }).await.unwrap();
            let read = publish(&objects, &merged, "merged").await.read_wide().await.unwrap();
            let counted = |rows: &RecordBatch| rollup::counted(table, rows).unwrap();
            assert_eq!(read.iter().map(counted).sum::<u64>(), 4 * counted(&step(0)), "{table}");
            let once = rollup::combined(table, vec![step(0)], i64::MIN).unwrap()[0].num_rows() as u64;
            assert_eq!(merged.written.row_count, 2 * once, "{table}: a minute, and the step after it");
            assert_eq!(merged.written.time_range, TimeRange::spanning(0, 60_000_000_000), "{table}");
        }
    });
}

#[test]
fn segments_of_different_buckets_are_not_merged() {
    run(async {
        let objects = Arc::new(InMemory::new());
        let inputs = published(&objects, Table::Logs, &[30], 500).await;
        assert_eq!(merge(&inputs, &terms()).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(merge(&[], &terms()).await.unwrap_err().kind(), ErrorKind::Invalid);
    });
}

/// Searches that a person could type over texts that the generator could make.
fn query(rng: &mut Rng, depth: u32) -> TextQuery {
    match rng.below(if depth > 2 { 4 } else { 7 }) {
        0 => TextQuery::text(rng.pick(&WORDS)),
        1 => TextQuery::text(&text(rng)),
        2 => TextQuery::text(rng.pick(&[
            "TIMEOUT",
            "user_42",
            "失败",
            "absent",
            "7F3A9C",
            "école",
            "ΣΊΣΥΦΟΣ",
            "api v1",
            LONG,
        ])),
        3 => TextQuery::prefix(rng.pick(&["time", "user", "支", "7f", "É", "x y", "api"])),
        4 => TextQuery::And((0..rng.below(3)).map(|_| query(rng, depth + 1)).collect()),
        5 => TextQuery::Or((0..rng.below(3)).map(|_| query(rng, depth + 1)).collect()),
        _ => TextQuery::Not(Box::new(query(rng, depth + 1))),
    }
}

const LONG: &str = "averylongtokenwithoutanydigitthatnobodywouldevertypebyhandbutcopies";

#[test]
fn the_index_finds_what_a_scan_finds() {
    let mut rng = Rng(40);
    let texts: Vec<Option<String>> = (0..2500)
        .map(|i| match rng.below(20) {
            0 => None,
            1 => Some(format!("{} {LONG}", text(&mut rng))),
            2 => Some(format!("request id{i} took {}ms", rng.below(100_000))),
            3 => Some("é".repeat(60)),
            _ => Some(text(&mut rng)),
        })
        .collect();
    let mut writer = text::TextIndexWriter::new().unwrap();
    texts.iter().for_each(|text| writer.add(text.as_deref()).unwrap());
    let blobs = writer.finish().unwrap();
    let index = TextIndex::open(&blobs.words, Some(&blobs.documents), blobs.filters.into(), texts.len()).unwrap();
    let (mut exact, mut narrowed) = (0, 0);
    let mut queries: Vec<TextQuery> = (0..250).map(|_| query(&mut rng, 0)).collect();
    queries.extend((0..20).map(|i| TextQuery::text(&format!("ID{}", i * 97))));
    for query in queries {
        let mut matcher = query.matcher();
        let scan: Vec<usize> =
            (0..texts.len()).filter(|i| texts[*i].as_deref().is_some_and(|t| matcher.matches(t))).collect();
        let candidates = index.candidates(&query);
        assert!(candidates.rows.windows(2).all(|pair| pair[0].end < pair[1].start), "{query:?}");
        let mut found: Vec<usize> = candidates.rows.into_iter().flatten().collect();
        narrowed += usize::from(found.len() < texts.len());
        if candidates.exact {
            exact += 1;
        } else {
            found.retain(|i| texts[*i].as_deref().is_some_and(|t| matcher.matches(t)));
        }
        assert_eq!(found, scan, "{query:?}");
    }
    assert!(exact > 40 && narrowed > 80, "{exact} exact, {narrowed} narrowed");
}
