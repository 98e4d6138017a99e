//! `gondola user`

use std::path::PathBuf;

use serde_json::json;

use super::Ended;
use super::accounts::{PermitArguments, with_accounts};
use crate::accounts::UserName;

/// Users, while the controller does not run; while it does, they are on its page `/users`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum User {
    /// Make a user, and print a password for the first login.
    Add {
        /// The name: 1 to 32 characters of a-z, 0-9, `.`, `_` and `-`.
        name: UserName,
        #[command(flatten)]
        permit: PermitArguments,
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Print a new password for one login of a user who has lost theirs.
    Reset {
        /// The name.
        name: UserName,
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

impl User {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        let made = match self {
            Self::Add { name, permit, config } => {
                let permit = permit.permit()?;
                with_accounts(&config, async |accounts| Ok(accounts.add_user(name, permit, None).await?))?
            }
            Self::Reset { name, config } => {
                with_accounts(&config, async |accounts| Ok(accounts.reset_password(name, None).await?))?
            }
        };
        super::print_json(&json!({ "user": made.user, "one_time_password": made.password }))?;
        Ok(Ended::Done)
    }
}
