//! Bar codes: EAN-13, EAN-8 and UPC-A (ISO/IEC 15420), Code 128 (ISO/IEC 15417).

use std::ops::{Range, RangeInclusive};

use super::{CodeError, count, runs};

/// Bars in one line, one entry per module, true for dark; with what stands around and under them.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::render) struct Bars {
    dark: Vec<bool>,
    /// Light modules left of the bars.
    pub(in crate::render) quiet_left: i32,
    /// Light modules right of them.
    quiet_right: i32,
    /// Modules whose bars reach down between the digits.
    guards: &'static [RangeInclusive<i32>],
    pub(in crate::render) captions: Vec<Caption>,
}

/// Characters under the bars, in the middle of a span of modules.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::render) struct Caption {
    /// From the first bar; before it if negative.
    pub(in crate::render) start: i32,
    pub(in crate::render) modules: i32,
    pub(in crate::render) text: String,
}

impl Bars {
    /// Modules from one edge of the light to the other.
    pub(super) fn width(&self) -> i32 {
        self.quiet_left + count(&self.dark) + self.quiet_right
    }

    /// The modules of each bar, and whether it reaches down between the digits.
    pub(in crate::render) fn bars(&self) -> impl Iterator<Item = (Range<i32>, bool)> + '_ {
        runs(&self.dark).map(|bar| {
            let guard = self.guards.iter().any(|span| span.contains(&bar.start));
            (bar, guard)
        })
    }
}

/// Left-hand digits of odd parity (set A), 7 modules, most significant leftmost.
const ODD: [u8; 10] = [0x0D, 0x19, 0x13, 0x3D, 0x23, 0x31, 0x2F, 0x3B, 0x37, 0x0B];
/// Which of the six left-hand digits have even parity (set B), by the first digit.
const EVEN: [u8; 10] = [0x00, 0x0B, 0x0D, 0x0E, 0x13, 0x19, 0x1C, 0x15, 0x16, 0x1A];

/// 13 digits, or the 12 of a UPC-A: that is an EAN-13 that begins with 0, bar for bar.
pub(super) fn ean_13(text: &str) -> Result<Bars, CodeError> {
    let padded = if text.len() == 12 { format!("0{text}") } else { text.to_owned() };
    let digits: [u8; 13] = digits(&padded, "an EAN-13 has 13 digits, a UPC-A 12")?;
    let place = |place: i32| match place {
        0 => -9,
        1..=6 => 3 + 7 * (place - 1),
        _ => 8 + 7 * (place - 1),
    };
    Ok(Bars {
        dark: ean(&digits[1..7], EVEN[usize::from(digits[0])], &digits[7..]),
        quiet_left: 11,
        quiet_right: 7,
        guards: &[0..=2, 45..=49, 92..=94],
        captions: captions(&digits, place),
    })
}

pub(super) fn ean_8(text: &str) -> Result<Bars, CodeError> {
    let digits: [u8; 8] = digits(text, "an EAN-8 has 8 digits")?;
    let place = |place: i32| if place < 4 { 3 + 7 * place } else { 8 + 7 * place };
    Ok(Bars {
        dark: ean(&digits[..4], 0, &digits[4..]),
        quiet_left: 7,
        quiet_right: 7,
        guards: &[0..=2, 31..=35, 64..=66],
        captions: captions(&digits, place),
    })
}

pub(super) fn upc_a(text: &str) -> Result<Bars, CodeError> {
    let digits: [u8; 12] = digits(text, "a UPC-A has 12 digits")?;
    let place = |place: i32| match place {
        0 => -8,
        1..=5 => 3 + 7 * place,
        6..=10 => 8 + 7 * place,
        _ => 96,
    };
    Ok(Bars {
        dark: ean(&digits[..6], 0, &digits[6..]),
        quiet_left: 9,
        quiet_right: 9,
        guards: &[0..=9, 45..=49, 85..=94],
        captions: captions(&digits, place),
    })
}

/// The digits of a text whose last one is the check digit by all the others.
fn digits<const N: usize>(text: &str, shape: &'static str) -> Result<[u8; N], CodeError> {
    let bytes: [u8; N] = text.as_bytes().try_into().map_err(|_| CodeError::Shape(shape))?;
    if !bytes.iter().all(u8::is_ascii_digit) {
        return Err(CodeError::Shape(shape));
    }
    let digits = bytes.map(|byte| byte - b'0');
    let weighted = digits[..N - 1].iter().rev().zip([3, 1].into_iter().cycle());
    let sum: u32 = weighted.map(|(digit, weight)| u32::from(*digit) * weight).sum();
    let expected = u8::try_from((10 - sum % 10) % 10).expect("a remainder of 10 fits");
    match digits[N - 1] {
        found if found == expected => Ok(digits),
        found => Err(CodeError::CheckDigit { found, expected }),
    }
}

/// Guard, left digits, guard, right digits, guard. `even` says which left digits have even parity, the last in
/// the lowest bit.
fn ean(left: &[u8], even: u8, right: &[u8]) -> Vec<bool> {
    let right_hand = |digit: u8| !ODD[usize::from(digit)] & 0x7F;
    let mut dark = Vec::with_capacity(95);
    let mut push = |bits: u8, count: u32| dark.extend((0..count).rev().map(|bit| bits >> bit & 1 == 1));
    push(0b101, 3);
    for (place, digit) in (0..left.len()).rev().zip(left) {
        let mirrored = right_hand(*digit).reverse_bits() >> 1;
        push(if even >> place & 1 == 1 { mirrored } else { ODD[usize::from(*digit)] }, 7);
    }
    push(0b01010, 5);
    for digit in right {
        push(right_hand(*digit), 7);
    }
    push(0b101, 3);
    dark
}

/// Each digit under its own seven modules.
fn captions(digits: &[u8], start: impl Fn(i32) -> i32) -> Vec<Caption> {
    let caption = |(place, digit): (i32, &u8)| Caption { start: start(place), modules: 7, text: digit.to_string() };
    (0..).zip(digits).map(caption).collect()
}

/// Widths of bars and spaces in turn, by value; the last is the stop.
const CODE_128: [&str; 107] = [
    "212222", "222122", "222221", "121223", "121322", "131222", "122213", "122312", "132212", "221213", "221312",
    "231212", "112232", "122132", "122231", "113222", "123122", "123221", "223211", "221132", "221231", "213212",
    "223112", "312131", "311222", "321122", "321221", "312212", "322112", "322211", "212123", "212321", "232121",
    "111323", "131123", "131321", "112313", "132113", "132311", "211313", "231113", "231311", "112133", "112331",
    "132131", "113123", "113321", "133121", "313121", "211331", "231131", "213113", "213311", "213131", "311123",
    "311321", "331121", "312113", "312311", "332111", "314111", "221411", "431111", "111224", "111422", "121124",
    "121421", "141122", "141221", "112214", "112412", "122114", "122411", "142112", "142211", "241211", "221114",
    "413111", "241112", "134111", "111242", "121142", "121241", "114212", "124112", "124211", "411212", "421112",
    "421211", "212141", "214121", "412121", "111143", "111341", "131141", "114113", "114311", "411113", "411311",
    "113141", "114131", "311141", "411131", "211412", "211214", "211232", "2331112",
];
const TO_CODE_C: usize = 99;
const TO_CODE_B: usize = 100;
const START_B: usize = 104;
const START_C: usize = 105;
const STOP: usize = 106;

/// Any printable ASCII text; pairs of digits take one symbol where that saves any.
pub(super) fn code_128(text: &str) -> Result<Bars, CodeError> {
    if let Some(other) = text.chars().find(|character| !matches!(character, ' '..='~')) {
        return Err(CodeError::Character(other));
    }
    let mut values = code_128_values(text.as_bytes());
    let weighted = values.iter().enumerate().map(|(place, value)| place.max(1) * value);
    values.push(weighted.sum::<usize>() % 103);
    values.push(STOP);
    let mut dark = Vec::new();
    for value in values {
        for (place, width) in CODE_128[value].bytes().enumerate() {
            dark.extend((b'0'..width).map(|_| place % 2 == 0));
        }
    }
    let caption = Caption { start: 0, modules: count(&dark), text: text.to_owned() };
    Ok(Bars { dark, quiet_left: 10, quiet_right: 10, guards: &[], captions: vec![caption] })
}

/// The start symbol, and what follows it.
fn code_128_values(text: &[u8]) -> Vec<usize> {
    let run = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    // A change to pairs and back costs two symbols, at an end of the text one.
    let pairs_pay = |from: usize| {
        let digits = run(from);
        digits >= 6 || (digits >= 4 && (from == 0 || from + digits == text.len())) || (digits == 2 && text.len() == 2)
    };
    let mut in_pairs = pairs_pay(0) && run(0) % 2 == 0;
    let mut values = vec![if in_pairs { START_C } else { START_B }];
    let mut at = 0;
    while at < text.len() {
        if in_pairs && run(at) >= 2 {
            values.push(usize::from(text[at] - b'0') * 10 + usize::from(text[at + 1] - b'0'));
            at += 2;
            continue;
        }
        if in_pairs || (pairs_pay(at) && run(at) % 2 == 0) {
            in_pairs = !in_pairs;
            values.push(if in_pairs { TO_CODE_C } else { TO_CODE_B });
            continue;
        }
        values.push(usize::from(text[at] - b' '));
        at += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_verified() {
        assert!(ean_13("6901234567892").is_ok());
        assert!(ean_8("96385074").is_ok());
        assert!(upc_a("036000291452").is_ok());
        assert_eq!(ean_13("6901234567890"), Err(CodeError::CheckDigit { found: 0, expected: 2 }));
        assert_eq!(ean_8("96385070"), Err(CodeError::CheckDigit { found: 0, expected: 4 }));
        assert_eq!(ean_13("036000291452").unwrap().dark, upc_a("036000291452").unwrap().dark);
        for text in ["", "69012345678", "69012345678921", "690123456789X", "６９０"] {
            assert!(matches!(ean_13(text), Err(CodeError::Shape(_))), "{text}");
        }
    }

    #[test]
    fn guards_stand_at_both_ends_and_in_the_middle() {
        let bars = ean_13("6901234567892").unwrap();
        assert_eq!(bars.dark.len(), 95);
        let guards: Vec<i32> = bars.bars().filter(|(_, guard)| *guard).map(|(bar, _)| bar.start).collect();
        assert_eq!(guards, [0, 2, 46, 48, 92, 94]);
        assert_eq!(bars.bars().next(), Some((0..1, true)));
    }

    #[track_caller]
    fn check_128(text: &str, expected: &[usize]) {
        assert_eq!(code_128_values(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn pairs_of_digits_are_used_where_they_save_symbols() {
        check_128("AB", &[START_B, 33, 34]);
        check_128("42", &[START_C, 42]);
        check_128("A12B", &[START_B, 33, 17, 18, 34]);
        check_128("1234", &[START_C, 12, 34]);
        check_128("12345", &[START_B, 17, TO_CODE_C, 23, 45]);
        check_128("A123456B", &[START_B, 33, TO_CODE_C, 12, 34, 56, TO_CODE_B, 34]);
        assert_eq!(code_128("é"), Err(CodeError::Character('é')));
    }
}
