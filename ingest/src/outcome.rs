//! What became of a request -> what its sender is told. The only file of this room with protocol codes.
//!
//! Success may be partial: the counts and first reasons of what was rejected. A refusal is for the whole request; it
//! can be retried when the trouble is ours and passes, and then says after how long.

use std::{fmt::Write as _, time::Duration};

use http::StatusCode;
use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse},
    metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse},
    trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse},
};
use prost::Message as _;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    Signal,
    admission::Full,
    decode::{DecodeError, Tally},
};

/// A request that is durable, as far as it was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Items sent.
    pub(crate) item_count: u64,
    /// What was rejected.
    pub(crate) tally: Tally,
}

impl Accepted {
    /// How many items were rejected, and why; `None` when all were accepted.
    fn rejected(&self, signal: Signal) -> Option<(i64, String)> {
        let count = self.tally.rejected_item_count();
        if count == 0 {
            return None;
        }
        let mut message = format!("{count} of {} {} rejected: ", self.item_count, signal.items());
        for (index, rejected) in self.tally.rejected().iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            // Writing to a string cannot fail.
            let _ = write!(message, "{separator}{} {} ({})", rejected.item_count, rejected.reason, rejected.first);
        }
        Some((i64::try_from(count).unwrap_or(i64::MAX), message))
    }

    /// The response message of the signal, in protobuf.
    pub(crate) fn protobuf(&self, signal: Signal) -> Vec<u8> {
        let rejected = self.rejected(signal);
        match signal {
            Signal::Logs => ExportLogsServiceResponse {
                partial_success: rejected.map(|(rejected_log_records, error_message)| ExportLogsPartialSuccess {
                    rejected_log_records,
                    error_message,
                }),
            }
            .encode_to_vec(),
            Signal::Spans => ExportTraceServiceResponse {
                partial_success: rejected
                    .map(|(rejected_spans, error_message)| ExportTracePartialSuccess { rejected_spans, error_message }),
            }
            .encode_to_vec(),
            Signal::Metrics => ExportMetricsServiceResponse {
                partial_success: rejected.map(|(rejected_data_points, error_message)| ExportMetricsPartialSuccess {
                    rejected_data_points,
                    error_message,
                }),
            }
            .encode_to_vec(),
        }
    }

    /// The response message of the signal, in JSON: 64-bit numbers are text there.
    pub(crate) fn json(&self, signal: Signal) -> Vec<u8> {
        let field = match signal {
            Signal::Logs => "rejectedLogRecords",
            Signal::Spans => "rejectedSpans",
            Signal::Metrics => "rejectedDataPoints",
        };
        let document = match self.rejected(signal) {
            None => json!({}),
            Some((count, message)) => {
                json!({ "partialSuccess": { field: count.to_string(), "errorMessage": message } })
            }
        };
        document.to_string().into_bytes()
    }
}

/// Why a whole request was refused. Nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Malformed(String),
    #[error("the message exceeds {limit} bytes (ingest.max_request_size, before and after decompression)")]
    TooLarge { limit: usize },
    #[error("the zstd window exceeds 2^{log_max} bytes, the size every decoder supports")]
    WindowTooLarge { log_max: u32 },
    #[error(transparent)]
    Full(#[from] Full),
    #[error("content type {0:?} is not supported, expected application/x-protobuf or application/json")]
    UnsupportedType(String),
    #[error("compression {0:?} is not supported, expected gzip, zstd or none")]
    UnsupportedCompression(String),
    #[error("the message is compressed but no grpc-encoding says how")]
    MissingCompression,
    #[error("the body did not arrive within {0:?} (ingest.read_timeout)")]
    ReadTimeout(Duration),
    #[error("the body ended early: {0}")]
    BodyLost(String),
    #[error("only POST is answered here")]
    Method,
    #[error("storage: {0}")]
    Storage(storage::error::Error),
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed(malformed) => Self::Malformed(malformed.to_string()),
            DecodeError::Full(full) => Self::Full(full),
            DecodeError::Schema(error) => Self::Internal(error.to_string()),
        }
    }
}

impl Refusal {
    /// Label of the counter.
    pub(crate) fn reason(&self) -> &'static str {
        use storage::error::ErrorKind;
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge { .. } | Self::WindowTooLarge { .. } | Self::Full(Full::NeverFits { .. }) => "too_large",
            Self::Full(Full::Busy) => "over_budget",
            Self::UnsupportedType(_) => "unsupported_type",
            Self::UnsupportedCompression(_) | Self::MissingCompression => "unsupported_compression",
            Self::ReadTimeout(_) => "read_timeout",
            Self::BodyLost(_) => "body_lost",
            Self::Method => "method",
            Self::Storage(error) => match error.kind() {
                ErrorKind::Overloaded => "storage_overloaded",
                ErrorKind::Unavailable => "storage_unavailable",
                _ => "storage_failed",
            },
            Self::Internal(_) => "internal",
        }
    }

    /// The code in each protocol, and whether the same request may succeed later.
    fn codes(&self) -> (StatusCode, Code, bool) {
        use storage::error::ErrorKind;
        match self {
            Self::Malformed(_) | Self::BodyLost(_) => (StatusCode::BAD_REQUEST, Code::InvalidArgument, false),
            // Without a retry delay: senders would send it forever.
            Self::TooLarge { .. } | Self::WindowTooLarge { .. } | Self::Full(Full::NeverFits { .. }) => {
                (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted, false)
            }
            Self::Full(Full::Busy) => (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted, true),
            Self::UnsupportedType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument, false),
            Self::UnsupportedCompression(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unimplemented, false),
            // As the gRPC compression rules say.
            Self::MissingCompression => (StatusCode::BAD_REQUEST, Code::Internal, false),
            Self::ReadTimeout(_) => (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, false),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, false),
            Self::Storage(error) => match error.kind() {
                ErrorKind::Overloaded => (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted, true),
                ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, true),
                _ => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, false),
            },
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, false),
        }
    }

    /// The HTTP status, with the delay after which a retry makes sense.
    pub(crate) fn http(&self, retry_after: Duration) -> (StatusCode, Option<Duration>) {
        let (status, _, retryable) = self.codes();
        (status, retryable.then_some(retry_after))
    }

    /// The gRPC status with its details.
    pub(crate) fn grpc(&self, retry_after: Duration) -> Status {
        let (_, code, retryable) = self.codes();
        let message = self.to_string();
        let details = if retryable {
            ErrorDetails::with_retry_info(Some(retry_after))
        } else if matches!(self, Self::Malformed(_)) {
            ErrorDetails::with_bad_request_violation("body", message.clone())
        } else {
            ErrorDetails::new()
        };
        Status::with_error_details(code, message, details)
    }

    /// `google.rpc.Status` in protobuf: the body of an HTTP error.
    pub(crate) fn protobuf(&self, retry_after: Duration) -> Vec<u8> {
        self.grpc(retry_after).details().to_vec()
    }

    /// `google.rpc.Status` in JSON: the body of an HTTP error.
    pub(crate) fn json(&self, retry_after: Duration) -> Vec<u8> {
        let (_, code, retryable) = self.codes();
        let message = self.to_string();
        let details = if retryable {
            json!([{
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{}s", retry_after.as_secs_f64()),
            }])
        } else if matches!(self, Self::Malformed(_)) {
            json!([{
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{ "field": "body", "description": message }],
            }])
        } else {
            json!([])
        };
        json!({ "code": code as i32, "message": message, "details": details }).to_string().into_bytes()
    }
}
