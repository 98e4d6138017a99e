//! A picture as the row of decisions that the compact encodings pack, and that the model was trained on.

use gondola_protocol::Planes;
use gondola_protocol::compact::{ADAPTIVE, CHANGE, CROSS, Run, SHAPES, SURPRISE_START, Table};

/// One yes or no, and what it is predicted from.
#[derive(Debug, Clone, Copy)]
pub struct Decision {
    /// What it decides.
    pub subject: Subject,
    /// 0 or 1.
    pub bit: bool,
    weights: [u16; WEIGHTS_MAX],
    len: usize,
    /// The weight that adapts; none for a surprise.
    pub adaptive: Option<u16>,
}

/// What a decision is about: its plane, its place in the plane, and whether it is a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Whether a byte is not what was expected, by plane, column of bytes, and row.
    Surprise(usize, usize, usize),
    /// Whether a pixel has ink, by plane, column and row.
    Pixel(usize, usize, usize),
}

/// Most trained weights in one decision: those of a pixel of plane 1 in a delta.
const WEIGHTS_MAX: usize = SHAPES.len() + 2;

impl Decision {
    /// The trained weights that it sums.
    #[must_use]
    #[inline]
    pub fn weights(&self) -> &[u16] {
        &self.weights[..self.len]
    }

    #[inline]
    fn add(&mut self, index: usize) {
        self.weights[self.len] = u16::try_from(index).expect("the tables have fewer than 65,536 weights");
        self.len += 1;
    }
}

/// White rows above a plane's first, and one below its last.
const ROWS_ABOVE: usize = 6;
/// White bytes left of a row.
const LEFT: usize = 2;
/// White bytes right of it: a word of eight bytes begins at most at its last byte.
const RIGHT: usize = 8 - LEFT;

/// A plane with white around it.
struct Framed {
    bytes: Vec<u8>,
    stride: usize,
}

/// Eight bytes of a row and of those around it, from `LEFT` bytes before the byte of interest.
type Words = [u64; ROWS_ABOVE + 2];

impl Framed {
    fn new(plane: &[u8], row_bytes: usize) -> Self {
        let stride = LEFT + row_bytes + RIGHT;
        let mut bytes = vec![0; stride * ROWS_ABOVE];
        for row in plane.chunks_exact(row_bytes) {
            bytes.extend_from_slice(&[0; LEFT]);
            bytes.extend_from_slice(row);
            bytes.extend_from_slice(&[0; RIGHT]);
        }
        bytes.resize(bytes.len() + stride, 0);
        Self { bytes, stride }
    }

    #[inline]
    fn at(&self, column: usize, row: usize) -> usize {
        (row + ROWS_ABOVE) * self.stride + LEFT + column
    }

    /// The words from the row below to the row `ROWS_ABOVE` above.
    #[inline]
    fn words(&self, column: usize, row: usize) -> Words {
        let below = self.at(column, row) - LEFT + self.stride;
        std::array::from_fn(|up| {
            let start = below - up * self.stride;
            let bytes = self.bytes[start..].first_chunk().expect("the frame is wide enough");
            u64::from_be_bytes(*bytes)
        })
    }
}

/// Appends the pixels of `runs` around the pixel `x` of the byte of interest to `index`.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a run has a few pixels")]
fn append(mut index: usize, runs: &[Run], words: &Words, x: usize) -> usize {
    for run in runs {
        let count = u32::from(run.to.abs_diff(run.from));
        let word = words[usize::from((run.up + 1).unsigned_abs())];
        let end = 8 * LEFT + x;
        let pixels = word >> (64 - end.wrapping_add_signed(isize::from(run.to)));
        index = index << count | (pixels & ((1 << count) - 1)) as usize;
    }
    index
}

#[inline]
fn look_up(table: &Table, own: &Words, known: &Words, x: usize) -> usize {
    table.start + append(append(0, table.own, own, x), table.known, known, x)
}

/// White, ink or both: what a byte holds.
#[inline]
fn kind(byte: u8) -> usize {
    match byte {
        0 => 0,
        0xFF => 1,
        _ => 2,
    }
}

/// Gives every decision that packs `planes`, against the picture that the label holds if there is one; it must be
/// for the same panel.
pub fn decisions(planes: &Planes, held: Option<&Planes>, mut each: impl FnMut(&Decision)) {
    let panel = planes.panel();
    let frame = |planes: &Planes| -> Vec<Framed> {
        let planes = planes.bytes().chunks_exact(panel.plane_bytes());
        planes.map(|plane| Framed::new(plane, panel.row_bytes())).collect()
    };
    let (own, held) = (frame(planes), held.map(frame));
    for plane in 0..own.len() {
        let walk = Walk {
            plane,
            width: panel.width().into(),
            own: &own[plane],
            black: (plane > 0).then(|| &own[0]),
            held: held.as_ref().map(|held| &held[plane]),
        };
        walk.rows(panel.height().into(), &mut each);
    }
}

/// One plane on its way.
struct Walk<'a> {
    plane: usize,
    width: usize,
    own: &'a Framed,
    /// Plane 0, while plane 1 is coded.
    black: Option<&'a Framed>,
    /// The same plane of the picture that the label holds.
    held: Option<&'a Framed>,
}

impl Walk<'_> {
    fn rows(&self, height: usize, each: &mut impl FnMut(&Decision)) {
        let row_bytes = self.width.div_ceil(8);
        // Whether each byte of a row was as expected, with one before the first and one behind the last.
        let mut above = vec![true; row_bytes + 2];
        let mut met = above.clone();
        for row in 0..height {
            for column in 0..row_bytes {
                let at = self.own.at(column, row);
                let (byte, expected) = (self.own.bytes[at], self.expected(at));
                let is_calm = met[column] && above[column..column + 3].iter().all(|met| *met);
                met[column + 1] = byte == expected;
                if is_calm {
                    let far = column < 2 || met[column - 1];
                    each(&self.surprise(column, row, expected, far, byte != expected));
                }
                if !is_calm || byte != expected {
                    self.pixels(column, row, each);
                }
            }
            std::mem::swap(&mut above, &mut met);
            met[0] = true;
        }
    }

    /// The byte that is expected: the held one, or else the one above.
    #[inline]
    fn expected(&self, at: usize) -> u8 {
        match self.held {
            Some(held) => held.bytes[at],
            None => self.own.bytes[at - self.own.stride],
        }
    }

    #[inline]
    fn surprise(&self, column: usize, row: usize, expected: u8, far_met: bool, bit: bool) -> Decision {
        let at = self.own.at(column, row);
        let (before, beyond) = (self.own.bytes[at - 1], self.own.bytes[at + 1 - self.own.stride]);
        let situation = usize::from(self.held.is_some()) << 2 | self.plane << 1 | usize::from(far_met);
        let kinds = kind(expected) << 4 | kind(before) << 2 | kind(beyond);
        let subject = Subject::Surprise(self.plane, column, row);
        let mut decision = Decision { subject, bit, weights: [0; WEIGHTS_MAX], len: 0, adaptive: None };
        decision.add(SURPRISE_START + (situation << 6 | kinds));
        decision
    }

    fn pixels(&self, column: usize, row: usize, each: &mut impl FnMut(&Decision)) {
        let own = self.own.words(column, row);
        let black = self.black.map(|black| black.words(column, row));
        let held = self.held.map(|held| held.words(column, row));
        for x in 0..(self.width - 8 * column).min(8) {
            let adaptive = append(self.plane, ADAPTIVE, &own, x);
            let mut decision = Decision {
                subject: Subject::Pixel(self.plane, 8 * column + x, row),
                bit: own[1] << (8 * LEFT + x) >> 63 == 1,
                weights: [0; WEIGHTS_MAX],
                len: 0,
                adaptive: u16::try_from(adaptive).ok(),
            };
            for table in &SHAPES {
                decision.add(look_up(table, &own, &own, x));
            }
            if let Some(black) = &black {
                decision.add(look_up(&CROSS, &own, black, x));
            }
            if let Some(held) = &held {
                decision.add(look_up(&CHANGE, &own, held, x));
            }
            each(&decision);
        }
    }
}
