//! What can be wrong with a label.

use std::fmt;

use gondola_protocol::{Ink, LabelId, Panel, Planes};

/// A fault of one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It neither wakes nor answers.
    Deaf,
    /// It wakes and hears, and nobody hears it.
    Mute,
    /// It takes pictures, but its glass never changes; its check-ins keep the old digest and edition.
    Stuck,
    /// The glass shows this pixel inverted: white as black, ink as white. The digest, computed from the
    /// frame buffer, does not know.
    DeadPixel {
        /// Column from the left.
        x: u16,
        /// Row from the top.
        y: u16,
    },
    /// It forgets everything once: white, edition 0, and reports that it was switched on. No fault
    /// remains afterwards.
    Reset,
}

impl Fault {
    /// The fault's name in the control API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deaf => "deaf",
            Self::Mute => "mute",
            Self::Stuck => "stuck",
            Self::DeadPixel { .. } => "dead_pixel",
            Self::Reset => "reset",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a fault cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No such label in this shop.
    #[error("label {0} is not in this simulated shop")]
    UnknownLabel(LabelId),
    /// A pixel that the panel does not have.
    #[error("pixel ({x}, {y}) is outside {panel}")]
    OutsidePanel {
        /// Column.
        x: u16,
        /// Row.
        y: u16,
        /// The label's panel.
        panel: Panel,
    },
}

/// `planes` with one pixel inverted: white becomes black, any ink white.
///
/// # Panics
/// A pixel outside the panel.
pub(crate) fn invert(planes: &Planes, x: u16, y: u16) -> Planes {
    let panel = planes.panel();
    let white = planes.ink(x, y) == Ink::White;
    let mut bytes = planes.bytes().to_vec();
    let at = usize::from(y) * panel.row_bytes() + usize::from(x / 8);
    let bit = 0x80_u8 >> (x % 8);
    for plane in 0..panel.colours().plane_count() {
        bytes[plane * panel.plane_bytes() + at] &= !bit;
    }
    if white {
        bytes[at] |= bit;
    }
    Planes::new(panel, bytes).expect("a pixel inside the panel is not in its padding")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverted_pixel_always_looks_different() {
        let panel = "bwr-4x1".parse().unwrap();
        let planes = Planes::new(panel, vec![0b0100_0000, 0b0010_0000]).unwrap();
        for (x, ink) in [(0, Ink::Black), (1, Ink::White), (2, Ink::White), (3, Ink::Black)] {
            assert_eq!(invert(&planes, x, 0).ink(x, 0), ink, "{x}");
            let others = (0..4).filter(|other| *other != x);
            assert!(others.into_iter().all(|other| invert(&planes, x, 0).ink(other, 0) == planes.ink(other, 0)));
        }
    }
}
