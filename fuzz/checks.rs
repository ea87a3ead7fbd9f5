//! What must hold whatever bytes come from outside. The fuzz targets look for bytes that break it; the corpora of found
//! and interesting bytes are checked by ordinary tests too.

use std::sync::{Arc, LazyLock};

use arrow::record_batch::RecordBatch;
use config::objective::Library;
use query::{
    Query, Source, SqlRequest, TableSnapshot,
    search::{self, Subject},
};
use storage::{
    clock::Clock,
    model::{
        Table,
        attributes::{self, Attributes, Value},
    },
    segment::Segment,
    wal::{
        frame::{self, Payload},
        replay,
    },
};

/// A request body: the lower bits of the first byte choose the signal, its highest bit JSON; the rest is the body.
pub(super) fn otlp(bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else { return };
    let (signal, is_json) = ((choice & 0x7f) % 3, choice & 0x80 != 0);
    // Checks for itself that nothing gets lost between sent, stored and rejected.
    let _ = ingest::testing::decode(signal, is_json, body);
    let Some(batch) = ingest::testing::batch(signal, is_json, body) else { return };
    for rows in &batch.tables {
        assert!(rows.rows.num_rows() > 0, "a table without rows");
        assert_eq!(rows.rows.schema(), storage::schema::wide(rows.table));
    }
    // What was accepted can be written to the log and read again.
    if batch.row_count() > 0 {
        let mut file = Vec::new();
        Payload::encode(&batch).expect("accepted rows can be encoded").write(1, 2, 3, &mut file);
        let (header, body) = frame::read(&file, 3).expect("a frame just written");
        let again = header.decode(body).expect("a frame just written");
        // Debug text, because a NaN differs from itself.
        assert_eq!(format!("{:?}", again.tables), format!("{:?}", batch.tables));
    }
}

/// A WAL file: the first eight bytes are the nonce of the store.
pub(super) fn wal_frame(bytes: &[u8]) {
    let Some((nonce, file)) = bytes.split_first_chunk::<8>() else { return };
    let scan = replay::scan(file, u64::from_le_bytes(*nonce));
    assert!(scan.valid_bytes <= file.len() && scan.damaged_bytes <= file.len());
    for found in &scan.frames {
        let _ = found.header.decode(found.body);
    }
}

/// An attribute map as it lies in memory and in files.
pub(super) fn attributes(bytes: &[u8]) {
    let map = Attributes::new(bytes);
    let json = map.to_json();
    serde_json::from_str::<serde_json::Value>(&json).expect("JSON, also of damaged bytes");
    for (key, _) in map.iter() {
        let _ = map.get(key);
    }
    let once = attributes::encode(map.iter());
    assert_eq!(attributes::encode(Attributes::new(&once).iter()), once, "reading and writing is stable");
    if let Some(value) = Value::read(bytes) {
        let _ = (value.to_text(), value.to_json());
    }
}

/// A statement from outside, planned over an empty store.
pub(super) fn sql(bytes: &[u8]) {
    static ASKED: LazyLock<(tokio::runtime::Runtime, Query)> = LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads can be started");
        let query = {
            let _entered = runtime.enter();
            Query::over(Arc::new(Empty), &config::Config::default()).expect("the defaults are valid")
        };
        (runtime, query)
    });
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (runtime, query) = &*ASKED;
    if let Err(error) = runtime.block_on(query.explain(SqlRequest { text: text.to_owned(), ..SqlRequest::default() })) {
        assert_ne!(error.kind(), query::ErrorKind::Internal, "{error}");
        assert!(error.position().is_none_or(|at| at <= text.len()), "{error}");
    }
}

/// A file of the objectives directory: refused in one line with its place, or in force with sane numbers.
pub(super) fn objective(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut library = Library::default();
    library.update(vec![("fuzz.yaml".to_owned(), Ok(text.to_owned()))], 0);
    for file in library.files() {
        assert!(file.problem.is_none() || file.objectives.is_empty(), "a bad file is refused as a whole");
        if let Some(problem) = file.problem {
            assert!(!problem.to_string().contains('\n'), "{problem}");
        }
    }
    for objective in library.objectives() {
        assert!((0.0..1.0).contains(&objective.target_ratio) && !objective.window.is_zero(), "{objective:?}");
    }
}

/// Text of the search language, and of `match`.
pub(super) fn search(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for subject in [Subject::Logs, Subject::Spans] {
        let _ = search::parse(text, subject);
    }
    if let Ok(parsed) = query::text::parse(text) {
        let _ = (parsed.matches(text), parsed.matches(""));
    }
}

#[derive(Debug)]
struct Empty;

impl Source for Empty {
    fn snapshot(&self) -> Arc<dyn TableSnapshot> {
        Arc::new(Self)
    }

    fn clock(&self) -> Clock {
        Clock::system()
    }
}

impl TableSnapshot for Empty {
    fn memtables(&self, _: Table) -> Vec<RecordBatch> {
        Vec::new()
    }

    fn segments(&self, _: Table) -> Vec<Arc<Segment>> {
        Vec::new()
    }
}
