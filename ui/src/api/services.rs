//! Services: rate, errors and durations, compared with the period before.

use axum::{Json, extract::State as Extracted};
use query::{Limits, TimeRange, red::Red, services::Service};
use serde::Deserialize;

use crate::{
    State,
    error::Answer,
    json::timestamp,
    params::{self, Params},
    wire,
};

/// Parameters of `GET /api/services`
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceParams {
    /// Epoch ms, RFC 3339 or `now-1h`; an hour before `to` where absent.
    from: Option<String>,
    /// End of the range, not included; now where absent.
    to: Option<String>,
    /// `30s`
    timeout: Option<String>,
    /// By which name it can be cancelled.
    query_id: Option<String>,
}

impl ServiceParams {
    /// The window, and what the answer may cost.
    pub(crate) fn asked(self, state: &State) -> Answer<(TimeRange, Limits)> {
        let range = params::range(self.from.as_deref(), self.to.as_deref(), state.process().now_unix_nano())?;
        let limits = Limits {
            timeout: self.timeout.as_deref().map(params::duration).transpose()?,
            query_id: self.query_id,
            ..Limits::default()
        };
        Ok((range, limits))
    }
}

/// Every service seen in the window.
#[utoipa::path(get, path = "/api/services", tag = "services", params(ServiceParams), responses((status = 200, body = wire::Services), (status = "default", body = wire::Problem)))]
pub(crate) async fn list(
    Extracted(state): Extracted<State>,
    Params(params): Params<ServiceParams>,
) -> Answer<Json<wire::Services>> {
    let (range, limits) = params.asked(&state)?;
    let found = state.query().services(range, limits).await?;
    Ok(Json(wire::Services {
        services: found.services.into_iter().map(|service| shown(service, range)).collect(),
        from: timestamp(range.start_unix_nano()),
        to: timestamp(range.end_unix_nano()),
        stats: found.stats.into(),
    }))
}

pub(crate) fn shown(service: Service, range: TimeRange) -> wire::Service {
    let seconds = range.duration_nano() as f64 / 1e9;
    let rate = |red: &Red| red.calls as f64 / seconds;
    let Service { window, steps, .. } = &service;
    wire::Service {
        rate: rate(window),
        calls: window.calls,
        errors: window.errors,
        error_ratio: window.error_ratio(),
        p50_ms: quantile_ms(window, 0.5),
        p95_ms: quantile_ms(window, 0.95),
        p99_ms: quantile_ms(window, 0.99),
        previous: service.previous.as_ref().map(|previous| wire::PreviousPeriod {
            rate: rate(previous),
            error_ratio: previous.error_ratio(),
            p95_ms: quantile_ms(previous, 0.95),
        }),
        sparkline: wire::Sparkline {
            start: timestamp(service.start_unix_nano),
            step_ms: service.step_nano as f64 / 1e6,
            calls: steps.iter().map(|step| step.calls).collect(),
            errors: steps.iter().map(|step| step.errors).collect(),
            p95_ms: steps.iter().map(|step| quantile_ms(step, 0.95)).collect(),
        },
        log_errors: service.log_errors,
        logs: service.log_records,
        slot: service.slot,
        version: service.version,
        name: service.name,
    }
}

pub(crate) fn quantile_ms(red: &Red, q: f64) -> Option<f64> {
    // Microseconds are finer than the estimate.
    red.quantile_nano(q).map(|nanos| (nanos / 1e3).round() / 1e3)
}
