//! Records to lines and back, each checked against the one before. Pure: bytes in, bytes out.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use gondola_protocol::text::{self, serde_as_text};
use gondola_protocol::{Moment, StoreId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::Entry;

/// Longest line of a journal without its newline.
///
/// Four times the largest message that a source may send (1 MiB), so that nothing which came in from
/// outside fails to go on disk, and a file that lost its newlines is not read into memory whole.
pub const LINE_MAX: usize = 4 << 20;

/// What stands between a record's entry and its hash.
const HASH_OPEN: &[u8] = br#","hash":""#;

/// What stands after a record's hash.
const HASH_CLOSE: &[u8] = br#""}"#;

/// Hexadecimal digits of a hash.
const HASH_DIGITS: usize = 64;

/// A BLAKE3 hash, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash32(pub [u8; 32]);

/// A text that is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not {HASH_DIGITS} lower-case hexadecimal digits")]
pub struct HashError;

impl Hash32 {
    /// The digits, without the formatter's detours: every line that is written or read has them.
    fn digits(self) -> [u8; HASH_DIGITS] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; HASH_DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        digits
    }
}

impl fmt::Display for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl FromStr for Hash32 {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        text::hex(text).map(Self).ok_or(HashError)
    }
}

serde_as_text!(Hash32);

impl fmt::Debug for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How far a journal goes: its newest record's number, which starts at 1, and that record's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Number of the record; 0 before the first.
    pub sequence: u64,
    /// Its hash, which covers every record before it as well.
    pub hash: Hash32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.sequence, self.hash)
    }
}

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the chain.
    pub position: Position,
    /// When it was decided.
    pub at: Moment,
    /// What was decided or proven.
    pub entry: Entry,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The file ends within the line.
    #[error("is torn: the file ends after {bytes} bytes of it, without a newline")]
    Torn {
        /// Bytes of it that are there.
        bytes: u64,
    },
    /// No record is that long.
    #[error("is longer than {LINE_MAX} bytes")]
    TooLong,
    /// The end of the line has another form.
    #[error("does not end in `,\"hash\":\"<64 hexadecimal digits>\"}}`")]
    NoHash,
    /// The line is not what was written, or not after this predecessor.
    #[error("was changed, or its predecessor was: its hash should be {expected}")]
    Hash {
        /// The hash of what stands in the line after its predecessor.
        expected: Hash32,
    },
    /// The chain is whole, but the numbers are not: a writer's mistake.
    #[error("calls itself record {found}")]
    Sequence {
        /// The number in the line.
        found: u64,
    },
    /// The chain is whole, but the record says nothing that is understood.
    #[error("is not understood: {reason}")]
    Unknown {
        /// What the JSON reader said.
        reason: String,
    },
    /// The file could not be read that far.
    #[error("could not be read: {reason}")]
    Unreadable {
        /// What the operating system said.
        reason: String,
    },
    /// The first line of a segment is not what it should be.
    #[error("should be in a segment that begins with its header, but {reason}")]
    Header {
        /// What is wrong with it.
        reason: String,
    },
    /// No file holds the record, although a later one exists.
    #[error("is missing: what is there goes on with record {next}")]
    Missing {
        /// The first record that is there.
        next: u64,
    },
    /// The segment goes on behind another one's beginning, or the checkpoint is of another journal.
    #[error("has the hash {found}, but {expected} stands where the journal goes on from it")]
    Fork {
        /// The record's hash.
        found: Hash32,
        /// The hash that its successor hangs on.
        expected: Hash32,
    },
}

/// The state that the next line hangs on: what the newest record is.
#[derive(Debug, Clone)]
pub struct Chain {
    head: Position,
}

/// The part of a line that the hash covers.
#[derive(Deserialize)]
struct Line {
    sequence: u64,
    at: Timestamp,
    entry: Entry,
}

impl Chain {
    /// The empty chain of a store.
    #[must_use]
    pub fn new(store: &StoreId) -> Self {
        let hash = blake3::hash(format!("gondola journal, format 1, store {store}").as_bytes());
        Self { head: Position { sequence: 0, hash: Hash32(*hash.as_bytes()) } }
    }

    /// The chain behind a record.
    #[must_use]
    pub const fn after(head: Position) -> Self {
        Self { head }
    }

    /// The newest record.
    #[must_use]
    pub const fn head(&self) -> Position {
        self.head
    }

    /// Adds one record to the chain, and its line with a newline to `out`.
    pub fn write(&mut self, at: Moment, entry: &Entry, out: &mut Vec<u8>) {
        const INFALLIBLE: &str = "writing to a Vec does not fail";
        let start = out.len();
        let sequence = self.head.sequence + 1;
        write!(out, r#"{{"sequence":{sequence},"at":"{:.6}","entry":"#, timestamp(at)).expect(INFALLIBLE);
        serde_json::to_writer(&mut *out, entry).expect("an entry is strings, numbers and lists of them");
        let hash = self.link(&out[start..]);
        out.extend_from_slice(HASH_OPEN);
        out.extend_from_slice(&hash.digits());
        out.extend_from_slice(HASH_CLOSE);
        out.push(b'\n');
        self.head = Position { sequence, hash };
    }

    /// Checks one line, without its newline, and adds its record to the chain.
    ///
    /// # Errors
    /// What is wrong with the line; the chain stays as it was.
    pub fn read(&mut self, line: &[u8]) -> Result<Record, Flaw> {
        let hash = self.check(line)?;
        let unknown = |reason: String| Flaw::Unknown { reason };
        let Line { sequence, at, entry } = serde_json::from_slice(line).map_err(|e| unknown(e.to_string()))?;
        if sequence != self.head.sequence + 1 {
            return Err(Flaw::Sequence { found: sequence });
        }
        let micros = u64::try_from(at.as_microsecond()).map_err(|_| unknown(format!("{at} is before 1970")))?;
        self.head = Position { sequence, hash };
        Ok(Record { position: self.head, at: Moment::from_micros(micros), entry })
    }

    /// Checks one line by its hash alone, and adds its record to the chain without reading it. Of a line with the
    /// right hash only its writer could have made the number wrong; [`Self::read`] finds that.
    ///
    /// # Errors
    /// What is wrong with the line; the chain stays as it was.
    pub fn pass(&mut self, line: &[u8]) -> Result<Position, Flaw> {
        let hash = self.check(line)?;
        self.head = Position { sequence: self.head.sequence + 1, hash };
        Ok(self.head)
    }

    fn check(&self, line: &[u8]) -> Result<Hash32, Flaw> {
        let (covered, digits) = split(line).ok_or(Flaw::NoHash)?;
        let hash = self.link(covered);
        // Compared as text: one form for each hash, so that a changed letter's case is a change, too.
        if hash.digits() == digits { Ok(hash) } else { Err(Flaw::Hash { expected: hash }) }
    }

    fn link(&self, covered: &[u8]) -> Hash32 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.head.hash.0);
        hasher.update(covered);
        Hash32(*hasher.finalize().as_bytes())
    }
}

/// What the hash covers, and the hash's digits.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_suffix(HASH_CLOSE)?;
    let (line, digits) = line.split_at_checked(line.len().checked_sub(HASH_DIGITS)?)?;
    Some((line.strip_suffix(HASH_OPEN)?, digits))
}

/// The moment in the calendar, which ends with the year 9999: what lies beyond stands at its end.
pub(super) fn timestamp(at: Moment) -> Timestamp {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use gondola_protocol::LabelId;

    use super::*;

    fn store() -> StoreId {
        "hz-001".parse().unwrap()
    }

    fn removed(label: u64) -> Entry {
        Entry::Removed { label: LabelId(label) }
    }

    fn line(chain: &mut Chain, at: Moment, entry: &Entry) -> String {
        let mut out = Vec::new();
        chain.write(at, entry, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Pinned: journals on disk are checked by later versions. Do not change.
    const PINNED: [&str; 3] = [
        "0 (0ba70e153be546a9c70abf2fe6aca13ac4f9160c9569d901f49eab2dc15f13f5)",
        concat!(
            r#"{"sequence":1,"at":"2026-11-24T16:00:00.000001Z","entry":{"kind":"removed","label":"000000000000021B"},"#,
            r#""hash":"46965baea0d72a16a5d486ba9e91e99dc9eace07da71d23c1a50d86cc7ab70ec"}"#,
            "\n"
        ),
        concat!(
            r#"{"sequence":2,"at":"2026-11-24T16:00:00.000001Z","entry":{"kind":"removed","label":"000000000000021B"},"#,
            r#""hash":"e00e1787f0002ac2b5a35a041a9a5686860a27155f5cfbfe6e34ae0376343027"}"#,
            "\n"
        ),
    ];

    #[test]
    fn lines_are_pinned() {
        let mut chain = Chain::new(&store());
        let at = Moment::from_micros(1_795_536_000_000_001);
        let start = chain.head().to_string();
        let [first, second] = [0; 2].map(|_| line(&mut chain, at, &removed(0x21B)));
        assert_eq!([start, first, second], PINNED);
    }

    #[test]
    fn what_was_written_is_read() {
        for at in [0, 999_999, 1_795_536_000_000_001].map(Moment::from_micros) {
            let (mut writing, mut reading) = (Chain::new(&store()), Chain::new(&store()));
            for label in 1..=3 {
                let text = line(&mut writing, at, &removed(label));
                let record = reading.read(text.trim_end().as_bytes()).unwrap();
                assert_eq!(record, Record { position: writing.head(), at, entry: removed(label) });
            }
        }
    }

    #[test]
    fn a_moment_beyond_the_calendar_is_readable() {
        let text = line(&mut Chain::new(&store()), Moment::from_micros(u64::MAX), &removed(1));
        assert!(text.contains("9999-12-30"), "{text}");
        assert!(Chain::new(&store()).read(text.trim_end().as_bytes()).is_ok());
    }

    /// What `read` says to a body that carries its right hash.
    #[track_caller]
    fn check(body: &str, expected: &str) {
        let mut chain = Chain::new(&store());
        let hash = chain.link(body.as_bytes());
        let flaw = chain.read(format!(r#"{body},"hash":"{hash}"}}"#).as_bytes()).unwrap_err();
        assert!(flaw.to_string().starts_with(expected), "{flaw}");
        assert_eq!(chain.head(), Chain::new(&store()).head());
    }

    #[test]
    fn a_whole_hash_does_not_excuse_the_rest() {
        let removed = r#""entry":{"kind":"removed","label":"000000000000021B"}"#;
        check(&format!(r#"{{"sequence":2,"at":"2026-11-25T00:00:00Z",{removed}"#), "calls itself record 2");
        check(&format!(r#"{{"sequence":1,"at":"1969-11-25T00:00:00Z",{removed}"#), "is not understood: 1969");
        check(r#"{"sequence":1,"at":"2026-11-25T00:00:00Z","entry":{"kind":"new"}"#, "is not understood: unknown var");
        check("", "is not understood: expected value");
    }

    #[test]
    fn another_store_is_another_chain() {
        let text = line(&mut Chain::new(&store()), Moment::ZERO, &removed(1));
        let flaw = Chain::new(&"hz-002".parse().unwrap()).read(text.trim_end().as_bytes()).unwrap_err();
        assert!(matches!(flaw, Flaw::Hash { .. }), "{flaw}");
        assert_eq!(Chain::new(&store()).read(b"{}"), Err(Flaw::NoHash));
    }
}
