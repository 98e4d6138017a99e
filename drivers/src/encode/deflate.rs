//! Raw deflate (RFC 1951) whose back-references reach at most 4 KiB, so that a label needs no more
//! memory than that to inflate it.

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

/// Base-2 logarithm of the window: 4 KiB, which a label's microcontroller can spare.
pub const WINDOW_BITS: u8 = 12;

/// Packs `bytes` as one raw deflate stream, without a zlib header.
///
/// The slowest level: a millisecond here saves seconds of radio and battery.
#[must_use]
pub fn deflate(bytes: &[u8]) -> Bytes {
    let mut compress = Compress::new_with_window_bits(Compression::best(), false, WINDOW_BITS);
    let mut packed = Vec::with_capacity(packed_max(bytes.len()));
    let status = compress
        .compress_vec(bytes, &mut packed, FlushCompress::Finish)
        .expect("deflate has no bad input, and the stream is fresh");
    assert_eq!(status, Status::StreamEnd, "deflate packs {} bytes into {}", bytes.len(), packed_max(bytes.len()));
    packed.into()
}

/// The most that deflate makes of `length` bytes: zlib's own bound for any window and level, which is
/// an eighth and a bit more.
const fn packed_max(length: usize) -> usize {
    length + length / 8 + length / 64 + 64
}

#[cfg(test)]
mod tests;
