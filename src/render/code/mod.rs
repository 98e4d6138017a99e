//! Codes for scanners: what they say as dark modules, with the light that must stand around them.
//!
//! Nothing here is drawn; a code that would not scan is refused with the reason.

mod linear;
mod matrix;
mod qr;

use std::ops::Range;
use std::rc::Rc;

use hashbrown::{Equivalent, HashMap};

use super::text::Room;
use crate::template::scene::Code;
use crate::template::style::{Digits, Level, Symbology};

pub(super) use linear::Bars;
pub(super) use matrix::Squares;

/// Most codes kept, each some 500 bytes for bars and 3 KiB for squares with their masks: 12 MB at most. A full
/// memory is emptied: a code costs 1 µs for bars and some 20 µs for a QR code.
const CODES_MAX: usize = 4_096;

/// Rows of a code's digits, and of the light between them and the bars.
const DIGITS_ROWS: i32 = 10;
/// Fewest rows of bars: a hand scanner's beam needs some 2.5 mm, at 4.5 pixels each.
const BARS_ROWS_MIN: i32 = 12;
/// Rows of bars of a code that does not say its height.
const BARS_ROWS: i32 = 22;

/// Why something cannot be printed as a code that scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum CodeError {
    /// Not the digits that the symbology has.
    #[error("{0}")]
    Shape(&'static str),
    /// Another check digit.
    #[error("its check digit is {found}, and {expected} by the others")]
    CheckDigit {
        /// The last digit.
        found: u8,
        /// What it must be.
        expected: u8,
    },
    /// A character that the symbology does not have.
    #[error("Code 128 has no `{0}`")]
    Character(char),
    /// More than the symbology holds.
    #[error("it is longer than the symbology holds")]
    Long,
    /// The element is too small.
    #[error("with the light around it, it needs {needed} pixels and has {room}")]
    Room {
        /// Pixels that the code needs.
        needed: i32,
        /// Pixels that the element has.
        room: i32,
    },
}

/// An encoded code.
#[derive(Debug)]
pub(super) enum Encoded {
    Bars(Bars),
    Squares(Squares),
}

/// How a code is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Printed {
    /// Pixels of the narrowest bar or of a square.
    pub(super) module: u16,
    pub(super) digits: Digits,
}

/// The codes that were encoded before.
#[derive(Debug, Default)]
pub(super) struct Codes {
    encoded: HashMap<Key, Result<Rc<Encoded>, CodeError>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    content: String,
    symbology: Symbology,
    level: Level,
}

#[derive(Hash)]
struct Asked<'a> {
    content: &'a str,
    symbology: Symbology,
    level: Level,
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.content == key.content && self.symbology == key.symbology && self.level == key.level
    }
}

impl Codes {
    /// What a code says as modules.
    pub(super) fn encoded(&mut self, code: &Code) -> Result<Rc<Encoded>, CodeError> {
        let asked = Asked { content: &code.content, symbology: code.symbology, level: code.level };
        if let Some(encoded) = self.encoded.get(&asked) {
            return encoded.clone();
        }
        if self.encoded.len() >= CODES_MAX {
            self.encoded.clear();
        }
        let encoded = encode(code).map(Rc::new);
        let key = Key { content: code.content.clone(), symbology: code.symbology, level: code.level };
        self.encoded.insert(key, encoded.clone());
        encoded
    }
}

fn encode(code: &Code) -> Result<Encoded, CodeError> {
    match code.symbology {
        Symbology::Ean13 => linear::ean_13(&code.content).map(Encoded::Bars),
        Symbology::Ean8 => linear::ean_8(&code.content).map(Encoded::Bars),
        Symbology::Upca => linear::upc_a(&code.content).map(Encoded::Bars),
        Symbology::Code128 => linear::code_128(&code.content).map(Encoded::Bars),
        Symbology::Qr => matrix::qr(&code.content, code.level).map(Encoded::Squares),
        Symbology::DataMatrix => matrix::data_matrix(&code.content).map(Encoded::Squares),
    }
}

impl Encoded {
    /// Columns with the light at both sides, and the fewest rows.
    pub(super) fn size(&self, printed: Printed) -> (i32, i32) {
        let module = i32::from(printed.module);
        match self {
            Self::Bars(bars) => (bars.width() * module, BARS_ROWS_MIN + printed.digits_rows()),
            Self::Squares(squares) => (squares.side() * module, squares.side() * module),
        }
    }

    /// Columns and rows of a code that is free to be as large as it likes in a room.
    pub(super) fn wanted(&self, code: &Code, room: Room) -> (i32, i32) {
        let least = Printed { module: code.module.smallest, digits: code.digits };
        let printed = self.printed(code, room).unwrap_or(least);
        let (width, height) = self.size(printed);
        match self {
            Self::Bars(_) => (width, BARS_ROWS * i32::from(printed.module) + printed.digits_rows()),
            Self::Squares(_) => (width, height),
        }
    }

    /// How a code is printed in a room: with the largest module that has room, and without its digits before it
    /// is not printed at all.
    pub(super) fn printed(&self, code: &Code, room: Room) -> Result<Printed, CodeError> {
        let beyond = |needed: i32, room: Option<i32>| {
            room.filter(|room| needed > *room).map(|room| CodeError::Room { needed, room })
        };
        let mut refusal = None;
        for digits in [code.digits, Digits::None] {
            for module in (code.module.smallest..=code.module.largest).rev() {
                let printed = Printed { module, digits };
                let (width, height) = self.size(printed);
                match beyond(width, room.width).or(beyond(height, room.height)) {
                    None => return Ok(printed),
                    lacking => refusal = lacking,
                }
            }
        }
        Err(refusal.expect("a code has one module at least"))
    }
}

/// The runs of dark modules in a row.
fn runs(modules: &[bool]) -> impl Iterator<Item = Range<i32>> + '_ {
    let mut end = 0;
    modules.chunk_by(bool::eq).filter_map(move |run| {
        let start = end;
        end += count(run);
        run[0].then_some(start..end)
    })
}

fn count<T>(items: &[T]) -> i32 {
    i32::try_from(items.len()).expect("a code has some thousand modules")
}

impl Printed {
    /// Rows of the digits under the bars.
    pub(super) fn digits_rows(self) -> i32 {
        match self.digits {
            Digits::Below => DIGITS_ROWS * i32::from(self.digits_scale()),
            Digits::None => 0,
        }
    }

    /// How often the 12-pixel digits are enlarged.
    pub(super) fn digits_scale(self) -> u16 {
        self.module.div_ceil(2)
    }
}
