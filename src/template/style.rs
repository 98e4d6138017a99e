//! The words of the attributes: sizes, colours, directions. Values only; no layout.

use std::fmt;
use std::str::FromStr;

use gondola_protocol::{Colours, Ink};

/// Smallest text that stays legible on a 1-bit panel: the pixel font's only size.
pub const TEXT_SIZE_MIN: u16 = 12;
/// Largest text: a price across the tallest common panel (480 pixels) is smaller.
pub const TEXT_SIZE_MAX: u16 = 320;
/// Most lines of one text; a shelf label has no room for more.
pub const LINES_MAX: u16 = 8;
/// Widest module of a code, in pixels: EAN-13 of 8 pixels fills the widest panels.
const MODULE_MAX: u16 = 8;
/// Longest side, gap or padding: that of the largest panel.
const PIXELS_MAX: u16 = gondola_protocol::panel::SIDE_MAX;

/// A value that is not one of the attribute's words; says what it could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(pub String);

/// Declares a CSS-like keyword: its variants, their words, and reading them.
macro_rules! keyword {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl FromStr for $name {
            type Err = Expected;

            fn from_str(text: &str) -> Result<Self, Expected> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Expected(format!("one of {}", [$($word),+].join(", ")))),
                }
            }
        }
    };
}

keyword!(
    /// Along which axis a box lays out its children.
    Direction {
        /// Left to right.
        Row = "row",
        /// Top to bottom.
        Column = "column",
    }
);
keyword!(
    /// How children stand across the axis.
    Align {
        /// At the start.
        Start = "start",
        /// In the middle.
        Center = "center",
        /// At the end.
        End = "end",
        /// As wide (or tall) as the box.
        Stretch = "stretch",
        /// Texts on one line.
        Baseline = "baseline",
    }
);
keyword!(
    /// How children are spread along the axis.
    Justify {
        /// From the start.
        Start = "start",
        /// Around the middle.
        Center = "center",
        /// To the end.
        End = "end",
        /// First at the start, last at the end.
        SpaceBetween = "space-between",
        /// Equal room everywhere.
        SpaceEvenly = "space-evenly",
    }
);
keyword!(
    /// An ink by name; one that the panel lacks becomes black.
    Color {
        /// No ink.
        White = "white",
        /// Black.
        Black = "black",
        /// Red.
        Red = "red",
        /// Yellow.
        Yellow = "yellow",
    }
);
keyword!(
    /// A family of faces by its role.
    Font {
        /// Running text, Chinese and Latin.
        Text = "text",
        /// Narrow figures and Latin.
        Digits = "digits",
        /// The 12-pixel font at 12, 24 or 36 pixels.
        Pixel = "pixel",
    }
);
keyword!(
    /// Stroke weight.
    Weight {
        /// Regular.
        Normal = "normal",
        /// Bold.
        Bold = "bold",
    }
);
keyword!(
    /// A line over text.
    Decoration {
        /// None.
        None = "none",
        /// Struck through.
        LineThrough = "line-through",
    }
);
keyword!(
    /// Where a line of text stands in its width.
    TextAlign {
        /// At the left.
        Left = "left",
        /// In the middle.
        Center = "center",
        /// At the right.
        Right = "right",
    }
);
keyword!(
    /// What happens to text that does not fit even at its smallest size.
    Overflow {
        /// It shrinks on to 12 pixels, and only then gets an ellipsis.
        Shrink = "shrink",
        /// It ends in an ellipsis.
        Ellipsis = "ellipsis",
        /// It is cut at the edge.
        Clip = "clip",
    }
);
keyword!(
    /// A symbology.
    Symbology {
        /// EAN-13; 12 digits are read as a UPC-A.
        Ean13 = "ean13",
        /// EAN-8.
        Ean8 = "ean8",
        /// UPC-A.
        Upca = "upca",
        /// Code 128, for any ASCII text.
        Code128 = "code128",
        /// QR code; its element is `qrcode`.
        Qr = "qr",
        /// Data Matrix; its element is `datamatrix`.
        DataMatrix = "data-matrix",
    }
);
keyword!(
    /// How much of a QR code may be unreadable.
    Level {
        /// 7 %.
        Low = "l",
        /// 15 %.
        Medium = "m",
        /// 25 %.
        Quartile = "q",
        /// 30 %.
        High = "h",
    }
);
keyword!(
    /// How a picture's shades become inks.
    Dither {
        /// Each pixel gets the nearest ink: for logos.
        None = "none",
        /// A fixed pattern of dots: calm areas, and equal shades look equal.
        Ordered = "ordered",
        /// What one pixel is off, its neighbours make up for: for photos.
        Diffusion = "diffusion",
    }
);
keyword!(
    /// Whether a code's digits stand under it.
    Digits {
        /// They do.
        Below = "below",
        /// They do not.
        None = "none",
    }
);

impl Color {
    /// The ink on a panel with these colours.
    pub(super) fn on(self, colours: Colours) -> Self {
        if colours.has(self.ink()) { self } else { Self::Black }
    }

    /// The ink.
    #[must_use]
    pub const fn ink(self) -> Ink {
        match self {
            Self::White => Ink::White,
            Self::Black => Ink::Black,
            Self::Red => Ink::Red,
            Self::Yellow => Ink::Yellow,
        }
    }
}

/// A whole number within a range that its type states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole<const MIN: u16, const MAX: u16>(pub(super) u16);

impl<const MIN: u16, const MAX: u16> FromStr for Whole<MIN, MAX> {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number));
        number.map(Self).ok_or_else(|| Expected(format!("a whole number from {MIN} to {MAX}")))
    }
}

/// A number of pixels.
pub(super) type Pixels = Whole<0, PIXELS_MAX>;

/// A width or height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Length {
    /// Pixels.
    Pixels(u16),
    /// Percent of the parent's.
    Percent(u16),
}

impl FromStr for Length {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let refused = || Expected(format!("pixels from 0 to {PIXELS_MAX} like `24`, or a share like `50%`"));
        match text.strip_suffix('%') {
            Some(share) => share.parse::<Whole<0, 100>>().map(|share| Self::Percent(share.0)).map_err(|_| refused()),
            None => text.parse::<Pixels>().map(|pixels| Self::Pixels(pixels.0)).map_err(|_| refused()),
        }
    }
}

/// Room inside a box's edges, in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Padding {
    /// At the top.
    pub top: u16,
    /// At the right.
    pub right: u16,
    /// At the bottom.
    pub bottom: u16,
    /// At the left.
    pub left: u16,
}

impl FromStr for Padding {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let refused = || Expected("1, 2 or 4 numbers of pixels like `4`, `2 6` or `2 6 4 6`".to_owned());
        let sides: Result<Vec<u16>, _> =
            text.split_whitespace().map(|side| side.parse::<Pixels>().map(|p| p.0)).collect();
        match *sides.map_err(|_| refused())?.as_slice() {
            [all] => Ok(Self { top: all, right: all, bottom: all, left: all }),
            [vertical, horizontal] => Ok(Self { top: vertical, right: horizontal, bottom: vertical, left: horizontal }),
            [top, right, bottom, left] => Ok(Self { top, right, bottom, left }),
            _ => Err(refused()),
        }
    }
}

/// The sizes between which a text fits itself, in pixels of the em.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fit {
    /// Tried first.
    pub largest: u16,
    /// Tried last.
    pub smallest: u16,
}

impl Fit {
    /// Reads `16` or `28..14`, each from `min` to `max`.
    fn read(text: &str, min: u16, max: u16) -> Option<Self> {
        let (largest, smallest) = text.split_once("..").unwrap_or((text, text));
        let size = |text: &str| text.parse().ok().filter(|size| (min..=max).contains(size));
        let fit = Self { largest: size(largest)?, smallest: size(smallest)? };
        (fit.largest >= fit.smallest).then_some(fit)
    }

    /// So many times as large.
    fn times(self, scale: u16, max: u16) -> Self {
        let times = |size: u16| size.saturating_mul(scale).min(max);
        Self { largest: times(self.largest), smallest: times(self.smallest) }
    }

    /// A text's sizes, so many times as large.
    pub(super) fn scaled(self, scale: u16) -> Self {
        self.times(scale, TEXT_SIZE_MAX)
    }
}

impl FromStr for Fit {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        Self::read(text, TEXT_SIZE_MIN, TEXT_SIZE_MAX).ok_or_else(|| {
            Expected(format!(
                "a size from {TEXT_SIZE_MIN} to {TEXT_SIZE_MAX} like `16`, or a larger and a smaller one like `28..14`"
            ))
        })
    }
}

/// Pixels of a code's module: the largest of these for which there is room. `MIN` is the smallest that scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Module<const MIN: u16>(pub(super) Fit);

impl<const MIN: u16> Module<MIN> {
    /// The smallest only.
    pub(super) const SMALLEST: Self = Self(Fit { largest: MIN, smallest: MIN });
}

impl<const MIN: u16> FromStr for Module<MIN> {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        Fit::read(text, MIN, MODULE_MAX).map(Self).ok_or_else(|| {
            Expected(format!(
                "whole pixels from {MIN} to {MODULE_MAX} like `2`, or a larger and a smaller number like `4..{MIN}`"
            ))
        })
    }
}

/// A code's module, so many times as large: its smallest stays, so that a code is printed wherever it scans.
pub(super) fn scaled_module(module: Fit, scale: u16) -> Fit {
    Fit { smallest: module.smallest, ..module.times(scale, MODULE_MAX) }
}

/// How an element stands in its parent and looks, whatever it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Style {
    /// Axis of the children.
    pub direction: Direction,
    /// Pixels between children.
    pub gap: u16,
    /// Room inside the edges.
    pub padding: Padding,
    /// Children across the axis.
    pub align: Align,
    /// Children along the axis.
    pub justify: Justify,
    /// Share of spare room.
    pub grow: u16,
    /// Share of missing room.
    pub shrink: u16,
    /// Fixed width.
    pub width: Option<Length>,
    /// Fixed height.
    pub height: Option<Length>,
    /// Ink behind the content.
    pub background: Option<Color>,
    /// Width of the frame, in the element's colour.
    pub border: u16,
    /// Radius of the corners.
    pub radius: u16,
}

impl Length {
    fn scaled(self, scale: u16) -> Self {
        match self {
            Self::Pixels(pixels) => Self::Pixels(pixels.saturating_mul(scale)),
            share @ Self::Percent(_) => share,
        }
    }
}

impl Style {
    /// With every number of pixels so many times as large.
    pub(super) fn scaled(self, scale: u16) -> Self {
        let times = |pixels: u16| pixels.saturating_mul(scale);
        let Padding { top, right, bottom, left } = self.padding;
        Self {
            gap: times(self.gap),
            padding: Padding { top: times(top), right: times(right), bottom: times(bottom), left: times(left) },
            width: self.width.map(|width| width.scaled(scale)),
            height: self.height.map(|height| height.scaled(scale)),
            border: times(self.border),
            radius: times(self.radius),
            ..self
        }
    }
}

impl Default for Style {
    fn default() -> Self {
        Self {
            direction: Direction::Row,
            gap: 0,
            padding: Padding::default(),
            align: Align::Stretch,
            justify: Justify::Start,
            grow: 0,
            shrink: 1,
            width: None,
            height: None,
            background: None,
            border: 0,
            radius: 0,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
