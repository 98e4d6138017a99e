//! The label's decoder of Group 5: rows coded against the row above, in the manner of CCITT T.6.

/// Changes that one row may have.
const CHANGES_MAX: usize = 640;

/// Why bits are no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Group5Error {
    /// The bits end within a row.
    #[error("the bits end within row {0}")]
    Truncated(usize),
    /// Bits that are no code.
    #[error("row {0} holds bits that are no code")]
    Code(usize),
    /// A run that goes back, or beyond the row's end.
    #[error("row {0} goes back or beyond its end")]
    Run(usize),
    /// More changes than a label has memory for.
    #[error("row {0} changes more than {CHANGES_MAX} times")]
    Changes(usize),
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit.into())
    }

    fn number(&mut self, bits: u32) -> Option<usize> {
        let value = (0..bits).try_fold(0, |value, _| Some(value << 1 | self.bit()?))?;
        usize::try_from(value).ok()
    }

    /// Zeros before the next one: at most six make a code.
    fn zeros(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 6 {
                break;
            }
        }
        Some(zeros)
    }
}

enum Code {
    /// By how far the next change lies to the right of the one above.
    Beside(isize),
    /// Two changes above are passed over.
    Pass,
    /// Two runs.
    Runs,
}

impl Bits<'_> {
    /// The outer `None` is the end of the bits, the inner one no code.
    fn code(&mut self) -> Option<Option<Code>> {
        let side = |bits: &mut Self| Some(if bits.bit()? == 1 { 1 } else { -1 });
        Some(match self.zeros()? {
            0 => Some(Code::Beside(0)),
            1 => Some(Code::Beside(side(self)?)),
            2 => Some(Code::Runs),
            3 => Some(Code::Pass),
            4 => Some(Code::Beside(2 * side(self)?)),
            5 => Some(Code::Beside(3 * side(self)?)),
            _ => None,
        })
    }
}

/// Unpacks `height` rows of `width` pixels, each of whole bytes.
///
/// # Errors
/// See [`Group5Error`].
pub fn decode(packed: &[u8], width: usize, height: usize) -> Result<Vec<u8>, Group5Error> {
    let mut bits = Bits { bytes: packed, at: 0 };
    let mut out = Vec::with_capacity(width.div_ceil(8) * height);
    let mut above: Vec<usize> = Vec::new();
    for number in 0..height {
        let row = row(&mut bits, &above, width, number)?;
        let mut bytes = vec![0_u8; width.div_ceil(8)];
        // A row begins with ones.
        let edges = std::iter::once(0).chain(row.iter().copied()).chain([width, width]);
        for ones in edges.collect::<Vec<usize>>().chunks_exact(2) {
            (ones[0]..ones[1]).for_each(|x| bytes[x / 8] |= 0x80 >> (x % 8));
        }
        out.extend(bytes);
        above = row;
    }
    Ok(out)
}

/// The changes of one row.
fn row(bits: &mut Bits<'_>, above: &[usize], width: usize, number: usize) -> Result<Vec<usize>, Group5Error> {
    let long_bits = usize::BITS - width.leading_zeros();
    let mut row: Vec<usize> = Vec::new();
    // Nothing of the row is known before its first pixel, which may itself be a change.
    let mut known: Option<usize> = None;
    while known.is_none_or(|known| known < width) {
        // The first change above, to the right of what is known, that goes the same way as the next one here.
        let parity = row.len() % 2;
        let right = |change: usize| known.is_none_or(|known| change > known);
        let beside = (parity..above.len()).step_by(2).find(|at| right(above[*at]));
        let first = beside.map_or(width, |at| above[at]);
        let second = beside.and_then(|at| above.get(at + 1)).map_or(width, |change| *change);
        let truncated = Group5Error::Truncated(number);
        match bits.code().ok_or(truncated)?.ok_or(Group5Error::Code(number))? {
            Code::Pass => known = Some(second),
            Code::Beside(by) => {
                let change = first.checked_add_signed(by).filter(|change| *change <= width);
                let change = change.filter(|change| row.last().is_none_or(|last| last <= change));
                let change = change.filter(|change| known.is_none_or(|known| known <= *change));
                let change = change.ok_or(Group5Error::Run(number))?;
                push(&mut row, change, width, number)?;
                known = Some(change);
            }
            Code::Runs => {
                let long = bits.number(2).ok_or(truncated)?;
                let mut at = known.unwrap_or(0);
                for is_long in [long & 2 != 0, long & 1 != 0] {
                    at += bits.number(if is_long { long_bits } else { 3 }).ok_or(truncated)?;
                    if at > width {
                        return Err(Group5Error::Run(number));
                    }
                    push(&mut row, at, width, number)?;
                }
                known = Some(at);
            }
        }
    }
    Ok(row)
}

/// A change at the row's end is none.
fn push(row: &mut Vec<usize>, change: usize, width: usize, number: usize) -> Result<(), Group5Error> {
    if change < width {
        row.push(change);
    }
    if row.len() > CHANGES_MAX { Err(Group5Error::Changes(number)) } else { Ok(()) }
}
