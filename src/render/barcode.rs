//! EAN-13: check digit, modules, quiet zones. ISO/IEC 15420.

use std::fmt;

/// Light modules that must stand left of the bars.
pub(super) const QUIET_LEFT: u32 = 11;
/// Light modules that must stand right of the bars.
pub(super) const QUIET_RIGHT: u32 = 7;
/// Modules of the bars themselves.
pub(super) const MODULES: u32 = 95;
/// Modules from one edge of the light to the other.
pub(super) const WIDTH: u32 = QUIET_LEFT + MODULES + QUIET_RIGHT;

/// Why something cannot be printed as a bar code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum BarcodeError {
    /// Not 13 digits, nor the 12 of a UPC-A.
    #[error("an EAN-13 has 13 digits, a UPC-A 12")]
    Shape,
    /// Another check digit.
    #[error("its check digit is {found}, and {expected} by the other twelve")]
    CheckDigit {
        /// The last digit.
        found: u8,
        /// What it must be.
        expected: u8,
    },
    /// The element is too small.
    #[error("its bars and quiet zones need {needed} pixels and have {room}")]
    Room {
        /// Pixels that the code needs.
        needed: u32,
        /// Pixels that the element has.
        room: u32,
    },
}

/// A valid EAN-13.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ean13([u8; 13]);

impl Ean13 {
    /// Reads 13 digits, or the 12 of a UPC-A: that is an EAN-13 that begins with 0, bar for bar.
    pub(super) fn parse(text: &str) -> Result<Self, BarcodeError> {
        let padded = if text.len() == 12 { format!("0{text}") } else { text.to_owned() };
        let bytes: [u8; 13] = padded.into_bytes().try_into().map_err(|_| BarcodeError::Shape)?;
        if !bytes.iter().all(u8::is_ascii_digit) {
            return Err(BarcodeError::Shape);
        }
        let digits = bytes.map(|byte| byte - b'0');
        let sum: u32 =
            digits[..12].iter().zip([1, 3].into_iter().cycle()).map(|(d, weight)| u32::from(*d) * weight).sum();
        let expected = u8::try_from((10 - sum % 10) % 10).expect("a remainder of 10 fits");
        match digits[12] {
            found if found == expected => Ok(Self(digits)),
            found => Err(BarcodeError::CheckDigit { found, expected }),
        }
    }

    /// The bars, one entry per module, true for dark.
    pub(super) fn modules(self) -> Vec<bool> {
        /// Left-hand digits of odd parity (set A), 7 modules, most significant leftmost.
        const ODD: [u8; 10] = [0x0D, 0x19, 0x13, 0x3D, 0x23, 0x31, 0x2F, 0x3B, 0x37, 0x0B];
        /// Which of the six left-hand digits have even parity (set B), by the first digit.
        const EVEN: [u8; 10] = [0x00, 0x0B, 0x0D, 0x0E, 0x13, 0x19, 0x1C, 0x15, 0x16, 0x1A];
        let right = |digit: u8| !ODD[usize::from(digit)] & 0x7F;
        let mirrored = |digit: u8| right(digit).reverse_bits() >> 1;
        let mut modules = Vec::with_capacity(95);
        let mut push = |bits: u8, count: u32| modules.extend((0..count).rev().map(|bit| bits >> bit & 1 == 1));
        push(0b101, 3);
        for (place, digit) in self.0[1..7].iter().enumerate() {
            let even = EVEN[usize::from(self.0[0])] >> (5 - place) & 1 == 1;
            push(if even { mirrored(*digit) } else { ODD[usize::from(*digit)] }, 7);
        }
        push(0b01010, 5);
        for digit in &self.0[7..] {
            push(right(*digit), 7);
        }
        push(0b101, 3);
        modules
    }

    /// The digits as characters.
    pub(super) fn digits(self) -> [char; 13] {
        self.0.map(|digit| char::from(b'0' + digit))
    }

    /// Whether a module belongs to the guards, whose bars are longer.
    pub(super) const fn is_guard(module: u32) -> bool {
        matches!(module, 0..=2 | 45..=49 | 92..=94)
    }
}

impl fmt::Debug for Ean13 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digits().iter().try_for_each(|digit| write!(f, "{digit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_verified() {
        assert!(Ean13::parse("6901234567892").is_ok());
        assert_eq!(Ean13::parse("6901234567890"), Err(BarcodeError::CheckDigit { found: 0, expected: 2 }));
        assert_eq!(Ean13::parse("036000291452"), Ean13::parse("0036000291452"));
        for text in ["", "69012345678", "69012345678921", "690123456789X", "６９０"] {
            assert_eq!(Ean13::parse(text), Err(BarcodeError::Shape), "{text}");
        }
    }

    #[test]
    fn guards_stand_at_both_ends_and_in_the_middle() {
        let modules = Ean13::parse("6901234567892").unwrap().modules();
        assert_eq!(u32::try_from(modules.len()).unwrap(), MODULES);
        for (module, dark) in (0..).zip(&modules).filter(|(module, _)| Ean13::is_guard(*module)) {
            assert_eq!(*dark, matches!(module, 0 | 2 | 46 | 48 | 92 | 94), "module {module}");
        }
    }
}
