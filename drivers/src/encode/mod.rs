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

/// Packs `planes` in the smallest of the encodings whose bits `encodings` has (see [`Encoding::bit`]); between
/// two of one size the lower code wins, so a tie goes to raw. `held` is what the label is proven to show: without
/// it there is no delta.
///
/// None when it has no bit of an encoding that this version knows and can use.
#[must_use]
pub fn pack(planes: &Planes, encodings: u8, held: Option<&Planes>) -> Option<Packed> {
    let allowed = Encoding::ALL.into_iter().filter(|encoding| encodings & encoding.bit() != 0);
    let packed = allowed.filter_map(|encoding| {
        let data = match encoding {
            Encoding::Raw => planes.bytes().clone(),
            Encoding::Deflate => deflate::deflate(planes.bytes()),
            Encoding::Compact => compact::compact(planes),
            Encoding::Delta => compact::delta(planes, held?)?,
        };
        Some(Packed { encoding, data })
    });
    packed.min_by_key(|packed| packed.data.len())
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
    fn a_tie_goes_to_raw() {
        // Six bytes that deflate packs into six.
        let panel = "bw-8x6".parse().unwrap();
        let tie = Planes::new(panel, vec![1, 1, 1, 1, 1, 2]).unwrap();
        assert_eq!(deflate::deflate(tie.bytes()).len(), 6);
        check(&tie, BOTH, Some(Encoding::Raw));
    }
}
