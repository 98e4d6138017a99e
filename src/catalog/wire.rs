//! The feed's payloads: one message's bytes into rows and errors. It stores nothing and knows no store.
//!
//! What parsed is valid and is not checked again. An error of one row does not touch the others.

use std::collections::BTreeSet;
use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::fields::{Fields, describe};
use super::facets::{Membership, Rating, Returns, Stock};
use super::product::{Content, Product, ProductPatch};
use super::promotion::{Audience, Channel, Kind, Promotion, Reduction};
use super::sku::{PromotionId, Sku};
use super::text_form::word_enum;

mod error;
mod fields;
pub mod rest;
#[cfg(test)]
mod tests;

pub use self::error::{Place, Problem, RowError};

/// Most rows of one message: the contract's batch, which the core applies without a pause.
pub const ROWS_MAX: usize = 1_000;

/// Most SKUs that one promotion names: a whole hypermarket's sale is split into several.
pub const PROMOTION_SKUS_MAX: usize = 50_000;

/// Most SKUs in either list of one assortment message: as many as a promotion's.
pub const ASSORTMENT_SKUS_MAX: usize = PROMOTION_SKUS_MAX;

/// Highest revision: the last integer that a JSON number holds exactly in every language.
pub const REVISION_MAX: u64 = (1 << 53) - 1;

/// Most names of unknown fields that one message reports: enough to name a wrong version of the source's
/// format, and no way to fill the memory with names.
pub const UNKNOWN_FIELDS_MAX: usize = 64;

const SKU: &str = "a sku of 1 to 64 printable ASCII characters without spaces";
const SKUS: &str = "an array of at most 50000 skus, each 1 to 64 printable ASCII characters without spaces";
const PROMOTION_ID: &str = "a promotion id of 1 to 64 printable ASCII characters without spaces";
const CONTENT: &str = "an object such as {\"amount\":\"500\",\"unit\":\"g\"}";
const KINDS: &str = "one of special_price, percent_off, member_price, limited_time, store_exclusive, text_only";
const PERCENT: &str = "the share taken off as a decimal string above 0 and below 100, such as \"20\"";
const CONTENT_UNIT: &str = "one of g, kg, ml, l, cm, m, cm², m², piece";

const BASE_FIELDS: &[&str] = &[
    "sku",
    "revision",
    "seq",
    "deleted",
    "name",
    "brand",
    "spec",
    "origin",
    "grade",
    "unit",
    "barcode",
    "category",
    "price",
    "content",
    "attributes",
    "promotions",
];
const STOCK_FIELDS: &[&str] = &["sku", "revision", "seq", "deleted", "quantity", "reorder_level", "sold_per_day"];
const RETURNS_FIELDS: &[&str] = &["sku", "revision", "seq", "deleted", "y_code", "grade"];
const RATING_FIELDS: &[&str] = &["sku", "revision", "seq", "deleted", "score", "count", "class"];
const ASSORTMENT_FIELDS: &[&str] = &["revision", "seq", "add", "remove"];
const MEMBER_FIELDS: &[&str] = &["sku", "revision"];
const PROMOTION_FIELDS: &[&str] = &[
    "promotion_id",
    "revision",
    "seq",
    "deleted",
    "skus",
    "kind",
    "price",
    "percent",
    "start",
    "end",
    "text",
    "audience",
    "channel",
    "priority",
];

word_enum! {
    /// The last part of a feed topic: which source speaks.
    Facet, "facet", FacetError {
        /// Product centre.
        Base = "base",
        /// Stock system.
        Stock = "stock",
        /// Returns system.
        Returns = "returns",
        /// Data warehouse.
        Rating = "rating",
        /// Promotions.
        Promotion = "promotion",
        /// What the store sells.
        Assortment = "assortment",
    }
}

impl Facet {
    /// The facets that are kept under a SKU.
    pub const OF_ITEMS: [Self; 5] = [Self::Base, Self::Stock, Self::Returns, Self::Rating, Self::Assortment];
}

/// One valid row: what a source says under a key, as its word number `revision`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What it is about.
    pub key: RowKey,
    /// The source's number for it.
    pub revision: u64,
    /// What it says.
    pub change: Change,
}

/// What a row says. Each replaces what the same source said before, whole; only a patch does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A product's base facet.
    Base(Product),
    /// Some fields of a product's base facet.
    #[serde(skip)]
    Patch(ProductPatch),
    /// How much there is.
    Stock(Stock),
    /// A returned piece.
    Returns(Returns),
    /// What customers think.
    Rating(Rating),
    /// A promotion.
    Promotion(Promotion),
    /// Whether the store sells it.
    Assortment(Membership),
    /// It is no more.
    Deleted,
}

/// What a row is about, and what the catalog keeps it under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKey {
    /// A facet of a product.
    Sku(Facet, Sku),
    /// A promotion.
    Promotion(PromotionId),
}

impl RowKey {
    /// Which source it belongs to.
    #[must_use]
    pub const fn facet(&self) -> Facet {
        match self {
            Self::Sku(facet, _) => *facet,
            Self::Promotion(_) => Facet::Promotion,
        }
    }

    /// The id under which the source knows it.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Sku(_, sku) => sku.as_str(),
            Self::Promotion(id) => id.as_str(),
        }
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sku(_, sku) => write!(f, "sku `{sku}`"),
            Self::Promotion(id) => write!(f, "promotion `{id}`"),
        }
    }
}

/// What one message holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Valid rows in the message's order; a base row stands before its promotions.
    pub rows: Vec<Row>,
    /// Rows that change nothing.
    pub errors: Vec<RowError>,
    /// Fields that this version does not know, at most [`UNKNOWN_FIELDS_MAX`].
    pub unknown_fields: BTreeSet<String>,
    /// The `seq` of every element that has one, valid or not, in the message's order. Promotions inside of base
    /// events have none.
    pub seqs: Vec<u64>,
}

/// Reads one message: one JSON object, or an array of at most [`ROWS_MAX`].
#[must_use]
pub fn parse(facet: Facet, payload: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    let reject = |problem| RowError { facet, place: Place::Message, key: None, problem };
    match rows_of(payload) {
        Ok(rows) => {
            for (index, row) in rows.iter().enumerate() {
                parsed.read_row(facet, Place::Row(index + 1), row);
            }
        }
        Err(problem) => parsed.errors.push(reject(problem)),
    }
    parsed
}

fn rows_of(payload: &[u8]) -> Result<Vec<Value>, Problem> {
    match serde_json::from_slice(payload).map_err(|error| Problem::NotJson { reason: error.to_string() })? {
        Value::Array(rows) if rows.len() > ROWS_MAX => Err(Problem::TooManyRows { count: rows.len() }),
        Value::Array(rows) => Ok(rows),
        row @ Value::Object(_) => Ok(vec![row]),
        other => Err(Problem::NotRows { found: describe(&other) }),
    }
}

impl Parsed {
    /// Reads one row of a message.
    fn read_row(&mut self, facet: Facet, place: Place, value: &Value) {
        let fields = match Fields::of(value) {
            Ok(fields) => fields,
            Err(problem) => return self.errors.push(RowError { facet, place, key: None, problem }),
        };
        match fields.number("seq") {
            Ok(seq) => self.seqs.extend(seq),
            Err(problem) => {
                let key = key_of(facet, fields);
                return self.errors.push(RowError { facet, place, key, problem });
            }
        }
        self.read_fields(facet, place, fields);
    }

    /// Reads one row of a snapshot, which names what the store sells one SKU a row.
    pub(super) fn read_snapshot_row(&mut self, facet: Facet, place: Place, value: &Value) {
        match Fields::of(value) {
            Ok(fields) if facet == Facet::Assortment => {
                fields.note_unknown(MEMBER_FIELDS, "", &mut self.unknown_fields);
                self.keep(facet, place, fields, member_row(fields));
            }
            Ok(fields) => self.read_fields(facet, place, fields),
            Err(problem) => self.errors.push(RowError { facet, place, key: None, problem }),
        }
    }

    fn read_fields(&mut self, facet: Facet, place: Place, fields: Fields<'_>) {
        let (known, row) = match facet {
            Facet::Base => return self.read_base(place, fields),
            Facet::Promotion => return self.read_promotion(facet, place, fields, ""),
            Facet::Assortment => return self.read_assortment(place, fields),
            Facet::Stock => (STOCK_FIELDS, stock_row(fields)),
            Facet::Returns => (RETURNS_FIELDS, returns_row(fields)),
            Facet::Rating => (RATING_FIELDS, rating_row(fields)),
        };
        fields.note_unknown(known, "", &mut self.unknown_fields);
        self.keep(facet, place, fields, row);
    }

    /// Keeps a row, or why it is none.
    fn keep(&mut self, facet: Facet, place: Place, fields: Fields<'_>, row: Result<Row, Problem>) {
        match row {
            Ok(row) => self.rows.push(row),
            Err(problem) => self.errors.push(RowError { facet, place, key: key_of(facet, fields), problem }),
        }
    }

    fn read_base(&mut self, place: Place, fields: Fields<'_>) {
        fields.note_unknown(BASE_FIELDS, "", &mut self.unknown_fields);
        let promotions = fields.list("promotions", ROWS_MAX, "an array of at most 1000 promotions");
        let row = promotions.clone().and_then(|_| base_row(fields, &mut self.unknown_fields));
        self.keep(Facet::Base, place, fields, row);
        for promotion in promotions.unwrap_or_default() {
            match Fields::of(promotion) {
                Ok(fields) => self.read_promotion(Facet::Base, place, fields, "promotions."),
                Err(problem) => self.errors.push(RowError { facet: Facet::Base, place, key: None, problem }),
            }
        }
    }

    fn read_promotion(&mut self, facet: Facet, place: Place, fields: Fields<'_>, within: &str) {
        fields.note_unknown(PROMOTION_FIELDS, within, &mut self.unknown_fields);
        match promotion_row(fields) {
            Ok(row) => self.rows.push(row),
            Err(problem) => {
                let key = key_of(Facet::Promotion, fields);
                self.errors.push(RowError { facet, place, key, problem });
            }
        }
    }

    fn read_assortment(&mut self, place: Place, fields: Fields<'_>) {
        fields.note_unknown(ASSORTMENT_FIELDS, "", &mut self.unknown_fields);
        match assortment_rows(fields) {
            Ok(rows) => self.rows.extend(rows),
            Err(problem) => self.errors.push(RowError { facet: Facet::Assortment, place, key: None, problem }),
        }
    }
}

/// Whose row it is, where that much can be read.
fn key_of(facet: Facet, fields: Fields<'_>) -> Option<RowKey> {
    match facet {
        Facet::Promotion => fields.optional("promotion_id", PROMOTION_ID).ok().flatten().map(RowKey::Promotion),
        _ => fields.optional("sku", SKU).ok().flatten().map(|sku| RowKey::Sku(facet, sku)),
    }
}

/// A row under a SKU: a deletion, or what `read` makes of the fields.
fn sku_row(
    facet: Facet,
    fields: Fields<'_>,
    read: impl FnOnce(Sku) -> Result<Change, Problem>,
) -> Result<Row, Problem> {
    let sku: Sku = fields.required("sku", SKU)?;
    let revision = fields.revision()?;
    let change = if fields.is_deleted()? { Change::Deleted } else { read(sku.clone())? };
    Ok(Row { key: RowKey::Sku(facet, sku), revision, change })
}

fn base_row(fields: Fields<'_>, unknown: &mut BTreeSet<String>) -> Result<Row, Problem> {
    sku_row(Facet::Base, fields, |sku| {
        Ok(Change::Base(Product {
            sku,
            name: fields.text("name")?,
            brand: fields.text("brand")?,
            spec: fields.text("spec")?,
            origin: fields.text("origin")?,
            grade: fields.text("grade")?,
            unit: fields.text("unit")?,
            barcode: fields.text("barcode")?,
            category: fields.text("category")?,
            price: fields.amount("price")?,
            content: content(fields, unknown)?,
            attributes: Some(fields.texts("attributes")?).filter(|texts| !texts.is_empty()).map(Box::new),
        }))
    })
}

fn content(fields: Fields<'_>, unknown: &mut BTreeSet<String>) -> Result<Option<Content>, Problem> {
    let Some(content) = fields.inner("content", "content.", CONTENT)? else { return Ok(None) };
    content.note_unknown(&["amount", "unit"], "", unknown);
    let amount = content.required_amount("amount")?;
    if amount == Decimal::ZERO {
        return Err(content.unexpected("amount", "an amount above zero"));
    }
    Ok(Some(Content { amount, unit: content.required("unit", CONTENT_UNIT)? }))
}

fn stock_row(fields: Fields<'_>) -> Result<Row, Problem> {
    sku_row(Facet::Stock, fields, |_| {
        Ok(Change::Stock(Stock {
            quantity: fields.required_integer("quantity")?,
            reorder_level: fields.integer("reorder_level")?,
            sold_per_day: fields.amount("sold_per_day")?,
        }))
    })
}

fn returns_row(fields: Fields<'_>) -> Result<Row, Problem> {
    sku_row(Facet::Returns, fields, |_| {
        let (y_code, grade) = (fields.required_text("y_code", "a Y-code")?, fields.text("grade")?);
        Ok(Change::Returns(Returns { y_code, grade }))
    })
}

fn rating_row(fields: Fields<'_>) -> Result<Row, Problem> {
    sku_row(Facet::Rating, fields, |_| {
        let (score, count) = (fields.amount("score")?, fields.integer("count")?);
        Ok(Change::Rating(Rating { score, count, class: fields.text("class")? }))
    })
}

/// A row of a snapshot of the assortment. Its revision is the snapshot's business.
fn member_row(fields: Fields<'_>) -> Result<Row, Problem> {
    let key = RowKey::Sku(Facet::Assortment, fields.required("sku", SKU)?);
    Ok(Row { key, revision: fields.number("revision")?.unwrap_or(0), change: Change::Assortment(Membership::In) })
}

fn assortment_rows(fields: Fields<'_>) -> Result<Vec<Row>, Problem> {
    let revision = fields.revision()?;
    let [add, remove]: [BTreeSet<Sku>; 2] = [
        fields.ids("add", ASSORTMENT_SKUS_MAX, SKUS)?.unwrap_or_default(),
        fields.ids("remove", ASSORTMENT_SKUS_MAX, SKUS)?.unwrap_or_default(),
    ];
    if let Some(both) = add.intersection(&remove).next() {
        return Err(Problem::Both { sku: both.to_string() });
    }
    let row = |sku, membership| Row {
        key: RowKey::Sku(Facet::Assortment, sku),
        revision,
        change: Change::Assortment(membership),
    };
    let rows = add.into_iter().map(|sku| row(sku, Membership::In));
    Ok(rows.chain(remove.into_iter().map(|sku| row(sku, Membership::Out))).collect())
}

fn promotion_row(fields: Fields<'_>) -> Result<Row, Problem> {
    let id: PromotionId = fields.required("promotion_id", PROMOTION_ID)?;
    let revision = fields.revision()?;
    let key = RowKey::Promotion(id.clone());
    if fields.is_deleted()? {
        return Ok(Row { key, revision, change: Change::Deleted });
    }
    let kind = fields.required("kind", KINDS)?;
    let audience = audience(fields, kind)?;
    let reduction = reduction(fields, kind)?;
    let (start, end) = (fields.instant("start")?, fields.instant("end")?);
    if end <= start {
        return Err(fields.unexpected("end", "an instant after `start`"));
    }
    let change = Change::Promotion(Promotion {
        id,
        revision,
        skus: fields.ids("skus", PROMOTION_SKUS_MAX, SKUS)?.ok_or_else(|| fields.missing("skus", SKUS))?,
        kind,
        reduction,
        start,
        end,
        text: fields.text("text")?,
        audience,
        channel: fields.optional("channel", "one of store, online, both")?.unwrap_or(Channel::Both),
        priority: fields.integer("priority")?.unwrap_or(0),
    });
    Ok(Row { key, revision, change })
}

/// Whom a promotion is for: a member price is for members, whether that is said or not.
fn audience(fields: Fields<'_>, kind: Kind) -> Result<Audience, Problem> {
    let told = fields.optional("audience", "one of all, member")?;
    match (kind, told) {
        (Kind::MemberPrice, Some(Audience::All)) => {
            Err(fields.unexpected("audience", "member, or nothing, for kind member_price"))
        }
        (Kind::MemberPrice, _) => Ok(Audience::Member),
        (_, told) => Ok(told.unwrap_or(Audience::All)),
    }
}

/// What a promotion makes of the base price. A field that its kind does not have is an error: its source
/// believes that it counts.
fn reduction(fields: Fields<'_>, kind: Kind) -> Result<Reduction, Problem> {
    let (price, percent) = (fields.amount("price")?, fields.amount("percent")?);
    let without = |field, value: Option<_>| match value {
        Some(_) => Err(fields.unexpected(field, "nothing for this kind of promotion")),
        None => Ok(()),
    };
    match kind {
        Kind::TextOnly => {
            without("price", price)?;
            without("percent", percent)?;
            Ok(Reduction::Text)
        }
        Kind::PercentOff => {
            without("price", price)?;
            let percent = percent.ok_or_else(|| fields.missing("percent", PERCENT))?;
            if percent.is_zero() || percent >= Decimal::ONE_HUNDRED {
                return Err(fields.unexpected("percent", PERCENT));
            }
            Ok(Reduction::Percent(percent))
        }
        Kind::SpecialPrice | Kind::MemberPrice | Kind::LimitedTime | Kind::StoreExclusive => {
            without("percent", percent)?;
            fields.required_amount("price").map(Reduction::Price)
        }
    }
}
