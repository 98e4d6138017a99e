//! `gondola simulator`

use std::path::PathBuf;

use anyhow::Context as _;
use gondola_simulator::{Config, Serving};
use tokio_util::sync::CancellationToken;

use super::{Ended, UsageError};
use crate::run::clock::Clock;
use crate::run::telemetry::Telemetry;

/// Simulated base stations and labels.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Simulator {
    /// Serve a simulated shop over TCP, with a control API.
    Serve {
        /// The shop's configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

impl Simulator {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let Self::Serve { config: file } = self;
        let text = super::read_file(&file)?;
        let parsed = std::str::from_utf8(&text).map_err(anyhow::Error::from);
        let parsed = parsed.and_then(|text| Config::parse(text).map_err(anyhow::Error::from));
        let config = parsed.map_err(|source| UsageError::File { file, source })?;
        let _logs = Telemetry::start("info");
        super::runtime()?.block_on(async {
            let stop = CancellationToken::new();
            let clock = Clock::start();
            let serving = Serving::bind(config).await?;
            let serve = serving.run(move || clock.now(), stop.clone());
            tokio::select! {
                biased;
                // Either ends the process.
                served = serve => served.context("the simulated shop ended")?,
                () = super::until_signalled(stop) => {}
            }
            Ok(Ended::Done)
        })
    }
}
