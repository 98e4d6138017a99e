//! Who is logged in.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::Moment;

use super::name::UserName;
use super::secret::{SecretHash, hex};

/// A session that nobody used for this long has ended: a shift with its breaks.
pub const IDLE_MAX: Duration = Duration::from_hours(12);

/// A session ends after this in any case, so that a lost device is not one for ever.
pub const AGE_MAX: Duration = Duration::from_hours(7 * 24);

/// Sessions of one user: a phone, a handheld and a computer in several browsers. One more ends the one unused longest.
const PER_USER_MAX: usize = 20;

/// The hash of what stands in a browser's cookie.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionKey(String);

impl SessionKey {
    /// Of a cookie's value.
    #[must_use]
    pub fn of(cookie: &str) -> Self {
        Self(SecretHash::of(cookie).to_string())
    }

    /// A new cookie's value.
    #[must_use]
    pub fn cookie(random: [u8; super::secret::SECRET_BYTES]) -> String {
        hex(&random)
    }
}

/// How somebody came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// With a password.
    WithPassword,
    /// By a demonstration's link: there is no password to choose.
    ByLink,
}

#[derive(Debug)]
struct Session {
    user: UserName,
    came: Came,
    since: Moment,
    used_at: Moment,
}

/// Every session; bounded by the users and [`PER_USER_MAX`].
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: BTreeMap<SessionKey, Session>,
}

impl Session {
    fn holds(&self, now: Moment) -> bool {
        now.since(self.since) < AGE_MAX && now.since(self.used_at) < IDLE_MAX
    }
}

impl Sessions {
    pub(super) fn open(&mut self, now: Moment, user: &UserName, key: SessionKey, came: Came) {
        self.open.retain(|_, session| session.holds(now));
        let mine = || self.open.iter().filter(|(_, session)| session.user == *user);
        if mine().count() >= PER_USER_MAX
            && let Some(oldest) = mine().min_by_key(|(_, session)| session.used_at).map(|(key, _)| key.clone())
        {
            self.open.remove(&oldest);
        }
        self.open.insert(key, Session { user: user.clone(), came, since: now, used_at: now });
    }

    pub(super) fn look(&mut self, now: Moment, key: &SessionKey) -> Option<(UserName, Came)> {
        let session = self.open.get_mut(key)?;
        if !session.holds(now) {
            self.open.remove(key);
            return None;
        }
        session.used_at = now;
        Some((session.user.clone(), session.came))
    }

    pub(super) fn close(&mut self, key: &SessionKey) {
        self.open.remove(key);
    }

    pub(super) fn end_all(&mut self, user: &UserName) {
        self.open.retain(|_, session| session.user != *user);
    }
}
