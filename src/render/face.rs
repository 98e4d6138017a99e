//! Glyphs as 1-bit masks: the fonts that ship, through FreeType in mono mode, with fallback and a bounded cache.

use std::rc::Rc;

use freetype::Library;
use freetype::face::LoadFlag;
use hashbrown::HashMap;

use super::mask::Mask;
use crate::template::style::{Font, Weight};
use crate::template::view::is_invisible;

/// Most glyphs kept. A thousand labels use some 300 (measured); at about 150 bytes each this is 1 MB per
/// renderer. A full cache is emptied: filling it again costs some 20 µs a glyph.
const GLYPHS_MAX: usize = 8_192;

/// The pixel font's size; its outlines are whole pixels at multiples of it only.
const PIXEL_FONT: u16 = 12;
/// Smallest size at which hinted outlines stay clean in one bit.
const OUTLINE_MIN: u16 = 14;

/// The fonts that ship, in the order of [`FaceName`].
static FONTS: [&[u8]; 4] = [
    include_bytes!("../../label-templates/fonts/NotoSansSC-Regular.otf"),
    include_bytes!("../../label-templates/fonts/NotoSansSC-Bold.otf"),
    include_bytes!("../../label-templates/fonts/BarlowCondensed-SemiBold.ttf"),
    include_bytes!("../../label-templates/fonts/FusionPixel12-SC.otf"),
];

#[derive(Clone, Copy)]
enum FaceName {
    Regular,
    Bold,
    Condensed,
    Pixel,
}

/// A list of faces to look a character up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Typeface {
    Regular,
    Bold,
    Digits,
    Pixel,
}

/// One character's picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Glyph {
    pub(super) mask: Mask,
    /// From the pen to the mask's left column.
    pub(super) left: i32,
    /// From the baseline up to above the mask's first row.
    pub(super) top: i32,
    /// From this pen to the next.
    pub(super) advance: i32,
    /// No face has it: the mask is a box.
    pub(super) missing: bool,
}

/// Characters set one after the other on a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// Glyphs, and how far each one's pen stands from the start.
    pub(super) glyphs: Vec<(Rc<Glyph>, i32)>,
    pub(super) width: i32,
    /// Characters that no face has.
    pub(super) missing: Vec<char>,
}

/// A renderer cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// FreeType does not start.
    #[error("FreeType does not start: {0}")]
    Library(String),
    /// A font that ships cannot be opened.
    #[error("font {number} of those that ship cannot be opened: {why}")]
    Font {
        /// Its place in the list.
        number: usize,
        /// FreeType's word.
        why: String,
    },
}

/// The open faces and their glyphs. Not `Send`: FreeType's faces are not.
pub(super) struct Faces {
    faces: Vec<freetype::Face<&'static [u8]>>,
    glyphs: HashMap<(Typeface, u16, char), Rc<Glyph>>,
    /// How wide the figures of the narrow face are, by size; there are some 300 sizes.
    figures: HashMap<u16, i32>,
}

impl Typeface {
    pub(super) const fn of(font: Font, weight: Weight) -> Self {
        match (font, weight) {
            (Font::Text, Weight::Normal) => Self::Regular,
            (Font::Text, Weight::Bold) => Self::Bold,
            (Font::Digits, _) => Self::Digits,
            (Font::Pixel, _) => Self::Pixel,
        }
    }

    /// The size that is really drawn: below 14 pixels, and in the pixel font, only multiples of 12 are clean.
    pub(super) const fn drawn_size(self, size: u16) -> u16 {
        match self {
            Self::Pixel => pixel_size(size),
            Self::Regular | Self::Bold if size < OUTLINE_MIN => PIXEL_FONT,
            _ => size,
        }
    }

    /// Rows from the top of a line to its baseline.
    pub(super) const fn ascent(self, size: u16) -> i32 {
        match self {
            Self::Digits => share(size, 74),
            Self::Pixel => share(size, 84),
            Self::Regular | Self::Bold if size < OUTLINE_MIN => share(PIXEL_FONT, 84),
            Self::Regular | Self::Bold => share(size, 88),
        }
    }

    /// Rows from the baseline to the bottom of a line.
    pub(super) const fn descent(self, size: u16) -> i32 {
        match self {
            Self::Digits => share(size, 20),
            Self::Regular | Self::Bold if size >= OUTLINE_MIN => share(size, 18),
            _ => share(self.drawn_size(size), 17),
        }
    }

    /// The faces to ask, with the size at which each is asked.
    fn faces(self, size: u16) -> [(FaceName, u16); 3] {
        let pixel = (FaceName::Pixel, pixel_size(size));
        match self {
            Self::Pixel => [pixel, (FaceName::Regular, size), (FaceName::Bold, size)],
            Self::Regular | Self::Bold if size < OUTLINE_MIN => {
                [pixel, (FaceName::Regular, PIXEL_FONT), (FaceName::Bold, PIXEL_FONT)]
            }
            Self::Regular => [(FaceName::Regular, size), (FaceName::Bold, size), pixel],
            Self::Bold => [(FaceName::Bold, size), (FaceName::Regular, size), pixel],
            Self::Digits => [(FaceName::Condensed, size), (FaceName::Bold, size), pixel],
        }
    }
}

const fn pixel_size(size: u16) -> u16 {
    if size < PIXEL_FONT { PIXEL_FONT } else { size / PIXEL_FONT * PIXEL_FONT }
}

/// Percent of a size in pixels, to the nearest.
const fn share(size: u16, percent: i32) -> i32 {
    (size as i32 * percent + 50) / 100
}

impl Faces {
    pub(super) fn new() -> Result<Self, RenderError> {
        let library = Library::init().map_err(|error| RenderError::Library(error.to_string()))?;
        let open = |(number, bytes): (usize, &&'static [u8])| {
            library.new_memory_face2(*bytes, 0).map_err(|error| RenderError::Font { number, why: error.to_string() })
        };
        let faces = FONTS.iter().enumerate().map(open).collect::<Result<_, _>>()?;
        Ok(Self { faces, glyphs: HashMap::new(), figures: HashMap::new() })
    }

    /// The glyph of a character at a size, from the first face that has it.
    pub(super) fn glyph(&mut self, typeface: Typeface, size: u16, character: char) -> Rc<Glyph> {
        let key = (typeface, size, character);
        if let Some(glyph) = self.glyphs.get(&key) {
            return Rc::clone(glyph);
        }
        if self.glyphs.len() >= GLYPHS_MAX {
            self.glyphs.clear();
        }
        let mut glyph = self.drawn(typeface, size, character);
        if typeface == Typeface::Digits && character.is_ascii_digit() {
            let width = self.figure_width(size);
            glyph.left += (width - glyph.advance) / 2;
            glyph.advance = width;
        }
        let glyph = Rc::new(glyph);
        self.glyphs.insert(key, Rc::clone(&glyph));
        glyph
    }

    /// Figures are as wide as the widest of them, so that prices stand in columns and a change moves nothing.
    fn figure_width(&mut self, size: u16) -> i32 {
        if let Some(width) = self.figures.get(&size) {
            return *width;
        }
        let advance = |figure| self.drawn(Typeface::Digits, size, figure).advance;
        let width = ('0'..='9').map(advance).max().unwrap_or(0);
        self.figures.insert(size, width);
        width
    }

    /// A text on one line.
    pub(super) fn run(&mut self, typeface: Typeface, size: u16, text: &str) -> Run {
        let mut run = Run { glyphs: Vec::with_capacity(text.len()), ..Run::default() };
        for character in text.chars() {
            let glyph = self.glyph(typeface, size, character);
            if glyph.missing {
                run.missing.push(character);
            }
            let pen = run.width;
            run.width += glyph.advance;
            run.glyphs.push((glyph, pen));
        }
        run
    }

    fn drawn(&self, typeface: Typeface, size: u16, character: char) -> Glyph {
        if is_invisible(character) {
            return Glyph { mask: Mask::default(), left: 0, top: 0, advance: 0, missing: false };
        }
        let character = if character == '\u{a0}' { ' ' } else { character };
        let face_glyph = |(name, size)| self.face_glyph(name, size, character);
        typeface.faces(size).into_iter().find_map(face_glyph).unwrap_or_else(|| box_glyph(typeface.drawn_size(size)))
    }

    /// None if the face does not have the character, or cannot draw it.
    fn face_glyph(&self, name: FaceName, size: u16, character: char) -> Option<Glyph> {
        let face = &self.faces[name as usize];
        let index = face.get_char_index(character as usize)?;
        face.set_pixel_sizes(0, u32::from(size)).ok()?;
        // Barlow's own hints put single pixels on top of round figures at large sizes; unhinted it is clean.
        let hints = if matches!(name, FaceName::Condensed) { LoadFlag::NO_HINTING } else { LoadFlag::DEFAULT };
        face.load_glyph(index, LoadFlag::RENDER | LoadFlag::TARGET_MONO | LoadFlag::MONOCHROME | hints).ok()?;
        let slot = face.glyph();
        let bitmap = slot.bitmap();
        let pitch = usize::try_from(bitmap.pitch()).ok()?;
        let mask = Mask::from_rows(bitmap.width(), pitch, bitmap.buffer());
        let advance = i32::try_from((slot.advance().x + 32) >> 6).ok()?;
        Some(Glyph { mask, left: slot.bitmap_left(), top: slot.bitmap_top(), advance, missing: false })
    }
}

impl std::fmt::Debug for Faces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Faces({} glyphs)", self.glyphs.len())
    }
}

/// What stands for a character that no face has: a hollow box.
fn box_glyph(size: u16) -> Glyph {
    let (width, height) = (i32::from(size * 6 / 10), i32::from(size * 7 / 10));
    let edge = |x, y| y == 0 || y + 1 == height || x == 0 || x + 1 == width;
    Glyph { mask: Mask::from_fn(width, height, edge), left: 1, top: height, advance: width + 2, missing: true }
}
