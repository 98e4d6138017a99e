//! What labels of one shop have decoded lately: thousands that show the same get the same bytes, and each of them would
//! come to the same picture.

use std::collections::BTreeMap;

use gondola_protocol::message::Encoding;
use gondola_protocol::{Digest, Panel, Planes};

use super::decode;

/// Pictures that are remembered: 40 MB of common ones, most of which hang in the shop anyway.
const REMEMBERED_MAX: usize = 4_096;

/// All that a decoder is given: encoding and bytes, the panel, and for a delta what the label shows.
type Given = (u8, Vec<u8>, Panel, Option<Digest>);

/// Decodes, and remembers what came of it; of what cannot be decoded, that it cannot.
#[derive(Debug, Default)]
pub(crate) struct DecodeMemory(BTreeMap<Given, Option<Planes>>);

impl DecodeMemory {
    /// A picture for the label that shows `held`; none where the bytes are no picture.
    pub(crate) fn decode(&mut self, encoding: Encoding, packed: Vec<u8>, held: &Planes) -> Option<Planes> {
        let base = (encoding == Encoding::Delta).then(|| held.digest());
        let given = (encoding as u8, packed, held.panel(), base);
        if let Some(known) = self.0.get(&given) {
            return known.clone();
        }
        let decoded = decode(encoding, &given.1, held).ok();
        if self.0.len() >= REMEMBERED_MAX {
            self.0.clear();
        }
        self.0.insert(given, decoded.clone());
        decoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_would_be_decoded_anew() {
        let panel: Panel = "bw-16x2".parse().unwrap();
        let [a, b] = [[1, 2, 3, 4], [5, 6, 7, 8]].map(|bytes| Planes::new(panel, bytes.to_vec()).unwrap());
        let wide = Planes::white("bw-32x1".parse().unwrap());
        let mut memory = DecodeMemory::default();
        for held in [&a, &b, &wide, &a] {
            for encoding in Encoding::ALL {
                // A delta of a that changes nothing, four bytes for a panel, and bytes for nobody.
                for packed in [a.digest().0[..4].to_vec(), vec![9, 9, 9, 9], vec![255; 5], Vec::new()] {
                    let expected = decode(encoding, &packed, held).ok();
                    for _ in 0..2 {
                        let found = memory.decode(encoding, packed.clone(), held);
                        assert_eq!(found, expected, "{encoding:?} {packed:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let white = Planes::white("bw-16x2".parse().unwrap());
        let mut memory = DecodeMemory::default();
        for number in 0..=REMEMBERED_MAX as u64 {
            assert_eq!(memory.decode(Encoding::Raw, number.to_le_bytes().to_vec(), &white), None);
        }
        assert_eq!(memory.0.len(), 1);
    }
}
