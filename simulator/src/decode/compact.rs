//! The compact encodings as a microcontroller reads them: pixel by pixel, in one plane of pixels at a time, with
//! 8 KiB of weights that adapt and a few bytes per row beside the picture.

use gondola_protocol::compact::{
    ADAPTIVE, ADAPTIVE_PLACES, ADAPTIVE_SHIFT, ADAPTIVE_WEIGHTS, BASE_BYTES, CHANGE, CROSS, Run, SHAPES,
    SURPRISE_START, Table, probability, weight,
};
use gondola_protocol::{Digest, Panel, Planes};

/// Why packed bytes are no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// A delta without the head that names its base.
    #[error("the delta ends inside its head")]
    Truncated,
    /// A delta against another picture than the label shows.
    #[error("the delta changes another picture than {held}")]
    OtherBase {
        /// What the label shows.
        held: Digest,
    },
    /// Bytes that no decision needs.
    #[error("{0} bytes follow the last decision")]
    Trailing(usize),
}

/// Unpacks a whole picture for `panel`: the bytes of its planes.
///
/// # Errors
/// See [`CompactError`].
pub(super) fn expand(packed: &[u8], panel: Panel) -> Result<Vec<u8>, CompactError> {
    Decoder::new(packed, panel, None).run()
}

/// Unpacks a delta against the picture that the label shows: the bytes of its planes.
///
/// # Errors
/// See [`CompactError`].
pub(super) fn change(packed: &[u8], held: &Planes) -> Result<Vec<u8>, CompactError> {
    let (base, packed) = packed.split_at_checked(BASE_BYTES).ok_or(CompactError::Truncated)?;
    let digest = held.digest();
    if !digest.0.starts_with(base) {
        return Err(CompactError::OtherBase { held: digest });
    }
    Decoder::new(packed, held.panel(), Some(held.bytes())).run()
}

/// Takes decisions off the packed bytes. Behind their end there are zeros.
struct RangeDecoder<'a> {
    packed: &'a [u8],
    taken: usize,
    range: u32,
    code: u32,
}

impl<'a> RangeDecoder<'a> {
    fn new(packed: &'a [u8]) -> Self {
        let mut decoder = Self { packed, taken: 0, range: u32::MAX, code: 0 };
        for _ in 0..4 {
            decoder.next_byte();
        }
        decoder
    }

    #[inline]
    fn next_byte(&mut self) {
        let byte = self.packed.get(self.taken).copied().unwrap_or(0);
        self.code = self.code << 8 | u32::from(byte);
        self.taken += 1;
    }

    #[inline]
    fn decide(&mut self, ones: u32) -> bool {
        let upper = (self.range >> 16) * ones;
        self.range -= upper;
        let bit = self.code >= self.range;
        if bit {
            self.code -= self.range;
            self.range = upper;
        }
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.next_byte();
        }
        bit
    }
}

/// Rows above the pixel that a prediction may see, those of the tables that reach farthest.
const REACH: usize = 6;

/// What is around a byte of a plane: in each row, two bytes before it, itself and five behind it. The first row is
/// the one below, the next the byte's own, and so on upwards. Outside the panel all is white.
struct Around([u64; REACH + 2]);

impl Around {
    fn new(plane: &[u8], row_bytes: usize, column: usize, y: usize) -> Self {
        Self(std::array::from_fn(|up| {
            let row = (y + 1).checked_sub(up).and_then(|y| plane.get(y * row_bytes..(y + 1) * row_bytes));
            let Some(row) = row else { return 0 };
            let within = column.checked_sub(2).and_then(|before| row.get(before..)?.first_chunk());
            if let Some(within) = within {
                return u64::from_be_bytes(*within);
            }
            let byte = |at: usize| at.checked_sub(2).and_then(|at| row.get(at)).copied().unwrap_or(0);
            (column..column + 8).fold(0, |word, at| word << 8 | u64::from(byte(at)))
        }))
    }

    /// Appends the pixels of `runs` around the pixel `x` of the byte to an index.
    #[inline]
    fn append(&self, index: usize, runs: &[Run], x: usize) -> usize {
        runs.iter().fold(index, |index, run| {
            let row = self.0[usize::from((run.up + 1).unsigned_abs())];
            let first = (16 + x).wrapping_add_signed(isize::from(run.from));
            let count = u32::from(run.to.abs_diff(run.from));
            let pixels = row << first >> (u64::BITS - count);
            index << count | usize::try_from(pixels).unwrap_or_default()
        })
    }

    /// Sets the pixel `x` of the byte.
    fn set(&mut self, x: usize) {
        self.0[1] |= 1 << (63 - 16 - x);
    }
}

/// What a byte holds: white, ink, or both.
#[inline]
fn kind(byte: u8) -> usize {
    match byte {
        0 => 0,
        0xFF => 1,
        _ => 2,
    }
}

struct Decoder<'a> {
    range: RangeDecoder<'a>,
    panel: Panel,
    /// Every plane of the picture that the delta changes.
    held: Option<&'a [u8]>,
    /// The planes so far; what is to come is white.
    bytes: Vec<u8>,
    adaptive: [i16; ADAPTIVE_WEIGHTS],
}

impl<'a> Decoder<'a> {
    fn new(packed: &'a [u8], panel: Panel, held: Option<&'a [u8]>) -> Self {
        let bytes = vec![0; panel.picture_bytes()];
        Self { range: RangeDecoder::new(packed), panel, held, bytes, adaptive: [0; ADAPTIVE_WEIGHTS] }
    }

    fn run(mut self) -> Result<Vec<u8>, CompactError> {
        for plane in 0..self.panel.colours().plane_count() {
            self.plane(plane);
        }
        match self.range.packed.len().saturating_sub(self.range.taken) {
            0 => Ok(self.bytes),
            trailing => Err(CompactError::Trailing(trailing)),
        }
    }

    fn plane(&mut self, plane: usize) {
        let (size, row_bytes) = (self.panel.plane_bytes(), self.panel.row_bytes());
        // Which bytes of the row above, and so far of this one, were as expected, with one before and one behind them:
        // what lies outside always is.
        let mut above = vec![true; row_bytes + 2];
        let mut met = above.clone();
        for y in 0..usize::from(self.panel.height()) {
            let row = plane * size + y * row_bytes;
            for column in 0..row_bytes {
                let at = row + column;
                let expected = match self.held {
                    Some(held) => held[at],
                    None if y == 0 => 0,
                    None => self.bytes[at - row_bytes],
                };
                let is_calm = met[column] && above[column] && above[column + 1] && above[column + 2];
                if is_calm {
                    let before = if column == 0 { 0 } else { self.bytes[at - 1] };
                    let is_edge = y == 0 || column + 1 == row_bytes;
                    let beyond = if is_edge { 0 } else { self.bytes[at - row_bytes + 1] };
                    let far_met = column == 0 || met[column - 1];
                    if !self.is_surprise(plane, far_met, [expected, before, beyond]) {
                        self.bytes[at] = expected;
                        met[column + 1] = true;
                        continue;
                    }
                }
                self.pixels(plane, column, y);
                met[column + 1] = self.bytes[at] == expected;
            }
            std::mem::swap(&mut above, &mut met);
        }
    }

    /// Whether a byte is not what was expected, by that, the byte before it, and the one above and behind it.
    #[inline]
    fn is_surprise(&mut self, plane: usize, far_met: bool, bytes: [u8; 3]) -> bool {
        let situation = usize::from(self.held.is_some()) * 4 + plane * 2 + usize::from(far_met);
        let index = bytes.into_iter().fold(situation, |index, byte| index * 4 + kind(byte));
        self.range.decide(probability(weight(SURPRISE_START + index)))
    }

    /// Reads the pixels of one byte.
    fn pixels(&mut self, plane: usize, column: usize, y: usize) {
        let (size, row_bytes) = (self.panel.plane_bytes(), self.panel.row_bytes());
        let around = |bytes: &[u8]| Around::new(bytes, row_bytes, column, y);
        let mut own = around(&self.bytes[plane * size..][..size]);
        let black = (plane == 1).then(|| around(&self.bytes[..size]));
        let held = self.held.map(|held| around(&held[plane * size..][..size]));
        for x in 0..(usize::from(self.panel.width()) - 8 * column).min(8) {
            let trained = |table: &Table, known: &Around| {
                weight(table.start + known.append(own.append(0, table.own, x), table.known, x))
            };
            let mut sum: i32 = SHAPES.iter().map(|table| trained(table, &own)).sum();
            sum += black.as_ref().map_or(0, |black| trained(&CROSS, black));
            sum += held.as_ref().map_or(0, |held| trained(&CHANGE, held));
            if self.pixel(sum, own.append(plane, ADAPTIVE, x)) {
                own.set(x);
                self.bytes[plane * size + y * row_bytes + column] |= 0x80 >> x;
            }
        }
    }

    /// Reads one pixel, whose trained weights have this sum, and moves the weight that adapts.
    #[inline]
    fn pixel(&mut self, trained: i32, adaptive: usize) -> bool {
        let adaptive = &mut self.adaptive[adaptive];
        let rounded = (trained << ADAPTIVE_PLACES) + i32::from(*adaptive) + (1 << (ADAPTIVE_PLACES - 1));
        let ones = probability(rounded >> ADAPTIVE_PLACES);
        let bit = self.range.decide(ones);
        let error = if bit { 65_536 - ones } else { ones };
        let step = i16::try_from(error >> ADAPTIVE_SHIFT).unwrap_or(i16::MAX);
        *adaptive = if bit { adaptive.saturating_add(step) } else { adaptive.saturating_sub(step) };
        bit
    }
}
