//! A whole journal, streamed: every record in order, or the first one that is broken.

use std::io::{BufRead, Read};

use gondola_protocol::StoreId;

use super::chain::{Chain, Flaw, LINE_MAX, Position, Record};

/// A journal that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many records it has.
    pub records: u64,
    /// Its newest record.
    pub head: Position,
}

/// The first record of a journal that does not verify. All before it do; nothing is known of those after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {sequence} (line {line}, from byte {offset}) {flaw}")]
pub struct Broken {
    /// The number that the record should have.
    pub sequence: u64,
    /// The line in the file, from 1.
    pub line: u64,
    /// Where the line begins, in bytes.
    pub offset: u64,
    /// What is wrong with it.
    pub flaw: Flaw,
}

impl Broken {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.flaw {
            Flaw::Torn { .. } => {
                "a write was interrupted; it was never acknowledged, and the next start removes it".to_owned()
            }
            Flaw::Hash { .. } if self.sequence == 1 => {
                "is this the journal of another store? otherwise restore it from a copy".to_owned()
            }
            Flaw::Unknown { .. } => "its hash is right: was it written by a newer gondola? use that version".to_owned(),
            Flaw::Unreadable { .. } => "check the disk and the file's permissions".to_owned(),
            Flaw::TooLong | Flaw::NoHash | Flaw::Hash { .. } | Flaw::Sequence { .. } => format!(
                "the file was changed after it was written; keep it as it is and restore a copy that holds record {}",
                self.sequence
            ),
        }
    }
}

/// The records of a journal, in order; after the first broken one it ends.
#[derive(Debug)]
pub struct Records<R> {
    reader: R,
    chain: Chain,
    offset: u64,
    line: Vec<u8>,
    ended: bool,
}

impl<R: BufRead> Records<R> {
    /// Reads a store's journal from its first byte.
    pub fn new(reader: R, store: &StoreId) -> Self {
        Self { reader, chain: Chain::new(store), offset: 0, line: Vec::new(), ended: false }
    }

    /// The chain as far as it was read.
    pub fn into_chain(self) -> Chain {
        self.chain
    }

    fn read(&mut self) -> Result<Option<Record>, Flaw> {
        self.line.clear();
        let line_max = LINE_MAX as u64 + 1;
        let read = (&mut self.reader).take(line_max).read_until(b'\n', &mut self.line);
        let bytes = read.map_err(|e| Flaw::Unreadable { reason: e.to_string() })? as u64;
        if bytes == 0 {
            return Ok(None);
        }
        match self.line.strip_suffix(b"\n") {
            Some(line) => {
                let record = self.chain.read(line)?;
                self.offset += bytes;
                Ok(Some(record))
            }
            None if bytes == line_max => Err(Flaw::TooLong),
            None => Err(Flaw::Torn { bytes }),
        }
    }
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<Record, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next.map(|read| {
            let sequence = self.chain.head().sequence + 1;
            read.map_err(|flaw| Broken { sequence, line: sequence, offset: self.offset, flaw })
        })
    }
}

/// Reads a whole journal and checks every record.
///
/// # Errors
/// The first record that is broken; a torn last line is one, too.
pub fn verify(reader: impl BufRead, store: &StoreId) -> Result<Verified, Broken> {
    let mut records = Records::new(reader, store);
    records.try_for_each(|record| record.map(drop))?;
    let head = records.into_chain().head();
    Ok(Verified { records: head.sequence, head })
}

#[cfg(test)]
mod tests {
    use gondola_protocol::{LabelId, Moment};
    use proptest::prelude::*;

    use super::*;
    use crate::journal::Entry;

    fn store() -> StoreId {
        "hz-001".parse().unwrap()
    }

    /// A journal of `count` records that differ in length.
    fn journal(count: u64) -> (Vec<u8>, Position) {
        let mut chain = Chain::new(&store());
        let mut bytes = Vec::new();
        for label in 1..=count {
            let skus = (0..label % 4).map(|sku| sku.to_string().parse().unwrap()).collect();
            let entry = Entry::Bound { label: LabelId(label), skus, template: None };
            chain.write(Moment::from_secs(label), &entry, &mut bytes);
        }
        (bytes, chain.head())
    }

    #[test]
    fn a_whole_journal_verifies() {
        for count in [0, 1, 7] {
            let (bytes, head) = journal(count);
            assert_eq!(verify(&bytes[..], &store()), Ok(Verified { records: count, head }));
        }
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let broken = verify(bytes, &store()).unwrap_err();
        assert_eq!(format!("{broken}; {}", broken.hint()), expected);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let (bytes, _) = journal(2);
        let second = bytes.iter().position(|&b| b == b'\n').unwrap() + 1;
        check(
            &bytes[..bytes.len() - 1],
            &format!(
                "record 2 (line 2, from byte {second}) is torn: the file ends after {} bytes of it, without a newline; \
                 a write was interrupted; it was never acknowledged, and the next start removes it",
                bytes.len() - second - 1
            ),
        );
        check(
            &bytes[second..],
            &format!(
                "record 1 (line 1, from byte 0) {}; is this the journal of another store? otherwise restore it from \
                 a copy",
                Chain::new(&store()).read(bytes[second..].strip_suffix(b"\n").unwrap()).unwrap_err()
            ),
        );
        check(
            b"\n",
            "record 1 (line 1, from byte 0) does not end in `,\"hash\":\"<64 hexadecimal digits>\"}`; the file was \
             changed after it was written; keep it as it is and restore a copy that holds record 1",
        );
    }

    #[test]
    fn a_file_without_newlines_is_not_read_whole() {
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        assert_eq!(verify(endless, &store()).unwrap_err().flaw, Flaw::TooLong);
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_found_in_its_record(count in 1_u64..9, at: prop::sample::Index, flip in 1_u8..) {
            let (mut bytes, _) = journal(count);
            let at = at.index(bytes.len());
            let sequence = 1 + bytes[..at].iter().filter(|&&b| b == b'\n').count() as u64;
            bytes[at] ^= flip;
            prop_assert_eq!(verify(&bytes[..], &store()).unwrap_err().sequence, sequence);
        }

        #[test]
        fn any_missing_or_swapped_record_is_found(first in 0_usize..7, second in 0_usize..7) {
            let (bytes, _) = journal(8);
            let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
            let sequence = first.min(second) as u64 + 1;
            if first == second {
                lines.remove(first);
            } else {
                lines.swap(first, second);
            }
            prop_assert_eq!(verify(&lines.concat()[..], &store()).unwrap_err().sequence, sequence);
        }

        #[test]
        fn any_bytes_are_an_answer(bytes: Vec<u8>) {
            prop_assert_eq!(verify(&bytes[..], &store()).is_ok(), bytes.is_empty());
        }
    }
}
