//! What all tests share: a server process, its clients, sample telemetry.

mod client;
pub(crate) mod frames;
mod python;
mod receiver;
mod server;
mod strace;
pub(crate) mod telemetry;
mod volume;
mod wait;

pub(crate) use self::{
    client::{Answer, Rows, answer, value},
    python::Python,
    receiver::{Receiver, SILENT},
    server::{BUILT, Server, Setup, command},
    strace::Strace,
    volume::Volume,
    wait::{Stopwatch, back_off, eventually, now_unix_nano, perhaps, within},
};
