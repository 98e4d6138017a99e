//! A scene that has its layout becomes pixels.

use std::collections::BTreeSet;

use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::prelude::{Dimensions, Drawable, Primitive};
use embedded_graphics::primitives::{PrimitiveStyleBuilder, Rectangle, RoundedRectangle, StrokeAlignment};
use gondola_protocol::{Ink, Panel, Planes};

use super::canvas::{Canvas, InkColor};
use super::code::{Bars, Encoded, Printed};
use super::face::{Run, Typeface};
use super::layout::Placed;
use super::text::Room;
use super::{Finding, Memory, Rendered, picture};
use crate::template::scene::{Code, Content, Image, Node, Price, Text, TextLook};
use crate::template::style::{Decoration, Digits, Fit, Font, Overflow, TextAlign, Weight};

/// Rows by which the guards reach down between the digits.
const GUARD_ROWS: i32 = 5;

/// A picture being made: where glyphs come from, where ink goes, and what was noticed.
pub(super) struct Drawing<'a> {
    pub(super) memory: &'a mut Memory,
    pub(super) canvas: Canvas,
    missing: BTreeSet<char>,
    findings: Vec<Finding>,
}

/// What to draw with, and where ink may go.
#[derive(Clone, Copy)]
pub(super) struct Brush {
    pub(super) ink: Ink,
    pub(super) clip: Rectangle,
}

/// Pixels as layout counts them. No panel has more than some thousand.
pub(super) fn to_i32(pixels: u32) -> i32 {
    i32::try_from(pixels).unwrap_or(i32::MAX)
}

/// A length; one below nothing is nothing.
pub(super) fn to_u32(pixels: i32) -> u32 {
    u32::try_from(pixels).unwrap_or(0)
}

impl<'a> Drawing<'a> {
    pub(super) fn new(memory: &'a mut Memory, panel: Panel) -> Self {
        Self { memory, canvas: Canvas::new(panel), missing: BTreeSet::new(), findings: Vec::new() }
    }

    pub(super) fn finish(self) -> Rendered {
        let missing = self.missing.into_iter().map(Finding::MissingGlyph);
        let planes: Planes = self.canvas.finish();
        Rendered { planes, findings: missing.chain(self.findings).collect() }
    }

    /// Draws one element and what is in it.
    pub(super) fn node(&mut self, node: &Node, placed: &Placed, around: Rectangle) {
        self.frame(node, placed.area);
        // What stands outside the box around it stands on its neighbours: only what is inside is drawn.
        let visible = placed.inside.intersection(&around);
        let ink = node.color.ink();
        match &node.content {
            Content::Box(children) => {
                let around = placed.area.intersection(&around);
                for (child, placed) in children.iter().zip(&placed.children) {
                    self.node(child, placed, around);
                }
            }
            Content::Text(text) => self.text(text, placed.inside, visible, ink),
            Content::Price(price) => self.price(price, placed.inside, visible, ink),
            Content::Code(code) => self.code(code, visible),
            Content::Image(image) => self.image(image, placed.inside, visible),
        }
    }

    /// Draws a run from a pen on its baseline.
    pub(super) fn run(&mut self, run: &Run, pen: Point, brush: Brush) {
        for (glyph, x) in &run.glyphs {
            let at = Point::new(pen.x + x + glyph.left, pen.y - glyph.top);
            self.canvas.blit(&glyph.mask, at, brush.ink, brush.clip);
        }
        self.missing.extend(&run.missing);
    }

    fn frame(&mut self, node: &Node, area: Rectangle) {
        let style = &node.style;
        if style.radius == 0 && style.border == 0 {
            if let Some(background) = style.background {
                self.canvas.fill(area, background.ink());
            }
            return;
        }
        let mut look = PrimitiveStyleBuilder::new();
        if let Some(background) = style.background {
            look = look.fill_color(InkColor(background.ink()));
        }
        if style.border > 0 {
            look = look
                .stroke_color(InkColor(node.color.ink()))
                .stroke_width(u32::from(style.border))
                .stroke_alignment(StrokeAlignment::Inside);
        }
        let corners = Size::new_equal(u32::from(style.radius));
        let Ok(()) =
            RoundedRectangle::with_equal_corners(area, corners).into_styled(look.build()).draw(&mut self.canvas);
    }

    fn text(&mut self, text: &Text, inside: Rectangle, visible: Rectangle, ink: Ink) {
        let setting = self.memory.texts.set(&mut self.memory.faces, text, room(inside));
        let clip = self.clip(&text.text, setting.whole && visible == inside, visible);
        setting.draw(self, inside, &text.look, Brush { ink, clip });
    }

    fn price(&mut self, price: &Price, inside: Rectangle, visible: Rectangle, ink: Ink) {
        let size = self.memory.prices.size(&mut self.memory.faces, price, room(inside));
        let clip = self.clip(&price.amount, size.whole && visible == inside, visible);
        // At the bottom of its room: that is where its neighbours stand.
        let spare = to_i32(inside.size.height) - size.height;
        size.draw(self, price, inside.top_left + Point::new(0, spare.max(0)), Brush { ink, clip });
    }

    /// Where the ink of a text may go: anywhere if all of it has room, so that no overhang is lost; else
    /// nowhere but in its own room, and that is a finding.
    fn clip(&mut self, text: &str, whole: bool, visible: Rectangle) -> Rectangle {
        if whole {
            return self.canvas.bounding_box();
        }
        self.findings.push(Finding::Cut(text.to_owned()));
        visible
    }

    /// A code that cannot be printed is shown as its text.
    fn code(&mut self, code: &Code, visible: Rectangle) {
        let encoded = self.memory.codes.encoded(code);
        let fitting = encoded.and_then(|encoded| Ok((encoded.printed(code, room(visible))?, encoded)));
        match fitting {
            Ok((printed, encoded)) => self.printed(&encoded, printed, visible),
            Err(why) => {
                self.findings.push(Finding::Code { content: code.content.clone(), why });
                let text = Text { text: code.content.clone(), look: plain_digits() };
                let setting = self.memory.texts.set(&mut self.memory.faces, &text, room(visible));
                let above = (to_i32(visible.size.height) - setting.height).max(0);
                let area = Rectangle::new(visible.top_left + Point::new(0, above), visible.size);
                setting.draw(self, area, &text.look, Brush { ink: Ink::Black, clip: visible });
            }
        }
    }

    /// Codes are black on white whatever stands around them: scanners need it.
    fn printed(&mut self, encoded: &Encoded, printed: Printed, inside: Rectangle) {
        let (width, height) = encoded.size(printed);
        let spare = to_i32(inside.size.width) - width;
        match encoded {
            Encoded::Bars(bars) => {
                let corner = inside.top_left + Point::new(spare / 2, 0);
                let area = Rectangle::new(corner, Size::new(to_u32(width), inside.size.height));
                self.canvas.fill(area, Ink::White);
                self.bars(bars, printed, area);
            }
            Encoded::Squares(squares) => {
                let corner = inside.top_left + Point::new(spare, to_i32(inside.size.height) - height) / 2;
                let area = Rectangle::new(corner, Size::new(to_u32(width), to_u32(height)));
                self.canvas.fill(area, Ink::White);
                let quiet = squares.quiet * i32::from(printed.module);
                let mask = squares.mask(printed.module);
                self.canvas.blit(&mask, corner + Point::new_equal(quiet), Ink::Black, inside);
            }
        }
    }

    fn bars(&mut self, bars: &Bars, printed: Printed, area: Rectangle) {
        let module = i32::from(printed.module);
        let start = area.top_left + Point::new(bars.quiet_left * module, 0);
        let rows = to_i32(area.size.height) - printed.digits_rows();
        let digits = printed.digits == Digits::Below;
        for (bar, guard) in bars.bars() {
            let rows = if guard && digits { rows + GUARD_ROWS * module } else { rows };
            let size = Size::new(to_u32((bar.end - bar.start) * module), to_u32(rows));
            self.canvas.fill(Rectangle::new(start + Point::new(bar.start * module, 0), size), Ink::Black);
        }
        if !digits {
            return;
        }
        let size = 12 * printed.digits_scale();
        let baseline = area.top_left.y + to_i32(area.size.height);
        let brush = Brush { ink: Ink::Black, clip: self.canvas.bounding_box() };
        for caption in &bars.captions {
            let run = self.memory.faces.run(Typeface::Pixel, size, &caption.text);
            let spare = caption.modules * module - run.width;
            let pen = start.x + caption.start * module + (spare + 1) / 2;
            self.run(&run, Point::new(pen, baseline), brush);
        }
    }

    /// A picture stands in the middle of its room.
    fn image(&mut self, image: &Image, inside: Rectangle, visible: Rectangle) {
        let (width, height) = picture::contained(&image.picture, room(inside));
        if width == 0 || height == 0 {
            return;
        }
        let colours = self.canvas.panel().colours();
        let inked = self.memory.pictures.inked(image, (to_u32(width), to_u32(height)), colours);
        let spare = Point::new(to_i32(inside.size.width) - width, to_i32(inside.size.height) - height);
        let corner = inside.top_left + spare / 2;
        for (ink, mask) in inked.iter() {
            self.canvas.blit(mask, corner, *ink, visible);
        }
    }
}

fn room(area: Rectangle) -> Room {
    Room { width: Some(to_i32(area.size.width)), height: Some(to_i32(area.size.height)) }
}

/// The look of a code's digits without its bars.
const fn plain_digits() -> TextLook {
    TextLook {
        size: Fit { largest: 12, smallest: 12 },
        lines: 2,
        overflow: Overflow::Ellipsis,
        font: Font::Pixel,
        weight: Weight::Normal,
        decoration: Decoration::None,
        align: TextAlign::Right,
    }
}
