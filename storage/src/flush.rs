//! A sealed memtable becomes segments: sort and write, put durably, publish in one catalog transaction, drop WAL files.
//!
//! A crash before the transaction leaves files that the next start clears and frames that it replays; a crash after it
//! leaves frames that replay skips. Ingest goes on meanwhile, into the next memtable.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, PoisonError},
    time::Duration,
};

use arrow::record_batch::RecordBatch;
use futures::future::join_all;

use crate::{
    catalog::Publication,
    error::{Error, Result},
    model::{Table, Tenant},
    rollup,
    segment::{BuiltSegment, Flush, Segment, SegmentId, SegmentMeta},
    store::{Place, Published, Sealed, Store},
};

/// Tables that are written at once.
fn flush_threads(settings: &config::Storage) -> usize {
    match settings.flush_threads {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2).max(1),
        threads => threads,
    }
}

/// Directory of the segments.
pub(crate) const SEGMENTS: &str = "segments";

impl Store {
    /// Seals everything and flushes it.
    pub(crate) async fn flush_all(&self) -> Result<()> {
        self.seal(|_| true);
        self.flush_sealed().await
    }

    /// Seals what is old enough, and flushes all that is sealed.
    pub(crate) async fn flush_due(&self) -> Result<()> {
        let (now, max_age) = (self.environment.clock.monotonic(), self.config.storage.flush_age);
        self.seal(|memtable| now.saturating_sub(memtable.since()) >= max_age);
        self.flush_sealed().await
    }

    /// Flushes sealed memtables, oldest first, until there are none. A table that fails does not hold up the others.
    async fn flush_sealed(&self) -> Result<()> {
        let mut published = self.flushing.lock().await;
        let (mut failed, mut first_error) = (BTreeSet::new(), None);
        loop {
            let next = self.next_sealed(&failed);
            if next.is_empty() {
                return first_error.map_or(Ok(()), Err);
            }
            let started = self.environment.clock.monotonic();
            let written = join_all(next.iter().map(|(place, sealed)| self.written(place, sealed))).await;
            // One after another, the oldest rows first: each moves the WAL's floor.
            for ((place, sealed), written) in next.into_iter().zip(written) {
                let flushed = match written {
                    Ok(segments) => self.publish(&place, &sealed, segments, started, &mut published).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = flushed {
                    metrics::counter!("rootline_flush_errors_total", "table" => place.1.name()).increment(1);
                    failed.insert(place);
                    first_error.get_or_insert(error);
                }
            }
        }
    }

    async fn publish(
        &self,
        place: &Place,
        sealed: &Arc<Sealed>,
        segments: Vec<SegmentMeta>,
        started: Duration,
        published: &mut Published,
    ) -> Result<()> {
        let publication = self.publication(place, sealed, segments, *published);
        let version = self.environment.catalog.publish(&publication).await?;
        published.keys_through = published.keys_through.max(publication.through_sequence);
        published.wal_floor = published.wal_floor.max(publication.wal_floor);
        self.show(place, &publication, version);
        let (table, rows) = (place.1.name(), sealed.rows.row_count());
        let seconds = (self.environment.clock.monotonic() - started).as_secs_f64();
        metrics::histogram!("rootline_flush_seconds", "table" => table).record(seconds);
        metrics::counter!("rootline_flush_rows_total", "table" => table).increment(rows as u64);
        tracing::debug!(table, rows, segments = publication.segments.len(), "flushed");
        self.drop_wal(published.wal_floor).await;
        Ok(())
    }

    /// The oldest sealed memtables of the tables that did not fail: one a table, as many as are written at once.
    fn next_sealed(&self, failed: &BTreeSet<Place>) -> Vec<(Place, Arc<Sealed>)> {
        let view = self.view();
        let oldest = view.tables.iter().filter_map(|(place, table)| table.sealed.first().map(|sealed| (place, sealed)));
        let mut oldest: Vec<_> = oldest
            .filter(|(place, _)| !failed.contains(place))
            .map(|(place, sealed)| (place.clone(), Arc::clone(sealed)))
            .collect();
        oldest.sort_by_key(|(_, sealed)| sealed.rows.first_sequence());
        oldest.truncate(flush_threads(&self.config.storage));
        oldest
    }

    /// A memtable's segments, written for an earlier try, or now.
    async fn written(&self, place: &Place, sealed: &Arc<Sealed>) -> Result<Vec<SegmentMeta>> {
        let earlier = sealed.publication.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match earlier {
            Some(publication) => Ok(publication.segments),
            None => self.write_segments(place, sealed).await,
        }
    }

    /// What to publish for a memtable; the same at each try, but for the floor.
    fn publication(
        &self,
        place: &Place,
        sealed: &Sealed,
        segments: Vec<SegmentMeta>,
        published: Published,
    ) -> Publication {
        let mut kept = sealed.publication.lock().unwrap_or_else(PoisonError::into_inner);
        let publication = kept.get_or_insert_with(|| Publication {
            tenant: place.0.clone(),
            table: place.1,
            through_sequence: sealed.through_sequence,
            wal_floor: 0,
            segments,
            keys: self.duplicates.stored_between(published.keys_through, sealed.through_sequence),
            keys_from_sequence: self.duplicates.oldest_sequence(),
            state: sealed.state.clone(),
        });
        let publication = publication.clone();
        drop(kept);
        let keys_through = published.keys_through.max(sealed.through_sequence);
        let flushed = self.view().flushed_sequence_after(place);
        let has_unsaved_keys = !self.duplicates.stored_between(keys_through, flushed).is_empty();
        let wal_floor = if has_unsaved_keys { flushed.min(keys_through) } else { flushed };
        Publication { wal_floor, ..publication }
    }

    async fn write_segments(&self, place: &Place, sealed: &Arc<Sealed>) -> Result<Vec<SegmentMeta>> {
        let (builder, settings) = (Arc::clone(&self.environment.builder), self.config.storage.clone());
        let (table, rows, fine_from) = (place.1, Arc::clone(sealed), self.fine_from_unix_nano());
        let flush = Flush {
            made: self.next_made(),
            after_sequence: sealed.after_sequence,
            first_sequence: sealed.rows.first_sequence().unwrap_or(sealed.through_sequence),
            through_sequence: sealed.through_sequence,
        };
        let (row_count, built) = self
            .environment
            .threads
            .blocking(move || {
                let batches = rows.rows.batches().iter().map(|batch| (**batch).clone()).collect();
                let batches = rollup::combined(table, batches, fine_from)?;
                let row_count: usize = batches.iter().map(RecordBatch::num_rows).sum();
                let built =
                    if row_count == 0 { Vec::new() } else { builder.build(table, &batches, &settings, &flush)? };
                Ok((row_count, built))
            })
            .await?;
        let built_rows: u64 = built.iter().map(|segment| segment.written.row_count).sum();
        if built_rows != row_count as u64 {
            return Err(Error::internal(format!("segments of {table} hold {built_rows} of {row_count} rows")));
        }
        self.put_segments(&place.0, built).await
    }

    /// Writes segment files; all of them or none.
    async fn put_segments(&self, tenant: &Tenant, built: Vec<BuiltSegment>) -> Result<Vec<SegmentMeta>> {
        let named: Vec<_> = built
            .into_iter()
            .map(|BuiltSegment { written, bytes }| {
                let (id, path) = self.new_segment(tenant, written.table, written.bucket_start_unix_nano);
                (written.meta(id, tenant.clone(), path), bytes)
            })
            .collect();
        let files = Arc::clone(&self.environment.files);
        self.environment
            .threads
            .blocking(move || {
                let mut written: Vec<SegmentMeta> = Vec::with_capacity(named.len());
                for (meta, bytes) in named {
                    if let Err(error) = files.put_durable(&meta.path, &bytes) {
                        for meta in written {
                            // What stays is cleared at the next start.
                            let _ = files.remove(&meta.path);
                        }
                        return Err(unwritten(&meta.path, error));
                    }
                    written.push(meta);
                }
                Ok(written)
            })
            .await
    }

    /// The id of a segment that will be, and where its file will lie.
    pub(crate) fn new_segment(
        &self,
        tenant: &Tenant,
        table: Table,
        bucket_start_unix_nano: i64,
    ) -> (SegmentId, String) {
        let id = format!("{:016x}{:016x}", self.environment.random.next_u64(), self.environment.random.next_u64());
        let path = segment_path(tenant, table, bucket_start_unix_nano, &id);
        (SegmentId::new(id), path)
    }

    /// Readers see the segments instead of the memtable from now on.
    fn show(&self, place: &Place, publication: &Publication, version: u64) {
        let added: Vec<_> = publication.segments.iter().map(|meta| self.segment(meta)).collect();
        let mut view = self.view_mut();
        let table = view.table(place);
        let sealed = table.sealed.remove(0);
        table.segments = table.segments.iter().cloned().chain(added).collect();
        let count = table.segments.len();
        view.memtable_bytes -= sealed.rows.bytes();
        view.catalog_version = view.catalog_version.max(version);
        metrics::gauge!("rootline_segments", "table" => place.1.name()).set(count as f64);
        metrics::gauge!("rootline_memtable_bytes").set(view.memtable_bytes as f64);
        drop(view);
        self.memory_freed.notify_waiters();
    }

    /// A handle on a published segment.
    pub(crate) fn segment(&self, meta: &SegmentMeta) -> Arc<Segment> {
        Segment::open(meta.clone(), Arc::clone(&self.environment.objects), Arc::clone(&self.cache))
    }

    /// Drops the WAL files that the catalog says are of no use any more.
    pub(crate) async fn drop_wal(&self, wal_floor: u64) {
        let wal = Arc::clone(&self.wal);
        let removed = self.environment.threads.blocking(move || {
            wal.remove_through(wal_floor).map_err(|e| Error::unavailable("WAL file cannot be removed").with_source(e))
        });
        if let Err(error) = removed.await {
            // The rows are in segments; the file is tried again after the next flush.
            tracing::warn!(%error, "a WAL file stays");
        }
    }
}

/// The disk did not take a segment.
pub(crate) fn unwritten(path: &str, error: io::Error) -> Error {
    Error::unavailable(format!("segment {path} cannot be written")).with_source(error)
}

/// Where a segment's file lies: `segments/<tenant>/<table>/<start of the time bucket, Unix seconds>/<id>.parquet`.
fn segment_path(tenant: &Tenant, table: Table, bucket_start_unix_nano: i64, id: &str) -> String {
    format!("{SEGMENTS}/{tenant}/{table}/{}/{id}.parquet", bucket_start_unix_nano.div_euclid(1_000_000_000))
}
