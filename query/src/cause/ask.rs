//! The question: which service, when; its answer from the tables.

use std::time::Duration;

use config::objective::Objective;

use super::{
    changed, drill, explain,
    facts::{self, Facts, Stretch},
    impact,
    load::Loader,
    markdown,
    plan::Plan,
    report::{Effort, Report},
    window::{self, Anomaly, Went},
};
use crate::{
    Limits, Query, TimeRange,
    changes::Change,
    error::{Error, ErrorKind, Result},
    slo::budget::Count,
};

const MINUTE: i64 = 60 * 1_000_000_000;
/// How far back an incident is looked for where no window is given.
const DEFAULT_SINCE_NANO: i64 = 30 * MINUTE;
/// Window where an incident is looked for and none is found: the newest part of the time searched.
const NEWEST_NANO: i64 = 10 * MINUTE;
/// Shortest and longest stretch that traces are compared with.
const BEFORE_NANO: (i64, i64) = (5 * MINUTE, 60 * MINUTE);
/// Metrics are compared with so many lengths of the window, at least an hour, at most a day.
const PAST_LENGTHS: i64 = 15;
const PAST_NANO: (i64, i64) = (60 * MINUTE, 24 * 60 * MINUTE);
/// Candidates whose bad calls are looked at more closely.
const DRILLED: usize = 3;
/// A change this long before the window may be its cause.
const CHANGES_BEFORE_NANO: i64 = 30 * MINUTE;

/// Where the limits say none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
/// 2200-01-01.
const LATEST_UNIX_NANO: i64 = 7_258_118_400 * 1_000_000_000;
const LONGEST_NANO: u64 = 24 * 60 * MINUTE.unsigned_abs();

/// What is to be explained.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The service in trouble; all services where absent.
    pub service: Option<String>,
    /// When it was in trouble; looked for in the newest time where absent.
    pub window: Option<TimeRange>,
    /// What was normal; chosen where absent.
    pub baseline: Option<TimeRange>,
    /// How far back from now an incident is looked for, in nanoseconds, where no window is given.
    pub since_nano: Option<i64>,
    /// The objective whose budget burns: its counts tell, better than all calls of the service, since when.
    pub objective: Option<String>,
}

fn since(request: &Request) -> i64 {
    request.since_nano.unwrap_or(DEFAULT_SINCE_NANO).clamp(MINUTE, PAST_NANO.1)
}

fn stretch(range: TimeRange) -> Stretch {
    Stretch { from: range.start_unix_nano(), to: range.end_unix_nano() }
}

impl Query {
    /// Why a service is, or was, in trouble. All of it within the limits' time; few searches run at once, as each holds up
    /// to a few hundred megabytes.
    ///
    /// # Errors
    /// As [`Query::sql`].
    pub async fn cause(&self, request: Request, limits: Limits) -> Result<Report> {
        check(&request)?;
        let (clock, longest) = (self.clock(), limits.timeout.unwrap_or(DEFAULT_TIMEOUT));
        let search = async {
            let turn = self.cause_turns().acquire_owned().await;
            let report = self.searched(request, limits).await;
            drop(turn);
            report
        };
        clock.timeout(longest, search).await.unwrap_or_else(|_| {
            let seconds = longest.as_secs_f64();
            Err(Error::new(ErrorKind::Deadline, format!("the search for a cause did not end within {seconds} s"))
                .hint("narrow the window, or allow more time with timeout"))
        })
    }

    async fn searched(&self, request: Request, limits: Limits) -> Result<Report> {
        let started = self.clock().monotonic();
        let loader = Loader { query: self, limits };
        let is_looked_for = request.window.is_none();
        let burning = if is_looked_for { self.burning(&request) } else { None };
        let (window, onset) = match (request.window, burning) {
            (Some(window), _) => (stretch(window), None),
            (None, Some(Anomaly { window, onset })) => (window, Some(onset)),
            (None, None) => self.incident(&loader, &request).await?,
        };
        let (facts, changes, sampled) = self.facts(&loader, &request, window).await?;
        let objective = request.objective;
        // Some seconds of computing are no work for a thread that serves others.
        let explained = tokio::task::spawn_blocking(move || {
            let mut plan = Plan::new(&facts);
            plan.onset = onset.or(plan.onset);
            plan.is_burning = burning.is_some();
            plan.is_looked_for = is_looked_for;
            let report = explain::explain(&facts, &plan);
            (facts, plan, report)
        });
        let (facts, plan, mut report) =
            explained.await.map_err(|error| Error::internal(format!("the search for a cause failed: {error}")))?;
        report.changes = changes;
        report.impact.error_budget_spent_ratio =
            objective.and_then(|id| self.objectives().budget_spent_within(&id, window.from, window.to));
        for candidate in report.candidates.iter_mut().take(DRILLED) {
            let limits = impact::slow_limits(&facts, &plan, &candidate.service);
            let calls = loader.calls(&candidate.service, plan.sides.window, &limits).await?;
            candidate.scope = drill::scopes(&calls);
        }
        report.markdown = markdown::render(&report);
        let elapsed = self.clock().monotonic().saturating_sub(started);
        report.effort = Effort { elapsed_ms: elapsed.as_millis() as u64, sampled, ..report.effort };
        Ok(report)
    }

    /// What the tables know of the window and the time before it; the changes as they are; whether traces were left out.
    async fn facts(
        &self,
        loader: &Loader<'_>,
        request: &Request,
        window: Stretch,
    ) -> Result<(Facts, Vec<Change>, bool)> {
        let mut facts = Facts::new(window, request.baseline.map(stretch));
        facts.names.number("");
        facts.entry = request.service.as_deref().map(|service| facts.names.number(service));
        let stretches = compared(window, facts.baseline);
        let sampled = loader.traces(&mut facts, &stretches).await?;
        let past = (PAST_LENGTHS * window.length()).clamp(PAST_NANO.0, PAST_NANO.1);
        let from =
            facts.baseline.map_or(window.from, |baseline| baseline.from).min(window.from).min(window.from - past);
        loader.metrics(&mut facts, Stretch { from, to: window.from }).await?;
        let near = Stretch { from: window.from - CHANGES_BEFORE_NANO, to: window.to };
        let changes = match TimeRange::new(near.from, near.to) {
            Some(near) => self.changes(near, None, &loader.limits).await?,
            None => Vec::new(),
        };
        add_changes(&mut facts, &changes);
        changed::add_new_versions(&mut facts);
        facts.settle();
        Ok((facts, changes, sampled))
    }

    /// When the objective that is asked about, or one of the service's or of all, began to burn: the newest time.
    fn burning(&self, request: &Request) -> Option<Anomaly> {
        let published = self.objectives().published();
        let searched = self.times_searched(request);
        let burns = |objective: &Objective| {
            let slots = self.objectives().slots(&objective.id, searched.from, searched.to);
            let went = |(start, count): (i64, Count)| Went { start, calls: count.total, bad: count.total - count.good };
            let slots: Vec<Went> = slots.into_iter().map(went).collect();
            let found = window::burning(&slots)?;
            // Somewhat more than before may still be within the budget.
            let inside = slots.iter().filter(|slot| found.window.contains(slot.start));
            let (calls, bad) = inside.fold((0.0, 0.0), |(calls, bad), slot| (calls + slot.calls, bad + slot.bad));
            let window = Stretch { to: found.window.to.min(searched.to), ..found.window };
            (bad > calls * (1.0 - objective.target_ratio)).then_some(Anomaly { window, ..found })
        };
        let objectives = || published.statuses.iter().map(|status| &*status.objective);
        let asked = objectives().find(|objective| request.objective.as_ref() == Some(&objective.id));
        asked.and_then(burns).or_else(|| {
            let is_of_service = |objective: &&Objective| {
                request.service.as_ref().is_none_or(|name| objective.indicator.service == *name)
            };
            let of_service = objectives().filter(is_of_service);
            // The widest of those that end last: what one operation shows late another one showed before.
            let found = of_service.filter_map(burns);
            found.max_by_key(|found| (found.window.to, std::cmp::Reverse(found.window.from)))
        })
    }

    /// As long again before the time in which an incident is looked for: what is normal has to be seen as well.
    fn times_searched(&self, request: &Request) -> Stretch {
        let now = self.clock().now_unix_nano();
        Stretch { from: now - 2 * since(request), to: now }
    }

    /// The newest incident of the entry; the newest part of the time searched where there is none.
    async fn incident(&self, loader: &Loader<'_>, request: &Request) -> Result<(Stretch, Option<Stretch>)> {
        let searched = self.times_searched(request);
        let slots = loader.slots(request.service.as_deref(), searched).await?;
        Ok(match window::anomaly(&slots) {
            Some(Anomaly { window, onset }) => (window, Some(onset)),
            None => (Stretch { from: searched.to - NEWEST_NANO.min(since(request)), to: searched.to }, None),
        })
    }
}

/// Times that can be reckoned with, and stretches that are short enough to look at whole.
fn check(request: &Request) -> Result<()> {
    for (name, range) in [("window", request.window), ("baseline", request.baseline)] {
        let Some(range) = range else { continue };
        if range.start_unix_nano() < 0 || range.end_unix_nano() > LATEST_UNIX_NANO {
            return Err(Error::invalid(format!("the {name} lies outside the years 1970 to 2200")));
        }
        if range.duration_nano() > LONGEST_NANO {
            return Err(Error::invalid(format!("the {name} is longer than a day")));
        }
    }
    Ok(())
}

/// Times whose traces are needed: the baseline and the time before the window, or enough to choose a baseline from.
fn compared(window: Stretch, baseline: Option<Stretch>) -> Vec<Stretch> {
    let before = window.length().clamp(BEFORE_NANO.0, BEFORE_NANO.1);
    match baseline {
        Some(baseline) if baseline.to < window.from - before => {
            vec![baseline, Stretch { from: window.from - before, to: window.to }]
        }
        Some(baseline) => vec![Stretch { from: baseline.from.min(window.from), to: window.to.max(baseline.to) }],
        None => vec![Stretch { from: window.from - 2 * before, to: window.to }],
    }
}

fn add_changes(facts: &mut Facts, changes: &[Change]) {
    for change in changes {
        let service = facts.names.number(&change.service);
        let kind = facts.names.number(&change.kind);
        let version = change.version.as_deref().map(|version| facts.names.number(version));
        let message = change.message.as_deref().map(|message| facts.names.number(message));
        facts.changes.push(facts::Change { time: change.time_unix_nano, service, kind, version, message });
    }
}
