//! The data directory: held by one process at a time, and where things lie in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use gondola_protocol::StoreId;

/// The file that is locked; what stands in it is the process id of the last holder.
pub(super) const LOCK_NAME: &str = "lock";

/// Digits of a process id that are read from the file: more than any system's longest.
const PID_DIGITS_MAX: u64 = 20;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("data directory {} is in use by another gondola{}", path.display(), holder(*pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who holds it, if the file says so.
        pid: Option<u32>,
    },
    /// It cannot be made, or its lock not be opened.
    #[error("could not lock data directory {}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl LockError {
    /// What a person can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "stop that process first, or give this one a `data_dir` of its own",
            Self::Io { .. } => "check that the user gondola runs as may write there",
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

/// A data directory that this process holds until the value is dropped, or the process ends in any way.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Locks a data directory, which is made if it is missing. Never waits.
    ///
    /// # Errors
    /// A directory that another process holds, or that cannot be written to.
    pub fn lock(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path.join(LOCK_NAME)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::InUse { path: path.to_owned(), pid: read_pid(&file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_pid(&mut file).map_err(failed)?;
        Ok(Self { path: path.to_owned(), _lock: file })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a store's journal and view lie; made by those who write there.
    #[must_use]
    pub fn store_dir(&self, store: &StoreId) -> PathBuf {
        store_dir(&self.path, store)
    }
}

/// Where a store's journal and view lie in a data directory, for those who only read beside its holder.
#[must_use]
pub fn store_dir(data_dir: &Path, store: &StoreId) -> PathBuf {
    data_dir.join("stores").join(store.as_str())
}

fn read_pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_DIGITS_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gondola");
        let held = DataDir::lock(&path).unwrap();
        let refused = DataDir::lock(&path).unwrap_err();
        let pid = std::process::id();
        assert_eq!(
            format!("{refused}; {}", refused.hint()),
            format!(
                "data directory {} is in use by another gondola (pid {pid}); stop that process first, or give this \
                 one a `data_dir` of its own",
                path.display()
            )
        );
        drop(held);
        let held = DataDir::lock(&path).unwrap();
        assert_eq!(held.store_dir(&"hz-001".parse().unwrap()), path.join("stores/hz-001"));
    }

    #[test]
    fn what_stands_in_the_file_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LOCK_NAME), "not a number, and longer than one").unwrap();
        let file = File::open(dir.path().join(LOCK_NAME)).unwrap();
        assert_eq!(read_pid(&file), None);
        let held = DataDir::lock(dir.path()).unwrap();
        let file = File::open(dir.path().join(LOCK_NAME)).unwrap();
        assert_eq!(read_pid(&file), Some(std::process::id()));
        assert_eq!(held.path(), dir.path());
    }

    #[test]
    fn a_file_in_its_place_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = DataDir::lock(&dir.path().join("file")).unwrap_err();
        assert!(error.to_string().starts_with("could not lock data directory "), "{error}");
    }
}
