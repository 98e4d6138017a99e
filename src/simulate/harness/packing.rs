//! Pictures packed for the wire, as a store's render threads pack them: those that many labels get are packed once.

use std::collections::BTreeMap;

use gondola_drivers::encode::{self, Packed};
use gondola_drivers::head::Picture;
use gondola_protocol::Digest;

/// Packed pictures that are kept: 2 MB of common ones.
const PACKED_MAX: usize = 4_096;

/// Packed pictures by what is packed, what it is a change of, and the encodings that may be used.
#[derive(Debug, Default)]
pub(super) struct Packing(BTreeMap<(Digest, Option<Digest>, u8), Option<Packed>>);

impl Packing {
    /// The picture with its packed form, for whoever takes these encodings.
    pub(super) fn pack(&mut self, picture: Picture, encodings: u8) -> Picture {
        let encodings = encodings & picture.encodings;
        let (planes, held) = (&picture.planes, picture.held.as_ref());
        let key = (planes.digest(), held.map(|held| held.digest()), encodings);
        if self.0.len() >= PACKED_MAX && !self.0.contains_key(&key) {
            self.0.clear();
        }
        let packed = self.0.entry(key).or_insert_with(|| encode::pack(planes, encodings, held));
        Picture { packed: packed.clone().map(Box::new), ..picture }
    }
}
