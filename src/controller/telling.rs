//! What others are told: confirmations, held changes, alerts, and how labels are. Each only when it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use gondola_protocol::{LabelId, Moment};

use super::message::{LabelState, Notice, Output, Publication};
use super::{Controller, TURN_MAX};
use crate::alert::{Alert, Rule};
use crate::catalog::sku::Sku;
use crate::catalog::wire::RowKey;
use crate::confirmation::Confirmation;
use crate::fleet::health::{Health, Problem};
use crate::fleet::label::Label;

/// What others know, so that they are told only what is new.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Bound products whose confirmation may have changed.
    pub(super) unconfirmed: BTreeSet<Sku>,
    /// Hashes of what was said of every bound product: bounded by the labels of the store.
    confirmations: BTreeMap<Sku, u64>,
    labels: BTreeMap<LabelId, Said>,
    /// The revision that was said to wait.
    held: BTreeMap<RowKey, u64>,
}

impl Told {
    /// Whether others have been told of a label.
    pub(super) fn knows(&self, label: LabelId) -> bool {
        self.labels.contains_key(&label)
    }
}

impl Controller {
    /// Tells what changed: to those who watch labels, and to other systems once the journal holds what it rests on.
    pub(super) fn tell(&mut self, now: Moment) {
        for _ in 0..TURN_MAX {
            let Some(id) = self.changed.pop_first() else { break };
            self.outputs.push_back(Output::Changed(id));
            self.tell_label(now, id);
            if let Some(binding) = self.fleet.label(id).and_then(|label| label.binding.as_ref()) {
                self.told.unconfirmed.extend(binding.skus.iter().cloned());
            }
        }
        for _ in 0..if self.changed.is_empty() { TURN_MAX } else { 0 } {
            let Some(sku) = self.told.unconfirmed.pop_first() else { break };
            self.tell_confirmation(now, &sku);
            self.tell_assortment(now, &sku);
        }
    }

    fn tell_confirmation(&mut self, now: Moment, sku: &Sku) {
        let Some(confirmation) = Confirmation::of(&self.catalog, &self.fleet, sku, now) else {
            self.told.confirmations.remove(sku);
            return;
        };
        let mut hasher = DefaultHasher::new();
        confirmation.hash(&mut hasher);
        let hash = hasher.finish();
        if self.told.confirmations.insert(sku.clone(), hash) != Some(hash) {
            self.put_out_after_sync(Output::Publish(Publication::Confirmation(confirmation)));
        }
    }

    /// A product that labels show and the store does not sell is a matter for a person.
    fn tell_assortment(&mut self, now: Moment, sku: &Sku) {
        if self.fleet.is_bound(sku) && !self.catalog.is_in_assortment(sku) {
            let count = self.fleet.labels_of(sku).count();
            let labels = if count == 1 { "1 label shows".to_owned() } else { format!("{count} labels show") };
            let text = format!(
                "{labels} product {sku}, which this store does not sell: take it off the shelf, or bind another"
            );
            self.raise(now, Rule::NotForSale, sku.as_str(), text);
        } else {
            self.clear(now, Rule::NotForSale, sku.as_str());
        }
    }

    fn tell_label(&mut self, now: Moment, id: LabelId) {
        let Some(label) = self.fleet.label(id) else {
            self.told.labels.remove(&id);
            return;
        };
        let said = Said::of(label, now);
        if self.told.labels.insert(id, said) != Some(said) {
            let state = LabelState {
                label: id,
                health: said.health,
                problems: Problem::of(label).collect(),
                battery_mv: label.battery_mv,
                last_check_in: label.last_check_in,
            };
            self.put_out_after_sync(Output::Publish(Publication::Label(state)));
        }
    }

    /// Finds the labels whose state the clock alone has changed, and the products that this concerns.
    pub(super) fn look_at_states(&mut self, now: Moment) {
        let is_news = |label: &&Label| self.told.labels.get(&label.id) != Some(&Said::of(label, now));
        let labels = self.fleet.labels().filter(is_news);
        self.changed.extend(labels.map(|label| label.id));
    }

    /// Follows whether a change waits: an alert, and word to other systems.
    pub(super) fn follow_held(&mut self, now: Moment, key: &RowKey) {
        let held = self.catalog.held_for(key).map(|held| (held.row.revision, held.reason.clone()));
        let subject = format!("{} {}", key.facet(), key.id());
        match (held, self.told.held.get(key).copied()) {
            (None, None) => {}
            (Some((revision, _)), Some(told)) if revision == told => {}
            (Some((revision, reason)), _) => {
                self.told.held.insert(key.clone(), revision);
                let text = format!(
                    "{key}, revision {revision}, is held and the old price stays: {reason}; approve or reject it"
                );
                self.raise(now, Rule::Held, &subject, text);
                let publication = Publication::Held { key: key.clone(), revision, reason: Some(reason) };
                self.put_out_after_sync(Output::Publish(publication));
            }
            (None, Some(revision)) => {
                self.told.held.remove(key);
                self.clear(now, Rule::Held, &subject);
                let publication = Publication::Held { key: key.clone(), revision, reason: None };
                self.put_out_after_sync(Output::Publish(publication));
            }
        }
    }

    /// Tells again of what has been waiting since an earlier run.
    pub(super) fn recall_held(&mut self, now: Moment) {
        let keys: Vec<RowKey> = self.catalog.held().map(|held| held.row.key.clone()).collect();
        for key in keys {
            self.follow_held(now, &key);
        }
    }

    pub(super) fn raise(&mut self, now: Moment, rule: Rule, subject: &str, text: String) {
        let alert = self.alerts.raise(now, rule, subject, text);
        self.tell_alert(alert);
    }

    pub(super) fn clear(&mut self, now: Moment, rule: Rule, subject: &str) {
        let alert = self.alerts.clear(now, rule, subject);
        self.tell_alert(alert);
    }

    fn tell_alert(&mut self, alert: Option<Alert>) {
        let Some(alert) = alert else { return };
        self.notice(Notice::Alert(alert.clone()));
        self.put_out_after_sync(Output::Publish(Publication::Alert(alert)));
    }
}

/// What is said of a label: small, because it is remembered of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    health: Health,
    /// A bit for each.
    problems: u8,
}

impl Said {
    fn of(label: &Label, now: Moment) -> Self {
        let problems = Problem::of(label).fold(0, |bits, problem| bits | 1 << problem as u8);
        Self { health: Health::of(label, now), problems }
    }
}
