//! The shell of who may use the controller: journal, clock, random bytes, and the threads that hash passwords.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gondola_protocol::{Moment, StoreId};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::random;
use crate::accounts::buckets::{Allowance, Buckets};
use crate::accounts::secret::{self, PasswordError};
use crate::accounts::session::{Came, SessionKey};
use crate::accounts::{
    AccountError, Accounts, Act, Change, PasswordHash, Permit, Role, SecretHash, TokenId, UseIs, User, UserName,
    Visitor, Who,
};
use crate::journal::{Entry, Journal, JournalError, JournalOptions, Opened, Recalled};

/// Where the process's own journal lies in the data directory.
pub const DIRECTORY: &str = "accounts";

/// Passwords that are hashed at once: 19 MiB each, and logins are rare.
const HASHING_MAX: usize = 2;

/// Logins from one address: a shop behind one router is at most some people at eight in the morning, and a success
/// fills the bucket again.
const LOGINS_OF_ADDRESS: Allowance = Allowance { burst: 10, refill: Duration::from_secs(30) };

/// Logins of one name, from wherever: 20 guesses, then 60 an hour.
const LOGINS_OF_NAME: Allowance = Allowance { burst: 20, refill: Duration::from_secs(60) };

/// The user that the first start makes.
const FIRST_ADMIN: &str = "admin";

/// Why something about accounts was not done.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// It makes no sense.
    #[error(transparent)]
    Refused(#[from] AccountError),
    /// The new password is none.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The old password is another.
    #[error("the present password is another")]
    WrongPassword,
    /// The disk does not keep up.
    #[error("too many changes wait for the disk; try again")]
    Busy,
    /// The journal has stopped.
    #[error("the journal of accounts has failed; the log says why")]
    Stopped,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The name or the password.
    #[error("name or password is wrong")]
    Wrong,
    /// Too many tries.
    #[error("too many tries; the next one is possible in {} s", .0.as_secs() + 1)]
    TooOften(Duration),
}

/// A password that opens the controller once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTime {
    /// Whose.
    pub user: UserName,
    /// The password.
    pub password: String,
}

/// How others reach the accounts.
#[derive(Clone)]
pub struct AccountsHandle(Arc<Inner>);

struct Inner {
    clock: Clock,
    accounts: Mutex<Accounts>,
    /// Held from the check of a change until it is applied, so that two cannot contradict each other.
    changes: tokio::sync::Mutex<()>,
    journal: Mutex<Writer>,
    /// How many batches are on disk.
    synced: watch::Receiver<u64>,
    hashing: Semaphore,
    logins: Mutex<Logins>,
    /// The hash of what a demonstration's link carries.
    link: Mutex<Option<SecretHash>>,
}

struct Writer {
    journal: Journal,
    batches: u64,
}

struct Logins {
    by_address: Buckets<IpAddr>,
    by_name: Buckets<String>,
}

impl fmt::Debug for AccountsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountsHandle")
    }
}

impl AccountsHandle {
    /// Opens the accounts of a data directory. `failed` is cancelled when they can no longer be written.
    ///
    /// # Errors
    /// The journal does not open.
    pub fn open(data_dir: &Path, clock: Clock, failed: CancellationToken) -> Result<Self, JournalError> {
        let name: StoreId = DIRECTORY.parse().expect("a short lower-case name");
        let (progress, synced) = watch::channel(0);
        let news = move |news: Result<crate::journal::Synced, JournalError>| match news {
            Ok(synced) => {
                progress.send_replace(synced.batches);
            }
            Err(error) => {
                tracing::error!(%error, hint = error.hint(), "the journal of accounts failed");
                failed.cancel();
            }
        };
        let mut accounts = Accounts::default();
        let replay = &mut |recalled: Recalled| {
            if let Entry::Account(change) = &recalled.entry {
                accounts.apply(recalled.at, change);
            }
        };
        let opened = Journal::open(&data_dir.join(DIRECTORY), &name, JournalOptions::default(), replay, news)?;
        let Opened { journal, torn, .. } = opened;
        if let Some(torn) = torn {
            tracing::warn!("the journal of accounts ended inside a line, as after a power cut: {torn}");
        }
        Ok(Self(Arc::new(Inner {
            clock,
            accounts: Mutex::new(accounts),
            changes: tokio::sync::Mutex::default(),
            journal: Mutex::new(Writer { journal, batches: 0 }),
            synced,
            hashing: Semaphore::new(HASHING_MAX),
            logins: Mutex::new(Logins {
                by_address: Buckets::new(LOGINS_OF_ADDRESS),
                by_name: Buckets::new(LOGINS_OF_NAME),
            }),
            link: Mutex::default(),
        })))
    }

    /// Makes the first admin, if there is none yet; users that the command line made before are no hindrance.
    ///
    /// # Errors
    /// The journal fails.
    pub async fn first_admin(&self) -> Result<Option<OneTime>, AccountsError> {
        let user: UserName = FIRST_ADMIN.parse().expect("a short lower-case name");
        let is_admin = |user: &User| user.permit.role == Role::Admin;
        let has_one =
            |accounts: &Accounts| accounts.user(&user).is_some() || accounts.users().any(|(_, user)| is_admin(user));
        if self.read(has_one) {
            return Ok(None);
        }
        let permit = Permit::new(Role::Admin, BTreeSet::new()).expect("an admin of every store");
        self.add_user(user, permit, None).await.map(Some)
    }

    /// The time that accounts go by.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.clock.now()
    }

    /// Reads what is known; `question` must be quick.
    pub fn read<T>(&self, question: impl FnOnce(&Accounts) -> T) -> T {
        question(&lock(&self.0.accounts))
    }

    /// Makes a user, with a password for the first login.
    ///
    /// # Errors
    /// See [`AccountsError`].
    pub async fn add_user(
        &self,
        user: UserName,
        permit: Permit,
        by: Option<UserName>,
    ) -> Result<OneTime, AccountsError> {
        let (password, hash) = self.one_time().await?;
        self.change(Change::UserAdded { user: user.clone(), permit, password: hash, by }).await?;
        Ok(OneTime { user, password })
    }

    /// Gives a user another password for one login.
    ///
    /// # Errors
    /// See [`AccountsError`].
    pub async fn reset_password(&self, user: UserName, by: Option<UserName>) -> Result<OneTime, AccountsError> {
        let (password, hash) = self.one_time().await?;
        self.change(Change::PasswordReset { user: user.clone(), password: hash, by }).await?;
        Ok(OneTime { user, password })
    }

    /// Sets the password that a user chose, who knows the present one. All the user's sessions end.
    ///
    /// # Errors
    /// See [`AccountsError`].
    pub async fn choose_password(&self, user: UserName, present: String, new: String) -> Result<(), AccountsError> {
        let known = self.read(|accounts| accounts.user(&user).map(|user| user.password.clone()));
        let known = known.ok_or_else(|| AccountError::NoUser(user.clone()))?;
        if !self.hashing(move || known.is_of(&present)).await? {
            return Err(AccountsError::WrongPassword);
        }
        let salt = random::bytes();
        let password = self.hashing(move || PasswordHash::of(&new, salt)).await??;
        self.change(Change::PasswordChosen { user, password }).await
    }

    /// Makes a token, and answers it as its program shows it: it is not kept.
    ///
    /// # Errors
    /// See [`AccountsError`].
    pub async fn create_token(
        &self,
        name: String,
        permit: Permit,
        lasts: Option<Duration>,
        by: Option<UserName>,
    ) -> Result<(TokenId, String), AccountsError> {
        let (token, random) = (TokenId::of(random::bytes()), random::bytes());
        let expires_at = lasts.map(|lasts| (self.now() + lasts).as_micros());
        let secret = secret::token_secret(random);
        self.change(Change::TokenCreated { token: token.clone(), name, permit, secret, expires_at, by }).await?;
        let text = secret::token_text(&token, random);
        Ok((token, text))
    }

    /// Makes a change, once the journal holds it.
    ///
    /// # Errors
    /// See [`AccountsError`].
    pub async fn change(&self, change: Change) -> Result<(), AccountsError> {
        let _turn = self.0.changes.lock().await;
        self.read(|accounts| accounts.check(&change))?;
        let at = self.now();
        self.append(at, change.clone()).await?;
        lock(&self.0.accounts).apply(at, &change);
        Ok(())
    }

    /// Notes who did what, and waits until the journal holds it.
    ///
    /// # Errors
    /// See [`AccountsError`].
    pub async fn note(&self, act: Act) -> Result<(), AccountsError> {
        let at = self.now();
        let change = Change::Acted(act);
        self.append(at, change.clone()).await?;
        lock(&self.0.accounts).apply(at, &change);
        Ok(())
    }

    /// Lets a person in; answers what their browser keeps as a cookie.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn sign_in(&self, name: &str, password: String, from: IpAddr) -> Result<String, SignInError> {
        let (now, from) = (self.now(), network(from));
        let user: Option<UserName> = name.parse().ok();
        let named = user.as_ref().map(ToString::to_string).unwrap_or_default();
        {
            let mut logins = lock(&self.0.logins);
            logins.by_address.take(now, from).map_err(SignInError::TooOften)?;
            logins.by_name.take(now, named.clone()).map_err(SignInError::TooOften)?;
        }
        let known = user.and_then(|name| self.read(|accounts| Some((accounts.user(&name)?.password.clone(), name))));
        let (hash, user) = match known {
            Some((hash, name)) => (hash, Some(name)),
            None => (PasswordHash::of_nobody(), None),
        };
        let right = self.hashing(move || hash.is_of(&password)).await.unwrap_or(false);
        let Some(user) = user.filter(|_| right) else { return Err(SignInError::Wrong) };
        let mut logins = lock(&self.0.logins);
        logins.by_address.forget(&from);
        logins.by_name.forget(&named);
        Ok(self.open_session(&user, Came::WithPassword))
    }

    fn open_session(&self, user: &UserName, came: Came) -> String {
        let cookie = SessionKey::cookie(random::bytes());
        lock(&self.0.accounts).open_session(self.now(), user, SessionKey::of(&cookie), came);
        cookie
    }

    /// Ends a session.
    pub fn sign_out(&self, key: &SessionKey) {
        lock(&self.0.accounts).close_session(key);
    }

    /// Who has this cookie.
    #[must_use]
    pub fn by_cookie(&self, cookie: &str) -> Option<Visitor> {
        lock(&self.0.accounts).session(self.now(), SessionKey::of(cookie))
    }

    /// Who has this token.
    #[must_use]
    pub fn by_token(&self, text: &str) -> Option<Visitor> {
        let (id, secret) = secret::read_token(text)?;
        let (permit, use_is) = lock(&self.0.accounts).use_token(self.now(), &id, &secret)?;
        if use_is == UseIs::News {
            // A use that is lost in a power cut is one day's: nobody waits for it.
            let _ = self.submit(self.now(), Change::TokenUsed { token: id.clone() });
        }
        Some(Visitor { who: Who::Token(id), permit, must_choose_password: false })
    }

    /// What a demonstration's link carries: it lets in as the first admin until the process ends.
    #[must_use]
    pub fn open_link(&self) -> String {
        let key = secret::hex(&random::bytes::<{ secret::SECRET_BYTES }>());
        *lock(&self.0.link) = Some(SecretHash::of(&key));
        key
    }

    /// Lets in whoever has the demonstration's link; answers what their browser keeps as a cookie.
    #[must_use]
    pub fn enter(&self, key: &str) -> Option<String> {
        let holds = *lock(&self.0.link) == Some(SecretHash::of(key));
        let admin = || {
            self.read(|accounts| {
                accounts.users().find(|(_, user)| user.permit.role == Role::Admin).map(|(name, _)| name.clone())
            })
        };
        holds.then(admin).flatten().map(|user| self.open_session(&user, Came::ByLink))
    }

    async fn one_time(&self) -> Result<(String, PasswordHash), AccountsError> {
        let (password, salt) = (secret::one_time_password(random::bytes()), random::bytes());
        let hashed = password.clone();
        let hash = self.hashing(move || PasswordHash::of(&hashed, salt)).await??;
        Ok((password, hash))
    }

    async fn hashing<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AccountsError> {
        let _place = self.0.hashing.acquire().await.map_err(|_| AccountsError::Stopped)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| AccountsError::Stopped)
    }

    fn submit(&self, at: Moment, change: Change) -> Result<u64, AccountsError> {
        let mut writer = lock(&self.0.journal);
        writer.journal.append(at, vec![Entry::Account(change)]).map_err(|_| AccountsError::Busy)?;
        writer.batches += 1;
        Ok(writer.batches)
    }

    async fn append(&self, at: Moment, change: Change) -> Result<(), AccountsError> {
        let number = self.submit(at, change)?;
        let mut synced = self.0.synced.clone();
        synced.wait_for(|batches| *batches >= number).await.map(drop).map_err(|_| AccountsError::Stopped)
    }
}

/// Nothing that holds these locks panics half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose tries are counted together: an address, or the network that a provider gives to one line.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}
