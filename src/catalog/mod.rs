//! What should be on the shelf edge: a store's products and promotions, and the shelf price that follows.
//!
//! Pure: it is told the instant, and opens no file, socket or clock. It never decides what a label gets, only
//! what a product costs and what a template may show of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gondola_protocol::Moment;
use jiff::{Timestamp, Zoned};
use rust_decimal::Decimal;

use self::currency::Currency;
use self::price::ShelfPrice;
use self::product::Product;
use self::promotion::Promotion;
use self::settings::Settings;
use self::sku::{PromotionId, Sku};
use self::stored::{RestoreError, Stored, Tombstone};
use self::wire::{Row, RowKey};
use crate::journal::entry::Shown;
use crate::template::view::{ProductView, PromotionView, UnitPriceView};

pub mod currency;
pub mod price;
pub mod product;
pub mod promotion;
pub mod settings;
pub mod sku;
pub mod snapshot;
pub mod stored;
pub mod table;
mod text_form;
pub mod wire;

#[cfg(test)]
mod samples_tests;
#[cfg(test)]
mod tests;

/// How long a deletion keeps its revision: longer than any broker or ERP queue holds a message back.
pub const TOMBSTONE_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Most products of one store, deleted ones included: twice what the largest hypermarkets carry.
pub const PRODUCTS_MAX: usize = 250_000;

/// Most promotions of one store, deleted ones included: as many as half of all products having one of their own.
pub const PROMOTIONS_MAX: usize = 125_000;

/// Most places in which promotions name products, all promotions of a store together: eight for every product.
/// Without it, the most promotions of the most products would be six thousand million.
pub const NAMINGS_MAX: usize = 2_000_000;

/// One store's products and promotions.
#[derive(Debug, Clone)]
pub struct Catalog {
    settings: Settings,
    products: BTreeMap<Sku, Stored<Sku, Product>>,
    promotions: BTreeMap<PromotionId, Stored<PromotionId, Promotion>>,
    /// Which promotions name a SKU, whether the product is known or not.
    naming: BTreeMap<Sku, BTreeSet<PromotionId>>,
    /// Entries of all sets in `naming`.
    namings: usize,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What the row was about; its record in the view is to be written when the status is `Applied`.
    pub key: RowKey,
    /// What became of it.
    pub status: Status,
    /// Products whose shelf price or view can be another now; a label that shows none of them need not be looked at.
    pub touched: BTreeSet<Sku>,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It is stored.
    Applied,
    /// Its revision is the stored one: a repeat.
    Unchanged,
    /// Its revision is below the stored one: late, or a source that went back.
    Regressed {
        /// The revision that is stored.
        stored: u64,
    },
    /// This store cannot hold it; what was stored stays.
    Refused(Refusal),
}

/// Why a store cannot hold a row that is valid in itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An amount that could not be shown as it is.
    #[error("{key}: `price` is {price}; expected at most {} decimals, as {currency} has", currency.minor_digits())]
    TooFine {
        /// Whose price.
        key: RowKey,
        /// As it was sent.
        price: Decimal,
        /// The store's.
        currency: Currency,
    },
    /// The store is full.
    #[error("{key}: the store already holds {count} {noun}, the most that it can; delete some at the source")]
    Full {
        /// What did not fit.
        key: RowKey,
        /// How many there are.
        count: usize,
        /// Of what.
        noun: &'static str,
    },
}

impl Catalog {
    /// A catalog of nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, products: BTreeMap::new(), promotions: BTreeMap::new(), naming: BTreeMap::new(), namings: 0 }
    }

    /// The store's settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Applies one row, unless what is stored is as new or newer.
    pub fn apply(&mut self, now: Moment, row: Row) -> Applied {
        let key = row.key();
        let status = self.judge(now, &row);
        let touched = match status {
            Status::Applied => self.store(now, row),
            _ => BTreeSet::new(),
        };
        Applied { key, status, touched }
    }

    /// The product's base facet; none while the product centre has not told of it.
    #[must_use]
    pub fn product(&self, sku: &Sku) -> Option<&Product> {
        self.products.get(sku)?.present()
    }

    /// Every known product, by SKU.
    pub fn products(&self) -> impl Iterator<Item = &Product> {
        self.products.values().filter_map(Stored::present)
    }

    /// A promotion.
    #[must_use]
    pub fn promotion(&self, id: &PromotionId) -> Option<&Promotion> {
        self.promotions.get(id)?.present()
    }

    /// Every promotion, running or not, by id.
    pub fn promotions(&self) -> impl Iterator<Item = &Promotion> {
        self.promotions.values().filter_map(Stored::present)
    }

    /// The price that a label shows for this product at this instant.
    #[must_use]
    pub fn shelf_price(&self, sku: &Sku, at: Moment) -> ShelfPrice<'_> {
        let promotions = self.naming.get(sku).into_iter().flatten().filter_map(|id| self.promotion(id));
        price::shelf_price(self.product(sku), promotions, at, self.settings.currency, self.settings.market)
    }

    /// What a template can see of this product at this instant.
    #[must_use]
    pub fn view(&self, sku: &Sku, at: Moment) -> ProductView {
        let currency = self.settings.currency;
        let shelf = self.shelf_price(sku, at);
        let priced = ProductView {
            sku: sku.to_string(),
            currency: currency.to_string(),
            price: shelf.price.map(|price| currency.format(price)),
            was: shelf.was.map(|was| currency.format(was)),
            unit_price: shelf.unit_price.map(|unit_price| UnitPriceView {
                amount: currency.format(unit_price.amount),
                per: unit_price.per.to_string(),
            }),
            promotion: shelf.promotion().map(|promotion| self.promotion_view(promotion)),
            in_assortment: true,
            ..ProductView::default()
        };
        let Some(product) = self.product(sku).cloned() else { return priced };
        ProductView {
            known: true,
            name: product.name,
            brand: product.brand,
            spec: product.spec,
            origin: product.origin,
            grade: product.grade,
            unit: product.unit,
            barcode: product.barcode,
            category: product.category,
            attributes: product.attributes,
            ..priced
        }
    }

    /// What the journal keeps of a picture with this product at this instant.
    #[must_use]
    pub fn shown(&self, sku: &Sku, at: Moment) -> Shown {
        let shelf = self.shelf_price(sku, at);
        Shown {
            sku: sku.clone(),
            revision: shelf.base_revision,
            promotion_id: shelf.price_promotion.map(|promotion| promotion.id.clone()),
            promotion_revision: shelf.price_promotion.map(|promotion| promotion.revision),
            price: shelf.price.map(|price| self.settings.currency.format(price)),
        }
    }

    /// The view's record of a product, its deletion included; none when there is nothing to keep.
    #[must_use]
    pub fn stored_product(&self, sku: &Sku) -> Option<Vec<u8>> {
        self.products.get(sku).map(Stored::to_bytes)
    }

    /// The view's record of a promotion, its deletion included; none when there is nothing to keep.
    #[must_use]
    pub fn stored_promotion(&self, id: &PromotionId) -> Option<Vec<u8>> {
        self.promotions.get(id).map(Stored::to_bytes)
    }

    /// Takes back a record that [`Catalog::stored_product`] gave, in place of what is there.
    pub fn restore_product(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let record = Stored::<Sku, Product>::from_bytes("product", bytes)?;
        let sku = match &record {
            Stored::Present(product) => product.sku.clone(),
            Stored::Deleted(tombstone) => tombstone.key.clone(),
        };
        self.products.insert(sku, record);
        Ok(())
    }

    /// Takes back a record that [`Catalog::stored_promotion`] gave, in place of what is there.
    pub fn restore_promotion(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let record = Stored::<PromotionId, Promotion>::from_bytes("promotion", bytes)?;
        let id = match &record {
            Stored::Present(promotion) => promotion.id.clone(),
            Stored::Deleted(tombstone) => tombstone.key.clone(),
        };
        self.replace_promotion(id, record);
        Ok(())
    }

    /// Forgets deletions older than [`TOMBSTONE_KEPT`]; their records in the view are to be removed.
    ///
    /// It looks at everything, so once an hour is often enough: an old deletion decides nothing even before.
    pub fn forget_deletions(&mut self, now: Moment) -> Vec<RowKey> {
        let products = self.products.extract_if(.., |_, stored| is_forgotten(stored, now));
        let mut forgotten: Vec<RowKey> = products.map(|(sku, _)| RowKey::Product(sku)).collect();
        let promotions = self.promotions.extract_if(.., |_, stored| is_forgotten(stored, now));
        forgotten.extend(promotions.map(|(id, _)| RowKey::Promotion(id)));
        forgotten
    }

    fn judge(&self, now: Moment, row: &Row) -> Status {
        let stored = match row.key() {
            RowKey::Product(sku) => self.products.get(&sku).and_then(|it| revision(it, |it| it.revision, now)),
            RowKey::Promotion(id) => self.promotions.get(&id).and_then(|it| revision(it, |it| it.revision, now)),
        };
        match stored {
            Some(stored) if row.revision() == stored => Status::Unchanged,
            Some(stored) if row.revision() < stored => Status::Regressed { stored },
            _ => self.refusal(row).map_or(Status::Applied, Status::Refused),
        }
    }

    fn refusal(&self, row: &Row) -> Option<Refusal> {
        let currency = self.settings.currency;
        let price = match row {
            Row::Product(product) => product.price,
            Row::Promotion(promotion) => Some(promotion.price),
            Row::ProductDeleted { .. } | Row::PromotionDeleted { .. } => None,
        };
        if let Some(price) = price.filter(|price| !currency.can_write(*price)) {
            return Some(Refusal::TooFine { key: row.key(), price, currency });
        }
        let full = |count, noun| Some(Refusal::Full { key: row.key(), count, noun });
        match row.key() {
            RowKey::Product(sku) if !self.products.contains_key(&sku) && self.products.len() >= PRODUCTS_MAX => {
                full(self.products.len(), "products")
            }
            RowKey::Promotion(id) if !self.promotions.contains_key(&id) && self.promotions.len() >= PROMOTIONS_MAX => {
                full(self.promotions.len(), "promotions")
            }
            RowKey::Promotion(id) if self.namings_with(row, &id) > NAMINGS_MAX => {
                full(self.namings, "products named by promotions")
            }
            _ => None,
        }
    }

    /// How many entries `naming` would have with this row in place of what it replaces.
    fn namings_with(&self, row: &Row, id: &PromotionId) -> usize {
        let replaced = self.promotion(id).map_or(0, |promotion| promotion.skus.len());
        let named = if let Row::Promotion(promotion) = row { promotion.skus.len() } else { 0 };
        self.namings - replaced + named
    }

    fn store(&mut self, now: Moment, row: Row) -> BTreeSet<Sku> {
        match row {
            Row::Product(product) => self.replace_product(product.sku.clone(), Stored::Present(product)),
            Row::ProductDeleted { sku, revision } => {
                let tombstone = Tombstone { key: sku.clone(), revision, at: now };
                self.replace_product(sku, Stored::Deleted(tombstone))
            }
            Row::Promotion(promotion) => self.replace_promotion(promotion.id.clone(), Stored::Present(promotion)),
            Row::PromotionDeleted { id, revision } => {
                let tombstone = Tombstone { key: id.clone(), revision, at: now };
                self.replace_promotion(id, Stored::Deleted(tombstone))
            }
        }
    }

    fn replace_product(&mut self, sku: Sku, record: Stored<Sku, Product>) -> BTreeSet<Sku> {
        self.products.insert(sku.clone(), record);
        BTreeSet::from([sku])
    }

    /// Stores the record and keeps the index; gives the SKUs that the old one or the new one names.
    fn replace_promotion(&mut self, id: PromotionId, record: Stored<PromotionId, Promotion>) -> BTreeSet<Sku> {
        let mut touched = BTreeSet::new();
        if let Some(Stored::Present(old)) = self.promotions.remove(&id) {
            for sku in &old.skus {
                self.unname(sku, &id);
            }
            touched = old.skus;
        }
        if let Some(new) = record.present() {
            for sku in &new.skus {
                self.naming.entry(sku.clone()).or_default().insert(id.clone());
            }
            self.namings += new.skus.len();
            touched.extend(new.skus.iter().cloned());
        }
        self.promotions.insert(id, record);
        touched
    }

    fn unname(&mut self, sku: &Sku, id: &PromotionId) {
        let ids = self.naming.get_mut(sku).expect("every SKU that a stored promotion names is in the index");
        ids.remove(id);
        self.namings -= 1;
        if ids.is_empty() {
            self.naming.remove(sku);
        }
    }

    fn promotion_view(&self, promotion: &Promotion) -> PromotionView {
        let start = self.local(promotion.start);
        let end = self.local(promotion.end);
        let last = self.local(promotion.end - Duration::from_micros(1));
        PromotionView {
            id: promotion.id.to_string(),
            kind: promotion.kind.to_string(),
            text: promotion.text.clone(),
            percent: None,
            start_date: start.date().to_string(),
            start_time: start.strftime("%H:%M").to_string(),
            end_date: last.date().to_string(),
            end_time: if last.date() < end.date() { "24:00".to_owned() } else { end.strftime("%H:%M").to_string() },
        }
    }

    /// Date and time in the store's zone; a moment past the calendar's end is its last.
    fn local(&self, moment: Moment) -> Zoned {
        let micros = i64::try_from(moment.as_micros()).unwrap_or(i64::MAX);
        let timestamp = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX);
        timestamp.to_zoned(self.settings.time_zone.clone())
    }
}

/// The revision that a new row must exceed; none where nothing, or only an old deletion, is stored.
fn revision<K, T>(stored: &Stored<K, T>, of: impl FnOnce(&T) -> u64, now: Moment) -> Option<u64> {
    match stored {
        Stored::Present(value) => Some(of(value)),
        Stored::Deleted(tombstone) => (!is_forgotten(stored, now)).then_some(tombstone.revision),
    }
}

fn is_forgotten<K, T>(stored: &Stored<K, T>, now: Moment) -> bool {
    matches!(stored, Stored::Deleted(tombstone) if now.since(tombstone.at) > TOMBSTONE_KEPT)
}
