//! Ids and small values with their units.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::text::serde_as_text;

/// Why a text is not the id that it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A label id is 8 bytes in hexadecimal.
    #[error("label `{0}` is not 16 hexadecimal digits (`:` and `-` between them are allowed)")]
    Label(String),
    /// Stores and base stations have short lower-case names.
    #[error("{kind} `{text}` is not 1 to 32 characters of a-z, 0-9 and `-`")]
    Name {
        /// `store` or `base station`.
        kind: &'static str,
        /// What was given.
        text: String,
    },
}

/// A label's 8-byte address, written as 16 upper-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelId(pub u64);

impl FromStr for LabelId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refused = || IdError::Label(text.to_owned());
        let (mut address, mut count) = (0, 0);
        for letter in text.chars().filter(|letter| !matches!(letter, ':' | '-')) {
            address = address << 4 | u64::from(letter.to_digit(16).ok_or_else(refused)?);
            count += 1;
        }
        if count == 16 { Ok(Self(address)) } else { Err(refused()) }
    }
}

impl fmt::Display for LabelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl fmt::Debug for LabelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(LabelId);

/// Longest name of a store or a base station: it stands in MQTT topics and in a length byte of the hello.
pub const NAME_MAX: usize = 32;

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                if text.is_empty() || text.len() > NAME_MAX || !text.bytes().all(allowed) {
                    return Err(IdError::Name { kind: $kind, text: text.to_owned() });
                }
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        serde_as_text!($name);
    };
}

name_id!(
    /// A base station's name, `[a-z0-9-]{1,32}`.
    StationId,
    "base station"
);
name_id!(
    /// A store's name, `[a-z0-9-]{1,32}`.
    StoreId,
    "store"
);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// The running number of a label's desired pictures; a label refuses one below its own.
    Edition,
    u64
);
number!(
    /// Names one transfer between a controller and a station; unique within a controller's run.
    TransferNumber,
    u32
);
number!(
    /// Position of a data frame in its direction of a session, starting at 0.
    SequenceNumber,
    u32
);
number!(
    /// Chosen by the controller for each hello, so that frames of an older session are known as such.
    SessionId,
    u32
);
number!(
    /// Battery voltage.
    Millivolts,
    u16
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_in_any_case_and_written_in_one() {
        for text in ["0000021B6D403B1E", "0000021b6d403b1e", "00:00:02:1B:6D:40:3B:1E", "00000-21B6D403B1E"] {
            assert_eq!(text.parse::<LabelId>().unwrap().to_string(), "0000021B6D403B1E");
        }
        for text in ["", "0000021B6D403B1", "0000021B6D403B1E0", "+000021B6D403B1E", "0000021B6D403B1G"] {
            assert_eq!(text.parse::<LabelId>(), Err(IdError::Label(text.to_owned())));
        }
    }

    #[test]
    fn names_are_short_and_lower_case() {
        assert_eq!("hz-001".parse::<StoreId>().unwrap().as_str(), "hz-001");
        for text in ["", "HZ", "a b", "überall", &"x".repeat(33)] {
            assert!(text.parse::<StationId>().is_err(), "{text}");
        }
    }
}
