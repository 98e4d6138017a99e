//! A template with every expression evaluated: plain values that decide a picture completely.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use gondola_protocol::Panel;
use gondola_protocol::text::{self, serde_as_text};

use super::picture::Picture;
use super::style::{
    Color, Decoration, Digits, Dither, Fit, Font, Level, Overflow, Style, Symbology, TextAlign, Weight,
};

/// Raised whenever the renderer draws some scene differently, so that old keys do not stand for new pictures.
pub const RENDERER_VERSION: u32 = 2;

/// Everything that a picture shows, for one panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    pub(super) template: Arc<str>,
    pub(super) panel: Panel,
    pub(super) root: Node,
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    /// The ink of its text, bars and frame; the panel has it.
    pub color: Color,
    /// How it stands and looks.
    pub style: Style,
    /// What it holds.
    pub content: Content,
}

/// What an element holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Content {
    /// Other elements.
    Box(Vec<Node>),
    /// Text.
    Text(Text),
    /// A price.
    Price(Price),
    /// A bar code, QR code or Data Matrix.
    Code(Code),
    /// A picture.
    Image(Image),
}

/// Text that fits itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text {
    /// On one line, without control characters, never empty.
    pub text: String,
    /// Its look.
    pub look: TextLook,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextLook {
    /// Sizes to try.
    pub size: Fit,
    /// Most lines.
    pub lines: u16,
    /// When it does not fit.
    pub overflow: Overflow,
    /// Family.
    pub font: Font,
    /// Weight.
    pub weight: Weight,
    /// Line over it.
    pub decoration: Decoration,
    /// Where its lines stand.
    pub align: TextAlign,
}

/// A price in large figures.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Price {
    /// `59.90`, never empty.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
    /// What the price is for; empty for none.
    pub unit: String,
    /// Sizes to try.
    pub size: Fit,
}

/// A code for scanners.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Code {
    /// What it says, never empty; it may be no valid code.
    pub content: String,
    /// Symbology.
    pub symbology: Symbology,
    /// Of a QR code.
    pub level: Level,
    /// Pixels of the narrowest bar or of a square: the largest for which there is room.
    pub module: Fit,
    /// Digits under bars.
    pub digits: Digits,
}

/// A picture, as large as its room allows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Image {
    /// The picture.
    pub picture: Arc<Picture>,
    /// How its shades become inks.
    pub dither: Dither,
}

impl Scene {
    /// What identifies the picture: equal keys mean equal pictures.
    #[must_use]
    pub fn key(&self) -> RenderKey {
        let mut canonical = Canonical::default();
        (RENDERER_VERSION, self.panel, &self.root).hash(&mut canonical);
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(&canonical.0).as_bytes()[..16]);
        RenderKey(key)
    }

    /// The panel that it is for.
    #[must_use]
    pub const fn panel(&self) -> Panel {
        self.panel
    }

    /// The template that it was made from.
    #[must_use]
    pub const fn template(&self) -> &Arc<str> {
        &self.template
    }

    /// The outermost box.
    #[must_use]
    pub const fn root(&self) -> &Node {
        &self.root
    }
}

/// Everything that is hashed, one after the other, as the same bytes on every machine.
#[derive(Default)]
struct Canonical(Vec<u8>);

impl Hasher for Canonical {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn write_u16(&mut self, number: u16) {
        self.write(&number.to_le_bytes());
    }

    fn write_u32(&mut self, number: u32) {
        self.write(&number.to_le_bytes());
    }

    /// Lengths.
    fn write_usize(&mut self, number: usize) {
        self.write(&(number as u64).to_le_bytes());
    }

    /// Which of an enum's variants it is.
    fn write_isize(&mut self, number: isize) {
        self.write(&(number as i64).to_le_bytes());
    }

    fn finish(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The first 16 bytes of a BLAKE3 over a scene, its panel and [`RENDERER_VERSION`], written as 32 lower-case
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RenderKey(pub [u8; 16]);

/// A text that is no render key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("render key `{0}` is not 32 lower-case hexadecimal digits")]
pub struct RenderKeyError(String);

impl FromStr for RenderKey {
    type Err = RenderKeyError;

    fn from_str(text: &str) -> Result<Self, RenderKeyError> {
        text::hex(text).map(Self).ok_or_else(|| RenderKeyError(text.to_owned()))
    }
}

impl fmt::Display for RenderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for RenderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(RenderKey);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::style::Length;

    /// Do not change: after an update every store would draw every picture anew.
    #[test]
    fn a_scene_has_the_same_key_on_every_machine() {
        let size = Fit { largest: 28, smallest: 14 };
        let look = TextLook {
            size,
            lines: 2,
            overflow: Overflow::Shrink,
            font: Font::Text,
            weight: Weight::Bold,
            decoration: Decoration::None,
            align: TextAlign::Left,
        };
        let text = Content::Text(Text { text: "开心果".to_owned(), look });
        let [amount, currency, unit] = ["59.90", "CNY", "袋"].map(str::to_owned);
        let price = Content::Price(Price { amount, currency, unit, size });
        let style = Style { grow: 1, height: Some(Length::Percent(40)), ..Style::default() };
        let inside = [(Color::Black, text), (Color::Red, price)];
        let inside = inside.map(|(color, content)| Node { color, style, content });
        let root = Node { color: Color::Black, style: Style::default(), content: Content::Box(inside.into()) };
        let scene = Scene { template: "standard".into(), panel: "bwr-296x128".parse().unwrap(), root };
        assert_eq!(scene.key().to_string(), "78011100c292446734c634e748c74211");
    }

    #[test]
    fn keys_are_read_and_written() {
        let key = RenderKey([0xA5; 16]);
        assert_eq!(key.to_string().parse::<RenderKey>().unwrap(), key);
        assert_eq!(serde_json::from_str::<RenderKey>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
        for text in ["", "a5", &"A5".repeat(16), &"g5".repeat(16)] {
            assert!(text.parse::<RenderKey>().is_err(), "{text}");
        }
    }
}
