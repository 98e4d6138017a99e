//! A store's state as it was at a journal position, for a fast start. Never the only home of anything.
//!
//! Everything lies in one sled tree under a tag byte: a batch changes several [`Tree`]s and the journal
//! position in one step, which sled means to recover whole or not at all. From a damaged file it sometimes
//! recovers most of a step without a word, so a checksum over all that is held goes along with each step, and
//! a view that does not add up when it is opened is as good as one that will not open.

mod database;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) use database::Database;
pub use database::Rows;
use database::{Held, SEQUENCE_KEY, VERSION, message};

/// Views set aside that are kept: enough to look into a fault, too few to fill a disk.
const SET_ASIDE_MAX: u64 = 3;

/// The view in a store's directory.
pub(super) const DIR_NAME: &str = "view";
/// What a view that is set aside is called, up to its number.
const SET_ASIDE_PREFIX: &str = "view.set-aside-";

/// What a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// Products by SKU.
    Products,
    /// Promotions by id.
    Promotions,
    /// Labels by id.
    Labels,
    /// The rest of the core's state.
    Meta,
    /// Price changes that wait for a person.
    Held,
}

impl Tree {
    /// The byte before its keys. It is on disk.
    const fn tag(self) -> u8 {
        match self {
            Self::Products => 1,
            Self::Promotions => 2,
            Self::Labels => 3,
            Self::Meta => 4,
            Self::Held => 5,
        }
    }

    fn key(self, key: &[u8]) -> Vec<u8> {
        [&[self.tag()], key].concat()
    }
}

/// One key's new value; values are the caller's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewChange {
    /// What the key belongs to.
    pub tree: Tree,
    /// The key.
    pub key: Vec<u8>,
    /// Its value; none removes it.
    pub value: Option<Vec<u8>>,
}

/// Changes that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewBatch {
    /// Its running number, by which it is reported as flushed.
    pub number: u64,
    /// The journal record that the view goes up to with it: every effect of that record and those before
    /// is in this batch or an earlier one.
    pub journal_sequence: u64,
    /// The changes, in order.
    pub changes: Vec<ViewChange>,
}

/// Why a view cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// sled's own.
    #[error("the database failed")]
    Database(#[from] sled::Error),
    /// sled gave up in a way that it does when its files are damaged.
    #[error("the database panicked: {0}")]
    Panicked(String),
    /// It was written by another version.
    #[error("it has version {found}, this gondola writes version {VERSION}")]
    Version {
        /// Its version.
        found: String,
    },
    /// Keys or values were lost or changed.
    #[error("what it holds is not what was written")]
    Damaged,
    /// Another handle to it is open, in this process or another.
    #[error("the view {} is in use", path.display())]
    InUse {
        /// The view.
        path: PathBuf,
    },
    /// It is opened anew after a failure.
    #[error("the database is opened anew after a failure")]
    Away,
    /// It could not be set aside.
    #[error("could not set the view {} aside, which is not usable: {reason}", path.display())]
    SetAside {
        /// The view.
        path: PathBuf,
        /// Why it should be.
        reason: String,
        /// Why.
        source: io::Error,
    },
}

impl ViewError {
    /// What a person can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        if let Self::InUse { .. } = self {
            return "stop the process that uses it first";
        }
        "check that the disk has room and that the user gondola runs as may write there; the view itself may be \
         removed while gondola is stopped: it is made anew from the journal and a reload"
    }
}

/// A view that could not be used, and was moved away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it lies now.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the view was set aside as {} and made anew: {}", self.path.display(), self.reason)
    }
}

/// What opening a view found.
#[derive(Debug)]
pub struct ViewOpened {
    /// The journal record that the view goes up to; none if it is empty.
    pub journal_sequence: Option<u64>,
    /// The view that stood there before, if it could not be used.
    pub set_aside: Option<SetAside>,
    /// Everything that is in it: it was read to see that it adds up.
    pub rows: Rows,
}

/// A store's state on disk. Clones are the same view.
#[derive(Debug, Clone)]
pub struct View {
    dir: PathBuf,
    /// Locked while the database is opened, and never while it works.
    standing: Arc<Mutex<Standing>>,
    /// Locked while a step is written.
    held: Arc<Mutex<Held>>,
    /// Writes that fail, in a test.
    #[cfg(test)]
    failures: Arc<AtomicU64>,
}

/// Whether the database is at hand.
#[derive(Debug)]
enum Standing {
    Open(Database),
    /// It is closed: whoever needs it next opens it.
    Resting,
    /// It failed: who writes it opens it.
    Failed,
}

impl View {
    /// Opens the view in a store's directory, or makes it. One that will not open, cannot be read to its end
    /// or is of another version is set aside. The data directory must be locked.
    ///
    /// # Errors
    /// No view can be made there at all.
    pub fn open(dir: &Path) -> Result<(Self, ViewOpened), ViewError> {
        match Database::open_released(dir, Database::read_through) {
            Ok((database, (held, rows))) => {
                let opened = ViewOpened { journal_sequence: held.position, set_aside: None, rows };
                Ok((Self::of(dir, database, held), opened))
            }
            Err(error @ ViewError::InUse { .. }) => Err(error),
            Err(error) => Self::make_anew(dir, with_source(&error)),
        }
    }

    fn of(dir: &Path, database: Database, held: Held) -> Self {
        Self {
            dir: dir.to_owned(),
            standing: Arc::new(Mutex::new(Standing::Open(database))),
            held: Arc::new(Mutex::new(held)),
            #[cfg(test)]
            failures: Arc::default(),
        }
    }

    /// Closes the database until somebody needs it: sled keeps in memory most of what it has read, and after a start
    /// that is everything.
    pub fn rest(&self) {
        *self.standing() = Standing::Resting;
    }

    /// The database; opened, where it rests. It must hold what it held before.
    pub(super) fn database(&self) -> Result<Database, ViewError> {
        let mut standing = self.standing();
        match &*standing {
            Standing::Open(database) => Ok(database.clone()),
            Standing::Failed => Err(ViewError::Away),
            Standing::Resting => {
                let (database, told) = Database::open_released(&self.dir, Database::told)?;
                if told != *self.held() {
                    return Err(ViewError::Damaged);
                }
                *standing = Standing::Open(database.clone());
                Ok(database)
            }
        }
    }

    /// Sees to it that the database is open, also after a failure: then everything is read again, and goes as far as it
    /// did, or as far as the step that failed, which was to end at the record `newest`.
    pub(super) fn open_again(&self, newest: u64) -> Result<(), ViewError> {
        let is_failed = matches!(*self.standing(), Standing::Failed);
        if !is_failed {
            return self.database().map(drop);
        }
        let (database, (found, _)) = Database::open_released(&self.dir, Database::read_through)?;
        if found.position != self.held().position && found.position != Some(newest) {
            return Err(ViewError::Damaged);
        }
        *self.held() = found;
        *self.standing() = Standing::Open(database);
        Ok(())
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // After a panic while it was locked it is still what was applied.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets this view aside, for example because it goes further than the journal does, and makes it anew.
    /// It must be the only handle: no clone, writer or pictures of it may be left.
    ///
    /// # Errors
    /// As for [`View::open`].
    pub fn replace(self, reason: &str) -> Result<(Self, ViewOpened), ViewError> {
        let dir = self.dir.clone();
        drop(self);
        Self::make_anew(&dir, reason.to_owned())
    }

    /// Applies batches in order, as one step, and waits until they are on disk. sled's panics are errors here.
    pub(super) fn write(&self, batches: Vec<ViewBatch>) -> Result<(), ViewError> {
        let written = catch_unwind(AssertUnwindSafe(|| self.write_step(batches)));
        let written = written.unwrap_or_else(|panic| Err(ViewError::Panicked(message(panic.as_ref()))));
        written.inspect_err(|_| *self.standing() = Standing::Failed)
    }

    fn write_step(&self, batches: Vec<ViewBatch>) -> Result<(), ViewError> {
        #[cfg(test)]
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(ViewError::Database(sled::Error::Io(io::ErrorKind::StorageFull.into())));
        }
        let database = self.database()?;
        let (mut newest, mut position) = (BTreeMap::new(), None);
        for ViewBatch { journal_sequence, changes, .. } in batches {
            newest.extend(changes.into_iter().map(|change| (change.tree.key(&change.key), change.value)));
            position = Some(journal_sequence);
        }
        newest.extend(position.map(|position| (SEQUENCE_KEY.to_vec(), Some(position.to_be_bytes().to_vec()))));
        let mut held = self.held();
        let mut applied = database.apply(*held, newest)?;
        applied.position = position.or(applied.position);
        database.flush()?;
        *held = applied;
        Ok(())
    }

    /// The next so many writes fail as on a full disk.
    #[cfg(test)]
    pub(super) fn fail_writes(&self, count: u64) {
        self.failures.store(count, Ordering::SeqCst);
    }

    fn make_anew(dir: &Path, reason: String) -> Result<(Self, ViewOpened), ViewError> {
        let set_aside = match set_aside(dir) {
            Ok(path) => SetAside { path, reason },
            Err(source) => return Err(ViewError::SetAside { path: dir.join(DIR_NAME), reason, source }),
        };
        tracing::warn!("{set_aside}");
        let (database, held) = Database::open_guarded(dir, Database::told)?;
        let opened = ViewOpened { journal_sequence: None, set_aside: Some(set_aside), rows: Rows::default() };
        Ok((Self::of(dir, database, held), opened))
    }
}

/// Renames the view to the next free `view.set-aside-<n>`, and removes those set aside long before.
fn set_aside(dir: &Path) -> io::Result<PathBuf> {
    let path_of = |number: u64| dir.join(format!("{SET_ASIDE_PREFIX}{number}"));
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        numbers
            .extend(name.to_str().and_then(|n| n.strip_prefix(SET_ASIDE_PREFIX)?.parse::<u32>().ok()).map(u64::from));
    }
    let number = numbers.iter().max().map_or(1, |newest| newest + 1);
    fs::rename(dir.join(DIR_NAME), path_of(number))?;
    for old in numbers.into_iter().filter(|old| old + SET_ASIDE_MAX <= number) {
        fs::remove_dir_all(path_of(old))?;
    }
    Ok(path_of(number))
}

fn with_source(error: &ViewError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[cfg(test)]
mod tests;
