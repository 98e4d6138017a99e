//! A directory in memory that fails on request, for tests. Clones are the same disk.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::directory::{Directory, JournalFile};

/// What becomes of an operation that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// An append writes half of its bytes.
    Half,
    /// It is done, and fails all the same.
    Done,
    /// A sync drops what it should have made durable; it can still be read, and later syncs do not bring it back.
    Lost,
}

/// Operations that fail, counted from 1: creations, appends, syncs, cuts, renames and removals.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) operations: Range<u64>,
    pub(crate) effect: Effect,
}

impl Fault {
    pub(crate) fn at(operation: u64, effect: Effect) -> Self {
        Self { operations: operation..operation + 1, effect }
    }
}

/// What a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// What was synced.
    Synced,
    /// Everything that was written, as when only the process dies.
    Everything,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    lost: Vec<Range<usize>>,
}

#[derive(Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    operations: u64,
    syncs: u64,
    faults: Vec<Fault>,
    held: bool,
}

/// A directory in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryDirectory(Arc<(Mutex<Disk>, Condvar)>);

#[derive(Debug)]
struct MemoryFile {
    directory: MemoryDirectory,
    inode: usize,
}

fn failed() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl MemoryDirectory {
    pub(crate) fn shared(&self) -> Arc<dyn Directory> {
        Arc::new(self.clone())
    }

    pub(crate) fn failing(fault: Fault) -> Self {
        let directory = Self::default();
        directory.fail(fault);
        directory
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.disk().faults.push(fault);
    }

    /// From now on nothing fails any more.
    pub(crate) fn heal(&self) {
        self.disk().faults.clear();
    }

    /// Operations so far.
    pub(crate) fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// The disk after a power cut.
    pub(crate) fn after_power_cut(&self, left: Left) -> Self {
        let disk = self.disk();
        let (names, everything) = match left {
            Left::Synced => (&disk.durable_names, false),
            Left::Everything => (&disk.names, true),
        };
        let inodes = disk.inodes.iter().map(|inode| {
            let bytes = if everything { inode.bytes.clone() } else { inode.durable.clone() };
            Inode { bytes, durable: inode.durable.clone(), lost: Vec::new() }
        });
        let after = Disk {
            inodes: inodes.collect(),
            names: names.clone(),
            durable_names: disk.durable_names.clone(),
            ..Disk::default()
        };
        Self(Arc::new((Mutex::new(after), Condvar::new())))
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let disk = self.disk();
        disk.inodes[disk.names[name]].bytes.clone()
    }

    /// Puts a file there, durably.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut disk = self.disk();
        disk.inodes.push(Inode { bytes: bytes.to_vec(), durable: bytes.to_vec(), lost: Vec::new() });
        let inode = disk.inodes.len() - 1;
        disk.names.insert(name.to_owned(), inode);
        disk.durable_names.insert(name.to_owned(), inode);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.disk().names.keys().cloned().collect()
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.disk().syncs
    }

    /// From now on a file's sync waits until it is released.
    pub(crate) fn hold_syncs(&self) {
        self.disk().held = true;
    }

    pub(crate) fn release_syncs(&self) {
        self.disk().held = false;
        self.0.1.notify_all();
    }

    /// Waits until the nth sync of a file has begun.
    pub(crate) fn wait_for_sync(&self, nth: u64) {
        let reached = self.0.1.wait_while(self.disk(), |disk| disk.syncs < nth);
        drop(reached.unwrap());
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.0.lock().unwrap()
    }

    /// Does an operation, or what is left of it when it fails.
    fn operate<T>(&self, act: impl FnOnce(&mut Disk, Option<Effect>) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.disk();
        disk.operations += 1;
        let nth = disk.operations;
        let effect = disk.faults.iter().find(|fault| fault.operations.contains(&nth)).map(|fault| fault.effect);
        let done = act(&mut disk, effect)?;
        if effect.is_some() { Err(failed()) } else { Ok(done) }
    }

    /// One that is done whole or not at all.
    fn operate_whole<T>(&self, act: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        self.operate(|disk, effect| match effect {
            None | Some(Effect::Done) => act(disk),
            Some(_) => Err(failed()),
        })
    }

    fn file(&self, inode: usize) -> Box<dyn JournalFile> {
        Box::new(MemoryFile { directory: self.clone(), inode })
    }

    fn inode(disk: &Disk, name: &str) -> io::Result<usize> {
        disk.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Directory for MemoryDirectory {
    fn path(&self) -> &Path {
        Path::new("memory")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let disk = self.disk();
        let bytes = disk.inodes[Self::inode(&disk, name)?].bytes.clone();
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn JournalFile>> {
        let inode = self.operate_whole(|disk| {
            disk.inodes.push(Inode::default());
            let inode = disk.inodes.len() - 1;
            disk.names.insert(name.to_owned(), inode);
            Ok(inode)
        })?;
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn JournalFile>> {
        let inode = Self::inode(&self.disk(), name)?;
        Ok(self.file(inode))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operate_whole(|disk| {
            let inode = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            disk.names.insert(to.to_owned(), inode);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate_whole(|disk| {
            disk.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.operate_whole(|disk| {
            disk.durable_names = disk.names.clone();
            Ok(())
        })
    }
}

impl JournalFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.directory.operate(|disk, effect| {
            let written = match effect {
                None | Some(Effect::Done) => bytes.len(),
                Some(Effect::Half) => bytes.len() / 2,
                Some(_) => 0,
            };
            disk.inodes[self.inode].bytes.extend_from_slice(&bytes[..written]);
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let (disk, condition) = &*self.directory.0;
        disk.lock().unwrap().syncs += 1;
        condition.notify_all();
        drop(condition.wait_while(disk.lock().unwrap(), |disk| disk.held).unwrap());
        self.directory.operate(|disk, effect| {
            let inode = &mut disk.inodes[self.inode];
            match effect {
                None | Some(Effect::Done) => {
                    inode.durable = inode.bytes.clone();
                    for lost in &inode.lost {
                        inode.durable[lost.clone()].fill(0);
                    }
                }
                Some(Effect::Lost) => inode.lost.push(inode.durable.len().min(inode.bytes.len())..inode.bytes.len()),
                Some(_) => {}
            }
            Ok(())
        })
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap();
        self.directory.operate_whole(|disk| {
            let inode = &mut disk.inodes[self.inode];
            inode.bytes.truncate(length);
            inode.lost.retain_mut(|lost| {
                lost.end = lost.end.min(length);
                lost.start < lost.end
            });
            Ok(())
        })
    }
}
