//! Quantities as they are written in settings.

use std::{fmt, net::SocketAddr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// A number of bytes, written "64MiB".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ByteSize(bytesize::ByteSize);

impl ByteSize {
    /// That many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytesize::ByteSize(bytes))
    }

    /// The number of bytes.
    pub const fn as_u64(self) -> u64 {
        self.0.0
    }

    /// The number of bytes, saturated to the address space.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "expected a size such as \"64MiB\"".to_owned())
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;

        impl serde::de::Visitor<'_> for Size {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"64MiB\" or a number of bytes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize::bytes(bytes))
            }

            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map(ByteSize::bytes)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(bytes), &self))
            }
        }

        deserializer.deserialize_any(Size)
    }
}

/// How long something is kept: a duration, or "forever".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Dropped when older than this.
    Limited(Duration),
    /// Never dropped for its age.
    Forever,
}

impl std::str::FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        humantime::parse_duration(text)
            .map(Self::Limited)
            .map_err(|error| format!("expected a duration such as \"30d\" or \"forever\": {error}"))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Whole days stay days: "400d" reads better than "1year 1month 4days …".
            Self::Limited(age) if age.as_secs() > 0 && age.as_secs() % DAY_SECONDS == 0 && age.subsec_nanos() == 0 => {
                write!(f, "{}d", age.as_secs() / DAY_SECONDS)
            }
            Self::Limited(age) => humantime::format_duration(*age).fmt(f),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// Memory of the process: a number of bytes, or "auto".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Half of the machine's memory.
    Auto,
    /// This much.
    Fixed(ByteSize),
}

impl std::str::FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        text.parse().map(Self::Fixed).map_err(|_| "expected a size such as \"4GiB\" or \"auto\"".to_owned())
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(size) => size.fmt(f),
        }
    }
}

/// Where a listener binds: an address, or "off".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Not started.
    Off,
    /// Bound there; port 0 takes a free one.
    Address(SocketAddr),
}

impl std::str::FromStr for Listener {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse()
            .map(Self::Address)
            .map_err(|_| "expected an address such as \"127.0.0.1:4317\" or \"off\"".to_owned())
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

macro_rules! as_text {
    ($($unit:ty),*) => {$(
        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

as_text!(Age, Budget, Listener);

/// Durations written "5s".
pub(crate) mod duration {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map_err(|error| serde::de::Error::custom(format!("expected a duration such as \"5s\": {error}")))
    }
}
