//! The sled database of a view: how it is opened, what it says that it holds, and one step in it.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::{DIR_NAME, Tree, ViewError};

/// The shape of what is stored, keys and values: one more whenever any of it changes.
pub(super) const VERSION: u32 = 2;

/// sled's cache: its default is 1 GiB. A store's state is read once, at start, and then written in batches whose keys lie
/// together, so that a larger cache holds what nobody asks for, once for every store of the process.
const CACHE_BYTES: u64 = 1 << 20;

/// How long a view may stay locked after its last handle was dropped, one second in all: sled's threads
/// finish their writes within milliseconds.
pub(super) const RELEASE_WAITS_MAX: u32 = 50;
pub(super) const RELEASE_WAIT: Duration = Duration::from_millis(20);

pub(super) const STATE_TREE: &str = "state";
const PICTURE_TREE: &str = "pictures";
const UNWANTED_TREE: &str = "unwanted";

// The view's own keys, under a tag that no tree has.
pub(super) const VERSION_KEY: &[u8] = b"\0version";
pub(super) const SEQUENCE_KEY: &[u8] = b"\0journal_sequence";
pub(super) const CHECKSUM_KEY: &[u8] = b"\0checksum";

/// sled's handles. Clones are the same database.
#[derive(Debug, Clone)]
pub(in crate::storage) struct Database {
    db: sled::Db,
    pub(super) state: sled::Tree,
    /// Where pictures are kept.
    pub(in crate::storage) pictures: sled::Tree,
    /// Since when nobody has wanted a picture.
    pub(in crate::storage) unwanted: sled::Tree,
}

/// What the database is known to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    checksum: Checksum,
    /// The journal record that it goes up to.
    pub(super) position: Option<u64>,
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

/// What a view held when it was read: keys in order, each with its value.
#[derive(Debug, Default)]
pub struct Rows(Vec<(sled::IVec, sled::IVec)>);

impl Rows {
    /// The keys of a tree, in order, each with its value.
    pub fn of(&self, tree: Tree) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().filter_map(move |(key, value)| Some((key.strip_prefix(&[tree.tag()])?, value.as_ref())))
    }
}

impl Database {
    /// Opens it, and looks into it. sled's own threads may hold the files a little longer than the last handle: waits
    /// for them.
    pub(super) fn open_released<T>(
        dir: &Path,
        look: fn(&Self) -> Result<T, ViewError>,
    ) -> Result<(Self, T), ViewError> {
        for _ in 0..RELEASE_WAITS_MAX {
            match Self::open_guarded(dir, look) {
                Err(ViewError::InUse { .. }) => thread::sleep(RELEASE_WAIT),
                opened => return opened,
            }
        }
        Self::open_guarded(dir, look)
    }

    /// sled may panic on files that were damaged; that is one more way not to open.
    pub(super) fn open_guarded<T>(dir: &Path, look: fn(&Self) -> Result<T, ViewError>) -> Result<(Self, T), ViewError> {
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open_checked(dir, look)));
        opened.unwrap_or_else(|panic| Err(ViewError::Panicked(message(panic.as_ref()))))
    }

    fn open_checked<T>(dir: &Path, look: fn(&Self) -> Result<T, ViewError>) -> Result<(Self, T), ViewError> {
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
        match database.state.get(VERSION_KEY)? {
            Some(version) if version == VERSION.to_be_bytes() => {}
            Some(version) => return Err(ViewError::Version { found: number(&version) }),
            None if database.state.is_empty() => {
                let version = (VERSION_KEY.to_vec(), Some(VERSION.to_be_bytes().to_vec()));
                database.apply(Held::default(), BTreeMap::from([version]))?;
                database.flush()?;
            }
            None => return Err(ViewError::Damaged),
        }
        let seen = look(&database)?;
        Ok((database, seen))
    }

    /// Reads all state, and checks that it adds up.
    pub(super) fn read_through(&self) -> Result<(Held, Rows), ViewError> {
        let (mut checksum, mut rows) = (Checksum::default(), Vec::new());
        for pair in &self.state {
            let (key, value) = pair?;
            if key != CHECKSUM_KEY {
                checksum.add(&key, &value);
                rows.push((key, value));
            }
        }
        let told = self.told()?;
        if told.checksum == checksum { Ok((told, Rows(rows))) } else { Err(ViewError::Damaged) }
    }

    /// What it says that it holds.
    pub(super) fn told(&self) -> Result<Held, ViewError> {
        let checksum = self.state.get(CHECKSUM_KEY)?.ok_or(ViewError::Damaged)?;
        let checksum = checksum.as_ref().try_into().map_err(|_| ViewError::Damaged)?;
        let position = self.state.get(SEQUENCE_KEY)?.map(|position| position.as_ref().try_into());
        let position = position.transpose().map_err(|_| ViewError::Damaged)?;
        Ok(Held { checksum: Checksum(u128::from_be_bytes(checksum)), position: position.map(u64::from_be_bytes) })
    }

    /// Waits until everything is on disk.
    pub(super) fn flush(&self) -> Result<(), ViewError> {
        self.db.flush()?;
        Ok(())
    }

    /// Gives each key its new value, or none, together with the checksum. Answers what it holds then.
    pub(super) fn apply(&self, mut held: Held, values: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Result<Held, ViewError> {
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

fn number(bytes: &[u8]) -> String {
    bytes.try_into().map_or_else(|_| "unknown".to_owned(), |bytes| u32::from_be_bytes(bytes).to_string())
}

/// What a panic said.
pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word").to_owned()
}
