//! Changes that wait for a person, and what people decided.

use std::collections::BTreeMap;

use gondola_protocol::Moment;
use serde::{Deserialize, Serialize};

use super::guard::Suspicion;
use super::promotion::micros;
use super::wire::{Row, RowKey};

/// Most changes that wait at once: a corrupt export of a whole store holds as many. Past it the oldest gives
/// way, and the next reload brings it back.
pub const HELD_MAX: usize = 10_000;

/// Names a held change. A newer revision of the same row gets another.
pub type HeldId = u64;

/// A change that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its name.
    pub id: HeldId,
    /// What it would change.
    pub row: Row,
    /// Why it waits.
    pub reason: Suspicion,
    /// Since when.
    #[serde(with = "micros")]
    pub since: Moment,
}

/// What a person decided of a held change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is meant.
    Approved,
    /// It is a mistake.
    Rejected,
}

/// Held changes by what they are about, and the newest verdict of each.
#[derive(Debug, Clone, Default)]
pub(super) struct Approvals {
    held: BTreeMap<RowKey, Held>,
    keys: BTreeMap<HeldId, RowKey>,
    verdicts: BTreeMap<RowKey, (u64, Verdict)>,
    last: HeldId,
}

impl Approvals {
    pub(super) fn held(&self) -> impl Iterator<Item = &Held> {
        self.keys.values().filter_map(|key| self.held.get(key))
    }

    pub(super) fn get(&self, key: &RowKey) -> Option<&Held> {
        self.held.get(key)
    }

    pub(super) fn by_id(&self, id: HeldId) -> Option<&Held> {
        self.held.get(self.keys.get(&id)?)
    }

    /// Whether that name was ever given.
    pub(super) fn was_given(&self, id: HeldId) -> bool {
        (1..=self.last).contains(&id)
    }

    /// Holds a row, in place of an older one of its key. Answers the keys whose records changed.
    pub(super) fn hold(&mut self, now: Moment, row: Row, reason: Suspicion) -> Vec<RowKey> {
        let mut changed = vec![row.key.clone()];
        self.release(&row.key);
        if self.held.len() >= HELD_MAX
            && let Some(oldest) = self.keys.values().next().cloned()
        {
            self.release(&oldest);
            changed.push(oldest);
        }
        self.restore(Held { id: self.last + 1, row, reason, since: now });
        changed
    }

    /// Takes back a held change, as the view kept it.
    pub(super) fn restore(&mut self, held: Held) {
        self.last = self.last.max(held.id);
        self.keys.insert(held.id, held.row.key.clone());
        self.held.insert(held.row.key.clone(), held);
    }

    pub(super) fn release(&mut self, key: &RowKey) -> Option<Held> {
        let held = self.held.remove(key)?;
        self.keys.remove(&held.id);
        Some(held)
    }

    pub(super) fn verdict(&self, key: &RowKey, revision: u64) -> Option<Verdict> {
        self.verdicts.get(key).filter(|(of, _)| *of == revision).map(|(_, verdict)| *verdict)
    }

    /// Remembers a verdict, so that a reload does not ask again.
    pub(super) fn decide(&mut self, key: RowKey, revision: u64, verdict: Verdict) {
        self.verdicts.insert(key, (revision, verdict));
    }
}
