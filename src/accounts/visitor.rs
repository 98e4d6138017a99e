//! Who is asking.

use std::fmt;

use gondola_protocol::StoreId;

use super::name::{TokenId, UserName};
use super::permit::{Permit, Role, Stores};
use super::session::SessionKey;

/// A person or a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A person in a browser, and the session that is used.
    User(UserName, SessionKey),
    /// A program.
    Token(TokenId),
}

/// Somebody who has proven who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// Who.
    pub who: Who,
    /// What they may do.
    pub permit: Permit,
    /// Whether they may do nothing yet but choose a password of their own.
    pub must_choose_password: bool,
}

impl Visitor {
    /// Whether they have a role in a store.
    #[must_use]
    pub fn may_in(&self, role: Role, store: &StoreId) -> bool {
        self.permit.role >= role && self.permit.reaches(store)
    }

    /// Whether they have a role somewhere.
    #[must_use]
    pub fn may_somewhere(&self, role: Role) -> bool {
        self.permit.role >= role
    }

    /// Whether they have a role in every store.
    #[must_use]
    pub fn may_everywhere(&self, role: Role) -> bool {
        self.permit.role >= role && self.permit.stores == Stores::All
    }

    /// Their user name; a program has none.
    #[must_use]
    pub const fn user(&self) -> Option<&UserName> {
        match &self.who {
            Who::User(name, _) => Some(name),
            Who::Token(_) => None,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name, _) => write!(f, "{name}"),
            Self::Token(id) => write!(f, "token {id}"),
        }
    }
}
