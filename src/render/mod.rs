//! Pixels: a scene becomes packed planes.
//!
//! The same scene gives the same bytes on every machine: glyphs come from the fonts that ship through FreeType's
//! integer rasteriser in mono mode, layout is rounded to whole pixels, and nothing depends on a hash's order.
//! Content never fails: what cannot be shown as wanted is shown as well as it can be, with a [`Finding`].

mod canvas;
pub mod check;
mod code;
mod draw;
mod face;
mod layout;
mod mask;
mod picture;
pub mod png;
mod price;
mod text;

use std::fmt;

use gondola_protocol::Planes;

pub use code::CodeError;
pub use face::RenderError;

use crate::template::Scene;
use code::Codes;
use draw::Drawing;
use face::Faces;
use layout::Layouts;
use picture::Pictures;
use price::Prices;
use text::Texts;

/// Makes pictures. Not `Send`: FreeType's faces are not; each thread that renders has its own.
#[derive(Debug)]
pub struct Renderer {
    memory: Memory,
    layouts: Layouts,
}

/// What a renderer keeps from one picture to the next. Each part states its bound; none of it changes a pixel.
#[derive(Debug)]
struct Memory {
    faces: Faces,
    texts: Texts,
    prices: Prices,
    codes: Codes,
    pictures: Pictures,
}

/// A picture, and what was noticed while it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The picture.
    pub planes: Planes,
    /// What a person may want to know; empty for a picture that shows everything as its template wants.
    pub findings: Vec<Finding>,
}

/// Something that could not be shown as wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// No face has this character; a box stands for it.
    MissingGlyph(char),
    /// This text did not fit and was cut.
    Cut(String),
    /// This is no code that can be printed; its text stands for it.
    Code {
        /// What should have been printed.
        content: String,
        /// Why it was not.
        why: CodeError,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingGlyph(character) => {
                write!(f, "no font has `{character}` (U+{:04X}); a box stands for it", u32::from(*character))
            }
            Self::Cut(text) => write!(f, "`{text}` does not fit and was cut"),
            Self::Code { content, why } => write!(f, "code `{content}` was not printed: {why}"),
        }
    }
}

impl Renderer {
    /// A renderer with the fonts that ship.
    ///
    /// # Errors
    /// FreeType does not start or does not take a font.
    pub fn new() -> Result<Self, RenderError> {
        let faces = Faces::new()?;
        let (texts, prices, codes, pictures) = Default::default();
        Ok(Self { memory: Memory { faces, texts, prices, codes, pictures }, layouts: Layouts::default() })
    }

    /// Makes the picture of a scene.
    pub fn render(&mut self, scene: &Scene) -> Rendered {
        let placed = layout::place(&mut self.memory, &mut self.layouts, scene);
        let mut drawing = Drawing::new(&mut self.memory, scene.panel());
        drawing.node(scene.root(), &placed, placed.area);
        drawing.finish()
    }
}
