//! Finds what a radio says among the text that it mutters.
//!
//! There is no length and no escaping: a token begins a message wherever it stands, and a message whose checksum is
//! wrong was none, so that the search goes on one byte behind its beginning. It reads no clock: that a message does not
//! end is for its owner to notice.

use gondola_protocol::LabelId;

use super::wire::{Info, Reply, Report, Said, Version, checksum, label_at};

/// Bytes of a token.
const TOKEN: usize = 4;

/// Where the length of a label's own message stands, and what comes in addition to it.
const RETURNED_LENGTH_AT: usize = 9;
const RETURNED_MORE: usize = 10;

/// What follows a token.
#[derive(Clone, Copy)]
enum Body {
    /// Nothing.
    Empty(Said),
    /// A struct of so many bytes, the first of which is its checksum.
    Struct(usize, fn(&[u8]) -> Option<Said>),
    /// A number in so many digits of this radix.
    Number(usize, u32, fn(u64) -> Option<Info>),
    /// A label's own message, which says how long it is.
    Returned,
}

/// Every token with what follows it.
const TOKENS: [(&[u8; TOKEN], Body); 18] = [
    (b"ACK>", Body::Empty(Said::Reply(Reply::Ack))),
    (b"NOK>", Body::Empty(Said::Reply(Reply::Nok))),
    (b"NOQ>", Body::Empty(Said::Reply(Reply::Full))),
    (b"RES>", Body::Empty(Said::Booted)),
    (b"RDY>", Body::Empty(Said::Booted)),
    (b"ADR>", Body::Struct(30, check_in)),
    (b"RQB>", Body::Struct(18, block_request)),
    (b"XFC>", Body::Struct(9, |bytes| label_at(bytes, 1).map(Said::Complete))),
    (b"XTO>", Body::Struct(9, |bytes| label_at(bytes, 1).map(Said::TimedOut))),
    (b"TRD>", Body::Returned),
    (b"TYP>", Body::Number(2, 16, |value| byte(value).map(Info::Radio))),
    (b"VER>", Body::Number(4, 16, |value| u16::try_from(value).ok().map(Info::Firmware))),
    (b"MAC>", Body::Number(16, 16, |value| Some(Info::Address(value)))),
    (b"ZCH>", Body::Number(2, 16, |value| byte(value).map(Info::Channel))),
    // The sub-GHz channel, which we never use.
    (b"SCH>", Body::Number(3, 10, |_| None)),
    (b"ZPW>", Body::Number(2, 16, |value| byte(value).map(Info::Power))),
    (b"PEN>", Body::Number(2, 16, |value| byte(value).map(Info::SlotsWithData))),
    (b"NOP>", Body::Number(2, 16, |value| byte(value).map(Info::SlotsWithout))),
];

/// What was read of a line, as far as it is not understood yet.
#[derive(Debug, Default)]
pub struct Reader {
    /// Begins with a token whose message is not complete, or holds less than a token. Between two calls it has at most
    /// 269 bytes, the longest message.
    rest: Vec<u8>,
}

impl Reader {
    /// Takes bytes in any pieces, and hands on what they say.
    pub fn read(&mut self, bytes: &[u8], mut say: impl FnMut(Said)) {
        self.rest.extend_from_slice(bytes);
        let used = scan(&self.rest, &mut say);
        self.rest.drain(..used);
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub fn is_within_message(&self) -> bool {
        self.rest.len() >= TOKEN
    }

    /// The message that has begun does not end: what looked like its beginning was none.
    pub fn give_up_message(&mut self, mut say: impl FnMut(Said)) {
        while self.is_within_message() {
            self.rest.remove(0);
            let used = scan(&self.rest, &mut say);
            self.rest.drain(..used);
        }
    }
}

/// Hands on every message in `bytes`, and answers how many of them are done with.
fn scan(bytes: &[u8], say: &mut impl FnMut(Said)) -> usize {
    let mut at = 0;
    while let Some((token, rest)) = bytes[at..].split_first_chunk::<TOKEN>() {
        let Some((_, body)) = TOKENS.iter().find(|(known, _)| *known == token) else {
            at += 1;
            continue;
        };
        match body.read(rest) {
            Found::Message(length, said) => {
                said.into_iter().for_each(&mut *say);
                at += TOKEN + length;
            }
            Found::Nothing => at += 1,
            Found::More => break,
        }
    }
    at
}

/// What stands behind a token.
enum Found {
    /// A message of so many bytes; it may be one that says nothing to us.
    Message(usize, Option<Said>),
    /// No message.
    Nothing,
    /// The beginning of one.
    More,
}

impl Body {
    fn read(self, bytes: &[u8]) -> Found {
        match self {
            Self::Empty(said) => Found::Message(0, Some(said)),
            Self::Struct(length, decode) => checked(bytes, length, decode),
            Self::Number(digits, radix, decode) => {
                let Some(text) = bytes.get(..digits) else {
                    // Text that is no number is not waited for.
                    let is_number = bytes.iter().all(|digit| char::from(*digit).is_digit(radix));
                    return if is_number { Found::More } else { Found::Nothing };
                };
                let digits = str::from_utf8(text).ok().filter(|text| text.chars().all(|digit| digit.is_digit(radix)));
                match digits.and_then(|text| u64::from_str_radix(text, radix).ok()) {
                    Some(value) => Found::Message(text.len(), decode(value).map(Said::Info)),
                    None => Found::Nothing,
                }
            }
            Self::Returned => match bytes.get(RETURNED_LENGTH_AT) {
                Some(length) => {
                    let decode = |bytes: &[u8]| label_at(bytes, 1).map(Said::Returned);
                    checked(bytes, usize::from(*length) + RETURNED_MORE, decode)
                }
                None => Found::More,
            },
        }
    }
}

fn checked(bytes: &[u8], length: usize, decode: fn(&[u8]) -> Option<Said>) -> Found {
    match bytes.get(..length) {
        Some(bytes) if checksum(bytes) == bytes[0] => Found::Message(length, decode(bytes)),
        Some(_) => Found::Nothing,
        None => Found::More,
    }
}

fn check_in(bytes: &[u8]) -> Option<Said> {
    Report::decode(bytes).map(Said::CheckIn)
}

fn block_request(bytes: &[u8]) -> Option<Said> {
    let LabelId(version) = label_at(bytes, 1)?;
    Some(Said::BlockRequest { label: label_at(bytes, 10)?, version: Version(version), block: *bytes.get(9)? })
}

fn byte(value: u64) -> Option<u8> {
    u8::try_from(value).ok()
}
