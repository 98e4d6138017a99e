//! Types whose text form is their form everywhere: `FromStr` and `Display` are inverse, and serde uses both.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserializer;
use serde::de::Visitor;

/// Implements `Serialize` through `Display` and `Deserialize` through `FromStr`.
#[macro_export]
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::text::parsed(deserializer)
            }
        }
    };
}

pub use serde_as_text;

/// Bytes from two lower-case hexadecimal digits each; none from any other text. Each value has one form, so that a letter
/// whose case has changed is a change, too.
#[must_use]
pub fn hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    if text.len() != 2 * BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|letter| DIGITS[usize::from(letter)]);
        if high | low > 15 {
            return None;
        }
        *byte = high << 4 | low;
    }
    Some(bytes)
}

/// The digit that each letter is; more than 15 for one that is none.
static DIGITS: [u8; 256] = {
    let (letters, mut digits) = (b"0123456789abcdef", [u8::MAX; 256]);
    let mut digit = 0;
    while digit < 16 {
        digits[letters[digit as usize] as usize] = digit;
        digit += 1;
    }
    digits
};

/// Reads a value from its text, which is not copied for it: records have several in a line.
///
/// # Errors
/// What is there is no text, or none of such a value.
pub fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(Text(PhantomData))
}

struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_hexadecimal_form() {
        assert_eq!(hex("00ff7f"), Some([0, 255, 127]));
        assert_eq!(hex(""), Some([]));
        for wrong in ["", "00f", "00ff7", "00ff7f0", "00FF7F", "0x0f7f", "00 f7f", "00\u{e9}f7", "+0ff7f"] {
            assert_eq!(hex::<3>(wrong), None, "{wrong}");
        }
    }
}
