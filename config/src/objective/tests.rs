//! What a file says, what is refused and where, and what stays in force.

use std::{fs, path::Path, time::Duration};

use super::*;

const CHECKOUT: &str = "\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: checkout-availability
  displayName: Checkout works
spec:
  description: Orders go through
  service: checkout
  indicator:
    metadata: {name: checkout-errors}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: Rootline, spec: {spans: {service: checkout, bad: errors}}}}
        total: {metricSource: {type: Rootline, spec: {spans: {service: checkout}}}}
  timeWindow:
    - duration: 28d
      isRolling: true
  budgetingMethod: Occurrences
  objectives:
    - displayName: Internal
      target: 0.999
    - displayName: Promised
      targetPercent: 99.5
";

fn objectives(text: &str) -> Vec<Objective> {
    read(text).unwrap().resolve([]).unwrap()
}

/// The problem with a text, as people see it.
fn problem(text: &str) -> String {
    let resolved = read(text).and_then(|documents| documents.resolve([]).map(drop));
    resolved.expect_err("the text is refused").to_string()
}

/// `CHECKOUT` with one line changed.
fn changed(from: &str, to: &str) -> String {
    assert!(CHECKOUT.contains(from), "{from}");
    CHECKOUT.replacen(from, to, 1)
}

#[test]
fn a_document_is_plain_data() {
    let objectives = objectives(CHECKOUT);
    assert_eq!(objectives.len(), 2);
    assert_eq!(
        objectives[0],
        Objective {
            id: "checkout-availability".to_owned(),
            slo: "checkout-availability".to_owned(),
            display_name: "Checkout works: Internal".to_owned(),
            description: "Orders go through".to_owned(),
            indicator: Indicator { service: "checkout".to_owned(), operation: None, bad: Bad::Errors },
            target_ratio: 0.999,
            window: Duration::from_secs(28 * 86_400),
            budgeting: Budgeting::Occurrences,
        }
    );
    assert_eq!((objectives[1].id.as_str(), objectives[1].target_ratio), ("checkout-availability.2", 0.995));
}

#[test]
fn json_and_lists_and_several_documents_are_read() {
    let latency = r#"{"apiVersion":"openslo/v1","kind":"SLO","metadata":{"name":"fast"},"spec":{"service":"a",
        "indicator":{"spec":{"thresholdMetric":{"metricSource":{"type":"Rootline",
            "spec":{"spans":{"service":"a","operation":"GET /","bad":{"slower_than":"300ms"}}}}}}},
        "timeWindow":[{"duration":"4w","isRolling":true}],"budgetingMethod":"Timeslices",
        "objectives":[{"target":0.99,"timeSliceTarget":0.95,"timeSliceWindow":"5m"}]}}"#;
    let both = format!(
        "---\n{CHECKOUT}---\n- {latency}\n- {{apiVersion: openslo/v1, kind: Service, metadata: {{name: a}}, spec: {{}}}}\n"
    );
    let objectives = objectives(&both);
    assert_eq!(objectives.len(), 3);
    let fast = &objectives[2];
    assert_eq!(fast.indicator.bad, Bad::SlowerThan(Duration::from_millis(300)));
    assert_eq!(fast.indicator.operation.as_deref(), Some("GET /"));
    let slice = Duration::from_secs(300);
    assert_eq!(fast.budgeting, Budgeting::Timeslices { slice, target_ratio: 0.95 });
}

#[test]
fn objectives_may_have_thresholds_of_their_own() {
    let text = changed(
        "      ratioMetric:
        counter: true
        bad: {metricSource: {type: Rootline, spec: {spans: {service: checkout, bad: errors}}}}
        total: {metricSource: {type: Rootline, spec: {spans: {service: checkout}}}}
",
        "      thresholdMetric: {metricSource: {type: Rootline, spec: {spans: {service: checkout}}}}
",
    );
    let both = text
        .replace("target: 0.999", "target: 0.999\n      op: lt\n      value: 500")
        .replace("targetPercent: 99.5", "targetPercent: 99.5\n      op: lte\n      value: 1s 500ms");
    let bad: Vec<Bad> = objectives(&both).iter().map(|objective| objective.indicator.bad).collect();
    assert_eq!(bad, [500, 1500].map(|millis| Bad::SlowerThan(Duration::from_millis(millis))));
    assert!(problem(&text).contains("nothing says which spans are bad"), "{}", problem(&text));
    let wrong = both.replace("op: lt\n", "op: gt\n");
    assert!(problem(&wrong).contains("spec.objectives[0].op: expected lt or lte"), "{}", problem(&wrong));
}

#[test]
fn what_cannot_be_used_is_named_with_its_place() {
    for (text, expected) in [
        (
            changed("target: 0.999", "target: 1.0"),
            "line 22, column 15: spec.objectives[0].target: an objective of 100 % has no error budget",
        ),
        (
            changed("targetPercent: 99.5", "targetPercent: 100"),
            "line 24, column 22: spec.objectives[1].targetPercent: an objective of 100 %",
        ),
        (changed("target: 0.999", "target: 99.9"), "spec.objectives[0].target: expected a share from 0 and below 1"),
        (changed("target: 0.999", "target: .nan"), "line 22, column 15: cannot be read as YAML: non-finite float"),
        (changed("target: 0.999", "target: \"0.999\""), "spec.objectives[0].target: expected a number, found text"),
        (
            changed("target: 0.999", "targt: 0.999"),
            "line 22, column 14: spec.objectives[0].targt: unknown field, expected one of displayName",
        ),
        (
            changed("type: Rootline", "type: Prometheus"),
            "line 14, column 36: spec.indicator.spec.ratioMetric.bad.metricSource.type: \"Prometheus\" is not supported yet",
        ),
        (
            changed("spans: {service: checkout, bad: errors}", "promql: {good: a}"),
            "metricSource.spec.promql: promql is not supported yet",
        ),
        (changed("duration: 28d", "duration: 1M"), "spec.timeWindow[0].duration: months"),
        (changed("duration: 28d", "duration: 91d"), "spec.timeWindow[0].duration: expected 1h to 90d"),
        (changed("duration: 28d", "duration: 28"), "spec.timeWindow[0].duration: expected text, found a number"),
        (changed("duration: 28d", "duration: \u{e9}"), "spec.timeWindow[0].duration: expected a number and one of"),
        (
            changed("isRolling: true", "isRolling: false"),
            "spec.timeWindow[0].isRolling: windows that do not roll are not supported yet",
        ),
        (
            changed("openslo/v1", "openslo/v1alpha"),
            "line 1, column 13: apiVersion: found \"openslo/v1alpha\", expected openslo/v1",
        ),
        (changed("kind: SLO", "kind: Slo"), "line 2, column 7: kind: unknown kind \"Slo\""),
        (changed("name: checkout-availability", "name: ../../etc"), "metadata.name: expected 1 to 128 letters"),
        (changed("Occurrences", "Timeslices"), "spec.objectives[0].timeSliceWindow: is missing"),
        (changed("bad: errors", "bad: latency"), "spans.bad: expected errors or {slower_than: 300ms}"),
        (
            changed("{spans: {service: checkout}}", "{spans: {service: other}}"),
            "ratioMetric.total.metricSource: all parts of a ratio are the same spans",
        ),
        (changed("  service: checkout\n", ""), "spec.service: is missing"),
        (changed("  budgetingMethod: Occurrences\n", ""), "spec.budgetingMethod: is missing"),
        ("a: [".to_owned(), "cannot be read as YAML"),
        ("a: 1\na: 2".to_owned(), "line 2, column 1: cannot be read as YAML"),
        ("just text".to_owned(), "expected a mapping, found text"),
    ] {
        let found = problem(&text);
        assert!(found.contains(expected), "found    {found}\nexpected {expected}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}

#[test]
fn small_texts_cannot_become_large_trees() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, last) in ["b", "c", "d", "e", "f", "g", "h"].iter().zip(["a", "b", "c", "d", "e", "f", "g"]) {
        bomb.push_str(&format!("{name}: &{name} [*{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}]\n"));
    }
    assert!(problem(&bomb).contains("cannot be read as YAML"), "{}", problem(&bomb));
    let deep = "[".repeat(100_000);
    assert!(problem(&deep).contains("cannot be read as YAML"));
}

#[test]
fn indicators_may_stand_in_another_document_or_file() {
    let shared = "\
apiVersion: openslo/v1
kind: SLI
metadata: {name: checkout-errors}
spec:
  ratioMetric: {raw: {metricSource: {type: Rootline, spec: {spans: {service: checkout, bad: errors}}}}, rawType: failure}
";
    let user = "\
apiVersion: openslo/v1
kind: SLO
metadata: {name: orders}
spec:
  service: checkout
  indicatorRef: checkout-errors
  timeWindow: [{duration: 7d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
";
    assert_eq!(objectives(&format!("{user}---\n{shared}"))[0].indicator.service, "checkout");
    assert!(
        problem(user)
            .contains("line 6, column 17: spec.indicatorRef: no document of kind SLI is named \"checkout-errors\"")
    );

    let mut library = Library::default();
    let file = |name: &str, text: &str| (name.to_owned(), Ok(text.to_owned()));
    assert!(library.update(vec![file("a.yaml", user), file("b.yaml", shared)], 1));
    assert_eq!(library.objectives().count(), 1);
    // The indicator goes: who refers to it says so, and what was in force stays.
    assert!(library.update(vec![file("a.yaml", user)], 2));
    assert_eq!(library.objectives().count(), 1);
    assert!(library.files().next().unwrap().problem.is_some());
}

fn states(library: &Library) -> Vec<(String, usize, Option<String>, Option<i64>)> {
    let state = |file: FileStatus<'_>| {
        (file.name.to_owned(), file.objectives.len(), file.problem.map(|p| p.message.clone()), file.loaded_unix_nano)
    };
    library.files().map(state).collect()
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let mut library = Library::default();
    let with = |text: &str| vec![("a.yaml".to_owned(), Ok(text.to_owned()))];
    assert!(library.update(with(CHECKOUT), 1));
    assert!(!library.update(with(CHECKOUT), 2), "the same again is no change");
    assert!(library.update(with("nonsense: ["), 3));
    let [(_, 2, Some(_), Some(1))] = states(&library)[..] else { panic!("{:?}", states(&library)) };
    assert_eq!(library.files().next().unwrap().text, CHECKOUT);
    assert!(library.update(with(&changed("0.999", "0.99")), 4));
    assert_eq!(states(&library), [("a.yaml".to_owned(), 2, None, Some(4))]);
    assert_eq!(library.objectives().next().unwrap().target_ratio, 0.99);
    assert!(library.update(vec![("a.yaml".to_owned(), Err(Problem::of_file("cannot be read")))], 5));
    assert_eq!(library.objectives().count(), 2);
    assert!(library.update(Vec::new(), 6));
    assert_eq!(library.objectives().count(), 0);
}

#[test]
fn a_name_belongs_to_who_had_it_first() {
    let mut library = Library::default();
    let file = |name: &str, text: &str| (name.to_owned(), Ok(text.to_owned()));
    library.update(vec![file("b.yaml", CHECKOUT)], 1);
    library.update(vec![file("a.yaml", CHECKOUT), file("b.yaml", CHECKOUT)], 2);
    let found = states(&library);
    assert!(found[0].2.as_deref().is_some_and(|m| m.contains("an objective named \"checkout-availability\" already")));
    assert_eq!((found[0].1, found[1].1, &found[1].2), (0, 2, &None));
    // Its holder goes, and the name with it.
    library.update(vec![file("a.yaml", CHECKOUT)], 3);
    assert_eq!(states(&library), [("a.yaml".to_owned(), 2, None, Some(3))]);
}

#[test]
fn a_directory_is_read_by_name_and_its_odd_entries_are_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("b.yml"), CHECKOUT).unwrap();
    fs::write(path.join("a.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    fs::write(path.join(".hidden.yaml"), CHECKOUT).unwrap();
    fs::write(path.join("notes.txt"), "hello").unwrap();
    fs::write(path.join("large.json"), vec![b' '; MAX_FILE_BYTES + 1]).unwrap();
    fs::create_dir(path.join("directory.yaml")).unwrap();
    let files = directory::read(path).unwrap();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a.yaml", "b.yml", "large.json"]);
    assert!(files[0].1.is_err() && files[1].1.is_ok() && files[2].1.is_err());
    assert!(directory::read(&path.join("absent")).unwrap().is_empty());
}

/// Every published document, where they are present: read, or refused in words that name the field.
#[test]
fn documents_of_others_are_read_or_refused_by_field() {
    let root = Path::new("/work/shared/data/slo");
    if !root.is_dir() {
        eprintln!("skipped: no {}", root.display());
        return;
    }
    let mut left = vec![root.join("openslo"), root.join("openslo-go-sdk"), root.join("sloth"), root.join("pyrra")];
    let mut count = 0;
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if !directory::is_definition(path.file_name().unwrap().to_str().unwrap()) {
            continue;
        }
        count += 1;
        let text = fs::read_to_string(&path).unwrap();
        match read(&text).and_then(|documents| documents.resolve([])) {
            Ok(objectives) => eprintln!("{}: {} objectives", path.display(), objectives.len()),
            Err(problem) => {
                eprintln!("{}: {problem}", path.display());
                assert!(problem.line > 0 && !problem.message.is_empty(), "{}: {problem:?}", path.display());
            }
        }
    }
    assert!(count > 10, "{count}");
}
