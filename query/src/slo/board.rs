//! How every objective stands now, for whoever asks.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use config::objective::{Bad, Objective, Problem};

use super::{
    budget::{
        Count, Facts, Pair, PairStatus, State, budget_left_ratio, burn_rate, has_history, pairs, state,
        time_to_exhaustion,
    },
    counts::{Counts, Point, SLOT_NANO},
};

/// The service has sent nothing for so long: it is not seen; nothing was counted for so long: it is not called.
const RECENT_NANO: i64 = 10 * 60 * 1_000_000_000;

/// The outcome of the latest evaluation. Cheap to clone; clones are the same board.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    published: RwLock<Arc<Published>>,
    watched: Mutex<Vec<Watched>>,
}

/// What an evaluation shows.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Every objective, by file.
    pub statuses: Vec<Status>,
    /// The files they come from, by name.
    pub files: Vec<File>,
    /// When; `None` before the first.
    pub evaluated_unix_nano: Option<i64>,
}

/// A file of the objectives directory.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Its path.
    pub path: String,
    /// Objectives of it that are in force.
    pub objectives: Vec<String>,
    /// Names of the documents that these come from.
    pub slos: BTreeSet<String>,
    /// Why what it says now is not in force.
    pub problem: Option<Problem>,
    /// When what is in force was read.
    pub loaded_unix_nano: Option<i64>,
    /// The text that is in force.
    pub text: Arc<str>,
}

/// An objective and its counts.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) objective: Arc<Objective>,
    pub(crate) counts: Counts,
}

/// How an objective stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Which.
    pub objective: Arc<Objective>,
    /// In one word.
    pub state: State,
    /// What was counted in its window.
    pub count: Count,
    /// Share that was good.
    pub sli: Option<f64>,
    /// Share of its budget that is left; negative when overspent.
    pub budget_left_ratio: Option<f64>,
    /// Speeds over the windows of each pair, the most urgent first.
    pub pairs: Vec<PairStatus>,
    /// When nothing is left at the speed of the last hour.
    pub exhausted_unix_nano: Option<i64>,
    /// When this was so.
    pub evaluated_unix_nano: i64,
    /// The open incident of its firing alert.
    pub incident: Option<String>,
}

impl Board {
    /// The latest outcome.
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.0.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn publish(&self, published: Published) {
        *self.0.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(published);
    }

    /// The past of one objective, oldest first; `None` for an unknown one.
    pub fn history(&self, id: &str) -> Option<Vec<Point>> {
        let end = self.published().evaluated_unix_nano?;
        // A copy, so that the evaluation does not wait for the arithmetic.
        let counts = self.watched().iter().find(|watched| watched.objective.id == id)?.counts.clone();
        Some(counts.history(end))
    }

    /// How much was bad of one objective within each of these stretches of time, `[start, end)`.
    pub fn bad_within(&self, id: &str, times: &[(i64, i64)]) -> Vec<f64> {
        let watched = self.watched();
        let Some(counts) = watched.iter().find(|watched| watched.objective.id == id).map(|watched| &watched.counts)
        else {
            return vec![0.0; times.len()];
        };
        let bad = |(start, end): &(i64, i64)| {
            let count = counts.within(*start, *end);
            count.total - count.good
        };
        times.iter().map(bad).collect()
    }

    /// Share of an objective's error budget that a stretch of time has spent; `None` for an unknown one, or without any budget.
    pub(crate) fn budget_spent_within(&self, id: &str, start: i64, end: i64) -> Option<f64> {
        let published = self.published();
        let status = published.statuses.iter().find(|status| status.objective.id == id)?;
        let budget = status.count.total * (1.0 - status.objective.target_ratio);
        let bad = self.bad_within(id, &[(start, end)])[0];
        (budget > 0.0).then(|| bad / budget)
    }

    /// What was counted of one objective within `[start, end)`, by slots of [`SLOT_NANO`] with their starts: those that are held,
    /// however long ago `start` is.
    pub(crate) fn slots(&self, id: &str, start: i64, end: i64) -> Vec<(i64, Count)> {
        let watched = self.watched();
        let Some(watched) = watched.iter().find(|watched| watched.objective.id == id) else { return Vec::new() };
        let Some(begin) = watched.counts.calls_begin_unix_nano() else { return Vec::new() };
        let start = start.max(begin);
        let starts = (start.div_euclid(SLOT_NANO)..).map(|slot| slot * SLOT_NANO).take_while(|slot| *slot < end);
        starts.map(|slot| (slot, watched.counts.calls_over(SLOT_NANO, slot + SLOT_NANO))).collect()
    }

    pub(crate) fn watched(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    pub(crate) fn new(objective: Arc<Objective>) -> Self {
        let counts = Counts::new(objective.budgeting, objective.window);
        Self { objective, counts }
    }

    /// Whether its counts are those of this objective, as it is now: the same is counted in the same way.
    pub(crate) fn counts_for(&self, other: &Objective) -> bool {
        let own = &self.objective;
        own.id == other.id
            && own.indicator == other.indicator
            && own.budgeting == other.budgeting
            && own.window == other.window
    }

    /// Speeds over the windows of each pair.
    pub(crate) fn pairs(&self, now_unix_nano: i64) -> Vec<PairStatus> {
        let burn = |window| burn_rate(self.counts.over(window, now_unix_nano), self.objective.target_ratio);
        let begins = self.counts.begins_unix_nano().unwrap_or(now_unix_nano);
        let known = Duration::from_nanos(u64::try_from(now_unix_nano.saturating_sub(begins)).unwrap_or(0));
        let status = |pair: Pair| PairStatus {
            burn_short: burn(pair.short),
            burn_long: burn(pair.long),
            has_history: has_history(&pair, known),
            pair,
        };
        pairs(self.objective.window).into_iter().map(status).collect()
    }

    /// How it stands. `seen_unix_nano` is the latest slot with any span of its service.
    pub(crate) fn status(
        &self,
        pairs: Vec<PairStatus>,
        incident: Option<String>,
        seen_unix_nano: Option<i64>,
        now_unix_nano: i64,
    ) -> Status {
        let target = self.objective.target_ratio;
        let count = self.counts.over_window(now_unix_nano);
        let budget_left = budget_left_ratio(count, target);
        let facts = Facts {
            is_firing: incident.is_some(),
            budget_left_ratio: budget_left,
            is_called: self.counts.calls_over(RECENT_NANO, now_unix_nano).total > 0.0,
            is_seen: seen_unix_nano.is_some_and(|seen| now_unix_nano.saturating_sub(seen) <= RECENT_NANO),
        };
        let hourly = pairs.first().and_then(|pair| pair.burn_long);
        let left = match (budget_left, hourly) {
            (Some(left), Some(burn)) => time_to_exhaustion(left, burn, self.objective.window),
            _ => None,
        };
        let after = left.and_then(|left| i64::try_from(left.as_nanos()).ok());
        Status {
            objective: Arc::clone(&self.objective),
            state: state(facts),
            count,
            sli: count.ratio(),
            budget_left_ratio: budget_left,
            pairs,
            exhausted_unix_nano: after.and_then(|after| now_unix_nano.checked_add(after)),
            evaluated_unix_nano: now_unix_nano,
            incident,
        }
    }
}

/// What an objective counts as bad, for people.
pub fn bad_text(bad: Bad) -> String {
    match bad {
        Bad::Errors => "errors".to_owned(),
        Bad::SlowerThan(limit) => format!("slower than {limit:?}"),
    }
}
