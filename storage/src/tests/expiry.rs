//! Rows that retention rules name go, and no others.

use std::{sync::Arc, time::Duration};

use config::{Age, RetentionRule, RuleTable};

use super::{open, times};
use crate::{Environment, ErrorKind, environment::Threads, model::Table, store::Store, testing::batch};

fn rule(table: RuleTable, keep: Age, service: &str) -> RetentionRule {
    RetentionRule {
        table,
        keep,
        service: Some(service.to_owned()),
        metric: None,
        severity_below: None,
        attributes: std::collections::BTreeMap::new(),
    }
}

#[tokio::test]
async fn rows_that_rules_name_expire_once_and_the_others_stay() {
    let directory = tempfile::tempdir().unwrap();
    let minute = Age::Limited(Duration::from_secs(60));
    let mut config = config::Config::default();
    config.retention.rules = [RuleTable::Logs, RuleTable::Spans, RuleTable::Metrics]
        .into_iter()
        .flat_map(|table| [rule(table, Age::Forever, "kept"), rule(table, minute, "k*")])
        .collect();
    (config.retention.logs, config.retention.spans) = (Age::Forever, minute);
    (config.retention.metrics, config.compaction.grace) = (Age::Forever, Duration::ZERO);
    let system = Environment::system(directory.path()).await.unwrap();
    let store = Store::recover(&config, Environment { threads: Threads::Caller, ..system }).await.unwrap();
    let tables = [Table::Logs, Table::Spans, Table::Metrics];
    for table in tables {
        let rows = [(1, "kept"), (2, "killed"), (3, "other"), (4, "killed"), (5, "kept")];
        super::append(&store, batch(table, None, &rows)).await.unwrap();
        super::append(&store, batch(table, None, &[(6, "killed")])).await.unwrap();
    }
    store.flush_all().await.unwrap();
    let ids = |store: &Store| {
        let view = store.view();
        let segments = view.tables.values().flat_map(|table| table.segments.to_vec());
        segments.map(|segment| segment.meta().id.clone()).collect::<Vec<_>>()
    };
    store.expire().await.unwrap();
    let after = ids(&store);
    store.expire().await.unwrap();
    assert_eq!(ids(&store), after, "nothing is rewritten twice");
    store.delete_retired().await;
    drop(store);
    let storage = open(directory.path()).await;
    assert_eq!(times(&storage, Table::Logs).await, [1, 3, 5]);
    assert_eq!(times(&storage, Table::Spans).await, [1, 5], "a rule that keeps longer than the table");
    assert_eq!(times(&storage, Table::Metrics).await, [1, 3, 5]);
    for table in tables {
        for segment in storage.snapshot().segments(table) {
            segment.verify().await.unwrap();
        }
    }
    assert_eq!(storage.status().recovery.leftover_files, 0);
    storage.shutdown(Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn a_segment_without_any_row_left_goes_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config::Config::default();
    config.retention.logs = Age::Forever;
    config.retention.rules = vec![rule(RuleTable::Logs, Age::Limited(Duration::from_secs(60)), "a")];
    let system = Environment::system(directory.path()).await.unwrap();
    let store = Store::recover(&config, Environment { threads: Threads::Caller, ..system }).await.unwrap();
    super::append(&store, batch(Table::Logs, None, &[(1, "a"), (2, "a")])).await.unwrap();
    store.flush_all().await.unwrap();
    store.expire().await.unwrap();
    assert_eq!(store.status().tables[0].segments, 0);
    let store = Arc::try_unwrap(store).map_err(|_| "one owner").unwrap();
    drop(store);
    assert_eq!(times(&open(directory.path()).await, Table::Logs).await, [0_i64; 0]);
}

#[tokio::test]
async fn a_damaged_segment_holds_up_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config::Config::default();
    config.compaction.min_segments = 2;
    config.retention.rules = vec![rule(RuleTable::Spans, Age::Limited(Duration::from_secs(60)), "a")];
    (config.retention.logs, config.retention.spans) = (Age::Forever, Age::Forever);
    let system = Environment::system(directory.path()).await.unwrap();
    let store = Store::recover(&config, Environment { threads: Threads::Caller, ..system }).await.unwrap();
    for i in 1..=2 {
        for table in [Table::Logs, Table::Spans] {
            super::append(&store, batch(table, None, &[(i, "a"), (i, "b")])).await.unwrap();
        }
        store.flush_all().await.unwrap();
    }
    let path = |table: Table| {
        let view = store.view();
        let of_table = view.tables.iter().find(|(place, _)| place.1 == table).unwrap().1;
        directory.path().join(&of_table.segments[0].meta().path)
    };
    for table in [Table::Logs, Table::Spans] {
        let mut bytes = std::fs::read(path(table)).unwrap();
        bytes[4..1000].fill(7);
        std::fs::write(path(table), bytes).unwrap();
    }
    assert_eq!(store.expire().await.unwrap_err().kind(), ErrorKind::Corrupt);
    let status = store.status();
    assert_eq!((status.tables[1].segments, status.tables[1].segment_rows), (2, 3), "the other segment has lost a row");
    super::append(&store, batch(Table::Exemplars, None, &[(1, "a")])).await.unwrap();
    store.flush_all().await.unwrap();
    super::append(&store, batch(Table::Exemplars, None, &[(2, "a")])).await.unwrap();
    store.flush_all().await.unwrap();
    assert_eq!(store.compact().await.unwrap_err().kind(), ErrorKind::Corrupt);
    let of = |name: &str| store.status().tables.iter().find(|table| table.name == name).map(|table| table.segments);
    assert_eq!((of("logs"), of("spans"), of("exemplars")), (Some(2), Some(2), Some(1)));
}
