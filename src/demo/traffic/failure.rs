//! Why calls fail, in the words of the languages that the services are written in.

use rand::rngs::StdRng;

use crate::demo::{catalogue::Language, fault::Symptom, values::pick};

/// gRPC status codes.
const DEADLINE_EXCEEDED: i64 = 4;
const RESOURCE_EXHAUSTED: i64 = 8;
const INTERNAL: i64 = 13;
const UNAVAILABLE: i64 = 14;

/// Why a call failed.
#[derive(Clone, Debug)]
pub(in crate::demo) struct Failure {
    pub(in crate::demo) exception: &'static str,
    pub(in crate::demo) message: String,
    /// What an HTTP service answers, and what a gRPC service does.
    pub(in crate::demo) status: i64,
    pub(in crate::demo) rpc: i64,
}

/// What a service throws whose ailment reads like this.
pub(super) fn of_symptom(symptom: Symptom, language: Language) -> Failure {
    if symptom == Symptom::Saturated {
        let exception = match language {
            Language::Java => "java.util.concurrent.RejectedExecutionException",
            Language::Python => "asyncio.QueueFull",
            _ => "Overloaded",
        };
        let message = "worker queue is full: 200 of 200 calls are waiting".to_owned();
        return Failure { exception, message, status: 503, rpc: RESOURCE_EXHAUSTED };
    }
    let (exception, message) = match language {
        Language::Java => (
            "java.lang.NullPointerException",
            "Cannot invoke \"com.shop.rules.RuleSet.version()\" because \"ruleSet\" is null",
        ),
        Language::Dotnet => ("System.NullReferenceException", "Object reference not set to an instance of an object."),
        Language::Go => ("runtime.boundsError", "runtime error: index out of range [3] with length 3"),
        Language::Nodejs => ("TypeError", "Cannot read properties of null (reading 'variants')"),
        Language::Python => ("AttributeError", "'NoneType' object has no attribute 'weights'"),
        Language::Php => ("TypeError", "Argument #1 ($rules) must be of type RuleSet, null given"),
        Language::Ruby => ("NoMethodError", "undefined method 'rules' for nil"),
        Language::Cpp => ("std::bad_optional_access", "bad optional access"),
        Language::Rust => ("panic", "called `Option::unwrap()` on a `None` value"),
    };
    Failure { exception, message: message.to_owned(), status: 500, rpc: INTERNAL }
}

/// Nobody listens at the address.
pub(super) fn refused(address: &str) -> Failure {
    Failure {
        exception: "ConnectionRefused",
        message: format!("connect to {address} failed: connection refused"),
        status: 502,
        rpc: UNAVAILABLE,
    }
}

/// No answer before the caller's patience ended.
pub(super) fn deadline(address: &str, patience_ms: f64) -> Failure {
    Failure {
        exception: "DeadlineExceeded",
        message: format!("no answer from {address} within {patience_ms:.0} ms"),
        status: 504,
        rpc: DEADLINE_EXCEEDED,
    }
}

/// No connection to a store became free in time.
pub(super) fn pool_exhausted(address: &str, port: i64, patience_ms: f64) -> Failure {
    Failure {
        exception: "ConnectionTimeout",
        message: format!("no connection to {address}:{port} within {patience_ms:.0} ms: pool exhausted (20 in use)"),
        status: 503,
        rpc: UNAVAILABLE,
    }
}

/// Something that now and then fails in a service.
pub(super) fn usual(language: Language, rng: &mut StdRng) -> Failure {
    let (exception, message): (&str, &str) = match language {
        Language::Java => pick(
            rng,
            &[
                ("java.lang.IllegalStateException", "state is inconsistent"),
                ("java.net.SocketTimeoutException", "Read timed out"),
                ("org.postgresql.util.PSQLException", "ERROR: canceling statement due to lock timeout"),
            ],
        ),
        Language::Dotnet => pick(
            rng,
            &[
                ("System.TimeoutException", "The operation has timed out."),
                ("System.InvalidOperationException", "Sequence contains no elements"),
            ],
        ),
        Language::Go => pick(
            rng,
            &[
                ("*url.Error", "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
                ("*net.OpError", "dial tcp 10.40.7.19:443: connect: connection refused"),
            ],
        ),
        Language::Python => {
            pick(rng, &[("KeyError", "'embedding'"), ("asyncio.TimeoutError", "model did not answer in 250 ms")])
        }
        Language::Nodejs => pick(
            rng,
            &[("TypeError", "Cannot read properties of undefined (reading 'price')"), ("Error", "socket hang up")],
        ),
        Language::Php => ("GuzzleHttp\\Exception\\ServerException", "Server error: carrier answered 502 Bad Gateway"),
        Language::Ruby => ("Net::ReadTimeout", "Net::ReadTimeout with #<TCPSocket:(closed)>"),
        Language::Cpp => ("std::runtime_error", "rate for currency is stale"),
        Language::Rust => ("ledger::Error::Conflict", "concurrent update of account, giving up after 3 attempts"),
    };
    Failure { exception, message: message.to_owned(), status: pick(rng, &[500, 500, 502, 503, 504]), rpc: INTERNAL }
}
