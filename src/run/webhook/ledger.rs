//! How far a receiver has been told of each store: a file that is replaced whole after each delivery.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gondola_protocol::StoreId;
use tempfile::NamedTempFile;

use crate::alert::told::Told;

/// Losing the file costs the receiver a repetition of what holds.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    stores: Mutex<BTreeMap<StoreId, Told>>,
}

impl Ledger {
    /// Reads what an earlier run has left.
    pub(super) fn load(path: &Path) -> Self {
        let stores = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        };
        let stores = stores.unwrap_or_else(|error| {
            tracing::warn!(file = %path.display(), %error, "cannot read what a webhook was told; it is told again what holds");
            BTreeMap::new()
        });
        Self { path: path.to_owned(), stores: Mutex::new(stores) }
    }

    /// Looks at what was told of a store, and keeps what `change` makes of it before it answers.
    pub(super) async fn change<T>(self: &Arc<Self>, store: &StoreId, change: impl FnOnce(&mut Told) -> T) -> T {
        let (answer, is_changed) = {
            let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
            let told = stores.entry(store.clone()).or_default();
            let before = told.clone();
            let answer = change(told);
            (answer, *told != before)
        };
        if is_changed {
            let ledger = Arc::clone(self);
            let written = tokio::task::spawn_blocking(move || ledger.write()).await;
            if let Err(error) = written.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                let file = self.path.display();
                tracing::warn!(%file, %error, "cannot keep what a webhook was told; a restart tells it again");
            }
        }
        answer
    }

    fn write(&self) -> io::Result<()> {
        let bytes = serde_json::to_vec(&*self.stores.lock().unwrap_or_else(PoisonError::into_inner))?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir)?;
        let mut file = NamedTempFile::new_in(dir)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_told_outlives_a_restart_and_a_broken_file_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let (path, store) = (dir.path().join("webhooks/ops.json"), "hz-001".parse().unwrap());
        let ledger = Arc::new(Ledger::load(&path));
        ledger.change(&store, |told| told.note_journal(7)).await;
        let again = Arc::new(Ledger::load(&path));
        assert_eq!(again.change(&store, |told| told.journal()).await, 7);
        fs::write(&path, "{").unwrap();
        let broken = Arc::new(Ledger::load(&path));
        assert_eq!(broken.change(&store, |told| told.journal()).await, 0);
    }
}
