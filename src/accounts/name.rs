//! Names of users and ids of tokens.

use std::fmt;
use std::str::FromStr;

use crate::catalog::text_form::serde_as_text;

/// Longest name of a user.
const USER_NAME_MAX: usize = 32;

/// Hexadecimal digits of a token's id: two of a thousand tokens share one by chance once in ten million makings.
const TOKEN_ID_DIGITS: usize = 12;

/// A text that is no name or id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Of a user.
    #[error("user name `{0}` is not 1 to 32 characters of a-z, 0-9, `.`, `_` and `-`")]
    User(String),
    /// Of a token.
    #[error("token id `{0}` is not 12 hexadecimal digits")]
    Token(String),
}

/// A user's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// The public part of a token, by which it is listed and revoked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(String);

impl FromStr for UserName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if (1..=USER_NAME_MAX).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError::User(text.chars().take(USER_NAME_MAX).collect()))
    }
}

impl FromStr for TokenId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == TOKEN_ID_DIGITS && text.bytes().all(is_digit) {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError::Token(text.chars().take(TOKEN_ID_DIGITS).collect()))
    }
}

impl TokenId {
    /// The id that these bytes make.
    #[must_use]
    pub fn of(bytes: [u8; TOKEN_ID_DIGITS / 2]) -> Self {
        Self(super::secret::hex(&bytes))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(UserName);
serde_as_text!(TokenId);
