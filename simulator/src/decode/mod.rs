//! The label's decoders: from the bytes of a transfer to planes.

mod inflate;

use gondola_protocol::message::Encoding;
use gondola_protocol::planes::PlanesError;
use gondola_protocol::{Panel, Planes};

pub use inflate::{InflateError, WINDOW_BYTES, inflate};

/// Bytes that are no picture of the label's panel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The packed bytes are no deflate stream that a label can read.
    #[error("the packed picture cannot be unpacked")]
    Inflate(#[from] InflateError),
    /// What was unpacked is not the panel's planes.
    #[error("the picture does not fit the panel")]
    Planes(#[from] PlanesError),
}

/// Decodes a picture for `panel`, in no more memory than the panel's planes and a 4-KiB window.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(encoding: Encoding, packed: &[u8], panel: Panel) -> Result<Planes, DecodeError> {
    let bytes = match encoding {
        Encoding::Raw => packed.to_vec(),
        Encoding::Deflate => inflate(packed, panel.picture_bytes())?,
    };
    Ok(Planes::new(panel, bytes)?)
}
