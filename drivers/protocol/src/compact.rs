//! The format of the compact encodings as data: which pixels a prediction sees, and the trained weights.
//!
//! A picture is packed as a row of yes-or-no decisions, each with a probability that both ends compute alike:
//! the sum of a few trained weights and one that adapts. The README of this crate specifies it, with
//! pseudo-code; the encoder is in the drivers, the decoder in the simulator, and neither is here.

/// Pixels side by side in one row, relative to the pixel that is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Rows above the pixel; −1 is the row below it.
    pub up: i8,
    /// Leftmost pixel, counted to the right of the pixel.
    pub from: i8,
    /// One past the rightmost.
    pub to: i8,
}

/// One table of weights, and the pixels that choose the weight.
///
/// The pixels' bits, run by run, the leftmost of each first, are the index within the table, most significant bit
/// first. Pixels outside the panel are white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Where it begins among the weights.
    pub start: usize,
    /// Pixels of the plane that is coded, all of which come before the pixel.
    pub own: &'static [Run],
    /// Pixels of a plane that is known whole.
    pub known: &'static [Run],
}

const fn run(up: i8, from: i8, to: i8) -> Run {
    Run { up, from, to }
}

const fn bits(runs: &[Run]) -> usize {
    let (mut sum, mut at) = (0, 0);
    while at < runs.len() {
        sum += runs[at].to.abs_diff(runs[at].from) as usize;
        at += 1;
    }
    sum
}

impl Table {
    /// One past its last weight.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.start + (1 << (bits(self.own) + bits(self.known)))
    }
}

/// The four neighbours before the pixel.
const NEIGHBOURS: &[Run] = &[run(0, -1, 0), run(1, -1, 2)];

/// Tables that every pixel uses. Their runs were searched for on drawn labels; as many bits in one table cost more.
pub const SHAPES: [Table; 3] = [ABOVE, BEFORE, SLOPE];

const ABOVE: Table =
    Table { start: 0, own: &[run(0, -4, -3), run(1, -5, 4), run(2, -1, 0), run(3, -3, -2), run(4, 2, 4)], known: &[] };

const BEFORE: Table =
    Table { start: ABOVE.end(), own: &[run(0, -9, 0), run(1, -1, 2), run(4, -5, -4), run(5, 0, 1)], known: &[] };

const SLOPE: Table = Table {
    start: BEFORE.end(),
    own: &[run(0, -1, 0), run(1, -1, 2), run(2, 0, 4), run(3, 1, 3), run(4, -1, 1), run(5, 1, 3)],
    known: &[],
};

/// On plane 1: plane 0 at and around the pixel.
pub const CROSS: Table =
    Table { start: SLOPE.end(), own: NEIGHBOURS, known: &[run(1, 0, 1), run(0, -1, 2), run(-1, 0, 1)] };

/// In a delta: the same plane of the picture that the label holds, at and around the pixel.
pub const CHANGE: Table =
    Table { start: CROSS.end(), own: NEIGHBOURS, known: &[run(1, -1, 2), run(0, -1, 2), run(-1, -1, 2)] };

/// Where the weights of surprises begin; their index has nine bits, see the README.
pub const SURPRISE_START: usize = CHANGE.end();

/// Weights in all.
pub const WEIGHTS: usize = SURPRISE_START + (1 << 9);

/// The pixels that choose the weight which adapts; the plane's number stands before their bits.
pub const ADAPTIVE: &[Run] = &[run(0, -3, 0), run(1, -2, 3), run(2, -1, 2)];

/// Weights that adapt, 16 bits each: 8 KiB of a label's memory.
pub const ADAPTIVE_WEIGHTS: usize = 2 << bits(ADAPTIVE);

/// Steps of a trained weight that make a natural unit of log-odds.
pub const STEPS: i32 = 16;

/// Binary places that a weight which adapts has behind those steps.
pub const ADAPTIVE_PLACES: u32 = 8;

/// How far a decision moves the weight that adapts: its error in 1/65,536, shifted right by this.
pub const ADAPTIVE_SHIFT: u32 = 7;

/// The largest sum of weights, in steps: 12 natural units, where a probability is below 1/65,536.
pub const SUM_MAX: usize = 192;

/// Bytes at the head of a delta that name the picture which it changes: the first of its digest.
///
/// They spare a label that holds another picture the work of decoding; what protects it is the digest of what
/// it decoded, so four are enough.
pub const BASE_BYTES: usize = 4;

/// Trained weights, then the probabilities of a 1 for the sums 0, −1 … −192 in 1/65,536, each as two bytes,
/// low byte first. Written by `train-compact` of the benchmarks; another model is another encoding.
static MODEL: &[u8; WEIGHTS + 2 * (SUM_MAX + 1)] = include_bytes!("compact/model.bin");

/// Every index that sixteen bits can name has a weight, so that nobody has to check: 0 behind the last one.
static TRAINED: [i8; 1 << 16] = {
    let mut all = [0; 1 << 16];
    let mut at = 0;
    while at < WEIGHTS {
        all[at] = MODEL[at].cast_signed();
        at += 1;
    }
    all
};

/// A trained weight.
#[must_use]
#[inline]
pub fn weight(index: u16) -> i32 {
    i32::from(TRAINED[usize::from(index)])
}

/// Sums are within this either way: five trained weights of a signed byte each, and one that adapts and is worth as much.
const SUMS_END: u32 = 1_024;

/// How many those are.
const SUMS: usize = 2 * SUMS_END as usize;

/// The probabilities of a 1 for the sums from −[`SUMS_END`] on, in 1/65,536: never 0, never all.
static PROBABILITIES: [u16; SUMS] = {
    let mut all = [0; SUMS];
    let mut at = 0;
    while at < all.len() {
        let steps = at.abs_diff(SUMS / 2);
        let model = WEIGHTS + 2 * if steps < SUM_MAX { steps } else { SUM_MAX };
        let rare = u16::from_le_bytes([MODEL[model], MODEL[model + 1]]);
        all[at] = if at > SUMS / 2 { rare.wrapping_neg() } else { rare };
        at += 1;
    }
    all
};

/// The probability of a 1, in 1/65,536, for a sum of weights in steps; 1 to 65,535. No decision's sum is below −1,024 or
/// above 1,023.
#[must_use]
#[inline]
pub fn probability(sum: i32) -> u32 {
    u32::from(PROBABILITIES[SUMS_END.wrapping_add_signed(sum) as usize % SUMS])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: [Table; 5] = [SHAPES[0], SHAPES[1], SHAPES[2], CROSS, CHANGE];

    #[test]
    fn the_tables_follow_each_other_and_fit_a_microcontroller() {
        let ends = TABLES.map(|table| table.end());
        assert_eq!(TABLES.map(|table| table.start)[1..], ends[..4]);
        assert_eq!(SURPRISE_START, ends[4]);
        assert!(MODEL.len() <= 64 * 1024);
        assert!(ADAPTIVE_WEIGHTS * size_of::<i16>() <= 16 * 1024);
    }

    /// Labels in shops have this model. One that was trained anew gets its hash into the README, and before a
    /// release that is all; after one it is another encoding.
    #[test]
    fn the_specification_names_the_model() {
        let hash = blake3::hash(MODEL).to_hex();
        let named = include_str!("../README.md").contains(&format!("`{}`", &hash[..16]));
        assert!(named, "the specification does not name the model {}", &hash[..16]);
    }

    #[test]
    fn predictions_see_only_what_is_known() {
        for run in TABLES.iter().flat_map(|table| table.own).chain(ADAPTIVE) {
            assert!(run.from < run.to && (run.up > 0 || (run.up == 0 && run.to <= 0)), "{run:?}");
        }
        // Both ends' windows: of the coded plane six rows, of a known one three; two bytes to the left and one to the right,
        // and sixteen pixels from a run's first on, which a byte's eight share.
        let known = TABLES.iter().flat_map(|table| table.known).map(|run| (run, -1..=1));
        let own = TABLES.iter().flat_map(|table| table.own).chain(ADAPTIVE).map(|run| (run, 0..=5));
        for (run, rows) in own.chain(known) {
            let is_narrow = run.from >= -16 && run.to <= 9 && run.to - run.from <= 9;
            assert!(rows.contains(&run.up) && is_narrow, "{run:?}");
        }
    }

    #[test]
    fn probabilities_grow_with_the_sum() {
        let all: Vec<u32> = (-300..=300).map(probability).collect();
        assert!(all.is_sorted());
        assert_eq!((all[0], all[300], all[600]), (1, 32_768, 65_535));
    }
}
