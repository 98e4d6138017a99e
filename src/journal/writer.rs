//! The thread that owns a journal's newest segment: takes what waits, writes once, syncs once, then says so.
//!
//! It decides nothing: the core puts out entries and takes in how far they are durable. After a failed write or sync
//! nothing more goes into that segment: the operating system may have dropped the bytes, will not say so twice, and
//! shows them to readers all the same. So the segment is cut back to what an earlier sync made durable, read again, and
//! the entries, which the writer still holds, go into a new segment. That is tried until it succeeds, and said once.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gondola_protocol::{Moment, StoreId};

use super::chain::{Chain, LINE_MAX, Position};
use super::checkpoint::{CheckpointError, Recalled};
use super::directory::{DIR_NAME, Directory, DiskDirectory};
use super::entry::Entry;
use super::keeper::{Job, Keeper};
use super::open::{self, Tail};
use super::reader::JournalReader;
use super::segment;
use super::verify::Broken;

/// Batches that may wait for the writer.
///
/// A store makes far fewer than 1,000 batches a second; this is what arrives while a slow disk takes four
/// seconds over one fsync.
pub const QUEUE_MAX: usize = 4_096;

/// A group takes in no further batch once it is this long: about 10 ms of a plain disk's writing, so
/// that those who wait for the first batch do not wait for a whole backlog.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// A segment is closed once it is this long: some 50,000 records, which a start reads in a fraction of a second, and
/// twice a day for a store of 30,000 labels.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;

/// How long proofs are kept unless somebody says otherwise: as long as the configuration's default.
const KEPT: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Between two attempts to go on after a failure. Each costs a few calls; a person who made room expects an answer.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// How a journal is kept.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// A segment is closed once it has so many bytes.
    pub segment_bytes: u64,
    /// Records that are older may be dropped, once what they come to is in a checkpoint.
    pub kept: Duration,
    /// Between two attempts to go on after a failure.
    pub retry_wait: Duration,
    /// Who looks after closed segments; nobody, and they stay as they are.
    pub keeper: Option<Keeper>,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES_MAX, kept: KEPT, retry_wait: RETRY_WAIT, keeper: None }
    }
}

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

/// Why a journal cannot be opened, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file cannot be made or read, or a torn end not be cut.
    #[error("could not open the journal {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A record is not what was written.
    #[error("the journal {} does not verify", path.display())]
    Broken {
        /// The directory.
        path: PathBuf,
        /// Which record, and what is wrong with it.
        #[source]
        broken: Box<Broken>,
    },
    /// The oldest records were dropped, and what they come to cannot be read.
    #[error("the journal {} has no checkpoint that can be used: {}", path.display(), list(unusable))]
    Checkpoint {
        /// The directory.
        path: PathBuf,
        /// Those that are there.
        unusable: Vec<CheckpointError>,
    },
    /// A write failed.
    #[error("could not write to the journal {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A sync failed.
    #[error("could not sync the journal {} to disk: {source}", path.display())]
    Sync {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// After a failure no new segment could be begun yet.
    #[error("could not go on with the journal {}: {source}", path.display())]
    GoOn {
        /// The directory.
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

fn list(unusable: &[CheckpointError]) -> String {
    if unusable.is_empty() {
        return "there is none".to_owned();
    }
    unusable.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl JournalError {
    /// Whether the journal goes on by itself once the disk lets it.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Sync { .. } | Self::GoOn { .. })
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Open { .. } => "check that the user gondola runs as may read and write there".to_owned(),
            Self::Broken { broken, .. } => broken.hint(),
            Self::Checkpoint { .. } => "restore the journal from a backup; keep what is there beside it".to_owned(),
            Self::Write { .. } | Self::Sync { .. } | Self::GoOn { .. } => {
                "make room on the disk, or mend it; what was acknowledged is safe, and the journal goes on by itself"
                    .to_owned()
            }
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
    /// The writer has reported a failure that does not pass, and stopped.
    #[error("the journal has stopped after a failure")]
    Stopped(Vec<Entry>),
}

/// A journal that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The handle.
    pub journal: Journal,
    /// What an interrupted write had left.
    pub torn: Option<TornTail>,
    /// Checkpoints that could not be used, so that an older one, or all records, were read.
    pub unusable: Vec<CheckpointError>,
    /// The newest record.
    pub head: Position,
    /// When that was decided.
    pub until: Option<Moment>,
}

/// A handle to a journal's writer. Dropping it lets the writer finish on its own; [`Journal::close`] waits.
#[derive(Debug)]
pub struct Journal {
    queue: Option<SyncSender<Submission>>,
    thread: Option<JoinHandle<()>>,
    closing: Arc<AtomicBool>,
    counters: Arc<Counters>,
    reader: JournalReader,
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
    /// Opens or creates the journal in a store's directory: hands over what it holds, oldest first, cuts a torn last
    /// line (reported in the answer) and starts the writer.
    ///
    /// `synced` is called on the writer's thread, in order, at least once per group of batches. An error that
    /// [is passing](JournalError::is_passing) is told when it begins and when its text changes, and is over with the
    /// next `Ok`; after another one `synced` is not called again. It must not wait for the journal.
    ///
    /// # Errors
    /// A directory that cannot be opened, or a record that does not verify.
    pub fn open(
        store_dir: &Path,
        store: &StoreId,
        options: JournalOptions,
        recalled: &mut dyn FnMut(Recalled),
        synced: impl FnMut(Result<Synced, JournalError>) + Send + 'static,
    ) -> Result<Opened, JournalError> {
        let path = store_dir.join(DIR_NAME);
        let directory = DiskDirectory::make(&path).map_err(|source| JournalError::Open { path, source })?;
        Self::start(directory, store, options, recalled, synced)
    }

    /// [`Journal::open`] on any directory.
    ///
    /// # Errors
    /// As for [`Journal::open`].
    pub fn start(
        directory: Arc<dyn Directory>,
        store: &StoreId,
        options: JournalOptions,
        recalled: &mut dyn FnMut(Recalled),
        synced: impl FnMut(Result<Synced, JournalError>) + Send + 'static,
    ) -> Result<Opened, JournalError> {
        let found = open::open(&directory, store, recalled)?;
        let head = found.head;
        let (counters, closing) = (Arc::new(Counters::default()), Arc::new(AtomicBool::new(false)));
        let durable = Arc::new(AtomicU64::new(head.sequence));
        let reader = JournalReader::up_to(Arc::clone(&directory), store, Arc::clone(&durable));
        let (queue, submissions) = sync_channel(QUEUE_MAX);
        let writer = Writer {
            directory: Arc::clone(&directory),
            store: store.clone(),
            options,
            chain: Chain::after(head),
            synced: head,
            durable,
            tail: Some(found.tail),
            broken_tail: None,
            batches: 0,
            counters: Arc::clone(&counters),
            closing: Arc::clone(&closing),
        };
        writer.wants_looking_after(found.until.unwrap_or(Moment::ZERO));
        let thread = thread::Builder::new()
            .name(format!("journal {store}"))
            .spawn(move || writer.run(&submissions, synced))
            .map_err(|source| JournalError::Open { path: directory.path().to_owned(), source })?;
        let journal = Self { queue: Some(queue), thread: Some(thread), closing, counters, reader };
        Ok(Opened { journal, torn: found.torn, unusable: found.unusable, head, until: found.until })
    }

    /// Hands over a batch, stamped `at`; the answer comes through `synced`, in order. Never blocks.
    ///
    /// # Errors
    /// A full queue or a stopped writer; the batch comes back.
    pub fn append(&self, at: Moment, entries: Vec<Entry>) -> Result<(), AppendError> {
        let Some(queue) = &self.queue else { return Err(AppendError::Stopped(entries)) };
        queue.try_send(Submission { at, entries }).map_err(|refused| match refused {
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

    /// Reads what is durable of it, beside the writer.
    #[must_use]
    pub const fn reader(&self) -> &JournalReader {
        &self.reader
    }

    /// Waits until what was handed over is written and synced, or cannot be: a failure that would pass is not waited
    /// for any more.
    ///
    /// # Panics
    /// If `synced` panicked.
    pub fn close(mut self) {
        self.end();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }

    fn end(&mut self) {
        self.queue = None;
        self.closing.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end();
    }
}

struct Writer {
    directory: Arc<dyn Directory>,
    store: StoreId,
    options: JournalOptions,
    /// Behind what was encoded.
    chain: Chain,
    /// Behind what is durable.
    synced: Position,
    /// Its number, for readers beside.
    durable: Arc<AtomicU64>,
    /// Where the next group goes; none after a failure.
    tail: Option<Tail>,
    /// The segment of the failure, with what was durable of it.
    broken_tail: Option<(segment::Segment, u64)>,
    batches: u64,
    counters: Arc<Counters>,
    closing: Arc<AtomicBool>,
}

/// Batches that are written and synced together.
struct Group {
    bytes: Vec<u8>,
    entries: u64,
    at: Moment,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Submission>, mut synced: impl FnMut(Result<Synced, JournalError>)) {
        while let Ok(first) = queue.recv() {
            let group = match self.gather(first, queue) {
                Ok(group) => group,
                Err(error) => return synced(Err(error)),
            };
            let mut told = String::new();
            while let Err(error) = self.commit(&group) {
                if self.closing.load(Ordering::Acquire) {
                    return synced(Err(error));
                }
                if told != error.to_string() {
                    told = error.to_string();
                    synced(Err(error));
                }
                thread::park_timeout(self.options.retry_wait);
            }
            synced(Ok(Synced { batches: self.batches, position: self.synced }));
            self.close_full_segment(group.at);
        }
    }

    /// Takes `first` and all that waits behind it, up to a group's length.
    fn gather(&mut self, first: Submission, queue: &Receiver<Submission>) -> Result<Group, JournalError> {
        let before = self.chain.head().sequence;
        let (mut bytes, mut at) = (Vec::new(), first.at);
        let mut next = Some(first);
        while let Some(submission) = next {
            at = submission.at;
            self.encode(&submission, &mut bytes)?;
            next = if bytes.len() < GROUP_BYTES_MAX { queue.try_recv().ok() } else { None };
        }
        Ok(Group { bytes, entries: self.chain.head().sequence - before, at })
    }

    fn encode(&mut self, submission: &Submission, out: &mut Vec<u8>) -> Result<(), JournalError> {
        for entry in &submission.entries {
            let start = out.len();
            self.chain.write(submission.at, entry, out);
            let bytes = out.len() - start - 1;
            if bytes > LINE_MAX {
                let path = self.directory.path().to_owned();
                return Err(JournalError::EntryTooLong { path, sequence: self.chain.head().sequence, bytes });
            }
        }
        self.batches += 1;
        Ok(())
    }

    /// Makes a group durable with one write and one sync; after a failure, in a new segment.
    fn commit(&mut self, group: &Group) -> Result<(), JournalError> {
        if group.bytes.is_empty() {
            return Ok(());
        }
        let mut tail = match self.tail.take() {
            Some(tail) => tail,
            None => self.go_on()?,
        };
        let path = || self.directory.path().join(tail.segment.name());
        let written = tail.file.append(&group.bytes).map_err(|source| JournalError::Write { path: path(), source });
        let done =
            written.and_then(|()| tail.file.sync().map_err(|source| JournalError::Sync { path: path(), source }));
        if let Err(error) = done {
            self.broken_tail = Some((tail.segment, tail.bytes));
            return Err(error);
        }
        tail.bytes += group.bytes.len() as u64;
        self.tail = Some(tail);
        self.synced = self.chain.head();
        self.durable.store(self.synced.sequence, Ordering::Release);
        self.counters.entries.fetch_add(group.entries, Ordering::Relaxed);
        self.counters.fsyncs.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(group.bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// After a failure: cuts the segment back to what is durable, reads it again, and begins a new one.
    fn go_on(&mut self) -> Result<Tail, JournalError> {
        let path = self.directory.path().to_owned();
        self.mend().map_err(|source| JournalError::GoOn { path, source })
    }

    fn mend(&mut self) -> std::io::Result<Tail> {
        if let Some((segment, bytes)) = self.broken_tail {
            let mut file = self.directory.open(&segment.name())?;
            file.truncate(bytes)?;
            file.sync()?;
            let end = segment::end(self.directory.as_ref(), &self.store, segment).map_err(std::io::Error::other)?;
            if end != self.synced {
                let said = format!("{} ends with record {end}, but {} was synced", segment.name(), self.synced);
                return Err(std::io::Error::other(said));
            }
        }
        let tail = Tail::create(self.directory.as_ref(), &self.store, self.synced)?;
        self.broken_tail = None;
        Ok(tail)
    }

    /// Begins a new segment once this one is long enough. Where that fails, a file of its name may be there all the
    /// same, so nothing more goes into the old one: the next group tries again.
    fn close_full_segment(&mut self, now: Moment) {
        if self.tail.as_ref().is_none_or(|tail| tail.bytes < self.options.segment_bytes) {
            return;
        }
        self.tail = Tail::create(self.directory.as_ref(), &self.store, self.synced).ok();
        if self.tail.is_some() {
            self.wants_looking_after(now);
        }
    }

    fn wants_looking_after(&self, now: Moment) {
        if let Some(keeper) = &self.options.keeper {
            let (directory, store) = (Arc::clone(&self.directory), self.store.clone());
            keeper.look_after(Job { directory, store, kept: self.options.kept, now });
        }
    }
}
