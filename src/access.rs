//! The door of the OTLP listeners: who may push, from which pages, and how a refusal reads in OTLP.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, Response, header},
    middleware::{Next, from_fn_with_state},
};
use config::Config;
use ingest::Caller;
use prost::Message as _;
use storage::model::Tenant;
use tonic::{Code, Status};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use ui::auth::{Access, Authorizer, Refusal};

/// OTLP/HTTP behind tokens and origins; pages of `auth.otlp_cors_origins` may push from a browser.
pub(crate) fn guard_http(router: Router, authorizer: Authorizer, config: &Config) -> Router {
    let guarded = router.layer(from_fn_with_state(Door { authorizer, grpc: false }, enter));
    match cors(&config.auth.otlp_cors_origins) {
        Some(cors) => guarded.layer(cors),
        None => guarded,
    }
}

/// OTLP/gRPC behind tokens and origins.
pub(crate) fn guard_grpc(router: Router, authorizer: Authorizer) -> Router {
    router.layer(from_fn_with_state(Door { authorizer, grpc: true }, enter))
}

fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse::<HeaderValue>().ok())),
    };
    // Exporters add headers of their own, so the ones a page asks for are allowed: the token decides, not the header.
    let layer = CorsLayer::new().allow_origin(allowed).allow_methods([Method::POST]);
    Some(layer.allow_headers(AllowHeaders::mirror_request()))
}

#[derive(Clone, Debug)]
struct Door {
    authorizer: Authorizer,
    grpc: bool,
}

async fn enter(State(door): State<Door>, mut request: Request, next: Next) -> Response<Body> {
    let headers = request.headers();
    let admitted =
        door.authorizer.check_ingest_origin(headers).and_then(|()| door.authorizer.authorize(headers, Access::Ingest));
    match admitted {
        Ok(identity) => {
            let token = identity.token.unwrap_or_default().into();
            request.extensions_mut().insert(Caller { tenant: Tenant::default(), token });
            next.run(request).await
        }
        Err(refusal) => {
            metrics::counter!("rootline_ingest_denied_total", "reason" => reason(refusal)).increment(1);
            if door.grpc { status(refusal).into_http() } else { http_refusal(&request, refusal) }
        }
    }
}

const fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unauthenticated => "unauthenticated",
        Refusal::Forbidden => "forbidden",
        Refusal::Host => "host",
        Refusal::Origin => "origin",
    }
}

fn status(refusal: Refusal) -> Status {
    let code = match refusal {
        Refusal::Unauthenticated => Code::Unauthenticated,
        Refusal::Forbidden | Refusal::Host | Refusal::Origin => Code::PermissionDenied,
    };
    Status::new(code, refusal.to_string())
}

/// A `google.rpc.Status` in the request's encoding, as OTLP/HTTP asks.
fn http_refusal(request: &Request, refusal: Refusal) -> Response<Body> {
    let status = status(refusal);
    let json = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|media_type| media_type.as_bytes().starts_with(b"application/json"));
    let (media_type, body) = if json {
        let body = serde_json::json!({ "code": i32::from(status.code()), "message": status.message() });
        ("application/json", body.to_string().into_bytes())
    } else {
        let body = tonic_types::pb::Status {
            code: status.code().into(),
            message: status.message().to_owned(),
            details: Vec::new(),
        };
        ("application/x-protobuf", body.encode_to_vec())
    };
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = refusal.status();
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if refusal == Refusal::Unauthenticated {
        let challenge = HeaderValue::from_static("Bearer realm=\"rootline\"");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    answer
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, http::StatusCode, routing::post};
    use tower::ServiceExt as _;

    use super::*;

    const TOKEN: &str = "rl_secret";

    fn config(role: &str) -> Config {
        let mut config = Config::default();
        config.auth.tokens = vec![config::Token {
            name: "collector".to_owned(),
            role: serde_json::from_value(role.into()).unwrap(),
            sha256: ui::auth::hash_token(TOKEN),
        }];
        config.auth.otlp_cors_origins = vec!["https://shop.example".to_owned()];
        config
    }

    fn routes() -> Router {
        let token = |axum::Extension(caller): axum::Extension<Caller>| async move { caller.token.to_string() };
        Router::new().route("/v1/logs", post(token))
    }

    async fn answer(config: &Config, grpc: bool, headers: &[(&str, &str)]) -> (StatusCode, Response<Body>) {
        let authorizer = Authorizer::new(config).unwrap();
        let router = if grpc { guard_grpc(routes(), authorizer) } else { guard_http(routes(), authorizer, config) };
        let mut request = Request::post("/v1/logs");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        (answer.status(), answer)
    }

    async fn text(answer: Response<Body>) -> String {
        String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_token_that_may_push_names_the_caller() {
        let (status, answer) = answer(&config("ingest"), false, &[("authorization", "Bearer rl_secret")]).await;
        assert_eq!((status, text(answer).await.as_str()), (StatusCode::OK, "collector"));
    }

    #[tokio::test]
    async fn others_are_refused_in_otlp_words() {
        let json = ("content-type", "application/json");
        let (status, refused) = answer(&config("ingest"), false, &[json]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.headers()["www-authenticate"], "Bearer realm=\"rootline\"");
        assert!(text(refused).await.starts_with("{\"code\":16,"));

        let (status, refused) = answer(&config("viewer"), false, &[json, ("authorization", "Bearer rl_secret")]).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(text(refused).await.starts_with("{\"code\":7,"));

        let (status, refused) = answer(&config("ingest"), true, &[("authorization", "Bearer wrong")]).await;
        assert_eq!((status, &refused.headers()["grpc-status"]), (StatusCode::OK, &HeaderValue::from_static("16")));
    }

    #[tokio::test]
    async fn pages_push_only_from_named_origins() {
        let config = Config { auth: config::Auth { tokens: vec![], ..config("ingest").auth }, ..Config::default() };
        let (status, allowed) = answer(&config, false, &[("origin", "https://shop.example")]).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(allowed.headers()["access-control-allow-origin"], "https://shop.example");
        let (status, _) = answer(&config, false, &[("origin", "https://evil.example")]).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
}
