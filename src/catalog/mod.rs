//! What should be on the shelf edge: a store's products and promotions, and the shelf price that follows.
//!
//! Pure: it is told the instant, and opens no file, socket or clock. It never decides what a label gets, only
//! what a product costs and what a template may show of it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`wire`] | the feed's payloads, into rows and errors |
//! | [`snapshot`] | whole facets as files and over HTTP |
//! | [`product`], [`facets`], [`promotion`] | what the sources say |
//! | [`item`] | all of it together, for one SKU |
//! | `apply` | rows into items: revisions, removals, limits |
//! | `reload` | a snapshot into items: what is absent leaves |
//! | [`guard`], [`approvals`] | changes that look like mistakes, and what people decided |
//! | [`price`] | the shelf price at an instant |
//! | [`history`] | what a product cost before |
//! | [`sequence`] | numbers that are missing in a feed |
//! | `records` | the view's records |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gondola_protocol::Moment;
use jiff::{Timestamp, Zoned};
use rust_decimal::Decimal;

use self::approvals::{Approvals, Held, HeldId};
use self::currency::Currency;
use self::facets::Membership;
use self::guard::{Suspicion, Wave};
use self::history::PricePoint;
use self::item::Item;
use self::price::{Running, ShelfPrice};
use self::product::Product;
use self::promotion::{Promotion, Reduction};
use self::records::Unsaved;
use self::reload::Reload;
use self::settings::Settings;
use self::sku::{PromotionId, Sku};
use self::told::Told;
use self::wire::RowKey;
use crate::journal::entry::Shown;
use crate::sorted::{among, is_side_by_side};
use crate::template::view::{ProductView, PromotionView, RatingView, ReturnsView, StockView, UnitPriceView};

mod apply;
pub mod approvals;
pub mod currency;
pub mod facets;
pub mod guard;
pub mod history;
pub mod item;
pub mod price;
pub mod product;
pub mod promotion;
mod records;
mod reload;
pub mod sequence;
pub mod settings;
pub mod sku;
pub mod snapshot;
pub mod table;
pub(crate) mod text_form;
pub mod told;
pub mod wire;

#[cfg(test)]
mod samples_tests;
#[cfg(test)]
mod tests;

pub use self::reload::SnapshotPart;

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
///
/// What a change does beside itself is collected until it is taken: products that may look different
/// ([`take_touched`](Self::take_touched)), prices for the journal ([`take_points`](Self::take_points)), and
/// records for the view ([`take_records`](Self::take_records)).
#[derive(Debug, Clone)]
pub struct Catalog {
    settings: Settings,
    items: BTreeMap<Sku, Box<Item>>,
    /// Items that a source has told of.
    told: usize,
    promotions: BTreeMap<PromotionId, Told<Arc<Promotion>>>,
    /// Places in which promotions name products.
    namings: usize,
    /// Whether anybody has told what the store sells.
    assortment_told: bool,
    /// Starts and ends of promotions that lie ahead.
    boundaries: BTreeSet<(Moment, PromotionId)>,
    /// Up to here every boundary was passed.
    passed: Moment,
    approvals: Approvals,
    wave: Wave,
    reload: Option<Reload>,
    reload_last: u32,
    /// In any order, and some more than once.
    touched: Vec<Sku>,
    /// Counts changes to items.
    version: u64,
    points: Vec<PricePoint>,
    unsaved: BTreeSet<Unsaved>,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What the row was about.
    pub key: RowKey,
    /// The revision that the row came with.
    pub revision: u64,
    /// What became of it.
    pub status: Status,
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
    /// It waits for a person; what was stored stays.
    Held(Suspicion),
    /// A person has said that it is a mistake; what was stored stays.
    Rejected,
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
    /// A change to some fields of a product that is not there.
    #[error("{key}: no source has told of it, so that there is nothing to change; send the whole product")]
    Unknown {
        /// Which product.
        key: RowKey,
    },
}

impl Catalog {
    /// A catalog of nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            items: BTreeMap::new(),
            told: 0,
            promotions: BTreeMap::new(),
            namings: 0,
            assortment_told: false,
            boundaries: BTreeSet::new(),
            passed: Moment::ZERO,
            approvals: Approvals::default(),
            wave: Wave::default(),
            reload: None,
            reload_last: 0,
            touched: Vec::new(),
            version: 0,
            points: Vec::new(),
            unsaved: BTreeSet::new(),
        }
    }

    /// The store's settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Everything that is known of a SKU.
    #[must_use]
    pub fn item(&self, sku: &Sku) -> Option<&Item> {
        self.items.get(sku).map(Box::as_ref)
    }

    /// Every SKU of which anything is known, from `after` on, in order.
    pub fn items_after(&self, after: Option<&Sku>) -> impl Iterator<Item = (&Sku, &Item)> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.items.range::<Sku, _>((from, std::ops::Bound::Unbounded)).map(|(sku, item)| (sku, item.as_ref()))
    }

    /// The product's base facet; none while the product centre has not told of it.
    #[must_use]
    pub fn product(&self, sku: &Sku) -> Option<&Product> {
        self.item(sku)?.product()
    }

    /// Every known product, by SKU.
    pub fn products(&self) -> impl Iterator<Item = &Product> {
        self.items.values().filter_map(|item| item.product())
    }

    /// A promotion.
    #[must_use]
    pub fn promotion(&self, id: &PromotionId) -> Option<&Promotion> {
        self.promotions.get(id)?.value.as_deref()
    }

    /// Every promotion, running or not, by id.
    pub fn promotions(&self) -> impl Iterator<Item = &Promotion> {
        self.promotions.values().filter_map(|told| told.value.as_deref())
    }

    /// Whether the store sells it: everything, until somebody has told what.
    #[must_use]
    pub fn is_in_assortment(&self, sku: &Sku) -> bool {
        let membership = || self.item(sku)?.membership.as_ref()?.value;
        !self.assortment_told || membership() == Some(Membership::In)
    }

    /// The changes that wait for a person, oldest first.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.approvals.held()
    }

    /// A change that waits for a person.
    #[must_use]
    pub fn held_by_id(&self, id: HeldId) -> Option<&Held> {
        self.approvals.by_id(id)
    }

    /// The change to this row that waits for a person.
    #[must_use]
    pub fn held_for(&self, key: &RowKey) -> Option<&Held> {
        self.approvals.get(key)
    }

    /// Whether a change of that name has ever waited.
    #[must_use]
    pub fn was_held(&self, id: HeldId) -> bool {
        self.approvals.was_given(id)
    }

    /// The price that a label shows for this product at this instant.
    #[must_use]
    pub fn shelf_price(&self, sku: &Sku, at: Moment) -> ShelfPrice<'_> {
        static NOTHING: std::sync::LazyLock<Item> = std::sync::LazyLock::new(Item::default);
        self.shelf_price_of(self.item(sku).unwrap_or(&NOTHING), at)
    }

    /// The price that a label shows for this item of the catalog at this instant.
    #[must_use]
    pub fn shelf_price_of<'a>(&self, item: &'a Item, at: Moment) -> ShelfPrice<'a> {
        price::shelf_price(item.basis(self.passed), at, &self.settings)
    }

    /// When the next promotion starts or ends.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.boundaries.first().map(|(at, _)| *at)
    }

    /// Passes every boundary up to `now`. Called before anything else is done at a later instant, so that each
    /// price is noted from the boundary on. A clock that went back passes the boundaries in between anew.
    pub fn handle_timeout(&mut self, now: Moment) {
        if now < self.passed {
            self.resume(now);
            let named = self.promotions.values().filter_map(|told| told.value.as_ref());
            self.touched.extend(named.flat_map(|promotion| promotion.skus.iter().cloned()));
        }
        while let Some((at, _)) = self.boundaries.first()
            && *at <= now
        {
            let Some((at, id)) = self.boundaries.pop_first() else { break };
            let Some(promotion) = self.promotions.get(&id).and_then(|told| told.value.clone()) else { continue };
            self.note_prices(at, &promotion.skus);
            self.touched.extend(promotion.skus.iter().cloned());
        }
        self.passed = now;
    }

    /// Goes on from an instant at which an earlier run had noted every price.
    pub fn resume(&mut self, noted_until: Moment) {
        let promotions = self.promotions.values().filter_map(|told| told.value.as_deref());
        let ahead = promotions
            .flat_map(|promotion| [promotion.start, promotion.end].map(|at| (at, promotion.id.clone())))
            .filter(|(at, _)| *at > noted_until);
        self.boundaries = ahead.collect();
        self.passed = noted_until;
    }

    /// What was read one after the other lies as close together as it can from now on.
    pub fn close_ranks(&mut self) {
        self.items = std::mem::take(&mut self.items).into_iter().collect();
    }

    /// Notes what every product costs now: at a start, where something may have changed that no record tells of.
    pub fn note_all(&mut self, now: Moment) {
        let priced = self.items.iter().filter(|(_, item)| item.base.is_some() || item.history.last_from().is_some());
        let priced: Vec<Sku> = priced.map(|(sku, _)| sku.clone()).collect();
        for sku in priced {
            self.note_price(now, &sku);
        }
    }

    /// Takes back a price that the journal holds.
    pub fn restore_price(&mut self, point: PricePoint) {
        self.items.entry(point.sku.clone()).or_default().history.restore(point);
    }

    /// Counts changes to products and promotions, so that one who has looked can know whether it is worth looking again.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Whether a product has not changed since the catalog had that version. What nobody has told of counts as changed.
    #[must_use]
    pub fn is_unchanged_since(&self, version: u64, sku: &Sku) -> bool {
        self.item(sku).is_some_and(|item| item.version <= version)
    }

    /// A product has changed.
    fn touch(&mut self, sku: &Sku) {
        self.version += 1;
        if let Some(item) = self.items.get_mut(sku) {
            item.version = self.version;
        }
        self.touched.push(sku.clone());
    }

    /// The products that may look different, or cost something else, since the last call: in order, each once.
    pub fn take_touched(&mut self) -> Vec<Sku> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// The prices that changed since the last call, for the journal.
    pub fn take_points(&mut self) -> Vec<PricePoint> {
        std::mem::take(&mut self.points)
    }

    /// Notes what a product costs from `at` on, if that is news.
    fn note_price(&mut self, at: Moment, sku: &Sku) {
        if let Some(item) = self.items.get_mut(sku) {
            self.points.extend(item.note_price(sku, at, self.settings.currency));
        }
    }

    /// The same for many products, which are as a rule most of them.
    fn note_prices(&mut self, at: Moment, skus: &BTreeSet<Sku>) {
        self.points.reserve(skus.len());
        if !is_side_by_side(skus.len(), self.items.len()) {
            return skus.iter().for_each(|sku| self.note_price(at, sku));
        }
        for (sku, item) in among(self.items.iter_mut(), skus.iter()) {
            self.points.extend(item.note_price(sku, at, self.settings.currency));
        }
    }

    /// What a template can see of this product at this instant.
    #[must_use]
    pub fn view(&self, sku: &Sku, at: Moment) -> ProductView {
        let currency = self.settings.currency;
        let shelf = self.shelf_price(sku, at);
        let item = self.item(sku);
        let priced = ProductView {
            sku: sku.to_string(),
            currency: currency.to_string(),
            price: shelf.price.map(|price| currency.format(price)),
            was: shelf.was.map(|was| currency.format(was)),
            member_price: shelf.member.map(|(price, _)| currency.format(price)),
            unit_price: shelf.unit_price.map(|unit_price| UnitPriceView {
                amount: currency.format(unit_price.amount),
                per: unit_price.per.to_string(),
            }),
            promotion: shelf.promotion().map(|promotion| self.promotion_view(promotion)),
            member_promotion: shelf.member.map(|(_, promotion)| self.promotion_view(promotion)),
            in_assortment: self.is_in_assortment(sku),
            stock: item.and_then(stock_view),
            returns: item.and_then(returns_view),
            rating: item.and_then(rating_view),
            ..ProductView::default()
        };
        let Some(product) = item.and_then(Item::product).cloned() else { return priced };
        ProductView {
            known: true,
            name: product.name.map(Into::into),
            brand: product.brand.map(Into::into),
            spec: product.spec.map(Into::into),
            origin: product.origin.map(Into::into),
            grade: product.grade.map(Into::into),
            unit: product.unit.map(Into::into),
            barcode: product.barcode.map(Into::into),
            category: product.category.map(Into::into),
            attributes: product.attributes.map(|all| product::texts(*all)).unwrap_or_default(),
            ..priced
        }
    }

    /// What the journal keeps of a picture with this product at this instant.
    #[must_use]
    pub fn shown(&self, sku: &Sku, at: Moment) -> Shown {
        let item = self.item(sku);
        let running = self.running(item, at);
        Shown {
            sku: sku.clone(),
            revision: item.and_then(Item::revision),
            promotion_id: running.promotion().map(|promotion| promotion.id.clone()),
            promotion_revision: running.promotion().map(|promotion| promotion.revision),
            price: running.price().map(|price| self.settings.currency.format(price).into()),
        }
    }

    /// The next instant at which this product's view can change while the sources stay silent.
    #[must_use]
    pub fn next_change(&self, sku: &Sku, at: Moment) -> Option<Moment> {
        self.running(self.item(sku), at).next_change()
    }

    fn running<'a>(&self, item: Option<&'a Item>, at: Moment) -> Running<'a> {
        let promotions = item.map_or(&[][..], Item::promotions);
        price::running(item.and_then(Item::product), promotions, at, self.settings.currency)
    }

    fn promotion_view(&self, promotion: &Promotion) -> PromotionView {
        let start = self.local(promotion.start);
        let end = self.local(promotion.end);
        let last = self.local(promotion.end - Duration::from_micros(1));
        let percent = if let Reduction::Percent(percent) = promotion.reduction { Some(percent) } else { None };
        PromotionView {
            id: promotion.id.to_string(),
            kind: promotion.kind.to_string(),
            text: promotion.text.clone().map(Into::into),
            percent: percent.map(|percent| percent.normalize().to_string()),
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

fn stock_view(item: &Item) -> Option<StockView> {
    let (_, stock) = item.stock()?;
    Some(StockView {
        quantity: stock.quantity,
        reorder_level: stock.reorder_level,
        sold_per_day: stock.sold_per_day.map(|sold| sold.to_string()),
    })
}

fn returns_view(item: &Item) -> Option<ReturnsView> {
    let (_, returns) = item.returns()?;
    Some(ReturnsView { y_code: returns.y_code.to_string(), grade: returns.grade.clone().map(Into::into) })
}

fn rating_view(item: &Item) -> Option<RatingView> {
    let (_, rating) = item.rating()?;
    Some(RatingView {
        score: rating.score.map(|score| score.to_string()),
        count: rating.count,
        class: rating.class.clone().map(Into::into),
    })
}
