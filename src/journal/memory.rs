//! A file in memory that fails on request, for tests. Clones are the same file.

use std::io::{self, BufRead, Cursor};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::file::JournalFile;

/// What goes wrong, once, counted from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The nth append writes nothing.
    Append(u64),
    /// The nth append writes so many bytes and then fails.
    ShortAppend(u64, usize),
    /// The nth sync fails.
    Sync(u64),
}

#[derive(Debug, Default)]
struct Disk {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    appends: u64,
    syncs: u64,
    fault: Option<Fault>,
    held: bool,
}

/// A file in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryFile(Arc<(Mutex<Disk>, Condvar)>);

impl MemoryFile {
    /// A file that holds `bytes`, durably.
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        let file = Self::default();
        file.disk().bytes = bytes.to_vec();
        file.disk().durable = bytes.to_vec();
        file
    }

    /// The same disk after `fault` was arranged.
    pub(crate) fn failing(fault: Fault) -> Self {
        let file = Self::default();
        file.disk().fault = Some(fault);
        file
    }

    /// What is left after a power cut: what was synced.
    pub(crate) fn after_power_cut(&self) -> Self {
        Self::holding(&self.disk().durable)
    }

    /// What is left when only the process dies: all that was written.
    pub(crate) fn after_crash(&self) -> Self {
        let after = Self::holding(&self.disk().durable);
        after.disk().bytes = self.bytes();
        after
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.disk().bytes.clone()
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.disk().syncs
    }

    /// From now on a sync waits until it is released.
    pub(crate) fn hold_syncs(&self) {
        self.disk().held = true;
    }

    pub(crate) fn release_syncs(&self) {
        self.disk().held = false;
        self.0.1.notify_all();
    }

    /// Waits until the nth sync has begun.
    pub(crate) fn wait_for_sync(&self, nth: u64) {
        let reached = self.0.1.wait_while(self.disk(), |disk| disk.syncs < nth);
        drop(reached.unwrap());
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.0.lock().unwrap()
    }
}

impl JournalFile for MemoryFile {
    fn path(&self) -> &Path {
        Path::new("memory")
    }

    fn reader(&mut self) -> io::Result<Box<dyn BufRead + '_>> {
        Ok(Box::new(Cursor::new(self.bytes())))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        disk.appends += 1;
        let written = match disk.fault {
            Some(Fault::Append(nth)) if nth == disk.appends => 0,
            Some(Fault::ShortAppend(nth, written)) if nth == disk.appends => written,
            _ => bytes.len(),
        };
        disk.bytes.extend_from_slice(&bytes[..written]);
        if written < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.disk();
        disk.syncs += 1;
        self.0.1.notify_all();
        let mut disk = self.0.1.wait_while(disk, |disk| disk.held).unwrap();
        if matches!(disk.fault, Some(Fault::Sync(nth)) if nth == disk.syncs) {
            return Err(io::Error::other("the disk is gone"));
        }
        disk.durable = disk.bytes.clone();
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.disk().bytes.truncate(usize::try_from(length).unwrap());
        Ok(())
    }
}
