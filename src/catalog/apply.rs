//! Rows into items: what is newer replaces what stands, a row at a time.

use std::sync::Arc;

use gondola_protocol::Moment;
use rust_decimal::Decimal;

use super::approvals::{HeldId, Verdict};
use super::guard::Suspicion;
use super::promotion::{Promotion, Reduction};
use super::records::Unsaved;
use super::sku::{PromotionId, Sku};
use super::told::{Standing, Told};
use super::wire::{Change, Facet, Row, RowKey};
use super::{Applied, Catalog, NAMINGS_MAX, PRODUCTS_MAX, PROMOTIONS_MAX, Refusal, Status};

/// Where a row comes from, as far as it matters for what it may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A change message, or a request.
    Change,
    /// A held change that a person approved.
    Approval,
    /// A snapshot.
    Snapshot {
        /// The reload's number.
        number: u32,
        /// When it was asked for: what came later stands.
        asked_at: Moment,
        /// Whether lower revisions are taken.
        reset: bool,
    },
}

impl Origin {
    fn met(self) -> u32 {
        if let Self::Snapshot { number, .. } = self { number } else { 0 }
    }

    /// Whether it cannot know of what came at `at`.
    pub(super) fn is_before(self, at: Moment) -> bool {
        matches!(self, Self::Snapshot { asked_at, .. } if asked_at <= at)
    }

    /// Whether a row of this revision replaces what stands under its key.
    fn replaces(self, revision: u64, standing: Standing) -> bool {
        match self {
            Self::Snapshot { reset, .. } if !self.is_before(standing.mark.at) => {
                // A whole snapshot that names it again is right about it: what left by its absence returns.
                revision > standing.mark.revision
                    || (standing.is_removed && revision == standing.mark.revision)
                    || (reset && revision != standing.mark.revision)
            }
            _ => revision > standing.mark.revision,
        }
    }
}

impl Catalog {
    /// Applies one row, unless what is stored is as new or newer.
    pub fn apply(&mut self, now: Moment, row: Row) -> Applied {
        self.take(now, row, Origin::Change)
    }

    /// Carries out what a person decided of a held change, whether it is still held or the journal tells of it.
    pub fn decide(&mut self, now: Moment, key: &RowKey, revision: u64, verdict: Verdict) -> Option<Applied> {
        self.approvals.decide(key.clone(), revision, verdict);
        self.approvals.get(key).filter(|held| held.row.revision == revision)?;
        let held = self.approvals.release(key)?;
        self.unsaved.insert(Unsaved::Held(key.clone()));
        match verdict {
            Verdict::Approved => Some(self.take(now, held.row, Origin::Approval)),
            Verdict::Rejected => Some(Applied { key: key.clone(), revision, status: Status::Rejected }),
        }
    }

    /// What a held change is about.
    #[must_use]
    pub fn held_key(&self, id: HeldId) -> Option<(RowKey, u64)> {
        self.approvals.by_id(id).map(|held| (held.row.key.clone(), held.row.revision))
    }

    pub(super) fn take(&mut self, now: Moment, row: Row, origin: Origin) -> Applied {
        let (key, revision) = (row.key.clone(), row.revision);
        let status = match self.merged(row) {
            Err(refusal) => Status::Refused(refusal),
            Ok(row) => self.judge(now, &row, origin).unwrap_or_else(|| {
                self.store(now, row, origin);
                Status::Applied
            }),
        };
        Applied { key, revision, status }
    }

    /// The row whole: one that changes some fields is merged into what stands.
    fn merged(&self, row: Row) -> Result<Row, Refusal> {
        let Row { key: RowKey::Sku(Facet::Base, sku), revision, change: Change::Patch(patch) } = row else {
            return Ok(row);
        };
        let key = RowKey::Sku(Facet::Base, sku.clone());
        match self.product(&sku) {
            Some(product) => Ok(Row { key, revision, change: Change::Base(patch.merged_into(product.clone())) }),
            None => Err(Refusal::Unknown { key }),
        }
    }

    /// What becomes of a row that is not to be stored; none for one that is.
    fn judge(&mut self, now: Moment, row: &Row, origin: Origin) -> Option<Status> {
        if let Some(standing) = self.standing(&row.key, now)
            && !origin.replaces(row.revision, standing)
        {
            let stored = standing.mark.revision;
            // A snapshot is no worse for not knowing what came after it was asked for.
            let is_behind = row.revision < stored && !origin.is_before(standing.mark.at);
            return Some(if is_behind { Status::Regressed { stored } } else { Status::Unchanged });
        }
        if let Some(refusal) = self.refusal(row) {
            return Some(Status::Refused(refusal));
        }
        match self.approvals.verdict(&row.key, row.revision) {
            _ if origin == Origin::Approval => return None,
            Some(Verdict::Approved) => return None,
            Some(Verdict::Rejected) => return Some(Status::Rejected),
            None => {}
        }
        if let Some(held) = self.approvals.get(&row.key)
            && held.row.revision == row.revision
        {
            return Some(Status::Held(held.reason.clone()));
        }
        let suspicion = self.suspicion(now, row)?;
        if self.approvals.get(&row.key).is_some_and(|held| held.row.revision > row.revision) {
            return Some(Status::Unchanged);
        }
        let changed = self.approvals.hold(now, row.clone(), suspicion.clone());
        self.unsaved.extend(changed.into_iter().map(Unsaved::Held));
        Some(Status::Held(suspicion))
    }

    pub(super) fn standing(&self, key: &RowKey, now: Moment) -> Option<Standing> {
        let (standing, is_forgotten) = match key {
            RowKey::Sku(facet, sku) => {
                let standing = self.items.get(sku)?.standing(*facet)?;
                let age = now.since(standing.mark.at);
                (standing, standing.is_removed && age > super::TOMBSTONE_KEPT)
            }
            RowKey::Promotion(id) => {
                let told = self.promotions.get(id)?;
                (Standing::from(told), told.is_forgotten(now))
            }
        };
        (!is_forgotten).then_some(standing)
    }

    /// Why a price change looks like a mistake: a product's against its last, a promotion's against each
    /// product that it names. A first price never does.
    fn suspicion(&mut self, now: Moment, row: &Row) -> Option<Suspicion> {
        let (rules, currency) = (self.settings.guard, self.settings.currency);
        match (&row.key, &row.change) {
            (RowKey::Sku(_, sku), Change::Base(product)) => {
                let (from, to) = (self.product(sku)?.price?, product.price?);
                if from == to {
                    return None;
                }
                rules.suspicion(from, to).or_else(|| self.wave.suspicion(now, sku, self.told, rules.wave_percent))
            }
            (RowKey::Promotion(id), Change::Promotion(promotion)) if promotion.is_in_shops() => {
                let before = self.promotion(id).map(|known| known.reduction);
                promotion.skus.iter().find_map(|sku| {
                    let base = self.product(sku)?.price?;
                    let result = promotion.reduction.result(base, currency)?;
                    let is_known = before.is_some_and(|before| before.result(base, currency) == Some(result));
                    if is_known { None } else { rules.suspicion(base, result) }
                })
            }
            _ => None,
        }
    }

    pub(super) fn refusal(&self, row: &Row) -> Option<Refusal> {
        let currency = self.settings.currency;
        let price = match &row.change {
            Change::Base(product) => product.price,
            Change::Promotion(Promotion { reduction: Reduction::Price(price), .. }) => Some(*price),
            _ => None,
        };
        if let Some(price) = price.filter(|price: &Decimal| !currency.can_write(*price)) {
            return Some(Refusal::TooFine { key: row.key.clone(), price, currency });
        }
        let full = |count, noun| Some(Refusal::Full { key: row.key.clone(), count, noun });
        match &row.key {
            RowKey::Sku(_, sku) if self.told >= PRODUCTS_MAX && !self.item(sku).is_some_and(|item| item.is_told()) => {
                full(self.told, "products")
            }
            RowKey::Promotion(id) if !self.promotions.contains_key(id) && self.promotions.len() >= PROMOTIONS_MAX => {
                full(self.promotions.len(), "promotions")
            }
            RowKey::Promotion(id) if self.namings_with(row, id) > NAMINGS_MAX => {
                full(self.namings, "products named by promotions")
            }
            _ => None,
        }
    }

    /// In how many places promotions would name products with this row in place of what it replaces.
    fn namings_with(&self, row: &Row, id: &PromotionId) -> usize {
        let replaced = self.promotion(id).map_or(0, |promotion| promotion.skus.len());
        let named = if let Change::Promotion(promotion) = &row.change { promotion.skus.len() } else { 0 };
        self.namings - replaced + named
    }

    pub(super) fn store(&mut self, now: Moment, row: Row, origin: Origin) {
        if self.approvals.get(&row.key).is_some_and(|held| held.row.revision <= row.revision) {
            self.approvals.release(&row.key);
            self.unsaved.insert(Unsaved::Held(row.key.clone()));
        }
        let Row { key, revision, change } = row;
        let met = origin.met();
        match key {
            RowKey::Sku(facet, sku) => self.store_facet(now, facet, sku, (revision, met), change),
            RowKey::Promotion(id) => {
                let promotion =
                    if let Change::Promotion(promotion) = change { Some(Arc::new(promotion)) } else { None };
                self.replace_promotion(now, id, Told::new(revision, now, met, promotion));
            }
        }
    }

    fn store_facet(&mut self, now: Moment, facet: Facet, sku: Sku, (revision, met): (u64, u32), change: Change) {
        let item = self.items.entry(sku.clone()).or_default();
        self.told += usize::from(!item.is_told());
        match change {
            Change::Base(product) => {
                let before = item.product().and_then(|product| product.price);
                if before.is_some() && before != product.price {
                    self.wave.note(now, &sku, self.settings.guard.wave_percent);
                }
                item.base = Some(Told::new(revision, now, met, Some(product)));
            }
            Change::Stock(stock) => item.stock = Some(Box::new(Told::new(revision, now, met, Some(stock)))),
            Change::Returns(returns) => item.returns = Some(Box::new(Told::new(revision, now, met, Some(returns)))),
            Change::Rating(rating) => item.rating = Some(Box::new(Told::new(revision, now, met, Some(rating)))),
            Change::Assortment(membership) => {
                item.membership = Some(Box::new(Told::new(revision, now, met, Some(membership))));
                // While a snapshot is under way, only its end tells what is not for sale.
                if self.reload.is_none_or(|reload| reload.facet != Facet::Assortment) {
                    self.tell_assortment();
                }
            }
            Change::Deleted => match facet {
                Facet::Base => item.base = Some(Told::new(revision, now, met, None)),
                Facet::Stock => item.stock = Some(Box::new(Told::new(revision, now, met, None))),
                Facet::Returns => item.returns = Some(Box::new(Told::new(revision, now, met, None))),
                Facet::Rating => item.rating = Some(Box::new(Told::new(revision, now, met, None))),
                Facet::Assortment | Facet::Promotion => {}
            },
            Change::Patch(_) | Change::Promotion(_) => {}
        }
        if facet == Facet::Base {
            self.note_price(now, &sku);
        }
        self.unsaved.insert(Unsaved::Item(sku.clone()));
        self.touch(&sku);
    }

    /// From the first word on what the store sells, the rest is not for sale: every product may look different. A
    /// label that shows what no source has told of follows when everything is looked at.
    pub(super) fn tell_assortment(&mut self) {
        if !std::mem::replace(&mut self.assortment_told, true) {
            self.unsaved.insert(Unsaved::Meta);
            self.version += 1;
            for (sku, item) in &mut self.items {
                item.version = self.version;
                self.touched.push(sku.clone());
            }
        }
    }

    /// Stores the record, and what it names follows.
    pub(super) fn replace_promotion(&mut self, now: Moment, id: PromotionId, told: Told<Arc<Promotion>>) {
        let old = self.promotions.get(&id).and_then(|told| told.value.clone());
        if let Some(old) = &old {
            self.boundaries.remove(&(old.start, id.clone()));
            self.boundaries.remove(&(old.end, id.clone()));
            self.namings -= old.skus.len();
        }
        let new = told.value.clone();
        if let Some(new) = &new {
            let ahead = [new.start, new.end].into_iter().filter(|at| *at > self.passed.max(now));
            self.boundaries.extend(ahead.map(|at| (at, id.clone())));
            self.namings += new.skus.len();
        }
        self.promotions.insert(id.clone(), told);
        self.unsaved.insert(Unsaved::Promotion(id.clone()));
        let left = old.iter().flat_map(|old| &old.skus);
        for sku in left.filter(|sku| !new.as_ref().is_some_and(|new| new.skus.contains(*sku))) {
            if let Some(item) = self.items.get_mut(sku) {
                item.set_promotion(&id, None);
            }
            self.follow_price(now, sku);
        }
        for sku in new.iter().flat_map(|new| &new.skus) {
            self.items.entry(sku.clone()).or_default().set_promotion(&id, new.clone());
            self.follow_price(now, sku);
        }
    }

    /// Notes what a product costs now that a promotion changed.
    fn follow_price(&mut self, now: Moment, sku: &Sku) {
        self.note_price(now, sku);
        self.touch(sku);
        if self.items.get(sku).is_some_and(|item| item.is_empty()) {
            self.items.remove(sku);
        }
    }
}
