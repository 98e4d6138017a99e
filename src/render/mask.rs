//! One-bit pictures: made, filled, and drawn onto each other 64 pixels at a time.

use std::ops::Range;

use embedded_graphics::geometry::Point;
use embedded_graphics::primitives::Rectangle;

/// Columns of a strip.
const STRIP: i32 = 64;

/// A 1-bit picture, 1 = ink.
///
/// It lies in strips of 64 columns. A strip has one word for each row, from top to bottom, its most significant bit
/// leftmost: whatever is drawn touches few strips, and in each of them words that follow each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mask {
    width: i32,
    height: i32,
    /// Strip after strip; beyond the width there is no ink.
    words: Vec<u64>,
}

impl Mask {
    /// A mask without ink.
    pub(super) fn blank(width: i32, height: i32) -> Self {
        let strips = index(width + STRIP - 1) / index(STRIP);
        Self { width, height, words: vec![0; strips * index(height)] }
    }

    /// A mask by whether each pixel has ink, from its column and row.
    pub(super) fn from_fn(width: i32, height: i32, ink: impl Fn(i32, i32) -> bool) -> Self {
        let mut mask = Self::blank(width, height);
        for y in 0..height {
            for x in (0..width).filter(|x| ink(*x, y)) {
                mask.words[index(x / STRIP * height + y)] |= 1 << (STRIP - 1 - x % STRIP);
            }
        }
        mask
    }

    /// A mask from rows as FreeType packs them: `pitch` bytes apart, what lies beyond `width` is cut off.
    pub(super) fn from_rows(width: i32, pitch: usize, packed: &[u8]) -> Self {
        let rows = packed.chunks_exact(pitch.max(1));
        let mut mask = Self::blank(width, i32::try_from(rows.len()).expect("a glyph is lower than memory"));
        let height = rows.len();
        for (y, row) in rows.enumerate() {
            for (strip, bytes) in row.chunks(8).enumerate().take(mask.words.len() / height) {
                let mut word = [0; 8];
                word[..bytes.len()].copy_from_slice(bytes);
                mask.words[strip * height + y] = u64::from_be_bytes(word) & between(strip_number(strip), &(0..width));
            }
        }
        mask
    }

    /// Gives ink to a rectangle, or takes it away.
    pub(super) fn fill(&mut self, area: Rectangle, ink: bool) {
        let (columns, rows) = self.overlap(area.columns(), area.rows());
        for strip in strips(&columns) {
            let bits = between(strip, &columns);
            self.rows_mut(strip, &rows).iter_mut().for_each(|word| set(word, bits, ink));
        }
    }

    /// Gives ink to every pixel under the ink of a mask that has its upper left corner at `at`, or takes it away, as
    /// far as `clip` lets it.
    pub(super) fn draw(&mut self, mask: &Self, at: Point, ink: bool, clip: Rectangle) {
        let under = (overlap(at.x..at.x + mask.width, clip.columns()), overlap(at.y..at.y + mask.height, clip.rows()));
        let (columns, rows) = self.overlap(under.0, under.1);
        let (first, shift) = (at.x.div_euclid(STRIP), at.x.rem_euclid(STRIP));
        let drawn = rows.start - at.y..rows.end - at.y;
        for strip in strips(&columns) {
            let keep = between(strip, &columns);
            let words = self.rows_mut(strip, &rows);
            // The mask's strips lie across two of this one: the left part of one, and the right part of that before.
            for (word, bits) in words.iter_mut().zip(mask.rows(strip - first, &drawn)) {
                set(word, bits >> shift & keep, ink);
            }
            if shift > 0 {
                for (word, bits) in words.iter_mut().zip(mask.rows(strip - first - 1, &drawn)) {
                    set(word, bits << (STRIP - shift) & keep, ink);
                }
            }
        }
    }

    /// Writes the rows, each as so many bytes, most significant bit leftmost.
    pub(super) fn pack(&self, bytes: &mut [u8], row_bytes: usize) {
        for (strip, words) in self.words.chunks_exact(index(self.height.max(1))).enumerate() {
            for (row, word) in bytes.chunks_exact_mut(row_bytes).zip(words) {
                let (row, word) = (&mut row[strip * 8..], word.to_be_bytes());
                match row.first_chunk_mut() {
                    Some(whole) => *whole = word,
                    None => row.copy_from_slice(&word[..row.len()]),
                }
            }
        }
    }

    /// What of some columns and rows lies inside; no columns if there is nothing.
    fn overlap(&self, columns: Range<i32>, rows: Range<i32>) -> (Range<i32>, Range<i32>) {
        let rows = overlap(rows, 0..self.height);
        let columns = if rows.is_empty() { 0..0 } else { overlap(columns, 0..self.width) };
        (columns, rows)
    }

    /// Some rows of a strip; none of a strip that there is not.
    fn rows(&self, strip: i32, rows: &Range<i32>) -> &[u64] {
        let words = usize::try_from(strip).ok().and_then(|strip| {
            let top = strip * index(self.height);
            self.words.get(top + index(rows.start)..top + index(rows.end))
        });
        words.unwrap_or_default()
    }

    fn rows_mut(&mut self, strip: i32, rows: &Range<i32>) -> &mut [u64] {
        let top = strip * self.height;
        &mut self.words[index(top + rows.start)..index(top + rows.end)]
    }
}

/// A column, a row or a count of them, none of which is below 0.
fn index(pixels: i32) -> usize {
    usize::try_from(pixels).expect("what is drawn lies inside its mask")
}

fn strip_number(strip: usize) -> i32 {
    i32::try_from(strip).expect("a mask has some hundred strips")
}

fn overlap(one: Range<i32>, other: Range<i32>) -> Range<i32> {
    one.start.max(other.start)..one.end.min(other.end)
}

/// The strips that some columns lie in.
fn strips(columns: &Range<i32>) -> Range<i32> {
    if columns.is_empty() { 0..0 } else { columns.start / STRIP..(columns.end - 1) / STRIP + 1 }
}

/// The bits of a strip that lie between two edges.
fn between(strip: i32, edges: &Range<i32>) -> u64 {
    let right_of = |edge: i32| {
        let skipped = (edge - strip * STRIP).clamp(0, STRIP);
        u64::MAX.checked_shr(skipped.unsigned_abs()).unwrap_or(0)
    };
    right_of(edges.start) & !right_of(edges.end)
}

fn set(word: &mut u64, bits: u64, ink: bool) {
    *word = if ink { *word | bits } else { *word & !bits };
}
