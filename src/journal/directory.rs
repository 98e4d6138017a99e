//! The few things that a journal asks of a directory and its files, and the disk that gives them.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The journal's directory in a store's directory.
pub const DIR_NAME: &str = "journal";

/// What a journal asks of its directory; small, so that a test can stand in for a disk that fails at any step.
///
/// A file's name is durable once the directory was synced after it was created or renamed.
pub trait Directory: Send + Sync + fmt::Debug {
    /// Its name in messages.
    fn path(&self) -> &Path;

    /// The names in it, in no order.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Reads a file from its first byte.
    ///
    /// # Errors
    /// The operating system's.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;

    /// Makes an empty file, in place of one that is there.
    ///
    /// # Errors
    /// The operating system's.
    fn create(&self, name: &str) -> io::Result<Box<dyn JournalFile>>;

    /// Opens a file that is there, to add to it.
    ///
    /// # Errors
    /// The operating system's.
    fn open(&self, name: &str) -> io::Result<Box<dyn JournalFile>>;

    /// Gives a file another name, in place of one that has it: whole or not at all.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names in it durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync(&self) -> io::Result<()>;
}

/// What a journal asks of a file that it writes.
pub trait JournalFile: Send + fmt::Debug {
    /// Adds all of `bytes` at its end; not yet durable. After a failure a part of them may be there.
    ///
    /// # Errors
    /// The operating system's.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended or cut so far durable.
    ///
    /// # Errors
    /// The operating system's; what was appended since the last sync may be lost then, now or later, even when it can
    /// still be read and a later sync succeeds.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts it to `length` bytes; not yet durable.
    ///
    /// # Errors
    /// The operating system's.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// A directory on disk.
#[derive(Debug)]
pub struct DiskDirectory {
    path: PathBuf,
}

impl DiskDirectory {
    /// A directory that is there, to read it.
    #[must_use]
    pub fn at(path: &Path) -> Arc<dyn Directory> {
        Arc::new(Self { path: path.to_owned() })
    }

    /// Makes a directory if it is missing, so that a power cut cannot unmake it.
    ///
    /// # Errors
    /// The operating system's.
    pub fn make(path: &Path) -> io::Result<Arc<dyn Directory>> {
        create_durably(path)?;
        Ok(Self::at(path))
    }
}

impl Directory for DiskDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.path.join(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn JournalFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(self.path.join(name))?;
        drop(file);
        self.open(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn JournalFile>> {
        Ok(Box::new(DiskFile(OpenOptions::new().append(true).open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        sync(&self.path)
    }
}

#[derive(Debug)]
struct DiskFile(File);

impl JournalFile for DiskFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // Data and length; the times of the file may be lost.
        self.0.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}

/// Creates `dir` and what is missing above it. A new name is durable once the directory that holds it is synced.
fn create_durably(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_durably(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync(parent),
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Writes a file whole: under another name first, so that after a crash it is there as a whole or not at all.
///
/// # Errors
/// The operating system's, or those of `write`; the file is not there then, or the one that was.
pub(super) fn write_whole(
    directory: &dyn Directory,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Box<dyn JournalFile>> {
    let unfinished = format!("{name}{UNFINISHED}");
    let written = write_unfinished(directory, &unfinished, write);
    if written.is_err() {
        // What it holds of a full disk is needed; where it cannot be removed, the next start does.
        let _ = directory.remove(&unfinished);
    }
    let file = written?;
    directory.rename(&unfinished, name)?;
    directory.sync()?;
    Ok(file)
}

fn write_unfinished(
    directory: &dyn Directory,
    unfinished: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Box<dyn JournalFile>> {
    let mut file = directory.create(unfinished)?;
    let mut appending = io::BufWriter::with_capacity(64 << 10, Appending(file.as_mut()));
    write(&mut appending)?;
    appending.flush()?;
    drop(appending);
    file.sync()?;
    Ok(file)
}

/// What the name of a file ends in while it is being written.
pub(super) const UNFINISHED: &str = ".unfinished";

/// A journal's file as the standard library's writer.
struct Appending<'a>(&'a mut dyn JournalFile);

impl Write for Appending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(directory: &dyn Directory, name: &str) -> String {
        io::read_to_string(directory.read(name).unwrap()).unwrap()
    }

    #[test]
    fn a_file_keeps_what_was_appended_and_forgets_what_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let directory = DiskDirectory::make(&dir.path().join("stores/hz-001/journal")).unwrap();
        assert!(directory.open("a").is_err());
        let mut file = directory.create("a").unwrap();
        file.append(b"one\ntwo").unwrap();
        assert_eq!(read(directory.as_ref(), "a"), "one\ntwo");
        file.truncate(4).unwrap();
        file.append(b"three\n").unwrap();
        file.sync().unwrap();
        directory.rename("a", "b").unwrap();
        directory.sync().unwrap();
        directory.open("b").unwrap().append(b"four").unwrap();
        assert_eq!(read(directory.as_ref(), "b"), "one\nthree\nfour");
        assert_eq!(directory.list().unwrap(), ["b"]);
        directory.remove("b").unwrap();
        assert!(directory.list().unwrap().is_empty() && directory.read("b").is_err());
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let directory = DiskDirectory::at(dir.path());
        write_whole(directory.as_ref(), "a", |out| out.write_all(b"old")).unwrap();
        let failed = write_whole(directory.as_ref(), "a", |out| {
            out.write_all(b"half of it")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(failed.is_err());
        assert_eq!(read(directory.as_ref(), "a"), "old");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(DiskDirectory::make(&dir.path().join("file/store")).is_err());
    }
}
