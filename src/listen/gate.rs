//! What a listener answers before its room is ready, and the hand-over when it is.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use tower::ServiceExt as _;

/// Seconds a client should wait before it asks a starting server again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A listener's way in: closed while the server starts, then the router of a room.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    router: Arc<OnceLock<Router>>,
    grpc: bool,
}

impl Gate {
    pub(super) fn http() -> Self {
        Self { router: Arc::default(), grpc: false }
    }

    pub(super) fn grpc() -> Self {
        Self { router: Arc::default(), grpc: true }
    }

    /// Lets requests through to `router`, once and for all.
    pub(crate) fn open(&self, router: Router) {
        let opened = self.router.set(router);
        debug_assert!(opened.is_ok(), "a gate opens once");
    }

    pub(super) fn answer(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send + use<> {
        let room = self.router.get().cloned();
        let grpc = self.grpc;
        async move {
            match room {
                Some(router) => match router.oneshot(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                },
                None => starting(&request, grpc),
            }
        }
    }
}

fn starting(request: &Request<Body>, grpc: bool) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    let headers = answer.headers_mut();
    if grpc {
        // UNAVAILABLE: clients retry it.
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static("14"));
        headers.insert("grpc-message", HeaderValue::from_static("the server is starting"));
    } else if request.uri().path() == "/healthz" {
        *answer.body_mut() = Body::from("ok\n");
    } else {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        *answer.body_mut() = Body::from("the server is starting\n");
    }
    answer
}
