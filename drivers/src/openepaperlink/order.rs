//! What labels are told to do beside fetching pictures. They acknowledge first, and then do it.

use gondola_protocol::message::{LightColour, Pattern};

use super::wire::Offer;

/// An order to a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Start anew.
    Reboot,
    /// Look for a better radio.
    Scan,
    /// Sleep until somebody presses the button or takes the batteries out.
    DeepSleep,
    /// Blink.
    Flash(Light),
}

/// How a label blinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Light([u8; 12]);

/// On-time of one flash in milliseconds: bright enough, and sparing with the battery.
const ON_MS: u8 = 8;

impl Light {
    /// In one colour, for about `seconds`, at most 255 flashes.
    #[must_use]
    pub fn new(colour: LightColour, pattern: Pattern, seconds: u16) -> Self {
        // Tenths of a second from flash to flash. No label can stay lit: a steady light is one that flickers.
        let tenths = match pattern {
            Pattern::Steady => 1,
            Pattern::Slow => 10,
            Pattern::Fast => 2,
        };
        let shades = [(1, 0xE0), (2, 0x1C), (4, 0x03)];
        let colour_bits = colour.bits();
        let shade = shades.iter().filter(|(bit, _)| colour_bits & bit != 0).map(|(_, shade)| shade).sum();
        let mode = u8::from(colour_bits != 0);
        let repeats = u8::try_from(u32::from(seconds) * 10 / u32::from(tenths)).unwrap_or(u8::MAX).max(1);
        // One flash of 100 ms in the first of three colours, then a pause.
        let pause = tenths - 1;
        Self([mode | ON_MS << 4, shade, 0x11, pause, 0, 0, 0, 0, 0, 0, repeats, 0])
    }

    /// Its twelve bytes as the label reads them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }
}

impl Order {
    /// What the label is offered.
    #[must_use]
    pub fn offer(self) -> Offer {
        match self {
            Self::Reboot => Offer::order(0, [0; 12]),
            Self::Scan => Offer::order(1, [0; 12]),
            Self::DeepSleep => Offer::order(3, [0; 12]),
            Self::Flash(Light(bytes)) => Offer::order(4, bytes),
        }
    }
}
