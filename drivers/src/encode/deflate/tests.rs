//! Packed streams are inflated twice: by the library, and by a plain reading of RFC 1951 that also
//! tells how far back a stream refers. The library alone proves nothing about the window: it keeps
//! 32 KiB whatever it is asked for.

use flate2::{Decompress, FlushDecompress};
use proptest::prelude::*;

use super::*;

/// Base length and extra bits of the length codes 257 to 285.
const LENGTHS: [(usize, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// The order in which the code lengths of the code length code stand.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A canonical Huffman code: symbols by length, and within a length by value.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        let mut symbols = Vec::new();
        for length in 1..16_u8 {
            let of_length = lengths.iter().enumerate().filter(|(_, own)| **own == length).map(|(symbol, _)| symbol);
            symbols.extend(of_length);
            counts[usize::from(length)] = symbols.len() - counts.iter().sum::<usize>();
        }
        Self { counts, symbols }
    }
}

/// Reads a deflate stream and keeps the longest distance that it referred back by.
struct Inflater<'a> {
    packed: &'a [u8],
    bit: usize,
    out: Vec<u8>,
    reach: usize,
}

impl Inflater<'_> {
    fn bits(&mut self, count: u8) -> usize {
        (0..count).fold(0, |value, at| {
            let bit = usize::from(self.packed[self.bit / 8] >> (self.bit % 8) & 1);
            self.bit += 1;
            value | bit << at
        })
    }

    fn symbol(&mut self, code: &Code) -> usize {
        let (mut value, mut first, mut index) = (0, 0, 0);
        for count in &code.counts[1..] {
            value |= self.bits(1);
            if value < first + count {
                return code.symbols[index + value - first];
            }
            index += count;
            first = (first + count) << 1;
            value <<= 1;
        }
        panic!("a code that no symbol has");
    }

    fn stored(&mut self) {
        let at = self.bit.div_ceil(8);
        let length = usize::from(u16::from_le_bytes([self.packed[at], self.packed[at + 1]]));
        self.out.extend_from_slice(&self.packed[at + 4..at + 4 + length]);
        self.bit = (at + 4 + length) * 8;
    }

    fn dynamic_codes(&mut self) -> (Code, Code) {
        let (literals, distances, own) = (self.bits(5) + 257, self.bits(5) + 1, self.bits(4) + 4);
        let mut own_lengths = [0; 19];
        for at in &ORDER[..own] {
            own_lengths[*at] = u8::try_from(self.bits(3)).unwrap();
        }
        let own = Code::new(&own_lengths);
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (length, times) = match self.symbol(&own) {
                16 => (*lengths.last().unwrap(), 3 + self.bits(2)),
                17 => (0, 3 + self.bits(3)),
                18 => (0, 11 + self.bits(7)),
                length => (u8::try_from(length).unwrap(), 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        (Code::new(&lengths[..literals]), Code::new(&lengths[literals..]))
    }

    fn block(&mut self, literals: &Code, distances: &Code) {
        loop {
            let symbol = self.symbol(literals);
            match u8::try_from(symbol) {
                Ok(literal) => self.out.push(literal),
                Err(_) if symbol == 256 => return,
                Err(_) => {
                    let (base, extra) = LENGTHS[symbol - 257];
                    let length = base + self.bits(extra);
                    let distance = self.distance(distances);
                    self.reach = self.reach.max(distance);
                    for _ in 0..length {
                        self.out.push(self.out[self.out.len() - distance]);
                    }
                }
            }
        }
    }

    fn distance(&mut self, code: &Code) -> usize {
        match self.symbol(code) {
            symbol @ 0..4 => symbol + 1,
            symbol => {
                let extra = symbol / 2 - 1;
                ((2 + symbol % 2) << extra) + 1 + self.bits(u8::try_from(extra).unwrap())
            }
        }
    }
}

/// What a stream inflates to, and how far back it refers.
fn read(packed: &[u8]) -> (Vec<u8>, usize) {
    let mut inflater = Inflater { packed, bit: 0, out: Vec::new(), reach: 0 };
    loop {
        let last = inflater.bits(1) == 1;
        match inflater.bits(2) {
            0 => inflater.stored(),
            1 => {
                let lengths: Vec<u8> = (0..288)
                    .map(|symbol| match symbol {
                        0..144 | 280.. => 8,
                        144..256 => 9,
                        _ => 7,
                    })
                    .collect();
                inflater.block(&Code::new(&lengths), &Code::new(&[5; 30]));
            }
            2 => {
                let (literals, distances) = inflater.dynamic_codes();
                inflater.block(&literals, &distances);
            }
            other => panic!("block type {other}"),
        }
        if last {
            assert_eq!(inflater.bit.div_ceil(8), packed.len(), "bytes follow the last block");
            return (inflater.out, inflater.reach);
        }
    }
}

/// Noise that repeats after `period` bytes: the shortest form refers back by the period.
fn repeating(period: usize, length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..period)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect();
    noise.into_iter().cycle().take(length).collect()
}

/// Packs `bytes`, reads them back both ways, and returns the reach.
#[track_caller]
fn check(bytes: &[u8]) -> usize {
    let packed = deflate(bytes);
    let (plain, reach) = read(&packed);
    assert_eq!(plain, bytes);
    let mut inflated = Vec::with_capacity(bytes.len() + 1);
    let mut decompress = Decompress::new_with_window_bits(false, WINDOW_BITS);
    let status = decompress.decompress_vec(&packed, &mut inflated, FlushDecompress::Finish).unwrap();
    assert_eq!((status, inflated.as_slice()), (Status::StreamEnd, bytes));
    assert!(reach <= 1 << WINDOW_BITS, "a reference {reach} bytes back");
    reach
}

#[test]
fn back_references_never_reach_past_4_kib() {
    for period in [3_000, 4_000, 4_096, 4_097, 5_000, 20_000, 32_000] {
        check(&repeating(period, 60_000));
    }
    // The period is used where the window allows it, so that the line above could have failed.
    assert_eq!(check(&repeating(3_000, 60_000)), 3_000);
}

#[test]
fn the_reach_is_measured() {
    // With the usual window the same noise is referred to from 20,000 bytes away.
    let bytes = repeating(20_000, 60_000);
    let mut packed = Vec::with_capacity(packed_max(bytes.len()));
    Compress::new(Compression::best(), false).compress_vec(&bytes, &mut packed, FlushCompress::Finish).unwrap();
    assert_eq!(read(&packed), (bytes, 20_000));
}

proptest! {
    #[test]
    fn what_was_packed_is_inflated(
        bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(0xFF), prop::num::u8::ANY], 0..12_000),
    ) {
        check(&bytes);
    }
}
