//! Reading a journal beside its writer: what a label had proven around an instant.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gondola_protocol::{Digest, Edition, LabelId, Moment, StoreId};
use memchr::memmem::Finder;

use super::chain::{Position, Record};
use super::checkpoint::{Checkpoint, CheckpointError, Recalled};
use super::directory::Directory;
use super::entry::{Entry, Shown};
use super::open;
use super::segment::{Contents, Segment};
use super::verify::{Broken, Records};
use super::writer::JournalError;
use crate::template::RenderKey;

/// Reads a store's journal; clones read the same. Every record that is passed is checked on the way.
#[derive(Debug, Clone)]
pub struct JournalReader {
    directory: Arc<dyn Directory>,
    store: StoreId,
    /// The newest record that may be told of; none for a journal that nobody writes to.
    durable: Option<Arc<AtomicU64>>,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The directory cannot be listed.
    #[error("could not read the journal")]
    Io(#[from] io::Error),
    /// A record is not what was written.
    #[error("the journal does not verify")]
    Broken(#[from] Broken),
    /// A checkpoint is not what was written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// One proof of display, as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Its record.
    pub position: Position,
    /// When the label proved it.
    pub at: Moment,
    /// What the label computed from the planes it showed.
    pub digest: Digest,
    /// The edition that it reported.
    pub edition: Edition,
    /// The render key of the picture; none for a picture that is not ours.
    pub key: Option<RenderKey>,
    /// What the picture showed.
    pub shown: Vec<Shown>,
}

/// What a label had proven around an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proofs {
    /// The newest proof at the instant.
    pub holding: Proven,
    /// The last confirmation of that picture that is recorded: not before the proof itself. While the label goes on to
    /// confirm, the journal learns of it every few hours, and exactly once another picture is proven; until then the
    /// core knows more (`Reported::confirmed`).
    pub proven_until: Moment,
    /// The first proof of another picture after it.
    pub next: Option<Proven>,
    /// When the label was removed from the store, if it was before it proved another picture.
    pub removed: Option<Moment>,
}

impl JournalReader {
    /// Reads a journal that is there, up to what can be read of it.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>, store: &StoreId) -> Self {
        Self { directory, store: store.clone(), durable: None }
    }

    /// Reads up to the record that `durable` names at the time.
    pub(super) fn up_to(directory: Arc<dyn Directory>, store: &StoreId, durable: Arc<AtomicU64>) -> Self {
        Self { directory, store: store.clone(), durable: Some(durable) }
    }

    /// Hands over what the journal comes to: its newest checkpoint and every record behind it, oldest first.
    ///
    /// # Errors
    /// As when it is opened.
    pub fn recall(&self, recalled: &mut dyn FnMut(Recalled)) -> Result<(), JournalError> {
        open::recall(&self.directory, &self.store, recalled).map(drop)
    }

    /// Every record that is kept, from the beginning of the segment that was written at `since` on: some are older.
    ///
    /// # Errors
    /// A journal that cannot be read that far.
    pub fn since(&self, since: Moment) -> Result<Records, ReadError> {
        let segments = Contents::of(self.directory.as_ref())?.segments;
        let before = self.written_until(&segments, since)?;
        self.records(segments.get(before.saturating_sub(1)).map_or(1, |segment| segment.first))
    }

    /// What `label` had proven at `at`: the proof that held then, until when the label confirmed it, and what it
    /// proved after. None where it had proven nothing, or was not of this store.
    ///
    /// Reads segments, newest first, from the one that was written at `at` until one tells of the label (a label that
    /// checks in is told of every few hours), then onwards until it proved another picture. One record is in memory at
    /// a time, and for a proof older than all of them a checkpoint; the time is that of decompressing what lies between.
    ///
    /// # Errors
    /// A journal that cannot be read that far.
    pub fn proofs_of(&self, label: LabelId, at: Moment) -> Result<Option<Proofs>, ReadError> {
        let contents = Contents::of(self.directory.as_ref())?;
        let segments = &contents.segments[..];
        let count = self.written_until(segments, at)?;
        for index in (0..count).rev() {
            let segment = segments[index];
            match self.newest_word(label, at, segment)? {
                None => {}
                Some(Word::Removed) => return Ok(None),
                Some(Word::Proof(holding)) => return self.follow(label, holding, segment.first).map(Some),
                Some(Word::Confirmed(proof)) => {
                    let holding = match self.proof_at(label, proof, segments)? {
                        Some(holding) => Some(holding),
                        None => self.recalled_proof(label, at, &contents.checkpoints)?,
                    };
                    return holding.map(|holding| self.follow(label, holding, segment.first)).transpose();
                }
            }
        }
        // Before the oldest record that is kept a checkpoint may know more.
        let Some(holding) = self.recalled_proof(label, at, &contents.checkpoints)? else { return Ok(None) };
        self.follow(label, holding, 1).map(Some)
    }

    /// How many of the segments, which are in order, begin with a record of `at` or before.
    fn written_until(&self, segments: &[Segment], at: Moment) -> Result<usize, ReadError> {
        let (mut low, mut high) = (0, segments.len());
        while low < high {
            let middle = low.midpoint(high);
            let is_later = self.first_at(segments[middle])?.is_none_or(|first| first > at);
            (low, high) = if is_later { (low, middle) } else { (middle + 1, high) };
        }
        Ok(low)
    }

    /// When the first record of a segment was decided; none for a segment without one.
    fn first_at(&self, segment: Segment) -> Result<Option<Moment>, ReadError> {
        let first = self.records(segment.first)?.next().transpose()?;
        Ok(first.map(|record| record.at))
    }

    /// The last thing that a segment says of a label up to `at`.
    fn newest_word(&self, label: LabelId, at: Moment, segment: Segment) -> Result<Option<Word>, ReadError> {
        let mut newest = None;
        self.each_about(
            label,
            segment.first,
            |record| {
                if record.at > at {
                    return Going::Ends;
                }
                newest = Word::of(label, record).or(newest.take());
                Going::On
            },
            Reach::Segment,
        )?;
        Ok(newest)
    }

    /// The proof that is recorded as number `sequence`, if that record is kept.
    fn proof_at(&self, label: LabelId, sequence: u64, segments: &[Segment]) -> Result<Option<Proven>, ReadError> {
        let mut found = None;
        if segments.first().is_some_and(|first| first.first <= sequence) {
            self.each_about(
                label,
                sequence,
                |record| {
                    let is_it = record.position.sequence == sequence;
                    if is_it && let Some(Word::Proof(proof)) = Word::of(label, record) {
                        found = Some(proof);
                    }
                    if is_it { Going::Ends } else { Going::On }
                },
                Reach::Segment,
            )?;
        }
        Ok(found)
    }

    /// The proof of a label that the oldest checkpoint knows.
    fn recalled_proof(&self, label: LabelId, at: Moment, checkpoints: &[u64]) -> Result<Option<Proven>, ReadError> {
        let mut found = None;
        if let Some(oldest) = checkpoints.first() {
            let checkpoint = Checkpoint::read(self.directory.as_ref(), &self.store, *oldest)?;
            checkpoint.recall(&mut |recalled| {
                if let Recalled { position: Some(position), at: proven, entry } = recalled
                    && proven <= at
                    && let Some(Word::Proof(proof)) = Word::of(label, Record { position, at: proven, entry })
                {
                    found = Some(proof);
                }
            })?;
        }
        Ok(found)
    }

    /// Follows a proof from the segment that tells of it to the first proof of another picture.
    fn follow(&self, label: LabelId, holding: Proven, from: u64) -> Result<Proofs, ReadError> {
        let (digest, sequence, at) = (holding.digest, holding.position.sequence, holding.at);
        let mut proofs = Proofs { holding, proven_until: at, next: None, removed: None };
        self.each_about(
            label,
            from,
            |record| {
                if record.position.sequence <= sequence {
                    return Going::On;
                }
                let until = until_in(label, &record);
                proofs.proven_until = until.map_or(proofs.proven_until, |until| until.max(proofs.proven_until));
                let at = record.at;
                match Word::of(label, record) {
                    Some(Word::Proof(next)) if next.digest == digest => {
                        proofs.proven_until = at.max(proofs.proven_until)
                    }
                    Some(Word::Proof(next)) => proofs.next = Some(next),
                    Some(Word::Removed) => proofs.removed = Some(at),
                    Some(Word::Confirmed(_)) | None => {}
                }
                if proofs.next.is_some() || proofs.removed.is_some() { Going::Ends } else { Going::On }
            },
            Reach::Journal,
        )?;
        Ok(proofs)
    }

    fn records(&self, from: u64) -> Result<Records, ReadError> {
        Ok(Records::from(Arc::clone(&self.directory), &self.store, from)?)
    }

    /// Calls `each` for the records about a label, from the beginning of the segment that holds `from`.
    fn each_about(
        &self,
        label: LabelId,
        from: u64,
        mut each: impl FnMut(Record) -> Going,
        reach: Reach,
    ) -> Result<(), ReadError> {
        let durable = self.durable.as_ref().map_or(u64::MAX, |durable| durable.load(Ordering::Acquire));
        let name = label.to_string();
        let finder = Finder::new(&name);
        let mut records = self.records(from)?;
        if reach == Reach::Segment {
            records.only_first_segment();
        }
        while let Some(record) = records.find(|line| finder.find(line).is_some()) {
            match record {
                Ok(record) if record.position.sequence > durable => break,
                Ok(record) => {
                    if each(record) == Going::Ends {
                        break;
                    }
                }
                // Being written right now, or left by a crash: nothing that was acknowledged.
                Err(Broken { flaw: super::Flaw::Torn { .. }, .. }) => break,
                Err(broken) => return Err(broken.into()),
            }
        }
        Ok(())
    }
}

/// How far records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// To the end of the segment.
    Segment,
    /// To the end of the journal.
    Journal,
}

/// Whether the next record is wanted, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    On,
    Ends,
}

/// What a record says of what a label shows.
#[derive(Debug)]
enum Word {
    Proof(Proven),
    /// It still shows what it had proven in that record.
    Confirmed(u64),
    Removed,
}

impl Word {
    fn of(label: LabelId, record: Record) -> Option<Self> {
        let Record { position, at, entry } = record;
        match entry {
            Entry::Proof { label: of, digest, edition, key, shown, .. } if of == label => {
                Some(Self::Proof(Proven { position, at, digest, edition, key, shown }))
            }
            Entry::Confirmed { labels } => labels
                .iter()
                .rfind(|confirmed| confirmed.label == label)
                .map(|confirmed| Self::Confirmed(confirmed.proof)),
            Entry::Removed { label: of } if of == label => Some(Self::Removed),
            _ => None,
        }
    }
}

/// Until when a record says that a label's picture before it was confirmed.
fn until_in(label: LabelId, record: &Record) -> Option<Moment> {
    match &record.entry {
        Entry::Proof { label: of, previous_until, .. } if *of == label => *previous_until,
        Entry::Confirmed { labels } => {
            labels.iter().rfind(|confirmed| confirmed.label == label).map(|confirmed| confirmed.until)
        }
        _ => None,
    }
}
