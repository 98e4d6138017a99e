//! Inflate (RFC 1951) as a microcontroller does it: a 4-KiB ring buffer and canonical codes by counting.
//!
//! The method of counting codes per length instead of building tables is that of Mark Adler's `puff`:
//! slow, small, and easy to compare with the text of the RFC.

/// The window: a reference farther back is an error, although the RFC allows 32 KiB.
pub const WINDOW_BYTES: usize = 4_096;

/// Longest code, section 3.2.7.
const CODE_BITS_MAX: usize = 15;

/// Literals, end of block and lengths, section 3.2.5.
const LITERALS_MAX: usize = 286;

/// Distance codes, section 3.2.5.
const DISTANCES_MAX: usize = 30;

/// Why a stream cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// The stream ends too early.
    #[error("the stream ends inside a block")]
    Truncated,
    /// Bytes follow the last block.
    #[error("{0} bytes follow the last block")]
    Trailing(usize),
    /// More output than was asked for.
    #[error("the stream unpacks to more than {0} bytes")]
    TooLong(usize),
    /// Block type 3.
    #[error("a block has the reserved type")]
    BlockType,
    /// A stored block whose length does not fit its complement.
    #[error("a stored block's length does not match its complement")]
    StoredLength,
    /// Code lengths that make no code.
    #[error("a block's code lengths make no code")]
    Codes,
    /// Bits that are no symbol.
    #[error("a block holds bits that are no symbol")]
    Symbol,
    /// A reference to before the start.
    #[error("a reference goes {distance} bytes back, before the start")]
    BeforeStart {
        /// Bytes back.
        distance: usize,
    },
    /// A reference beyond the window.
    #[error("a reference goes {distance} bytes back, beyond the window of {WINDOW_BYTES}")]
    BeyondWindow {
        /// Bytes back.
        distance: usize,
    },
}

/// Unpacks a raw deflate stream to at most `length_max` bytes.
///
/// # Errors
/// See [`InflateError`].
pub fn inflate(packed: &[u8], length_max: usize) -> Result<Vec<u8>, InflateError> {
    match unpack(packed, length_max)? {
        (bytes, 0) => Ok(bytes),
        (_, trailing) => Err(InflateError::Trailing(trailing)),
    }
}

/// The same for a stream that something follows, which is not looked at.
///
/// # Errors
/// See [`InflateError`].
pub fn inflate_beginning(packed: &[u8], length_max: usize) -> Result<Vec<u8>, InflateError> {
    unpack(packed, length_max).map(|(bytes, _)| bytes)
}

/// What is unpacked, and how many bytes follow.
fn unpack(packed: &[u8], length_max: usize) -> Result<(Vec<u8>, usize), InflateError> {
    let mut bits = Bits { rest: packed, word: 0, count: 0 };
    let mut out = Output { bytes: Vec::with_capacity(length_max), length_max, ring: [0; WINDOW_BYTES] };
    loop {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut out)?,
            1 => fixed(&mut bits, &mut out)?,
            2 => dynamic(&mut bits, &mut out)?,
            _ => return Err(InflateError::BlockType),
        }
        if last {
            return Ok((out.bytes, bits.rest.len()));
        }
    }
}

/// Takes bits off the stream, the least significant of each byte first.
struct Bits<'a> {
    rest: &'a [u8],
    word: u32,
    count: u32,
}

impl Bits<'_> {
    /// The next `count` bits, at most 16, as a number.
    fn take(&mut self, count: u32) -> Result<u32, InflateError> {
        while self.count < count {
            self.word |= u32::from(self.byte()?) << self.count;
            self.count += 8;
        }
        let value = self.word & ((1 << count) - 1);
        self.word >>= count;
        self.count -= count;
        Ok(value)
    }

    fn number(&mut self, count: u32) -> Result<usize, InflateError> {
        Ok(self.take(count)? as usize)
    }

    fn byte(&mut self) -> Result<u8, InflateError> {
        let (byte, rest) = self.rest.split_first().ok_or(InflateError::Truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// Drops what is left of the byte in progress.
    fn align(&mut self) {
        self.word = 0;
        self.count = 0;
    }
}

/// What was unpacked. References read the ring alone, as on a label that streams into its display.
struct Output {
    bytes: Vec<u8>,
    length_max: usize,
    ring: [u8; WINDOW_BYTES],
}

impl Output {
    fn push(&mut self, byte: u8) -> Result<(), InflateError> {
        if self.bytes.len() == self.length_max {
            return Err(InflateError::TooLong(self.length_max));
        }
        self.ring[self.bytes.len() % WINDOW_BYTES] = byte;
        self.bytes.push(byte);
        Ok(())
    }

    fn copy(&mut self, length: usize, distance: usize) -> Result<(), InflateError> {
        if distance > WINDOW_BYTES {
            return Err(InflateError::BeyondWindow { distance });
        }
        if distance > self.bytes.len() {
            return Err(InflateError::BeforeStart { distance });
        }
        for _ in 0..length {
            self.push(self.ring[(self.bytes.len() - distance) % WINDOW_BYTES])?;
        }
        Ok(())
    }
}

/// Whether a set of code lengths leaves bits unused.
#[derive(PartialEq, Eq)]
enum Completeness {
    Complete,
    Incomplete,
}

/// A canonical prefix code: symbols ordered by code, and how many there are of each length.
struct Code {
    counts: [u16; CODE_BITS_MAX + 1],
    symbols: Vec<u16>,
}

impl Code {
    /// The code with these lengths, symbol by symbol; 0 is no code.
    fn new(lengths: &[u8]) -> Result<(Self, Completeness), InflateError> {
        let mut counts = [0_u16; CODE_BITS_MAX + 1];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        let mut left = 1_i32;
        for count in &counts[1..] {
            left = left * 2 - i32::from(*count);
            if left < 0 {
                return Err(InflateError::Codes);
            }
        }
        let mut symbols = Vec::with_capacity(lengths.len());
        for bits in 1..=15_u8 {
            let of_this_length = lengths.iter().zip(0_u16..).filter(|(length, _)| **length == bits);
            symbols.extend(of_this_length.map(|(_, symbol)| symbol));
        }
        let completeness = if left == 0 { Completeness::Complete } else { Completeness::Incomplete };
        Ok((Self { counts, symbols }, completeness))
    }

    /// A code of literals or distances: incomplete only as a single code of one bit.
    fn of_block(lengths: &[u8]) -> Result<Self, InflateError> {
        let (code, completeness) = Self::new(lengths)?;
        let single = usize::from(code.counts[0] + code.counts[1]) == lengths.len();
        if completeness == Completeness::Complete || single { Ok(code) } else { Err(InflateError::Codes) }
    }

    /// Reads one symbol.
    fn symbol(&self, bits: &mut Bits<'_>) -> Result<usize, InflateError> {
        let (mut code, mut first, mut index) = (0_usize, 0_usize, 0_usize);
        for count in &self.counts[1..] {
            code |= bits.number(1)?;
            let count = usize::from(*count);
            if code < first + count {
                return Ok(usize::from(self.symbols[index + code - first]));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(InflateError::Symbol)
    }
}

/// A block of bytes as they are, section 3.2.4.
fn stored(bits: &mut Bits<'_>, out: &mut Output) -> Result<(), InflateError> {
    bits.align();
    let length = bits.take(16)?;
    if bits.take(16)? != length ^ 0xFFFF {
        return Err(InflateError::StoredLength);
    }
    for _ in 0..length {
        out.push(bits.byte()?)?;
    }
    Ok(())
}

/// A block with the codes of section 3.2.6.
fn fixed(bits: &mut Bits<'_>, out: &mut Output) -> Result<(), InflateError> {
    let mut lengths = [8_u8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    let (literals, _) = Code::new(&lengths)?;
    let (distances, _) = Code::new(&[5; DISTANCES_MAX])?;
    symbols(bits, out, &literals, &distances)
}

/// A block that brings its codes, section 3.2.7.
fn dynamic(bits: &mut Bits<'_>, out: &mut Output) -> Result<(), InflateError> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let literal_count = bits.number(5)? + 257;
    let distance_count = bits.number(5)? + 1;
    let length_count = bits.number(4)? + 4;
    if literal_count > LITERALS_MAX || distance_count > DISTANCES_MAX {
        return Err(InflateError::Codes);
    }
    let mut lengths_of_lengths = [0_u8; 19];
    for at in &ORDER[..length_count] {
        lengths_of_lengths[*at] = byte(bits.take(3)?);
    }
    let (code, completeness) = Code::new(&lengths_of_lengths)?;
    if completeness == Completeness::Incomplete {
        return Err(InflateError::Codes);
    }
    let lengths = code_lengths(bits, &code, literal_count + distance_count)?;
    let (literals, distances) = lengths.split_at(literal_count);
    if literals[256] == 0 {
        // Without an end-of-block code the block could not end.
        return Err(InflateError::Codes);
    }
    symbols(bits, out, &Code::of_block(literals)?, &Code::of_block(distances)?)
}

/// Reads `count` code lengths with their repeats.
fn code_lengths(bits: &mut Bits<'_>, code: &Code, count: usize) -> Result<Vec<u8>, InflateError> {
    let mut lengths = Vec::with_capacity(count);
    while lengths.len() < count {
        let (length, repeat) = match code.symbol(bits)? {
            16 => (*lengths.last().ok_or(InflateError::Codes)?, 3 + bits.number(2)?),
            17 => (0, 3 + bits.number(3)?),
            18 => (0, 11 + bits.number(7)?),
            length => (u8::try_from(length).map_err(|_| InflateError::Codes)?, 1),
        };
        if lengths.len() + repeat > count {
            return Err(InflateError::Codes);
        }
        lengths.resize(lengths.len() + repeat, length);
    }
    Ok(lengths)
}

/// Literals and references up to the end of the block, section 3.2.5.
fn symbols(bits: &mut Bits<'_>, out: &mut Output, literals: &Code, distances: &Code) -> Result<(), InflateError> {
    loop {
        match literals.symbol(bits)? {
            literal @ 0..=255 => out.push(u8::try_from(literal).map_err(|_| InflateError::Symbol)?)?,
            256 => return Ok(()),
            symbol => {
                let length = length(symbol, bits)?;
                let distance = distance(distances.symbol(bits)?, bits)?;
                out.copy(length, distance)?;
            }
        }
    }
}

/// The length that symbol 257 to 285 stands for.
fn length(symbol: usize, bits: &mut Bits<'_>) -> Result<usize, InflateError> {
    match symbol {
        257..=264 => Ok(symbol - 254),
        265..=284 => {
            let extra = (symbol - 261) / 4;
            Ok((((symbol - 265) % 4 + 4) << extra) + 3 + bits.number(bits_of(extra))?)
        }
        285 => Ok(258),
        _ => Err(InflateError::Symbol),
    }
}

/// The distance that symbol 0 to 29 stands for.
fn distance(symbol: usize, bits: &mut Bits<'_>) -> Result<usize, InflateError> {
    match symbol {
        0..=3 => Ok(symbol + 1),
        4..=29 => {
            let extra = symbol / 2 - 1;
            Ok(((symbol % 2 + 2) << extra) + 1 + bits.number(bits_of(extra))?)
        }
        _ => Err(InflateError::Symbol),
    }
}

/// A count of extra bits, at most 13.
fn bits_of(extra: usize) -> u32 {
    u32::try_from(extra).expect("at most 13 extra bits")
}

/// A code length of 3 bits.
fn byte(value: u32) -> u8 {
    u8::try_from(value).expect("three bits fit a byte")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::DeflateEncoder;
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::*;

    use super::*;

    /// Raw deflate by another program, with a window of 4 KiB.
    fn deflate(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut compress = Compress::new_with_window_bits(Compression::new(level), false, 12);
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 8 + 1_024);
        let status = compress.compress_vec(bytes, &mut out, FlushCompress::Finish).unwrap();
        assert_eq!(status, flate2::Status::StreamEnd);
        out
    }

    #[track_caller]
    fn check(packed: &[u8], expected: Result<&[u8], InflateError>) {
        assert_eq!(inflate(packed, 1_000), expected.map(<[u8]>::to_vec));
    }

    #[test]
    fn small_streams_are_read_or_named() {
        check(&[0x03, 0x00], Ok(b""));
        check(&[0x4B, 0x4C, 0x4A, 0x06, 0x00], Ok(b"abc"));
        check(&[0x01, 2, 0, 0xFD, 0xFF, b'h', b'i'], Ok(b"hi"));
        check(&[], Err(InflateError::Truncated));
        check(&[0x07], Err(InflateError::BlockType));
        check(&[0x01, 2, 0, 0xFD, 0xFE, b'h', b'i'], Err(InflateError::StoredLength));
        check(&[0x01, 2, 0, 0xFD, 0xFF, b'h'], Err(InflateError::Truncated));
        check(&[0x03, 0x00, 0x00], Err(InflateError::Trailing(1)));
    }

    #[test]
    fn a_reference_beyond_the_window_is_refused() {
        let mut bytes: Vec<u8> = (0..9_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        let start = bytes[..200].to_vec();
        bytes.extend(&start);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes).unwrap();
        let far = encoder.finish().unwrap();
        let refused = inflate(&far, bytes.len());
        assert!(matches!(refused, Err(InflateError::BeyondWindow { distance: 4_097.. })), "{refused:?}");
        assert_eq!(inflate(&deflate(&bytes, 9), bytes.len()), Ok(bytes));
    }

    #[test]
    fn output_is_bounded() {
        let bomb = deflate(&[0; 100_000], 9);
        assert_eq!(inflate(&bomb, 4_736), Err(InflateError::TooLong(4_736)));
    }

    proptest! {
        #[test]
        fn what_another_program_packed_is_unpacked(
            runs in prop::collection::vec((prop::num::u8::ANY, 1_usize..400), 0..120), noise in 0_u8..4, level in 0_u32..10,
        ) {
            let bytes: Vec<u8> = runs
                .iter()
                .flat_map(|(value, length)| (0..*length).map(move |at| value ^ (u8::try_from(at % 7).unwrap() & noise)))
                .collect();
            prop_assert_eq!(inflate(&deflate(&bytes, level), bytes.len()), Ok(bytes));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(prop::num::u8::ANY, 0..400)) {
            if let Ok(unpacked) = inflate(&bytes, 4_096) {
                prop_assert!(unpacked.len() <= 4_096);
            }
        }

        #[test]
        fn damaged_streams_never_panic(at in prop::num::usize::ANY, bit in 0_u8..8, cut in prop::num::usize::ANY) {
            let bytes: Vec<u8> = (0..4_000_u32).map(|i| (i * i / 97).to_le_bytes()[0]).collect();
            let mut packed = deflate(&bytes, 9);
            let length = packed.len();
            packed[at % length] ^= 1 << bit;
            packed.truncate(length - cut % 8);
            let unpacked = inflate(&packed, bytes.len());
            prop_assert!(unpacked.map_or(0, |unpacked| unpacked.len()) <= bytes.len());
        }
    }
}
