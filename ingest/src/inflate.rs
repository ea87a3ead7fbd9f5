//! A compressed body -> its bytes, within the size limit and the memory that was admitted for it.

use std::{
    borrow::Cow,
    io::{ErrorKind, Read},
};

use crate::{admission::Share, outcome::Refusal};

/// Largest window a zstd frame may ask for: the 8 MiB that RFC 8878 tells every decoder to support and senders to stay
/// within. Only bodies being inflated hold one, and no more are inflated at once than there are processors.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Inflated bytes are asked for in steps of at least this many.
const MIN_STEP: usize = 64 * 1024;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878.
    Zstd,
}

impl Compression {
    /// The names that both protocols use; `None` for a compression we do not have.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let name = name.trim();
        if name.is_empty() || name.eq_ignore_ascii_case("identity") || name.eq_ignore_ascii_case("none") {
            Some(Self::None)
        } else if name.eq_ignore_ascii_case("gzip") {
            Some(Self::Gzip)
        } else if name.eq_ignore_ascii_case("zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }
}

/// Inflates `body`. The share grows ahead of the bytes.
pub(crate) fn inflate<'a>(
    body: &'a [u8],
    compression: Compression,
    limit: usize,
    share: &mut Share,
) -> Result<Cow<'a, [u8]>, Refusal> {
    match compression {
        Compression::None => Ok(Cow::Borrowed(body)),
        // A body without a byte is an empty message, also from senders that announce a compression.
        _ if body.is_empty() => Ok(Cow::Borrowed(body)),
        Compression::Gzip => {
            read_all(flate2::bufread::MultiGzDecoder::new(body), body.len(), limit, share).map(Cow::Owned)
        }
        Compression::Zstd => {
            let broken = |error| Refusal::Internal(format!("zstd decoder: {error}"));
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            read_all(decoder, body.len(), limit, share).map(Cow::Owned)
        }
    }
}

fn read_all(mut from: impl Read, compressed: usize, limit: usize, share: &mut Share) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::new();
    let mut filled = 0;
    loop {
        if filled == out.len() {
            // One byte beyond the limit is room enough to see that it is exceeded.
            let step = (compressed.saturating_mul(4)).max(filled).max(MIN_STEP).min(limit + 1 - filled);
            share.grow(step)?;
            out.reserve_exact(step);
            out.resize(filled + step, 0);
        }
        match from.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_window_too_large(&error) => {
                return Err(Refusal::WindowTooLarge { log_max: ZSTD_WINDOW_LOG_MAX });
            }
            Err(error) => return Err(Refusal::Malformed(format!("the compressed body is damaged: {error}"))),
        }
        if filled > limit {
            return Err(Refusal::TooLarge { limit });
        }
    }
    share.shrink(out.len() - filled);
    out.truncate(filled);
    Ok(out)
}

/// zstd names its errors in words only.
fn is_window_too_large(error: &std::io::Error) -> bool {
    error.to_string().contains("too much memory")
}
