//! The compact encodings: decisions predicted by a trained model, packed by a range coder.

mod decisions;
mod range;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use gondola_protocol::Planes;
use gondola_protocol::compact::{ADAPTIVE_PLACES, ADAPTIVE_SHIFT, ADAPTIVE_WEIGHTS, BASE_BYTES, probability, weight};

pub use decisions::{Decision, Subject, decisions};
use range::RangeEncoder;

/// Packs a whole picture.
#[must_use]
pub fn compact(planes: &Planes) -> Bytes {
    pack(planes, None).into()
}

/// Packs what is different from a picture that the label holds; none when that is for another panel.
#[must_use]
pub fn delta(planes: &Planes, held: &Planes) -> Option<Bytes> {
    if planes.panel() != held.panel() {
        return None;
    }
    let mut packed = held.digest().0[..BASE_BYTES].to_vec();
    packed.extend(pack(planes, Some(held)));
    Some(packed.into())
}

fn pack(planes: &Planes, held: Option<&Planes>) -> Vec<u8> {
    let mut adaptive = [0_i16; ADAPTIVE_WEIGHTS];
    let mut encoder = RangeEncoder::new();
    decisions(planes, held, |decision| {
        let trained: i32 = decision.weights().iter().map(|index| weight(usize::from(*index))).sum();
        match decision.adaptive {
            None => encoder.push(probability(trained), decision.bit),
            Some(index) => {
                let own = &mut adaptive[usize::from(index)];
                let sum = (trained << ADAPTIVE_PLACES) + i32::from(*own);
                let half = 1 << (ADAPTIVE_PLACES - 1);
                let ones = probability((sum + half) >> ADAPTIVE_PLACES);
                encoder.push(ones, decision.bit);
                *own = if decision.bit {
                    own.saturating_add_unsigned(step(65_536 - ones))
                } else {
                    own.saturating_sub_unsigned(step(ones))
                };
            }
        }
    });
    encoder.finish()
}

/// How far a weight moves for an error.
#[inline]
fn step(error: u32) -> u16 {
    u16::try_from(error >> ADAPTIVE_SHIFT).unwrap_or(u16::MAX)
}
