//! Learns the compact coder's weights: logistic regression, one weight of each table per decision.

use gondola_drivers::encode::compact::{Decision, Subject, decisions};
use gondola_protocol::Planes;
use gondola_protocol::compact::{ADAPTIVE_SHIFT, ADAPTIVE_WEIGHTS, Run, STEPS, SURPRISE_START, WEIGHTS};

use crate::corpus::Label;

/// How fast weights move, pass by pass over the labels: the first finds them, the last settles them.
const RATES: [f32; 4] = [0.3, 0.15, 0.06, 0.02];

/// Decisions in a delta count this much more than those of a whole picture, which has far more of them.
const DELTA_SHARE: f32 = 2.0;

/// Where a learner looks for what predicts a decision.
pub trait Features {
    /// Trained weights that there are.
    const WEIGHTS: usize;
    /// Weights that adapt within a picture.
    const ADAPTIVE: usize;

    /// Hands on every decision of `planes` with its trained weights and the one that adapts.
    fn decisions(planes: &Planes, held: Option<&Planes>, each: impl FnMut(bool, &[usize], Option<usize>));
}

/// The coder's own features: what fits a microcontroller.
#[derive(Debug)]
pub struct Limited;

impl Features for Limited {
    const WEIGHTS: usize = WEIGHTS;
    const ADAPTIVE: usize = ADAPTIVE_WEIGHTS;

    fn decisions(planes: &Planes, held: Option<&Planes>, mut each: impl FnMut(bool, &[usize], Option<usize>)) {
        decisions(planes, held, |decision: &Decision| {
            let mut weights = [0; 8];
            for (at, index) in weights.iter_mut().zip(decision.weights()) {
                *at = usize::from(*index);
            }
            each(decision.bit, &weights[..decision.weights().len()], decision.adaptive.map(usize::from));
        });
    }
}

/// The same model where memory costs nothing: every table sees about twice as many pixels, weights are not rounded,
/// and as many adapt as there are situations. Only to tell what the limits cost.
#[derive(Debug)]
pub struct Unlimited;

/// Pixels of the coded plane in the tables without limits, 24 each: those of the coder and those around them.
const WIDE: [&[Run]; 3] = [
    &[run(0, -5, 0), run(1, -5, 5), run(2, -2, 2), run(3, -3, -1), run(4, 1, 4)],
    &[run(0, -9, 0), run(1, -2, 3), run(2, -1, 2), run(3, -1, 2), run(4, -5, -3), run(5, -1, 1)],
    &[run(0, -2, 0), run(1, -2, 3), run(2, -2, 4), run(3, -1, 3), run(4, -1, 2), run(5, 0, 3), run(6, 0, 1)],
];

/// Pixels of the coded plane that stand with those of a known one: eleven.
const BESIDE: &[Run] = &[run(0, -2, 0), run(1, -2, 3), run(2, -2, 2)];

/// Pixels of a known plane: thirteen around the one in question.
const AROUND: &[Run] = &[run(2, 0, 1), run(1, -1, 2), run(0, -2, 3), run(-1, -1, 2), run(-2, 0, 1)];

const fn run(up: i8, from: i8, to: i8) -> Run {
    Run { up, from, to }
}

/// Bits of each table without limits.
const WIDE_BITS: u32 = 24;

impl Features for Unlimited {
    const WEIGHTS: usize = 5 << WIDE_BITS | 512;
    const ADAPTIVE: usize = 2 << 18;

    fn decisions(planes: &Planes, held: Option<&Planes>, mut each: impl FnMut(bool, &[usize], Option<usize>)) {
        let own = unpacked(planes);
        let known = held.map(unpacked);
        decisions(planes, held, |decision: &Decision| {
            let Subject::Pixel(plane, x, y) = decision.subject else {
                return each(decision.bit, &[surprise(decision)], None);
            };
            let table = |number: usize, index: usize| number << WIDE_BITS | index;
            let wide = WIDE.map(|runs| own[plane].append(0, runs, x, y));
            let beside = own[plane].append(0, BESIDE, x, y);
            let mut weights = [table(0, wide[0]), table(1, wide[1]), table(2, wide[2]), 0, 0];
            let mut count = 3;
            if plane == 1 {
                weights[count] = table(3, own[0].append(beside, AROUND, x, y));
                count += 1;
            }
            if let Some(known) = &known {
                weights[count] = table(4, known[plane].append(beside, AROUND, x, y));
                count += 1;
            }
            each(decision.bit, &weights[..count], Some(plane << 18 | wide[0] >> 6));
        });
    }
}

/// A surprise has one weight, behind the tables.
fn surprise(decision: &Decision) -> usize {
    5 << WIDE_BITS | (usize::from(decision.weights()[0]) - SURPRISE_START)
}

/// A plane with a byte per pixel.
struct Unpacked {
    pixels: Vec<u8>,
    width: usize,
}

impl Unpacked {
    /// Appends the pixels of `runs` around a pixel to an index; outside the panel all is white.
    fn append(&self, index: usize, runs: &[Run], x: usize, y: usize) -> usize {
        let places = runs.iter().flat_map(|run| (run.from..run.to).map(|right| (isize::from(right), run.up)));
        places.fold(index, |index, (right, up)| {
            let x = x.checked_add_signed(right).filter(|x| *x < self.width);
            let y = y.checked_add_signed(-isize::from(up));
            let at = x.zip(y).map(|(x, y)| y * self.width + x);
            index << 1 | usize::from(at.and_then(|at| self.pixels.get(at)).copied().unwrap_or(0))
        })
    }
}

fn unpacked(planes: &Planes) -> Vec<Unpacked> {
    let panel = planes.panel();
    let unpack = |plane: &[u8]| {
        let rows = plane.chunks_exact(panel.row_bytes());
        let row =
            |row: &[u8]| (0..usize::from(panel.width())).map(|x| row[x / 8] >> (7 - x % 8) & 1).collect::<Vec<_>>();
        Unpacked { pixels: rows.flat_map(row).collect(), width: panel.width().into() }
    };
    planes.bytes().chunks_exact(panel.plane_bytes()).map(unpack).collect()
}

/// Weights on their way to being learnt.
#[derive(Debug)]
pub struct Learner<F> {
    weights: Vec<f32>,
    /// Sum of the squares of each weight's gradients: a weight slows down as it settles (Adagrad).
    squares: Vec<f32>,
    adaptive: Vec<f32>,
    features: std::marker::PhantomData<F>,
}

impl<F: Features> Default for Learner<F> {
    fn default() -> Self {
        Self {
            weights: vec![0.0; F::WEIGHTS],
            squares: vec![1e-3; F::WEIGHTS],
            adaptive: vec![0.0; F::ADAPTIVE],
            features: std::marker::PhantomData,
        }
    }
}

impl<F: Features> Learner<F> {
    /// Learns from labels, whole and as deltas, in a few passes.
    pub fn learn(&mut self, labels: &[Label]) {
        for rate in RATES {
            for label in labels {
                self.pass(&label.after, None, rate);
                self.pass(&label.after, Some(&label.before), rate * DELTA_SHARE);
            }
        }
    }

    /// Bytes that a picture takes with what was learnt; less than a byte short of what a coder makes of it.
    pub fn bytes(&mut self, planes: &Planes, held: Option<&Planes>) -> f32 {
        self.pass(planes, held, 0.0) / 8.0
    }

    /// The weights in steps, as the coder takes them.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a float becomes an integer of its range")]
    pub fn steps(&self) -> Vec<i8> {
        #[expect(clippy::cast_precision_loss, reason = "16")]
        let steps = STEPS as f32;
        self.weights.iter().map(|weight| (weight * steps).round() as i8).collect()
    }

    /// Goes once through a picture, and answers the bits that its decisions take.
    fn pass(&mut self, planes: &Planes, held: Option<&Planes>, rate: f32) -> f32 {
        let Self { weights, squares, adaptive, .. } = self;
        adaptive.fill(0.0);
        let pace = (1.0 / f32::from(1_u16 << ADAPTIVE_SHIFT)) * 65_536.0 / 4_096.0;
        let mut bits = 0.0;
        F::decisions(planes, held, |bit, indexes, own| {
            let sum: f32 = indexes.iter().map(|index| weights[*index]).sum();
            let sum = sum + own.map_or(0.0, |own| adaptive[own]);
            let ones = 1.0 / (1.0 + (-sum.clamp(-11.0, 11.0)).exp());
            let error = if bit { 1.0 - ones } else { -ones };
            bits -= (1.0 - error.abs()).log2();
            if let Some(own) = own {
                adaptive[own] += pace * error;
            }
            if rate > 0.0 {
                for index in indexes {
                    squares[*index] += error * error;
                    let moved = weights[*index] + rate * error / squares[*index].sqrt();
                    weights[*index] = moved.clamp(-7.9, 7.9);
                }
            }
        });
        bits
    }
}
