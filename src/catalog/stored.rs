//! What the catalog holds under one key, and its form in the view on disk.

use gondola_protocol::Moment;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::promotion::micros;

/// A product or promotion, or what is left of one.
///
/// Its JSON is the view's record: `{"present":{…}}` or `{"deleted":{…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stored<K, T> {
    /// As its source last told it.
    Present(T),
    /// Removed by its source.
    Deleted(Tombstone<K>),
}

/// The mark of a deletion, so that a late repeat does not resurrect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tombstone<K> {
    /// What was deleted.
    pub(super) key: K,
    /// The deletion's revision.
    pub(super) revision: u64,
    /// When the deletion was applied.
    #[serde(with = "micros")]
    pub(super) at: Moment,
}

/// A record of the view that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the view's record of a {noun} cannot be read")]
pub struct RestoreError {
    noun: &'static str,
    source: serde_json::Error,
}

impl<K: Serialize + DeserializeOwned, T: Serialize + DeserializeOwned> Stored<K, T> {
    /// What is present.
    pub(super) fn present(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Deleted(_) => None,
        }
    }

    /// The record for the view.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record has text keys only, so it is always JSON")
    }

    /// A record of the view.
    pub(super) fn from_bytes(noun: &'static str, bytes: &[u8]) -> Result<Self, RestoreError> {
        serde_json::from_slice(bytes).map_err(|source| RestoreError { noun, source })
    }
}
