//! Learns the compact coder's weights: logistic regression, one weight of each table per decision.

use gondola_drivers::encode::compact::{Decision, Subject, decisions};
use gondola_protocol::Planes;
use gondola_protocol::compact::{ADAPTIVE_SHIFT, ADAPTIVE_WEIGHTS, STEPS, WEIGHTS};

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
        decisions(planes, held, |decision| {
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

/// Pixels of the coded plane in the tables without limits: near, far and slope.
const WIDE: [&[(i32, i32)]; 3] = [
    &[
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (0, 5),
        (1, -4),
        (1, -3),
        (1, -2),
        (1, -1),
        (1, 0),
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
        (2, -3),
        (2, -2),
        (2, -1),
        (2, 0),
        (2, 1),
        (2, 2),
        (2, 3),
        (3, -1),
        (3, 0),
        (3, 1),
    ],
    &[
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (0, 5),
        (0, 6),
        (0, 7),
        (0, 8),
        (1, -1),
        (1, 0),
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
        (1, 5),
        (1, 6),
        (2, 0),
        (2, 1),
        (2, 2),
        (4, -1),
        (4, 0),
        (4, 1),
        (6, 0),
        (8, 0),
    ],
    &[
        (0, 1),
        (1, -2),
        (1, -1),
        (1, 0),
        (1, 1),
        (1, 2),
        (2, -2),
        (2, -1),
        (2, 0),
        (2, 1),
        (2, 2),
        (3, -2),
        (3, -1),
        (3, 0),
        (3, 1),
        (3, 2),
        (4, -1),
        (4, 0),
        (4, 1),
        (5, -1),
        (5, 0),
        (5, 1),
        (6, 0),
        (7, 0),
    ],
];

/// Pixels around the one in question of a plane that is known whole.
const AROUND: [(i32, i32); 13] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 2), (0, -2), (2, 0), (-2, 0)];

/// Bits of each table without limits.
const WIDE_BITS: u32 = 24;

impl Features for Unlimited {
    const WEIGHTS: usize = 5 << WIDE_BITS | 512;
    const ADAPTIVE: usize = 2 << 18;

    fn decisions(planes: &Planes, held: Option<&Planes>, mut each: impl FnMut(bool, &[usize], Option<usize>)) {
        let own = unpacked(planes);
        let known = held.map(unpacked);
        decisions(planes, held, |decision| {
            let Subject::Pixel(plane, x, y) = decision.subject else {
                return each(decision.bit, &[surprise(decision)], None);
            };
            let (x, y) = (i32::try_from(x).unwrap_or(0), i32::try_from(y).unwrap_or(0));
            let gather = |from: &Unpacked, places: &[(i32, i32)]| {
                places.iter().fold(0, |index, (up, left)| index << 1 | from.at(x - left, y - up))
            };
            let table = |number: usize, index: usize| number << WIDE_BITS | index;
            let near = gather(&own[plane], WIDE[0]);
            let mut weights = [0; 5];
            let mut count = 0;
            let mut add = |index| {
                weights[count] = index;
                count += 1;
            };
            add(table(0, near));
            add(table(1, gather(&own[plane], WIDE[1])));
            add(table(2, gather(&own[plane], WIDE[2])));
            let beside = gather(&own[plane], &WIDE[2][..11]);
            if plane == 1 {
                add(table(3, gather(&own[0], &AROUND) << 11 | beside));
            }
            if let Some(known) = &known {
                add(table(4, gather(&known[plane], &AROUND) << 11 | beside));
            }
            each(decision.bit, &weights[..count], Some(plane << 18 | near >> 6));
        });
    }
}

/// A surprise has one weight, behind the tables.
fn surprise(decision: &Decision) -> usize {
    5 << WIDE_BITS | (usize::from(decision.weights()[0]) - gondola_protocol::compact::SURPRISE_START)
}

/// A plane with a byte per pixel.
struct Unpacked {
    pixels: Vec<u8>,
    width: i32,
}

impl Unpacked {
    fn at(&self, x: i32, y: i32) -> usize {
        if x < 0 || x >= self.width || y < 0 {
            return 0;
        }
        let at = usize::try_from(y * self.width + x).unwrap_or(usize::MAX);
        self.pixels.get(at).copied().unwrap_or(0).into()
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
