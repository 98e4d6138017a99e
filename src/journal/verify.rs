//! A whole journal, streamed over its segments: every record in order, or the first one that is broken.

use std::collections::VecDeque;
use std::sync::Arc;

use gondola_protocol::StoreId;

use super::chain::{Chain, Flaw, Position, Record};
use super::checkpoint::Checkpoint;
use super::directory::Directory;
use super::segment::{self, Contents, Lines, Segment};

/// A journal that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many records were checked.
    pub records: u64,
    /// The oldest record that is kept; 1 while none was dropped for its age.
    pub first: u64,
    /// How many files they are in.
    pub segments: usize,
    /// The record up to which a checkpoint says what all records come to; none while there is none.
    pub checkpoint: Option<u64>,
    /// Its newest record.
    pub head: Position,
}

/// The first record of a journal that does not verify. All before it do; nothing is known of those after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {sequence} ({file}, line {line}, from byte {offset}) {flaw}")]
pub struct Broken {
    /// The number that the record should have.
    pub sequence: u64,
    /// The file that it should be in.
    pub file: String,
    /// The line in the file, from 1.
    pub line: u64,
    /// Where the line begins, in bytes of the uncompressed text.
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
            Flaw::Unreadable { .. } => {
                "check the disk and the file's permissions; if the file is damaged, restore a copy of it".to_owned()
            }
            Flaw::Missing { .. } => format!(
                "files were removed from the journal's directory; restore a copy that holds record {}",
                self.sequence
            ),
            Flaw::TooLong
            | Flaw::NoHash
            | Flaw::Hash { .. }
            | Flaw::Sequence { .. }
            | Flaw::Header { .. }
            | Flaw::Fork { .. } => format!(
                "the file was changed after it was written; keep it as it is and restore a copy that holds record {}",
                self.sequence
            ),
        }
    }
}

/// The records of a journal, in order; after the first broken one it ends.
#[derive(Debug)]
pub struct Records {
    directory: Arc<dyn Directory>,
    store: StoreId,
    segments: VecDeque<Segment>,
    reading: Option<(Segment, Lines)>,
    /// The chain as far as it was read; none before the first segment is open.
    chain: Option<Chain>,
    ended: bool,
}

impl Records {
    /// Reads a store's journal from the oldest record that is kept.
    ///
    /// # Errors
    /// The directory's, if it cannot be listed.
    pub fn new(directory: Arc<dyn Directory>, store: &StoreId) -> std::io::Result<Self> {
        Self::from(directory, store, 1)
    }

    /// Reads from the beginning of the segment that should hold `sequence`.
    ///
    /// # Errors
    /// The directory's, if it cannot be listed.
    pub fn from(directory: Arc<dyn Directory>, store: &StoreId, sequence: u64) -> std::io::Result<Self> {
        let mut segments: VecDeque<Segment> = Contents::of(directory.as_ref())?.segments.into();
        while segments.get(1).is_some_and(|next| next.first <= sequence) {
            segments.pop_front();
        }
        Ok(Self { directory, store: store.clone(), segments, reading: None, chain: None, ended: false })
    }

    /// Reads what comes after `position`, which must be in the journal as it is there.
    ///
    /// # Errors
    /// A journal that has another record in its place, or lacks it.
    pub fn behind(directory: Arc<dyn Directory>, store: &StoreId, position: Position) -> Result<Self, Broken> {
        let sequence = position.sequence;
        let mut records = Self::from(directory, store, sequence + 1).map_err(|error| unreadable(&error))?;
        records.skip_to(position).map_err(|flaw| records.broken(flaw)).map(|()| records)
    }

    fn skip_to(&mut self, position: Position) -> Result<(), Flaw> {
        let missing = Flaw::Missing { next: position.sequence + 1 };
        self.open_next()?;
        loop {
            let (Some((_, lines)), Some(chain)) = (&mut self.reading, &mut self.chain) else { return Err(missing) };
            let head = chain.head();
            if head.sequence > position.sequence {
                return Err(Flaw::Missing { next: head.sequence + 1 });
            }
            if head.sequence == position.sequence {
                let fork = Flaw::Fork { found: head.hash, expected: position.hash };
                return if head.hash == position.hash { Ok(()) } else { Err(fork) };
            }
            let Some(line) = lines.next()? else { return Err(missing) };
            chain.pass(line)?;
            lines.take();
        }
    }

    /// How far the journal was read; none while nothing was.
    #[must_use]
    pub fn head(&self) -> Option<Position> {
        self.chain.as_ref().map(Chain::head)
    }

    /// The segment that is being read, and where its next line begins.
    pub(super) fn place(&self) -> Option<(Segment, u64)> {
        self.reading.as_ref().map(|(segment, lines)| (*segment, lines.offset))
    }

    /// Ends with the segment that it begins with.
    pub(super) fn only_first_segment(&mut self) {
        self.segments.truncate(1);
    }

    /// The next record that `wanted` says yes to, from its line; the others are only checked by their hashes.
    pub(super) fn find(&mut self, mut wanted: impl FnMut(&[u8]) -> bool) -> Option<Result<Record, Broken>> {
        if self.ended {
            return None;
        }
        let found = self.advance(&mut wanted).transpose();
        self.ended = !matches!(found, Some(Ok(_)));
        found.map(|read| read.map_err(|flaw| self.broken(flaw)))
    }

    fn advance(&mut self, wanted: &mut dyn FnMut(&[u8]) -> bool) -> Result<Option<Record>, Flaw> {
        loop {
            let (Some((_, lines)), Some(chain)) = (&mut self.reading, &mut self.chain) else {
                if self.open_next()? {
                    continue;
                }
                return Ok(None);
            };
            match lines.next() {
                Ok(Some(line)) if wanted(line) => {
                    let record = chain.read(line)?;
                    lines.take();
                    return Ok(Some(record));
                }
                Ok(Some(line)) => {
                    chain.pass(line)?;
                    lines.take();
                }
                Ok(None) if self.segments.is_empty() => return Ok(None),
                Ok(None) => {
                    if !self.open_next()? {
                        return Ok(None);
                    }
                }
                // Only the newest segment can end within a line.
                Err(Flaw::Torn { .. }) if !self.segments.is_empty() => {
                    return Err(Flaw::Missing { next: self.segments[0].first });
                }
                Err(flaw) => return Err(flaw),
            }
        }
    }

    /// Opens the next segment, which must go on where the one before ended. Answers whether there is one.
    fn open_next(&mut self) -> Result<bool, Flaw> {
        let Some(segment) = self.segments.pop_front() else { return Ok(false) };
        let (lines, chain) = match segment::read(self.directory.as_ref(), &self.store, segment) {
            Ok(read) => read,
            Err(flaw) => {
                self.reading = Some((segment, Lines::new(Box::new(std::io::empty()), segment.form)));
                self.chain.get_or_insert(Chain::after(Position {
                    sequence: segment.first - 1,
                    hash: Chain::new(&self.store).head().hash,
                }));
                return Err(flaw);
            }
        };
        if let Some(before) = self.head() {
            let next = chain.head();
            if next.sequence != before.sequence {
                return Err(Flaw::Missing { next: segment.first });
            }
            if next.hash != before.hash {
                return Err(Flaw::Fork { found: before.hash, expected: next.hash });
            }
        }
        self.reading = Some((segment, lines));
        self.chain = Some(chain);
        Ok(true)
    }

    fn broken(&self, flaw: Flaw) -> Broken {
        let head = self.head().map_or(0, |head| head.sequence);
        // A fork is in the record itself, which its own file found to be in order.
        let sequence = if let Flaw::Fork { .. } = flaw { head } else { head + 1 };
        let (file, line, offset) = match &self.reading {
            Some((segment, lines)) => (segment.name(), lines.taken + 1, lines.offset),
            None => (String::new(), 1, 0),
        };
        Broken { sequence, file, line, offset, flaw }
    }
}

impl Iterator for Records {
    type Item = Result<Record, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        self.find(|_| true)
    }
}

/// Reads a whole journal and checks every record, and that its newest checkpoint is whole and of this chain.
///
/// # Errors
/// The first record that is broken; a torn last line is one, too.
pub fn verify(directory: Arc<dyn Directory>, store: &StoreId) -> Result<Verified, Broken> {
    // Before the segments are listed: a newer one would cover records of segments that are not in the list.
    let contents = Contents::of(directory.as_ref()).map_err(|error| unreadable(&error))?;
    let checkpoint = newest_checkpoint(directory.as_ref(), store, &contents)?;
    let mut records = Records::new(directory, store).map_err(|error| unreadable(&error))?;
    let segments = records.segments.len();
    let first = records.segments.front().map_or(1, |segment| segment.first);
    for record in &mut records {
        let position = record?.position;
        if let Some(covered) = checkpoint.filter(|covered| covered.sequence == position.sequence)
            && covered.hash != position.hash
        {
            return Err(records.broken(Flaw::Fork { found: position.hash, expected: covered.hash }));
        }
    }
    let head = records.head().unwrap_or(Chain::new(store).head());
    if let Some(covered) = checkpoint.filter(|covered| covered.sequence > head.sequence) {
        return Err(records.broken(Flaw::Missing { next: covered.sequence + 1 }));
    }
    let checkpoint = checkpoint.map(|covered| covered.sequence);
    Ok(Verified { records: head.sequence + 1 - first, first, segments, checkpoint, head })
}

fn newest_checkpoint(
    directory: &dyn Directory,
    store: &StoreId,
    contents: &Contents,
) -> Result<Option<Position>, Broken> {
    let Some(sequence) = contents.checkpoints.last() else { return Ok(None) };
    let read = Checkpoint::read(directory, store, *sequence);
    read.map(|checkpoint| Some(checkpoint.covered.position)).map_err(|error| {
        let (file, flaw) = (error.name, Flaw::Unreadable { reason: error.reason });
        Broken { sequence: *sequence, file, line: 1, offset: 0, flaw }
    })
}

/// A directory that cannot be read at all.
pub(super) fn unreadable(error: &std::io::Error) -> Broken {
    let flaw = Flaw::Unreadable { reason: error.to_string() };
    Broken { sequence: 1, file: ".".to_owned(), line: 1, offset: 0, flaw }
}
