//! The newest snapshot of each facet that was applied, kept over restarts: an older one would remove what came since.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::catalog::wire::Facet;

/// Beside the store's journal.
const FILE_NAME: &str = "reloads.json";

/// Each facet's generation. Losing the file costs one check, and no product: rows have revisions of their own.
#[derive(Debug)]
pub(super) struct Generations {
    path: PathBuf,
    known: BTreeMap<Facet, u64>,
}

impl Generations {
    /// Reads what an earlier run has left in the store's directory.
    pub(super) fn load(dir: &Path) -> Self {
        let path = dir.join(FILE_NAME);
        let known = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        };
        let known = known.unwrap_or_else(|error| {
            tracing::warn!(file = %path.display(), %error, "cannot read which snapshots were applied; the next is taken as it is");
            BTreeMap::new()
        });
        Self { path, known }
    }

    pub(super) fn get(&self, facet: Facet) -> Option<u64> {
        self.known.get(&facet).copied()
    }

    /// Keeps a facet's generation. The file is replaced whole, so that a crash leaves the old one or the new one.
    pub(super) fn set(&mut self, facet: Facet, generation: u64) {
        if self.known.insert(facet, generation) == Some(generation) {
            return;
        }
        if let Err(error) = self.write() {
            tracing::warn!(file = %self.path.display(), %error, "cannot keep which snapshot was applied");
        }
    }

    fn write(&self) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(self.path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(&serde_json::to_vec(&self.known)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_outlive_a_restart_and_a_broken_file_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let mut generations = Generations::load(dir.path());
        assert_eq!(generations.get(Facet::Base), None);
        generations.set(Facet::Base, 7);
        generations.set(Facet::Promotion, 1);
        let again = Generations::load(dir.path());
        assert_eq!((again.get(Facet::Base), again.get(Facet::Promotion)), (Some(7), Some(1)));
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        assert_eq!(Generations::load(dir.path()).get(Facet::Base), None);
    }
}
