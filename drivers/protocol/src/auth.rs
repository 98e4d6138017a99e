//! Keyed sessions: both ends prove that they hold the station's key, and seal what they say.
//!
//! A seal is a tag behind a payload: the first 8 bytes of BLAKE3 in keyed mode. BLAKE3 rather than an HMAC,
//! because every firmware that serves labels has it already for the digest of pictures, and its keyed mode is
//! the MAC that HMAC builds out of a hash that has none. The key of a session depends on a nonce from each end,
//! so that nothing that was recorded in one session opens or is taken in another. Seals prove who speaks; they
//! hide nothing: who must not read prices needs TLS below.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::id::SessionId;
use crate::moment::Moment;
use crate::text;

/// Bytes of a seal: one guess in 2⁶⁴ is right, and a wrong one costs a frame on the line.
pub const SEAL_BYTES: usize = 8;

/// What stands before session and nonces when a session's key is made.
const SESSION_CONTEXT: &[u8] = b"shelflink 2 session";

/// A text that is no station key. The text itself is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a station's key is 64 hexadecimal digits; make one with `openssl rand -hex 32`")]
pub struct KeyError;

/// The secret of one station: 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StationKey(pub [u8; 32]);

impl FromStr for StationKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        text::hex(&text.trim().to_ascii_lowercase()).map(Self).ok_or(KeyError)
    }
}

impl fmt::Debug for StationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StationKey(..)")
    }
}

/// A number that its maker uses once: 16 random bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nonce(pub [u8; 16]);

impl Nonce {
    /// A nonce out of what never comes twice for one key: a session's id and the moment of its begin. Only who has
    /// the key could tell it beforehand.
    #[must_use]
    pub fn of_session(key: &StationKey, session: SessionId, begin: Moment) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&key.0);
        hasher.update(b"shelflink 2 nonce").update(&session.0.to_le_bytes()).update(&begin.as_micros().to_le_bytes());
        let mut nonce = Self::default();
        nonce.0.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        nonce
    }
}

/// Who sealed a payload. A payload that is sent back to its sender does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealer {
    /// The controller: `C`.
    Controller,
    /// The station: `S`.
    Station,
}

impl Sealer {
    const fn byte(self) -> u8 {
        match self {
            Self::Controller => b'C',
            Self::Station => b'S',
        }
    }
}

/// The key of one session.
#[derive(Clone)]
pub struct SessionKey([u8; 32]);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

impl SessionKey {
    /// The key of a session, from the station's key and a nonce from each end.
    #[must_use]
    pub fn new(key: &StationKey, session: SessionId, controller: Nonce, station: Nonce) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&key.0);
        hasher.update(SESSION_CONTEXT).update(&session.0.to_le_bytes());
        hasher.update(&controller.0).update(&station.0);
        Self(*hasher.finalize().as_bytes())
    }

    /// Puts the seal behind a payload.
    pub fn seal(&self, sealer: Sealer, payload: &mut Vec<u8>) {
        let tag = self.tag(sealer, payload);
        payload.extend_from_slice(&tag.as_bytes()[..SEAL_BYTES]);
    }

    /// Takes the seal off a payload; none when it is not `sealer`'s.
    #[must_use]
    pub fn open(&self, sealer: Sealer, sealed: &Bytes) -> Option<Bytes> {
        let length = sealed.len().checked_sub(SEAL_BYTES)?;
        let mut told = [0; SEAL_BYTES];
        told.copy_from_slice(&sealed[length..]);
        let payload = sealed.slice(..length);
        let tag = self.tag(sealer, &payload);
        let mut computed = [0; SEAL_BYTES];
        computed.copy_from_slice(&tag.as_bytes()[..SEAL_BYTES]);
        // As numbers, so that the comparison takes the same time wherever they differ.
        (u64::from_le_bytes(told) == u64::from_le_bytes(computed)).then_some(payload)
    }

    fn tag(&self, sealer: Sealer, payload: &[u8]) -> blake3::Hash {
        blake3::Hasher::new_keyed(&self.0).update(&[sealer.byte()]).update(payload).finalize()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SessionKey {
        SessionKey::new(&StationKey([0x4B; 32]), SessionId(9), Nonce([1; 16]), Nonce([2; 16]))
    }

    fn sealed(payload: &[u8]) -> Bytes {
        let mut sealed = payload.to_vec();
        key().seal(Sealer::Controller, &mut sealed);
        sealed.into()
    }

    #[test]
    fn keys_are_read_and_never_shown() {
        let key: StationKey = format!("{}\n", "4b".repeat(32)).parse().unwrap();
        assert_eq!(key, StationKey([0x4B; 32]));
        assert_eq!(format!("{key:?}"), "StationKey(..)");
        for text in ["", "4b", &"4b".repeat(33), &"+b".repeat(32), &"é".repeat(32)] {
            assert_eq!(text.parse::<StationKey>(), Err(KeyError));
        }
    }

    #[test]
    fn only_the_other_end_of_the_same_session_opens_a_seal() {
        let sealed = sealed(b"payload");
        assert_eq!(key().open(Sealer::Controller, &sealed).as_deref(), Some(&b"payload"[..]));
        assert_eq!(key().open(Sealer::Station, &sealed), None, "sent back");
        let other = |session, controller, station| {
            SessionKey::new(&StationKey([0x4B; 32]), SessionId(session), Nonce([controller; 16]), Nonce([station; 16]))
        };
        for replayed in [other(8, 1, 2), other(9, 3, 2), other(9, 1, 3)] {
            assert_eq!(replayed.open(Sealer::Controller, &sealed), None);
        }
    }

    #[test]
    fn nonces_differ_by_key_session_and_moment() {
        let nonce = |key, session, secs| {
            Nonce::of_session(&StationKey([key; 32]), SessionId(session), Moment::from_secs(secs)).0
        };
        let all = std::collections::BTreeSet::from([nonce(1, 1, 1), nonce(2, 1, 1), nonce(1, 2, 1), nonce(1, 1, 2)]);
        assert_eq!(all.len(), 4);
    }

    proptest! {
        #[test]
        fn a_changed_payload_does_not_open(
            payload in prop::collection::vec(prop::num::u8::ANY, 0..100), at in prop::num::usize::ANY, bit in 0_u8..8,
        ) {
            let mut forged = sealed(&payload).to_vec();
            let at = at % forged.len();
            forged[at] ^= 1 << bit;
            prop_assert_eq!(key().open(Sealer::Controller, &forged.into()), None);
        }

        #[test]
        fn any_bytes_are_refused(bytes in prop::collection::vec(prop::num::u8::ANY, 0..50)) {
            prop_assert_eq!(key().open(Sealer::Station, &bytes.into()), None);
        }
    }
}
