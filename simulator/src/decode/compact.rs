//! The compact encodings as a microcontroller reads them: pixel by pixel, in one plane of pixels at a time, with
//! 8 KiB of weights that adapt and a dozen rows beside the picture.

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

    #[cold]
    fn next_byte(&mut self) {
        let byte = self.packed.get(self.taken).copied().unwrap_or(0);
        self.code = self.code << 8 | u32::from(byte);
        self.taken += 1;
    }

    #[inline(always)]
    fn decide(&mut self, ones: u32) -> bool {
        let bit = self.split(ones);
        self.refill();
        bit
    }

    /// A decision, after which the range may be too small for another one.
    #[inline(always)]
    fn split(&mut self, ones: u32) -> bool {
        let upper = (self.range >> 16) * ones;
        let lower = self.range - upper;
        let bit = self.code >= lower;
        if bit {
            self.code -= lower;
            self.range = upper;
        } else {
            self.range = lower;
        }
        bit
    }

    #[inline(always)]
    fn refill(&mut self) {
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.next_byte();
        }
    }
}

/// Rows of its own plane that a byte's prediction sees, with its own.
const OWN_ROWS: usize = 6;
/// Rows of a plane that is known: with one below.
const KNOWN_ROWS: usize = 3;

/// White bytes before each row and behind it, so that nobody has to ask where it ends.
const BEFORE: usize = 2;
const BEHIND: usize = 6;

/// The rows of a plane that a prediction sees, the lowest one last: all that a label needs beside the picture itself.
struct Rows<const COUNT: usize> {
    bytes: Vec<u8>,
    /// Bytes from one row to the next.
    pitch: usize,
}

impl<const COUNT: usize> Rows<COUNT> {
    fn white(row_bytes: usize) -> Self {
        let pitch = BEFORE + row_bytes + BEHIND;
        Self { bytes: vec![0; COUNT * pitch], pitch }
    }

    /// Moves down by a row: to this one, or to a white one.
    fn advance(&mut self, row: Option<&[u8]>) {
        self.bytes.copy_within(self.pitch.., 0);
        let lowest = self.row_mut(0);
        match row {
            Some(row) => lowest.copy_from_slice(row),
            None => lowest.fill(0),
        }
    }

    /// The row so many above the lowest one.
    fn row(&self, up: usize) -> &[u8] {
        &self.bytes[(COUNT - 1 - up) * self.pitch..][BEFORE..self.pitch - BEHIND]
    }

    /// The bytes behind those of that row, of which the last is white.
    fn behind(&self, up: usize) -> &[u8] {
        &self.bytes[(COUNT - 1 - up) * self.pitch..][BEFORE + 1..self.pitch - BEHIND + 1]
    }

    fn row_mut(&mut self, up: usize) -> &mut [u8] {
        &mut self.bytes[(COUNT - 1 - up) * self.pitch..][BEFORE..self.pitch - BEHIND]
    }

    /// What is around a byte's column: in each row, the lowest first, two bytes before it, itself and five behind it.
    #[inline(always)]
    fn around(&self, column: usize) -> [u64; COUNT] {
        std::array::from_fn(|up| {
            let start = (COUNT - 1 - up) * self.pitch + column;
            let bytes = self.bytes.get(start..).and_then(|bytes| bytes.first_chunk());
            bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes))
        })
    }
}

/// A plane that is known whole, and what is seen of it.
struct Known<'a> {
    rows: std::slice::ChunksExact<'a, u8>,
    seen: Rows<KNOWN_ROWS>,
}

impl<'a> Known<'a> {
    fn new(plane: &'a [u8], row_bytes: usize) -> Self {
        let mut known = Self { rows: plane.chunks_exact(row_bytes), seen: Rows::white(row_bytes) };
        known.advance();
        known
    }

    fn advance(&mut self) {
        self.seen.advance(self.rows.next());
    }
}

/// For each of a byte's eight pixels the index of a weight, as far as it is known before the byte is.
type Indices = [u16; 8];

/// What moves each pixel's run to the top of sixteen bits: a multiplication, because few processors shift side by side by
/// different counts.
const POWERS: Indices = [1, 2, 4, 8, 16, 32, 64, 128];

/// Appends the pixels of `runs` around each of the byte's pixels. So many of the rows are below the byte's.
#[inline(always)]
fn append(indices: Indices, powers: &Indices, runs: &[Run], around: &[u64], below: i8) -> Indices {
    runs.iter().fold(indices, |mut indices, run| {
        let row = around[usize::from((run.up + below).unsigned_abs())];
        let first = (8 * BEFORE).wrapping_add_signed(isize::from(run.from));
        let count = u32::from(run.to.abs_diff(run.from));
        // The byte's first pixel has its run at the top of this, and each further one a pixel below.
        let pixels = u16::try_from(row << first >> (u64::BITS - 16)).unwrap_or_default();
        for (index, power) in indices.iter_mut().zip(powers) {
            *index = *index << count | pixels.wrapping_mul(*power) >> (16 - count);
        }
        indices
    })
}

/// Where an index has the pixels before the one in question in its own row, of which those within the byte come one by one.
#[derive(Clone, Copy)]
struct Recent {
    /// Pixels between them and the one in question.
    back: u32,
    mask: u16,
    place: u32,
}

impl Recent {
    /// Their run is the first of a table's own ones, and the only one in that row.
    const fn of(own: &[Run], known: &[Run]) -> Self {
        assert!(own[0].up == 0);
        let count = own[0].to.abs_diff(own[0].from);
        Self {
            back: own[0].to.unsigned_abs() as u32,
            mask: (1 << count) - 1,
            place: bits(own) - count as u32 + bits(known),
        }
    }

    const fn in_table(table: &Table) -> Self {
        Self::of(table.own, table.known)
    }

    /// `index` with the pixels of the byte so far, the last of which is the lowest bit.
    #[inline(always)]
    fn complete(self, index: u16, pixels: u16) -> u16 {
        index + ((pixels >> self.back & self.mask) << self.place)
    }
}

/// Pixels of runs.
const fn bits(runs: &[Run]) -> u32 {
    let (mut sum, mut at) = (0, 0);
    while at < runs.len() {
        sum += runs[at].to.abs_diff(runs[at].from) as u32;
        at += 1;
    }
    sum
}

/// Tables of a pixel in the order in which it uses them.
const TABLES: [Table; 5] = [SHAPES[0], SHAPES[1], SHAPES[2], CROSS, CHANGE];

const RECENT: [Recent; 5] = [
    Recent::in_table(&TABLES[0]),
    Recent::in_table(&TABLES[1]),
    Recent::in_table(&TABLES[2]),
    Recent::in_table(&TABLES[3]),
    Recent::in_table(&TABLES[4]),
];

const RECENT_ADAPTIVE: Recent = Recent::of(ADAPTIVE, &[]);

/// What a byte holds: white 0, ink 1, or both 2.
#[inline]
fn kind(byte: u8) -> u8 {
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
    adaptive: [i16; ADAPTIVE_WEIGHTS],
}

impl<'a> Decoder<'a> {
    fn new(packed: &'a [u8], panel: Panel, held: Option<&'a [u8]>) -> Self {
        Self { range: RangeDecoder::new(packed), panel, held, adaptive: [0; ADAPTIVE_WEIGHTS] }
    }

    fn run(mut self) -> Result<Vec<u8>, CompactError> {
        let (size, row_bytes) = (self.panel.plane_bytes(), self.panel.row_bytes());
        let mut bytes = vec![0; self.panel.picture_bytes()];
        for number in 0..self.panel.colours().plane_count() {
            let (before, plane) = bytes.split_at_mut(number * size);
            let held = self.held.map(|held| &held[number * size..][..size]);
            let mut reader = Reader {
                number,
                range: &mut self.range,
                adaptive: &mut self.adaptive,
                black: (number == 1).then(|| Known::new(&before[..size], row_bytes)),
                held: held.map(|held| Known::new(held, row_bytes)),
                // A compiler that knew them would make shifts of them.
                powers: std::hint::black_box(POWERS),
            };
            reader.read(self.panel, &mut plane[..size]);
        }
        match self.range.packed.len().saturating_sub(self.range.taken) {
            0 => Ok(bytes),
            trailing => Err(CompactError::Trailing(trailing)),
        }
    }
}

/// Reads one plane.
struct Reader<'a, 'packed> {
    number: usize,
    range: &'a mut RangeDecoder<'packed>,
    adaptive: &'a mut [i16; ADAPTIVE_WEIGHTS],
    /// Plane 0, while plane 1 is read.
    black: Option<Known<'a>>,
    /// The same plane of the picture that the delta changes.
    held: Option<Known<'a>>,
    powers: Indices,
}

impl Reader<'_, '_> {
    fn read(&mut self, panel: Panel, plane: &mut [u8]) {
        let row_bytes = panel.row_bytes();
        let mut own = Rows::white(row_bytes);
        // Which bytes of the row above, and so far of this one, were as expected, with one before and one behind them:
        // what lies outside always is.
        let mut above = vec![true; row_bytes + 2];
        let mut met = above.clone();
        // What each byte of a row is expected to be, and what is around it before the row is read.
        let mut expected = vec![0; row_bytes];
        let mut around = vec![0; row_bytes];
        for row in plane.chunks_exact_mut(row_bytes) {
            own.advance(None);
            self.black.iter_mut().chain(&mut self.held).for_each(Known::advance);
            expected.copy_from_slice(self.held.as_ref().map_or(own.row(1), |held| held.seen.row(1)));
            for (around, (expected, beyond)) in around.iter_mut().zip(expected.iter().zip(own.behind(1))) {
                *around = kind(*expected) << 4 | kind(*beyond);
            }
            let mut before = 0;
            for (column, (expected, around)) in expected.iter().copied().zip(&around).enumerate() {
                let is_calm = met[column] & above[column] & above[column + 1] & above[column + 2];
                if is_calm {
                    let far_met = column == 0 || met[column - 1];
                    if !self.is_surprise(far_met, around | kind(before) << 2) {
                        own.row_mut(0)[column] = expected;
                        met[column + 1] = true;
                        before = expected;
                        continue;
                    }
                }
                let count = (usize::from(panel.width()) - 8 * column).min(8);
                let byte = match (self.black.is_some(), self.held.is_some()) {
                    (false, false) => self.pixels::<false, false>(&own, column, count),
                    (false, true) => self.pixels::<false, true>(&own, column, count),
                    (true, false) => self.pixels::<true, false>(&own, column, count),
                    (true, true) => self.pixels::<true, true>(&own, column, count),
                };
                own.row_mut(0)[column] = byte;
                met[column + 1] = byte == expected;
                before = byte;
            }
            row.copy_from_slice(own.row(0));
            std::mem::swap(&mut above, &mut met);
        }
    }

    /// Whether a byte is not what was expected, by the kinds of that, of the byte before it, and of the one above and behind
    /// it.
    #[inline]
    fn is_surprise(&mut self, far_met: bool, kinds: u8) -> bool {
        let situation = usize::from(self.held.is_some()) * 4 + self.number * 2 + usize::from(far_met);
        let index = situation * 64 + usize::from(kinds);
        self.range.decide(probability(weight(u16::try_from(SURPRISE_START + index).unwrap_or_default())))
    }

    /// Reads the first `count` pixels of a byte, which is white so far.
    #[inline]
    fn pixels<const IS_SECOND: bool, const IS_DELTA: bool>(
        &mut self,
        own: &Rows<OWN_ROWS>,
        column: usize,
        count: usize,
    ) -> u8 {
        let (own, powers) = (own.around(column), &self.powers);
        let known = |other: &Option<Known>| other.as_ref().map_or([0; KNOWN_ROWS], |other| other.seen.around(column));
        let (black, held) = (known(&self.black), known(&self.held));
        let look_up = |table: &Table, known: &[u64; KNOWN_ROWS]| {
            let found = append([0; 8], powers, table.own, &own, 0);
            let start = u16::try_from(table.start).unwrap_or_default();
            append(found, powers, table.known, known, 1).map(|index| index + start)
        };
        let nothing = [0; KNOWN_ROWS];
        let indices = [
            look_up(&TABLES[0], &nothing),
            look_up(&TABLES[1], &nothing),
            look_up(&TABLES[2], &nothing),
            if IS_SECOND { look_up(&TABLES[3], &black) } else { [0; 8] },
            if IS_DELTA { look_up(&TABLES[4], &held) } else { [0; 8] },
        ];
        let adaptive = append([u16::from(IS_SECOND); 8], powers, ADAPTIVE, &own, 0);
        let mut pixels = 0;
        for x in 0..count {
            let index = |number: usize| RECENT[number].complete(indices[number][x], pixels);
            let mut sum = weight(index(0)) + weight(index(1)) + weight(index(2));
            if IS_SECOND {
                sum += weight(index(3));
            }
            if IS_DELTA {
                sum += weight(index(4));
            }
            pixels = self.pixel(pixels, sum, RECENT_ADAPTIVE.complete(adaptive[x], pixels));
        }
        u8::try_from(pixels << (8 - count)).unwrap_or_default()
    }

    /// Reads one pixel, whose trained weights have this sum, moves the weight that adapts, and appends the pixel to
    /// others.
    #[inline(always)]
    fn pixel(&mut self, pixels: u16, trained: i32, adaptive: u16) -> u16 {
        let adaptive = &mut self.adaptive[usize::from(adaptive) % ADAPTIVE_WEIGHTS];
        let rounded = (trained << ADAPTIVE_PLACES) + i32::from(*adaptive) + (1 << (ADAPTIVE_PLACES - 1));
        let ones = probability(rounded >> ADAPTIVE_PLACES);
        let step = |error: u32| i16::try_from(error >> ADAPTIVE_SHIFT).unwrap_or(i16::MAX);
        // What follows from each bit stands in a branch of its own: a processor that guesses the bit goes on with the next
        // pixel meanwhile.
        let pixels = if self.range.split(ones) {
            *adaptive = adaptive.saturating_add(step(65_536 - ones));
            pixels << 1 | 1
        } else {
            *adaptive = adaptive.saturating_sub(step(ones));
            pixels << 1
        };
        self.range.refill();
        pixels
    }
}
