//! The compact encodings: decisions predicted by a trained model, packed by a range coder.

mod decisions;
mod range;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use gondola_protocol::Planes;
use gondola_protocol::compact::{ADAPTIVE_PLACES, ADAPTIVE_SHIFT, ADAPTIVE_WEIGHTS, BASE_BYTES, probability, weight};

pub use decisions::{Decision, Subject, decisions};
use decisions::{Listener, Pixels};
use range::{Out, RangeEncoder};

/// Packs a whole picture.
#[must_use]
pub fn compact(planes: &Planes) -> Bytes {
    pack(planes, None, usize::MAX).into()
}

/// The same if it comes to at most so many bytes; none otherwise, which is known as soon as there are more.
#[must_use]
pub fn compact_within(planes: &Planes, bytes_max: usize) -> Option<Bytes> {
    let packed = pack(planes, None, bytes_max);
    (packed.len() <= bytes_max).then(|| packed.into())
}

/// Packs what is different from a picture that the label holds; none when that is for another panel.
#[must_use]
pub fn delta(planes: &Planes, held: &Planes) -> Option<Bytes> {
    if planes.panel() != held.panel() {
        return None;
    }
    let mut packed = held.digest().0[..BASE_BYTES].to_vec();
    packed.extend(pack(planes, Some(held), usize::MAX));
    Some(packed.into())
}

/// Packs decisions. More than `bytes_max` bytes are too many: what comes then does not matter.
fn pack(planes: &Planes, held: Option<&Planes>, bytes_max: usize) -> Vec<u8> {
    let (mut adaptive, mut out) = ([0; ADAPTIVE_WEIGHTS], Out::default());
    let packer = Packer { adaptive: &mut adaptive, encoder: RangeEncoder::new(&mut out), bytes_max };
    decisions::tell(planes, held, packer).encoder.finish()
}

/// Turns decisions into bytes.
struct Packer<'a> {
    adaptive: &'a mut [i16; ADAPTIVE_WEIGHTS],
    encoder: RangeEncoder<'a>,
    bytes_max: usize,
}

impl Listener for Packer<'_> {
    #[inline(always)]
    fn hear_surprise(&mut self, decision: &Decision) {
        let trained = decision.weights().iter().map(|index| weight(*index)).sum();
        self.encoder.push(probability(trained), decision.bit);
    }

    #[inline(always)]
    fn hear_pixels(&mut self, pixels: &Pixels) {
        let mut trained = [0; 8];
        for lanes in pixels.weights() {
            trained.iter_mut().zip(lanes).for_each(|(sum, index)| *sum += weight(*index));
        }
        for (x, trained) in trained.into_iter().enumerate().take(pixels.count) {
            let (bit, own) = (pixels.bit(x), &mut self.adaptive[usize::from(pixels.adaptive[x]) % ADAPTIVE_WEIGHTS]);
            let sum = (trained << ADAPTIVE_PLACES) + i32::from(*own);
            let half = 1 << (ADAPTIVE_PLACES - 1);
            let ones = probability((sum + half) >> ADAPTIVE_PLACES);
            self.encoder.push(ones, bit);
            *own = if bit {
                own.saturating_add_unsigned(step(65_536 - ones))
            } else {
                own.saturating_sub_unsigned(step(ones))
            };
        }
    }

    fn has_enough(&self) -> bool {
        self.encoder.is_longer_than(self.bytes_max)
    }
}

/// How far a weight moves for an error.
#[inline]
fn step(error: u32) -> u16 {
    u16::try_from(error >> ADAPTIVE_SHIFT).unwrap_or(u16::MAX)
}
