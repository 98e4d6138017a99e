//! A picture being drawn: a mask for each plane, as an `embedded-graphics` target, with blits of masks.
//!
//! Nothing is ever drawn outside the panel or outside the clip that a call gives.

use std::convert::Infallible;

use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::pixelcolor::{PixelColor, raw::RawU2};
use embedded_graphics::prelude::{DrawTarget, Pixel};
use embedded_graphics::primitives::Rectangle;
use gondola_protocol::{Colours, Ink, Panel, Planes};

use super::mask::Mask;

/// An ink as `embedded-graphics` wants its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InkColor(pub(super) Ink);

impl PixelColor for InkColor {
    type Raw = RawU2;
}

/// A picture being drawn, white at first.
#[derive(Debug)]
pub(super) struct Canvas {
    panel: Panel,
    planes: Vec<Mask>,
}

impl Canvas {
    pub(super) fn new(panel: Panel) -> Self {
        let plane = Mask::blank(i32::from(panel.width()), i32::from(panel.height()));
        Self { panel, planes: vec![plane; panel.colours().plane_count()] }
    }

    pub(super) const fn panel(&self) -> Panel {
        self.panel
    }

    pub(super) fn finish(self) -> Planes {
        let mut bytes = vec![0; self.panel.picture_bytes()];
        for (plane, bytes) in self.planes.iter().zip(bytes.chunks_exact_mut(self.panel.plane_bytes())) {
            plane.pack(bytes, self.panel.row_bytes());
        }
        Planes::new(self.panel, bytes).expect("the canvas has the panel's size and draws nothing in the padding")
    }

    /// Fills a rectangle.
    pub(super) fn fill(&mut self, area: Rectangle, ink: Ink) {
        for (plane, on) in self.planes.iter_mut().zip(planes_of(ink, self.panel.colours())) {
            plane.fill(area, on);
        }
    }

    /// Draws a mask with its upper left corner at `at`, as far as `clip` lets it.
    pub(super) fn blit(&mut self, mask: &Mask, at: Point, ink: Ink, clip: Rectangle) {
        for (plane, on) in self.planes.iter_mut().zip(planes_of(ink, self.panel.colours())) {
            plane.draw(mask, at, on, clip);
        }
    }
}

/// Whether an ink has its bit in plane 0 and in plane 1. An ink that the panel lacks is black.
fn planes_of(ink: Ink, colours: Colours) -> [bool; 2] {
    match ink {
        Ink::White => [false, false],
        ink if !colours.has(ink) => [true, false],
        Ink::Yellow if colours == Colours::BlackRedYellow => [true, true],
        Ink::Red | Ink::Yellow => [false, true],
        Ink::Black => [true, false],
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
        for Pixel(point, InkColor(ink)) in pixels {
            self.fill(Rectangle::new(point, Size::new_equal(1)), ink);
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, InkColor(ink): InkColor) -> Result<(), Infallible> {
        self.fill(*area, ink);
        Ok(())
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
        let mask = Mask::from_fn(8, 3, |_, _| true);
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
