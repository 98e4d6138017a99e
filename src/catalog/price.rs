//! The shelf price at an instant: one pure function of product, promotions, history, settings and instant.
//!
//! It reads no clock and invents nothing: where a market's law asks for the lowest price of past days and the
//! history does not reach as far, there is no struck-through price.

use std::sync::Arc;

use gondola_protocol::Moment;
use rust_decimal::Decimal;

use super::currency::Currency;
use super::history::{History, Lowest, Point};
use super::product::{Content, Measure, Product};
use super::promotion::{Audience, Promotion};
use super::settings::{Market, Settings};

#[cfg(test)]
mod tests;

/// Everything that decides a product's price.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// Its base facet; none while the product centre has not told of it.
    pub product: Option<&'a Product>,
    /// That facet's revision.
    pub revision: Option<u64>,
    /// The promotions that name it, in any order. Which of them hold, and where, is decided here.
    pub promotions: &'a [Arc<Promotion>],
    /// What it cost before.
    pub history: &'a History,
    /// Up to this instant every boundary of a promotion is in the history.
    pub noted_until: Moment,
}

/// The price that a label shows at an instant, with what must stand beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShelfPrice<'a> {
    /// The price for everyone; none without a base price.
    pub price: Option<Decimal>,
    /// Revision of the base facet; none while the product is unknown.
    pub base_revision: Option<u64>,
    /// The promotion that made `price`.
    pub price_promotion: Option<&'a Promotion>,
    /// The promotion that brings only its text; looked for only where none made `price`.
    pub text_promotion: Option<&'a Promotion>,
    /// What members pay, with the promotion that made it; only where it is below `price`.
    pub member: Option<(Decimal, &'a Promotion)>,
    /// The struck-through price.
    pub was: Option<Decimal>,
    /// Price per unit of measure, from the product's content.
    pub unit_price: Option<UnitPrice>,
    /// The lowest prices before the running reduction, or up to the instant if none runs.
    pub lowest: Lowest,
    /// The next instant at which any of the above can change while product and promotions stay as they are.
    /// Without a running reduction `lowest` moves with time, and does not count: nothing is struck through then.
    pub next_change: Option<Moment>,
}

impl<'a> ShelfPrice<'a> {
    /// The promotion that a label tells of: the one that made the price, or one that brings only its text.
    #[must_use]
    pub fn promotion(&self) -> Option<&'a Promotion> {
        self.price_promotion.or(self.text_promotion)
    }
}

/// A price per unit of measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitPrice {
    /// Rounded half up to the currency's minor unit.
    pub amount: Decimal,
    /// The unit of measure.
    pub per: Measure,
}

/// What the shelf price at `at` is.
///
/// A promotion lowers the price when its result is below the base price, else it counts as text only. Of those
/// for everyone that hold and lower it, the highest priority wins, then the lowest result, then the smallest id;
/// likewise of those for members. Without a base price there is no shelf price, and so nothing that could change
/// at an instant.
#[must_use]
pub fn shelf_price<'a>(basis: Basis<'a>, at: Moment, settings: &Settings) -> ShelfPrice<'a> {
    let currency = settings.currency;
    let running = running(basis.product, basis.promotions, at, currency);
    let lowest = basis.history.lowest(at, &points_until(basis, at, currency));
    let price = running.price();
    let was = running.base.and_then(|base| was(settings.market, base, lowest));
    let content = basis.product.and_then(|product| product.content);
    ShelfPrice {
        price,
        base_revision: basis.revision,
        price_promotion: running.everyone.map(|(_, promotion)| promotion),
        text_promotion: if running.everyone.is_some() { None } else { running.text },
        member: running.member.filter(|(member, _)| price.is_some_and(|price| *member < price)),
        was: was.filter(|was| price.is_some_and(|price| *was > price)),
        unit_price: price.zip(content).and_then(|(price, content)| unit_price(price, content, currency)),
        lowest,
        next_change: running.next_change,
    }
}

/// Which promotions decide at an instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running<'a> {
    base: Option<Decimal>,
    everyone: Option<(Decimal, &'a Promotion)>,
    member: Option<(Decimal, &'a Promotion)>,
    text: Option<&'a Promotion>,
    next_change: Option<Moment>,
}

impl<'a> Running<'a> {
    /// The price for everyone.
    pub(super) fn price(&self) -> Option<Decimal> {
        self.everyone.map(|(price, _)| price).or(self.base)
    }

    /// When it can change while product and promotions stay as they are.
    pub(super) const fn next_change(&self) -> Option<Moment> {
        self.next_change
    }

    /// The promotion that made it.
    pub(super) fn promotion(&self) -> Option<&'a Promotion> {
        self.everyone.map(|(_, promotion)| promotion)
    }
}

/// Which promotions decide at `at`, and when that can change.
pub(super) fn running<'a>(
    product: Option<&Product>,
    promotions: &'a [Arc<Promotion>],
    at: Moment,
    currency: Currency,
) -> Running<'a> {
    let base = product.and_then(|product| product.price);
    let mut running = Running { base, everyone: None, member: None, text: None, next_change: None };
    let Some(base) = base else { return running };
    for promotion in promotions.iter().filter(|promotion| promotion.is_in_shops()) {
        let result = promotion.reduction.result(base, currency);
        let is_for_members = promotion.audience == Audience::Member;
        let has_text = !is_for_members && promotion.text.as_ref().is_some_and(|text| !text.is_empty());
        if result.is_none() && !has_text {
            continue;
        }
        running.next_change = earlier(running.next_change, promotion.next_boundary(at));
        if !promotion.holds(at) {
            continue;
        }
        match result {
            Some(result) if is_for_members => running.member = Some(better(running.member, (result, promotion))),
            Some(result) => running.everyone = Some(better(running.everyone, (result, promotion))),
            None => {
                let text = running.text.map(|text| (base, text));
                running.text = Some(better(text, (base, promotion)).1);
            }
        }
    }
    running
}

/// The one that wins: highest priority, then lowest result, then smallest id.
fn better<'a>(
    winner: Option<(Decimal, &'a Promotion)>,
    candidate: (Decimal, &'a Promotion),
) -> (Decimal, &'a Promotion) {
    let beats = |winner: &(Decimal, &Promotion)| {
        let by_priority = winner.1.priority.cmp(&candidate.1.priority).reverse();
        by_priority.then_with(|| winner.0.cmp(&candidate.0)).then_with(|| winner.1.id.cmp(&candidate.1.id)).is_lt()
    };
    winner.filter(beats).unwrap_or(candidate)
}

/// The points that promotions make between the newest of the history and `at`: none as a rule, because a catalog
/// notes each as it passes. An instant that lies ahead has some.
fn points_until(basis: Basis<'_>, at: Moment, currency: Currency) -> Vec<Point> {
    let mut points = Vec::new();
    let Some(last) = basis.history.last_from() else { return points };
    let mut passed = last.max(basis.noted_until);
    let boundary = |after| basis.promotions.iter().filter_map(|promotion| promotion.next_boundary(after)).min();
    while let Some(next) = boundary(passed).filter(|next| *next <= at) {
        passed = next;
        let running = running(basis.product, basis.promotions, next, currency);
        let promotion = running.promotion().map(|promotion| promotion.id.clone());
        points.push(Point { from: next, price: running.price(), promotion });
    }
    points
}

fn earlier(left: Option<Moment>, right: Option<Moment>) -> Option<Moment> {
    [left, right].into_iter().flatten().min()
}

/// The price that a reduction may be compared with: China, the lowest price traded in the store in 7 days (Order
/// 56); European Union, that of 30 days (98/6/EC, article 6a); United States, the base price.
fn was(market: Market, base: Decimal, lowest: Lowest) -> Option<Decimal> {
    match market {
        Market::China => lowest.of_7_days.map(|lowest| lowest.min(base)),
        Market::Europe => lowest.of_30_days,
        Market::UnitedStates => Some(base),
    }
}

/// None where the arithmetic would leave the range of a decimal number.
fn unit_price(price: Decimal, content: Content, currency: Currency) -> Option<UnitPrice> {
    let (per, count) = content.unit.measure();
    let amount = price.checked_mul(count)?.checked_div(content.amount)?;
    Some(UnitPrice { amount: currency.round(amount), per })
}
