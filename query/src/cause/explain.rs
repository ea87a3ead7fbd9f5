//! Pure: facts -> the report. The order of the work: sides, ranking, candidates with their evidence, outcome, words.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    facts::{Facts, Name, Stretch},
    impact::Suffered,
    plan::Plan,
    rank::{self, Ranking, Suspect},
    report::{Candidate, Effort, Evidence, Outcome, Report, Span, Texts},
    words,
};

/// Candidates in a report.
const MAX_CANDIDATES: usize = 10;
/// Lines of evidence of one candidate.
const MAX_EVIDENCE: usize = 6;
/// Weakest finding that is worth a line, in units of what chance does.
const WORTH_A_LINE: f64 = 0.5;
/// Score below which nothing stands out, and the least lead over the next.
const LEAST_SCORE: f64 = 1.1;
const LEAST_LEAD: f64 = 0.05;
/// The same where nobody is worse off: what deviates then must be unmistakable to be called a cause.
const UNHURT: (f64, f64) = (6.0, 0.4);

/// The whole answer but what only the tables know: scopes and, after them, the Markdown.
pub(crate) fn explain(facts: &Facts, plan: &Plan) -> Report {
    let ranking = rank::rank(facts, plan);
    let candidates: Vec<Candidate> = ranking
        .suspects
        .iter()
        .take(MAX_CANDIDATES)
        .enumerate()
        .map(|(i, suspect)| candidate(facts, plan, &ranking, i + 1, suspect))
        .collect();
    let confidence = confidence(&ranking.suspects);
    let suffered = Suffered::new(facts, plan, &ranking.forest);
    let is_hurt = if plan.is_burning { Some(true) } else { suffered.is_hurt() };
    let outcome = outcome(facts, plan, &ranking, is_hurt);
    Report {
        service: facts.entry.map(|entry| facts.text(entry).to_owned()),
        window: span(plan.sides.window),
        baseline: span(plan.sides.baseline),
        onset: plan.onset.map(span),
        outcome,
        confidence: if outcome == Outcome::Found { confidence } else { 0.0 },
        candidates,
        impact: suffered.impact(),
        changes: Vec::new(),
        notes: notes(facts, &ranking, is_hurt),
        markdown: Texts::default(),
        effort: Effort {
            spans: facts.spans.len() as u64,
            logs: facts.logs.len() as u64,
            points: facts.series.iter().map(|series| series.points.len() as u64).sum(),
            ..Effort::default()
        },
    }
}

fn span(stretch: Stretch) -> Span {
    Span { from_unix_nano: stretch.from, to_unix_nano: stretch.to }
}

fn candidate(facts: &Facts, plan: &Plan, ranking: &Ranking, rank: usize, suspect: &Suspect) -> Candidate {
    let mut evidence: Vec<Evidence> = suspect
        .findings
        .iter()
        .enumerate()
        .filter(|(i, finding)| *i == 0 || finding.strength >= WORTH_A_LINE)
        .take(MAX_EVIDENCE)
        .map(|(_, finding)| words::evidence(facts, &plan.sides, finding))
        .collect();
    evidence.extend(words::contradictions(facts, &plan.sides, ranking, suspect));
    let first = suspect.findings.iter().filter(|finding| finding.strength >= 1.0).filter_map(|finding| finding.first);
    Candidate {
        rank,
        service: facts.text(suspect.service).to_owned(),
        indicator: words::indicator(facts, &suspect.findings[0]),
        score: (suspect.score * 1000.0).round() / 1000.0,
        first_deviation_unix_nano: first.min(),
        path: path(&ranking.calls, facts.entry, suspect.service)
            .into_iter()
            .map(|name| facts.text(name).to_owned())
            .collect(),
        evidence,
        scope: Vec::new(),
    }
}

/// The shortest way along calls from the entry; empty where there is none.
fn path(calls: &BTreeSet<(Name, Name)>, entry: Option<Name>, to: Name) -> Vec<Name> {
    let Some(entry) = entry else { return Vec::new() };
    let mut from: BTreeMap<Name, Name> = BTreeMap::from([(entry, entry)]);
    let mut waiting = VecDeque::from([entry]);
    while let Some(at) = waiting.pop_front() {
        if at == to {
            break;
        }
        for (_, callee) in calls.range((at, Name::default())..).take_while(|(caller, _)| *caller == at) {
            if !from.contains_key(callee) {
                from.insert(*callee, at);
                waiting.push_back(*callee);
            }
        }
    }
    let mut path = vec![to];
    while let Some(before) = from.get(&path[path.len() - 1]) {
        if *before == path[path.len() - 1] {
            path.reverse();
            return path;
        }
        path.push(*before);
    }
    Vec::new()
}

/// How far the first stands out: by its score, by its lead, by the number of independent families.
fn confidence(suspects: &[Suspect]) -> f64 {
    let Some(first) = suspects.first() else { return 0.0 };
    let next = suspects.get(1).map_or(0.0, |next| next.score);
    let strength = 1.0 - (-first.score / 4.0).exp();
    let lead = ((first.score - next) / first.score.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    let families = first.findings.iter().filter(|finding| finding.strength >= 1.0).count() as f64;
    let agreement = (families / 3.0).min(1.0);
    let sure = strength * (0.35 + 0.45 * lead.sqrt() + 0.2 * agreement);
    (sure * 100.0).round() / 100.0
}

fn outcome(facts: &Facts, plan: &Plan, ranking: &Ranking, is_hurt: Option<bool>) -> Outcome {
    let comparable = ranking.traces.iter().all(|traces| *traces > 0)
        || facts.series.iter().any(|series| {
            let has = |stretch: Stretch| series.points.iter().any(|(time, _)| stretch.contains(*time));
            has(plan.times.history) && has(plan.times.window)
        });
    if !comparable {
        return Outcome::NotEnoughData;
    }
    let is_unhurt = is_hurt == Some(false);
    if is_unhurt && plan.is_looked_for && plan.onset.is_none() {
        // Nothing began, and nobody suffers: whatever else is new is not the cause of anything.
        return Outcome::None;
    }
    let score = |i: usize| ranking.suspects.get(i).map_or(0.0, |suspect: &Suspect| suspect.score);
    let lead = (score(0) - score(1)) / score(0).max(f64::MIN_POSITIVE);
    let (least_score, least_lead) = if is_unhurt { UNHURT } else { (LEAST_SCORE, LEAST_LEAD) };
    if score(0) >= least_score && lead >= least_lead { Outcome::Found } else { Outcome::None }
}

fn notes(facts: &Facts, ranking: &Ranking, is_hurt: Option<bool>) -> Vec<Texts> {
    let mut notes = Vec::new();
    let mut note = |en: &str, zh: &str| notes.push(Texts { en: en.to_owned(), zh: zh.to_owned() });
    let [baseline, window] = ranking.traces;
    if facts.spans.is_empty() {
        note("no traces: only metrics and changes were compared", "没有链路数据：仅比较了指标和变更");
    } else if baseline == 0 || window == 0 {
        note("no traces on one side: calls could not be compared", "一侧没有链路数据：无法比较调用");
    }
    if is_hurt == Some(false) {
        note(
            "calls fail, lag or stay away no more than before: there may be nothing to explain",
            "调用的失败、变慢或减少均未超过以往：可能没有需要解释的问题",
        );
    }
    if facts.series.is_empty() {
        note("no metrics in the window", "窗口内没有指标");
    }
    if facts.logs.is_empty() {
        note("no log records that belong to traces", "没有属于链路的日志");
    }
    notes
}
