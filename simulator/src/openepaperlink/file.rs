//! From the file that a label fetched to what its glass shows.

use gondola_protocol::{Colours, Planes};

use super::group5::{self, Group5Error};
use super::model::Model;
use crate::decode::{InflateError, inflate_beginning};

/// Kinds of files, as offers name them.
pub mod kind {
    /// One plane.
    pub const RAW_1: u8 = 0x20;
    /// Two planes.
    pub const RAW_2: u8 = 0x21;
    /// zlib.
    pub const ZLIB: u8 = 0x30;
    /// Group 5.
    pub const GROUP_5: u8 = 0x31;
}

/// The largest window that labels accept in a zlib stream's header: 8 KiB.
const WINDOW_BITS_MAX: u8 = 13;

/// Why a file is no picture of its label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Another length than its label's planes have.
    #[error("{found} bytes are not {expected}")]
    Length {
        /// Bytes that there should be.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// A kind of file that the label cannot read.
    #[error("files of kind {0:02X} are not known")]
    Kind(u8),
    /// A header that describes another panel.
    #[error("the header is not this panel's")]
    Header,
    /// A zlib stream that labels refuse.
    #[error("the zlib header {0:02X} {1:02X} is refused")]
    Zlib(u8, u8),
    /// Bits that cannot be unpacked.
    #[error("the file cannot be unpacked")]
    Inflate(#[from] InflateError),
    /// The same.
    #[error("the file cannot be unpacked")]
    Group5(#[from] Group5Error),
}

/// Reads a file of a kind.
///
/// # Errors
/// See [`FileError`].
pub fn read(model: Model, kind: u8, file: &[u8]) -> Result<Planes, FileError> {
    let plane = model.plane_bytes();
    match kind {
        kind::RAW_1 => upright(model, exactly(file, plane)?),
        kind::RAW_2 => upright(model, exactly(file, plane * 2)?),
        kind::ZLIB => {
            let (size, stream) = file.split_first_chunk::<4>().ok_or(FileError::Header)?;
            let [cmf, flags, deflated @ ..] = stream else { return Err(FileError::Header) };
            let is_sound = u16::from_be_bytes([*cmf, *flags]).is_multiple_of(31);
            if cmf & 0x0F != 8 || cmf >> 4 > WINDOW_BITS_MAX - 8 || flags & 0x20 != 0 || !is_sound {
                return Err(FileError::Zlib(*cmf, *flags));
            }
            let size = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
            let plain = inflate_beginning(deflated, size.min(6 + plane * 2))?;
            let planes = header(model, &plain)?;
            upright(model, exactly(&plain[6..], plane * planes)?)
        }
        kind::GROUP_5 => {
            let planes = header(model, file)?;
            let (width, height) = model.memory();
            let rows = group5::decode(&file[6..], width.into(), usize::from(height) * planes)?;
            upright(model, &rows)
        }
        other => Err(FileError::Kind(other)),
    }
}

fn exactly(file: &[u8], expected: usize) -> Result<&[u8], FileError> {
    if file.len() == expected { Ok(file) } else { Err(FileError::Length { expected, found: file.len() }) }
}

/// How many planes follow a header.
fn header(model: Model, file: &[u8]) -> Result<usize, FileError> {
    let [6, w0, w1, h0, h1, planes @ 1..=2, ..] = *file else { return Err(FileError::Header) };
    let size = (u16::from_le_bytes([w0, w1]), u16::from_le_bytes([h0, h1]));
    if size == model.memory() { Ok(planes.into()) } else { Err(FileError::Header) }
}

/// Turns the panel's memory upright. A plane that is missing is white.
fn upright(model: Model, memory: &[u8]) -> Result<Planes, FileError> {
    let panel = model.panel();
    let mut bytes = vec![0; panel.picture_bytes()];
    let row = usize::from(model.memory().0) / 8;
    let planes = memory.chunks_exact(model.plane_bytes()).zip(bytes.chunks_exact_mut(panel.plane_bytes()));
    for (memory, plane) in planes {
        for y in 0..usize::from(panel.height()) {
            for x in 0..usize::from(panel.width()) {
                let (at_x, at_y) = model.place(x, y);
                if memory[at_y * row + at_x / 8] & (0x80 >> (at_x % 8)) != 0 {
                    plane[y * panel.row_bytes() + x / 8] |= 0x80 >> (x % 8);
                }
            }
        }
    }
    if panel.colours() == Colours::Black && memory.len() > model.plane_bytes() {
        return Err(FileError::Length { expected: model.plane_bytes(), found: memory.len() });
    }
    Planes::new(panel, bytes).map_err(|_| FileError::Header)
}
