//! A binary range coder: probabilities in 1/65,536, carries resolved as they come.

/// Below it the range is widened by a byte, so that a probability always has at least 256 steps of it.
const RANGE_MIN: u32 = 1 << 24;

/// Packs bits of known probability into bytes.
#[derive(Debug)]
pub(super) struct RangeEncoder<'a> {
    /// The lower end of the interval, 32 bits and a carry above them.
    low: u64,
    range: u32,
    out: &'a mut Out,
}

/// What has left the interval.
#[derive(Debug, Default)]
pub(super) struct Out {
    /// The last byte that moved out and that a carry may still change; none before the first.
    held: Option<u8>,
    /// Bytes of 255 behind it, which a carry would turn to 0.
    full: usize,
    bytes: Vec<u8>,
}

impl<'a> RangeEncoder<'a> {
    pub(super) fn new(out: &'a mut Out) -> Self {
        Self { low: 0, range: u32::MAX, out }
    }

    /// Whether it comes to more than so many bytes, whatever follows: zeros at the end would still be left off.
    pub(super) fn is_longer_than(&self, bytes_max: usize) -> bool {
        self.out.bytes.get(bytes_max..).is_some_and(|beyond| beyond.iter().any(|byte| *byte != 0))
    }

    /// Packs one bit, which is 1 with a probability of `ones` in 65,536; 1 to 65,535.
    #[inline(always)]
    pub(super) fn push(&mut self, ones: u32, bit: bool) {
        let upper = (self.range >> 16) * ones;
        let lower = self.range - upper;
        if bit {
            self.low += u64::from(lower);
            self.range = upper;
        } else {
            self.range = lower;
        }
        while self.range < RANGE_MIN {
            self.range <<= 8;
            self.low = self.out.shift(self.low);
        }
    }

    /// The bytes: the shortest that lie in the final interval, zeros at the end left off.
    pub(super) fn finish(self) -> Vec<u8> {
        let end = self.low + u64::from(self.range);
        let round = |bits: u32| (self.low + (1 << bits) - 1) >> bits << bits;
        let last = (0..=32).rev().map(round).find(|value| *value < end).unwrap_or(self.low);
        (0..5).fold(last, |low, _| self.out.shift(low));
        let mut bytes = std::mem::take(&mut self.out.bytes);
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        bytes
    }
}

impl Out {
    /// Takes the top byte of the interval's lower end, and answers what is left of that. Few decisions come to a byte.
    #[cold]
    fn shift(&mut self, low: u64) -> u64 {
        let [.., carry, top, _, _, _] = low.to_be_bytes();
        if top == 0xFF && carry == 0 {
            self.full += 1;
        } else {
            self.bytes.extend(self.held.map(|held| held + carry));
            self.bytes.extend(std::iter::repeat_n(0xFF_u8.wrapping_add(carry), self.full));
            self.full = 0;
            self.held = Some(top);
        }
        (low << 8) & u64::from(u32::MAX)
    }
}
