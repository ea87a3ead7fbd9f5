//! The whole server over real sockets: the binary is started on free ports and an empty directory, and talked to as
//! exporters, scripts and people talk to it. Nothing here sees a room of it.
//!
//! Every test waits for what it needs (a file, an answer, an exit), never for time to pass.

mod access;
mod cause;
mod content;
mod corpora;
mod demo;
mod derived;
mod faults;
mod files;
mod floods;
mod framing;
mod golden;
mod lifecycle;
mod odd;
mod offline;
mod overload;
mod queries;
mod sdk;
mod slo;
mod support;
mod torture;
