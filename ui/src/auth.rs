//! Who may do what, and from where: bearer tokens with roles, Host and Origin checks.

use axum::{
    Router,
    extract::{Request, State as Extracted},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use config::{Config, Listener, Role};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{State, error::Problem};

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Push telemetry.
    Ingest,
    /// Read.
    View,
    /// Change objectives, dashboards and views.
    Edit,
    /// Flush, compact and everything else.
    Administer,
}

impl Access {
    /// Whether a bearer of this role may do it.
    pub const fn is_allowed_to(self, role: Role) -> bool {
        match self {
            Self::Ingest => matches!(role, Role::Ingest | Role::Admin),
            Self::View => matches!(role, Role::Viewer | Role::Editor | Role::Admin),
            Self::Edit => matches!(role, Role::Editor | Role::Admin),
            Self::Administer => matches!(role, Role::Admin),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the token; `None` where authentication is off.
    pub token: Option<String>,
    /// What it may do.
    pub role: Role,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No valid token: 401.
    #[error("a valid bearer token is needed")]
    Unauthenticated,
    /// A valid token that may not do this: 403.
    #[error("this token's role does not allow that")]
    Forbidden,
    /// The request names a host that this server is not: 403.
    #[error("the Host header names none of this server's names; auth.allowed_hosts allows more")]
    Host,
    /// The request comes from another site's page: 403.
    #[error("requests from other origins are refused")]
    Origin,
}

impl Refusal {
    /// HTTP status of the refusal.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::Host | Self::Origin => StatusCode::FORBIDDEN,
        }
    }
}

/// A configured token hash that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auth.tokens: sha256 of {name:?} is no SHA-256 in hex")]
pub struct BadToken {
    name: String,
}

/// The configured tokens and names.
#[derive(Clone, Debug)]
pub struct Authorizer {
    tokens: Vec<Known>,
    allowed_hosts: Vec<String>,
    cors_origins: Vec<String>,
    bound: Option<std::net::IpAddr>,
}

#[derive(Clone, Debug)]
struct Known {
    name: String,
    role: Role,
    digest: [u8; 32],
}

/// The form in which a token is configured: lower-case hex of its SHA-256.
pub fn hash_token(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

impl Authorizer {
    /// # Errors
    /// When a token's hash is no SHA-256.
    pub fn new(config: &Config) -> Result<Self, BadToken> {
        let known = |token: &config::Token| {
            let mut digest = [0; 32];
            hex::decode_to_slice(&token.sha256, &mut digest).map_err(|_| BadToken { name: token.name.clone() })?;
            Ok(Known { name: token.name.clone(), role: token.role, digest })
        };
        Ok(Self {
            tokens: config.auth.tokens.iter().map(known).collect::<Result<_, _>>()?,
            allowed_hosts: config.auth.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            cors_origins: config.auth.otlp_cors_origins.clone(),
            bound: match config.listen.http {
                Listener::Address(address) => Some(address.ip()),
                Listener::Off => None,
            },
        })
    }

    /// Whether tokens are asked for.
    pub fn is_on(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Who asks, if they may do this.
    ///
    /// # Errors
    /// `Unauthenticated` without a known token, `Forbidden` when its role does not suffice.
    pub fn authorize(&self, headers: &HeaderMap, access: Access) -> Result<Identity, Refusal> {
        if !self.is_on() {
            return Ok(Identity { token: None, role: Role::Admin });
        }
        let token = bearer(headers).ok_or(Refusal::Unauthenticated)?;
        let digest = Sha256::digest(token);
        // Every token is compared, so that time tells nothing about which one, or whether one, was close.
        let mut found = None;
        for known in &self.tokens {
            if bool::from(known.digest.as_slice().ct_eq(digest.as_slice())) {
                found = Some(known);
            }
        }
        let known = found.ok_or(Refusal::Unauthenticated)?;
        if !access.is_allowed_to(known.role) {
            return Err(Refusal::Forbidden);
        }
        Ok(Identity { token: Some(known.name.clone()), role: known.role })
    }

    /// Refuses names that are not ours (a page that rebinds its own name to this address), and changes asked for by
    /// pages of other sites.
    ///
    /// # Errors
    /// `Host` or `Origin`.
    pub fn check_site(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = host(uri, headers).ok_or(Refusal::Host)?;
        if !self.is_own_host(&host) {
            return Err(Refusal::Host);
        }
        if method == Method::GET || method == Method::HEAD || method == Method::OPTIONS {
            return Ok(());
        }
        match headers.get(header::ORIGIN) {
            None => Ok(()),
            Some(origin) if is_origin_of(origin, &host) => Ok(()),
            Some(_) => Err(Refusal::Origin),
        }
    }

    /// Refuses telemetry pushed by pages of sites that `auth.otlp_cors_origins` does not name. Programs send no Origin.
    /// The Host header is not looked at: exporters reach this server under any name their network gives it.
    ///
    /// # Errors
    /// `Origin`.
    pub fn check_ingest_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let allowed = self.cors_origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes());
        if allowed { Ok(()) } else { Err(Refusal::Origin) }
    }

    fn is_own_host(&self, host: &str) -> bool {
        let name = without_port(host);
        if self.allowed_hosts.iter().any(|allowed| allowed == name || allowed == host) {
            return true;
        }
        if name == "localhost" || name.ends_with(".localhost") {
            return true;
        }
        // An address cannot be rebound; one that is not ours does not reach us.
        match name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>() {
            Ok(address) => address.is_loopback() || self.bound.is_some_and(|b| b.is_unspecified() || b == address),
            Err(_) => false,
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The host asked for, lower case: the authority of HTTP/2, the header of HTTP/1.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let host = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST)?.to_str().ok()?,
    };
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

fn is_origin_of(origin: &HeaderValue, host: &str) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let origin = origin.to_ascii_lowercase();
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(host)
}

/// Routes that only those with `access` reach. Handlers find the [`Identity`] in the request's extensions.
pub(crate) fn guarded(routes: Router<State>, state: &State, access: Access) -> Router<State> {
    if !routes.has_routes() {
        return routes;
    }
    routes.route_layer(axum::middleware::from_fn_with_state(
        state.clone(),
        move |Extracted(state): Extracted<State>, mut request: Request, next: Next| async move {
            match state.authorizer().authorize(request.headers(), access) {
                Ok(identity) => {
                    request.extensions_mut().insert(identity);
                    next.run(request).await
                }
                Err(refusal) => refused(refusal),
            }
        },
    ))
}

/// Middleware: Host and Origin of everything but the probes, which are asked by address and name alike.
pub(crate) async fn same_origin(Extracted(state): Extracted<State>, request: Request, next: Next) -> Response {
    let is_probe = matches!(request.uri().path(), "/healthz" | "/readyz");
    match state.authorizer().check_site(request.method(), request.uri(), request.headers()) {
        Err(refusal) if !is_probe => refused(refusal),
        _ => next.run(request).await,
    }
}

fn refused(refusal: Refusal) -> Response {
    let mut response = Problem::new(refusal.status(), refusal.to_string()).into_response();
    if refusal == Refusal::Unauthenticated {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"rootline\""));
    }
    response
}

#[cfg(test)]
mod tests;
