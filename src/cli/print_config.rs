//! `gondola print-config`

use std::path::PathBuf;

use super::Ended;

/// Print the effective configuration: what the file says, and the defaults for what it does not say.
#[derive(Debug, clap::Args)]
pub(super) struct PrintConfig {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl PrintConfig {
    #[expect(clippy::print_stdout, reason = "a command's result; TOML, because it can be used as a configuration")]
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        print!("{}", toml::to_string(&super::config(&self.config)?)?);
        Ok(Ended::Done)
    }
}
