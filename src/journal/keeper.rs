//! What a journal needs now and then, beside its writer: closed segments are compressed, what they come to goes into a
//! checkpoint, and records that are old enough are dropped.
//!
//! Level-triggered: it looks at what lies in the directory and does what is missing, so that a crash at any step leaves
//! work for the next time and nothing else. It never touches the segment that is written to.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use gondola_protocol::{Moment, StoreId};

use super::checkpoint::{Covered, Fold};
use super::directory::Directory;
use super::open::Base;
use super::segment::{self, Contents, Form, checkpoint_name};
use super::verify::Records;

/// Checkpoints that are kept: the newest, and one in case that its file is damaged. No segment is dropped that is not
/// in both.
const CHECKPOINTS_KEPT: usize = 2;

/// Journals that may wait to be looked after: more than one process has stores. One that finds no room is looked
/// after when its next segment is full.
const QUEUE_MAX: usize = 1_024;

/// A journal that wants to be looked after.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) directory: Arc<dyn Directory>,
    pub(super) store: StoreId,
    /// Records older than that, measured from `now`, may be dropped.
    pub(super) kept: Duration,
    /// The time by the journal's own records.
    pub(super) now: Moment,
}

/// The thread that looks after a process's journals, one at a time, so that their work takes the memory of one.
#[derive(Debug, Clone)]
pub struct Keeper(SyncSender<Job>);

impl Keeper {
    /// Starts the thread. It ends when its last handle is gone; nothing waits for it, because a crash may interrupt
    /// it just as well.
    ///
    /// # Errors
    /// The operating system starts no thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(QUEUE_MAX);
        thread::Builder::new().name("journal keeper".to_owned()).spawn(move || run(&waiting))?;
        Ok(Self(jobs))
    }

    pub(super) fn look_after(&self, job: Job) {
        // A full queue: the next segment brings it back.
        let _ = self.0.try_send(job);
    }
}

fn run(jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut done = BTreeSet::new();
        for job in std::iter::once(first).chain(jobs.try_iter().take(QUEUE_MAX)) {
            // The same work twice finds nothing to do the second time; it is not even looked for.
            if !done.insert(job.store.clone()) {
                continue;
            }
            match keep(&job.directory, &job.store, job.kept, job.now) {
                Ok(done) => tracing::debug!(store = %job.store, ?done, "the journal was looked after"),
                Err(error) => tracing::warn!(store = %job.store, journal = %job.directory.path().display(), %error,
                    "could not look after the journal; it is whole, takes more room meanwhile, and is tried again"),
            }
        }
    }
}

/// What was done for a journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Segments that were compressed.
    pub sealed: usize,
    /// The record up to which there is a new checkpoint.
    pub checkpoint: Option<u64>,
    /// Segments that were dropped.
    pub dropped: usize,
}

/// Does for a journal what is to be done.
///
/// # Errors
/// The directory's, or a record that does not verify; what was done so far stands.
pub fn keep(directory: &Arc<dyn Directory>, store: &StoreId, kept: Duration, now: Moment) -> io::Result<Done> {
    let mut done = Done::default();
    let contents = Contents::of(directory.as_ref())?;
    let Some((newest, closed)) = contents.segments.split_last() else { return Ok(done) };
    for segment in closed.iter().filter(|segment| segment.form == Form::Open) {
        segment::seal(directory, store, *segment)?;
        done.sealed += 1;
    }
    let end = newest.first - 1;
    if end > 0 && contents.checkpoints.last() != Some(&end) {
        checkpoint_up_to(directory, store, &contents, end)?;
        done.checkpoint = Some(end);
    }
    let mut checkpoints = Contents::of(directory.as_ref())?.checkpoints;
    let old = checkpoints.len().saturating_sub(CHECKPOINTS_KEPT);
    for sequence in checkpoints.drain(..old) {
        directory.remove(&checkpoint_name(sequence))?;
    }
    if checkpoints.len() == CHECKPOINTS_KEPT {
        done.dropped = drop_old(directory, store, checkpoints[0], now - kept)?;
    }
    if old > 0 || done.dropped > 0 {
        directory.sync()?;
    }
    Ok(done)
}

/// Makes the newest checkpoint anew, from the first record if it is kept, after a crash's leavings were sealed. Answers
/// the record up to which it goes; none while the journal is a single segment.
///
/// # Errors
/// As for [`keep`].
pub fn rebuild(directory: &Arc<dyn Directory>, store: &StoreId) -> io::Result<Option<u64>> {
    let mut contents = Contents::of(directory.as_ref())?;
    let Some((newest, closed)) = contents.segments.split_last() else { return Ok(None) };
    for segment in closed.iter().filter(|segment| segment.form == Form::Open) {
        segment::seal(directory, store, *segment)?;
    }
    let end = newest.first - 1;
    if end == 0 {
        return Ok(None);
    }
    if contents.segments[0].first == 1 {
        contents.checkpoints.clear();
    }
    checkpoint_up_to(directory, store, &contents, end)?;
    Ok(Some(end))
}

/// Folds the newest checkpoint and the records behind it, up to `end`, into a new one.
fn checkpoint_up_to(directory: &Arc<dyn Directory>, store: &StoreId, contents: &Contents, end: u64) -> io::Result<()> {
    let base = Base::find(directory.as_ref(), store, &contents.checkpoints);
    if base.checkpoint.is_none() && contents.segments[0].first > 1 {
        return Err(io::Error::other("no checkpoint can be used, and the journal's first records were dropped"));
    }
    let mut fold = Fold::default();
    let records = match base.checkpoint {
        Some(checkpoint) => {
            checkpoint.recall(&mut |recalled| fold.take(recalled)).map_err(io::Error::other)?;
            Records::behind(Arc::clone(directory), store, checkpoint.covered.position).map_err(io::Error::other)?
        }
        None => Records::new(Arc::clone(directory), store)?,
    };
    for record in records {
        let record = record.map_err(io::Error::other)?;
        let (position, at) = (record.position, record.at);
        fold.take(record.into());
        if position.sequence == end {
            return fold.write(directory.as_ref(), store, Covered { position, at });
        }
    }
    Err(io::Error::other(format!("the journal ends before record {end}")))
}

/// Drops the oldest segments of which every record is before `until` and in the checkpoint at `covered`.
fn drop_old(directory: &Arc<dyn Directory>, store: &StoreId, covered: u64, until: Moment) -> io::Result<usize> {
    let segments = Contents::of(directory.as_ref())?.segments;
    let mut dropped = 0;
    for pair in segments.windows(2) {
        let (oldest, next) = (pair[0], pair[1]);
        if next.first - 1 > covered {
            break;
        }
        // What the next one begins with is not older than anything in this one.
        let mut behind = Records::from(Arc::clone(directory), store, next.first)?;
        match behind.next() {
            Some(Ok(first)) if first.at <= until => {
                directory.remove(&oldest.name())?;
                dropped += 1;
            }
            _ => break,
        }
    }
    Ok(dropped)
}
