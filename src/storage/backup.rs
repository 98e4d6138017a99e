//! A data directory copied while a controller works in it, and brought back.
//!
//! What a backup holds is what the journals hold: each is copied up to its last whole record and verified. The view of
//! a store goes along where a copy of its files is whole, which is tried a few times, because products that no reload
//! brings back live there alone. Everything else in the data directory is copied as it is, with a hash of each file in
//! `manifest.json`; the backup appears under its name once it is complete.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gondola_protocol::StoreId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lock::{DataDir, LOCK_NAME, store_dir};
use super::view::{self, View};
use crate::journal::{self, Broken, DiskDirectory, Position, verify};

const MANIFEST: &str = "manifest.json";

/// The form of a backup, one more whenever it changes.
const FORMAT: u32 = 1;

/// A journal whose files change names under the copy, or a view that is written meanwhile, is copied again.
const TRIES_MAX: usize = 5;

/// Why a backup cannot be made or brought back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file cannot be read or written.
    #[error("could not {what} {}", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The journal that was copied does not verify.
    #[error("the journal of store `{store}` does not verify")]
    Journal {
        /// Whose.
        store: StoreId,
        /// What is wrong with it.
        #[source]
        broken: Box<Broken>,
    },
    /// There is something already.
    #[error("{} is not empty; name a directory that is not there yet, or move this one away", path.display())]
    NotEmpty {
        /// Where.
        path: PathBuf,
    },
    /// It is no backup, or of a later version.
    #[error("{} is no backup that this gondola can read: {reason}", path.display())]
    Manifest {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file of the backup was changed, or is missing.
    #[error("{} is not what was backed up; use another backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { what, path, source }
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// Which gondola made it.
    pub version: String,
    /// When.
    pub made: Timestamp,
    /// The stores in it.
    pub stores: Vec<StoreBackup>,
    /// Every file in it but this one.
    pub files: Vec<FileBackup>,
}

/// A store in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreBackup {
    /// The store.
    pub store: StoreId,
    /// The newest record of its journal.
    pub journal: Position,
    /// Whether its view is there, too; without it products come back with the next reload.
    pub view: bool,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBackup {
    path: PathBuf,
    bytes: u64,
    blake3: String,
}

/// Copies a data directory to `to`, which is made. A controller may work in it.
///
/// # Errors
/// See [`BackupError`]; nothing is left under the name `to` then.
pub fn backup(data_dir: &Path, to: &Path, made: Timestamp) -> Result<Manifest, BackupError> {
    require_empty(to)?;
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    remove_dir(&unfinished)?;
    let mut stores = Vec::new();
    for store in stores_in(data_dir)? {
        stores.push(backup_store(data_dir, &unfinished, store)?);
    }
    let skipped = |path: &Path| path == Path::new("stores") || path == Path::new(LOCK_NAME);
    copy_tree(data_dir, &unfinished, &skipped)?;
    let files = hashes_of(&unfinished)?;
    let manifest = Manifest { format: FORMAT, version: env!("CARGO_PKG_VERSION").to_owned(), made, stores, files };
    let path = unfinished.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from).map_err(failed("write", &path))?;
    fs::write(&path, text).and_then(|()| File::open(&path)?.sync_all()).map_err(failed("write", &path))?;
    // An empty directory of that name may be there.
    let _ = fs::remove_dir(to);
    fs::rename(&unfinished, to).map_err(failed("rename", &unfinished))?;
    Ok(manifest)
}

fn backup_store(data_dir: &Path, to: &Path, store: StoreId) -> Result<StoreBackup, BackupError> {
    let (from, to) = (store_dir(data_dir, &store), store_dir(to, &store));
    // The view first, so that it never goes further than the journal.
    let view = backup_view(&from, &to)?;
    let journal = backup_journal(&from, &to, &store)?;
    let skipped = |path: &Path| {
        let name = path.to_string_lossy();
        name == journal::DIR_NAME || name.starts_with(view::DIR_NAME)
    };
    copy_tree(&from, &to, &skipped)?;
    Ok(StoreBackup { store, journal, view })
}

/// Copies a view's files until what was copied is a whole view. Answers whether it is.
fn backup_view(from: &Path, to: &Path) -> Result<bool, BackupError> {
    let copied = to.join(view::DIR_NAME);
    for _ in 0..TRIES_MAX {
        if !from.join(view::DIR_NAME).is_dir() {
            return Ok(false);
        }
        // sled may give a file another name meanwhile.
        let is_copied = copy_tree(&from.join(view::DIR_NAME), &copied, &|_| false).is_ok();
        if is_copied && matches!(View::open(to), Ok((_, opened)) if opened.set_aside.is_none()) {
            return Ok(true);
        }
        remove_dir(to)?;
    }
    Ok(false)
}

fn backup_journal(from: &Path, to: &Path, store: &StoreId) -> Result<Position, BackupError> {
    let (from, to) = (from.join(journal::DIR_NAME), to.join(journal::DIR_NAME));
    let mut tries = 1;
    loop {
        // A segment may be compressed, or dropped for its age, between the listing and its turn.
        let copied = journal::copy(&DiskDirectory::at(&from), &to);
        match copied.map(|()| verify(DiskDirectory::at(&to), store)) {
            Ok(Ok(verified)) => return Ok(verified.head),
            Ok(Err(broken)) if tries == TRIES_MAX => {
                return Err(BackupError::Journal { store: store.clone(), broken: Box::new(broken) });
            }
            Err(source) if tries == TRIES_MAX => return Err(failed("copy", &from)(source)),
            _ => tries += 1,
        }
        remove_dir(&to)?;
    }
}

/// Brings a backup back to a data directory that has no stores. The directory is held by the caller.
///
/// # Errors
/// See [`BackupError`]; a backup is read to its end before anything is written.
pub fn restore(from: &Path, data_dir: &DataDir) -> Result<Manifest, BackupError> {
    let to = data_dir.path();
    let entries = fs::read_dir(to).map_err(failed("read", to))?;
    if entries.flatten().any(|entry| entry.file_name() != LOCK_NAME) {
        return Err(BackupError::NotEmpty { path: to.to_owned() });
    }
    let manifest = read_manifest(from)?;
    let found = hashes_of(from)?;
    for file in &manifest.files {
        if !found.contains(file) {
            return Err(BackupError::Damaged { path: from.join(&file.path) });
        }
    }
    for file in &manifest.files {
        copy_file(&from.join(&file.path), &to.join(&file.path))?;
    }
    for StoreBackup { store, .. } in &manifest.stores {
        let path = store_dir(to, store).join(journal::DIR_NAME);
        verify(DiskDirectory::at(&path), store)
            .map_err(|broken| BackupError::Journal { store: store.clone(), broken: Box::new(broken) })?;
    }
    Ok(manifest)
}

fn read_manifest(from: &Path) -> Result<Manifest, BackupError> {
    let path = from.join(MANIFEST);
    let text = fs::read(&path).map_err(failed("read", &path))?;
    let refused = |reason: String| BackupError::Manifest { path: from.to_owned(), reason };
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(refused(format!("it has format {}, this one reads format {FORMAT}", manifest.format)));
    }
    let is_inside = |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    match manifest.files.iter().find(|file| !is_inside(&file.path)) {
        Some(outside) => Err(refused(format!("it names {}, which is not in it", outside.path.display()))),
        None => Ok(manifest),
    }
}

fn stores_in(data_dir: &Path) -> Result<Vec<StoreId>, BackupError> {
    let path = data_dir.join("stores");
    let entries = fs::read_dir(&path).map_err(failed("read", &path))?;
    let mut stores: Vec<StoreId> = entries.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok()).collect();
    stores.sort();
    Ok(stores)
}

fn require_empty(path: &Path) -> Result<(), BackupError> {
    match fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(BackupError::NotEmpty { path: path.to_owned() }),
    }
}

fn remove_dir(path: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Copies every file below `from` but those that `skipped` names at its top. What is neither file nor directory is not
/// a controller's.
fn copy_tree(from: &Path, to: &Path, skipped: &dyn Fn(&Path) -> bool) -> Result<(), BackupError> {
    fs::create_dir_all(to).map_err(failed("make", to))?;
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let (name, kind) = (entry.file_name(), entry.file_type().map_err(failed("read", from))?);
        if skipped(Path::new(&name)) {
            continue;
        }
        let (from, to) = (from.join(&name), to.join(&name));
        if kind.is_dir() {
            copy_tree(&from, &to, &|_| false)?;
        } else if kind.is_file() {
            copy_file(&from, &to)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(failed("make", parent))?;
    }
    fs::copy(from, to).and_then(|_| File::open(to)?.sync_all()).map_err(failed("copy", from))
}

/// Every file below a directory but the manifest, with its hash.
fn hashes_of(root: &Path) -> Result<Vec<FileBackup>, BackupError> {
    let mut files = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let path = root.join(&directory);
        for entry in fs::read_dir(&path).map_err(failed("read", &path))? {
            let entry = entry.map_err(failed("read", &path))?;
            let (path, kind) = (directory.join(entry.file_name()), entry.file_type().map_err(failed("read", &path))?);
            if kind.is_dir() {
                directories.push(path);
            } else if path != Path::new(MANIFEST) {
                files.push(hash_of(root, path)?);
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn hash_of(root: &Path, path: PathBuf) -> Result<FileBackup, BackupError> {
    let full = root.join(&path);
    let hash = || {
        let (mut file, mut hasher, mut bytes) = (File::open(&full)?, blake3::Hasher::new(), 0);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok((bytes, hasher.finalize().to_hex().to_string()));
            }
            hasher.update(&buffer[..read]);
            bytes += read as u64;
        }
    };
    let (bytes, blake3) = hash().map_err(failed("read", &full))?;
    Ok(FileBackup { path, bytes, blake3 })
}

#[cfg(test)]
mod tests {
    use gondola_protocol::{LabelId, Moment};

    use super::*;
    use crate::journal::{Entry, Journal, JournalOptions};
    use crate::storage::{Tree, ViewBatch, ViewChange, ViewWriter};

    fn store() -> StoreId {
        "hz-001".parse().unwrap()
    }

    fn open(data_dir: &Path) -> (Journal, Vec<u64>) {
        let mut labels = Vec::new();
        let options = JournalOptions { segment_bytes: 500, ..JournalOptions::default() };
        let recalled = &mut |it: crate::journal::Recalled| match it.entry {
            Entry::Removed { label } => labels.push(label.0),
            other => panic!("{other:?}"),
        };
        let opened = Journal::open(&store_dir(data_dir, &store()), &store(), options, recalled, |_| ()).unwrap();
        (opened.journal, labels)
    }

    /// A data directory with some records, a value in the view and a file of somebody else.
    fn filled(dir: &Path) -> Journal {
        let (journal, _) = open(dir);
        for label in 1..=9 {
            journal.append(Moment::from_secs(label), vec![Entry::Removed { label: LabelId(label) }]).unwrap();
        }
        journal.close();
        let (view, _) = View::open(&store_dir(dir, &store())).unwrap();
        let writer = ViewWriter::spawn(view, |_| ()).unwrap();
        let change = ViewChange { tree: Tree::Meta, key: b"key".to_vec(), value: Some(b"value".to_vec()) };
        writer.write(ViewBatch { number: 1, journal_sequence: 9, changes: vec![change] }).unwrap();
        writer.close();
        fs::create_dir(dir.join("templates")).unwrap();
        fs::write(dir.join("templates/shelf.xml"), "<template/>").unwrap();
        open(dir).0
    }

    #[test]
    fn what_was_backed_up_beside_a_running_journal_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let [data, copy, back] = ["data", "copy", "back"].map(|name| dir.path().join(name));
        let held = DataDir::lock(&data).unwrap();
        let journal = filled(&data);
        let manifest = backup(&data, &copy, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(manifest.stores.len(), 1);
        assert_eq!((manifest.stores[0].journal.sequence, manifest.stores[0].view), (9, true));
        // What comes later is not in it.
        journal.append(Moment::ZERO, vec![Entry::Removed { label: LabelId(10) }]).unwrap();
        journal.close();
        drop(held);
        let restored = DataDir::lock(&back).unwrap();
        assert_eq!(restore(&copy, &restored).unwrap(), manifest);
        assert_eq!(open(&back).1, (1..=9).collect::<Vec<_>>());
        let (_, opened) = View::open(&store_dir(&back, &store())).unwrap();
        assert_eq!((opened.journal_sequence, opened.rows.of(Tree::Meta).count()), (Some(9), 1));
        assert_eq!(fs::read_to_string(back.join("templates/shelf.xml")).unwrap(), "<template/>");
        assert!(!copy.join(LOCK_NAME).exists());
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let [data, copy] = ["data", "copy"].map(|name| dir.path().join(name));
        let held = DataDir::lock(&data).unwrap();
        filled(&data).close();
        backup(&data, &copy, Timestamp::UNIX_EPOCH).unwrap();
        let again = backup(&data, &copy, Timestamp::UNIX_EPOCH).unwrap_err().to_string();
        assert!(again.contains("copy is not empty; name a directory that is not there yet"), "{again}");
        let onto = restore(&copy, &held).unwrap_err().to_string();
        assert!(onto.contains("data is not empty; "), "{onto}");
    }

    #[test]
    fn a_backup_that_was_changed_is_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let [data, copy, back] = ["data", "copy", "back"].map(|name| dir.path().join(name));
        filled(&data).close();
        backup(&data, &copy, Timestamp::UNIX_EPOCH).unwrap();
        fs::write(copy.join("templates/shelf.xml"), "<templatE/>").unwrap();
        let held = DataDir::lock(&back).unwrap();
        let error = restore(&copy, &held).unwrap_err().to_string();
        assert!(error.ends_with("shelf.xml is not what was backed up; use another backup"), "{error}");
        assert_eq!(fs::read_dir(&back).unwrap().count(), 1, "the lock alone");
        let text = fs::read_to_string(copy.join(MANIFEST)).unwrap();
        fs::write(copy.join(MANIFEST), text.replace("templates/shelf.xml", "../shelf.xml")).unwrap();
        let error = restore(&copy, &held).unwrap_err().to_string();
        assert!(error.ends_with("it names ../shelf.xml, which is not in it"), "{error}");
        fs::remove_file(copy.join(MANIFEST)).unwrap();
        assert!(restore(&copy, &held).is_err());
    }
}
