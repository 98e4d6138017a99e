//! What others are told: confirmations, held changes, alerts, and how labels are. Each only when it changed.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use gondola_protocol::{LabelId, Moment};

use super::message::{Changed, LabelState, Notice, Output, Publication};
use super::{Controller, TURN_MAX};
use crate::alert::{Alert, Cause, Rule};
use crate::catalog::sku::Sku;
use crate::catalog::wire::RowKey;
use crate::confirmation::Confirmation;
use crate::fleet::News;
use crate::fleet::health::{Health, Problem};
use crate::fleet::label::Label;
use crate::journal::Entry;

/// What others know, so that they are told only what is new.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Bound products whose confirmation may have changed.
    pub(super) unconfirmed: BTreeSet<Sku>,
    labels: BTreeMap<LabelId, Said>,
    /// The revision that was said to wait.
    held: BTreeMap<RowKey, u64>,
    /// The newest news of alerts that others may be told.
    pub(super) alerts: u64,
}

impl Told {
    /// Whether others have been told of a label.
    pub(super) fn knows(&self, label: LabelId) -> bool {
        self.labels.contains_key(&label)
    }
}

/// Alerts in one batch of the journal: a price list gone wrong makes ten of them.
const ALERTS_MAX: usize = 1_000;

impl Controller {
    /// Tells what changed: to those who watch labels, and to other systems once the journal holds what it rests on.
    pub(super) fn tell(&mut self, now: Moment) {
        for _ in 0..TURN_MAX {
            let Some(id) = self.changed.pop_first() else { break };
            self.outputs.push_back(Output::Changed(Changed::Label(id)));
            self.tell_label(now, id);
            if let Some(binding) = self.fleet.label(id).and_then(|label| label.binding.as_ref()) {
                self.told.unconfirmed.extend(binding.skus.iter().cloned());
            }
        }
        if !self.changed.is_empty() {
            return;
        }
        for _ in 0..TURN_MAX {
            let Some(sku) = self.told.unconfirmed.pop_first() else { break };
            self.tell_confirmation(now, &sku);
            self.tell_assortment(now, &sku);
        }
    }

    fn tell_confirmation(&mut self, now: Moment, sku: &Sku) {
        let Some(confirmation) = Confirmation::of(&self.catalog, &self.fleet, sku, now) else { return };
        let mut hasher = DefaultHasher::new();
        confirmation.hash(&mut hasher);
        if self.fleet.note_told(sku, hasher.finish()) == News::First {
            self.put_out_after_sync(Output::Publish(Publication::Confirmation(confirmation)));
        }
    }

    /// A product that labels show and the store does not sell is a matter for a person.
    fn tell_assortment(&mut self, now: Moment, sku: &Sku) {
        if self.fleet.is_bound(sku) && !self.catalog.is_in_assortment(sku) {
            let count = self.fleet.labels_of(sku).count();
            self.raise(now, Rule::NotForSale, sku.as_str(), Cause::NotForSale { labels: count });
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
        let subject = subject_of(key);
        match (held, self.told.held.get(key).copied()) {
            (None, None) => {}
            (Some((revision, _)), Some(told)) if revision == told => {}
            (Some((revision, reason)), _) => {
                self.told.held.insert(key.clone(), revision);
                let cause = Cause::Held { row: key.to_string(), revision, reason: reason.clone() };
                self.raise(now, Rule::Held, &subject, cause);
                self.outputs.push_back(Output::Changed(Changed::Approval(key.clone())));
                let publication = Publication::Held { key: key.clone(), revision, reason: Some(reason) };
                self.put_out_after_sync(Output::Publish(publication));
            }
            (None, Some(revision)) => {
                self.told.held.remove(key);
                self.clear(now, Rule::Held, &subject);
                self.outputs.push_back(Output::Changed(Changed::Approval(key.clone())));
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

    pub(super) fn raise(&mut self, now: Moment, rule: Rule, subject: &str, cause: Cause) {
        self.alert_news.extend(self.alerts.raise(now, rule, subject, cause));
    }

    pub(super) fn clear(&mut self, now: Moment, rule: Rule, subject: &str) {
        self.alert_news.extend(self.alerts.clear(now, rule, subject));
    }

    /// Brings news of alerts into the journal, and tells of them once it holds them. That the journal fails is told
    /// without it.
    pub(super) fn tell_alerts(&mut self) {
        let news = std::mem::take(&mut self.alert_news);
        let mut kept: Vec<Entry> =
            news.iter().filter(|alert| alert.rule.is_journalled()).cloned().map(Entry::Alert).collect();
        while !kept.is_empty() {
            let rest = kept.split_off(kept.len().min(ALERTS_MAX));
            self.append(kept);
            kept = rest;
        }
        for alert in news {
            self.tell_alert(alert);
        }
    }

    pub(super) fn tell_alert(&mut self, alert: Alert) {
        self.notice(Notice::Alert(alert.clone()));
        self.outputs.push_back(Output::Changed(Changed::Alert(alert.id())));
        if alert.rule.is_journalled() {
            self.put_out_after_sync(Output::Publish(Publication::Alert(alert)));
        } else {
            self.outputs.push_back(Output::Changed(Changed::Store));
            self.put_out(Output::Publish(Publication::Alert(alert)));
        }
    }

    /// What others may be told of alerts, oldest first: the journal holds it, where it can.
    pub fn alert_news(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.news().filter(|news| news.number <= self.told.alerts)
    }

    /// Looks again at what the alerts of an earlier run speak of: what ended meanwhile is cleared, and what is counted or
    /// waited for begins anew.
    pub(super) fn recall_alerts(&mut self, now: Moment) {
        self.told.alerts = self.alerts.news().last().map_or(0, |newest| newest.number);
        self.recall_held(now);
        for subject in self.alerts.subjects(Rule::Held) {
            let is_held = self.catalog.held().any(|held| subject_of(&held.row.key) == subject);
            if !is_held {
                self.clear(now, Rule::Held, &subject);
            }
        }
        for subject in self.alerts.subjects(Rule::NotForSale) {
            match subject.parse::<Sku>() {
                Ok(sku) => self.tell_assortment(now, &sku),
                Err(_) => self.clear(now, Rule::NotForSale, &subject),
            }
        }
        for rule in [Rule::Impostor, Rule::StationDown] {
            for subject in self.alerts.subjects(rule) {
                let is_ours = self.fleet.stations().any(|station| station.id.as_str() == subject);
                if !is_ours {
                    self.clear(now, rule, &subject);
                }
            }
        }
        self.recall_sources(now);
        self.recall_strangers(now);
    }
}

/// What the alert about a held change is about.
fn subject_of(key: &RowKey) -> String {
    format!("{} {}", key.facet(), key.id())
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
