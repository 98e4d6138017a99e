//! Size and colours of a label's display, upright as read.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// What a single pixel can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ink {
    /// No ink.
    White,
    /// Black ink.
    Black,
    /// Red ink, on `bwr` and `bwry` panels.
    Red,
    /// Yellow ink, on `bwy` and `bwry` panels.
    Yellow,
}

/// The inks that a panel has beside white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Colours {
    /// `bw`: black.
    Black,
    /// `bwr`: black and red.
    BlackRed,
    /// `bwy`: black and yellow.
    BlackYellow,
    /// `bwry`: black, red and yellow.
    BlackRedYellow,
}

impl Colours {
    /// Every set of colours, in the order of its wire code.
    pub const ALL: [Self; 4] = [Self::Black, Self::BlackRed, Self::BlackYellow, Self::BlackRedYellow];

    /// The name that stands before the size in a panel's id.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Black => "bw",
            Self::BlackRed => "bwr",
            Self::BlackYellow => "bwy",
            Self::BlackRedYellow => "bwry",
        }
    }

    /// 1 or 2 bitplanes.
    #[must_use]
    pub const fn plane_count(self) -> usize {
        match self {
            Self::Black => 1,
            _ => 2,
        }
    }

    /// Whether a pixel of this panel can show `ink`.
    #[must_use]
    pub const fn has(self, ink: Ink) -> bool {
        match ink {
            Ink::White | Ink::Black => true,
            Ink::Red => matches!(self, Self::BlackRed | Self::BlackRedYellow),
            Ink::Yellow => matches!(self, Self::BlackYellow | Self::BlackRedYellow),
        }
    }
}

/// Longest side in pixels: a 13.3-inch poster has 1,600; twice that leaves room and keeps a plane file under 4 MiB.
pub const SIDE_MAX: u16 = 3_200;

/// A display's size and colours, for example `bwr-296x128`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Panel {
    colours: Colours,
    width: u16,
    height: u16,
}

/// Why a text or a size is not a panel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PanelError {
    /// The text has another shape.
    #[error("panel `{0}` is not `<bw|bwr|bwy|bwry>-<width>x<height>`, for example `bwr-296x128`")]
    Shape(String),
    /// A side is out of range.
    #[error("panel side {0} is not 1 to {SIDE_MAX} pixels")]
    Side(u16),
}

impl Panel {
    /// A panel of `width` × `height` pixels.
    ///
    /// # Errors
    /// A side of 0 or above [`SIDE_MAX`].
    pub fn new(colours: Colours, width: u16, height: u16) -> Result<Self, PanelError> {
        for side in [width, height] {
            if side == 0 || side > SIDE_MAX {
                return Err(PanelError::Side(side));
            }
        }
        Ok(Self { colours, width, height })
    }

    /// The inks it has.
    #[must_use]
    pub const fn colours(self) -> Colours {
        self.colours
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(self) -> u16 {
        self.height
    }

    /// Bytes of one row of one plane: each row is padded to a whole byte.
    #[must_use]
    pub const fn row_bytes(self) -> usize {
        (self.width as usize).div_ceil(8)
    }

    /// Bytes of one plane.
    #[must_use]
    pub const fn plane_bytes(self) -> usize {
        self.row_bytes() * self.height as usize
    }

    /// Bytes of all planes: the size of a picture sent raw.
    #[must_use]
    pub const fn picture_bytes(self) -> usize {
        self.plane_bytes() * self.colours.plane_count()
    }
}

impl FromStr for Panel {
    type Err = PanelError;

    fn from_str(text: &str) -> Result<Self, PanelError> {
        let refused = || PanelError::Shape(text.to_owned());
        let (colours, size) = text.split_once('-').ok_or_else(refused)?;
        let (width, height) = size.split_once('x').ok_or_else(refused)?;
        let colours = Colours::ALL.into_iter().find(|c| c.as_str() == colours).ok_or_else(refused)?;
        let panel = Self::new(colours, width.parse().map_err(|_| refused())?, height.parse().map_err(|_| refused())?)?;
        // One text per panel: `bw-0296x128` and `bw-+296x128` are not ids.
        if panel.to_string() == text { Ok(panel) } else { Err(refused()) }
    }
}

impl fmt::Display for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}x{}", self.colours.as_str(), self.width, self.height)
    }
}

impl fmt::Debug for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(Panel);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_written() {
        for id in ["bw-250x122", "bwr-296x128", "bwy-400x300", "bwry-800x480"] {
            assert_eq!(id.parse::<Panel>().unwrap().to_string(), id);
        }
        for id in ["", "bw", "bw-", "bw-250", "bwg-250x122", "bw-0250x122", "bw-250x+122", "bw-70000x1"] {
            assert_eq!(id.parse::<Panel>(), Err(PanelError::Shape(id.to_owned())), "{id}");
        }
        assert_eq!("bw-0x122".parse::<Panel>(), Err(PanelError::Side(0)));
    }

    #[test]
    fn rows_are_padded_to_whole_bytes() {
        let panel: Panel = "bwr-250x122".parse().unwrap();
        assert_eq!((panel.row_bytes(), panel.plane_bytes(), panel.picture_bytes()), (32, 3_904, 7_808));
    }
}
