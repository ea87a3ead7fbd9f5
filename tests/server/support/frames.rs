//! HTTP/2 written by hand: for senders that no library would be.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::wait::within;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// One frame: its head of nine bytes and its payload.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(9 + payload.len());
    out.extend_from_slice(&u32::try_from(payload.len()).expect("a short payload").to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A header as HPACK writes it without table and without Huffman's code.
pub(crate) fn header(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        let mut left = text.len();
        if left < 127 {
            out.push(left as u8);
        } else {
            out.push(127);
            left -= 127;
            while left >= 128 {
                out.push((left & 127) as u8 | 128);
                left >>= 7;
            }
            out.push(left as u8);
        }
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// The head of a POST, in HPACK.
pub(crate) fn post(path: &str, content_type: &str) -> Vec<u8> {
    [
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", path),
        header(":authority", "localhost"),
        header("content-type", content_type),
        header("te", "trailers"),
    ]
    .concat()
}

/// What a server said until it closed the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The error of its last GOAWAY.
    pub(crate) goaway: Option<u32>,
    /// Streams whose answer or refusal came to its end.
    pub(crate) ended: Vec<u32>,
}

/// A connection of frames.
pub(crate) struct Frames {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    unread: Vec<u8>,
    pub(crate) said: Said,
}

impl Frames {
    pub(crate) async fn connect(address: &str) -> Self {
        let address: SocketAddr = address.parse().expect("an address");
        let (read, write) = TcpStream::connect(address).await.expect("a connection").into_split();
        let mut this = Self { read, write, unread: Vec::new(), said: Said::default() };
        let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
        assert!(this.send(&hello).await, "a new connection takes the preface");
        this
    }

    /// `false` when the connection is closed.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.write.write_all(bytes).await.is_ok()
    }

    /// Reads one frame: `None` when the connection is closed. What was read of a frame stays when nobody waits any more.
    async fn next(read: &mut OwnedReadHalf, unread: &mut Vec<u8>, said: &mut Said) -> Option<()> {
        let length = loop {
            if let [a, b, c, ..] = unread[..]
                && let length = 9 + u32::from_be_bytes([0, a, b, c]) as usize
                && unread.len() >= length
            {
                break length;
            }
            if read.read_buf(unread).await.ok()? == 0 {
                return None;
            }
        };
        let frame: Vec<u8> = unread.drain(..length).collect();
        let word = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
        let (kind, flags, stream) = (frame[3], frame[4], word(5));
        if kind == GOAWAY {
            said.goaway = Some(word(13));
        }
        if kind == RST_STREAM || (matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0) {
            said.ended.push(stream);
        }
        Some(())
    }

    /// Reads until this stream's answer is whole. `false` when the connection was closed before.
    pub(crate) async fn ended(&mut self, stream: u32) -> bool {
        let answer = async {
            while !self.said.ended.contains(&stream) {
                if Self::next(&mut self.read, &mut self.unread, &mut self.said).await.is_none() {
                    return false;
                }
            }
            true
        };
        within("an answer or a closed connection", Duration::from_secs(60), answer).await
    }

    /// Sends `pieces` while it listens. Returns what the server said when it has closed the connection, or `None` when it
    /// took everything and left the connection open.
    pub(crate) async fn flood(mut self, pieces: impl IntoIterator<Item = Vec<u8>>) -> Result<Said, Self> {
        let Self { read, write, unread, said } = &mut self;
        let closed = {
            let send = async {
                for piece in pieces {
                    if write.write_all(&piece).await.is_err() {
                        // Closed: what was said before is still to be read.
                        std::future::pending::<()>().await;
                    }
                }
            };
            let listen = async { while Self::next(read, unread, said).await.is_some() {} };
            let both = async {
                tokio::pin!(send, listen);
                tokio::select! {
                    () = &mut listen => true,
                    () = &mut send => false,
                }
            };
            within("a flood taken or refused", Duration::from_secs(300), both).await
        };
        if closed { Ok(self.said) } else { Err(self) }
    }

    /// What the server says until it closes the connection.
    pub(crate) async fn closed(mut self) -> Said {
        let closed = async { while Self::next(&mut self.read, &mut self.unread, &mut self.said).await.is_some() {} };
        within("a closed connection", Duration::from_secs(120), closed).await;
        self.said
    }
}
