//! Status changes -> notifications; near alerts -> one incident.
//!
//! `state` decides when an alert fires and is resolved, `incident` which alerts belong together, `notify` what is said to
//! whom: all pure. `record` keeps the outcome in the catalog, a transition together with what has to be sent because of it, in
//! one transaction. `deliver` sends what is kept and not yet sent, through the guard of `target`: whatever happens in
//! between, nothing is missed, and a message that may have been sent is sent once more with the same id.

pub mod causes;
pub mod deliver;
pub mod incident;
pub mod notify;
pub mod record;
pub mod state;
pub mod target;
pub mod words;

#[cfg(test)]
pub(crate) mod testing {
    use super::state::{Alert, alert_id};
    use crate::slo::budget::Severity;

    /// A page for a service.
    pub(crate) fn alert(service: &str, started_unix_nano: i64) -> Alert {
        let objective = format!("{service}-availability");
        Alert {
            id: alert_id(&objective, Severity::Page, started_unix_nano),
            display_name: format!("{service} works"),
            objective,
            service: service.to_owned(),
            operation: None,
            bad: "errors".to_owned(),
            target_ratio: 0.999,
            severity: Severity::Page,
            started_unix_nano,
            resolved_unix_nano: None,
            short_window_seconds: 300,
            long_window_seconds: 3600,
            factor: 14.4,
            burn_short: Some(20.0),
            burn_long: Some(15.5),
            incident: "00000000000000aa".to_owned(),
        }
    }
}
