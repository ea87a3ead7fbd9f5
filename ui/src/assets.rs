//! The web UI: files of `ui/dist`, embedded in the binary, and the headers that keep a browser safe.

use axum::{
    extract::{Request, State as Extracted},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;

use crate::{State, error::Problem};

/// Files of `ui/dist`. Debug builds read them from the source tree, release builds carry them.
#[derive(RustEmbed)]
#[folder = "dist"]
#[allow_missing = true]
struct Dist;

/// Stands in `index.html` where the style nonce of the answer goes.
const NONCE_MARK: &str = "__CSP_NONCE__";

/// What is shown while `ui/dist` is empty.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Rootline</title>\
<h1>Rootline is running</h1><p>This binary was built without the web UI: <code>ui/dist</code> was empty. \
Build it with <code>npm ci &amp;&amp; npm run build</code> in <code>ui/web</code>, then build the server again.</p>\
<p>The HTTP API works: <a href=\"/api/status\">/api/status</a>, <a href=\"/api/openapi.json\">/api/openapi.json</a>.</p></html>";

/// What a file of the UI may load when a browser takes it for a document or a worker.
const FILE_POLICY: &str = "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'";

/// Path prefixes that belong to programs: an unknown path there is a 404, never a page.
const API_PREFIXES: [&str; 6] = ["/api", "/v1", "/assets", "/prometheus", "/tempo", "/jaeger"];

/// A file of the UI; its first page for every path that only the page itself can make sense of.
pub(crate) async fn serve(
    Extracted(state): Extracted<State>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = uri.path();
    let is_read = method == Method::GET || method == Method::HEAD;
    if let Some(file) = Dist::get(path.trim_start_matches('/')).filter(|_| is_read && path != "/index.html") {
        return file_response(path, &file, &headers);
    }
    let is_api =
        API_PREFIXES.iter().any(|prefix| path.strip_prefix(prefix).is_some_and(|r| r.is_empty() || r.starts_with('/')));
    if is_api || !is_read {
        return Problem::not_found(format!("there is no {method} {path}"))
            .with_hint("/api/openapi.json lists what there is")
            .into_response();
    }
    page(&state)
}

fn file_response(path: &str, file: &rust_embed::EmbeddedFile, request: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    // Names under /assets carry a hash of their content.
    let caching = if path.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    // A worker obeys the policy that its own script came with.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FILE_POLICY));
    if let Ok(value) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, value);
    }
    if request.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    (headers, file.data.to_vec()).into_response()
}

fn page(state: &State) -> Response {
    let nonce = hex::encode(state.process().random_bytes());
    let html = match Dist::get("index.html") {
        Some(file) => String::from_utf8_lossy(&file.data).replace(NONCE_MARK, &nonce),
        None => NOT_BUILT.to_owned(),
    };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; worker-src 'self'; manifest-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    let mut response = (
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            // The nonce is good for one answer.
            (header::CACHE_CONTROL, "no-store"),
        ],
        html,
    )
        .into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Middleware: every answer is inert in a browser unless its handler said otherwise.
pub(crate) async fn security_headers(request: Request, next: Next) -> Response {
    const ALWAYS: [(HeaderName, &str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
        );
    }
    response
}
