//! The thread that owns a journal's file: takes what waits, writes once, syncs once, then says so.
//!
//! It decides nothing: the core puts out entries and takes in how far they are durable. After a failed
//! write or sync it stops: the operating system may have dropped the bytes and will not say so twice, so
//! only a new start, which reads what is really there, can go on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use gondola_protocol::{Moment, StoreId};

use super::chain::{Chain, Flaw, LINE_MAX, Position, Record};
use super::entry::Entry;
use super::file::{DiskFile, JournalFile};
use super::verify::{Broken, Records};

/// Batches that may wait for the writer.
///
/// A store makes far fewer than 1,000 batches a second; this is what arrives while a slow disk takes four
/// seconds over one fsync.
pub const QUEUE_MAX: usize = 4_096;

/// A group takes in no further batch once it is this long: about 10 ms of a plain disk's writing, so
/// that those who wait for the first batch do not wait for a whole backlog.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// How far a journal is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synced {
    /// How many of the batches handed over since opening are durable: all up to this one.
    pub batches: u64,
    /// The newest durable record.
    pub position: Position,
}

/// What a journal has written since it was opened; all of it durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalCounters {
    /// Entries.
    pub entries: u64,
    /// Syncs that they took.
    pub fsyncs: u64,
    /// Bytes, newlines included.
    pub bytes: u64,
}

/// The end of a record that an interrupted write left behind. It was never acknowledged, and was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// The number that the record would have had.
    pub sequence: u64,
    /// Where it began, in bytes.
    pub offset: u64,
    /// How many bytes of it there were.
    pub bytes: u64,
}

impl fmt::Display for TornTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, offset, bytes } = self;
        write!(f, "removed {bytes} bytes of an unfinished record {sequence} (from byte {offset})")
    }
}

/// Why a journal cannot be opened, or has stopped.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be made or read, or its torn end not be cut.
    #[error("could not open the journal {}", path.display())]
    Open {
        /// The file or its directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A record is not what was written.
    #[error("the journal {} does not verify", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Which record, and what is wrong with it.
        #[source]
        broken: Broken,
    },
    /// A write failed.
    #[error("could not write to the journal {}; nothing more is written to it", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A sync failed.
    #[error("could not sync the journal {} to disk; nothing more is written to it", path.display())]
    Sync {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An entry would not be readable again.
    #[error("record {sequence} of the journal {} would have {bytes} bytes, more than {LINE_MAX}", path.display())]
    EntryTooLong {
        /// The file.
        path: PathBuf,
        /// The record.
        sequence: u64,
        /// Its length.
        bytes: usize,
    },
}

impl JournalError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Open { .. } => "check that the user gondola runs as may read and write there".to_owned(),
            Self::Broken { broken, .. } => broken.hint(),
            Self::Write { .. } => "make room on the disk, then restart; what was acknowledged is safe".to_owned(),
            Self::Sync { .. } => "check the disk, then restart; what was acknowledged was on it".to_owned(),
            Self::EntryTooLong { .. } => "this is a bug in gondola; restart, and report it".to_owned(),
        }
    }
}

/// Why a batch was not taken. It comes back whole.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk does not keep up: hand it over again once something was reported as synced.
    #[error("{QUEUE_MAX} batches wait for the journal already")]
    Full(Vec<Entry>),
    /// The writer has reported a failure and stopped.
    #[error("the journal has stopped after a failure")]
    Stopped(Vec<Entry>),
}

/// A journal that was opened, with everything that it holds.
#[derive(Debug)]
pub struct Opened {
    /// The handle.
    pub journal: Journal,
    /// Every record, oldest first: what a replay reads.
    pub records: Vec<Record>,
    /// What an interrupted write had left.
    pub torn: Option<TornTail>,
    /// The newest record.
    pub head: Position,
}

/// A handle to a journal's writer. Dropping it lets the writer finish on its own; [`Journal::close`] waits.
#[derive(Debug)]
pub struct Journal {
    queue: SyncSender<Submission>,
    thread: JoinHandle<()>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Submission {
    at: Moment,
    entries: Vec<Entry>,
}

#[derive(Debug, Default)]
struct Counters {
    entries: AtomicU64,
    fsyncs: AtomicU64,
    bytes: AtomicU64,
}

impl Journal {
    /// Opens or creates the journal `dir/journal.ndjson` of a store: verifies the chain, cuts a torn last
    /// line (reported in the answer) and starts the writer.
    ///
    /// `synced` is called on the writer's thread, in order, at least once per group of batches; after an
    /// error it is not called again. It must not wait for the journal.
    ///
    /// # Errors
    /// A file that cannot be opened, or a record that does not verify.
    pub fn open(
        dir: &Path,
        store: &StoreId,
        synced: impl FnMut(Result<Synced, JournalError>) + Send + 'static,
    ) -> Result<Opened, JournalError> {
        let file = DiskFile::open(dir).map_err(|source| JournalError::Open { path: dir.to_owned(), source })?;
        Self::start(file, store, synced)
    }

    /// [`Journal::open`] on any file.
    ///
    /// # Errors
    /// As for [`Journal::open`].
    pub fn start(
        mut file: impl JournalFile + 'static,
        store: &StoreId,
        synced: impl FnMut(Result<Synced, JournalError>) + Send + 'static,
    ) -> Result<Opened, JournalError> {
        let Content { records, torn, chain } = read(&mut file, store)?;
        let head = chain.head();
        let counters = Arc::new(Counters::default());
        let (queue, submissions) = sync_channel(QUEUE_MAX);
        let path = file.path().to_owned();
        let writer = Writer { file: Box::new(file), chain, batches: 0, counters: Arc::clone(&counters) };
        let thread = thread::Builder::new()
            .name(format!("journal {store}"))
            .spawn(move || writer.run(submissions, synced))
            .map_err(|source| JournalError::Open { path, source })?;
        Ok(Opened { journal: Self { queue, thread, counters }, records, torn, head })
    }

    /// Hands over a batch, stamped `at`; the answer comes through `synced`, in order. Never blocks.
    ///
    /// # Errors
    /// A full queue or a stopped writer; the batch comes back.
    pub fn append(&self, at: Moment, entries: Vec<Entry>) -> Result<(), AppendError> {
        self.queue.try_send(Submission { at, entries }).map_err(|refused| match refused {
            TrySendError::Full(Submission { entries, .. }) => AppendError::Full(entries),
            TrySendError::Disconnected(Submission { entries, .. }) => AppendError::Stopped(entries),
        })
    }

    /// What was written since opening.
    #[must_use]
    pub fn counters(&self) -> JournalCounters {
        JournalCounters {
            entries: self.counters.entries.load(Ordering::Relaxed),
            fsyncs: self.counters.fsyncs.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
        }
    }

    /// Waits until what was handed over is written and synced, or the writer has reported a failure.
    ///
    /// # Panics
    /// If `synced` panicked.
    pub fn close(self) {
        drop(self.queue);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

struct Content {
    records: Vec<Record>,
    torn: Option<TornTail>,
    chain: Chain,
}

/// Reads and checks a whole journal; afterwards all that it returns is durable, and nothing else is there.
fn read(file: &mut dyn JournalFile, store: &StoreId) -> Result<Content, JournalError> {
    let path = file.path().to_owned();
    let open = |source| JournalError::Open { path: path.clone(), source };
    let mut reading = Records::new(file.reader().map_err(open)?, store);
    let (mut records, mut torn) = (Vec::new(), None);
    for record in &mut reading {
        match record {
            Ok(record) => records.push(record),
            Err(Broken { sequence, offset, flaw: Flaw::Torn { bytes }, .. }) => {
                torn = Some(TornTail { sequence, offset, bytes });
            }
            Err(broken) => return Err(JournalError::Broken { path, broken }),
        }
    }
    let chain = reading.into_chain();
    if let Some(torn) = torn {
        file.truncate(torn.offset).map_err(open)?;
    }
    // Also without a tear: a process that died between its write and its sync has left records that are
    // readable and yet not durable.
    file.sync().map_err(open)?;
    Ok(Content { records, torn, chain })
}

struct Writer {
    file: Box<dyn JournalFile>,
    chain: Chain,
    batches: u64,
    counters: Arc<Counters>,
}

impl Writer {
    fn run(mut self, queue: Receiver<Submission>, mut synced: impl FnMut(Result<Synced, JournalError>)) {
        while let Ok(first) = queue.recv() {
            match self.commit(first, &queue) {
                Ok(progress) => synced(Ok(progress)),
                Err(error) => {
                    // Before the report, so that whoever has heard of the failure gets later batches back.
                    drop(queue);
                    return synced(Err(error));
                }
            }
        }
    }

    /// Makes `first` and all that waits behind it durable with one write and one sync.
    fn commit(&mut self, first: Submission, queue: &Receiver<Submission>) -> Result<Synced, JournalError> {
        let before = self.chain.head().sequence;
        let mut bytes = Vec::new();
        let mut next = Some(first);
        while let Some(submission) = next {
            self.encode(&submission, &mut bytes)?;
            next = if bytes.len() < GROUP_BYTES_MAX { queue.try_recv().ok() } else { None };
        }
        let position = self.chain.head();
        if !bytes.is_empty() {
            self.file.append(&bytes).map_err(|source| JournalError::Write { path: self.path(), source })?;
            self.file.sync().map_err(|source| JournalError::Sync { path: self.path(), source })?;
            self.counters.entries.fetch_add(position.sequence - before, Ordering::Relaxed);
            self.counters.fsyncs.fetch_add(1, Ordering::Relaxed);
            self.counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(Synced { batches: self.batches, position })
    }

    fn encode(&mut self, submission: &Submission, out: &mut Vec<u8>) -> Result<(), JournalError> {
        for entry in &submission.entries {
            let start = out.len();
            self.chain.write(submission.at, entry, out);
            let bytes = out.len() - start - 1;
            if bytes > LINE_MAX {
                let sequence = self.chain.head().sequence;
                return Err(JournalError::EntryTooLong { path: self.path(), sequence, bytes });
            }
        }
        self.batches += 1;
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::ops::RangeInclusive;

    use gondola_protocol::LabelId;

    use super::*;
    use crate::journal::file::FILE_NAME;
    use crate::journal::memory::{Fault, MemoryFile};
    use crate::journal::verify::verify;

    type Report = Result<Synced, JournalError>;

    fn store() -> StoreId {
        "hz-001".parse().unwrap()
    }

    fn removed(label: u64) -> Entry {
        Entry::Removed { label: LabelId(label) }
    }

    fn labels(records: &[Record]) -> Vec<u64> {
        let label = |record: &Record| match record.entry {
            Entry::Removed { label } => label.0,
            _ => 0,
        };
        records.iter().map(label).collect()
    }

    /// Where `synced` reports to, and what was reported.
    fn reports() -> (impl FnMut(Report) + Send + 'static, Receiver<Report>) {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        (move |report| sender.try_send(report).expect("a test reads its reports"), receiver)
    }

    /// Appends one batch per label, each after the one before was reported, up to the first failure.
    fn append_each(file: &MemoryFile, labels: RangeInclusive<u64>) -> (Vec<u64>, Option<String>) {
        let (sink, reports) = reports();
        let journal = Journal::start(file.clone(), &store(), sink).unwrap().journal;
        let mut acknowledged = Vec::new();
        for label in labels {
            journal.append(Moment::from_secs(label), vec![removed(label)]).unwrap();
            match reports.recv().unwrap() {
                Ok(_) => acknowledged.push(label),
                Err(error) => return (acknowledged, Some(format!("{error}; {}", error.hint()))),
            }
        }
        journal.close();
        (acknowledged, None)
    }

    fn reopened(file: MemoryFile) -> (Vec<u64>, Option<TornTail>) {
        let opened = Journal::start(file.clone(), &store(), |_| ()).unwrap();
        let verified = verify(&file.bytes()[..], &store()).unwrap();
        assert_eq!(verified.head, opened.head);
        (labels(&opened.records), opened.torn)
    }

    #[test]
    fn a_journal_on_disk_is_read_again_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        for run in 0..3 {
            let (sink, reports) = reports();
            let opened = Journal::open(dir.path(), &store(), sink).unwrap();
            assert_eq!((labels(&opened.records), opened.torn), (expected.clone(), None));
            assert_eq!(opened.head.sequence, expected.len() as u64);
            opened.journal.append(Moment::from_secs(run), vec![removed(run), removed(run + 10)]).unwrap();
            opened.journal.append(Moment::from_secs(run), Vec::new()).unwrap();
            opened.journal.close();
            expected.extend([run, run + 10]);
            let last = reports.try_iter().last().unwrap().unwrap();
            assert_eq!((last.batches, last.position.sequence), (2, expected.len() as u64));
        }
        let file = fs::read(dir.path().join(FILE_NAME)).unwrap();
        assert_eq!(verify(&file[..], &store()).unwrap().records, 6);
    }

    #[test]
    fn what_waits_shares_one_sync() {
        let file = MemoryFile::default();
        let (sink, reports) = reports();
        let journal = Journal::start(file.clone(), &store(), sink).unwrap().journal;
        let before = file.syncs();
        file.hold_syncs();
        journal.append(Moment::ZERO, vec![removed(0)]).unwrap();
        file.wait_for_sync(before + 1);
        thread::scope(|scope| {
            for thread in 0..8 {
                let journal = &journal;
                scope.spawn(move || {
                    (0..25).for_each(|nth| journal.append(Moment::ZERO, vec![removed(1 + thread * 25 + nth)]).unwrap());
                });
            }
        });
        file.release_syncs();
        let (first, second) = (reports.recv().unwrap().unwrap(), reports.recv().unwrap().unwrap());
        assert_eq!((first.batches, second.batches), (1, 201));
        let JournalCounters { entries, fsyncs, bytes } = journal.counters();
        assert_eq!((entries, fsyncs, bytes), (201, 2, file.bytes().len() as u64));
        journal.close();
        assert_eq!(verify(&file.after_power_cut().bytes()[..], &store()).unwrap().head, second.position);
    }

    #[test]
    fn a_group_is_bounded() {
        let file = MemoryFile::default();
        let journal = Journal::start(file.clone(), &store(), |_| ()).unwrap().journal;
        let before = file.syncs();
        file.hold_syncs();
        journal.append(Moment::ZERO, vec![removed(0)]).unwrap();
        file.wait_for_sync(before + 1);
        let big = vec![removed(0); GROUP_BYTES_MAX / 100];
        (0..3).for_each(|_| journal.append(Moment::ZERO, big.clone()).unwrap());
        file.release_syncs();
        journal.close();
        assert_eq!(file.syncs() - before, 4);
    }

    #[test]
    fn a_full_queue_hands_the_batch_back() {
        let file = MemoryFile::default();
        let journal = Journal::start(file.clone(), &store(), |_| ()).unwrap().journal;
        let before = file.syncs();
        file.hold_syncs();
        journal.append(Moment::ZERO, vec![removed(0)]).unwrap();
        file.wait_for_sync(before + 1);
        (0..QUEUE_MAX).for_each(|_| journal.append(Moment::ZERO, vec![removed(1)]).unwrap());
        let refused = journal.append(Moment::ZERO, vec![removed(2)]).unwrap_err();
        assert!(matches!(&refused, AppendError::Full(entries) if entries[..] == [removed(2)]), "{refused}");
        file.release_syncs();
        journal.close();
        assert_eq!(verify(&file.bytes()[..], &store()).unwrap().records, 1 + QUEUE_MAX as u64);
    }

    /// Appends labels 1 to 5 on a disk with a fault; `after` a power cut and after a crash of the process
    /// alone these labels are there.
    #[track_caller]
    fn check(fault: Fault, acknowledged: &[u64], failure: &str, after_power_cut: &[u64], after_crash: &[u64]) {
        let file = MemoryFile::failing(fault);
        assert_eq!(append_each(&file, 1..=5), (acknowledged.to_vec(), Some(failure.to_owned())));
        assert_eq!(reopened(file.after_power_cut()), (after_power_cut.to_vec(), None));
        assert_eq!(reopened(file.after_crash()).0, after_crash);
    }

    #[test]
    fn a_failing_disk_loses_nothing_acknowledged_and_ends_the_writer() {
        let write = "could not write to the journal memory; nothing more is written to it; make room on the disk, \
                     then restart; what was acknowledged is safe";
        let sync = "could not sync the journal memory to disk; nothing more is written to it; check the disk, then \
                    restart; what was acknowledged was on it";
        check(Fault::Append(1), &[], write, &[], &[]);
        check(Fault::Append(3), &[1, 2], write, &[1, 2], &[1, 2]);
        check(Fault::ShortAppend(3, 40), &[1, 2], write, &[1, 2], &[1, 2]);
        // The first sync belongs to opening.
        check(Fault::Sync(4), &[1, 2], sync, &[1, 2], &[1, 2, 3]);
    }

    #[test]
    fn a_stopped_writer_hands_batches_back() {
        let file = MemoryFile::failing(Fault::Append(1));
        let (sink, reports) = reports();
        let journal = Journal::start(file, &store(), sink).unwrap().journal;
        journal.append(Moment::ZERO, vec![removed(1)]).unwrap();
        assert!(reports.recv().unwrap().is_err());
        let refused = journal.append(Moment::ZERO, vec![removed(2)]).unwrap_err();
        assert!(matches!(&refused, AppendError::Stopped(entries) if entries[..] == [removed(2)]), "{refused}");
        assert_eq!(journal.counters(), JournalCounters::default());
    }

    #[test]
    fn records_that_only_a_crash_left_are_made_durable_by_opening() {
        let file = MemoryFile::failing(Fault::Sync(3));
        append_each(&file, 1..=2);
        let crashed = file.after_crash();
        assert_eq!(reopened(crashed.clone()), (vec![1, 2], None));
        assert_eq!(reopened(crashed.after_power_cut()), (vec![1, 2], None));
    }

    #[test]
    fn a_last_record_torn_at_any_byte_is_cut_and_the_journal_goes_on() {
        let whole = MemoryFile::default();
        append_each(&whole, 1..=3);
        let bytes = whole.bytes();
        let last = bytes[..bytes.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
        for end in last..bytes.len() {
            let file = MemoryFile::holding(&bytes[..end]);
            let torn = TornTail { sequence: 3, offset: last as u64, bytes: (end - last) as u64 };
            assert_eq!(reopened(file.clone()), (vec![1, 2], (end > last).then_some(torn)));
            append_each(&file, 7..=8);
            assert_eq!(reopened(file.after_power_cut()), (vec![1, 2, 7, 8], None));
        }
    }

    #[test]
    fn a_tail_that_a_power_cut_left_without_bytes_is_cut() {
        let whole = MemoryFile::default();
        append_each(&whole, 1..=2);
        let file = MemoryFile::holding(&[whole.bytes(), vec![0; 5_000]].concat());
        let torn = TornTail { sequence: 3, offset: whole.bytes().len() as u64, bytes: 5_000 };
        assert_eq!(reopened(file.clone()), (vec![1, 2], Some(torn)));
        assert_eq!(reopened(file.after_power_cut()), (vec![1, 2], None));
    }

    #[test]
    fn a_torn_record_on_disk_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let whole = MemoryFile::default();
        append_each(&whole, 1..=3);
        let path = dir.path().join(FILE_NAME);
        fs::write(&path, &whole.bytes()[..whole.bytes().len() - 1]).unwrap();
        let opened = Journal::open(dir.path(), &store(), |_| ()).unwrap();
        assert_eq!(labels(&opened.records), [1, 2]);
        let torn = opened.torn.unwrap().to_string();
        assert!(torn.starts_with("removed ") && torn.contains(" of an unfinished record 3 (from byte "), "{torn}");
        opened.journal.append(Moment::ZERO, vec![removed(4)]).unwrap();
        opened.journal.close();
        assert_eq!(verify(&fs::read(&path).unwrap()[..], &store()).unwrap().records, 3);
    }

    #[test]
    fn a_changed_journal_is_refused_and_left_as_it_is() {
        let whole = MemoryFile::default();
        append_each(&whole, 1..=3);
        let mut bytes = whole.bytes();
        bytes[20] ^= 1;
        let file = MemoryFile::holding(&bytes);
        let error = Journal::start(file.clone(), &store(), |_| ()).unwrap_err();
        assert_eq!(error.to_string(), "the journal memory does not verify");
        assert!(matches!(error, JournalError::Broken { broken: Broken { sequence: 1, .. }, .. }));
        assert_eq!(file.bytes(), bytes);
    }

    #[test]
    fn an_entry_that_could_not_be_read_again_is_refused() {
        let file = MemoryFile::default();
        let (sink, reports) = reports();
        let journal = Journal::start(file.clone(), &store(), sink).unwrap().journal;
        let template = Some("x".repeat(LINE_MAX));
        journal.append(Moment::ZERO, vec![Entry::Bound { label: LabelId(1), skus: Vec::new(), template }]).unwrap();
        let error = reports.recv().unwrap().unwrap_err();
        assert!(matches!(error, JournalError::EntryTooLong { sequence: 1, .. }), "{error}");
        journal.close();
        assert_eq!(file.bytes(), b"");
    }
}
