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
#[derive(Debug)]
pub(super) struct PriceSetting {
    parts: Vec<Part>,
    width: i32,
    height: i32,
    /// Rows from the top to the baseline of the figures.
    ascent: i32,
}

#[derive(Debug)]
struct Part {
    run: Run,
    x: i32,
    baseline: i32,
}

/// Most sizes kept, at about 150 bytes each 0.6 MB. A full memory is emptied: finding a size costs some 10 µs.
const SIZES_MAX: usize = 4_096;

/// The sizes that prices were found to have, by their amounts with every figure as 0. Figures are all as wide, so a
/// size holds for every amount with as many of them: a changed price is rarely a question that was not asked before.
#[derive(Debug, Default)]
pub(super) struct Prices {
    sizes: HashMap<String, Vec<Kept>>,
    count: usize,
}

/// The size of a price in a room.
#[derive(Debug)]
struct Kept {
    price: Price,
    room: Room,
    size: PriceSize,
}

/// How large a price is.
#[derive(Debug, Clone, Copy)]
pub(super) struct PriceSize {
    /// Of its figures.
    size: u16,
    pub(super) width: i32,
    pub(super) height: i32,
    /// Rows from the top to the baseline of the figures.
    pub(super) ascent: i32,
    /// All of it can be read.
    pub(super) whole: bool,
}

impl Prices {
    /// How large a price is when it is as large as its sizes and the room allow, and smaller still before it
    /// overflows.
    pub(super) fn size(&mut self, faces: &mut Faces, price: &Price, room: Room) -> PriceSize {
        let amount = price.amount.replace(|figure: char| figure.is_ascii_digit(), "0");
        let alike = |kept: &&Kept| {
            let Price { currency, unit, size, .. } = &kept.price;
            kept.room == room && *size == price.size && *currency == price.currency && *unit == price.unit
        };
        if let Some(kept) = self.sizes.get(&amount).and_then(|kept| kept.iter().find(alike)) {
            return kept.size;
        }
        if self.count >= SIZES_MAX {
            *self = Self::default();
        }
        let size = fitting(faces, price, room);
        self.sizes.entry(amount).or_default().push(Kept { price: price.clone(), room, size });
        self.count += 1;
        size
    }
}

/// Rows of a figure of Barlow Condensed: 700 of 1,000 units.
fn figure_height(size: u16) -> i32 {
    (i32::from(size) * 70 + 50) / 100
}

fn fitting(faces: &mut Faces, price: &Price, room: Room) -> PriceSize {
    let fits = |set: &PriceSetting| {
        room.width.is_none_or(|room| set.width <= room) && room.height.is_none_or(|room| set.height <= room)
    };
    let sized =
        |size: u16, PriceSetting { width, height, ascent, .. }, whole| PriceSize { size, width, height, ascent, whole };
    let largest = set_at(faces, price, price.size.largest);
    if fits(&largest) {
        return sized(price.size.largest, largest, true);
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
    let sizes = (TEXT_SIZE_MIN..=price.size.largest).rev().step_by(2).skip(1);
    let mut tried = sizes.filter(|size| low(*size) && narrow(*size)).map(|size| (size, set_at(faces, price, size)));
    match tried.find(|(_, set)| fits(set)) {
        Some((size, set)) => sized(size, set, true),
        None => sized(TEXT_SIZE_MIN, set_at(faces, price, TEXT_SIZE_MIN), false),
    }
}

/// A price whose figures have a size.
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
    PriceSetting { width: line.x, parts: line.parts, height: top + hang, ascent: top }
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

impl PriceSize {
    /// Draws the price that has this size, with the upper left corner of its figures at `at`.
    pub(super) fn draw(self, drawing: &mut Drawing<'_>, price: &Price, at: Point, brush: Brush) {
        for part in set_at(&mut drawing.memory.faces, price, self.size).parts {
            drawing.run(&part.run, at + Point::new(part.x, part.baseline), brush);
        }
    }
}
