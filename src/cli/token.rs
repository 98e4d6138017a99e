//! `gondola token`

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::Ended;
use super::accounts::{PermitArguments, with_accounts};

/// API tokens, while the controller does not run; while it does, they are on its page `/tokens`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Token {
    /// Make a token, and print it: a program sends it as `Authorization: Bearer`. It is not kept.
    Create {
        /// What it is for.
        name: String,
        #[command(flatten)]
        permit: PermitArguments,
        /// Days after which it ends; never without it.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3_650))]
        days: Option<u64>,
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

impl Token {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let Self::Create { name, permit, days, config } = self;
        let permit = permit.permit()?;
        let lasts = days.map(|days| Duration::from_hours(24 * days));
        let (id, token) =
            with_accounts(&config, async |accounts| Ok(accounts.create_token(name, permit, lasts, None).await?))?;
        super::print_json(&json!({ "id": id, "token": token }))?;
        Ok(Ended::Done)
    }
}
