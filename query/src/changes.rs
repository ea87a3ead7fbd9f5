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
        Ok(changes)
    }
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
