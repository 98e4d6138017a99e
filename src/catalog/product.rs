//! The base facet of a product: what the product centre says of it. Stock, returns and ratings are not in it.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::sku::Sku;
use super::text_form::word_enum;

/// Longest text field in characters: the longest names of a full catalog have about 120, and a label shows 60.
pub const TEXT_CHARS_MAX: usize = 512;

/// Most free attributes of a product: sources send about ten, and every one stays in memory per product.
pub const ATTRIBUTES_MAX: usize = 64;

/// One product's base facet, whole.
///
/// Its serde form is what the view keeps on disk, and nothing else: a field that is missing there is none, a
/// field that is too many is ignored, so that a view outlives a version in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Names it within the store.
    pub sku: Sku,
    /// 品名.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<SmolStr>,
    /// Brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<SmolStr>,
    /// 规格, for example `500g/袋`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<SmolStr>,
    /// 产地.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<SmolStr>,
    /// 等级.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<SmolStr>,
    /// 计价单位, for example `袋`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<SmolStr>,
    /// What a till scans. Its check digit is judged where it is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barcode: Option<SmolStr>,
    /// The source's category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<SmolStr>,
    /// The base price in the store's currency, not negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Decimal>,
    /// How much of what one unit holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Free attributes of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Box<BTreeMap<SmolStr, SmolStr>>>,
}

impl Product {
    /// A product of which only its key is known.
    #[must_use]
    pub fn bare(sku: Sku) -> Self {
        Self {
            sku,
            name: None,
            brand: None,
            spec: None,
            origin: None,
            grade: None,
            unit: None,
            barcode: None,
            category: None,
            price: None,
            content: None,
            attributes: None,
        }
    }
}

/// Some fields of a product's base facet: what a `PATCH` changes. The outer `None` keeps what is stored, the
/// inner one takes it away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProductPatch {
    /// 品名.
    pub name: Option<Option<SmolStr>>,
    /// Brand.
    pub brand: Option<Option<SmolStr>>,
    /// 规格.
    pub spec: Option<Option<SmolStr>>,
    /// 产地.
    pub origin: Option<Option<SmolStr>>,
    /// 等级.
    pub grade: Option<Option<SmolStr>>,
    /// 计价单位.
    pub unit: Option<Option<SmolStr>>,
    /// What a till scans.
    pub barcode: Option<Option<SmolStr>>,
    /// The source's category.
    pub category: Option<Option<SmolStr>>,
    /// The base price.
    pub price: Option<Option<Decimal>>,
    /// How much of what one unit holds.
    pub content: Option<Option<Content>>,
    /// Attributes, each with its text or none; those that are not named stay.
    pub attributes: BTreeMap<SmolStr, Option<SmolStr>>,
}

/// Attributes as those read them who know nothing of how they are kept.
pub(crate) fn texts(attributes: BTreeMap<SmolStr, SmolStr>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|(name, text)| (name.into(), text.into())).collect()
}

impl ProductPatch {
    /// The product with these fields changed.
    #[must_use]
    pub fn merged_into(self, mut product: Product) -> Product {
        fn take<T>(field: &mut Option<T>, change: Option<Option<T>>) {
            if let Some(value) = change {
                *field = value;
            }
        }
        take(&mut product.name, self.name);
        take(&mut product.brand, self.brand);
        take(&mut product.spec, self.spec);
        take(&mut product.origin, self.origin);
        take(&mut product.grade, self.grade);
        take(&mut product.unit, self.unit);
        take(&mut product.barcode, self.barcode);
        take(&mut product.category, self.category);
        take(&mut product.price, self.price);
        take(&mut product.content, self.content);
        for (name, text) in self.attributes {
            let attributes = product.attributes.get_or_insert_default();
            match text {
                Some(text) => attributes.insert(name, text),
                None => attributes.remove(&name),
            };
        }
        product.attributes.take_if(|attributes| attributes.is_empty());
        product
    }
}

/// What one sold unit holds, for the unit price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Above zero.
    pub amount: Decimal,
    /// What `amount` counts.
    pub unit: ContentUnit,
}

word_enum! {
    /// A unit that contents are given in.
    ContentUnit, "content unit", ContentUnitError {
        /// Gram.
        Gram = "g",
        /// Kilogram.
        Kilogram = "kg",
        /// Millilitre.
        Millilitre = "ml",
        /// Litre.
        Litre = "l",
        /// Centimetre.
        Centimetre = "cm",
        /// Metre.
        Metre = "m",
        /// Square centimetre.
        SquareCentimetre = "cm²",
        /// Square metre.
        SquareMetre = "m²",
        /// Pieces, sheets, bags: whatever is counted.
        Piece = "piece",
    }
}

word_enum! {
    /// A unit that unit prices are given per.
    Measure, "measure", MeasureError {
        /// Per kilogram.
        Kilogram = "kg",
        /// Per litre.
        Litre = "l",
        /// Per metre.
        Metre = "m",
        /// Per square metre.
        SquareMetre = "m²",
        /// Per piece.
        Piece = "piece",
    }
}

impl ContentUnit {
    /// The measure of its unit price, and how many of this unit make one of that measure.
    #[must_use]
    pub fn measure(self) -> (Measure, Decimal) {
        let (measure, count) = match self {
            Self::Gram => (Measure::Kilogram, 1_000),
            Self::Kilogram => (Measure::Kilogram, 1),
            Self::Millilitre => (Measure::Litre, 1_000),
            Self::Litre => (Measure::Litre, 1),
            Self::Centimetre => (Measure::Metre, 100),
            Self::Metre => (Measure::Metre, 1),
            Self::SquareCentimetre => (Measure::SquareMetre, 10_000),
            Self::SquareMetre => (Measure::SquareMetre, 1),
            Self::Piece => (Measure::Piece, 1),
        };
        (measure, Decimal::from(count))
    }
}
