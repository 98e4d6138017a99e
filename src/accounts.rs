//! Who may use the controller: users, roles, API tokens, sessions, and who did what.
//!
//! Pure: it is given the time and every random byte. A change is an entry in the process's own journal, and what is
//! known is what a replay of that journal makes; sessions alone live in memory, so that a restart ends them. It knows
//! no password and no token, only their hashes, and it never decides what a route needs: the web's table does.

pub mod buckets;
pub mod name;
pub mod permit;
pub mod secret;
pub mod session;
pub mod visitor;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use gondola_protocol::Moment;
use serde::{Deserialize, Serialize};

pub use name::{TokenId, UserName};
pub use permit::{Permit, PermitError, Role, Stores};
pub use secret::{PasswordHash, SecretHash};
use session::{Came, SessionKey, Sessions};
pub use visitor::{Visitor, Who};

/// Users: the staff of some fifty large shops, 0.3 MB.
pub const USERS_MAX: usize = 2_000;

/// API tokens that have not been revoked: a program or two for each of a chain's shops.
pub const TOKENS_MAX: usize = 1_000;

/// Newest acts that are remembered for the page; all of them are in the journal.
pub const ACTS_MAX: usize = 1_000;

/// A token's use goes into the journal once in this time, so that a busy program does not fill the disk.
const USE_NOTED_EVERY: Duration = Duration::from_hours(24);

/// One change, as the journal keeps it: fields are added, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// There is a new user.
    UserAdded {
        /// Who.
        user: UserName,
        /// What the user may do.
        permit: Permit,
        /// For the first login.
        password: PasswordHash,
        /// Who made the user; none for the command line.
        by: Option<UserName>,
    },
    /// A user may do something else.
    UserPermitted {
        /// Who.
        user: UserName,
        /// What the user may do from now on.
        permit: Permit,
        /// Who said so.
        by: Option<UserName>,
    },
    /// A user chose a password.
    PasswordChosen {
        /// Who.
        user: UserName,
        /// The new one.
        password: PasswordHash,
    },
    /// A user was given a password for one login.
    PasswordReset {
        /// Who.
        user: UserName,
        /// The new one.
        password: PasswordHash,
        /// Who did it.
        by: Option<UserName>,
    },
    /// A user is gone.
    UserRemoved {
        /// Who.
        user: UserName,
        /// Who did it.
        by: Option<UserName>,
    },
    /// A program may use the interface.
    TokenCreated {
        /// Its public part.
        token: TokenId,
        /// What for.
        name: String,
        /// What it may do.
        permit: Permit,
        /// The hash of its secret part.
        secret: SecretHash,
        /// When it ends, microseconds since 1970; none for never.
        expires_at: Option<u64>,
        /// Who made it.
        by: Option<UserName>,
    },
    /// A token was used on this day.
    TokenUsed {
        /// Which.
        token: TokenId,
    },
    /// A token is no longer accepted.
    TokenRevoked {
        /// Which.
        token: TokenId,
        /// Who did it.
        by: Option<UserName>,
    },
    /// Somebody changed something over the web, successfully.
    Acted(Act),
}

/// As a sentence for people, without passwords and secrets.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserAdded { user, .. } => write!(f, "user {user} added"),
            Self::UserPermitted { user, .. } => write!(f, "user {user} may do something else"),
            Self::PasswordChosen { user, .. } => write!(f, "user {user} chose a password"),
            Self::PasswordReset { user, .. } => write!(f, "user {user} was given a password for one login"),
            Self::UserRemoved { user, .. } => write!(f, "user {user} removed"),
            Self::TokenCreated { token, name, .. } => write!(f, "token {token} created for {name}"),
            Self::TokenUsed { token } => write!(f, "token {token} used"),
            Self::TokenRevoked { token, .. } => write!(f, "token {token} revoked"),
            Self::Acted(Act { who, action, path, .. }) => write!(f, "{who}: {action} at {path}"),
        }
    }
}

/// Who did what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// A user's name, or `token <id>`.
    pub who: String,
    /// What: the route, such as `POST /v1/stores/{store}/labels/{label}/bind`.
    pub action: String,
    /// The path that was asked for.
    pub path: String,
    /// What exactly, where the path does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What the user may do.
    pub permit: Permit,
    /// The hash of the password.
    pub password: PasswordHash,
    /// Whether the password is one that somebody else knows: it only opens the page that changes it.
    pub password_is_temporary: bool,
    /// Since when there is this user.
    pub since: Moment,
}

/// An API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What for.
    pub name: String,
    /// What it may do.
    pub permit: Permit,
    /// The hash of its secret part.
    pub secret: SecretHash,
    /// When it ends.
    pub expires_at: Option<Moment>,
    /// When it was made.
    pub since: Moment,
    /// Who made it; none for the command line.
    pub by: Option<UserName>,
    /// When it was last used; after a restart, to the day.
    pub used_at: Option<Moment>,
    /// When a use was last put into the journal.
    use_noted_at: Option<Moment>,
}

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The name is taken.
    #[error("there is a user `{0}` already")]
    UserExists(UserName),
    /// Nobody has the name.
    #[error("there is no user `{0}`")]
    NoUser(UserName),
    /// Nobody could repair that.
    #[error("`{0}` is the only admin; make another one first")]
    LastAdmin(UserName),
    /// Too many.
    #[error("there are {USERS_MAX} users already; remove those who left")]
    TooManyUsers,
    /// No such token.
    #[error("there is no token `{0}`")]
    NoToken(TokenId),
    /// Too many.
    #[error("there are {TOKENS_MAX} tokens already; revoke those that are not used")]
    TooManyTokens,
}

/// Everything known of users and tokens.
#[derive(Debug, Default)]
pub struct Accounts {
    users: BTreeMap<UserName, User>,
    tokens: BTreeMap<TokenId, Token>,
    acts: VecDeque<(Moment, Act)>,
    sessions: Sessions,
}

impl Accounts {
    /// Whether `change` can be made.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, change: &Change) -> Result<(), AccountError> {
        match change {
            Change::UserAdded { user, .. } if self.users.contains_key(user) => {
                Err(AccountError::UserExists(user.clone()))
            }
            Change::UserAdded { .. } if self.users.len() >= USERS_MAX => Err(AccountError::TooManyUsers),
            Change::UserPermitted { user, permit, .. } if permit.role != Role::Admin => self.check_not_last_admin(user),
            Change::UserRemoved { user, .. } => self.check_not_last_admin(user),
            Change::UserPermitted { user, .. }
            | Change::PasswordChosen { user, .. }
            | Change::PasswordReset { user, .. } => self.known(user),
            Change::TokenCreated { .. } if self.tokens.len() >= TOKENS_MAX => Err(AccountError::TooManyTokens),
            Change::TokenRevoked { token, .. } if !self.tokens.contains_key(token) => {
                Err(AccountError::NoToken(token.clone()))
            }
            _ => Ok(()),
        }
    }

    fn known(&self, user: &UserName) -> Result<(), AccountError> {
        if self.users.contains_key(user) { Ok(()) } else { Err(AccountError::NoUser(user.clone())) }
    }

    fn check_not_last_admin(&self, user: &UserName) -> Result<(), AccountError> {
        self.known(user)?;
        let is_admin = |user: &User| user.permit.role == Role::Admin;
        let others = self.users.iter().filter(|(name, other)| *name != user && is_admin(other)).count();
        if others == 0 && self.users.get(user).is_some_and(is_admin) {
            return Err(AccountError::LastAdmin(user.clone()));
        }
        Ok(())
    }

    /// Makes a change that the journal holds. Sessions of a user who is gone, or whose password is another, end.
    pub fn apply(&mut self, at: Moment, change: &Change) {
        match change {
            Change::UserAdded { user, permit, password, .. } => {
                let permit = permit.clone();
                let added = User { permit, password: password.clone(), password_is_temporary: true, since: at };
                self.users.insert(user.clone(), added);
            }
            Change::UserPermitted { user, permit, .. } => {
                if let Some(user) = self.users.get_mut(user) {
                    user.permit = permit.clone();
                }
            }
            Change::PasswordChosen { user, password } => self.set_password(user, password, false),
            Change::PasswordReset { user, password, .. } => self.set_password(user, password, true),
            Change::UserRemoved { user, .. } => {
                self.users.remove(user);
                self.sessions.end_all(user);
            }
            Change::TokenCreated { token, name, permit, secret, expires_at, by } => {
                let token_made = Token {
                    name: name.clone(),
                    permit: permit.clone(),
                    secret: *secret,
                    expires_at: expires_at.map(Moment::from_micros),
                    since: at,
                    by: by.clone(),
                    used_at: None,
                    use_noted_at: None,
                };
                self.tokens.insert(token.clone(), token_made);
            }
            Change::TokenUsed { token } => {
                if let Some(token) = self.tokens.get_mut(token) {
                    token.used_at = Some(at);
                    token.use_noted_at = Some(at);
                }
            }
            Change::TokenRevoked { token, .. } => {
                self.tokens.remove(token);
            }
            Change::Acted(act) => {
                self.acts.push_front((at, act.clone()));
                self.acts.truncate(ACTS_MAX);
            }
        }
    }

    fn set_password(&mut self, name: &UserName, password: &PasswordHash, temporary: bool) {
        if let Some(user) = self.users.get_mut(name) {
            user.password = password.clone();
            user.password_is_temporary = temporary;
            self.sessions.end_all(name);
        }
    }

    /// Every user, by name.
    pub fn users(&self) -> impl Iterator<Item = (&UserName, &User)> {
        self.users.iter()
    }

    /// A user.
    #[must_use]
    pub fn user(&self, name: &UserName) -> Option<&User> {
        self.users.get(name)
    }

    /// Every token that is not revoked, by id.
    pub fn tokens(&self) -> impl Iterator<Item = (&TokenId, &Token)> {
        self.tokens.iter()
    }

    /// The newest acts, newest first.
    pub fn acts(&self) -> impl Iterator<Item = &(Moment, Act)> {
        self.acts.iter()
    }

    /// The token that a program shows, if it holds; and whether its use is to go into the journal.
    pub fn use_token(&mut self, now: Moment, id: &TokenId, secret: &SecretHash) -> Option<(Permit, UseIs)> {
        let token = self.tokens.get_mut(id)?;
        let holds = token.secret == *secret && token.expires_at.is_none_or(|end| now < end);
        if !holds {
            return None;
        }
        token.used_at = Some(now);
        let news = token.use_noted_at.is_none_or(|noted| now.since(noted) >= USE_NOTED_EVERY);
        if news {
            token.use_noted_at = Some(now);
        }
        Some((token.permit.clone(), if news { UseIs::News } else { UseIs::Known }))
    }

    /// Begins a session of a user.
    pub fn open_session(&mut self, now: Moment, user: &UserName, key: SessionKey, came: Came) {
        self.sessions.open(now, user, key, came);
    }

    /// Who has a session that still holds; looking keeps it alive.
    pub fn session(&mut self, now: Moment, key: SessionKey) -> Option<Visitor> {
        let (name, came) = self.sessions.look(now, &key)?;
        let user = self.users.get(&name)?;
        let must_choose_password = user.password_is_temporary && came == Came::WithPassword;
        Some(Visitor { permit: user.permit.clone(), must_choose_password, who: Who::User(name, key) })
    }

    /// Ends a session.
    pub fn close_session(&mut self, key: &SessionKey) {
        self.sessions.close(key);
    }
}

/// Whether a token's use is worth a line in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UseIs {
    /// The first for a day.
    News,
    /// One of many.
    Known,
}

#[cfg(test)]
mod tests;
