//! Secrets as they are kept: never themselves.
//!
//! A password is chosen by a person and can be guessed, so its hash is slow: Argon2id. A token or a session's key is
//! 32 random bytes and cannot, so that one BLAKE3 is enough, and each request costs a microsecond.

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::phc;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

use super::name::TokenId;
use crate::catalog::text_form::serde_as_text;

/// Shortest password: what NIST SP 800-63B asks of one that a person chooses.
pub const PASSWORD_CHARS_MIN: usize = 8;

/// Longest password in bytes: longer than any sentence, short enough to hash.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// What a token begins with, so that programs which look for lost secrets know one.
const TOKEN_PREFIX: &str = "gondola_";

/// Random bytes of a token's secret part, and of a session's key.
pub const SECRET_BYTES: usize = 32;

/// An Argon2id hash in PHC form, `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`.
///
/// 19 MiB and two passes are what OWASP names as the least; a login takes some 30 ms, a guess costs the same, and two
/// at a time (the shell's limit) cost the controller 38 MiB.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// The BLAKE3 hash of a random secret; compared in constant time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(blake3::Hash);

/// A password that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Guessed too soon.
    #[error("a password has at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// Not a password.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
}

impl PasswordHash {
    /// Hashes a password; slow by intention, and needs 19 MiB meanwhile.
    ///
    /// # Errors
    /// A password that is too short or too long.
    pub fn of(password: &str, salt: [u8; 16]) -> Result<Self, PasswordError> {
        if password.chars().count() < PASSWORD_CHARS_MIN {
            return Err(PasswordError::TooShort);
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
        Ok(Self(hash.expect("Argon2 takes any password and a salt of 16 bytes").to_string()))
    }

    /// Whether this is the password; slow by intention.
    #[must_use]
    pub fn is_of(&self, password: &str) -> bool {
        let Ok(hash) = phc::PasswordHash::new(&self.0) else { return false };
        password.len() <= PASSWORD_BYTES_MAX && Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
    }

    /// A hash that no password has; comparing with it takes as long as with another, so that an answer's time does not
    /// tell which names exist.
    #[must_use]
    pub fn of_nobody() -> Self {
        Self(
            "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                .to_owned(),
        )
    }
}

impl FromStr for PasswordHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        phc::PasswordHash::new(text).map_err(|error| format!("this is no password hash: {error}"))?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl SecretHash {
    /// Of the secret as it is written.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(blake3::hash(secret.as_bytes()))
    }
}

impl FromStr for SecretHash {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, blake3::HexError> {
        blake3::Hash::from_hex(text).map(Self)
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

serde_as_text!(PasswordHash);
serde_as_text!(SecretHash);

/// A token as its program shows it: `gondola_<id>_<secret>`.
#[must_use]
pub fn token_text(id: &TokenId, secret: [u8; SECRET_BYTES]) -> String {
    format!("{TOKEN_PREFIX}{id}_{}", hex(&secret))
}

/// The parts of a token as shown: its id, and the hash of its secret. None for another text.
#[must_use]
pub fn read_token(text: &str) -> Option<(TokenId, SecretHash)> {
    let (id, secret) = text.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
    Some((id.parse().ok()?, SecretHash::of(secret)))
}

/// The hash of a token's secret part.
#[must_use]
pub fn token_secret(secret: [u8; SECRET_BYTES]) -> SecretHash {
    SecretHash::of(&hex(&secret))
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A password for one login, easy to read out: four groups of five letters and digits that look like no other, 98 bits.
#[must_use]
pub fn one_time_password(random: [u8; 20]) -> String {
    const ALPHABET: &[u8; 30] = b"abcdefghjkmnpqrstuvwxyz2345678";
    let letters: Vec<u8> = random.iter().map(|byte| ALPHABET[usize::from(*byte) % ALPHABET.len()]).collect();
    let groups: Vec<_> = letters.chunks(5).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    groups.join("-")
}
