//! What `gondola user` and `gondola token` share: the accounts of a data directory that no controller runs on.

use std::path::Path;

use gondola_protocol::StoreId;
use tokio_util::sync::CancellationToken;

use super::UsageError;
use crate::accounts::{Permit, Role};
use crate::run::StartError;
use crate::run::accounts::AccountsHandle;
use crate::run::clock::Clock;
use crate::storage::DataDir;

/// A role and where it holds.
#[derive(Debug, clap::Args)]
pub(super) struct PermitArguments {
    /// viewer, staff, manager or admin; each may all that those before it may.
    #[arg(long, value_name = "ROLE")]
    role: Role,
    /// A store in which it holds, may be repeated; every store without one.
    #[arg(long, value_name = "ID")]
    store: Vec<StoreId>,
}

impl PermitArguments {
    pub(super) fn permit(self) -> Result<Permit, UsageError> {
        let stores = self.store.into_iter().collect();
        Permit::new(self.role, stores).map_err(|error| UsageError::Value(error.to_string()))
    }
}

/// Does something to the accounts of the data directory that a configuration names. A controller that runs there is the
/// only one who may: then there are its pages.
pub(super) fn with_accounts<T>(
    config: &Path,
    work: impl AsyncFnOnce(AccountsHandle) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let config = super::config(config)?;
    let held = DataDir::lock(&config.data_dir).map_err(StartError::DataDir)?;
    super::runtime()?.block_on(async {
        let accounts = AccountsHandle::open(held.path(), Clock::start(), CancellationToken::new());
        work(accounts.map_err(StartError::AccountsJournal)?).await
    })
}
