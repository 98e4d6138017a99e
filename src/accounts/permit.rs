//! What somebody may do, and where.

use std::collections::BTreeSet;

use gondola_protocol::StoreId;
use serde::{Deserialize, Serialize};

use crate::catalog::text_form::word_enum;

/// Stores that a permit names one by one; who may work in more of them may in all.
const STORES_MAX: usize = 1_000;

word_enum! {
    /// What somebody may do; each role may all that those before it may.
    Role, "role", RoleError {
        /// Look.
        Viewer = "viewer",
        /// Bind, unbind, replace and register labels.
        Staff = "staff",
        /// Decide price changes, push, reload, write products and prices, remove labels.
        Manager = "manager",
        /// Users, tokens, and who did what.
        Admin = "admin",
    }
}

/// Where somebody may do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stores {
    /// In every store, also in those to come.
    All,
    /// In these.
    Only(BTreeSet<StoreId>),
}

/// What somebody may do, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    /// What.
    pub role: Role,
    /// Where.
    pub stores: Stores,
}

/// A permit that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermitError {
    /// Users and tokens belong to no store.
    #[error("an admin is one for all stores; name none, or choose another role")]
    AdminOfSome,
    /// Too many.
    #[error("a permit names at most {STORES_MAX} stores; name none for all of them")]
    TooManyStores,
}

impl Permit {
    /// A permit for these stores; for every store where none is named.
    ///
    /// # Errors
    /// See [`PermitError`].
    pub fn new(role: Role, stores: BTreeSet<StoreId>) -> Result<Self, PermitError> {
        match stores.len() {
            0 => Ok(Self { role, stores: Stores::All }),
            _ if role == Role::Admin => Err(PermitError::AdminOfSome),
            count if count > STORES_MAX => Err(PermitError::TooManyStores),
            _ => Ok(Self { role, stores: Stores::Only(stores) }),
        }
    }

    /// Whether it reaches into a store.
    #[must_use]
    pub fn reaches(&self, store: &StoreId) -> bool {
        match &self.stores {
            Stores::All => true,
            Stores::Only(stores) => stores.contains(store),
        }
    }
}
