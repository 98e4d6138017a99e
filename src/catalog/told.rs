//! What a source last told under one key, and the form of records in the view on disk.

use gondola_protocol::Moment;
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Serialize};

use super::TOMBSTONE_KEPT;
use super::promotion::micros;

/// A source's last word under one key. Its JSON is part of the view's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told<T> {
    /// Which word it is.
    pub mark: Mark,
    /// What it said; none after a removal, which keeps its mark so that a late repeat does not resurrect.
    pub value: Option<T>,
}

/// Which of a source's words something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The source's number for it.
    pub revision: u64,
    /// When it was applied.
    #[serde(with = "micros")]
    pub at: Moment,
    /// The last reload that named it; of this run only.
    #[serde(skip)]
    pub(super) met: u32,
}

impl<T> Told<T> {
    /// A word that came just now.
    pub(super) fn new(revision: u64, at: Moment, met: u32, value: Option<T>) -> Self {
        Self { mark: Mark { revision, at, met }, value }
    }

    /// Whether only a removal is left of it, and an old one: it decides nothing any more.
    pub(super) fn is_forgotten(&self, now: Moment) -> bool {
        self.value.is_none() && now.since(self.mark.at) > TOMBSTONE_KEPT
    }
}

/// What is stored under a key, as far as a newer word is judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) mark: Mark,
    pub(super) is_removed: bool,
}

impl<T> From<&Told<T>> for Standing {
    fn from(told: &Told<T>) -> Self {
        Self { mark: told.mark, is_removed: told.value.is_none() }
    }
}

/// A record of the view that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the view's record of {noun} cannot be read")]
pub struct RestoreError {
    noun: &'static str,
    source: serde_json::Error,
}

/// A record for the view.
pub(super) fn to_record(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a record has text keys only, so it is always JSON")
}

/// A record of the view.
pub(super) fn from_record<T: DeserializeOwned>(noun: &'static str, bytes: &[u8]) -> Result<T, RestoreError> {
    serde_json::from_slice(bytes).map_err(|source| RestoreError { noun, source })
}

/// The id that a record of the view lies under.
pub(super) fn from_key<T: DeserializeOwned>(noun: &'static str, key: &[u8]) -> Result<T, RestoreError> {
    let text = String::from_utf8_lossy(key);
    T::deserialize(IntoDeserializer::<serde_json::Error>::into_deserializer(&*text))
        .map_err(|source| RestoreError { noun, source })
}
