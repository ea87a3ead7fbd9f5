//! What changes with an evaluation, and evaluations over real files without rows.

use config::objective::{Bad, Budgeting, Indicator};
use storage::catalog::MemoryCatalog;

use super::*;
use crate::{
    alert::{incident::Neighbours, testing::alert},
    slo::budget::pairs,
    testing,
};

const NOW: i64 = 1_795_000_000_000_000_000;
const KEEP: i64 = 60_000_000_000;

fn objective(id: &str) -> Arc<Objective> {
    Arc::new(Objective {
        id: id.to_owned(),
        slo: id.to_owned(),
        display_name: id.to_owned(),
        description: String::new(),
        indicator: Indicator { service: "shop".to_owned(), operation: None, bad: Bad::Errors },
        target_ratio: 0.999,
        window: Duration::from_secs(30 * 86_400),
        budgeting: Budgeting::Occurrences,
    })
}

/// Every window at the same speed.
fn speeds(burn: f64) -> Vec<PairStatus> {
    let status = |pair| PairStatus { pair, burn_short: Some(burn), burn_long: Some(burn), has_history: true };
    pairs(Duration::from_secs(30 * 86_400)).into_iter().map(status).collect()
}

fn fired(firing: &mut HashMap<(String, Severity), Firing>, transitions: &Transitions) {
    for alert in &transitions.fired {
        let key = (alert.objective.clone(), alert.severity);
        firing.insert(key, Firing { alert: alert.clone(), quiet_since_unix_nano: None });
    }
}

#[test]
fn each_severity_fires_once_and_is_resolved_once() {
    let watched = [objective("a"), objective("b")];
    let mut firing = HashMap::new();
    let first = transitions(&watched, &[speeds(20.0), speeds(4.0)], &mut firing, KEEP, NOW);
    let names = |alerts: &[Alert]| -> Vec<String> {
        alerts.iter().map(|a| format!("{} {} {}", a.objective, a.severity.as_str(), a.factor)).collect()
    };
    assert_eq!(names(&first.fired), ["a page 14.4", "a ticket 3", "b ticket 3"]);
    fired(&mut firing, &first);
    let again = transitions(&watched, &[speeds(20.0), speeds(4.0)], &mut firing, KEEP, NOW + 1);
    assert!(again.fired.is_empty() && again.resolved.is_empty());

    let quiet = [speeds(2.0), speeds(0.0)];
    let waiting = transitions(&watched, &quiet, &mut firing, KEEP, NOW + 2);
    assert!(waiting.resolved.is_empty());
    let over = transitions(&watched, &quiet, &mut firing, KEEP, NOW + 2 + KEEP);
    let mut ended: Vec<_> = over.resolved.iter().map(|a| (a.objective.as_str(), a.severity.as_str())).collect();
    ended.sort_unstable();
    assert_eq!(ended, [("a", "page"), ("b", "ticket")], "a speed of 2 is above the 1 of the slowest pair");
}

#[test]
fn an_objective_that_is_gone_ends_its_alerts() {
    let mut firing = HashMap::new();
    let first = transitions(&[objective("a")], &[speeds(20.0)], &mut firing, KEEP, NOW);
    fired(&mut firing, &first);
    let gone = orphans(&[objective("b")], &firing, NOW + 5);
    assert_eq!(gone.len(), 2);
    assert!(gone.iter().all(|alert| alert.resolved_unix_nano == Some(NOW + 5)));
}

const DOCUMENT: &str = "\
apiVersion: openslo/v1
kind: SLO
metadata: {name: shop}
spec:
  service: shop
  indicator: {spec: {thresholdMetric: {metricSource: {type: Rootline, spec: {spans: {service: shop, bad: errors}}}}}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.999}]
";

#[tokio::test(flavor = "multi_thread")]
async fn files_are_taken_over_with_the_next_evaluation() {
    let home = tempfile::tempdir().unwrap();
    let mut config = testing::config();
    config.objective.directory = home.path().to_owned();
    let query = testing::Rows::default().query();
    let records = Records::new(Arc::new(MemoryCatalog::new()));
    let mut evaluator = Evaluator::new(&query, records, &config);
    evaluator.evaluate().await.unwrap();
    assert!(query.objectives().published().statuses.is_empty());

    let file = home.path().join("shop.yaml");
    std::fs::write(&file, DOCUMENT).unwrap();
    evaluator.evaluate().await.unwrap();
    let published = query.objectives().published();
    assert_eq!(published.statuses[0].state.as_str(), "missing_data");
    assert_eq!(&*published.files[0].text, DOCUMENT);

    std::fs::write(&file, DOCUMENT.replace("0.999", "1")).unwrap();
    evaluator.evaluate().await.unwrap();
    let published = query.objectives().published();
    assert_eq!(published.statuses[0].objective.target_ratio, 0.999);
    assert_eq!(published.files[0].problem.as_ref().unwrap().field, "spec.objectives[0].target");

    std::fs::remove_file(&file).unwrap();
    evaluator.evaluate().await.unwrap();
    assert!(query.objectives().published().statuses.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_stays_while_a_file_was_never_readable_since_the_start() {
    let home = tempfile::tempdir().unwrap();
    let mut config = testing::config();
    config.objective.directory = home.path().to_owned();
    let records = Records::new(Arc::new(MemoryCatalog::new()));
    let fired = Transitions { fired: vec![alert("shop", NOW)], resolved: Vec::new() };
    records.commit(fired, &Neighbours::default(), &[], NOW).await.unwrap();
    let mut evaluator = Evaluator::new(&testing::Rows::default().query(), records.clone(), &config);

    let file = home.path().join("shop.yaml");
    std::fs::write(&file, "kind: [").unwrap();
    evaluator.evaluate().await.unwrap();
    assert!(records.alerts().await.unwrap()[0].is_firing(), "its objective may be in the file");

    std::fs::write(&file, DOCUMENT).unwrap();
    evaluator.evaluate().await.unwrap();
    assert!(!records.alerts().await.unwrap()[0].is_firing(), "it is in no file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_made_up_for_by_reading_the_whole() {
    let query = testing::Rows::default().query();
    let records = Records::new(Arc::new(MemoryCatalog::new()));
    let mut evaluator = Evaluator::new(&query, records, &testing::config());
    assert!(evaluator.must_read_whole(NOW), "at the start");
    (evaluator.read_whole_unix_nano, evaluator.read_unix_nano) = (NOW, NOW);
    assert!(!evaluator.must_read_whole(NOW + MINUTE_NANO));
    assert!(evaluator.must_read_whole(NOW + LATE_NANO), "after a pause");
    assert!(evaluator.must_read_whole(NOW - 1), "after the clock was set back");
    evaluator.read_unix_nano = NOW + WHOLE_AGAIN_NANO;
    assert!(evaluator.must_read_whole(NOW + WHOLE_AGAIN_NANO), "from time to time");
}
