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
}

/// The decisions on the pixels of a byte, side by side.
pub(super) struct Pixels {
    plane: usize,
    column: usize,
    row: usize,
    /// Pixels: eight, or fewer in a row's last byte.
    pub(super) count: usize,
    /// The byte: its highest bit is the first pixel.
    inks: u8,
    weights: [Lanes; WEIGHTS_MAX],
    len: usize,
    /// For each pixel the weight that adapts.
    pub(super) adaptive: Lanes,
}

impl Pixels {
    /// The trained weights: of each table those of all pixels.
    #[inline(always)]
    pub(super) fn weights(&self) -> &[Lanes] {
        &self.weights[..self.len]
    }

    #[inline(always)]
    pub(super) fn bit(&self, x: usize) -> bool {
        self.inks << x >> 7 == 1
    }

    fn decision(&self, x: usize) -> Decision {
        Decision {
            subject: Subject::Pixel(self.plane, 8 * self.column + x, self.row),
            bit: self.bit(x),
            weights: self.weights.map(|lanes| lanes[x]),
            len: self.len,
            adaptive: Some(self.adaptive[x]),
        }
    }
}

/// Who hears decisions, in their order.
pub(super) trait Listener {
    /// Hears that a byte is or is not what was expected.
    fn hear_surprise(&mut self, decision: &Decision);

    /// Hears a byte's pixels.
    fn hear_pixels(&mut self, pixels: &Pixels);

    /// Whether it need hear no more; asked before each row.
    fn has_enough(&self) -> bool {
        false
    }
}

impl<F: FnMut(&Decision)> Listener for F {
    fn hear_surprise(&mut self, decision: &Decision) {
        self(decision);
    }

    fn hear_pixels(&mut self, pixels: &Pixels) {
        (0..pixels.count).for_each(|x| self(&pixels.decision(x)));
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

/// Rows that tables see of the plane that is coded: the byte's own and those above it.
const OWN_ROWS: usize = 6;
/// Rows that they see of a plane that is known: the one below the byte, its own, and the one above.
const KNOWN_ROWS: usize = 3;

impl Framed {
    fn new(plane: &[u8], row_bytes: usize) -> Self {
        let stride = LEFT + row_bytes + RIGHT;
        let mut bytes = vec![0; stride * (ROWS_ABOVE + plane.len() / row_bytes + 1)];
        let rows = bytes.chunks_exact_mut(stride).skip(ROWS_ABOVE);
        for (framed, row) in rows.zip(plane.chunks_exact(row_bytes)) {
            framed[LEFT..LEFT + row_bytes].copy_from_slice(row);
        }
        Self { bytes, stride }
    }

    #[inline]
    fn at(&self, column: usize, row: usize) -> usize {
        (row + ROWS_ABOVE) * self.stride + LEFT + column
    }

    /// A row, from `LEFT` bytes before it to `RIGHT` bytes behind it.
    fn row(&self, row: usize) -> &[u8] {
        let start = self.at(0, row) - LEFT;
        &self.bytes[start..start + self.stride]
    }

    /// The row above one, likewise.
    fn row_above(&self, row: usize) -> &[u8] {
        let start = self.at(0, row) - LEFT - self.stride;
        &self.bytes[start..start + self.stride]
    }

    /// Eight bytes of each of so many rows, from the one `below` the byte's upwards, and from `LEFT` bytes before the byte
    /// of interest.
    #[inline(always)]
    fn words<const ROWS: usize>(&self, column: usize, row: usize, below: usize) -> [u64; ROWS] {
        let mut start = self.at(column, row + below) - LEFT;
        std::array::from_fn(|_| {
            let bytes = self.bytes.get(start..).and_then(|bytes| bytes.first_chunk());
            start -= self.stride;
            u64::from_be_bytes(*bytes.expect("the frame is wide enough"))
        })
    }
}

/// An index for each of a byte's eight pixels, side by side so that one instruction serves them all.
type Lanes = [u16; 8];

/// What moves each pixel's run to the top of its lane: a multiplication, because few processors shift lanes by different
/// counts at once.
const POWERS: Lanes = [1, 2, 4, 8, 16, 32, 64, 128];

/// Appends the pixels of `runs` around each pixel of the byte of interest to its index. The words begin with the row
/// `below` the byte's.
#[inline(always)]
fn append(mut lanes: Lanes, powers: &Lanes, runs: &[Run], words: &[u64], below: i8) -> Lanes {
    for run in runs {
        let count = u32::from(run.to.abs_diff(run.from));
        let word = words[usize::from((run.up + below).unsigned_abs())];
        // From the run's first pixel at the byte's first one on: a run has nine pixels at most, and a byte seven more.
        let first = (8 * LEFT).wrapping_add_signed(isize::from(run.from));
        let window = u16::try_from(word << first >> 48).unwrap_or_default();
        for (lane, power) in lanes.iter_mut().zip(powers) {
            *lane = *lane << count | window.wrapping_mul(*power) >> (16 - count);
        }
    }
    lanes
}

#[inline(always)]
fn look_up(table: &Table, powers: &Lanes, own: &[u64; OWN_ROWS], known: &[u64; KNOWN_ROWS]) -> Lanes {
    let start = u16::try_from(table.start).expect("the tables have fewer than 65,536 weights");
    let lanes = append([0; 8], powers, table.own, own, 0);
    append(lanes, powers, table.known, known, 1).map(|index| start + index)
}

/// White 0, ink 1, or both 2: what a byte holds. Without a branch, so that a row's are computed side by side.
#[inline]
fn kind(byte: u8) -> u8 {
    u8::from(byte != 0) + u8::from(byte != 0 && byte != 0xFF)
}

/// Gives every decision that packs `planes`, against the picture that the label holds if there is one; it must be
/// for the same panel.
#[inline]
pub fn decisions(planes: &Planes, held: Option<&Planes>, listener: impl FnMut(&Decision)) {
    tell(planes, held, listener);
}

/// The same to somebody who goes on listening. What it keeps between two decisions is handed over and back by value, so
/// that it can stay in registers.
pub(super) fn tell<L: Listener>(planes: &Planes, held: Option<&Planes>, mut listener: L) -> L {
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
            // A compiler that knew them would make shifts of them.
            powers: std::hint::black_box(POWERS),
        };
        listener = match (walk.black, walk.held) {
            (None, None) => walk.rows::<3, L>(panel.height().into(), listener),
            (None, Some(_)) | (Some(_), None) => walk.rows::<4, L>(panel.height().into(), listener),
            (Some(_), Some(_)) => walk.rows::<5, L>(panel.height().into(), listener),
        };
    }
    listener
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
    powers: Lanes,
}

impl Walk<'_> {
    /// Its pixels have so many trained weights.
    #[inline]
    fn rows<const LEN: usize, L: Listener>(&self, height: usize, mut listener: L) -> L {
        let row_bytes = self.width.div_ceil(8);
        // Whether each byte of a row is as expected, with two before the first and one behind the last.
        let mut above = vec![true; row_bytes + 3];
        let mut met = above.clone();
        // What is around each byte of a row that may be a surprise.
        let mut around = vec![0; row_bytes];
        for row in 0..height {
            if listener.has_enough() {
                break;
            }
            let (own, over) = (self.own.row(row), self.own.row_above(row));
            // The byte that is expected: the held one, or else the one above.
            let expected = self.held.map_or(over, |held| held.row(row));
            let expected = &expected[LEFT..LEFT + row_bytes];
            for (met, (own, expected)) in met[2..].iter_mut().zip(own[LEFT..].iter().zip(expected)) {
                *met = own == expected;
            }
            let beside = own[LEFT - 1..].iter().zip(&over[LEFT + 1..]);
            for (around, (expected, (before, beyond))) in around.iter_mut().zip(expected.iter().zip(beside)) {
                *around = kind(*expected) << 4 | kind(*before) << 2 | kind(*beyond);
            }
            let beside = met.windows(3).zip(above[1..].windows(3));
            for (column, (around, (met, above))) in around.iter().zip(beside).enumerate() {
                let [far_met, near_met, is_met] = [met[0], met[1], met[2]];
                let is_calm = near_met & above[0] & above[1] & above[2];
                if is_calm {
                    listener.hear_surprise(&self.surprise(column, row, *around, far_met, !is_met));
                }
                if !(is_calm & is_met) {
                    listener.hear_pixels(&self.pixels::<LEN>(column, row));
                }
            }
            std::mem::swap(&mut above, &mut met);
        }
        listener
    }

    /// `around` are the kinds of the byte that is expected, the one before, and the one above and behind.
    #[inline(always)]
    fn surprise(&self, column: usize, row: usize, around: u8, far_met: bool, bit: bool) -> Decision {
        let situation = usize::from(self.held.is_some()) << 2 | self.plane << 1 | usize::from(far_met);
        let index = SURPRISE_START + (situation << 6 | usize::from(around));
        let index = u16::try_from(index).expect("the tables have fewer than 65,536 weights");
        let subject = Subject::Surprise(self.plane, column, row);
        Decision { subject, bit, weights: [index, 0, 0, 0, 0], len: 1, adaptive: None }
    }

    #[inline(always)]
    fn pixels<const LEN: usize>(&self, column: usize, row: usize) -> Pixels {
        let (own, powers) = (self.own.words(column, row, 0), &self.powers);
        let mut weights = [[0; 8]; WEIGHTS_MAX];
        for (lanes, table) in weights.iter_mut().zip(&SHAPES) {
            *lanes = look_up(table, powers, &own, &[0; KNOWN_ROWS]);
        }
        let black = self.black.map(|black| look_up(&CROSS, powers, &own, &black.words(column, row, 1)));
        let held = self.held.map(|held| look_up(&CHANGE, powers, &own, &held.words(column, row, 1)));
        for (lanes, found) in weights[SHAPES.len()..].iter_mut().zip(black.into_iter().chain(held)) {
            *lanes = found;
        }
        let plane = u16::try_from(self.plane).expect("there are two planes");
        Pixels {
            plane: self.plane,
            column,
            row,
            count: (self.width - 8 * column).min(8),
            inks: self.own.bytes[self.own.at(column, row)],
            weights,
            len: LEN,
            adaptive: append([plane; 8], powers, ADAPTIVE, &own, 0),
        }
    }
}
