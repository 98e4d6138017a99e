//! What is on the shelf edge: labels, base stations, bindings, and what is known of their health.

pub mod accuracy;
pub mod ahead;
pub mod battery;
pub mod choice;
pub mod few;
pub mod health;
mod hearing;
pub mod label;
pub mod station;

use std::collections::BTreeMap;

use gondola_drivers::Telemetry;
use gondola_protocol::{Digest, Edition, LabelId, Moment, StationId};

use crate::catalog::sku::Sku;
use crate::sorted::{among, is_side_by_side};
use choice::Way;
use few::Few;
pub use hearing::Hearing;
use label::{Binding, Heard, Label};
use station::Station;

/// Unregistered labels that are remembered per store.
///
/// As many as a large store has before it is set up, and a neighbour's within earshot; some 8 MB.
pub const SEEN_MAX: usize = 65_536;

/// What a label says that it shows, by a digest that it computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shows {
    /// The picture's running number.
    pub edition: Edition,
    /// Its digest.
    pub digest: Digest,
}

/// A label that was heard but is not registered here: it gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLabel {
    /// What it said last. A station does not repeat what it has passed on, so this is kept for the moment
    /// at which the label is registered.
    pub said: Telemetry,
    /// What it said that it shows; none where its hardware cannot say.
    pub shows: Option<Shows>,
    /// Which base station heard it last.
    pub station: StationId,
    /// When.
    pub at: Moment,
}

/// The labels and base stations of one store.
#[derive(Debug, Default)]
pub struct Fleet {
    /// Boxed: a map of labels side by side is half empty, and slow to search.
    labels: BTreeMap<LabelId, Box<Label>>,
    bound: BTreeMap<Sku, Bound>,
    stations: BTreeMap<StationId, Station>,
    seen: BTreeMap<LabelId, SeenLabel>,
}

/// What is on the shelf edge of a product that labels show.
#[derive(Debug, Default)]
struct Bound {
    /// The labels, by id.
    labels: Few<LabelId>,
    /// A hash of what others were last told of it; 0 while that was nothing.
    told: u64,
}

impl Fleet {
    /// A registered label.
    #[must_use]
    pub fn label(&self, id: LabelId) -> Option<&Label> {
        self.labels.get(&id).map(Box::as_ref)
    }

    /// A registered label, to change it.
    pub(crate) fn label_mut(&mut self, id: LabelId) -> Option<&mut Label> {
        self.labels.get_mut(&id).map(Box::as_mut)
    }

    /// Every registered label, by id.
    pub fn labels(&self) -> impl Iterator<Item = &Label> {
        self.labels.values().map(Box::as_ref)
    }

    /// Every registered label, to change it.
    pub(crate) fn labels_mut(&mut self) -> impl Iterator<Item = &mut Label> {
        self.labels.values_mut().map(Box::as_mut)
    }

    /// The products that labels show.
    pub fn bound_skus(&self) -> impl Iterator<Item = &Sku> {
        self.bound.keys()
    }

    /// The labels that show a product.
    pub fn labels_of(&self, sku: &Sku) -> impl Iterator<Item = LabelId> + '_ {
        self.bound.get(sku).into_iter().flat_map(|bound| &bound.labels).copied()
    }

    /// Tells of each of these products, which are in order, that labels show it, and which.
    pub(crate) fn for_bound(&self, skus: &[Sku], mut each: impl FnMut(&Sku, &[LabelId])) {
        if is_side_by_side(skus.len(), self.bound.len()) {
            among(self.bound.iter(), skus.iter()).for_each(|(sku, bound)| each(sku, &bound.labels));
        } else {
            let bound = skus.iter().filter_map(|sku| self.bound.get_key_value(sku));
            bound.for_each(|(sku, bound)| each(sku, &bound.labels));
        }
    }

    /// Whether any label shows the product.
    #[must_use]
    pub fn is_bound(&self, sku: &Sku) -> bool {
        self.bound.contains_key(sku)
    }

    /// Notes a hash of what others are told of a product that labels show. Answers whether it is news.
    pub(crate) fn note_told(&mut self, sku: &Sku, hash: u64) -> News {
        let before = self.bound.get_mut(sku).map(|bound| std::mem::replace(&mut bound.told, hash));
        if before == Some(hash) { News::Known } else { News::First }
    }

    /// What was registered one after the other lies as close together as it can from now on.
    pub(crate) fn close_ranks(&mut self) {
        self.labels = std::mem::take(&mut self.labels).into_iter().collect();
        self.bound = std::mem::take(&mut self.bound).into_iter().collect();
    }

    /// Every base station, by id.
    pub fn stations(&self) -> impl Iterator<Item = &Station> {
        self.stations.values()
    }

    /// A configured base station.
    #[must_use]
    pub fn station(&self, id: &StationId) -> Option<&Station> {
        self.stations.get(id)
    }

    /// A configured base station, to change it.
    pub(crate) fn station_mut(&mut self, id: &StationId) -> Option<&mut Station> {
        self.stations.get_mut(id)
    }

    /// The base station that a label's next transfer goes through, of those that are up and hear it: see [`choice`].
    #[must_use]
    pub fn station_for(&self, label: &Label) -> Option<&Station> {
        let way = |(id, heard): (&StationId, &Heard)| {
            let Station { id, capacity, since, transfers, .. } = self.stations.get(id)?;
            let transfers_max = capacity.as_ref()?.transfers;
            Some(Way { station: id, heard: *heard, up_since: *since, transfers: *transfers, transfers_max })
        };
        let chosen = choice::choose(label.carrier.as_ref(), label.heard_by.iter().filter_map(way))?;
        self.stations.get(chosen)
    }

    /// Labels that were heard but are not registered.
    pub fn seen(&self) -> impl Iterator<Item = (LabelId, &SeenLabel)> {
        self.seen.iter().map(|(label, seen)| (*label, seen))
    }

    /// An unregistered label that was heard.
    #[must_use]
    pub fn seen_label(&self, id: LabelId) -> Option<&SeenLabel> {
        self.seen.get(&id)
    }

    pub(crate) fn add_station(&mut self, id: StationId) {
        self.stations.insert(id.clone(), Station::new(id));
    }

    /// Adds a label, and answers what it said before it was registered.
    pub(crate) fn add_label(&mut self, label: Label) -> Option<SeenLabel> {
        let seen = self.seen.remove(&label.id);
        self.labels.insert(label.id, Box::new(label));
        seen
    }

    /// Removes a label, which from then on is one that was heard and is not registered.
    pub(crate) fn remove_label(&mut self, id: LabelId) {
        self.bind(id, None);
        if let Some(seen) = self.labels.remove(&id).and_then(|label| label.as_seen()) {
            self.note_seen(id, seen);
        }
    }

    /// Sets or takes away a label's binding, and the index with it.
    pub(crate) fn bind(&mut self, id: LabelId, binding: Option<Binding>) {
        let Some(label) = self.labels.get_mut(&id) else { return };
        for sku in label.binding.iter().flat_map(|old| &old.skus) {
            if let Some(bound) = self.bound.get_mut(sku) {
                bound.labels.retain(|label| *label != id);
                if bound.labels.is_empty() {
                    self.bound.remove(sku);
                }
            }
        }
        for sku in binding.iter().flat_map(|new| &new.skus) {
            let Bound { labels, .. } = self.bound.entry(sku.clone()).or_default();
            if let Err(place) = labels.binary_search(&id) {
                labels.insert(place, id);
            }
        }
        label.binding = binding;
        label.forget_looks();
    }

    /// Notes an unregistered label. Answers whether it is news.
    pub(crate) fn note_seen(&mut self, id: LabelId, seen: SeenLabel) -> News {
        let known = self.seen.contains_key(&id);
        if !known && self.seen.len() >= SEEN_MAX {
            return News::Known;
        }
        self.seen.insert(id, seen);
        if known { News::Known } else { News::First }
    }
}

/// Whether something is told for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// It was not known before.
    First,
    /// It was.
    Known,
}
