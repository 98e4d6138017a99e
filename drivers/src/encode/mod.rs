//! Packs a picture's planes for the radio: the smallest form that a station passes on.
//!
//! Only a controller encodes; decoders belong to the label's side and are not here.

use bytes::Bytes;
use gondola_protocol::Planes;
use gondola_protocol::message::Encoding;

pub mod compact;
pub mod deflate;

/// A picture as a transfer carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// How `data` is packed.
    pub encoding: Encoding,
    /// The packed planes.
    pub data: Bytes,
}

/// Where at most this share of the raw planes is different, a delta is not compared with other encodings: that costs 2 bytes
/// in 1,000 over a simulated day, and a whole picture takes twice the time to pack.
const DIFFERENT_SHARE: usize = 4;

/// A compact encoding of at most this share of the raw planes is not compared with deflate, which is then longer: of
/// a drawn label by half at least, as the benchmark of encodings tells. What comes to more is a photo or noise.
const COMPACT_SHARE: usize = 2;

/// Packs `planes` in the smallest of the encodings whose bits `encodings` has (see [`Encoding::bit`]); between
/// two of one size the lower code wins, so a tie goes to raw. `held` is what the label is proven to show: without
/// it there is no delta, and with it a delta wins at once where little is different.
///
/// None when it has no bit of an encoding that this version knows and can use.
#[must_use]
pub fn pack(planes: &Planes, encodings: u8, held: Option<&Planes>) -> Option<Packed> {
    let is_allowed = |encoding: Encoding| encodings & encoding.bit() != 0;
    let raw = planes.bytes().len();
    let held = held.filter(|_| is_allowed(Encoding::Delta));
    let delta = held.and_then(|held| compact::delta(planes, held));
    let delta = delta.map(|data| Packed { encoding: Encoding::Delta, data });
    if delta.is_some() && held.is_some_and(|held| different_bytes(planes, held) <= raw / DIFFERENT_SHARE) {
        return delta;
    }
    let bytes_max = delta.as_ref().map_or(usize::MAX, |delta| delta.data.len());
    let whole = is_allowed(Encoding::Compact).then(|| compact::compact_within(planes, bytes_max)).flatten();
    let whole = whole.map(|data| Packed { encoding: Encoding::Compact, data });
    let best = whole.or(delta);
    if best.as_ref().is_some_and(|best| best.data.len() <= raw / COMPACT_SHARE) {
        return best;
    }
    let pack_raw = || Packed { encoding: Encoding::Raw, data: planes.bytes().clone() };
    let deflate = || Packed { encoding: Encoding::Deflate, data: deflate::deflate(planes.bytes()) };
    let simple = [is_allowed(Encoding::Raw).then(pack_raw), is_allowed(Encoding::Deflate).then(deflate)];
    simple.into_iter().flatten().chain(best).min_by_key(|packed| packed.data.len())
}

fn different_bytes(planes: &Planes, held: &Planes) -> usize {
    planes.bytes().iter().zip(held.bytes()).filter(|(new, old)| new != old).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: u8 = Encoding::Raw.bit() | Encoding::Deflate.bit();

    #[track_caller]
    fn check(planes: &Planes, encodings: u8, expected: Option<Encoding>) {
        assert_eq!(pack(planes, encodings, None).map(|packed| packed.encoding), expected);
    }

    #[test]
    fn the_smallest_allowed_encoding_wins() {
        let white = Planes::white("bwr-296x128".parse().unwrap());
        check(&white, BOTH, Some(Encoding::Deflate));
        check(&white, Encoding::Raw.bit(), Some(Encoding::Raw));
        check(&white, Encoding::Deflate.bit() | 0x80, Some(Encoding::Deflate));
        check(&white, 0x80, None);
        let dot = Planes::new("bw-8x1".parse().unwrap(), vec![0x80]).unwrap();
        check(&dot, BOTH, Some(Encoding::Raw));
    }

    #[test]
    fn a_delta_needs_a_picture_that_the_label_holds_and_a_station_that_passes_it_on() {
        let all = Encoding::ALL.iter().fold(0, |bits, encoding| bits | encoding.bit());
        let panel = "bwr-296x128".parse().unwrap();
        let mut bytes = vec![0; 9_472];
        bytes[3_000..3_020].copy_from_slice(b"any shape will do it");
        let [white, shape] = [Planes::white(panel), Planes::new(panel, bytes).unwrap()];
        let chosen = |encodings, held| pack(&shape, encodings, held).map(|packed| packed.encoding);
        assert_eq!(chosen(all, Some(&shape)), Some(Encoding::Delta));
        assert_eq!(chosen(all, None), Some(Encoding::Compact));
        assert_eq!(chosen(all ^ Encoding::Delta.bit(), Some(&shape)), Some(Encoding::Compact));
        assert_eq!(chosen(Encoding::Delta.bit(), Some(&white)), Some(Encoding::Delta));
        assert_eq!(chosen(Encoding::Delta.bit(), None), None);
        // A delta that is worth little is compared with the others.
        let noise =
            |seed: usize| (0..9_472).map(|at| u8::try_from(at * at % 251 * seed % 256).unwrap()).collect::<Vec<_>>();
        let [noise, other] = [7, 9].map(|seed| Planes::new(panel, noise(seed)).unwrap());
        assert_eq!(pack(&noise, all, Some(&other)).map(|packed| packed.encoding), Some(Encoding::Deflate));
    }

    #[test]
    fn a_tie_goes_to_raw() {
        // Six bytes that deflate packs into six.
        let panel = "bw-8x6".parse().unwrap();
        let tie = Planes::new(panel, vec![1, 1, 1, 1, 1, 2]).unwrap();
        assert_eq!(deflate::deflate(tie.bytes()).len(), 6);
        check(&tie, BOTH, Some(Encoding::Raw));
    }
}
