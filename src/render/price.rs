//! A price: sign, large whole part, small raised decimals, and what it is for under them.

use embedded_graphics::geometry::Point;
use hashbrown::HashMap;

use super::draw::{Brush, Drawing};
use super::face::{Faces, Run, Typeface};
use super::text::Room;
use crate::template::money::{Notation, Side, notation};
use crate::template::scene::Price;
use crate::template::style::TEXT_SIZE_MIN;

/// Largest size of the unit, in percent of the figures'.
const UNIT_SHARE_MAX: u16 = 28;

/// A price at a size: its parts, placed from the upper left corner of the figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PriceSetting {
    parts: Vec<Part>,
    pub(super) width: i32,
    pub(super) height: i32,
    /// Rows from the top to the baseline of the figures.
    pub(super) ascent: i32,
    /// All of it can be read.
    pub(super) whole: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    run: Run,
    x: i32,
    baseline: i32,
}

/// Most sizes kept, at about 150 bytes each 0.6 MB. A full memory is emptied: finding a size costs some 10 µs.
const SIZES_MAX: usize = 4_096;

/// The sizes that prices were found to have. Figures are all as wide, so a size holds for every amount with as
/// many of them: a changed price is rarely a question that was not asked before.
#[derive(Debug, Default)]
pub(super) struct Prices {
    sizes: HashMap<(Price, Room), Size>,
}

/// The size of a price in a room.
#[derive(Debug, Clone, Copy)]
enum Size {
    Fits(u16),
    /// There is no room even for the smallest.
    Cut,
}

impl Prices {
    /// A price set as large as its sizes and the room allow, and smaller still before it overflows.
    pub(super) fn set(&mut self, faces: &mut Faces, price: &Price, room: Room) -> PriceSetting {
        let amount = price.amount.replace(|figure: char| figure.is_ascii_digit(), "0");
        let asked = (Price { amount, ..price.clone() }, room);
        let known = self.sizes.get(&asked).copied();
        let size = known.unwrap_or_else(|| {
            if self.sizes.len() >= SIZES_MAX {
                self.sizes.clear();
            }
            let size = fitting(faces, &asked.0, room);
            self.sizes.insert(asked, size);
            size
        });
        match size {
            Size::Fits(size) => set_at(faces, price, size),
            Size::Cut => PriceSetting { whole: false, ..set_at(faces, price, TEXT_SIZE_MIN) },
        }
    }
}

/// Rows of a figure of Barlow Condensed: 700 of 1,000 units.
fn figure_height(size: u16) -> i32 {
    (i32::from(size) * 70 + 50) / 100
}

fn fitting(faces: &mut Faces, price: &Price, room: Room) -> Size {
    let fits = |set: &PriceSetting| {
        room.width.is_none_or(|room| set.width <= room) && room.height.is_none_or(|room| set.height <= room)
    };
    let largest = set_at(faces, price, price.size.largest);
    if fits(&largest) {
        return Size::Fits(price.size.largest);
    }
    // From large to small, because a smaller price is not always narrower: its unit may no longer fit below the
    // decimals. Every second size is enough for the eye, and half the glyphs to keep. What cannot fit is not
    // tried: figures grow with their size, and what stands beside them grows less.
    let narrow = |size: u16| {
        // Each advance is rounded to a pixel: a tenth is more than that comes to.
        let wanted = largest.width * i32::from(size) / i32::from(price.size.largest) * 9 / 10;
        room.width.is_none_or(|room| wanted <= room)
    };
    let low = |size: u16| room.height.is_none_or(|room| figure_height(size) <= room);
    let mut sizes = (TEXT_SIZE_MIN..=price.size.largest).rev().step_by(2).skip(1);
    let fitting = sizes.find(|size| low(*size) && narrow(*size) && fits(&set_at(faces, price, *size)));
    fitting.map_or(Size::Cut, Size::Fits)
}

fn set_at(faces: &mut Faces, price: &Price, size: u16) -> PriceSetting {
    let Notation { sign, side, separator } = notation(&price.currency);
    let (whole, decimals) = match price.amount.split_once('.') {
        Some((whole, decimals)) => (format!("{whole}{separator}"), decimals),
        None => (price.amount.clone(), ""),
    };
    let top = figure_height(size);
    let small = (size * 45 / 100).max(TEXT_SIZE_MIN);
    let mut line = Line { faces, parts: Vec::new(), x: 0 };
    if side == Side::Before && !sign.is_empty() {
        line.push(Typeface::Digits, small, sign, top);
        line.x += i32::from(size / 24);
    }
    line.push(Typeface::Digits, size, &whole, top);

    let unit = if price.unit.is_empty() { String::new() } else { format!("/{}", price.unit) };
    let sign_below = if side == Side::After { sign } else { "" };
    line.tail(decimals, sign_below, &unit, size, small);
    // A comma hangs below the line.
    let hang = if separator == ',' && !decimals.is_empty() { i32::from(size) * 14 / 100 } else { 0 };
    PriceSetting { width: line.x, parts: line.parts, height: top + hang, ascent: top, whole: true }
}

/// Parts placed one after the other.
struct Line<'a> {
    faces: &'a mut Faces,
    parts: Vec<Part>,
    x: i32,
}

impl Line<'_> {
    fn push(&mut self, typeface: Typeface, size: u16, text: &str, baseline: i32) {
        if !text.is_empty() {
            let run = self.faces.run(typeface, size, text);
            let x = self.x;
            self.x += run.width;
            self.parts.push(Part { run, x, baseline });
        }
    }

    /// The raised decimals, and under them the sign that stands after an amount, and the unit. Where there is
    /// no room for text under them, it goes beside them.
    fn tail(&mut self, decimals: &str, sign: &str, unit: &str, size: u16, small: u16) {
        let baseline = figure_height(size);
        let start = self.x;
        self.push(Typeface::Digits, small, decimals, figure_height(small));
        let room = if decimals.is_empty() { baseline } else { baseline - figure_height(small) - 2 };
        let room = u16::try_from(room).unwrap_or(0);
        let beside = room < TEXT_SIZE_MIN;
        let end = self.x;
        if !beside {
            // Clear of the foot of the separator.
            self.x = start + i32::from(size / 24);
        }
        if !sign.is_empty() {
            // Room beside the comma, whose tail hangs where the sign begins.
            self.x += i32::from(size / 20);
        }
        let below = room.min(size * UNIT_SHARE_MAX / 100).max(TEXT_SIZE_MIN);
        self.push(Typeface::Digits, if decimals.is_empty() { small } else { below + below / 4 }, sign, baseline);
        self.push(Typeface::Regular, below, unit, baseline);
        self.x = self.x.max(end);
    }
}

impl PriceSetting {
    /// Draws the price with the upper left corner of its figures at `at`.
    pub(super) fn draw(&self, drawing: &mut Drawing<'_>, at: Point, brush: Brush) {
        for part in &self.parts {
            drawing.run(&part.run, at + Point::new(part.x, part.baseline), brush);
        }
    }
}
