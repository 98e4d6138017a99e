//! Products as a table, the way spreadsheets and CSV files have them: one column for each field of the base facet,
//! and one for each attribute. Promotions do not fit in a table.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::product::Product;
use super::wire::Problem;

/// Columns whose cells are texts.
const TEXTS: [&str; 8] = ["name", "brand", "spec", "origin", "grade", "unit", "barcode", "category"];

/// What stands before the name of an attribute.
const ATTRIBUTE: &str = "attribute.";

/// Every column but those of attributes.
pub const COLUMNS: [&str; 13] = [
    "sku",
    "revision",
    "name",
    "brand",
    "spec",
    "origin",
    "grade",
    "unit",
    "barcode",
    "category",
    "price",
    "content_amount",
    "content_unit",
];

/// The columns of one table, from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<String>);

/// Why a table cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// A title that means nothing.
    #[error("column `{0}` is not known; expected some of {known}, and attribute.<name>", known = COLUMNS.join(", "))]
    Unknown(String),
    /// Two columns for the same.
    #[error("column `{0}` is there twice")]
    Twice(String),
    /// Nothing says which products these are.
    #[error("there is no column `sku`; the first line must hold the columns' names")]
    NoSku,
}

impl Columns {
    /// Reads a table's first line.
    ///
    /// # Errors
    /// See [`ColumnError`].
    pub fn read<'a>(titles: impl IntoIterator<Item = &'a str>) -> Result<Self, ColumnError> {
        let mut seen = BTreeSet::new();
        let mut columns = Vec::new();
        for title in titles {
            // Spreadsheets put a byte order mark before the first one.
            let title = title.trim_start_matches('\u{feff}').trim();
            if !COLUMNS.contains(&title) && title.strip_prefix(ATTRIBUTE).is_none_or(str::is_empty) {
                return Err(ColumnError::Unknown(title.to_owned()));
            }
            if !seen.insert(title) {
                return Err(ColumnError::Twice(title.to_owned()));
            }
            columns.push(title.to_owned());
        }
        if seen.contains("sku") { Ok(Self(columns)) } else { Err(ColumnError::NoSku) }
    }

    /// Every field, and these attributes.
    #[must_use]
    pub fn with_attributes(names: &BTreeSet<String>) -> Self {
        let fields = COLUMNS.iter().map(|&name| name.to_owned());
        Self(fields.chain(names.iter().map(|name| format!("{ATTRIBUTE}{name}"))).collect())
    }

    /// The table's first line.
    #[must_use]
    pub fn titles(&self) -> &[String] {
        &self.0
    }

    /// A line as a base event. An empty cell is a field that is absent; without a cell for it the revision is
    /// `revision`.
    #[must_use]
    pub fn event<'a>(&self, cells: impl IntoIterator<Item = &'a str>, revision: u64) -> Value {
        let mut event = Map::from_iter([("revision".to_owned(), json!(revision))]);
        let (mut content, mut attributes) = (Map::new(), Map::new());
        for (column, cell) in self.0.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            match column.as_str() {
                "revision" => {
                    event.insert("revision".to_owned(), cell.parse::<u64>().map_or_else(|_| json!(cell), Value::from));
                }
                "content_amount" => drop(content.insert("amount".to_owned(), json!(cell))),
                "content_unit" => drop(content.insert("unit".to_owned(), json!(cell))),
                column => match column.strip_prefix(ATTRIBUTE) {
                    Some(name) => drop(attributes.insert(name.to_owned(), json!(cell))),
                    None => drop(event.insert(column.to_owned(), json!(cell))),
                },
            }
        }
        for (name, inner) in [("content", content), ("attributes", attributes)] {
            if !inner.is_empty() {
                event.insert(name.to_owned(), inner.into());
            }
        }
        event.into()
    }

    /// A product as a line.
    #[must_use]
    pub fn cells(&self, revision: u64, product: &Product) -> Vec<String> {
        let Product { name, brand, spec, origin, grade, unit, barcode, category, .. } = product;
        let texts = [name, brand, spec, origin, grade, unit, barcode, category];
        let cell = |column: &String| match column.as_str() {
            "sku" => Some(product.sku.to_string()),
            "revision" => Some(revision.to_string()),
            "price" => product.price.map(|price| price.to_string()),
            "content_amount" => product.content.map(|content| content.amount.to_string()),
            "content_unit" => product.content.map(|content| content.unit.to_string()),
            column => match column.strip_prefix(ATTRIBUTE) {
                Some(name) => product.attributes.as_ref().and_then(|all| all.get(name)).map(ToString::to_string),
                None => TEXTS
                    .iter()
                    .zip(texts)
                    .find(|(name, _)| **name == column)
                    .and_then(|(_, text)| text.clone().map(Into::into)),
            },
        };
        self.0.iter().map(|column| cell(column).unwrap_or_default()).collect()
    }
}

/// The column that a problem of a row is in, if it is in one.
#[must_use]
pub fn column_of(problem: &Problem) -> Option<String> {
    match problem {
        Problem::Missing { field, .. } | Problem::Field { field, .. } => Some(field.replace("content.", "content_")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::wire::{Change, Facet, parse};

    fn product(event: &Value) -> Product {
        match parse(Facet::Base, event.to_string().as_bytes()).rows.pop().map(|row| row.change) {
            Some(Change::Base(product)) => product,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_product_comes_back_as_it_was_written() {
        let event = json!({
            "sku": "1101", "revision": 7, "name": "加州开心果", "brand": "严选", "spec": "500g/袋", "origin": "美国",
            "grade": "一级", "unit": "袋", "barcode": "6901234567892", "category": "nuts", "price": "59.90",
            "content": { "amount": "500", "unit": "g" }, "attributes": { "roast": "原味", "salt": "0.5 %" },
        });
        let columns = Columns::with_attributes(&["roast", "salt", "size"].map(str::to_owned).into());
        let cells = columns.cells(7, &product(&event));
        assert_eq!(columns.event(cells.iter().map(String::as_str), 1), event);
        assert_eq!(Columns::read(columns.titles().iter().map(String::as_str)), Ok(columns));
    }

    #[test]
    fn an_empty_cell_is_a_field_that_is_absent() {
        let columns = Columns::read(["\u{feff}sku", " price ", "content_unit", "attribute.roast"]).unwrap();
        assert_eq!(columns.event(["1101", "", "", ""], 9), json!({ "sku": "1101", "revision": 9 }));
    }

    #[test]
    fn a_table_that_cannot_be_read_says_why() {
        let told = |titles: &[&str]| Columns::read(titles.iter().copied()).unwrap_err().to_string();
        assert!(told(&["sku", "prise"]).starts_with("column `prise` is not known; expected some of sku, revision, "));
        assert!(told(&["sku", "attribute."]).starts_with("column `attribute.` is not known; "));
        assert_eq!(told(&["sku", "price", "price"]), "column `price` is there twice");
        assert_eq!(told(&["name"]), "there is no column `sku`; the first line must hold the columns' names");
    }

    proptest::proptest! {
        #[test]
        fn any_cells_are_read_without_a_panic(titles in proptest::collection::vec(".{0,12}", 0..6), cells in proptest::collection::vec(".{0,12}", 0..6)) {
            let _ = Columns::read(titles.iter().map(String::as_str));
            let columns = Columns::with_attributes(&titles.into_iter().collect());
            let event = columns.event(cells.iter().map(String::as_str), 1);
            let _ = parse(Facet::Base, event.to_string().as_bytes());
        }
    }
}
