//! Journals on a disk in memory, which a test lets fail.

mod failing;
mod keeping;
mod proving;
mod verifying;
mod writing;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use gondola_protocol::{LabelId, Moment, StoreId};

use super::memory::MemoryDirectory;
use super::writer::QUEUE_MAX;
use super::{Entry, Journal, JournalError, JournalOptions, Opened, Recalled, Synced, verify};

type Report = Result<Synced, JournalError>;

/// The segment that every journal begins with.
const FIRST: &str = "segment-00000000000000000001.ndjson";

fn store() -> StoreId {
    "hz-001".parse().unwrap()
}

fn removed(label: u64) -> Entry {
    Entry::Removed { label: LabelId(label) }
}

fn registered(label: u64) -> Entry {
    Entry::Registered { label: LabelId(label), panel: "bwr-296x128".parse().unwrap(), position: Default::default() }
}

/// No waiting in tests, and segments as long as `segment_bytes`.
fn options(segment_bytes: u64) -> JournalOptions {
    JournalOptions { segment_bytes, retry_wait: Duration::ZERO, ..JournalOptions::default() }
}

/// Opens a journal, and answers what it held.
fn open(
    directory: &MemoryDirectory,
    options: JournalOptions,
    synced: impl FnMut(Report) + Send + 'static,
) -> Result<(Vec<Recalled>, Opened), JournalError> {
    let mut recalled = Vec::new();
    let opened = Journal::start(directory.shared(), &store(), options, &mut |it| recalled.push(it), synced)?;
    Ok((recalled, opened))
}

/// The labels that were removed, or registered, in order.
fn labels(recalled: &[Recalled]) -> Vec<u64> {
    let label = |it: &Recalled| match it.entry {
        Entry::Removed { label } | Entry::Registered { label, .. } => label.0,
        _ => 0,
    };
    recalled.iter().map(label).collect()
}

/// Where `synced` reports to, and what was reported.
fn reports() -> (impl FnMut(Report) + Send + 'static, Receiver<Report>) {
    let (sender, receiver) = sync_channel(QUEUE_MAX);
    // A test may have heard enough.
    (move |report| drop(sender.try_send(report)), receiver)
}

/// Appends one batch per entry, each after the one before was reported, and answers what was said.
fn append_each(directory: &MemoryDirectory, options: JournalOptions, entries: &[Entry]) -> Vec<String> {
    let (sink, reports) = reports();
    let journal = open(directory, options, sink).unwrap().1.journal;
    let mut said = Vec::new();
    for (nth, entry) in (1..).zip(entries) {
        journal.append(Moment::from_secs(nth), vec![entry.clone()]).unwrap();
        loop {
            match reports.recv().unwrap() {
                Ok(_) => break,
                Err(error) => said.push(error.to_string()),
            }
        }
    }
    journal.close();
    said
}

/// What a journal holds after it was closed, once it has verified.
fn reopened(directory: &MemoryDirectory) -> (Vec<Recalled>, Opened) {
    let (recalled, opened) = open(directory, options(u64::MAX), |_| ()).unwrap();
    let verified = verify(directory.shared(), &store()).unwrap();
    assert_eq!(verified.head, opened.head);
    (recalled, opened)
}

fn shared(directory: &MemoryDirectory) -> Arc<dyn super::Directory> {
    directory.shared()
}
