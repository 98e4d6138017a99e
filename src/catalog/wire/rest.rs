//! Rows as requests bring them: the feed's shapes, but a field that means nothing is an error that names it.

use serde_json::Value;

use super::error::{Place, Problem};
use super::fields::Fields;
use super::{BASE_FIELDS, CONTENT, Change, Facet, Parsed, ProductPatch, Row, RowKey, SKU, content};

/// Which shape an item has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A whole facet or promotion, as in the feed.
    Whole,
    /// A product's key, its revision, and the fields that change.
    Patch,
    /// A product's key, its revision and its price.
    Price,
}

const PRICE_FIELDS: &[&str] = &["sku", "revision", "price"];

/// Reads one item into its rows: a product's is followed by those of its promotions.
///
/// # Errors
/// The first thing that is wrong with it, as a sentence.
pub fn item(facet: Facet, form: Form, value: &Value) -> Result<Vec<Row>, Problem> {
    if form != Form::Whole {
        return Fields::of(value).and_then(|fields| patch(form, fields)).map(|row| vec![row]);
    }
    let mut parsed = Parsed::default();
    parsed.read_row(facet, Place::Message, value);
    if let Some(error) = parsed.errors.into_iter().next() {
        return Err(error.problem);
    }
    match parsed.unknown_fields.into_iter().next() {
        Some(field) => Err(Problem::UnknownField { field }),
        None => Ok(parsed.rows),
    }
}

fn patch(form: Form, fields: Fields<'_>) -> Result<Row, Problem> {
    let known = if form == Form::Price { PRICE_FIELDS } else { BASE_FIELDS };
    let mut unknown = std::collections::BTreeSet::new();
    fields.note_unknown(known, "", &mut unknown);
    // What a patch does not carry: a deletion is a PUT, and promotions have a path of their own.
    unknown.extend(["seq", "deleted", "promotions"].into_iter().filter(|name| fields.has(name)).map(str::to_owned));
    if let Some(field) = unknown.into_iter().next() {
        return Err(Problem::UnknownField { field });
    }
    let key = RowKey::Sku(Facet::Base, fields.required("sku", SKU)?);
    let revision = fields.revision()?;
    let text = |name| if fields.has(name) { fields.text(name).map(Some) } else { Ok(None) };
    let patch = ProductPatch {
        name: text("name")?,
        brand: text("brand")?,
        spec: text("spec")?,
        origin: text("origin")?,
        grade: text("grade")?,
        unit: text("unit")?,
        barcode: text("barcode")?,
        category: text("category")?,
        price: match form {
            Form::Price => Some(Some(fields.required_amount("price")?)),
            _ if fields.has("price") => Some(fields.amount("price")?),
            _ => None,
        },
        content: if fields.has("content") { Some(whole_content(fields)?) } else { None },
        attributes: fields.text_changes("attributes")?,
    };
    Ok(Row { key, revision, change: Change::Patch(patch) })
}

fn whole_content(fields: Fields<'_>) -> Result<Option<crate::catalog::product::Content>, Problem> {
    let mut unknown = std::collections::BTreeSet::new();
    let content = content(fields, &mut unknown)?;
    match unknown.into_iter().next() {
        Some(_) => Err(fields.unexpected("content", CONTENT)),
        None => Ok(content),
    }
}
