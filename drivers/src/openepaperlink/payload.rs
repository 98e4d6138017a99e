//! From a picture to the bytes that a label fetches: the smallest form that its type and firmware take.

use bytes::{BufMut, Bytes};
use flate2::{Compress, Compression, FlushCompress, Status};
use gondola_protocol::Planes;
use md5::{Digest as _, Md5};

use super::group5;
use super::label_type::{LabelType, Rotation};
use super::squeeze::squeeze;
use super::wire::{BLOCK_BYTES, DataKind, Version};
use crate::encode::deflate::WINDOW_BITS;

/// Bytes of the header before packed planes.
const HEADER_BYTES: u8 = 6;

/// Blocks are numbered in one byte.
pub const PAYLOAD_MAX: usize = 256 * BLOCK_BYTES;

/// What a label fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// How it is packed.
    pub kind: DataKind,
    /// All of it.
    pub bytes: Bytes,
    /// What identifies it to the label.
    pub version: Version,
}

/// Which of the payloads of one picture: a label that is offered a payload that it knows does not fetch it, and may not
/// draw it, so that there must be others of the same picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Variant(pub u8);

impl Variant {
    /// Another one than this.
    #[must_use]
    pub const fn other(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl Payload {
    fn new(kind: DataKind, bytes: Vec<u8>) -> Self {
        let version = Version(u64::from_le_bytes(first_half(&Md5::digest(&bytes).into())));
        Self { kind, bytes: bytes.into(), version }
    }

    /// How many blocks a label asks for.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.bytes.len().div_ceil(BLOCK_BYTES)
    }

    /// A block, if there is one of that number.
    #[must_use]
    pub fn block(&self, number: u8) -> Option<&[u8]> {
        self.bytes.chunks(BLOCK_BYTES).nth(usize::from(number))
    }
}

/// Packs a picture for a label of this type and firmware, as small as it goes; between two of one size the raw one.
///
/// None when the picture is for another panel, or larger than a label can ask for.
#[must_use]
pub fn pack(planes: &Planes, label_type: &LabelType, firmware: u16, variant: Variant) -> Option<Payload> {
    Forms::pack(planes, label_type, firmware)?.payload(variant)
}

/// A picture in the forms that its label can take: packing takes milliseconds, to make a variant's payload of it hardly
/// anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forms {
    /// None where the packed form is smaller whatever the variant.
    raw: Option<Native>,
    /// A file without what tells variants apart.
    packed: Option<(DataKind, Vec<u8>)>,
}

/// The most that [`marked`] adds.
const MARKS_MAX: usize = 2;

impl Forms {
    /// Packs a picture in every form that a label of this type and firmware takes; none when it is for another panel.
    #[must_use]
    pub fn pack(planes: &Planes, label_type: &LabelType, firmware: u16) -> Option<Self> {
        if planes.panel() != label_type.panel {
            return None;
        }
        let native = native(planes, label_type.rotation);
        let packed = if label_type.has_zlib(firmware) {
            Some((DataKind::Zlib, zlib(&native)))
        } else if label_type.has_group5(firmware) {
            group5_file(&native).map(|file| (DataKind::Group5, file))
        } else {
            None
        };
        let is_smaller = packed.as_ref().is_some_and(|(_, file)| file.len() + MARKS_MAX < native.planes.len());
        Some(Self { raw: (!is_smaller).then_some(native), packed })
    }

    /// The smallest payload of a variant; between two of one size the raw one. None when it is larger than a label can ask
    /// for.
    #[must_use]
    pub fn payload(&self, variant: Variant) -> Option<Payload> {
        let raw = self.raw.as_ref().and_then(|native| raw(native, variant));
        let packed = self.packed.as_ref().map(|(kind, file)| (*kind, marked(file.clone(), variant)));
        let (kind, bytes) = raw.into_iter().chain(packed).min_by_key(|(_, bytes)| bytes.len())?;
        (bytes.len() < PAYLOAD_MAX).then(|| Payload::new(kind, bytes))
    }
}

/// Planes in the order of the panel's own memory: rows of whole bytes. The second plane is missing if it is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    width: u16,
    height: u16,
    planes: Vec<u8>,
    count: u8,
    /// How many planes the panel has.
    count_max: u8,
}

/// Turns a picture into its panel's own memory.
///
/// # Panics
/// The panel's own rows are not whole bytes, which no label type has.
#[must_use]
pub fn native(picture: &Planes, rotation: Rotation) -> Native {
    let panel = picture.panel();
    let (width, height) = rotation.native(panel.width(), panel.height());
    assert!(width.is_multiple_of(8), "rows of {width} pixels");
    let count = panel.colours().plane_count();
    let has_colour = count > 1 && picture.bytes()[panel.plane_bytes()..].iter().any(|byte| *byte != 0);
    let (count_max, count) = (if count > 1 { 2 } else { 1 }, if has_colour { 2 } else { 1 });
    let mut planes = vec![0; usize::from(width / 8) * usize::from(height) * usize::from(count)];
    for (plane, out) in picture
        .bytes()
        .chunks_exact(panel.plane_bytes())
        .zip(planes.chunks_exact_mut(usize::from(width / 8) * usize::from(height)))
    {
        turn(plane, (panel.width(), panel.height()), rotation, out);
    }
    Native { width, height, planes, count, count_max }
}

/// One plane. Ink is moved bit by bit: most of a label is white.
fn turn(plane: &[u8], (width, height): (u16, u16), rotation: Rotation, out: &mut [u8]) {
    let [columns, rows] = [width, height].map(usize::from);
    let row_bytes = columns.div_ceil(8);
    let out_row_bytes = usize::from(rotation.native(width, height).0) / 8;
    for (at, byte) in plane.iter().enumerate().filter(|(_, byte)| **byte != 0) {
        let (left, y) = (at % row_bytes * 8, at / row_bytes);
        for x in (0..8).filter(|bit| byte & (0x80 >> bit) != 0).map(|bit| left + bit) {
            let (to_x, to_y) = match rotation {
                Rotation::None => (x, y),
                Rotation::Right => (y, columns - 1 - x),
                Rotation::Half => (columns - 1 - x, rows - 1 - y),
                Rotation::Left => (rows - 1 - y, x),
            };
            out[to_y * out_row_bytes + to_x / 8] |= 0x80 >> (to_x % 8);
        }
    }
}

impl Native {
    fn header(&self) -> [u8; HEADER_BYTES as usize] {
        let mut header = [0; HEADER_BYTES as usize];
        let mut out = &mut header[..];
        out.put_u8(HEADER_BYTES);
        out.put_u16_le(self.width);
        out.put_u16_le(self.height);
        out.put_u8(self.count);
        header
    }
}

/// The planes as they are. Another variant is one with an empty second plane; a picture with colour has none, and a panel
/// without colour neither.
fn raw(native: &Native, Variant(variant): Variant) -> Option<(DataKind, Vec<u8>)> {
    let mut bytes = native.planes.clone();
    let is_padded = native.count < native.count_max && variant % 2 == 1;
    if is_padded {
        bytes.resize(bytes.len() * 2, 0);
    }
    let kind = if native.count == 1 && !is_padded { DataKind::Raw1 } else { DataKind::Raw2 };
    (!is_trap(&bytes)).then_some((kind, bytes))
}

/// A size, and a zlib stream of header and planes with a window of 4 KiB. Labels read no further than the stream's end,
/// so that what follows tells variants apart and leads out of [traps](is_trap).
fn zlib(native: &Native) -> Vec<u8> {
    let plain = [&native.header()[..], &native.planes].concat();
    let size = u32::try_from(plain.len()).expect("two planes of the largest panel are below 4 GiB");
    let mut bytes = Vec::with_capacity(plain.len() + plain.len() / 8 + 128);
    bytes.put_u32_le(size);
    let mut compress = Compress::new_with_window_bits(Compression::best(), true, WINDOW_BITS);
    let status = compress.compress_vec(&plain, &mut bytes, FlushCompress::Finish);
    assert!(matches!(status, Ok(Status::StreamEnd)), "zlib packs {size} bytes within its bound");
    // Between the same two bytes before and four behind, what zlib has found in a hurry is as a rule larger.
    let body = ZLIB_HEAD..bytes.len() - ZLIB_SUM;
    let squeezed = squeeze(&plain);
    if squeezed.len() < body.len() {
        bytes.splice(body, squeezed);
    }
    bytes
}

/// Bytes before the deflated ones: the size, and zlib's own two.
const ZLIB_HEAD: usize = 4 + 2;

/// Bytes behind them: the checksum.
const ZLIB_SUM: usize = 4;

/// Header and planes, one below the other, as Group 5; none where it cannot be.
fn group5_file(native: &Native) -> Option<Vec<u8>> {
    let mut bytes = native.header().to_vec();
    bytes.extend(group5::encode(&native.planes, usize::from(native.width))?);
    Some(bytes)
}

/// Adds the byte that tells a variant from the first one, and one that leads out of a trap.
fn marked(mut bytes: Vec<u8>, Variant(variant): Variant) -> Vec<u8> {
    if variant != 0 {
        bytes.push(variant);
    }
    if is_trap(&bytes) {
        bytes.push(0);
    }
    bytes
}

/// A payload of whole blocks: some labels take its last block for an empty one, throw all of it away, and say that they
/// have it.
fn is_trap(bytes: &[u8]) -> bool {
    bytes.len().is_multiple_of(BLOCK_BYTES)
}

fn first_half(md5: &[u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *md5;
    [a, b, c, d, e, f, g, h]
}
