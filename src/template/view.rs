//! What a template can see.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// One label's content: the store it hangs in and the products it is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelView {
    /// The store.
    pub store: StoreView,
    /// The products in the binding's order, 1 to 8; `{{ product }}` is the first.
    pub products: Vec<ProductView>,
}

/// The store that a label hangs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreView {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// `pop-up`, `campus`, `community` or `flagship`.
    pub format: String,
    /// `CN`, `EU` or `US`: whose law on price tags holds.
    pub market: String,
}

/// One product, at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProductView {
    /// The product.
    pub sku: String,
    /// Whether the product centre has told of it.
    pub known: bool,
    /// 品名.
    #[serde(serialize_with = "where_visible")]
    pub name: Option<String>,
    /// Brand.
    #[serde(serialize_with = "where_visible")]
    pub brand: Option<String>,
    /// 规格, for example `500g/袋`.
    #[serde(serialize_with = "where_visible")]
    pub spec: Option<String>,
    /// 产地.
    #[serde(serialize_with = "where_visible")]
    pub origin: Option<String>,
    /// 等级.
    #[serde(serialize_with = "where_visible")]
    pub grade: Option<String>,
    /// 计价单位, for example `袋`.
    #[serde(serialize_with = "where_visible")]
    pub unit: Option<String>,
    /// What a till scans, as digits.
    pub barcode: Option<String>,
    /// The source's category.
    pub category: Option<String>,
    /// ISO 4217.
    pub currency: String,
    /// The shelf price for everyone, with the currency's minor digits (`"49.90"`); none without a base price.
    pub price: Option<String>,
    /// The struck-through price, where the market's law allows one.
    pub was: Option<String>,
    /// What members pay, where it is below `price`.
    pub member_price: Option<String>,
    /// Price per unit of measure.
    pub unit_price: Option<UnitPriceView>,
    /// The promotion that made `price`, or one that brings only its text.
    pub promotion: Option<PromotionView>,
    /// The promotion that made `member_price`.
    pub member_promotion: Option<PromotionView>,
    /// Whether the store sells it.
    pub in_assortment: bool,
    /// What the stock system says; none where it has said nothing.
    pub stock: Option<StockView>,
    /// What the returns system says: a returned piece, sold under its Y-code.
    pub returns: Option<ReturnsView>,
    /// What the data warehouse says of how customers like it.
    pub rating: Option<RatingView>,
    /// Free attributes of the source.
    pub attributes: BTreeMap<String, String>,
}

/// A price per unit of measure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitPriceView {
    /// Amount with the currency's minor digits.
    pub amount: String,
    /// `kg`, `l`, `m`, `m²` or `piece`.
    pub per: String,
}

/// A running promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PromotionView {
    /// Its id.
    pub id: String,
    /// `special_price`, …
    pub kind: String,
    /// What the source says of it, for example `双十一`.
    pub text: Option<String>,
    /// The share that it takes off, `20` for a fifth; none unless it is a `percent_off`.
    pub percent: Option<String>,
    /// First day in the store's zone, `2026-11-25`.
    pub start_date: String,
    /// Time of day at which it starts, `18:00`.
    pub start_time: String,
    /// Last day in the store's zone on which it holds at all, `2026-11-27` for an end at midnight of the 28th.
    pub end_date: String,
    /// Time of day at which it ends on `end_date`: `20:00`, or `24:00` for an end at midnight.
    pub end_time: String,
}

/// How much of a product there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StockView {
    /// Pieces in the store; not above 0 when it is sold out.
    pub quantity: i64,
    /// Pieces below which it is ordered again.
    pub reorder_level: Option<i64>,
    /// Pieces sold on an average day, a decimal number.
    pub sold_per_day: Option<String>,
}

/// A returned piece that is sold again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReturnsView {
    /// Its Y-code.
    pub y_code: String,
    /// Its condition as the returns system grades it, for example `B`.
    pub grade: Option<String>,
}

/// What customers think of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RatingView {
    /// The average, a decimal number such as `4.8`.
    pub score: Option<String>,
    /// How many have rated.
    pub count: Option<i64>,
    /// The source's class, for example `A`.
    pub class: Option<String>,
}

/// A text that would show nothing is none, so that a template's `product.name or product.sku` shows something.
fn where_visible<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_ref().filter(|text| !text.chars().all(is_blank)).serialize(serializer)
}

fn is_blank(character: char) -> bool {
    character.is_whitespace() || character.is_control() || is_invisible(character)
}

/// Characters that steer other programs' text and show nothing themselves.
pub(crate) const fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}
