//! Opening a journal: what the newest checkpoint and the records behind it say, and a file to go on in.

use std::io;
use std::sync::Arc;

use gondola_protocol::{Moment, StoreId};

use super::chain::{Chain, Flaw, Position};
use super::checkpoint::{Checkpoint, CheckpointError, Recalled};
use super::directory::{Directory, JournalFile};
use super::segment::{self, Contents, Form, Segment};
use super::verify::{Broken, Records};
use super::writer::{JournalError, TornTail};

/// A journal as it was found; all of it durable, and nothing else there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) head: Position,
    /// When the newest record was decided.
    pub(super) until: Option<Moment>,
    pub(super) torn: Option<TornTail>,
    /// Checkpoints that could not be used.
    pub(super) unusable: Vec<CheckpointError>,
    pub(super) tail: Tail,
}

/// The end of the journal: the file that is written to.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) segment: Segment,
    pub(super) file: Box<dyn JournalFile>,
    /// What of it is durable.
    pub(super) bytes: u64,
}

impl Tail {
    /// A new segment behind `previous`.
    pub(super) fn create(directory: &dyn Directory, store: &StoreId, previous: Position) -> io::Result<Self> {
        let (segment, file, bytes) = segment::create(directory, store, previous)?;
        Ok(Self { segment, file, bytes })
    }
}

/// The newest checkpoint that can be used, and those that cannot.
#[derive(Default)]
pub(super) struct Base {
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) unusable: Vec<CheckpointError>,
}

impl Base {
    pub(super) fn find(directory: &dyn Directory, store: &StoreId, checkpoints: &[u64]) -> Self {
        let mut base = Self::default();
        for sequence in checkpoints.iter().rev() {
            match Checkpoint::read(directory, store, *sequence) {
                Ok(checkpoint) => {
                    base.checkpoint = Some(checkpoint);
                    break;
                }
                Err(error) => base.unusable.push(error),
            }
        }
        base
    }
}

/// A journal that was handed over.
pub(super) struct HandedOver {
    records: Records,
    /// When the newest record was decided.
    until: Option<Moment>,
    torn: Option<TornTail>,
    /// Checkpoints that could not be used.
    unusable: Vec<CheckpointError>,
}

/// Hands over what a journal comes to: its newest checkpoint and every record behind it, oldest first.
pub(super) fn recall(
    directory: &Arc<dyn Directory>,
    store: &StoreId,
    recalled: &mut dyn FnMut(Recalled),
) -> Result<HandedOver, JournalError> {
    let path = directory.path().to_owned();
    let broken = |broken| JournalError::Broken { path: path.clone(), broken: Box::new(broken) };
    let open = |source| JournalError::Open { path: path.clone(), source };
    let contents = Contents::of(directory.as_ref()).map_err(open)?;
    let Base { checkpoint, unusable } = Base::find(directory.as_ref(), store, &contents.checkpoints);
    let mut until = None;
    let mut records = if let Some(checkpoint) = checkpoint {
        let unreadable = |error| JournalError::Checkpoint { path: path.clone(), unusable: vec![error] };
        checkpoint.recall(recalled).map_err(unreadable)?;
        until = Some(checkpoint.covered.at);
        Records::behind(Arc::clone(directory), store, checkpoint.covered.position).map_err(broken)?
    } else {
        let first = contents.segments.first().map_or(1, |segment| segment.first);
        if first > 1 || (contents.segments.is_empty() && !unusable.is_empty()) {
            return Err(JournalError::Checkpoint { path, unusable });
        }
        Records::new(Arc::clone(directory), store).map_err(open)?
    };
    let mut torn = None;
    for record in &mut records {
        match record {
            Ok(record) => {
                until = Some(record.at);
                recalled(record.into());
            }
            Err(Broken { sequence, offset, flaw: Flaw::Torn { bytes }, .. }) => {
                torn = Some(TornTail { sequence, offset, bytes });
            }
            Err(found) => return Err(broken(found)),
        }
    }
    Ok(HandedOver { records, until, torn, unusable })
}

/// Reads a journal, and mends what a crash left: afterwards all that it has handed over is durable.
pub(super) fn open(
    directory: &Arc<dyn Directory>,
    store: &StoreId,
    recalled: &mut dyn FnMut(Recalled),
) -> Result<Found, JournalError> {
    let HandedOver { records, until, torn, unusable } = recall(directory, store, recalled)?;
    let failed = |source| JournalError::Open { path: directory.path().to_owned(), source };
    let contents = Contents::of(directory.as_ref()).map_err(failed)?;
    for name in contents.leftovers {
        directory.remove(&name).map_err(failed)?;
    }
    let head = records.head().unwrap_or(Chain::new(store).head());
    let tail = match records.place() {
        Some((segment, bytes)) if segment.form == Form::Open => {
            let mut file = directory.open(&segment.name()).map_err(failed)?;
            if let Some(torn) = torn {
                file.truncate(torn.offset).map_err(failed)?;
            }
            // Also without a tear: a process that died between its write and its sync has left records that are
            // readable and yet not durable.
            file.sync().map_err(failed)?;
            directory.sync().map_err(failed)?;
            Tail { segment, file, bytes }
        }
        _ => Tail::create(directory.as_ref(), store, head).map_err(failed)?,
    };
    Ok(Found { head, until, torn, unusable, tail })
}
