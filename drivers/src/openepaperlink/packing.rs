//! The work of packing one picture, which is done where nobody waits for an answer.

use gondola_protocol::{Digest, Planes};

use super::label_type::LabelType;
use super::payload::Forms;

/// A picture that is to be packed.
#[derive(Debug)]
pub struct Packing {
    planes: Planes,
    label_type: LabelType,
    firmware: u16,
}

/// A packed picture.
#[derive(Debug)]
pub struct Packed {
    pub(super) digest: Digest,
    /// None when the label's type has another panel.
    pub(super) forms: Option<Forms>,
}

impl Packing {
    pub(super) const fn new(planes: Planes, label_type: LabelType, firmware: u16) -> Self {
        Self { planes, label_type, firmware }
    }

    /// Packs it: some milliseconds for a large picture.
    #[must_use]
    pub fn run(self) -> Packed {
        let Self { planes, label_type, firmware } = self;
        Packed { digest: planes.digest(), forms: Forms::pack(&planes, &label_type, firmware) }
    }
}
