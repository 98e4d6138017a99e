//! Which prices the whole shelf has proven: what lets a till raise a price only after the shelf shows it.
//!
//! Derived from what labels have proven, never stored, and never more than was proven.

use gondola_protocol::Moment;
use smol_str::SmolStr;

use crate::catalog::Catalog;
use crate::catalog::sku::{PromotionId, Sku};
use crate::fleet::Fleet;
use crate::fleet::health::Health;
use crate::fleet::label::{Content, Label};

/// How far the shelf has come with a product's price.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Confirmation {
    /// The product.
    pub sku: Sku,
    /// Revision of its base facet; none while the product is unknown.
    pub revision: Option<u64>,
    /// The promotion that made the price.
    pub promotion_id: Option<PromotionId>,
    /// Its revision.
    pub promotion_revision: Option<u64>,
    /// The price that the shelf should show, with the currency's minor digits.
    pub price: Option<SmolStr>,
    /// Labels that show the product.
    pub labels: usize,
    /// Those that have proven to show this price.
    pub confirmed: usize,
    /// Those that have not, and were not heard of lately.
    pub unreachable: usize,
    /// Since when all of them have; none as long as one has not.
    pub at: Option<Moment>,
}

impl Confirmation {
    /// How far the shelf is at `now`; none for a product that no label shows.
    #[must_use]
    pub fn of(catalog: &Catalog, fleet: &Fleet, sku: &Sku, now: Moment) -> Option<Self> {
        let shown = catalog.shown(sku, now);
        let mut confirmation = Self {
            sku: shown.sku,
            revision: shown.revision,
            promotion_id: shown.promotion_id,
            promotion_revision: shown.promotion_revision,
            price: shown.price,
            labels: 0,
            confirmed: 0,
            unreachable: 0,
            at: None,
        };
        let mut newest = Moment::ZERO;
        for label in fleet.labels_of(sku).filter_map(|id| fleet.label(id)) {
            confirmation.labels += 1;
            match proven_since(label, sku, confirmation.price.as_deref(), now) {
                Some(since) => {
                    confirmation.confirmed += 1;
                    newest = newest.max(since);
                }
                None if Health::of(label, now) == Health::Offline => confirmation.unreachable += 1,
                None => {}
            }
        }
        confirmation.at = (confirmation.confirmed == confirmation.labels).then_some(newest);
        (confirmation.labels > 0).then_some(confirmation)
    }
}

/// Since when a label has proven to show this price. A picture that it may hold beside the proven one must show
/// it as well: nobody knows which of the two is on the glass. Nor does anybody know what a label shows now that has
/// not been heard since the controller started: something may have been on its way to it before.
fn proven_since(label: &Label, sku: &Sku, price: Option<&str>, now: Moment) -> Option<Moment> {
    if label.last_check_in.is_none() || label.may_have_switched(now) {
        return None;
    }
    let desired = label.desired.as_ref().map(|desired| &desired.content);
    let shows = |content: &Content| {
        // What the same picture says today is told by the desired one.
        let content = desired.filter(|desired| desired.key == content.key).unwrap_or(content);
        content.shown.iter().any(|shown| shown.sku == *sku && shown.price.as_deref() == price)
    };
    let reported = label.reported.as_ref()?;
    let is_proven = reported.content.as_ref().is_some_and(shows);
    (is_proven && label.possible()?.all(shows)).then_some(reported.since)
}
