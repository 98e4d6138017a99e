//! The shelf price at an instant: one pure function of product, promotions, currency, market and instant.
//!
//! It reads no clock, keeps no history and invents none: where a market's law asks for the lowest price of past
//! days and nothing knows it, there is no struck-through price.

use gondola_protocol::Moment;
use rust_decimal::Decimal;

use super::currency::Currency;
use super::product::{Content, Measure, Product};
use super::promotion::{Channel, Promotion};
use super::settings::Market;

#[cfg(test)]
mod tests;

/// The price that a label shows at an instant, with what must stand beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShelfPrice<'a> {
    /// The price for everyone; none without a base price.
    pub price: Option<Decimal>,
    /// Of `price`, `was` and `unit_price`.
    pub currency: Currency,
    /// Revision of the base facet; none while the product is unknown.
    pub base_revision: Option<u64>,
    /// The promotion that made `price`.
    pub price_promotion: Option<&'a Promotion>,
    /// The promotion that brings only its text; looked for only where none made `price`.
    pub text_promotion: Option<&'a Promotion>,
    /// The struck-through price.
    pub was: Option<Decimal>,
    /// Price per unit of measure, from the product's content.
    pub unit_price: Option<UnitPrice>,
    /// The next instant at which any of the above can change while product and promotions stay as they are.
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
/// `promotions` are those that name the product, in any order; which of them hold, and where, is decided here.
/// A promotion lowers the price when its result is below the base price, else it counts as text only. Of those
/// that hold and lower it, the highest priority wins, then the lowest result, then the smallest id. Without a
/// base price there is no shelf price, and so nothing that could change at an instant.
pub fn shelf_price<'a>(
    product: Option<&'a Product>,
    promotions: impl Iterator<Item = &'a Promotion>,
    at: Moment,
    currency: Currency,
    market: Market,
) -> ShelfPrice<'a> {
    let mut shelf = ShelfPrice {
        price: None,
        currency,
        base_revision: product.map(|product| product.revision),
        price_promotion: None,
        text_promotion: None,
        was: None,
        unit_price: None,
        next_change: None,
    };
    let Some((product, base)) = product.and_then(|product| Some((product, product.price?))) else { return shelf };

    for promotion in promotions.filter(|promotion| is_shown(promotion, base)) {
        shelf.next_change = earlier(shelf.next_change, promotion.next_boundary(at));
        if promotion.holds(at) {
            let winner = if promotion.price < base { &mut shelf.price_promotion } else { &mut shelf.text_promotion };
            *winner = Some(better(*winner, promotion, base));
        }
    }
    if shelf.price_promotion.is_some() {
        shelf.text_promotion = None;
    }
    let price = shelf.price_promotion.map_or(base, |promotion| promotion.price);
    shelf.price = Some(price);
    shelf.was = was(market, base).filter(|was| *was > price);
    shelf.unit_price = product.content.and_then(|content| unit_price(price, content, currency));
    shelf
}

/// Whether a label ever shows something of this promotion: a lower price, or at least its text.
fn is_shown(promotion: &Promotion, base: Decimal) -> bool {
    let in_shops = matches!(promotion.channel, Channel::Store | Channel::Both);
    let has_text = promotion.text.as_ref().is_some_and(|text| !text.is_empty());
    in_shops && (promotion.price < base || has_text)
}

/// The one that wins: highest priority, then lowest result, then smallest id. Text only has no result to compare.
fn better<'a>(winner: Option<&'a Promotion>, candidate: &'a Promotion, base: Decimal) -> &'a Promotion {
    let rank = |promotion: &'a Promotion| (-i128::from(promotion.priority), promotion.price.min(base), &promotion.id);
    match winner {
        Some(winner) if rank(winner) < rank(candidate) => winner,
        _ => candidate,
    }
}

fn earlier(left: Option<Moment>, right: Option<Moment>) -> Option<Moment> {
    [left, right].into_iter().flatten().min()
}

/// The price that a reduction may be compared with.
///
/// In China and the EU that is the lowest price of the days before, which is unknown as long as no price
/// history is kept; a compared price that nobody can prove is worse than none.
fn was(market: Market, base: Decimal) -> Option<Decimal> {
    match market {
        Market::China | Market::Europe => None,
        Market::UnitedStates => Some(base),
    }
}

/// None where the arithmetic would leave the range of a decimal number.
fn unit_price(price: Decimal, content: Content, currency: Currency) -> Option<UnitPrice> {
    let (per, count) = content.unit.measure();
    let amount = price.checked_mul(count)?.checked_div(content.amount)?;
    Some(UnitPrice { amount: currency.round(amount), per })
}
