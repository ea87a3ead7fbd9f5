//! What all tests share: a server process, its clients, sample telemetry.

mod client;
mod python;
mod server;
pub(crate) mod telemetry;
mod wait;

pub(crate) use self::{
    client::{Answer, Rows, answer, value},
    python::Python,
    server::{Server, Setup, command},
    wait::{Stopwatch, eventually, within},
};
