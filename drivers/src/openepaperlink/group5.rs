//! Group 5: two-dimensional coding of black and white rows in the manner of CCITT T.6, with shorter codes for runs.
//!
//! Bits are written with the most significant first. A row is coded against the one above it, the first one against a
//! row of ones; its runs begin with one of ones, which may be empty.

/// Rows are narrower than this.
const WIDTH_END: usize = 2_048;

/// Changes in one row that a decoder has room for, less those that it keeps for itself.
const CHANGES_MAX: usize = 636;

/// Longest run that takes a short code.
const SHORT_MAX: usize = 7;

/// Bits of a short code.
const SHORT_BITS: u32 = 3;

/// By how far a change lies to the right of the one above it, −3 to 3: the code and its bits.
const VERTICAL: [(u32, u32); 7] =
    [(0b000_0010, 7), (0b00_0010, 6), (0b010, 3), (0b1, 1), (0b011, 3), (0b00_0011, 6), (0b000_0011, 7)];

const PASS: (u32, u32) = (0b0001, 4);
const HORIZONTAL: (u32, u32) = (0b001, 3);

/// Packs rows of `width` pixels, one after the other, each of them whole bytes; none when a row is too wide or changes
/// too often for a decoder.
///
/// # Panics
/// The width is no multiple of 8, or 0.
#[must_use]
pub fn encode(rows: &[u8], width: usize) -> Option<Vec<u8>> {
    assert!(width > 0 && width.is_multiple_of(8), "rows of {width} pixels");
    if width >= WIDTH_END {
        return None;
    }
    let mut out = Bits::default();
    let (mut above, mut row) = (Vec::new(), Vec::new());
    for bytes in rows.chunks_exact(width / 8) {
        row.clear();
        changes(bytes, &mut row);
        if row.len() > CHANGES_MAX {
            return None;
        }
        encode_row(&row, &above, width, &mut out);
        std::mem::swap(&mut row, &mut above);
    }
    Some(out.finish())
}

/// Where a row changes colour, from the ones before its first pixel on.
fn changes(row: &[u8], found: &mut Vec<usize>) {
    let mut last = 0xFF;
    for (at, &byte) in row.iter().enumerate() {
        // Each bit against the one to its left.
        let mut flips = byte ^ (byte >> 1 | last << 7);
        while flips != 0 {
            let bit = flips.leading_zeros();
            found.push(at * 8 + bit as usize);
            flips &= !(0x80 >> bit);
        }
        last = byte;
    }
}

/// One row by its changes, against the changes of the row above.
fn encode_row(row: &[usize], above: &[usize], width: usize, out: &mut Bits) {
    let change = |changes: &[usize], at: usize| changes.get(at).copied().unwrap_or(width);
    // The pixel from which on nothing is coded yet; none before the first. `next` is the row's next change, `b` the
    // first change above that could be beside it.
    let (mut from, mut next, mut b) = (None, 0, 0);
    while from.is_none_or(|from| from < width) {
        // The change above to the right of `from`, in the direction of the row's own next one: those with the same
        // parity.
        b = b.max(2) - 2;
        b += (b + next) % 2;
        while from.is_some_and(|from| change(above, b) <= from) && change(above, b) < width {
            b += 2;
        }
        let (a1, b1, b2) = (change(row, next), change(above, b), change(above, b + 1));
        if b2 < a1 {
            out.push(PASS);
            from = Some(b2);
            continue;
        }
        if let Some(code) = (a1 + 3).checked_sub(b1).and_then(|offset| VERTICAL.get(offset)) {
            out.push(*code);
            (from, next) = (Some(a1), next + 1);
            continue;
        }
        let a2 = change(row, next + 1);
        out.horizontal(a1 - from.unwrap_or(0), a2 - a1, width);
        (from, next) = (Some(a2), next + 2);
    }
}

/// Bits on their way into bytes.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// The bits that make no byte yet, on the right.
    held: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, (code, bits): (u32, u32)) {
        self.held = self.held << bits | code;
        self.count += bits;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.held >> self.count & 0xFF) as u8);
        }
        self.held &= (1 << self.count) - 1;
    }

    fn horizontal(&mut self, first: usize, second: usize, width: usize) {
        self.push(HORIZONTAL);
        let is_long = |run: usize| u32::from(run > SHORT_MAX);
        self.push((is_long(first) << 1 | is_long(second), 2));
        let long_bits = usize::BITS - width.leading_zeros();
        for run in [first, second] {
            let bits = if is_long(run) == 1 { long_bits } else { SHORT_BITS };
            self.push((u32::try_from(run).expect("a run is within a row"), bits));
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.push((0, 8 - self.count));
        }
        self.bytes
    }
}
