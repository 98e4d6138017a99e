//! The label's decoders: from the bytes of a transfer to planes.

mod compact;
mod inflate;
mod memory;

use gondola_protocol::Planes;
use gondola_protocol::message::Encoding;
use gondola_protocol::planes::PlanesError;

pub use compact::CompactError;
pub use inflate::{InflateError, WINDOW_BYTES, inflate, inflate_beginning};
pub(crate) use memory::DecodeMemory;

/// Bytes that are no picture of the label's panel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Raw bytes that are more or fewer than the panel's.
    #[error("{0} bytes are not as many as the panel's planes have")]
    Length(usize),
    /// The packed bytes are no deflate stream that a label can read.
    #[error("the packed picture cannot be unpacked")]
    Inflate(#[from] InflateError),
    /// The packed bytes are no compact picture, or change one that the label does not show.
    #[error("the packed picture cannot be expanded")]
    Compact(#[from] CompactError),
    /// What was unpacked is not the panel's planes.
    #[error("the picture does not fit the panel")]
    Planes(#[from] PlanesError),
}

/// Decodes a picture for the panel of `held`, the picture that the label shows.
///
/// Beside the two pictures it takes a 4-KiB window, or for the compact encodings 8 KiB of weights and a dozen of the
/// panel's rows.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(encoding: Encoding, packed: &[u8], held: &Planes) -> Result<Planes, DecodeError> {
    let panel = held.panel();
    let bytes = match encoding {
        Encoding::Raw if packed.len() == panel.picture_bytes() => packed.to_vec(),
        Encoding::Raw => return Err(DecodeError::Length(packed.len())),
        Encoding::Deflate => inflate(packed, panel.picture_bytes())?,
        Encoding::Compact => compact::expand(packed, panel)?,
        Encoding::Delta => compact::change(packed, held)?,
    };
    Ok(Planes::new(panel, bytes)?)
}
