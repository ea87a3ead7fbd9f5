//! Pure: a finding -> its name, its sentence in both languages and the numbers behind it.

use super::{
    facts::Facts,
    finding::{Family, Finding, Subject},
    forest::{Side, Sides},
    meaning::Meaning,
    proof,
    rank::{Ranking, Suspect},
    report::{Evidence, Indicator, Table, Texts},
    tally::End,
};

impl Family {
    /// As the API names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Gap => "gap",
            Self::Own => "own",
            Self::Shape => "shape",
            Self::Novelty => "novelty",
            Self::Metric | Self::Node => "metric",
            Self::Symptom => "metric",
            Self::Change => "change",
        }
    }
}

/// The other end of a call, by name.
pub(crate) fn end_name(facts: &Facts, end: End) -> &str {
    match end {
        End::Service(name) | End::Peer(Some(name)) => facts.text(name),
        End::Peer(None) => "(unnamed)",
    }
}

/// What is wrong, in one name.
pub(crate) fn indicator(facts: &Facts, finding: &Finding) -> Indicator {
    let (kind, name) = match finding.subject {
        Subject::Edge(caller, end) => ("latency", format!("edge {} -> {}", facts.text(caller), end_name(facts, end))),
        Subject::Operation(operation) => ("latency", format!("operation {}", facts.text(operation))),
        Subject::Failure(operation, None | Some(End::Service(_))) => {
            ("operation", format!("errors in {}", facts.text(operation)))
        }
        Subject::Failure(operation, Some(end)) => {
            ("operation", format!("errors in {} -> {}", facts.text(operation), end_name(facts, end)))
        }
        Subject::Call(from, to) => {
            ("operation", format!("{} -> {} {}", facts.text(from.1), facts.text(to.0), facts.text(to.1)))
        }
        Subject::Log { template, .. } => ("log_pattern", facts.text(template).to_owned()),
        Subject::Series(index) => ("metric", facts.text(facts.series[index].metric).to_owned()),
        Subject::Node { node, series } => {
            ("resource", format!("{} {}", facts.text(node), facts.text(facts.series[series].metric)))
        }
        Subject::Change(index) => {
            let change = &facts.changes[index];
            let version = change.version.map_or(String::new(), |version| format!(" {}", facts.text(version)));
            ("change", format!("{}{version}", facts.text(change.kind)))
        }
    };
    Indicator { kind: kind.to_owned(), name }
}

/// The finding as a line of evidence.
pub(crate) fn evidence(facts: &Facts, sides: &Sides, finding: &Finding) -> Evidence {
    let unit = unit(facts, finding);
    let shown = |value: f64| show(value, &unit);
    let (before, after) = (shown(finding.before), shown(finding.after));
    let result = Table {
        columns: ["period", "observations", "value"].map(str::to_owned).to_vec(),
        rows: vec![
            vec!["baseline".to_owned(), finding.observed.0.to_string(), before.clone()],
            vec!["window".to_owned(), finding.observed.1.to_string(), after.clone()],
        ],
    };
    Evidence {
        family: finding.family.name().to_owned(),
        indicator: indicator(facts, finding),
        texts: sentence(facts, finding, &before, &after),
        query: proof::query(facts, sides, finding),
        link: proof::link(facts, sides, finding),
        value: finding.after,
        expected: finding.before,
        unit,
        contradicts: false,
        result,
    }
}

fn unit(facts: &Facts, finding: &Finding) -> String {
    match finding.subject {
        Subject::Edge(..) | Subject::Operation(_) => "ms".to_owned(),
        Subject::Failure(..) | Subject::Call(..) => "ratio".to_owned(),
        Subject::Log { .. } if finding.family == Family::Shape => "ratio".to_owned(),
        Subject::Log { .. } | Subject::Change(_) => "count".to_owned(),
        Subject::Series(index) | Subject::Node { series: index, .. } => facts.text(facts.series[index].unit).to_owned(),
    }
}

/// A number as people read it.
pub(crate) fn show(value: f64, unit: &str) -> String {
    match unit {
        "ms" if value.abs() >= 1000.0 => format!("{:.2} s", value / 1000.0),
        "ms" if value.abs() >= 10.0 => format!("{value:.0} ms"),
        "ms" => format!("{value:.1} ms"),
        "ratio" => format!("{:.1} %", value * 100.0),
        "count" => format!("{value:.0}"),
        "%" => format!("{value:.1} %"),
        "By" if value.abs() >= 1e6 => format!("{:.0} MB", value / 1e6),
        "" | "1" => short(value),
        unit => format!("{} {}", short(value), unit.trim_matches(['{', '}'])),
    }
}

/// Three significant digits.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn sentence(facts: &Facts, finding: &Finding, before: &str, after: &str) -> Texts {
    let service = facts.text(finding.service);
    match finding.subject {
        Subject::Edge(caller, end @ End::Service(_)) => {
            let (caller, callee) = (facts.text(caller), end_name(facts, end));
            Texts {
                en: format!("calls from {caller} to {callee} spend {after} between both ends (before: {before})"),
                zh: format!("{caller} 调用 {callee} 时，两端之间耗时 {after}（此前 {before}）"),
            }
        }
        Subject::Edge(caller, end) => {
            let (caller, peer) = (facts.text(caller), end_name(facts, end));
            Texts {
                en: format!("{peer} answers {caller} in {after} (before: {before})"),
                zh: format!("{peer} 应答 {caller} 耗时 {after}（此前 {before}）"),
            }
        }
        Subject::Operation(operation) => {
            let operation = facts.text(operation);
            Texts {
                en: format!("{operation} spends {after} in {service} itself (before: {before})"),
                zh: format!("{operation} 在 {service} 自身耗时 {after}（此前 {before}）"),
            }
        }
        Subject::Failure(operation, end) => {
            failure(facts.text(operation), service, end.map(|end| end_name(facts, end)), before, after)
        }
        Subject::Call(from, to) => {
            let (from, service, to) = (facts.text(from.1), facts.text(to.0), facts.text(to.1));
            Texts {
                en: format!("{after} of {from} call {service} {to} (before: {before})"),
                zh: format!("{from} 中有 {after} 调用 {service} {to}（此前 {before}）"),
            }
        }
        Subject::Log { template, operation, .. } => {
            let template = facts.text(template);
            match operation.filter(|operation| finding.family == Family::Shape && !facts.text(*operation).is_empty()) {
                Some(operation) => {
                    let operation = facts.text(operation);
                    Texts {
                        en: format!("{after} of {operation} in {service} write \"{template}\" (before: {before})"),
                        zh: format!("{service} 的 {operation} 中有 {after} 写出“{template}”（此前 {before}）"),
                    }
                }
                None => Texts {
                    en: format!("{service} writes \"{template}\" in {after} traces, never before"),
                    zh: format!("{service} 在 {after} 条链路中写出“{template}”，此前从未出现"),
                },
            }
        }
        Subject::Series(index) => metric(facts, index, service, before, after),
        Subject::Node { node, series } => {
            let (node, metric) = (facts.text(node), facts.text(facts.series[series].metric));
            Texts {
                en: format!("several pods on node {node} deviate together; {metric} is {after} (before: {before})"),
                zh: format!("节点 {node} 上多个 Pod 同时异常；{metric} 为 {after}（此前 {before}）"),
            }
        }
        Subject::Change(index) => change(facts, index),
    }
}

fn failure(operation: &str, service: &str, end: Option<&str>, before: &str, after: &str) -> Texts {
    match end {
        Some(end) => Texts {
            en: format!("{after} of {operation} fail at the call to {end} (before: {before})"),
            zh: format!("{operation} 调用 {end} 失败 {after}（此前 {before}）"),
        },
        None => Texts {
            en: format!("{after} of {operation} fail in {service} itself (before: {before})"),
            zh: format!("{operation} 在 {service} 自身失败 {after}（此前 {before}）"),
        },
    }
}

fn metric(facts: &Facts, index: usize, service: &str, before: &str, after: &str) -> Texts {
    let series = &facts.series[index];
    let name = facts.text(series.metric);
    let pod = series.place.pod.map(|pod| facts.text(pod));
    let whose = pod.unwrap_or(service);
    let worse = Meaning::of(name, facts.text(series.unit)).worse();
    let (en, zh) = if worse < 0 { ("falls to", "降至") } else { ("reaches", "达到") };
    Texts {
        en: format!("{name} of {whose} {en} {after} (before: {before})"),
        zh: format!("{whose} 的 {name} {zh} {after}（此前 {before}）"),
    }
}

fn change(facts: &Facts, index: usize) -> Texts {
    let change = &facts.changes[index];
    let (kind, service) = (facts.text(change.kind), facts.text(change.service));
    let version = change.version.map_or(String::new(), |version| format!(" {}", facts.text(version)));
    Texts {
        en: format!("{kind}{version} of {service} shortly before the onset"),
        zh: format!("{service} 在异常开始前不久发生变更：{kind}{version}"),
    }
}

/// What speaks against a candidate: calls that it answers as before.
pub(crate) fn contradictions(facts: &Facts, sides: &Sides, ranking: &Ranking, suspect: &Suspect) -> Vec<Evidence> {
    let has = |families: &[Family]| {
        suspect.findings.iter().any(|finding| finding.strength >= 1.0 && families.contains(&finding.family))
    };
    let mut against = Vec::new();
    let (mut calls, mut failed) = ([0_u32; 2], [0_u32; 2]);
    for (span, node) in
        facts.spans.iter().zip(&ranking.forest.nodes).filter(|(span, _)| span.service == suspect.service)
    {
        let side = match node.side {
            Side::Window => 1,
            side if side.is_baseline() => 0,
            _ => continue,
        };
        calls[side] += 1;
        failed[side] += u32::from(span.failed);
    }
    if calls[0] == 0 || calls[1] == 0 || has(&[Family::Error]) {
        return against;
    }
    let ratio = |side: usize| f64::from(failed[side]) / f64::from(calls[side]);
    if ratio(1) <= ratio(0) * 1.2 + 0.005 {
        let service = facts.text(suspect.service);
        let (before, after) = (show(ratio(0), "ratio"), show(ratio(1), "ratio"));
        let texts = Texts {
            en: format!("spans of {service} fail no more often than before: {after} (before: {before})"),
            zh: format!("{service} 的失败率没有升高：{after}（此前 {before}）"),
        };
        against.push(proof::errors(facts, sides, suspect.service, texts, (calls, [ratio(0), ratio(1)])));
    }
    against
}
