//! `gondola backup` and `gondola restore`

use std::path::PathBuf;

use super::{Ended, print_json};
use crate::run::StartError;
use crate::run::clock::Clock;
use crate::storage::DataDir;
use crate::storage::backup::{backup, restore};

/// Copy the data directory, verified, while the controller works.
#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// The configuration that names the data directory.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The directory to make.
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

/// Bring a backup back to a data directory without stores.
#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    /// The configuration that names the data directory.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The backup.
    #[arg(value_name = "DIR")]
    from: PathBuf,
}

impl Backup {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let config = super::config(&self.config)?;
        let micros = i64::try_from(Clock::start().now().as_micros())?;
        let manifest = backup(&config.data_dir, &self.to, jiff::Timestamp::from_microsecond(micros)?)?;
        print_json(&serde_json::json!({ "backup": self.to, "made": manifest.made, "stores": manifest.stores,
            "files": manifest.files.len() }))?;
        Ok(Ended::Done)
    }
}

impl Restore {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let config = super::config(&self.config)?;
        let held = DataDir::lock(&config.data_dir).map_err(StartError::DataDir)?;
        let manifest = restore(&self.from, &held)?;
        print_json(
            &serde_json::json!({ "restored": config.data_dir, "made": manifest.made, "stores": manifest.stores,
            "files": manifest.files.len() }),
        )?;
        Ok(Ended::Done)
    }
}
