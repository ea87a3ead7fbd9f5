//! Sockets' side of OTLP: a request's headers and body -> one message in memory, and the answer back.

pub(crate) mod grpc;
pub(crate) mod http;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use crate::{Ingest, admission::Share, outcome::Refusal};

/// A body while it is read: what came, never more than was admitted.
struct Reading<'s> {
    stream: axum::body::BodyDataStream,
    buffer: BytesMut,
    /// Bytes of the buffer that the share already holds.
    admitted: usize,
    share: &'s mut Share,
}

impl<'s> Reading<'s> {
    fn new(body: Body, share: &'s mut Share) -> Self {
        Self { stream: body.into_data_stream(), buffer: BytesMut::new(), admitted: 0, share }
    }

    /// Takes room for `byte_count` bytes in all before they come.
    fn admit(&mut self, byte_count: usize) -> Result<(), Refusal> {
        if byte_count > self.admitted {
            self.share.grow(byte_count - self.admitted)?;
            self.admitted = byte_count;
        }
        Ok(())
    }

    /// Reads on. `false` at the end of the body; more than `limit` bytes in all are refused.
    async fn more(&mut self, limit: usize) -> Result<bool, Refusal> {
        let Some(chunk) = self.stream.next().await else { return Ok(false) };
        let chunk = chunk.map_err(|error| Refusal::BodyLost(error.to_string()))?;
        let length = self.buffer.len() + chunk.len();
        if length > limit {
            return Err(Refusal::TooLarge { limit });
        }
        self.admit(length)?;
        self.buffer.extend_from_slice(&chunk);
        Ok(true)
    }
}

/// Reads within the read deadline.
async fn in_time<T>(ingest: &Ingest, read: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let limit = ingest.inner.settings.read_timeout;
    let read = ingest.inner.clock.timeout(limit, read).await;
    read.unwrap_or(Err(Refusal::ReadTimeout(limit)))
}

/// The whole of a body whose length may be known before.
async fn read_whole(
    ingest: &Ingest,
    body: Body,
    announced: Option<usize>,
    share: &mut Share,
) -> Result<Bytes, Refusal> {
    let limit = ingest.inner.settings.max_request_size.as_usize();
    let mut reading = Reading::new(body, share);
    if let Some(announced) = announced {
        if announced > limit {
            return Err(Refusal::TooLarge { limit });
        }
        reading.admit(announced)?;
        reading.buffer.reserve(announced);
    }
    in_time(ingest, async {
        while reading.more(limit).await? {}
        Ok(())
    })
    .await?;
    Ok(reading.buffer.freeze())
}
