//! The feed's payloads: one message's bytes into rows and errors. It stores nothing and knows no store.
//!
//! What parsed is valid and is not checked again. An error of one row does not touch the others, and what the
//! contract has but this version does not do is refused by its name instead of being half understood.

use std::collections::BTreeSet;
use std::fmt;

use rust_decimal::Decimal;
use serde_json::Value;

use self::fields::{Fields, describe, shorten};
use super::product::{Content, Product};
use super::promotion::{Audience, Channel, Kind, Promotion};
use super::sku::{PromotionId, Sku};
use super::text_form::word_enum;

mod error;
mod fields;
#[cfg(test)]
mod tests;

pub use self::error::{Place, Problem, RowError};

/// Most rows of one message: the contract's batch, which the core applies without a pause.
pub const ROWS_MAX: usize = 1_000;

/// Most SKUs that one promotion names: a whole hypermarket's sale is split into several.
pub const PROMOTION_SKUS_MAX: usize = 50_000;

/// Highest revision: the last integer that a JSON number holds exactly in every language.
pub const REVISION_MAX: u64 = (1 << 53) - 1;

/// Most names of unknown fields that one message reports: enough to name a wrong version of the source's
/// format, and no way to fill the memory with names.
pub const UNKNOWN_FIELDS_MAX: usize = 64;

const SKU: &str = "a sku of 1 to 64 printable ASCII characters without spaces";
const SKUS: &str = "an array of at most 50000 skus, each 1 to 64 printable ASCII characters without spaces";
const PROMOTION_ID: &str = "a promotion id of 1 to 64 printable ASCII characters without spaces";
const CONTENT: &str = "an object such as {\"amount\":\"500\",\"unit\":\"g\"}";
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

/// One valid row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// Replaces a product's base facet.
    Product(Product),
    /// Removes a product's base facet.
    ProductDeleted {
        /// Whose.
        sku: Sku,
        /// The deletion's revision.
        revision: u64,
    },
    /// Replaces a promotion.
    Promotion(Promotion),
    /// Removes a promotion.
    PromotionDeleted {
        /// Which one.
        id: PromotionId,
        /// The deletion's revision.
        revision: u64,
    },
}

impl Row {
    /// What the row is about.
    #[must_use]
    pub fn key(&self) -> RowKey {
        match self {
            Self::Product(Product { sku, .. }) | Self::ProductDeleted { sku, .. } => RowKey::Product(sku.clone()),
            Self::Promotion(Promotion { id, .. }) | Self::PromotionDeleted { id, .. } => RowKey::Promotion(id.clone()),
        }
    }

    /// The source's number for it.
    #[must_use]
    pub fn revision(&self) -> u64 {
        match self {
            Self::Product(Product { revision, .. })
            | Self::ProductDeleted { revision, .. }
            | Self::Promotion(Promotion { revision, .. })
            | Self::PromotionDeleted { revision, .. } => *revision,
        }
    }
}

/// What a row is about, and what the catalog keeps it under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKey {
    /// A product's base facet.
    Product(Sku),
    /// A promotion.
    Promotion(PromotionId),
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Product(sku) => write!(f, "sku `{sku}`"),
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
    match rows_of(facet, payload) {
        Ok(rows) => {
            for (index, row) in rows.iter().enumerate() {
                parsed.read_row(facet, Place::Row(index + 1), row);
            }
        }
        Err(problem) => parsed.errors.push(reject(problem)),
    }
    parsed
}

/// That a facet is one of the contract's, but not one that this version reads.
pub(super) fn check_built(facet: Facet) -> Result<(), Problem> {
    match facet {
        Facet::Base | Facet::Promotion => Ok(()),
        Facet::Stock | Facet::Returns | Facet::Rating | Facet::Assortment => {
            Err(Problem::NotBuilt { noun: "facet", value: facet.to_string(), built: "base, promotion" })
        }
    }
}

fn rows_of(facet: Facet, payload: &[u8]) -> Result<Vec<Value>, Problem> {
    check_built(facet)?;
    match serde_json::from_slice(payload).map_err(|error| Problem::NotJson { reason: error.to_string() })? {
        Value::Array(rows) if rows.len() > ROWS_MAX => Err(Problem::TooManyRows { count: rows.len() }),
        Value::Array(rows) => Ok(rows),
        row @ Value::Object(_) => Ok(vec![row]),
        other => Err(Problem::NotRows { found: describe(&other) }),
    }
}

impl Parsed {
    /// Reads one row of a facet that is built, wherever it came from.
    pub(super) fn read_row(&mut self, facet: Facet, place: Place, value: &Value) {
        self.seqs.extend(value.get("seq").and_then(Value::as_u64).filter(|seq| *seq <= REVISION_MAX));
        match facet {
            Facet::Promotion => self.read_promotion(facet, place, value, ""),
            _ => self.read_base(place, value),
        }
    }

    fn read_base(&mut self, place: Place, value: &Value) {
        let fields = match Fields::of(value) {
            Ok(fields) => fields,
            Err(problem) => return self.errors.push(RowError { facet: Facet::Base, place, key: None, problem }),
        };
        fields.note_unknown(BASE_FIELDS, "", &mut self.unknown_fields);
        let promotions = fields.list("promotions", ROWS_MAX, "an array of at most 1000 promotions");
        match promotions.clone().and_then(|_| base_row(fields, &mut self.unknown_fields)) {
            Ok(row) => self.rows.push(row),
            Err(problem) => {
                let key = fields.optional("sku", SKU).ok().flatten().map(RowKey::Product);
                self.errors.push(RowError { facet: Facet::Base, place, key, problem });
            }
        }
        for promotion in promotions.unwrap_or_default() {
            self.read_promotion(Facet::Base, place, promotion, "promotions.");
        }
    }

    fn read_promotion(&mut self, facet: Facet, place: Place, value: &Value, within: &str) {
        let fields = match Fields::of(value) {
            Ok(fields) => fields,
            Err(problem) => return self.errors.push(RowError { facet, place, key: None, problem }),
        };
        fields.note_unknown(PROMOTION_FIELDS, within, &mut self.unknown_fields);
        match promotion_row(fields) {
            Ok(row) => self.rows.push(row),
            Err(problem) => {
                let key = fields.optional("promotion_id", PROMOTION_ID).ok().flatten().map(RowKey::Promotion);
                self.errors.push(RowError { facet, place, key, problem });
            }
        }
    }
}

fn base_row(fields: Fields<'_>, unknown: &mut BTreeSet<String>) -> Result<Row, Problem> {
    let sku = fields.required("sku", SKU)?;
    let revision = fields.revision()?;
    if fields.is_deleted()? {
        return Ok(Row::ProductDeleted { sku, revision });
    }
    Ok(Row::Product(Product {
        sku,
        revision,
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
        attributes: fields.texts("attributes")?,
    }))
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

fn promotion_row(fields: Fields<'_>) -> Result<Row, Problem> {
    let id = fields.required("promotion_id", PROMOTION_ID)?;
    let revision = fields.revision()?;
    if fields.is_deleted()? {
        return Ok(Row::PromotionDeleted { id, revision });
    }
    let kind = kind(fields)?;
    let audience = audience(fields)?;
    let (start, end) = (fields.instant("start")?, fields.instant("end")?);
    if end <= start {
        return Err(fields.unexpected("end", "an instant after `start`"));
    }
    Ok(Row::Promotion(Promotion {
        id,
        revision,
        skus: fields.ids("skus", PROMOTION_SKUS_MAX, SKUS)?,
        kind,
        price: fields.required_amount("price")?,
        start,
        end,
        text: fields.text("text")?,
        audience,
        channel: fields.optional("channel", "one of store, online, both")?.unwrap_or(Channel::Both),
        priority: fields.integer("priority")?.unwrap_or(0),
    }))
}

/// The kind, or its name if it is one of the contract's that is not built.
fn kind(fields: Fields<'_>) -> Result<Kind, Problem> {
    const KINDS: &str = "one of special_price, percent_off, member_price, limited_time, store_exclusive, text_only";
    match fields.raw_text("kind") {
        Some(kind @ ("percent_off" | "member_price" | "limited_time" | "store_exclusive" | "text_only")) => {
            Err(Problem::NotBuilt { noun: "kind", value: shorten(kind), built: "special_price" })
        }
        _ => fields.required("kind", KINDS),
    }
}

/// The audience, or its name if it is one of the contract's that is not built.
fn audience(fields: Fields<'_>) -> Result<Audience, Problem> {
    match fields.raw_text("audience") {
        Some(audience @ "member") => {
            Err(Problem::NotBuilt { noun: "audience", value: shorten(audience), built: "all" })
        }
        _ => Ok(fields.optional("audience", "one of all, member")?.unwrap_or(Audience::All)),
    }
}
