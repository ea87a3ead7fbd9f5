//! What was done to the services: deploys, flags, configurations; reported, or seen in telemetry.

use arrow::{datatypes::TimestampNanosecondType, record_batch::RecordBatch};
use datafusion::common::ScalarValue;
use storage::model::TimeRange;

use crate::{
    Limits, Query,
    columns::{Columns, optional},
    cost::Cost,
    error::{Error, Result},
    search::timestamp,
};

/// Changes of one answer; the newest are kept.
const MAX_CHANGES: usize = 1000;

/// A version that is seen so close to its report is the one reported: rollouts take their time, and so do clocks.
const SAME_NANO: u64 = 15 * 60 * 1_000_000_000;

const CHANGES: &str = "
    SELECT change_id, timestamp, service_name, kind, version, version_from, author, link, message, source
    FROM changes
    WHERE timestamp >= $from AND timestamp < $to AND ($service = '' OR service_name = $service)
    ORDER BY timestamp DESC, change_id LIMIT 1000";

/// Something that was done to a service.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Change {
    /// Hex.
    pub id: String,
    /// When.
    pub time_unix_nano: i64,
    /// To whom.
    pub service: String,
    /// deploy, config, flag, scale, incident
    pub kind: String,
    /// What it is at since.
    pub version: Option<String>,
    /// What it was at before.
    pub version_from: Option<String>,
    /// Who did it.
    pub author: Option<String>,
    /// Where there is more about it.
    pub link: Option<String>,
    /// What was done.
    pub message: Option<String>,
    /// api or telemetry
    pub source: String,
}

impl Query {
    /// The newest changes in `range`, newest first; of one service if it is named.
    ///
    /// # Errors
    /// As [`Query::sql`].
    pub async fn changes(&self, range: TimeRange, service: Option<&str>, limits: &Limits) -> Result<Vec<Change>> {
        let params = vec![
            ("from".to_owned(), timestamp(range.start_unix_nano())),
            ("to".to_owned(), timestamp(range.end_unix_nano())),
            ("service".to_owned(), ScalarValue::from(service.unwrap_or_default())),
        ];
        let mut changes = Vec::new();
        for batch in self.ask(limits, "changes", CHANGES, params, &mut Cost::new()).await? {
            changes.extend(read(&batch)?);
        }
        changes.truncate(MAX_CHANGES);
        Ok(told_once(changes))
    }
}

/// Without the versions seen in telemetry that somebody has reported as well.
fn told_once(changes: Vec<Change>) -> Vec<Change> {
    let is_same = |seen: &Change, reported: &Change| {
        (reported.source.as_str(), &reported.service, &reported.version) == ("api", &seen.service, &seen.version)
            && seen.time_unix_nano.abs_diff(reported.time_unix_nano) <= SAME_NANO
    };
    let is_told = |seen: &Change| seen.source == "telemetry" && changes.iter().any(|other| is_same(seen, other));
    changes.iter().filter(|change| !is_told(change)).cloned().collect()
}

fn read(batch: &RecordBatch) -> Result<Vec<Change>> {
    use arrow::array::AsArray as _;
    let columns = Columns(batch);
    let times = columns.column("timestamp")?;
    let times = times.as_primitive_opt::<TimestampNanosecondType>();
    let times = times.ok_or_else(|| Error::internal("a change without a time"))?;
    let (id, service, kind) = (columns.text("change_id")?, columns.text("service_name")?, columns.text("kind")?);
    let (version, from) = (columns.text("version")?, columns.text("version_from")?);
    let (author, link, message) = (columns.text("author")?, columns.text("link")?, columns.text("message")?);
    let source = columns.text("source")?;
    let change = |row| Change {
        id: id.value(row).to_owned(),
        time_unix_nano: times.value(row),
        service: service.value(row).to_owned(),
        kind: kind.value(row).to_owned(),
        version: optional(&version, row),
        version_from: optional(&from, row),
        author: optional(&author, row),
        link: optional(&link, row),
        message: optional(&message, row),
        source: source.value(row).to_owned(),
    };
    Ok((0..batch.num_rows()).map(change).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(source: &str, version: &str, minute: i64) -> Change {
        Change {
            id: format!("{source} {version} {minute}"),
            time_unix_nano: minute * 60_000_000_000,
            service: "cart".to_owned(),
            kind: "deploy".to_owned(),
            version: Some(version.to_owned()),
            version_from: None,
            author: None,
            link: None,
            message: None,
            source: source.to_owned(),
        }
    }

    #[test]
    fn a_deploy_that_is_reported_and_seen_is_told_once() {
        let (reported, seen) = (change("api", "2", 100), change("telemetry", "2", 103));
        let (later, other) = (change("telemetry", "2", 200), change("telemetry", "3", 101));
        let told = told_once(vec![later.clone(), seen, other.clone(), reported.clone()]);
        assert_eq!(told, [later, other, reported]);
    }
}
