//! One evaluation after the other: files, rows, numbers, alerts.
//!
//! Every evaluation reads only the newest slots of `span_metrics`, every minute those of the last two hours (spans may be late); the past
//! is read once, when an objective appears, and from time to time as a whole. So an evaluation costs the same for a window of
//! an hour and of a month.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use config::objective::{Library, Objective, directory};
use datafusion::{
    common::ScalarValue,
    prelude::{SessionContext, col, lit},
};
use futures::StreamExt as _;
use storage::{
    clock::Clock,
    model::{Table, TimeRange},
};

use super::{
    board::{Board, File, Published, Watched, bad_text},
    budget::{Count, PairStatus, Severity},
    counts::{HOUR_NANO, SLOT_NANO},
    indicator::{COLUMNS, HISTOGRAM_COLUMNS, Matcher, Tally},
};
use crate::{
    Limits, Query,
    alert::{
        incident::Neighbours,
        notify::Receiver,
        record::{Committed, Records, Transitions},
        state::{Alert, Firing, KEEP_FIRING_EVALUATIONS, Step, alert_id, step},
    },
    columns::Columns,
    error::{Error, ErrorKind, Result},
    search::timestamp,
};

/// The derived table that is read.
const TABLE: &str = "span_metrics";
const MINUTE_NANO: i64 = 6 * SLOT_NANO;
const DAY_NANO: i64 = 24 * HOUR_NANO;
/// Every evaluation reads slots again that are not older than this.
const NEWEST_NANO: i64 = 5 * MINUTE_NANO;
/// Every minute reads slots again that are not older than this: spans that arrive later wait for the next reading of the whole.
const LATE_NANO: i64 = 2 * HOUR_NANO;
/// The past is read in pieces of this length, so that what is held at once is bounded.
const PIECE_NANO: i64 = DAY_NANO;
/// The past is read as a whole this often: for spans that were later than [`LATE_NANO`].
const WHOLE_AGAIN_NANO: i64 = 6 * HOUR_NANO;
/// Services that are named to the scan; beyond it every service is read.
const MAX_NAMED_SERVICES: usize = 1000;
/// Who called whom lately decides which alerts belong together.
const NEIGHBOURS_NANO: i64 = HOUR_NANO;

/// Everything that is remembered between evaluations.
#[derive(Debug)]
pub struct Evaluator {
    query: Query,
    clock: Clock,
    board: Board,
    records: Records,
    receivers: Vec<Receiver>,
    directory: PathBuf,
    /// How long an alert goes on without a reason.
    keep_firing_nano: i64,
    library: Library,
    /// The directory was listed at least once.
    is_read: bool,
    /// The library is ahead of what is watched.
    is_stale: bool,
    matcher: Matcher,
    /// Ids of all objectives that were ever watched.
    known: HashSet<String>,
    /// Latest slot with any span, by service.
    seen: HashMap<String, i64>,
    /// `None` until they are read from the catalog, and after a transaction whose end is not known.
    firing: Option<HashMap<(String, Severity), Firing>>,
    /// When the newest slots, those of late spans and the whole past were read.
    read_unix_nano: i64,
    read_late_unix_nano: i64,
    read_whole_unix_nano: i64,
}

impl Evaluator {
    /// Objectives of the settings' directory over the rows of `query`, shown on its board.
    pub fn new(query: &Query, records: Records, config: &config::Config) -> Self {
        Self {
            query: query.clone(),
            clock: query.clock(),
            board: query.objectives().clone(),
            records,
            receivers: Receiver::of(&config.alert),
            directory: config.objective_directory(),
            keep_firing_nano: i64::try_from((config.objective.interval * KEEP_FIRING_EVALUATIONS).as_nanos())
                .unwrap_or(i64::MAX),
            library: Library::default(),
            is_read: false,
            is_stale: false,
            matcher: Matcher::default(),
            known: HashSet::new(),
            seen: HashMap::new(),
            firing: None,
            read_unix_nano: i64::MIN,
            read_late_unix_nano: i64::MIN,
            read_whole_unix_nano: i64::MIN,
        }
    }

    /// One evaluation. What fired and which incidents opened.
    ///
    /// # Errors
    /// When rows or the catalog cannot be read or written: the board shows the last outcome, and the next evaluation
    /// makes up for it.
    pub async fn evaluate(&mut self) -> Result<Committed> {
        let now = self.clock.now_unix_nano();
        self.read_files(now).await?;
        if self.must_read_whole(now) {
            let all = self.board.watched().iter().map(|watched| Watched::new(Arc::clone(&watched.objective))).collect();
            let loaded = self.load(all, now).await?;
            *self.board.watched() = loaded;
            self.read_whole_unix_nano = now;
            self.read_unix_nano = now;
        } else {
            self.read_newest(now).await?;
        }
        let pairs: Vec<_> = self.board.watched().iter().map(|watched| watched.pairs(now)).collect();
        let committed = self.alert(&pairs, now).await?;
        self.publish(pairs, now);
        Ok(committed)
    }

    /// Takes over what the files say.
    async fn read_files(&mut self, now: i64) -> Result<()> {
        let directory = self.directory.clone();
        let read = tokio::task::spawn_blocking(move || directory::read(&directory)).await;
        match read.map_err(|error| Error::internal(format!("objectives: {error}")))? {
            Ok(files) => {
                self.is_read = true;
                if self.library.update(files, now) {
                    self.is_stale = true;
                    self.tell_problems();
                }
            }
            // What is in force stays. Before anything is, nothing is known about what fires.
            Err(error) if !self.is_read => {
                let directory = self.directory.display();
                return Err(Error::new(ErrorKind::Unavailable, format!("{directory} cannot be listed: {error}")));
            }
            Err(error) => tracing::warn!(directory = %self.directory.display(), %error, "objectives cannot be listed"),
        }
        if self.is_stale {
            self.take_over(now).await?;
            self.is_stale = false;
        }
        Ok(())
    }

    fn tell_problems(&self) {
        for file in self.library.files() {
            if let Some(problem) = file.problem {
                tracing::warn!(file = file.name, %problem, "objectives are not in force");
            }
        }
    }

    /// Watches the objectives in force. What is counted already stays counted; the past of the others is read.
    async fn take_over(&mut self, now: i64) -> Result<()> {
        let objectives: Vec<Arc<Objective>> = self.library.objectives().cloned().map(Arc::new).collect();
        let mut new = uncounted(&objectives, &self.board.watched());
        // Before the first reading of the whole there is nothing to add to.
        if self.read_whole_unix_nano > i64::MIN {
            new = self.load(new, now).await?;
        }
        let mut watched = self.board.watched();
        let counted = std::mem::take(&mut *watched).into_iter().chain(new);
        let mut by_id: HashMap<String, Watched> = counted.map(|held| (held.objective.id.clone(), held)).collect();
        watched.extend(objectives.into_iter().map(|objective| {
            let held = by_id.remove(&objective.id).expect("counted before or loaded above");
            Watched { objective, ..held }
        }));
        self.matcher = recent_matcher(&watched);
        self.known.extend(watched.iter().map(|watched| watched.objective.id.clone()));
        Ok(())
    }

    /// At the start, from time to time, when the clock was set back, and after a pause that the newest slots do not cover.
    fn must_read_whole(&self, now: i64) -> bool {
        let since_whole = now.saturating_sub(self.read_whole_unix_nano);
        let since_any = now.saturating_sub(self.read_unix_nano);
        !(0..WHOLE_AGAIN_NANO).contains(&since_whole) || !(0..LATE_NANO - NEWEST_NANO).contains(&since_any)
    }

    /// The slots that may have changed since the last evaluation.
    async fn read_newest(&mut self, now: i64) -> Result<()> {
        let since_late = now.saturating_sub(self.read_late_unix_nano);
        let reads_late = !(0..MINUTE_NANO).contains(&since_late);
        let back = if reads_late { LATE_NANO } else { NEWEST_NANO };
        let start = (now - back).div_euclid(SLOT_NANO) * SLOT_NANO;
        let tally = self.tally(&self.matcher, start, now).await?;
        set_recent(&mut self.board.watched(), &tally, start, now);
        self.seen.extend(tally.seen);
        self.read_unix_nano = now;
        if reads_late {
            self.read_late_unix_nano = now;
        }
        Ok(())
    }

    /// Counts objectives from the beginning of what they look at.
    async fn load(&mut self, mut watched: Vec<Watched>, now: i64) -> Result<Vec<Watched>> {
        if watched.is_empty() {
            return Ok(watched);
        }
        let recent_since = now.div_euclid(HOUR_NANO) * HOUR_NANO - LATE_NANO;
        let reach = watched.iter().map(|watched| watched.counts.reach_nano()).max().unwrap_or_default();
        let oldest = self.oldest_row().unwrap_or(recent_since).max(now - reach);
        let mut start = oldest.div_euclid(HOUR_NANO) * HOUR_NANO;
        let past = Matcher::new(watched.iter().map(|w| (&w.objective.indicator, w.counts.past_step_nano())));
        while start < recent_since {
            let end = (start + PIECE_NANO).min(recent_since);
            let tally = match self.tally(&past, start, end).await {
                // A damaged file of long ago must not end the watch over the present.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(%error, "a day of the past is not counted");
                    Tally::default()
                }
                tally => tally?,
            };
            let mut steps: Vec<((usize, i64), Count)> = tally.counts.into_iter().collect();
            steps.sort_unstable_by_key(|(place, _)| *place);
            for ((objective, step), count) in steps {
                watched[objective].counts.add_past(step, count);
            }
            start = end;
        }
        let tally = self.tally(&recent_matcher(&watched), recent_since, now).await?;
        set_recent(&mut watched, &tally, recent_since, now);
        self.seen.extend(tally.seen);
        Ok(watched)
    }

    /// One pass over the rows of `[start, end)`.
    async fn tally(&self, matcher: &Matcher, start: i64, end: i64) -> Result<Tally> {
        let mut tally = Tally::default();
        let (Some(range), Some(_)) = (TimeRange::new(start, end), table()) else { return Ok(tally) };
        let services: Vec<_> = matcher.services().into_iter().map(lit).collect();
        if services.is_empty() {
            return Ok(tally);
        }
        let mut columns = COLUMNS.to_vec();
        if matcher.has_threshold() {
            columns.extend(HISTOGRAM_COLUMNS);
        }
        let build = move |context: SessionContext| async move {
            let time = |unix_nano: i64| lit(timestamp(unix_nano));
            let mut rows = context.table(TABLE).await?.filter(
                col("timestamp")
                    .gt_eq(time(range.start_unix_nano()))
                    .and(col("timestamp").lt(time(range.end_unix_nano()))),
            )?;
            if services.len() <= MAX_NAMED_SERVICES {
                rows = rows.filter(col("service_name").in_list(services, false))?;
            }
            Ok(rows.select_columns(&columns)?)
        };
        let mut rows = self.query.run(limits("objectives"), build).await?.rows;
        while let Some(batch) = rows.next().await {
            matcher.add(&batch?, &mut tally)?;
        }
        Ok(tally)
    }

    fn oldest_row(&self) -> Option<i64> {
        self.query.extents(table()?).into_iter().map(|(range, _)| range.start_unix_nano()).min()
    }

    /// Steps every alert and keeps what changed.
    async fn alert(&mut self, pairs: &[Vec<PairStatus>], now: i64) -> Result<Committed> {
        let mut firing = match self.firing.take() {
            Some(firing) => firing,
            None => self.read_firing().await?,
        };
        let watched: Vec<Arc<Objective>> =
            self.board.watched().iter().map(|watched| Arc::clone(&watched.objective)).collect();
        let mut transitions = transitions(&watched, pairs, &mut firing, self.keep_firing_nano, now);
        // An objective that this process has never watched may be in a file that it could not read yet.
        let is_gone = |id: &str| self.known.contains(id) || self.library.is_known();
        let orphans = orphans(&watched, &firing, now);
        transitions.resolved.extend(orphans.into_iter().filter(|alert| is_gone(&alert.objective)));
        if transitions.fired.is_empty() && transitions.resolved.is_empty() {
            self.firing = Some(firing);
            return Ok(Committed::default());
        }
        let neighbours = if transitions.fired.is_empty() { Neighbours::default() } else { self.neighbours(now).await };
        // From here to the end `self.firing` is `None`: should the end not be known, the catalog is asked.
        let resolved: Vec<_> =
            transitions.resolved.iter().map(|alert| (alert.objective.clone(), alert.severity)).collect();
        let committed = self.records.commit(transitions, &neighbours, &self.receivers, now).await?;
        for key in resolved {
            firing.remove(&key);
        }
        for alert in &committed.fired {
            tracing::warn!(
                objective = alert.objective,
                severity = alert.severity.as_str(),
                incident = alert.incident,
                "an error budget burns"
            );
            let key = (alert.objective.clone(), alert.severity);
            firing.insert(key, Firing { alert: alert.clone(), quiet_since_unix_nano: None });
        }
        self.firing = Some(firing);
        Ok(committed)
    }

    async fn read_firing(&self) -> Result<HashMap<(String, Severity), Firing>> {
        let alerts = self.records.alerts().await?;
        let firing = alerts.into_iter().filter(Alert::is_firing);
        let entry =
            |alert: Alert| ((alert.objective.clone(), alert.severity), Firing { alert, quiet_since_unix_nano: None });
        Ok(firing.map(entry).collect())
    }

    /// Who called whom in the last hour. Without that, alerts of one service still belong together.
    async fn neighbours(&self, now: i64) -> Neighbours {
        match self.edges(now).await {
            Ok(edges) => Neighbours::new(edges),
            Err(error) => {
                tracing::debug!(%error, "calls between services are not known");
                Neighbours::default()
            }
        }
    }

    async fn edges(&self, now: i64) -> Result<Vec<(String, String)>> {
        const EDGES: &str =
            "SELECT DISTINCT caller, callee FROM service_edges WHERE timestamp >= $from AND callee_kind = 'service'";
        let from: ScalarValue = timestamp(now - NEIGHBOURS_NANO);
        let build = move |context: SessionContext| async move {
            Ok(context.sql(EDGES).await?.with_param_values(vec![("from", from)])?)
        };
        let (batches, _) = self.query.run(limits("service edges"), build).await?.collect().await?;
        let mut edges = Vec::new();
        for batch in &batches {
            let columns = Columns(batch);
            let (caller, callee) = (columns.text("caller")?, columns.text("callee")?);
            edges.extend((0..batch.num_rows()).map(|row| (caller.value(row).to_owned(), callee.value(row).to_owned())));
        }
        Ok(edges)
    }

    fn publish(&self, pairs: Vec<Vec<PairStatus>>, now: i64) {
        let incident = |objective: &Objective| {
            let of = |severity| {
                self.firing.as_ref()?.get(&(objective.id.clone(), severity)).map(|f| f.alert.incident.clone())
            };
            Severity::ALL.into_iter().find_map(of)
        };
        let watched = self.board.watched();
        let statuses = watched.iter().zip(pairs).map(|(watched, pairs)| {
            let objective = &watched.objective;
            let seen = self.seen.get(&objective.indicator.service).copied();
            watched.status(pairs, incident(objective), seen, now)
        });
        let statuses = statuses.collect();
        drop(watched);
        let file = |file: config::objective::FileStatus<'_>| File {
            path: self.directory.join(file.name).display().to_string(),
            objectives: file.objectives.iter().map(|objective| objective.id.clone()).collect(),
            slos: file.objectives.iter().map(|objective| objective.slo.clone()).collect(),
            problem: file.problem.cloned(),
            loaded_unix_nano: file.loaded_unix_nano,
            text: file.text.into(),
        };
        let files = self.library.files().map(file).collect();
        self.board.publish(Published { statuses, files, evaluated_unix_nano: Some(now) });
    }
}

/// The table, in a store that derives it.
fn table() -> Option<Table> {
    Table::ALL.into_iter().find(|table| table.name() == TABLE)
}

fn limits(label: &str) -> Limits {
    // As long as any question may take: a day of the past is a lot.
    Limits { label: label.to_owned(), timeout: Some(Duration::MAX), max_rows: Some(usize::MAX), ..Limits::default() }
}

/// Objectives whose counts are not held, as they are now.
fn uncounted(objectives: &[Arc<Objective>], held: &[Watched]) -> Vec<Watched> {
    let held: HashMap<&str, &Watched> = held.iter().map(|held| (held.objective.id.as_str(), held)).collect();
    let is_held =
        |objective: &Objective| held.get(objective.id.as_str()).is_some_and(|held| held.counts_for(objective));
    objectives.iter().filter(|objective| !is_held(objective)).cloned().map(Watched::new).collect()
}

fn recent_matcher(watched: &[Watched]) -> Matcher {
    Matcher::new(watched.iter().map(|watched| (&watched.objective.indicator, SLOT_NANO)))
}

/// Every slot of `[start, end)` is what the rows say, or empty.
fn set_recent(watched: &mut [Watched], tally: &Tally, start: i64, end: i64) {
    let slots = || (start.div_euclid(SLOT_NANO)..).map(|slot| slot * SLOT_NANO).take_while(|slot| *slot < end);
    for (index, watched) in watched.iter_mut().enumerate() {
        for slot in slots() {
            watched.counts.set_recent(slot, tally.counts.get(&(index, slot)).copied().unwrap_or_default());
        }
    }
}

/// What changes with this evaluation. Alerts that go on are noted in `firing`; what fires or is over is returned only.
fn transitions(
    watched: &[Arc<Objective>],
    pairs: &[Vec<PairStatus>],
    firing: &mut HashMap<(String, Severity), Firing>,
    keep_firing_nano: i64,
    now: i64,
) -> Transitions {
    let mut transitions = Transitions::default();
    for (objective, pairs) in watched.iter().zip(pairs) {
        for severity in Severity::ALL {
            let of_severity: Vec<PairStatus> =
                pairs.iter().filter(|status| status.pair.severity == severity).copied().collect();
            let current = firing.get_mut(&(objective.id.clone(), severity));
            match (step(current.as_deref(), &of_severity, keep_firing_nano, now), current) {
                (Step::Fires(reason), _) => transitions.fired.push(new_alert(objective, severity, &reason, now)),
                (Step::Resolves, Some(current)) => transitions.resolved.push(current.alert.resolved(now)),
                (Step::GoesOn { quiet_since_unix_nano }, Some(current)) => {
                    current.quiet_since_unix_nano = quiet_since_unix_nano;
                }
                (Step::Quiet | Step::Resolves | Step::GoesOn { .. }, _) => {}
            }
        }
    }
    transitions
}

/// Alerts that are over because their objective is gone: it cannot burn.
fn orphans(watched: &[Arc<Objective>], firing: &HashMap<(String, Severity), Firing>, now: i64) -> Vec<Alert> {
    let ids: HashSet<&str> = watched.iter().map(|objective| objective.id.as_str()).collect();
    let orphans = firing.values().filter(|firing| !ids.contains(firing.alert.objective.as_str()));
    orphans.map(|firing| firing.alert.resolved(now)).collect()
}

fn new_alert(objective: &Objective, severity: Severity, reason: &PairStatus, now: i64) -> Alert {
    Alert {
        id: alert_id(&objective.id, severity, now),
        objective: objective.id.clone(),
        display_name: objective.display_name.clone(),
        service: objective.indicator.service.clone(),
        operation: objective.indicator.operation.clone(),
        bad: bad_text(objective.indicator.bad),
        target_ratio: objective.target_ratio,
        severity,
        started_unix_nano: now,
        resolved_unix_nano: None,
        short_window_seconds: reason.pair.short.as_secs(),
        long_window_seconds: reason.pair.long.as_secs(),
        factor: reason.pair.factor,
        burn_short: reason.burn_short,
        burn_long: reason.burn_long,
        incident: String::new(),
    }
}

#[cfg(test)]
mod tests;
