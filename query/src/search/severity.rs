//! Levels: the names people use for ranges of OpenTelemetry severity numbers.

use std::ops::RangeInclusive;

/// A level. Source: OpenTelemetry logs data model, "Mapping of `SeverityNumber`".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum Severity {
    Unspecified,
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Severity {
    /// Every level, the most severe first.
    pub const ALL: [Self; 7] =
        [Self::Fatal, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace, Self::Unspecified];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// Severity numbers of this level.
    pub const fn numbers(self) -> RangeInclusive<i32> {
        match self {
            Self::Unspecified => 0..=0,
            Self::Trace => 1..=4,
            Self::Debug => 5..=8,
            Self::Info => 9..=12,
            Self::Warn => 13..=16,
            Self::Error => 17..=20,
            Self::Fatal => 21..=24,
        }
    }

    /// The level of a severity number; numbers outside the model are unspecified.
    pub fn of(number: i32) -> Self {
        Self::ALL.into_iter().find(|level| level.numbers().contains(&number)).unwrap_or(Self::Unspecified)
    }

    /// The level with this name, in any case, or one of its usual synonyms.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "unspecified" | "unset" | "none" => Self::Unspecified,
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" | "information" | "notice" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" | "err" => Self::Error,
            "fatal" | "critical" | "crit" | "panic" => Self::Fatal,
            _ => return None,
        })
    }
}
