//! Who is told about alerts: a webhook of the tests.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU16, Ordering},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

/// Never answers.
pub(crate) const SILENT: u16 = 0;

/// Takes JSON documents on a port of its own and answers each with the status it is told to.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    status: AtomicU16,
    bodies: Mutex<Vec<Value>>,
}

impl Receiver {
    /// Answers with `status`, or not at all ([`SILENT`]).
    pub(crate) async fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
        let shared = Arc::new(Shared { status: AtomicU16::new(status), bodies: Mutex::default() });
        let app = Router::new().route("/hook", post(take)).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("serves until the test ends") });
        Self { url, shared, task }
    }

    /// Answers with another status from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// What it was told, in the order in which it came.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.shared.bodies.lock().expect("no test panics while it holds this").clone()
    }

    /// What it was told on this occasion.
    pub(crate) fn of(&self, event: &str) -> Vec<Value> {
        self.bodies().into_iter().filter(|body| body["event"] == event).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let body = serde_json::from_slice(&body).expect("a JSON document");
    shared.bodies.lock().expect("no test panics while it holds this").push(body);
    match shared.status.load(Ordering::SeqCst) {
        SILENT => std::future::pending().await,
        status => StatusCode::from_u16(status).expect("a status"),
    }
}
