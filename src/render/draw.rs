//! A scene that has its layout becomes pixels.

use std::collections::BTreeSet;

use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::prelude::{Dimensions, Drawable, Primitive};
use embedded_graphics::primitives::{PrimitiveStyleBuilder, Rectangle, RoundedRectangle, StrokeAlignment};
use gondola_protocol::{Ink, Panel, Planes};

use super::barcode::{self, BarcodeError, Ean13};
use super::canvas::{Canvas, InkColor, Mask};
use super::face::{Faces, Typeface};
use super::layout::Placed;
use super::text::{self, Room};
use super::{Finding, Rendered, price};
use crate::template::scene::{Barcode, Content, Node, Price, Text, TextLook};
use crate::template::style::{Decoration, Digits, Fit, Font, Overflow, TextAlign, Weight};

/// Rows of a code's digits, and of the light between them and the bars.
const DIGITS_ROWS: i32 = 10;
/// Rows by which the guards reach down between the digits.
const GUARD_ROWS: i32 = 5;
/// Fewest rows of bars: a hand scanner's beam needs 5 mm, at some 4.5 pixels each.
const BARS_ROWS_MIN: i32 = 12;

/// A picture being made: where glyphs come from, where ink goes, and what was noticed.
pub(super) struct Drawing<'a> {
    pub(super) faces: &'a mut Faces,
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
    pub(super) fn new(faces: &'a mut Faces, panel: Panel) -> Self {
        Self { faces, canvas: Canvas::new(panel), missing: BTreeSet::new(), findings: Vec::new() }
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
            Content::Barcode(code) => self.barcode(code, visible),
        }
    }

    /// Draws text on one line from a pen on its baseline.
    pub(super) fn run(&mut self, typeface: Typeface, size: u16, line: &str, mut pen: Point, brush: Brush) {
        for character in line.chars() {
            let glyph = self.faces.glyph(typeface, size, character);
            self.canvas.blit(&glyph.mask, Point::new(pen.x + glyph.left, pen.y - glyph.top), brush.ink, brush.clip);
            pen.x += glyph.advance;
            if glyph.missing {
                self.missing.insert(character);
            }
        }
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
        let setting = text::set(self.faces, text, room(inside));
        let clip = self.clip(&text.text, setting.whole && visible == inside, visible);
        setting.draw(self, inside, &text.look, Brush { ink, clip });
    }

    fn price(&mut self, price: &Price, inside: Rectangle, visible: Rectangle, ink: Ink) {
        let setting = price::set(self.faces, price, room(inside));
        let clip = self.clip(&price.amount, setting.whole && visible == inside, visible);
        // At the bottom of its room: that is where its neighbours stand.
        let spare = to_i32(inside.size.height) - setting.height;
        setting.draw(self, inside.top_left + Point::new(0, spare.max(0)), Brush { ink, clip });
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

    /// A code that cannot be printed is shown as its digits.
    fn barcode(&mut self, code: &Barcode, visible: Rectangle) {
        match Ean13::parse(&code.content).and_then(|ean| enough_room(code, visible.size).map(|()| ean)) {
            Ok(ean) => self.bars(ean, code, visible),
            Err(why) => {
                self.findings.push(Finding::Barcode { content: code.content.clone(), why });
                let text = Text { text: code.content.clone(), look: plain_digits() };
                let setting = text::set(self.faces, &text, room(visible));
                let above = (to_i32(visible.size.height) - setting.height).max(0);
                let area = Rectangle::new(visible.top_left + Point::new(0, above), visible.size);
                setting.draw(self, area, &text.look, Brush { ink: Ink::Black, clip: visible });
            }
        }
    }

    /// Bars are black on white whatever stands around them: scanners need it.
    fn bars(&mut self, ean: Ean13, code: &Barcode, inside: Rectangle) {
        let module = u32::from(code.module);
        let light = Size::new(barcode::WIDTH * module, inside.size.height);
        self.canvas.fill(Rectangle::new(inside.top_left, light), Ink::White);
        let below = if code.digits == Digits::Below { digits_rows(code.module) } else { 0 };
        let left = inside.top_left.x + to_i32(barcode::QUIET_LEFT * module);
        let at = |above: i32| Point::new(left, inside.top_left.y + above);
        let rows = to_i32(inside.size.height) - below;
        let guards_below = if below > 0 { GUARD_ROWS } else { 0 };
        self.canvas.blit(&mask(ean, module, rows, |_| true), at(0), Ink::Black, inside);
        self.canvas.blit(&mask(ean, module, guards_below, Ean13::is_guard), at(rows), Ink::Black, inside);
        if code.digits == Digits::Below {
            self.digits(ean, code.module, inside, left);
        }
    }

    /// Each digit in the middle of its own seven modules; the first in the light at the left.
    fn digits(&mut self, ean: Ean13, module: u16, inside: Rectangle, left: i32) {
        let size = 12 * digits_scale(module);
        let cell = 7 * i32::from(module);
        let baseline = inside.top_left.y + to_i32(inside.size.height);
        let brush = Brush { ink: Ink::Black, clip: inside };
        for (place, digit) in (0..).zip(ean.digits()) {
            let start = match place {
                0 => -cell - i32::from(module) * 2,
                1..=6 => i32::from(module) * 3 + cell * (place - 1),
                _ => i32::from(module) * 8 + cell * (place - 1),
            };
            let text = digit.to_string();
            let spare = cell - text::width(self.faces, Typeface::Pixel, size, &text);
            self.run(Typeface::Pixel, size, &text, Point::new(left + start + (spare + 1) / 2, baseline), brush);
        }
    }
}

/// Those dark modules of a code that `shown` picks, as bars of so many rows.
fn mask(ean: Ean13, module: u32, rows: i32, shown: impl Fn(u32) -> bool) -> Mask {
    let dark: Vec<bool> = (0..).zip(ean.modules()).map(|(index, dark)| dark && shown(index)).collect();
    let pixels: Vec<bool> = dark.iter().flat_map(|dark| (0..module).map(|_| *dark)).collect();
    let byte = |bits: &[bool]| (0..).zip(bits).fold(0, |byte, (bit, dark)| byte | (u8::from(*dark) << (7 - bit)));
    let row: Vec<u8> = pixels.chunks(8).map(byte).collect();
    Mask { rows: (0..rows).map(|_| row.clone()).collect() }
}

fn enough_room(code: &Barcode, room: Size) -> Result<(), BarcodeError> {
    let below = if code.digits == Digits::Below { digits_rows(code.module) } else { 0 };
    let needed = Size::new(barcode::WIDTH * u32::from(code.module), to_u32(BARS_ROWS_MIN + below));
    if room.width < needed.width {
        return Err(BarcodeError::Room { needed: needed.width, room: room.width });
    }
    if room.height < needed.height {
        return Err(BarcodeError::Room { needed: needed.height, room: room.height });
    }
    Ok(())
}

/// Rows of the digits under bars of this module.
fn digits_rows(module: u16) -> i32 {
    DIGITS_ROWS * i32::from(digits_scale(module))
}

/// How often the 12-pixel digits are enlarged under bars of this module.
fn digits_scale(module: u16) -> u16 {
    module.div_ceil(2)
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
