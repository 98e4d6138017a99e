//! The few things that a journal asks of a file, and the file on disk that gives them.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The journal's file in a store's directory.
pub const FILE_NAME: &str = "journal.ndjson";

/// What a journal asks of a file; small, so that a test can stand in for a disk that fails.
pub trait JournalFile: Send + fmt::Debug {
    /// Its name in messages.
    fn path(&self) -> &Path;

    /// Reads it from its first byte.
    ///
    /// # Errors
    /// The operating system's.
    fn reader(&mut self) -> io::Result<Box<dyn BufRead + '_>>;

    /// Adds all of `bytes` at its end; not yet durable. After a failure a part of them may be there.
    ///
    /// # Errors
    /// The operating system's.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended or cut so far durable.
    ///
    /// # Errors
    /// The operating system's; what was appended since the last sync may be lost then, now or later.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts it to `length` bytes; not yet durable.
    ///
    /// # Errors
    /// The operating system's.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// A journal's file on disk.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    path: PathBuf,
}

impl DiskFile {
    /// Opens `dir/journal.ndjson`, or creates it, and `dir` too, so that a power cut cannot unmake them.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(dir: &Path) -> io::Result<Self> {
        create_dir_durably(dir)?;
        let path = dir.join(FILE_NAME);
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        file.sync_all()?;
        sync_dir(dir)?;
        Ok(Self { file, path })
    }
}

impl JournalFile for DiskFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn reader(&mut self) -> io::Result<Box<dyn BufRead + '_>> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(Box::new(BufReader::new(&self.file)))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // Data and length; the times of the file may be lost.
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

/// Creates `dir` and what is missing above it. A new name is durable once the directory that holds it is synced.
fn create_dir_durably(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_dir_durably(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_dir(parent),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &mut DiskFile) -> String {
        io::read_to_string(file.reader().unwrap()).unwrap()
    }

    #[test]
    fn a_file_keeps_what_was_appended_and_forgets_what_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("stores/hz-001");
        let mut file = DiskFile::open(&dir).unwrap();
        file.append(b"one\ntwo").unwrap();
        assert_eq!(read(&mut file), "one\ntwo");
        file.truncate(4).unwrap();
        file.append(b"three\n").unwrap();
        file.sync().unwrap();
        assert_eq!(read(&mut DiskFile::open(&dir).unwrap()), "one\nthree\n");
        assert_eq!(file.path(), dir.join("journal.ndjson"));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(DiskFile::open(&dir.path().join("file/store")).is_err());
    }
}
