//! A picture as packed bitplanes, and its digest.
//!
//! Upright, row by row, each row padded with 0 to a whole byte, most significant bit leftmost, 1 = ink.
//! Plane 0 is black and plane 1 the colour; on `bwry` white is 00, black 10, red 01, yellow 11
//! (plane 0, plane 1).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::panel::{Colours, Ink, Panel};
use crate::text::{self, serde_as_text};

/// The planes of one picture for one panel, plane 0 followed by plane 1. Clones are the same picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Planes(Arc<Picture>);

#[derive(PartialEq, Eq)]
struct Picture {
    panel: Panel,
    bytes: Bytes,
    /// Asked for at every step of a picture's way, so it is made once.
    digest: Digest,
}

/// Bytes that are no picture of the panel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanesError {
    /// The length is not that of the panel's planes.
    #[error("a picture for {panel} has {expected} bytes, not {found}")]
    Length {
        /// The panel.
        panel: Panel,
        /// Bytes that its planes have.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// Bits beyond the last column are set.
    #[error("row {row} of a picture for {panel} has ink in its padding")]
    Padding {
        /// The panel.
        panel: Panel,
        /// Row, counted through all planes.
        row: usize,
    },
}

impl Planes {
    /// A white picture.
    #[must_use]
    pub fn white(panel: Panel) -> Self {
        Self::hashed(panel, vec![0; panel.picture_bytes()].into())
    }

    /// A picture from its bytes.
    ///
    /// # Errors
    /// Another length than the panel's, or ink in the padding of a row.
    pub fn new(panel: Panel, bytes: impl Into<Bytes>) -> Result<Self, PlanesError> {
        let bytes = bytes.into();
        let expected = panel.picture_bytes();
        if bytes.len() != expected {
            return Err(PlanesError::Length { panel, expected, found: bytes.len() });
        }
        let padding = match panel.width() % 8 {
            0 => 0,
            used => 0xFF_u8 >> used,
        };
        let padded = bytes.chunks_exact(panel.row_bytes()).position(|row| row[row.len() - 1] & padding != 0);
        match padded {
            Some(row) => Err(PlanesError::Padding { panel, row }),
            None => Ok(Self::hashed(panel, bytes)),
        }
    }

    /// The panel that it is for.
    #[must_use]
    pub fn panel(&self) -> Panel {
        self.0.panel
    }

    /// Plane 0 followed by plane 1.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The ink at a pixel.
    ///
    /// # Panics
    /// Outside the panel.
    #[must_use]
    pub fn ink(&self, x: u16, y: u16) -> Ink {
        let Picture { panel, bytes, .. } = &*self.0;
        assert!(x < panel.width() && y < panel.height(), "pixel ({x}, {y}) is outside {panel}");
        let at = usize::from(y) * panel.row_bytes() + usize::from(x / 8);
        let bit = |plane: usize| bytes[plane * panel.plane_bytes() + at] & (0x80 >> (x % 8)) != 0;
        let colours = panel.colours();
        let coloured = colours.plane_count() > 1 && bit(1);
        match (colours, bit(0), coloured) {
            (_, false, false) => Ink::White,
            (Colours::BlackRedYellow, true, true) => Ink::Yellow,
            (Colours::BlackYellow, _, true) => Ink::Yellow,
            (_, _, true) => Ink::Red,
            (_, true, false) => Ink::Black,
        }
    }

    /// What identifies the picture: see [`Digest`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    fn hashed(panel: Panel, bytes: Bytes) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(panel.to_string().as_bytes());
        hasher.update(&[0]);
        hasher.update(&bytes);
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(Arc::new(Picture { panel, bytes, digest: Digest(digest) }))
    }
}

impl fmt::Debug for Planes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Planes({}, {})", self.panel(), self.digest())
    }
}

/// The first 16 bytes of BLAKE3(panel id in ASCII ‖ 0x00 ‖ planes in order), written as 32 lower-case
/// hexadecimal digits. A label computes it from the planes that it decoded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("digest `{0}` is not 32 lower-case hexadecimal digits")]
pub struct DigestError(String);

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text::hex(text).map(Self).ok_or_else(|| DigestError(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(Digest);

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(id: &str) -> Panel {
        id.parse().unwrap()
    }

    /// Pinned: labels in shops compute the same. Do not change.
    #[test]
    fn digests_are_pinned() {
        assert_eq!(Planes::white(panel("bw-250x122")).digest().to_string(), "91d27578ed853afd5c9154502577f926");
        assert_eq!(Planes::white(panel("bwr-296x128")).digest().to_string(), "f125e9fe3e2df6100ce9416404db98b4");
    }

    #[test]
    fn four_colours_use_both_planes() {
        let planes = Planes::new(panel("bwry-4x1"), vec![0b0101_0000, 0b0011_0000]).unwrap();
        let row: Vec<Ink> = (0..4).map(|x| planes.ink(x, 0)).collect();
        assert_eq!(row, [Ink::White, Ink::Black, Ink::Red, Ink::Yellow]);
    }

    #[test]
    fn bytes_of_another_size_and_ink_in_the_padding_are_refused() {
        let short = Planes::new(panel("bw-9x2"), vec![0; 3]).unwrap_err();
        assert_eq!(short.to_string(), "a picture for bw-9x2 has 4 bytes, not 3");
        let padded = Planes::new(panel("bw-9x2"), vec![0, 0x80, 0, 0x40]).unwrap_err();
        assert_eq!(padded.to_string(), "row 1 of a picture for bw-9x2 has ink in its padding");
    }
}
