//! The compact encodings: decisions predicted by a trained model, packed by a range coder.

mod decisions;
mod range;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use gondola_protocol::Planes;
use gondola_protocol::compact::{ADAPTIVE_PLACES, ADAPTIVE_SHIFT, ADAPTIVE_WEIGHTS, BASE_BYTES, probability, weight};

pub use decisions::{Decision, Listener, Subject, decisions};
use range::RangeEncoder;

/// Packs a whole picture.
#[must_use]
pub fn compact(planes: &Planes) -> Bytes {
    Packer::new(usize::MAX).pack(planes, None).finish().into()
}

/// The same if it comes to at most so many bytes; none otherwise, which is known as soon as there are more.
#[must_use]
pub fn compact_within(planes: &Planes, bytes_max: usize) -> Option<Bytes> {
    let packed = Packer::new(bytes_max).pack(planes, None).finish();
    (packed.len() <= bytes_max).then(|| packed.into())
}

/// Packs what is different from a picture that the label holds; none when that is for another panel.
#[must_use]
pub fn delta(planes: &Planes, held: &Planes) -> Option<Bytes> {
    if planes.panel() != held.panel() {
        return None;
    }
    let mut packed = held.digest().0[..BASE_BYTES].to_vec();
    packed.extend(Packer::new(usize::MAX).pack(planes, Some(held)).finish());
    Some(packed.into())
}

/// Turns decisions into bytes.
struct Packer {
    adaptive: [i16; ADAPTIVE_WEIGHTS],
    encoder: RangeEncoder,
    /// More bytes than these are too many: what comes then does not matter.
    bytes_max: usize,
}

impl Packer {
    fn new(bytes_max: usize) -> Self {
        Self { adaptive: [0; ADAPTIVE_WEIGHTS], encoder: RangeEncoder::new(), bytes_max }
    }

    fn pack(mut self, planes: &Planes, held: Option<&Planes>) -> RangeEncoder {
        decisions::tell(planes, held, &mut self);
        self.encoder
    }
}

impl Listener for Packer {
    #[inline(always)]
    fn hear(&mut self, decision: &Decision) {
        let trained: i32 = decision.weights().iter().map(|index| weight(*index)).sum();
        match decision.adaptive {
            None => self.encoder.push(probability(trained), decision.bit),
            Some(index) => {
                let own = &mut self.adaptive[usize::from(index) % ADAPTIVE_WEIGHTS];
                let sum = (trained << ADAPTIVE_PLACES) + i32::from(*own);
                let half = 1 << (ADAPTIVE_PLACES - 1);
                let ones = probability((sum + half) >> ADAPTIVE_PLACES);
                self.encoder.push(ones, decision.bit);
                *own = if decision.bit {
                    own.saturating_add_unsigned(step(65_536 - ones))
                } else {
                    own.saturating_sub_unsigned(step(ones))
                };
            }
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
