//! The thread that writes the view, behind the journal.
//!
//! A batch may be handed over only after the journal has reported the batch's `journal_sequence` as synced:
//! nothing reaches sled before the journal position that it depends on is durable. That order is the
//! caller's, who hears of both; the thread writes whatever it is given.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use super::view::{View, ViewBatch};

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
    /// The writer has failed and warned; the view stays as it is until the next start, which replays more.
    #[error("the view is not written any more after a failure")]
    Stopped(ViewBatch),
}

/// A handle to the thread that writes a view. Dropping it lets the thread finish on its own.
#[derive(Debug)]
pub struct ViewWriter {
    queue: SyncSender<ViewBatch>,
    thread: JoinHandle<()>,
}

impl ViewWriter {
    /// Starts the thread. It calls `flushed` with the number of the newest batch on disk.
    ///
    /// # Errors
    /// The operating system starts no thread.
    pub fn spawn(view: View, flushed: impl FnMut(u64) + Send + 'static) -> io::Result<Self> {
        let (queue, batches) = sync_channel(QUEUE_MAX);
        let thread = thread::Builder::new().name("view".to_owned()).spawn(move || run(&view, &batches, flushed))?;
        Ok(Self { queue, thread })
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

    /// Waits until what was handed over is on disk, or the writer has failed. A panic of sled's is a failure,
    /// too: it was printed where it happened, and the view is not needed to stop.
    pub fn close(self) {
        drop(self.queue);
        if self.thread.join().is_err() {
            tracing::warn!("the view's writer panicked; the next start replays more of the journal");
        }
    }
}

fn run(view: &View, queue: &Receiver<ViewBatch>, mut flushed: impl FnMut(u64)) {
    while let Ok(first) = queue.recv() {
        let mut batches = vec![first];
        // Bounded, although new ones come in meanwhile: as many as wait at most.
        batches.extend(queue.try_iter().take(QUEUE_MAX));
        let newest = batches.last().map(|newest| newest.number);
        if let Err(error) = view.write(batches) {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(cause, hint = error.hint(), "the view is not written any more: {error}");
            return;
        }
        newest.into_iter().for_each(&mut flushed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::view::{Tree, ViewChange};

    fn batch(number: u64) -> ViewBatch {
        let change =
            ViewChange { tree: Tree::Meta, key: b"newest".to_vec(), value: Some(number.to_be_bytes().to_vec()) };
        ViewBatch { number, journal_sequence: number * 10, changes: vec![change] }
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
        let (view, opened) = View::open(dir.path()).unwrap();
        assert_eq!(opened.journal_sequence, Some(1_000));
        let pairs: Vec<_> = view.load(Tree::Meta).map(|pair| pair.unwrap()).collect();
        assert_eq!(pairs, [(b"newest".to_vec(), 100_u64.to_be_bytes().to_vec())]);
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
