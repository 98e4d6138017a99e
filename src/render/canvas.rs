//! A picture being drawn: packed planes as an `embedded-graphics` target, with blits of 1-bit masks.
//!
//! Nothing is ever drawn outside the panel or outside the clip that a call gives.

use std::convert::Infallible;
use std::ops::Range;

use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::pixelcolor::{PixelColor, raw::RawU2};
use embedded_graphics::prelude::{Dimensions, DrawTarget, Pixel};
use embedded_graphics::primitives::{PointsIter, Rectangle};
use gondola_protocol::{Colours, Ink, Panel, Planes};

/// An ink as `embedded-graphics` wants its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InkColor(pub(super) Ink);

impl PixelColor for InkColor {
    type Raw = RawU2;
}

/// A 1-bit picture: rows of whole bytes, most significant bit leftmost, 1 = ink, padding 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mask {
    /// Bytes of a row.
    pitch: usize,
    bytes: Vec<u8>,
}

impl Mask {
    /// A mask of rows that have `width` pixels each, from whether each pixel has ink.
    pub(super) fn from_pixels(width: u32, pixels: impl IntoIterator<Item = bool>) -> Self {
        let pitch = usize::try_from(width.div_ceil(8)).expect("a row is shorter than memory");
        let mut bytes = Vec::new();
        let mut pixels = pixels.into_iter().peekable();
        while width > 0 && pixels.peek().is_some() {
            let row = bytes.len();
            bytes.resize(row + pitch, 0);
            for (x, ink) in (0..usize::try_from(width).unwrap_or(0)).zip(&mut pixels) {
                bytes[row + x / 8] |= u8::from(ink) << (7 - x % 8);
            }
        }
        Self { pitch, bytes }
    }

    /// A mask from rows as FreeType packs them: `pitch` bytes apart, what lies beyond `width` is cut off.
    pub(super) fn from_rows(width: u32, pitch: usize, packed: &[u8]) -> Self {
        let used = usize::try_from(width.div_ceil(8)).expect("a row is shorter than memory");
        if used == 0 || pitch < used {
            return Self::default();
        }
        let mut bytes = Vec::with_capacity(packed.len() / pitch * used);
        for row in packed.chunks_exact(pitch) {
            bytes.extend_from_slice(&row[..used]);
            if let (Some(last), beyond @ 1..) = (bytes.last_mut(), width % 8) {
                *last &= !(0xFF_u8 >> beyond);
            }
        }
        Self { pitch: used, bytes }
    }

    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.pitch.max(1))
    }

    /// Its first row.
    pub(super) fn first_row(&self) -> &[u8] {
        &self.bytes[..self.pitch]
    }
}

/// A picture being drawn, white at first.
#[derive(Debug)]
pub(super) struct Canvas {
    panel: Panel,
    bytes: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(panel: Panel) -> Self {
        Self { panel, bytes: vec![0; panel.picture_bytes()] }
    }

    pub(super) const fn panel(&self) -> Panel {
        self.panel
    }

    pub(super) fn finish(self) -> Planes {
        Planes::new(self.panel, self.bytes).expect("the canvas has the panel's size and draws nothing in the padding")
    }

    /// Fills a rectangle.
    pub(super) fn fill(&mut self, area: Rectangle, ink: Ink) {
        let Ok(()) = self.fill_solid(&area, InkColor(ink));
    }

    /// Draws a mask with its upper left corner at `at`, as far as `clip` lets it.
    pub(super) fn blit(&mut self, mask: &Mask, at: Point, ink: Ink, clip: Rectangle) {
        self.blit_rows(mask.rows(), at, ink, clip);
    }

    /// Draws the same row so many times, one below the other.
    pub(super) fn blit_bars(&mut self, row: &[u8], rows: i32, at: Point, ink: Ink, clip: Rectangle) {
        self.blit_rows((0..rows).map(|_| row), at, ink, clip);
    }

    fn blit_rows<'a>(&mut self, rows: impl Iterator<Item = &'a [u8]>, at: Point, ink: Ink, clip: Rectangle) {
        let clip = clip.intersection(&self.bounding_box());
        let (edges, lines) = (clip.columns(), clip.rows());
        let (shift, first) = (at.x.rem_euclid(8), at.x.div_euclid(8));
        for (row, y) in rows.zip(at.y..).filter(|(_, y)| lines.contains(y)) {
            let last = first + i32::try_from(row.len()).expect("a row is shorter than a panel's") + 1;
            if first * 8 >= edges.start && last * 8 <= edges.end {
                self.blit_whole(row, shift, self.byte_at(first, y), ink);
                continue;
            }
            for (bits, byte_x) in shifted(row, shift).zip(first..) {
                self.paint(byte_x, y, bits & columns(byte_x, &edges), ink);
            }
        }
    }

    /// Draws a row of a mask that lies inside the panel with the byte after it.
    fn blit_whole(&mut self, row: &[u8], shift: i32, at: usize, ink: Ink) {
        let (black, coloured) = planes_of(ink, self.panel.colours());
        let (plane_0, plane_1) = self.bytes.split_at_mut(self.panel.plane_bytes());
        for (plane, on) in [(plane_0, black), (plane_1, coloured)] {
            // There may be no second plane.
            let Some(bytes) = plane.get_mut(at..=at + row.len()) else { continue };
            for (byte, bits) in bytes.iter_mut().zip(shifted(row, shift)) {
                *byte = if on { *byte | bits } else { *byte & !bits };
            }
        }
    }

    /// Draws the bits of one byte column of a row; they lie inside the panel.
    fn paint(&mut self, byte_x: i32, y: i32, bits: u8, ink: Ink) {
        if bits != 0 {
            let at = self.byte_at(byte_x, y);
            self.paint_bytes(at..at + 1, bits, ink);
        }
    }

    fn byte_at(&self, byte_x: i32, y: i32) -> usize {
        let inside = "what the clip leaves is inside the panel";
        usize::try_from(y).expect(inside) * self.panel.row_bytes() + usize::try_from(byte_x).expect(inside)
    }

    /// Gives the same bits of some bytes of plane 0, and of plane 1 if there is one, to an ink.
    fn paint_bytes(&mut self, bytes: Range<usize>, bits: u8, ink: Ink) {
        let (black, coloured) = planes_of(ink, self.panel.colours());
        let plane = self.panel.plane_bytes();
        set(&mut self.bytes[bytes.clone()], bits, black);
        if self.panel.colours().plane_count() > 1 {
            set(&mut self.bytes[bytes.start + plane..bytes.end + plane], bits, coloured);
        }
    }
}

/// A row of a mask, so many pixels further right; it is a byte longer.
fn shifted(row: &[u8], shift: i32) -> impl Iterator<Item = u8> + '_ {
    let mut before = 0;
    row.iter().copied().chain(std::iter::once(0)).map(move |byte| {
        let [_, bits] = (u16::from_be_bytes([before, byte]) >> shift).to_be_bytes();
        before = byte;
        bits
    })
}

/// The bits of a byte column that lie between two edges.
fn columns(byte_x: i32, edges: &Range<i32>) -> u8 {
    let from = (edges.start - byte_x * 8).clamp(0, 8);
    let to = (edges.end - byte_x * 8).clamp(0, 8);
    let [_, left] = (0xFF_u16 >> from).to_be_bytes();
    let [_, right] = (0xFF_u16 >> to).to_be_bytes();
    left & !right
}

/// Whether an ink has its bit in plane 0 and in plane 1. An ink that the panel lacks is black.
fn planes_of(ink: Ink, colours: Colours) -> (bool, bool) {
    match ink {
        Ink::White => (false, false),
        ink if !colours.has(ink) => (true, false),
        Ink::Yellow if colours == Colours::BlackRedYellow => (true, true),
        Ink::Red | Ink::Yellow => (false, true),
        Ink::Black => (true, false),
    }
}

fn set(bytes: &mut [u8], bits: u8, on: bool) {
    for byte in bytes {
        *byte = if on { *byte | bits } else { *byte & !bits };
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(u32::from(self.panel.width()), u32::from(self.panel.height()))
    }
}

impl DrawTarget for Canvas {
    type Color = InkColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<InkColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let bounds = self.bounding_box();
        for Pixel(point, InkColor(ink)) in pixels {
            if bounds.contains(point) {
                self.paint(point.x.div_euclid(8), point.y, 0x80 >> point.x.rem_euclid(8), ink);
            }
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, InkColor(ink): InkColor) -> Result<(), Infallible> {
        let area = area.intersection(&self.bounding_box());
        let edges = area.columns();
        if edges.is_empty() {
            return Ok(());
        }
        let (first, last) = (edges.start.div_euclid(8), (edges.end - 1).div_euclid(8));
        for y in area.rows() {
            self.paint(first, y, columns(first, &edges), ink);
            if first < last {
                let between = self.byte_at(first + 1, y)..self.byte_at(last, y);
                self.paint_bytes(between, 0xFF, ink);
                self.paint(last, y, columns(last, &edges), ink);
            }
        }
        Ok(())
    }

    fn fill_contiguous<I: IntoIterator<Item = InkColor>>(
        &mut self,
        area: &Rectangle,
        colors: I,
    ) -> Result<(), Infallible> {
        self.draw_iter(area.points().zip(colors).map(|(point, color)| Pixel(point, color)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(panel: &str, draw: impl FnOnce(&mut Canvas)) -> Vec<u8> {
        let mut canvas = Canvas::new(panel.parse().unwrap());
        draw(&mut canvas);
        canvas.finish().bytes().to_vec()
    }

    #[test]
    fn a_rectangle_covers_its_pixels_and_no_others() {
        let area = Rectangle::new(Point::new(3, 0), Size::new(8, 1));
        let bytes = drawn("bwr-16x2", |canvas| canvas.fill_solid(&area, InkColor(Ink::Red)).unwrap());
        assert_eq!(bytes, [0, 0, 0, 0, 0b0001_1111, 0b1110_0000, 0, 0]);
    }

    #[test]
    fn a_mask_is_cut_at_the_panel_and_at_the_clip() {
        let mask = Mask::from_pixels(8, [true; 24]);
        let all = Rectangle::new(Point::zero(), Size::new(100, 100));
        let corner = drawn("bw-9x2", |canvas| canvas.blit(&mask, Point::new(-4, -1), Ink::Black, all));
        assert_eq!(corner, [0xF0, 0, 0xF0, 0]);
        let right = drawn("bw-9x2", |canvas| canvas.blit(&mask, Point::new(6, 1), Ink::Black, all));
        assert_eq!(right, [0, 0, 0b0000_0011, 0x80]);
        let clip = Rectangle::new(Point::new(2, 0), Size::new(3, 1));
        let clipped = drawn("bw-9x2", |canvas| canvas.blit(&mask, Point::new(0, 0), Ink::Black, clip));
        assert_eq!(clipped, [0b0011_1000, 0, 0, 0]);
    }

    #[test]
    fn a_later_ink_replaces_an_earlier_one() {
        let all = Rectangle::new(Point::zero(), Size::new(4, 1));
        let bytes = drawn("bwry-4x1", |canvas| {
            canvas.fill_solid(&all, InkColor(Ink::Black)).unwrap();
            for (x, ink) in [(1, Ink::White), (2, Ink::Red), (3, Ink::Yellow)] {
                canvas.draw_iter([Pixel(Point::new(x, 0), InkColor(ink))]).unwrap();
            }
        });
        assert_eq!(bytes, [0b1001_0000, 0b0011_0000]);
    }
}
