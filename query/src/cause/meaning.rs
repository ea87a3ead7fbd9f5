//! Pure: name and unit of a metric -> what a movement of it would mean.
//!
//! Words of the semantic conventions and of what exporters commonly call the same things; never the name of one system.

/// What a metric measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meaning {
    /// How long calls took: bad when it rises.
    Duration,
    /// Share or number of good answers: bad when it falls.
    Success,
    /// Share or number of failures: bad when it rises.
    Failure,
    /// Use of something limited: bad when it rises.
    Saturation,
    /// How much was asked or moved: load, bad by itself in neither direction.
    Traffic,
    /// Anything else.
    Other,
}

/// Whether a resource is held (memory, disk space) and not used up as time passes.
pub(crate) fn is_held(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["mem", "heap", "filesystem"].iter().any(|word| name.contains(word))
}

/// Which end of a call measured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MeasuredAt {
    Client,
    Server,
    Unsaid,
}

const SUCCESS: [&str; 4] = ["success", "availability", "available", "healthy"];
const FAILURE: [&str; 9] =
    ["error", "fail", "exception", "timeout", "timed_out", "dropped", "rejected", "restart", "5xx"];
const DURATION: [&str; 6] = ["latency", "duration", "delay", "elapsed", "response_time", "wait_time"];
const TRAFFIC: [&str; 15] = [
    "request",
    "throughput",
    "rate",
    "count",
    "network",
    "receive",
    "transmit",
    "packet",
    "syscall",
    "workload",
    "calls",
    "ops",
    "sent",
    "bytes_total",
    "messages",
];
const SATURATION: [&str; 17] = [
    "cpu",
    "mem",
    "heap",
    "disk",
    "filesystem",
    "gc",
    "thread",
    "queue",
    "utilization",
    "utilisation",
    "usage",
    "load",
    "throttl",
    "pool",
    "connection",
    "socket",
    "fd",
];

impl Meaning {
    /// By the words of the name, then by the unit.
    pub(crate) fn of(name: &str, unit: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let time_unit = matches!(unit, "s" | "ms" | "us" | "ns" | "min");
        if says(&SUCCESS) {
            Self::Success
        } else if says(&FAILURE) {
            Self::Failure
        } else if says(&DURATION) || (time_unit && !says(&SATURATION)) {
            Self::Duration
        } else if says(&TRAFFIC) && !says(&["cpu", "mem", "utiliz"]) {
            Self::Traffic
        } else if says(&SATURATION) {
            Self::Saturation
        } else {
            Self::Other
        }
    }

    /// Which way is worse: 1 up, -1 down, 0 either.
    pub(crate) fn worse(self) -> i8 {
        match self {
            Self::Duration | Self::Failure | Self::Saturation => 1,
            Self::Success => -1,
            Self::Traffic | Self::Other => 0,
        }
    }
}

/// `traces_service_graph_request_client_seconds`, `edge.latency.source`, …
pub(crate) fn measured_at(name: &str) -> MeasuredAt {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| name.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| words.contains(&part));
    match (has(&["client", "source"]), has(&["server", "destination", "target"])) {
        (true, false) => MeasuredAt::Client,
        (false, true) => MeasuredAt::Server,
        _ => MeasuredAt::Unsaid,
    }
}

/// The name without the word that says which end measured it: both ends of one measure have it in common.
pub(crate) fn without_end(name: &str) -> String {
    let ends = ["client", "source", "server", "destination", "target"];
    name.to_ascii_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|part| !ends.contains(part))
        .collect::<Vec<_>>()
        .join(".")
}

/// Whether a metric describes the machine and not what runs on it.
pub(crate) fn is_of_node(name: &str) -> bool {
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.next().is_some_and(|first| matches!(first, "system" | "host" | "node")) || words.next() == Some("node")
}
