//! What runs by itself: flushes by age and size, the look at the disk, merges, retention, deletion; and the end of it all.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, MutexGuard, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

use crate::{
    catalog::Publication,
    compaction::{self, merge, plan::Merge},
    environment::{MergeTerms, Threads},
    error::{Error, ErrorKind, Result},
    flush::unwritten,
    model::{Table, Tenant},
    retention::{self, Due, ExpiredRows, Passed, Retired},
    rollup,
    segment::{Segment, SegmentId, SegmentMeta},
    store::{Place, Store, wall_offset_nano},
};

/// How often age, disk and deletable files are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Flushes until the store is gone.
pub(crate) async fn flush_loop(store: Weak<Store>) {
    let Some(clock) = store.upgrade().map(|store| store.environment.clock.clone()) else { return };
    loop {
        let Some(store) = store.upgrade().filter(|store| !store.is_closed()) else { return };
        store.look_at_disk().await;
        if let Err(error) = store.flush_due().await {
            report("flush", &error);
            // What failed will fail again at once: leave it a moment.
            clock.sleep(TICK).await;
        }
        store.delete_retired().await;
        // Waiting must not keep the store alive.
        let wanted = Arc::clone(&store.flush_wanted);
        drop(store);
        tokio::select! {
            biased;
            () = wanted.notified() => {}
            () = clock.sleep(TICK) => {}
        }
    }
}

/// Merges and expires segments until the store is gone.
pub(crate) async fn exchange_loop(store: Weak<Store>) {
    let Some((clock, settings, retention)) = store.upgrade().map(|store| {
        (store.environment.clock.clone(), store.config.compaction.clone(), store.config.retention.clone())
    }) else {
        return;
    };
    let mut next_retention = Duration::ZERO;
    loop {
        clock.sleep(settings.interval.min(retention.interval)).await;
        let Some(store) = store.upgrade().filter(|store| !store.is_closed()) else { return };
        if clock.monotonic() >= next_retention {
            next_retention = clock.monotonic() + retention.interval;
            if let Err(error) = store.expire().await {
                report("retention", &error);
            }
        }
        if settings.enabled
            && let Err(error) = store.compact().await
        {
            report("compaction", &error);
        }
    }
}

fn report(operation: &'static str, error: &Error) {
    metrics::counter!("rootline_storage_errors_total", "operation" => operation).increment(1);
    tracing::error!(%error, operation, "storage: will be tried again");
}

impl Store {
    /// Notes how much disk is left, and whether that is too little to take more.
    pub(crate) async fn look_at_disk(&self) {
        let files = Arc::clone(&self.environment.files);
        let free = self.environment.threads.blocking(move || Ok(files.free_bytes())).await;
        let Ok(Ok(free)) = free else { return };
        self.disk_free_bytes.store(free, Ordering::Relaxed);
        let is_full = free < self.config.storage.min_free_disk.as_u64();
        if self.is_disk_full.swap(is_full, Ordering::Relaxed) != is_full {
            tracing::warn!(free_bytes = free, is_full, "the disk is nearly full, or is not any more");
        }
    }

    /// Merges until the plan is empty. One that fails, over a damaged file perhaps, holds up no other; the first error of
    /// all is returned.
    pub(crate) async fn compact(&self) -> Result<()> {
        let _one = self.exchanging.lock().await;
        let mut outcome = Ok(());
        for (place, merge) in self.planned_merges() {
            if self.is_closed() {
                break;
            }
            outcome = outcome.and(self.merge(&place, &merge).await);
        }
        outcome
    }

    fn planned_merges(&self) -> Vec<(Place, Merge)> {
        let live: Vec<(Place, Vec<SegmentMeta>)> = {
            let view = self.view();
            let metas = |segments: &[Arc<Segment>]| segments.iter().map(|segment| segment.meta().clone()).collect();
            view.tables.iter().map(|(place, table)| (place.clone(), metas(&table.segments))).collect()
        };
        let plan = |(place, metas): (Place, Vec<SegmentMeta>)| {
            let merges = compaction::plan::merges(&metas, &self.config.compaction);
            merges.into_iter().map(move |merge| (place.clone(), merge))
        };
        let mut planned: Vec<(usize, (Place, Merge))> =
            live.into_iter().flat_map(|place| plan(place).enumerate()).collect();
        // Tables take turns: one that always has much to merge does not keep the others waiting.
        planned.sort_by_key(|(turn, _)| *turn);
        planned.into_iter().map(|(_, merge)| merge).collect()
    }

    async fn merge(&self, place: &Place, merge: &Merge) -> Result<()> {
        let inputs: Vec<_> = {
            let view = self.view();
            let Some(table) = view.tables.get(place) else { return Ok(()) };
            let is_input = |segment: &&Arc<Segment>| merge.inputs.contains(&segment.meta().id);
            table.segments.iter().filter(is_input).cloned().collect()
        };
        if inputs.len() != merge.inputs.len() {
            // Retention was faster; the next plan knows.
            return Ok(());
        }
        let started = self.environment.clock.monotonic();
        let rows: u64 = inputs.iter().map(|segment| segment.meta().row_count).sum();
        let bytes: u64 = inputs.iter().map(|segment| segment.meta().file_bytes).sum();
        let merged = self.write_merged(place, inputs, rows, None).await?;
        self.exchange(place, &merge.inputs, vec![merged]).await?;
        let taken = self.environment.clock.monotonic() - started;
        metrics::histogram!("rootline_compaction_seconds", "table" => place.1.name()).record(taken.as_secs_f64());
        metrics::counter!("rootline_compaction_rows_total", "table" => place.1.name()).increment(rows);
        metrics::counter!("rootline_compaction_bytes_total", "table" => place.1.name()).increment(bytes);
        self.keep_to_rate(bytes, started).await;
        Ok(())
    }

    /// Writes the one segment that has the `rows` rows of all `inputs`, those aside that have expired.
    async fn write_merged(
        &self,
        place: &Place,
        inputs: Vec<Arc<Segment>>,
        rows: u64,
        expired: Option<ExpiredRows>,
    ) -> Result<SegmentMeta> {
        let (tenant, table) = place.clone();
        let bucket = inputs.first().map_or(0, |input| input.meta().bucket_start_unix_nano);
        let (id, path) = self.new_segment(&tenant, table, bucket);
        let (builder, config) = (Arc::clone(&self.environment.builder), self.config.clone());
        let files = Arc::clone(&self.environment.files);
        let (fine_from_unix_nano, made) = (self.fine_from_unix_nano(), Some(self.next_made()));
        let write = async move {
            let memory_bytes = config.compaction.memory.as_usize();
            let expired = expired.as_ref();
            let terms = MergeTerms { settings: &config.storage, memory_bytes, fine_from_unix_nano, made, expired };
            let mut file = files.begin(&path).map_err(|error| unwritten(&path, error))?;
            let written = builder.merge(&inputs, &terms, &mut file).await?;
            // Counts of one key become one row; the builder sees that none is lost.
            let is_right = written.row_count == rows || (rollup::is_summed(table) && written.row_count < rows);
            if !is_right {
                return Err(Error::internal(format!("a merge of {rows} rows of {table} made {}", written.row_count)));
            }
            file.publish().map_err(|error| unwritten(&path, error))?;
            Ok(written.meta(id, tenant, path))
        };
        self.environment.threads.aside(write).await
    }

    /// Derived rows whose step ends before this are kept in longer steps.
    pub(crate) fn fine_from_unix_nano(&self) -> i64 {
        let age = i64::try_from(self.config.rollup.fine_age.as_nanos()).unwrap_or(i64::MAX);
        self.environment.clock.now_unix_nano().saturating_sub(age)
    }

    /// Drops segments and rows that have outlived their age. What fails holds up nothing else; the first error is returned.
    pub(crate) async fn expire(&self) -> Result<()> {
        let _one = self.exchanging.lock().await;
        if !retention::is_clock_trusted(self.wall_offset_nano, wall_offset_nano(&self.environment)) {
            tracing::warn!("the wall clock was set while running: nothing expires until the next start");
            return Ok(());
        }
        let now = self.environment.clock.now_unix_nano();
        let live: Vec<(Place, Vec<Arc<Segment>>)> =
            self.view().tables.iter().map(|(place, table)| (place.clone(), table.segments.to_vec())).collect();
        self.forget_looked_at(&live);
        let mut outcome = Ok(());
        for (place, segments) in live {
            let mut expired = Vec::new();
            for segment in segments {
                match retention::due(segment.meta(), &self.config.retention, now) {
                    Due::Nothing => {}
                    Due::Whole => expired.push(segment.meta().id.clone()),
                    Due::Rows(rows) => outcome = outcome.and(self.expire_rows(&place, segment, rows).await),
                }
            }
            if !expired.is_empty() {
                metrics::counter!("rootline_expired_segments_total", "table" => place.1.name())
                    .increment(expired.len() as u64);
                outcome = outcome.and(self.exchange(&place, &expired, Vec::new()).await);
            }
        }
        outcome
    }

    /// Rewrites a segment without the rows that retention rules say are too old, once for each age that it passes.
    async fn expire_rows(&self, place: &Place, segment: Arc<Segment>, expired: ExpiredRows) -> Result<()> {
        let id = segment.meta().id.clone();
        if self.is_closed() || self.looked_at().get(&id) == Some(&expired.passed()) {
            return Ok(());
        }
        let started = self.environment.clock.monotonic();
        let (rows, bytes, passed) = (segment.meta().row_count, segment.meta().file_bytes, expired.passed());
        let (counted, by) = (Arc::clone(&segment), expired.clone());
        let kept = self.environment.threads.aside(async move { merge::count_kept(&counted, &by).await }).await?;
        let added = match kept {
            0 => Vec::new(),
            kept if kept == rows => {
                self.looked_at().insert(id, passed);
                return Ok(());
            }
            kept => vec![self.write_merged(place, vec![segment], kept, Some(expired)).await?],
        };
        let ids: Vec<_> = added.iter().map(|meta| meta.id.clone()).collect();
        self.exchange(place, &[id], added).await?;
        self.looked_at().extend(ids.into_iter().map(|id| (id, passed.clone())));
        metrics::counter!("rootline_expired_rows_total", "table" => place.1.name()).increment(rows - kept);
        self.keep_to_rate(bytes, started).await;
        Ok(())
    }

    /// Segments that were looked at for their expired rows, and which ages they had passed then. After a start each is looked
    /// at once more.
    fn looked_at(&self) -> MutexGuard<'_, HashMap<SegmentId, Passed>> {
        self.looked_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_looked_at(&self, live: &[(Place, Vec<Arc<Segment>>)]) {
        let live: HashSet<_> =
            live.iter().flat_map(|(_, segments)| segments).map(|segment| &segment.meta().id).collect();
        self.looked_at().retain(|id, _| live.contains(id));
    }

    /// Waits until so many bytes may have been read since `started`.
    async fn keep_to_rate(&self, bytes: u64, started: Duration) {
        if self.environment.threads == Threads::Own {
            let taken = self.environment.clock.monotonic() - started;
            self.environment.clock.sleep(compaction::plan::pause(bytes, taken, &self.config.compaction)).await;
        }
    }

    /// Puts segments in the place of others, first in the catalog, then before the eyes of readers.
    async fn exchange(&self, place: &Place, removed: &[SegmentId], added: Vec<SegmentMeta>) -> Result<()> {
        let version = match self.environment.catalog.replace(removed, &added).await {
            Ok(version) => version,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                // It may have happened all the same. The catalog decides, and nobody else changes these segments.
                if !self.environment.catalog.live(removed).await?.is_empty() {
                    self.remove_files(added.into_iter().map(|meta| meta.path).collect()).await;
                    return Err(error);
                }
                self.view().catalog_version + 1
            }
            Err(error) => {
                self.remove_files(added.into_iter().map(|meta| meta.path).collect()).await;
                return Err(error);
            }
        };
        let since = self.environment.clock.monotonic();
        let added: Vec<_> = added.iter().map(|meta| self.segment(meta)).collect();
        let mut view = self.view_mut();
        let table = view.table(place);
        let (gone, stays): (Vec<_>, Vec<_>) =
            table.segments.iter().cloned().partition(|segment| removed.contains(&segment.meta().id));
        table.segments = stays.into_iter().chain(added).collect();
        let count = table.segments.len();
        view.catalog_version = view.catalog_version.max(version);
        drop(view);
        metrics::gauge!("rootline_segments", "table" => place.1.name()).set(count as f64);
        self.retired().extend(gone.into_iter().map(|segment| Retired { segment, since }));
        Ok(())
    }

    /// Deletes files of segments that were replaced or expired, once nobody reads them and the grace time is over.
    pub(crate) async fn delete_retired(&self) {
        let (now, grace) = (self.environment.clock.monotonic(), self.config.compaction.grace);
        let paths: Vec<_> = {
            let mut retired = self.retired();
            let (free, kept) = retired.drain(..).partition::<Vec<_>, _>(|retired| retired.may_be_deleted(now, grace));
            *retired = kept;
            free.into_iter().map(|retired| retired.segment.meta().path.clone()).collect()
        };
        self.remove_files(paths).await;
    }

    async fn remove_files(&self, paths: Vec<String>) {
        if paths.is_empty() {
            return;
        }
        let files = Arc::clone(&self.environment.files);
        let removed = self.environment.threads.blocking(move || {
            for path in paths {
                if let Err(error) = files.remove(&path) {
                    tracing::warn!(%error, path, "a replaced segment stays until the next start");
                }
            }
            Ok(())
        });
        // It reports its own failures.
        let _ = removed.await;
    }

    /// See [`crate::Storage::shutdown`].
    pub(crate) async fn shutdown(self: &Arc<Self>, deadline: Duration) -> Result<()> {
        self.close();
        self.wal.close();
        self.flush_wanted.notify_one();
        let flushed = self.environment.clock.clone().timeout(deadline, self.drain_and_flush()).await;
        let flushed = flushed.unwrap_or_else(|_| Err(Error::unavailable("the deadline of the shutdown has passed")));
        self.environment.catalog.close().await;
        flushed
    }

    async fn drain_and_flush(self: &Arc<Self>) -> Result<()> {
        let store = Arc::clone(self);
        self.environment
            .threads
            .blocking(move || {
                let thread = store.log_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
                match thread {
                    Some(thread) => thread.join().map_err(|_| Error::internal("the WAL thread panicked")),
                    None => {
                        while store.wal.commit_next(&*store) {}
                        Ok(())
                    }
                }
            })
            .await?;
        self.flush_all().await?;
        // Everything is in segments: an empty log needs no files.
        let published = self.flushing.lock().await;
        let committed = self.committed_sequence();
        if published.wal_floor < committed {
            // The last frames had no rows to flush: repetitions, or what a crash kept us from hearing of.
            let publication = Publication {
                tenant: Tenant::default(),
                table: Table::Logs,
                through_sequence: committed,
                wal_floor: committed,
                segments: Vec::new(),
                keys: self.duplicates.stored_between(published.keys_through, committed),
                keys_from_sequence: self.duplicates.oldest_sequence(),
                state: None,
            };
            self.environment.catalog.publish(&publication).await?;
        }
        self.wal.finish_file(committed + 1);
        self.drop_wal(committed).await;
        Ok(())
    }
}
