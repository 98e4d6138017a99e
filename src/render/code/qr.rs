//! QR codes (ISO/IEC 18004): codewords and their places through `qrcode`, the mask by scoring whole lines of modules.

use std::ops::{BitAnd, BitXor, Not, Shl};
use std::sync::LazyLock;

use qrcode::bits::Bits;
use qrcode::canvas::{Canvas, MaskPattern, Module};
use qrcode::ec::construct_codewords;
use qrcode::{Color, EcLevel, QrResult, Version};

use super::CodeError;
use crate::template::style::Level;

/// Modules of the side of the largest version.
const SIDE_MAX: usize = 177;
/// Words of a line of so many modules.
const WORDS_MAX: usize = SIDE_MAX.div_ceil(64);
/// After so many rows or columns every mask begins again.
const PERIOD: usize = 12;

/// Whether a mask inverts the module in a column and a row.
type Inverts = fn(usize, usize) -> bool;

const MASKS: [(MaskPattern, Inverts); 8] = [
    (MaskPattern::Checkerboard, |x, y| (x + y).is_multiple_of(2)),
    (MaskPattern::HorizontalLines, |_, y| y.is_multiple_of(2)),
    (MaskPattern::VerticalLines, |x, _| x.is_multiple_of(3)),
    (MaskPattern::DiagonalLines, |x, y| (x + y).is_multiple_of(3)),
    (MaskPattern::LargeCheckerboard, |x, y| (x / 3 + y / 2).is_multiple_of(2)),
    (MaskPattern::Fields, |x, y| x * y % 2 + x * y % 3 == 0),
    (MaskPattern::Diamonds, |x, y| (x * y % 2 + x * y % 3).is_multiple_of(2)),
    (MaskPattern::Meadow, |x, y| ((x + y) % 2 + x * y % 3).is_multiple_of(2)),
];

/// The lines of each mask from the first on: its rows and its columns.
static MASK_LINES: LazyLock<[[[Line<WORDS_MAX>; PERIOD]; 2]; 8]> = LazyLock::new(|| {
    let line = |module: &dyn Fn(usize) -> bool| (0..SIDE_MAX).filter(|at| module(*at)).fold(Line::BLANK, Line::with);
    MASKS.map(|(_, mask)| {
        let row = |y| line(&|x| mask(x, y));
        let column = |x| line(&|y| mask(x, y));
        [std::array::from_fn(row), std::array::from_fn(column)]
    })
});

/// The rows of a code: true for dark.
pub(super) fn rows(content: &str, level: Level) -> Result<Vec<Vec<bool>>, CodeError> {
    let level = match level {
        Level::Low => EcLevel::L,
        Level::Medium => EcLevel::M,
        Level::Quartile => EcLevel::Q,
        Level::High => EcLevel::H,
    };
    let smallest = (1..=40).map(Version::Normal).find_map(|version| bits(content.as_bytes(), version, level).ok());
    let bits = smallest.ok_or(CodeError::Long)?;
    let version = bits.version();
    let (data, correction) = construct_codewords(&bits.into_bytes(), version, level).map_err(|_| CodeError::Long)?;
    let mut canvas = Canvas::new(version, level);
    canvas.draw_all_functional_patterns();
    canvas.draw_data(&data, &correction);
    let side = usize::try_from(version.width()).map_err(|_| CodeError::Long)?;
    canvas.apply_mask(if side <= 64 { best_mask::<1>(&canvas, side) } else { best_mask::<WORDS_MAX>(&canvas, side) });
    let colors = canvas.into_colors();
    Ok(colors.chunks_exact(side).map(|row| row.iter().map(|color| *color == Color::Dark).collect()).collect())
}

/// The whole content in the narrowest mode that has all of it, if the version has room.
fn bits(content: &[u8], version: Version, level: EcLevel) -> QrResult<Bits> {
    let mut bits = Bits::new(version);
    let alphanumeric =
        |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b' ' | b'$' | b'%' | b'*' | b'+' | b'-'..=b'/' | b':');
    if content.iter().all(u8::is_ascii_digit) {
        bits.push_numeric_data(content)?;
    } else if content.iter().all(alphanumeric) {
        bits.push_alphanumeric_data(content)?;
    } else {
        bits.push_byte_data(content)?;
    }
    bits.push_terminator(level)?;
    Ok(bits)
}

/// Modules in a line, the first in the highest bit of the first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line<const WORDS: usize>([u64; WORDS]);

/// The rows of a code, or its columns, before a mask.
struct Lines<const WORDS: usize> {
    dark: Vec<Line<WORDS>>,
    /// Which modules are data, or left over by them: only these are masked.
    data: Vec<Line<WORDS>>,
}

/// The mask with the lowest penalty, the first of several.
fn best_mask<const WORDS: usize>(canvas: &Canvas, side: usize) -> MaskPattern {
    let (mut rows, mut columns) = (Lines::<WORDS>::blank(side), Lines::<WORDS>::blank(side));
    for (y, down) in (0..side).zip(0..) {
        for (x, across) in (0..side).zip(0..) {
            rows.add(y, x, canvas.get(across, down));
            columns.add(x, y, canvas.get(across, down));
        }
    }
    let penalty = |(_, [across, down]): &(MaskPattern, [[Line<WORDS_MAX>; PERIOD]; 2])| {
        let (masked_rows, masked_columns) = (rows.masked(across), columns.masked(down));
        let lines = rows.lines_penalty(&masked_rows) + columns.lines_penalty(&masked_columns);
        lines + rows.squares_penalty(&masked_rows) + balance_penalty(&masked_rows)
    };
    let masks = MASKS.into_iter().zip(&*MASK_LINES).map(|((pattern, _), lines)| (pattern, *lines));
    masks.min_by_key(penalty).map_or(MaskPattern::Checkerboard, |(pattern, _)| pattern)
}

impl<const WORDS: usize> Lines<WORDS> {
    fn blank(side: usize) -> Self {
        Self { dark: vec![Line::BLANK; side], data: vec![Line::BLANK; side] }
    }

    /// A module of a line.
    fn add(&mut self, line: usize, at: usize, module: Module) {
        if module.is_dark() {
            self.dark[line] = self.dark[line].with(at);
        }
        if !matches!(module, Module::Masked(_)) {
            self.data[line] = self.data[line].with(at);
        }
    }

    fn masked(&self, mask: &[Line<WORDS_MAX>; PERIOD]) -> Vec<Line<WORDS>> {
        let lines = self.dark.iter().zip(&self.data).zip(mask.iter().cycle());
        lines.map(|((dark, data), mask)| *dark ^ (mask.cut() & *data)).collect()
    }

    /// Runs of 5 alike data modules and more, and what looks like a finder with 4 light modules beside it; beyond
    /// the code it is light.
    fn lines_penalty(&self, masked: &[Line<WORDS>]) -> u32 {
        let line_penalty = |(line, data): (&Line<WORDS>, &Line<WORDS>)| {
            let at = |module: u32| *line << module;
            let pairs = !(*line ^ at(1)) & *data & (*data << 1);
            let threes = pairs & (pairs << 1);
            let fives = threes & (threes << 2);
            let first_fives = fives & !fives.behind(1);
            let finders = *line & !at(1) & at(2) & at(3) & at(4) & !at(5) & at(6);
            let after = finders & !at(7) & !at(8) & !at(9) & !at(10);
            let before = finders & !line.behind(1) & !line.behind(2) & !line.behind(3) & !line.behind(4);
            fives.count() + 2 * first_fives.count() + 40 * (after.count() + before.count())
        };
        masked.iter().zip(&self.data).map(line_penalty).sum()
    }

    /// Squares of 4 alike data modules.
    fn squares_penalty(&self, masked: &[Line<WORDS>]) -> u32 {
        let penalty = |(lines, data): (&[Line<WORDS>], &[Line<WORDS>])| {
            let ([line, below], [data, data_below]) = (lines, data) else { return 0 };
            let both = *data & *data_below;
            let alike = !(*line ^ *below) & !(*line ^ (*line << 1)) & !(*below ^ (*below << 1));
            3 * (alike & both & (both << 1)).count()
        };
        masked.windows(2).zip(self.data.windows(2)).map(penalty).sum()
    }
}

/// How far from half the modules are dark: 10 for each 5 percent.
fn balance_penalty<const WORDS: usize>(rows: &[Line<WORDS>]) -> u32 {
    let dark: u32 = rows.iter().map(|row| row.count()).sum();
    let modules = u32::try_from(rows.len() * rows.len()).unwrap_or(u32::MAX);
    let percent = dark * 100 / modules;
    (if percent < 50 { 49 - percent } else { percent - 50 }) / 5 * 10
}

impl<const WORDS: usize> Line<WORDS> {
    const BLANK: Self = Self([0; WORDS]);

    /// With one module more.
    fn with(mut self, at: usize) -> Self {
        self.0[at / 64] |= 1 << (63 - at % 64);
        self
    }

    /// Its first words.
    fn cut<const FEWER: usize>(&self) -> Line<FEWER> {
        Line(std::array::from_fn(|word| self.0[word]))
    }

    /// In each place the module so many places before it.
    fn behind(self, modules: u32) -> Self {
        let carried = |word: usize| if word == 0 { 0 } else { self.0[word - 1] << (64 - modules) };
        Self(std::array::from_fn(|word| self.0[word] >> modules | carried(word)))
    }

    fn count(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// In each place the module so many places after it.
impl<const WORDS: usize> Shl<u32> for Line<WORDS> {
    type Output = Self;

    fn shl(self, modules: u32) -> Self {
        let carried = |word: usize| self.0.get(word + 1).map_or(0, |next| next >> (64 - modules));
        Self(std::array::from_fn(|word| self.0[word] << modules | carried(word)))
    }
}

impl<const WORDS: usize> BitAnd for Line<WORDS> {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }
}

impl<const WORDS: usize> BitXor for Line<WORDS> {
    type Output = Self;

    fn bitxor(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] ^ other.0[word]))
    }
}

impl<const WORDS: usize> Not for Line<WORDS> {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0.map(Not::not))
    }
}

#[cfg(test)]
mod tests {
    use fast_qr::{ECL, QRBuilder};

    use super::*;

    #[track_caller]
    fn check(content: &str) {
        for (level, peer) in
            [(Level::Low, ECL::L), (Level::Medium, ECL::M), (Level::Quartile, ECL::Q), (Level::High, ECL::H)]
        {
            let code = QRBuilder::new(content).ecl(peer).build().ok();
            let row = |code: &fast_qr::QRCode, y: usize| code[y].iter().map(|module| module.value()).collect();
            let expected = code.map(|code| (0..code.size).map(|y| row(&code, y)).collect::<Vec<Vec<bool>>>());
            assert_eq!(rows(content, level).ok(), expected, "{level:?} {content}");
        }
    }

    #[test]
    fn another_encoder_makes_the_same_codes() {
        for number in 0..40 {
            check(&format!("https://gondola.example/p/{number:04}"));
        }
        for length in (1..1_400).step_by(61) {
            check(&"8031962475".repeat(300)[..length * 2]);
            check(&"AZ$%*+-./: 07".repeat(200)[..length + length / 3]);
            check(&"价 é!".repeat(length / 9));
        }
    }
}
