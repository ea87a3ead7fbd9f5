//! Who sent a request.

use std::sync::Arc;

use storage::model::Tenant;

/// The sender as its token tells. Put into the request's extensions by the layer that checks tokens; without it the
/// sender is nobody in particular of the default tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Whose telemetry it is.
    pub tenant: Tenant,
    /// Name of the token, empty without one: a repeated body is a duplicate only from the same token.
    pub token: Arc<str>,
}
