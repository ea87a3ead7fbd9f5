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

    /// Reads to the end; a length that is known before is admitted before.
    async fn whole(&mut self, announced: Option<usize>, limit: usize) -> Result<(), Refusal> {
        if let Some(announced) = announced {
            if announced > limit {
                return Err(Refusal::TooLarge { limit });
            }
            self.admit(announced)?;
            self.buffer.reserve(announced);
        }
        while self.more(limit).await? {}
        Ok(())
    }

    /// Reads about `byte_count` bytes more, or to the end, and keeps none.
    async fn discard(&mut self, byte_count: usize) -> Result<(), Refusal> {
        let mut discarded = 0;
        while discarded < byte_count
            && let Some(Ok(chunk)) = self.stream.next().await
        {
            discarded += chunk.len();
        }
        Ok(())
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
    let read = in_time(ingest, reading.whole(announced, limit)).await;
    if let Err(Refusal::TooLarge { .. }) = read {
        // A sender that is still writing when the connection closes never sees the answer and tries again for ever.
        let _ = in_time(ingest, reading.discard(limit.saturating_mul(2))).await;
    }
    read?;
    Ok(reading.buffer.freeze())
}
