//! COBS frames with CRC-32C over a byte stream.
//!
//! On the stream a frame is `COBS(payload ‖ crc) ‖ 0x00`, where `crc` is the CRC-32C (Castagnoli) of the
//! payload, little-endian. COBS removes every zero from the frame, so a zero always ends one and a
//! receiver that lost its place finds it again at the next zero. See S. Cheshire and M. Baker,
//! "Consistent Overhead Byte Stuffing", 1999.

use bytes::Bytes;
use crc::{CRC_32_ISCSI, Crc};

/// Largest payload of a frame.
///
/// An 800 × 480 picture in two planes is 96,000 bytes raw; this holds it with its headers, and it is
/// what a receiver must be ready to buffer unless its hello asks for less.
pub const PAYLOAD_MAX: usize = 96 * 1024;

/// Largest encoded frame without its closing zero: payload, CRC, one code byte per 254 bytes.
const ENCODED_MAX: usize = PAYLOAD_MAX + 4 + (PAYLOAD_MAX + 4) / 254 + 1;

/// CRC-32C, also known as CRC-32/ISCSI.
const CRC: Crc<u32, crc::Table<16>> = Crc::<u32, crc::Table<16>>::new(&CRC_32_ISCSI);

/// A piece of the stream between two zeros that is no frame. It is dropped; the sender repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The checksum does not fit the payload: bits were flipped or bytes were lost.
    #[error("frame of {length} bytes dropped: its CRC-32C is {found:08x}, its payload gives {computed:08x}")]
    Checksum {
        /// Bytes of the payload.
        length: usize,
        /// The checksum that the frame carries.
        found: u32,
        /// The checksum of what arrived.
        computed: u32,
    },
    /// A COBS code points beyond the end.
    #[error("frame of {length} bytes dropped: it ends inside a COBS block")]
    Cut {
        /// Encoded bytes that arrived.
        length: usize,
    },
    /// Too short to hold a checksum.
    #[error("frame of {length} bytes dropped: it is too short to hold a checksum")]
    Short {
        /// Decoded bytes that arrived.
        length: usize,
    },
    /// No zero within the longest frame: noise, or another protocol.
    #[error("{length} bytes without a frame's end dropped: is this a shelflink station?")]
    Endless {
        /// Bytes dropped so far.
        length: usize,
    },
}

/// Appends the frame of `payload`, closing zero included, to `out`.
///
/// # Panics
/// A payload above [`PAYLOAD_MAX`]: who makes messages keeps them below.
pub fn encode(payload: &[u8], out: &mut Vec<u8>) {
    assert!(payload.len() <= PAYLOAD_MAX, "a frame's payload of {} bytes", payload.len());
    let crc = CRC.checksum(payload).to_le_bytes();
    out.reserve(payload.len() + payload.len() / 254 + 6);
    let mut code_at = out.len();
    out.push(1);
    for &byte in payload.iter().chain(&crc) {
        if byte != 0 {
            out.push(byte);
            out[code_at] += 1;
        }
        if byte == 0 || out[code_at] == 0xFF {
            code_at = out.len();
            out.push(1);
        }
    }
    out.push(0);
}

/// Finds the frames in a byte stream.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    /// Encoded bytes since the last zero, at most [`ENCODED_MAX`].
    partial: Vec<u8>,
    /// Bytes dropped since the frame in progress grew too long.
    endless: usize,
}

impl FrameDecoder {
    /// Reads `bytes` and hands each payload, or the reason why a piece is none, to `found`.
    pub fn read(&mut self, bytes: &[u8], mut found: impl FnMut(Result<Bytes, FrameError>)) {
        for piece in bytes.split_inclusive(|byte| *byte == 0) {
            let (ended, piece) = match piece.split_last() {
                Some((0, rest)) => (true, rest),
                _ => (false, piece),
            };
            if self.endless > 0 || self.partial.len() + piece.len() > ENCODED_MAX {
                self.endless += self.partial.len() + piece.len();
                self.partial.clear();
            } else {
                self.partial.extend_from_slice(piece);
            }
            if !ended {
                continue;
            }
            if self.endless > 0 {
                found(Err(FrameError::Endless { length: self.endless }));
                self.endless = 0;
            } else if !self.partial.is_empty() {
                found(decode(&self.partial));
                self.partial.clear();
            }
        }
    }
}

/// Decodes what stood between two zeros.
fn decode(encoded: &[u8]) -> Result<Bytes, FrameError> {
    let mut payload = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&code, after)) = rest.split_first() {
        let length = usize::from(code) - 1;
        if after.len() < length {
            return Err(FrameError::Cut { length: encoded.len() });
        }
        payload.extend_from_slice(&after[..length]);
        rest = &after[length..];
        if code != 0xFF && !rest.is_empty() {
            payload.push(0);
        }
    }
    let Some((body, crc)) = payload.split_last_chunk::<4>() else {
        return Err(FrameError::Short { length: payload.len() });
    };
    let (found, computed, length) = (u32::from_le_bytes(*crc), CRC.checksum(body), body.len());
    if found != computed {
        return Err(FrameError::Checksum { length, found, computed });
    }
    payload.truncate(length);
    Ok(payload.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(stream: &[u8]) -> Vec<Result<Bytes, FrameError>> {
        let mut all = Vec::new();
        FrameDecoder::default().read(stream, |frame| all.push(frame));
        all
    }

    fn encoded(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(payload, &mut out);
        out
    }

    /// Pinned: firmware in shops reads the same. Do not change.
    #[test]
    fn frame_bytes_are_pinned() {
        assert_eq!(encoded(b"123456789"), b"\x0e123456789\x83\x92\x06\xe3\x00");
        assert_eq!(encoded(&[0, 1, 0]), [1, 2, 1, 5, 13, 59, 198, 115, 0]);
    }

    #[test]
    fn a_stream_that_never_ends_a_frame_costs_bounded_memory() {
        let mut decoder = FrameDecoder::default();
        let mut found = Vec::new();
        for _ in 0..2048 {
            decoder.read(&[0x55; 1024], |frame| found.push(frame));
        }
        assert!(decoder.partial.capacity() <= 4 * ENCODED_MAX);
        decoder.read(&[0], |frame| found.push(frame));
        assert_eq!(found, [Err(FrameError::Endless { length: 2048 * 1024 })]);
        decoder.read(&encoded(b"good"), |frame| found.push(frame));
        assert_eq!(found[1], Ok(Bytes::from_static(b"good")));
    }

    proptest! {
        #[test]
        fn what_was_framed_is_found(
            payloads in prop::collection::vec(prop::collection::vec(prop::num::u8::ANY, 0..600), 0..5),
            cut in 1_usize..50,
        ) {
            let stream: Vec<u8> = payloads.iter().flat_map(|payload| encoded(payload)).collect();
            let mut decoder = FrameDecoder::default();
            let mut found = Vec::new();
            for piece in stream.chunks(cut) {
                decoder.read(piece, |frame| found.push(frame.unwrap().to_vec()));
            }
            prop_assert_eq!(found, payloads);
        }

        #[test]
        fn a_flipped_bit_is_never_a_frame(
            payload in prop::collection::vec(prop::num::u8::ANY, 1..300), at in prop::num::usize::ANY, bit in 0_u8..8,
        ) {
            let mut stream = encoded(&payload);
            let at = at % (stream.len() - 1);
            stream[at] ^= 1 << bit;
            stream.extend(encoded(b"next"));
            let good: Vec<Bytes> = frames(&stream).into_iter().flatten().collect();
            prop_assert_eq!(good, vec![Bytes::from_static(b"next")]);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(prop::num::u8::ANY, 0..2000)) {
            frames(&noise);
        }
    }
}
