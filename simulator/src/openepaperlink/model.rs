//! Models of labels: what is on the back of each, as far as a simulated one needs it.

use gondola_protocol::{Colours, Panel};

/// Whose firmware a label runs: they agree on the air and on little else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// M2: goes on where it was interrupted, obeys every order to come again, draws nothing twice.
    Zbs,
    /// M3: begins anew when it was interrupted, obeys only answers without data, draws again what it is offered again,
    /// and confirms what it throws away.
    Efr32,
}

/// One model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Its number in reports.
    pub id: u8,
    /// Upright width and height in pixels.
    pub size: (u16, u16),
    /// Quarter turns of its panel, as its description counts them.
    pub turns: u8,
    /// Its inks.
    pub colours: Colours,
    /// Its firmware.
    pub maker: Maker,
}

impl Model {
    /// The models that can be simulated.
    pub const ALL: [Self; 8] = [
        Self::new(0x00, 152, 152, 0, Colours::BlackRed, Maker::Zbs),
        Self::new(0x01, 296, 128, 1, Colours::BlackRed, Maker::Zbs),
        Self::new(0x27, 296, 128, 1, Colours::Black, Maker::Zbs),
        Self::new(0x2B, 384, 168, 3, Colours::BlackRedYellow, Maker::Efr32),
        Self::new(0x2E, 960, 672, 2, Colours::BlackRed, Maker::Efr32),
        Self::new(0x33, 384, 168, 3, Colours::BlackRed, Maker::Efr32),
        Self::new(0x36, 800, 480, 0, Colours::BlackRed, Maker::Efr32),
        Self::new(0x3C, 400, 300, 0, Colours::BlackYellow, Maker::Efr32),
    ];

    const fn new(id: u8, width: u16, height: u16, turns: u8, colours: Colours, maker: Maker) -> Self {
        Self { id, size: (width, height), turns, colours, maker }
    }

    /// The model of that number.
    #[must_use]
    pub fn of(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.id == id)
    }

    /// Its display, upright as read.
    ///
    /// # Panics
    /// Never: every model's sides are in range.
    #[must_use]
    pub fn panel(self) -> Panel {
        Panel::new(self.colours, self.size.0, self.size.1).expect("models have sensible sides")
    }

    /// Width and height of the panel's memory.
    #[must_use]
    pub const fn memory(self) -> (u16, u16) {
        let (width, height) = self.size;
        if self.turns % 2 == 1 { (height, width) } else { (width, height) }
    }

    /// Bytes of one plane in the panel's memory.
    #[must_use]
    pub fn plane_bytes(self) -> usize {
        let (width, height) = self.memory();
        usize::from(width) * usize::from(height) / 8
    }

    /// Where in the panel's memory an upright pixel lies.
    pub(super) fn place(self, x: usize, y: usize) -> (usize, usize) {
        let (width, height) = (usize::from(self.size.0), usize::from(self.size.1));
        match self.turns {
            0 => (x, y),
            1 => (y, width - 1 - x),
            2 => (width - 1 - x, height - 1 - y),
            _ => (height - 1 - y, x),
        }
    }
}
