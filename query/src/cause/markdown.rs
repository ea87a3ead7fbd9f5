//! Pure: a report -> Markdown in both languages.

use std::fmt::Write as _;

use super::report::{Candidate, Outcome, Report, Texts};

/// Words of one language.
struct Words {
    title: &'static str,
    found: &'static str,
    none: &'static str,
    not_enough: &'static str,
    impact: &'static str,
    calls: &'static str,
    failed: &'static str,
    slow: &'static str,
    confidence: &'static str,
    path: &'static str,
    scope: &'static str,
    others: &'static str,
    notes: &'static str,
    against: &'static str,
    window: &'static str,
    baseline: &'static str,
}

const EN: Words = Words {
    title: "Root cause",
    found: "Most likely cause",
    none: "No root cause found: nothing stands out from what the baseline shows.",
    not_enough: "Not enough data: there is nothing to compare the window with.",
    impact: "Impact",
    calls: "calls",
    failed: "failed",
    slow: "slow",
    confidence: "confidence",
    path: "Path",
    scope: "Where",
    others: "Other candidates",
    notes: "Limits",
    against: "against: ",
    window: "Window",
    baseline: "Baseline",
};

const ZH: Words = Words {
    title: "根因",
    found: "最可能的原因",
    none: "未找到根因：没有明显偏离基线之处。",
    not_enough: "数据不足：没有可与窗口比较的数据。",
    impact: "影响",
    calls: "次调用",
    failed: "次失败",
    slow: "次变慢",
    confidence: "置信度",
    path: "路径",
    scope: "范围",
    others: "其他候选",
    notes: "局限",
    against: "反证：",
    window: "窗口",
    baseline: "基线",
};

/// The whole report.
pub(crate) fn render(report: &Report) -> Texts {
    Texts { en: document(report, &EN, |texts| &texts.en), zh: document(report, &ZH, |texts| &texts.zh) }
}

fn document(report: &Report, words: &Words, of: fn(&Texts) -> &str) -> String {
    let mut out = String::new();
    let entry = report.service.as_deref().map_or(String::new(), |service| format!(": {}", inert(service)));
    let _ = writeln!(out, "# {}{entry}\n", words.title);
    for (name, span) in [(words.window, report.window), (words.baseline, report.baseline)] {
        let _ = writeln!(out, "- {name}: {} – {}", time(span.from_unix_nano), time(span.to_unix_nano));
    }
    out.push('\n');
    match (report.outcome, report.candidates.first()) {
        (Outcome::Found, Some(first)) => {
            let _ = writeln!(
                out,
                "## {}: {} — {} ({} {:.0} %)\n",
                words.found,
                inert(&first.service),
                inert(&first.indicator.name),
                words.confidence,
                report.confidence * 100.0
            );
            candidate(&mut out, first, words, of);
        }
        (Outcome::NotEnoughData, _) => drop(writeln!(out, "{}\n", words.not_enough)),
        _ => drop(writeln!(out, "{}\n", words.none)),
    }
    let impact = &report.impact;
    if impact.calls > 0 {
        let _ = writeln!(
            out,
            "## {}\n\n{} {}, {} {}, {} {}\n",
            words.impact, impact.calls, words.calls, impact.failed, words.failed, impact.slow, words.slow
        );
    }
    let shown = usize::from(report.outcome == Outcome::Found);
    let others: Vec<&Candidate> = report.candidates.iter().skip(shown).take(4).collect();
    if !others.is_empty() && report.outcome != Outcome::NotEnoughData {
        let _ = writeln!(out, "## {}\n", words.others);
        for other in others {
            let line = other.evidence.first().map_or("", |evidence| of(&evidence.texts));
            let _ = writeln!(out, "{}. {} ({:.1}): {}", other.rank, inert(&other.service), other.score, inert(line));
        }
        out.push('\n');
    }
    if !report.notes.is_empty() {
        let _ = writeln!(out, "## {}\n", words.notes);
        for note in &report.notes {
            let _ = writeln!(out, "- {}", inert(of(note)));
        }
    }
    out
}

fn candidate(out: &mut String, candidate: &Candidate, words: &Words, of: fn(&Texts) -> &str) {
    for evidence in &candidate.evidence {
        let against = if evidence.contradicts { words.against } else { "" };
        let _ = writeln!(out, "- {against}{} ([↗]({}))", inert(of(&evidence.texts)), evidence.link);
    }
    if candidate.path.len() > 1 {
        let path: Vec<String> = candidate.path.iter().map(|service| inert(service)).collect();
        let _ = writeln!(out, "\n{}: {}", words.path, path.join(" → "));
    }
    if !candidate.scope.is_empty() {
        let _ = writeln!(out, "\n{}:\n", words.scope);
        for scope in &candidate.scope {
            let _ = writeln!(
                out,
                "- {} = {}: {:.0} % / {:.0} %",
                inert(&scope.attribute),
                inert(&scope.value),
                scope.bad_ratio * 100.0,
                scope.good_ratio * 100.0
            );
        }
    }
    out.push('\n');
}

/// Text from outside that must not become markup.
fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '*' | '`' | '[' | ']' | '<' | '>' | '|' | '\\' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// `2026-01-31 23:59:59Z`, whole seconds.
fn time(unix_nano: i64) -> String {
    let seconds = unix_nano.div_euclid(1_000_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Days since the epoch as a date. Source: Howard Hinnant, chrono-Compatible Low-Level Date Algorithms.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}
