//! The thread that writes the view, behind the journal.
//!
//! A batch may be handed over only after the journal has reported the batch's `journal_sequence` as synced:
//! nothing reaches sled before the journal position that it depends on is durable. That order is the
//! caller's, who hears of both; the thread writes whatever it is given.
//!
//! A database that fails, as on a full disk, is opened again, as often as it takes, and then given what waits. One that
//! has lost something meanwhile is given up: the next start sets it aside.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::view::{View, ViewBatch, ViewError};

/// Between two attempts to open a database that failed.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Batches that may wait for the writer: what a busy store makes in some ten seconds, longer than sled's
/// slowest flush. All that wait are written as one step.
pub const QUEUE_MAX: usize = 1_024;

/// Why a batch was not taken. It comes back whole, and must not be left out: a later batch would claim a
/// journal position whose changes the view lacks.
#[derive(Debug, thiserror::Error)]
pub enum ViewWriteError {
    /// The disk does not keep up: hand it over again, first, once a batch was reported as flushed.
    #[error("{QUEUE_MAX} batches wait for the view already")]
    Full(ViewBatch),
    /// The view is damaged, and the writer has said so: the next start sets it aside.
    #[error("the view is not written any more, because it is damaged")]
    Stopped(ViewBatch),
}

/// A handle to the thread that writes a view. Dropping it lets the thread finish on its own.
#[derive(Debug)]
pub struct ViewWriter {
    queue: SyncSender<ViewBatch>,
    thread: JoinHandle<()>,
    closing: Arc<AtomicBool>,
}

impl ViewWriter {
    /// Starts the thread. It calls `flushed` with the number of the newest batch on disk. The pictures are in the same
    /// database: while it is opened anew after a failure, they are not at hand.
    ///
    /// # Errors
    /// The operating system starts no thread.
    pub fn spawn(view: View, flushed: impl FnMut(u64) + Send + 'static) -> io::Result<Self> {
        let (queue, batches) = sync_channel(QUEUE_MAX);
        let closing = Arc::new(AtomicBool::new(false));
        let writing = Writing { view, closing: Arc::clone(&closing) };
        let thread = thread::Builder::new().name("view".to_owned()).spawn(move || writing.run(&batches, flushed))?;
        Ok(Self { queue, thread, closing })
    }

    /// Hands over a batch whose journal position is synced. Never blocks.
    ///
    /// # Errors
    /// A full queue or a stopped writer; the batch comes back.
    pub fn write(&self, batch: ViewBatch) -> Result<(), ViewWriteError> {
        self.queue.try_send(batch).map_err(|refused| match refused {
            TrySendError::Full(batch) => ViewWriteError::Full(batch),
            TrySendError::Disconnected(batch) => ViewWriteError::Stopped(batch),
        })
    }

    /// Waits until what was handed over is on disk, or cannot be: a database that fails is not waited for any more, and
    /// the next start replays more of the journal.
    pub fn close(self) {
        drop(self.queue);
        self.closing.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::warn!("the view's writer panicked; the next start replays more of the journal");
        }
    }
}

struct Writing {
    view: View,
    closing: Arc<AtomicBool>,
}

/// Why batches are not written.
enum Failure {
    /// It may succeed later.
    Passing(ViewError),
    /// The view has lost something.
    Lost(ViewError),
}

impl Writing {
    fn run(self, queue: &Receiver<ViewBatch>, mut flushed: impl FnMut(u64)) {
        while let Ok(first) = queue.recv() {
            let mut batches = vec![first];
            // Bounded, although new ones come in meanwhile: as many as wait at most.
            batches.extend(queue.try_iter().take(QUEUE_MAX));
            let Some(newest) = batches.last().map(|newest| (newest.number, newest.journal_sequence)) else { return };
            if self.write(&batches, newest.1).is_none() {
                return;
            }
            flushed(newest.0);
        }
    }

    /// Writes batches as one step, whatever it takes; nothing where that is no use.
    fn write(&self, batches: &[ViewBatch], newest: u64) -> Option<()> {
        let mut told = String::new();
        loop {
            let error = match self.try_write(batches, newest) {
                Ok(()) => return Some(()),
                Err(Failure::Passing(error)) => error,
                Err(Failure::Lost(error)) => {
                    tracing::error!(hint = error.hint(), "the view is given up: {error}");
                    return None;
                }
            };
            if told != error.to_string() {
                told = error.to_string();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(cause, hint = error.hint(), "the view is not written: {error}; it is tried again");
            }
            if self.closing.load(Ordering::Acquire) {
                return None;
            }
            thread::park_timeout(RETRY_WAIT);
        }
    }

    fn try_write(&self, batches: &[ViewBatch], newest: u64) -> Result<(), Failure> {
        self.view.open_again(newest).map_err(|error| match error {
            ViewError::Damaged | ViewError::Version { .. } | ViewError::Panicked(_) => Failure::Lost(error),
            error => Failure::Passing(error),
        })?;
        self.view.write(batches.to_vec()).map_err(Failure::Passing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::pictures::Pictures;
    use crate::storage::view::{Tree, ViewChange};

    fn batch(number: u64) -> ViewBatch {
        let change =
            ViewChange { tree: Tree::Meta, key: b"newest".to_vec(), value: Some(number.to_be_bytes().to_vec()) };
        ViewBatch { number, journal_sequence: number * 10, changes: vec![change] }
    }

    #[test]
    fn a_database_that_fails_is_opened_again_and_given_what_waits() {
        let dir = tempfile::tempdir().unwrap();
        let (view, _) = View::open(dir.path()).unwrap();
        let pictures = Pictures::new(&view);
        let planes = gondola_protocol::Planes::white("bwr-296x128".parse().unwrap());
        let (sender, flushed) = sync_channel(QUEUE_MAX);
        let failing = view.clone();
        let sink = move |number| sender.try_send(number).unwrap();
        let writer = ViewWriter::spawn(view, sink).unwrap();
        writer.write(batch(1)).unwrap();
        assert_eq!(flushed.recv(), Ok(1));
        failing.fail_writes(1);
        drop(failing);
        writer.write(batch(2)).unwrap();
        assert_eq!(flushed.recv(), Ok(2));
        let digest = pictures.put(&planes).unwrap();
        writer.close();
        drop(pictures);
        let (view, opened) = View::open(dir.path()).unwrap();
        assert_eq!((opened.journal_sequence, opened.set_aside), (Some(20), None));
        assert_eq!(Pictures::new(&view).get(&digest), Some(planes));
    }

    #[test]
    fn what_was_handed_over_is_on_disk_and_reported_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let (view, _) = View::open(dir.path()).unwrap();
        let (sender, flushed) = sync_channel(QUEUE_MAX);
        let writer = ViewWriter::spawn(view, move |number| sender.try_send(number).unwrap()).unwrap();
        (1..=100).for_each(|number| writer.write(batch(number)).unwrap());
        writer.close();
        let flushed: Vec<u64> = flushed.try_iter().collect();
        assert!(flushed.is_sorted() && flushed.last() == Some(&100), "{flushed:?}");
        let (_, opened) = View::open(dir.path()).unwrap();
        assert_eq!(opened.journal_sequence, Some(1_000));
        let pairs: Vec<_> = opened.rows.of(Tree::Meta).collect();
        assert_eq!(pairs, [(&b"newest"[..], &100_u64.to_be_bytes()[..])]);
    }

    #[test]
    fn a_full_queue_hands_the_batch_back_and_what_waits_is_one_step() {
        let dir = tempfile::tempdir().unwrap();
        let (view, _) = View::open(dir.path()).unwrap();
        // The writer waits in its first report, which a channel without room holds until it is read.
        let (sender, flushed) = sync_channel(0);
        let writer = ViewWriter::spawn(view, move |number| sender.send(number).unwrap()).unwrap();
        writer.write(batch(0)).unwrap();
        assert_eq!(flushed.recv(), Ok(0));
        let mut taken = 0;
        let refused = loop {
            match writer.write(batch(taken + 1)) {
                Ok(()) => taken += 1,
                Err(refused) => break refused,
            }
        };
        assert!(taken >= QUEUE_MAX as u64, "{taken}");
        assert!(matches!(&refused, ViewWriteError::Full(back) if *back == batch(taken + 1)), "{refused}");
        let reports: Vec<u64> = std::iter::from_fn(|| flushed.recv().ok().filter(|&number| number < taken)).collect();
        assert!(reports.len() <= 3, "{reports:?}");
        writer.close();
    }
}
