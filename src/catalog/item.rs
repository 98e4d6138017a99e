//! Everything that is known of one SKU: the facets of its sources, the promotions that name it, and what it cost.

use std::sync::Arc;

use gondola_protocol::Moment;
use serde::{Deserialize, Serialize};

use super::currency::Currency;
use super::facets::{Membership, Rating, Returns, Stock};
use super::history::{History, PricePoint};
use super::price::{self, Basis};
use super::product::Product;
use super::promotion::Promotion;
use super::sku::{PromotionId, Sku};
use super::told::{Mark, Standing, Told};
use super::wire::Facet;

/// One SKU. Its serde form is the view's record: promotions have records of their own, and what it cost is in the
/// journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) base: Option<Told<Product>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stock: Option<Box<Told<Stock>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) returns: Option<Box<Told<Returns>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rating: Option<Box<Told<Rating>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) membership: Option<Box<Told<Membership>>>,
    #[serde(skip)]
    pub(super) promotions: Vec<Arc<Promotion>>,
    #[serde(skip)]
    pub(super) history: History,
    /// The catalog's version that came with the last change to any of the above.
    #[serde(skip)]
    pub(super) version: u64,
}

/// A chain has millions, each on its own; the allocator's next sizes are 448 and 512.
const _: () = assert!(size_of::<Item>() <= 384);

impl Item {
    /// The base facet; none while the product centre has not told of it.
    #[must_use]
    pub fn product(&self) -> Option<&Product> {
        self.base.as_ref()?.value.as_ref()
    }

    /// The base facet's revision, if there is one.
    #[must_use]
    pub fn revision(&self) -> Option<u64> {
        self.base.as_ref().filter(|told| told.value.is_some()).map(|told| told.mark.revision)
    }

    /// The stock system's word with its revision.
    #[must_use]
    pub fn stock(&self) -> Option<(u64, &Stock)> {
        present(self.stock.as_deref())
    }

    /// The returns system's word with its revision.
    #[must_use]
    pub fn returns(&self) -> Option<(u64, &Returns)> {
        present(self.returns.as_deref())
    }

    /// The data warehouse's word with its revision.
    #[must_use]
    pub fn rating(&self) -> Option<(u64, &Rating)> {
        present(self.rating.as_deref())
    }

    /// The promotions that name it, by id.
    #[must_use]
    pub fn promotions(&self) -> &[Arc<Promotion>] {
        &self.promotions
    }

    /// Notes what it costs from `at` on. Answers that, if it is news.
    pub(super) fn note_price(&mut self, sku: &Sku, at: Moment, currency: Currency) -> Option<PricePoint> {
        let product = self.base.as_ref().and_then(|told| told.value.as_ref());
        let running = price::running(product, &self.promotions, at, currency);
        let (price, promotion) = (running.price(), running.promotion().map(|promotion| &promotion.id));
        let is_news = self.history.note(at, price, promotion);
        is_news.then(|| PricePoint { sku: sku.clone(), from: at, price, promotion_id: promotion.cloned() })
    }

    /// What decides its price; its history is complete up to `noted_until`.
    pub(super) fn basis(&self, noted_until: Moment) -> Basis<'_> {
        Basis {
            product: self.product(),
            revision: self.revision(),
            promotions: &self.promotions,
            history: &self.history,
            noted_until,
        }
    }

    /// Whether a source has told of it, removals included.
    #[must_use]
    pub fn is_told(&self) -> bool {
        Facet::OF_ITEMS.iter().any(|facet| self.standing(*facet).is_some())
    }

    /// Whether nothing is known of it at all.
    pub(super) fn is_empty(&self) -> bool {
        !self.is_told() && self.promotions.is_empty() && self.history.last_from().is_none()
    }

    pub(super) fn standing(&self, facet: Facet) -> Option<Standing> {
        match facet {
            Facet::Base => self.base.as_ref().map(Standing::from),
            Facet::Stock => self.stock.as_deref().map(Standing::from),
            Facet::Returns => self.returns.as_deref().map(Standing::from),
            Facet::Rating => self.rating.as_deref().map(Standing::from),
            Facet::Assortment => self.membership.as_deref().map(Standing::from),
            Facet::Promotion => None,
        }
    }

    pub(super) fn mark_mut(&mut self, facet: Facet) -> Option<&mut Mark> {
        match facet {
            Facet::Base => self.base.as_mut().map(|told| &mut told.mark),
            Facet::Stock => self.stock.as_mut().map(|told| &mut told.mark),
            Facet::Returns => self.returns.as_mut().map(|told| &mut told.mark),
            Facet::Rating => self.rating.as_mut().map(|told| &mut told.mark),
            Facet::Assortment => self.membership.as_mut().map(|told| &mut told.mark),
            Facet::Promotion => None,
        }
    }

    /// Takes a facet away, leaving its mark as of `now`. A product that leaves the assortment is out of it.
    pub(super) fn remove(&mut self, facet: Facet, now: Moment) {
        match facet {
            Facet::Base => self.base.iter_mut().for_each(|told| told.value = None),
            Facet::Stock => self.stock.iter_mut().for_each(|told| told.value = None),
            Facet::Returns => self.returns.iter_mut().for_each(|told| told.value = None),
            Facet::Rating => self.rating.iter_mut().for_each(|told| told.value = None),
            Facet::Assortment => self.membership.iter_mut().for_each(|told| told.value = Some(Membership::Out)),
            Facet::Promotion => {}
        }
        if let Some(mark) = self.mark_mut(facet) {
            mark.at = now;
        }
    }

    /// Forgets removals that decide nothing any more. Answers whether there were any.
    pub(super) fn forget(&mut self, now: Moment) -> bool {
        let Self { base, stock, returns, rating, .. } = self;
        // Each is asked, whatever the others answer.
        [
            base.take_if(|told| told.is_forgotten(now)).is_some(),
            stock.take_if(|told| told.is_forgotten(now)).is_some(),
            returns.take_if(|told| told.is_forgotten(now)).is_some(),
            rating.take_if(|told| told.is_forgotten(now)).is_some(),
        ]
        .contains(&true)
    }

    /// Puts a promotion in its place by id, or takes it away.
    pub(super) fn set_promotion(&mut self, id: &PromotionId, promotion: Option<Arc<Promotion>>) {
        match (self.promotions.binary_search_by(|known| known.id.cmp(id)), promotion) {
            (Ok(index), Some(promotion)) => self.promotions[index] = promotion,
            (Ok(index), None) => {
                self.promotions.remove(index);
            }
            (Err(index), Some(promotion)) => self.promotions.insert(index, promotion),
            (Err(_), None) => {}
        }
    }
}

fn present<T>(told: Option<&Told<T>>) -> Option<(u64, &T)> {
    let told = told?;
    Some((told.mark.revision, told.value.as_ref()?))
}
