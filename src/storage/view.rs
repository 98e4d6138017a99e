//! A store's state as it was at a journal position, for a fast start. Never the only home of anything.
//!
//! Everything lies in one sled tree under a tag byte: a batch changes several [`Tree`]s and the journal
//! position in one step, which sled means to recover whole or not at all. From a damaged file it sometimes
//! recovers most of a step without a word, so a checksum over all that is held goes along with each step, and
//! a view that does not add up when it is opened is as good as one that will not open.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The shape of what is stored, keys and values: one more whenever any of it changes.
pub const VERSION: u32 = 2;

/// sled's cache: its default is 1 GiB. A store's state is read once, at start, and then written in batches whose keys lie
/// together, so that a larger cache holds what nobody asks for, once for every store of the process.
const CACHE_BYTES: u64 = 1 << 20;

/// Views set aside that are kept: enough to look into a fault, too few to fill a disk.
const SET_ASIDE_MAX: u64 = 3;

/// How long a view may stay locked after its last handle was dropped, one second in all: sled's threads
/// finish their writes within milliseconds.
const RELEASE_WAITS_MAX: u32 = 50;
const RELEASE_WAIT: Duration = Duration::from_millis(20);

/// The view in a store's directory.
pub(super) const DIR_NAME: &str = "view";
/// What a view that is set aside is called, up to its number.
const SET_ASIDE_PREFIX: &str = "view.set-aside-";

const STATE_TREE: &str = "state";
const PICTURE_TREE: &str = "pictures";
const UNWANTED_TREE: &str = "unwanted";

// The view's own keys, under a tag that no tree has.
const VERSION_KEY: &[u8] = b"\0version";
const SEQUENCE_KEY: &[u8] = b"\0journal_sequence";
const CHECKSUM_KEY: &[u8] = b"\0checksum";

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

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewOpened {
    /// The journal record that the view goes up to; none if it is empty.
    pub journal_sequence: Option<u64>,
    /// The view that stood there before, if it could not be used.
    pub set_aside: Option<SetAside>,
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

/// sled's handles. Clones are the same database.
#[derive(Debug, Clone)]
pub(super) struct Database {
    db: sled::Db,
    state: sled::Tree,
    /// Where pictures are kept.
    pub(super) pictures: sled::Tree,
    /// Since when nobody has wanted a picture.
    pub(super) unwanted: sled::Tree,
}

/// What the database is known to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    checksum: Checksum,
    /// The journal record that it goes up to.
    position: Option<u64>,
}

/// The sum of a hash of each key with its value, so that it follows a change without reading the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Checksum(u128);

impl Checksum {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(Self::of(key, value));
    }

    fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(Self::of(key, value));
    }

    fn of(key: &[u8], value: &[u8]) -> u128 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&key.len().to_be_bytes()).update(key).update(value);
        let mut half = [0; 16];
        half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        u128::from_be_bytes(half)
    }
}

impl View {
    /// Opens the view in a store's directory, or makes it. One that will not open, cannot be read to its end
    /// or is of another version is set aside. The data directory must be locked.
    ///
    /// # Errors
    /// No view can be made there at all.
    pub fn open(dir: &Path) -> Result<(Self, ViewOpened), ViewError> {
        match Database::open_released(dir, Database::read_through) {
            Ok((database, held)) => {
                let opened = ViewOpened { journal_sequence: held.position, set_aside: None };
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
        let (database, found) = Database::open_released(&self.dir, Database::read_through)?;
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

    /// Every key of a tree, in order, with its value.
    ///
    /// Each was read once when the view was opened; an error now means that the disk fails, or that the view
    /// was damaged since: [`View::replace`] it.
    ///
    /// # Errors
    /// A database that rests and cannot be opened.
    pub fn load(&self, tree: Tree) -> Result<impl Iterator<Item = Result<Pair, ViewError>> + use<>, ViewError> {
        let pairs = self.database()?.state.scan_prefix([tree.tag()]);
        Ok(pairs.map(|pair| {
            let (key, value) = pair?;
            Ok((key[1..].to_vec(), value.to_vec()))
        }))
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
        database.db.flush()?;
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
        let (database, held) = Database::open_guarded(dir, Database::read_through)?;
        let opened = ViewOpened { journal_sequence: None, set_aside: Some(set_aside) };
        Ok((Self::of(dir, database, held), opened))
    }
}

/// How what an opened database holds is found.
type Look = fn(&Database) -> Result<Held, ViewError>;

impl Database {
    /// sled's own threads may hold the files a little longer than the last handle: waits for them.
    fn open_released(dir: &Path, look: Look) -> Result<(Self, Held), ViewError> {
        for _ in 0..RELEASE_WAITS_MAX {
            match Self::open_guarded(dir, look) {
                Err(ViewError::InUse { .. }) => thread::sleep(RELEASE_WAIT),
                opened => return opened,
            }
        }
        Self::open_guarded(dir, look)
    }

    /// sled may panic on files that were damaged; that is one more way not to open.
    fn open_guarded(dir: &Path, look: Look) -> Result<(Self, Held), ViewError> {
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open_checked(dir, look)));
        opened.unwrap_or_else(|panic| Err(ViewError::Panicked(message(panic.as_ref()))))
    }

    fn open_checked(dir: &Path, look: Look) -> Result<(Self, Held), ViewError> {
        let path = dir.join(DIR_NAME);
        let db = match sled::Config::new().path(&path).cache_capacity(CACHE_BYTES).open() {
            // sled has no variant for it; its version is pinned, and a test holds this text.
            Err(sled::Error::Io(error)) if error.to_string().starts_with("could not acquire lock") => {
                return Err(ViewError::InUse { path });
            }
            opened => opened?,
        };
        let [state, pictures, unwanted] = [STATE_TREE, PICTURE_TREE, UNWANTED_TREE].map(|name| db.open_tree(name));
        let database = Self { state: state?, pictures: pictures?, unwanted: unwanted?, db };
        let held = match database.state.get(VERSION_KEY)? {
            Some(version) if version == VERSION.to_be_bytes() => look(&database)?,
            Some(version) => return Err(ViewError::Version { found: number(&version) }),
            None if database.state.is_empty() => {
                let version = (VERSION_KEY.to_vec(), Some(VERSION.to_be_bytes().to_vec()));
                let held = database.apply(Held::default(), BTreeMap::from([version]))?;
                database.db.flush()?;
                held
            }
            None => return Err(ViewError::Damaged),
        };
        Ok((database, held))
    }

    /// Reads all state once, so that damage is found while the view can still be set aside.
    fn read_through(&self) -> Result<Held, ViewError> {
        let mut checksum = Checksum::default();
        for pair in &self.state {
            let (key, value) = pair?;
            if key != CHECKSUM_KEY {
                checksum.add(&key, &value);
            }
        }
        let told = self.told()?;
        if told.checksum == checksum { Ok(told) } else { Err(ViewError::Damaged) }
    }

    /// What it says that it holds.
    fn told(&self) -> Result<Held, ViewError> {
        let checksum = self.state.get(CHECKSUM_KEY)?.ok_or(ViewError::Damaged)?;
        let checksum = checksum.as_ref().try_into().map_err(|_| ViewError::Damaged)?;
        let position = self.state.get(SEQUENCE_KEY)?.map(|position| position.as_ref().try_into());
        let position = position.transpose().map_err(|_| ViewError::Damaged)?;
        Ok(Held { checksum: Checksum(u128::from_be_bytes(checksum)), position: position.map(u64::from_be_bytes) })
    }

    /// Gives each key its new value, or none, together with the checksum. Answers what it holds then.
    fn apply(&self, mut held: Held, values: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Result<Held, ViewError> {
        let mut step = sled::Batch::default();
        for (key, value) in values {
            if let Some(old) = self.state.get(&key)? {
                held.checksum.remove(&key, &old);
            }
            match value {
                Some(value) => {
                    held.checksum.add(&key, &value);
                    step.insert(key, value);
                }
                None => step.remove(key),
            }
        }
        step.insert(CHECKSUM_KEY, &held.checksum.0.to_be_bytes());
        self.state.apply_batch(step)?;
        Ok(held)
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

fn number(bytes: &[u8]) -> String {
    bytes.try_into().map_or_else(|_| "unknown".to_owned(), |bytes| u32::from_be_bytes(bytes).to_string())
}

fn with_source(error: &ViewError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word").to_owned()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn set(tree: Tree, key: &str, value: &str) -> ViewChange {
        ViewChange { tree, key: key.into(), value: Some(value.into()) }
    }

    fn batch(journal_sequence: u64, changes: Vec<ViewChange>) -> ViewBatch {
        ViewBatch { number: journal_sequence, journal_sequence, changes }
    }

    fn loaded(view: &View, tree: Tree) -> Vec<(String, String)> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        view.load(tree).unwrap().map(|pair| pair.unwrap()).map(|(key, value)| (text(key), text(value))).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn trees_are_apart_and_in_order_and_the_newest_value_wins() {
        let dir = tempfile::tempdir().unwrap();
        let (view, opened) = View::open(dir.path()).unwrap();
        assert_eq!(opened, ViewOpened { journal_sequence: None, set_aside: None });
        let remove = ViewChange { tree: Tree::Products, key: "1101".into(), value: None };
        let first = batch(3, vec![set(Tree::Products, "1102", "b"), set(Tree::Products, "1101", "a")]);
        let second = batch(5, vec![set(Tree::Labels, "1101", "c"), set(Tree::Products, "1103", "d"), remove]);
        let third = batch(6, vec![set(Tree::Products, "1103", "e"), set(Tree::Meta, "", "f")]);
        view.write(vec![first]).unwrap();
        view.write(vec![second, third]).unwrap();
        drop(view);
        let (view, opened) = View::open(dir.path()).unwrap();
        assert_eq!(opened, ViewOpened { journal_sequence: Some(6), set_aside: None });
        assert_eq!(loaded(&view, Tree::Products), pairs(&[("1102", "b"), ("1103", "e")]));
        assert_eq!(loaded(&view, Tree::Labels), pairs(&[("1101", "c")]));
        assert_eq!(loaded(&view, Tree::Meta), pairs(&[("", "f")]));
        assert_eq!(loaded(&view, Tree::Promotions), []);
    }

    /// A view after `damage` is set aside for `reason`, and the new one is empty and works.
    #[track_caller]
    fn check(damage: impl FnOnce(&Path), reason: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DIR_NAME);
        let (view, _) = View::open(dir.path()).unwrap();
        view.write(vec![batch(1, vec![set(Tree::Meta, "key", "value")])]).unwrap();
        drop(view);
        damage(&path);
        let (view, opened) = View::open(dir.path()).unwrap();
        let set_aside = opened.set_aside.unwrap();
        assert!(set_aside.reason.contains(reason), "{set_aside}");
        assert_eq!(set_aside.path, dir.path().join("view.set-aside-1"));
        assert_eq!((loaded(&view, Tree::Meta), opened.journal_sequence), (Vec::new(), None));
        view.write(vec![batch(2, vec![set(Tree::Meta, "key", "value")])]).unwrap();
        drop(view);
        let (_, opened) = View::open(dir.path()).unwrap();
        assert_eq!(opened, ViewOpened { journal_sequence: Some(2), set_aside: None });
    }

    /// The database itself, once sled's threads have let go of it.
    fn database(path: &Path) -> sled::Db {
        for _ in 0..RELEASE_WAITS_MAX {
            match sled::open(path) {
                Err(sled::Error::Io(error)) if error.to_string().starts_with("could not acquire lock") => {
                    thread::sleep(RELEASE_WAIT);
                }
                opened => return opened.unwrap(),
            }
        }
        panic!("{} stays locked", path.display());
    }

    fn insert(path: &Path, key: &[u8], value: &[u8]) {
        let db = database(path);
        db.open_tree(STATE_TREE).unwrap().insert(key, value).unwrap();
    }

    fn remove(path: &Path, key: &[u8]) {
        let db = database(path);
        db.open_tree(STATE_TREE).unwrap().remove(key).unwrap();
    }

    #[test]
    fn what_will_not_open_is_set_aside() {
        check(|path| fs::write(path.join("conf"), "not a configuration").unwrap(), "the database");
        check(
            |path| {
                fs::remove_dir_all(path).unwrap();
                fs::write(path, "no directory").unwrap();
            },
            "the database failed: ",
        );
    }

    #[test]
    fn what_another_version_wrote_is_set_aside() {
        check(
            |path| insert(path, VERSION_KEY, &7_u32.to_be_bytes()),
            "it has version 7, this gondola writes version 2",
        );
        check(|path| insert(path, VERSION_KEY, b"?"), "it has version unknown");
    }

    #[test]
    fn what_does_not_add_up_is_set_aside() {
        let damaged = "what it holds is not what was written";
        check(|path| insert(path, SEQUENCE_KEY, &9_u64.to_be_bytes()), damaged);
        check(|path| insert(path, b"\xFFkey", b"value"), damaged);
        check(|path| insert(path, &Tree::Meta.key(b"key"), b"older"), damaged);
        check(|path| remove(path, &Tree::Meta.key(b"key")), damaged);
        check(|path| remove(path, CHECKSUM_KEY), damaged);
        check(|path| remove(path, VERSION_KEY), damaged);
    }

    #[test]
    fn a_view_in_use_stays_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let held = View::open(dir.path()).unwrap();
        let error = View::open(dir.path()).unwrap_err();
        assert!(matches!(error, ViewError::InUse { .. }), "{error}");
        drop(held);
        assert_eq!(View::open(dir.path()).unwrap().1.set_aside, None);
    }

    #[test]
    fn a_view_that_rests_is_opened_by_who_needs_it_and_must_hold_what_it_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DIR_NAME);
        let (view, _) = View::open(dir.path()).unwrap();
        view.write(vec![batch(1, vec![set(Tree::Meta, "key", "value")])]).unwrap();
        view.rest();
        // Others could have it.
        drop(database(&path));
        assert_eq!(loaded(&view, Tree::Meta), pairs(&[("key", "value")]));
        view.rest();
        view.write(vec![batch(2, vec![set(Tree::Meta, "key", "newer")])]).unwrap();
        view.rest();
        insert(&path, SEQUENCE_KEY, &9_u64.to_be_bytes());
        let error = view.open_again(3).unwrap_err();
        assert!(matches!(error, ViewError::Damaged), "{error}");
    }

    #[test]
    fn a_view_can_be_replaced_and_few_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (mut view, _) = View::open(dir.path()).unwrap();
        for number in 1..=5 {
            view.write(vec![batch(9, Vec::new())]).unwrap();
            let (anew, opened) = view.replace("it goes further than the journal").unwrap();
            let path = dir.path().join(format!("view.set-aside-{number}"));
            let reason = "it goes further than the journal".to_owned();
            assert_eq!(opened, ViewOpened { journal_sequence: None, set_aside: Some(SetAside { path, reason }) });
            view = anew;
        }
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["view", "view.set-aside-3", "view.set-aside-4", "view.set-aside-5"]);
    }

    #[test]
    fn a_place_without_room_for_a_view_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = View::open(&dir.path().join("file")).unwrap_err();
        assert!(matches!(error, ViewError::SetAside { .. }), "{error}");
        assert!(error.to_string().contains("which is not usable: the database failed: "), "{error}");
    }

    /// Copies a view's files as they are: what a process that dies leaves behind.
    fn copied(from: &Path) -> tempfile::TempDir {
        let to = tempfile::tempdir().unwrap();
        fs::create_dir_all(to.path().join(DIR_NAME).join("blobs")).unwrap();
        for entry in fs::read_dir(from.join(DIR_NAME)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.path().join(DIR_NAME).join(entry.file_name())).unwrap();
            }
        }
        to
    }

    #[test]
    fn what_was_flushed_survives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let (view, _) = View::open(dir.path()).unwrap();
        for sequence in 1..=20 {
            let value = sequence.to_string();
            let changes = vec![set(Tree::Products, &value, &value), set(Tree::Labels, "newest", &value)];
            view.write(vec![batch(sequence, changes)]).unwrap();
        }
        let crashed = copied(dir.path());
        let (view, opened) = View::open(crashed.path()).unwrap();
        assert_eq!(opened, ViewOpened { journal_sequence: Some(20), set_aside: None });
        assert_eq!(loaded(&view, Tree::Labels), pairs(&[("newest", "20")]));
        assert_eq!(loaded(&view, Tree::Products).len(), 20);
    }

    /// What a view of `steps` batches holds after each of them, and its files.
    fn grown(steps: u64) -> (Vec<Vec<(String, String)>>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let (view, _) = View::open(dir.path()).unwrap();
        let mut history = vec![Vec::new()];
        for sequence in 1..=steps {
            let touched = (0..200).filter(|key| key % (1 + sequence % 7) == 0);
            let value = format!("{sequence} {}", "x".repeat(200));
            let changes = touched.map(|key| set(Tree::Products, &format!("{key:03}"), &value)).collect();
            view.write(vec![batch(sequence, changes)]).unwrap();
            history.push(loaded(&view, Tree::Products));
        }
        (history, copied(dir.path()))
    }

    /// The journal's tail can only bring a view up to date that is whole as of the position it claims.
    #[test]
    fn a_damaged_view_is_whole_as_of_its_position_or_set_aside() {
        // Enough for sled to have used parts of its file again.
        let (history, whole) = grown(120);
        let bytes = fs::read(whole.path().join("view/db")).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(7);
        for round in 0..30 {
            let dir = copied(whole.path());
            let mut bytes = bytes.clone();
            let at = random.random_range(0..bytes.len());
            match round % 3 {
                0 => bytes[at] ^= 0x10,
                1 => bytes[at..].iter_mut().take(4_096).for_each(|byte| *byte = 0),
                _ => bytes.truncate(at),
            }
            fs::write(dir.path().join("view/db"), bytes).unwrap();
            let (view, opened) = View::open(dir.path()).unwrap();
            let position = usize::try_from(opened.journal_sequence.unwrap_or(0)).unwrap();
            assert!(loaded(&view, Tree::Products) == history[position], "round {round}, byte {at}: {opened:?}");
        }
    }
}
