//! What all tests share: a server process, its clients, sample telemetry.

mod client;
pub(crate) mod frames;
mod python;
mod receiver;
mod server;
pub(crate) mod telemetry;
mod wait;

pub(crate) use self::{
    client::{Answer, Rows, answer, value},
    python::Python,
    receiver::{Receiver, SILENT},
    server::{Server, Setup, command},
    wait::{Stopwatch, eventually, now_unix_nano, within},
};
