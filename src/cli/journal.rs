//! `gondola journal`

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gondola_protocol::StoreId;
use serde_json::json;

use super::Ended;
use crate::journal::{FILE_NAME, Flaw, verify};
use crate::storage::store_dir;

/// Look at stores' journals.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Journal {
    /// Read every record and check that the chain of hashes is whole. A running controller is not disturbed.
    Verify {
        /// The configuration that names data directory and stores.
        #[arg(long, value_name = "FILE", required_unless_present = "data_dir", conflicts_with = "data_dir")]
        config: Option<PathBuf>,
        /// A data directory, with every store in it.
        #[arg(long, value_name = "D")]
        data_dir: Option<PathBuf>,
    },
}

impl Journal {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let Self::Verify { config, data_dir } = self;
        let (data_dir, stores) = match (config, data_dir) {
            (Some(config), _) => {
                let config = super::config(&config)?;
                let stores = config.store.iter().map(|store| store.id.clone()).collect();
                (config.data_dir, stores)
            }
            (None, data_dir) => {
                let data_dir = data_dir.unwrap_or_default();
                let stores = stores_in(&data_dir)?;
                (data_dir, stores)
            }
        };
        let mut ended = Ended::Done;
        let mut reports = Vec::new();
        for store in stores {
            let file = store_dir(&data_dir, &store).join(FILE_NAME);
            let (report, whole) = verify_store(&store, &file)?;
            reports.push(report);
            if !whole {
                ended = Ended::Findings;
            }
        }
        super::print_json(&json!({ "journals": reports }))?;
        Ok(ended)
    }
}

fn stores_in(data_dir: &Path) -> anyhow::Result<Vec<StoreId>> {
    let stores = data_dir.join("stores");
    let entries = std::fs::read_dir(&stores).with_context(|| format!("cannot read {}", stores.display()))?;
    let mut found: Vec<StoreId> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    found.sort();
    Ok(found)
}

/// Verifies a store's journal. A line that is being written right now, or was torn by a power cut, is told
/// of and is no finding: it was never acknowledged.
fn verify_store(store: &StoreId, path: &Path) -> anyhow::Result<(serde_json::Value, bool)> {
    let opened = File::open(path);
    let file = opened.with_context(|| format!("cannot open the journal of store `{store}`, {}", path.display()))?;
    Ok(match verify(BufReader::new(file), store) {
        Ok(verified) => {
            let head = verified.head;
            let report = json!({ "store": store, "state": "whole", "records": verified.records,
                "head": { "sequence": head.sequence, "hash": head.hash.to_string() } });
            (report, true)
        }
        Err(broken) => {
            let torn = matches!(broken.flaw, Flaw::Torn { .. });
            let report = json!({ "store": store, "state": if torn { "torn" } else { "broken" },
                "records": broken.sequence - 1, "sequence": broken.sequence, "line": broken.line, "offset": broken.offset,
                "error": broken.to_string(), "hint": broken.hint() });
            (report, torn)
        }
    })
}
