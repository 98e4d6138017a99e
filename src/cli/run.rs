//! `gondola run`

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::Ended;
use crate::run::System;
use crate::run::accounts::OneTime;
use crate::run::clock::Clock;
use crate::run::telemetry::Telemetry;

/// Run the controller.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let config = super::config(&self.config)?;
        let templates = super::templates(config.templates.as_ref())?;
        let telemetry = Telemetry::start("info");
        let runtime = super::runtime()?;
        let ended = runtime.block_on(async {
            let stop = CancellationToken::new();
            let signals = super::until_signalled(stop.clone());
            let work = async {
                let system = System::start(&config, templates, Clock::start(), &telemetry).await?;
                if let Some(OneTime { user, password }) = &system.first_admin {
                    eprintln!("first start: log in once as `{user}` with the password {password}");
                }
                let scheme = if config.web.certificate_file.is_some() { "https" } else { "http" };
                tracing::info!("the dashboard is at {scheme}://{}", system.web);
                let failed = tokio::select! {
                    biased;
                    // Cancel-safe: a token that is cancelled stays so.
                    () = stop.cancelled() => false,
                    // Cancel-safe: as above.
                    () = system.failed() => true,
                };
                let in_time = system.stop().await;
                if !in_time {
                    anyhow::bail!("the controller did not stop within {} s", crate::run::SHUTDOWN_MAX.as_secs());
                }
                Ok(if failed { Ended::Findings } else { Ended::Done })
            };
            tokio::select! {
                biased;
                // Either ends the process.
                ended = work => ended,
                () = signals => Ok(Ended::Findings),
            }
        });
        // A thread that hangs in a disk's hands would keep the process for as long.
        runtime.shutdown_background();
        ended
    }
}
