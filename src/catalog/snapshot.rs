//! Snapshots of the base facet as NDJSON, and product files: what commands read instead of a feed.
//!
//! A header, one row per line, an end with the count. Whatever makes the whole doubtful rejects it whole; a row
//! with a bad field is reported and the others stand. Opening the file is the caller's business.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::sku::Sku;
use super::wire::{Change, Facet, Parsed, Place, Row, RowError, parse};

/// Most rows of a snapshot: what a store can hold.
pub const SNAPSHOT_ROWS_MAX: usize = super::PRODUCTS_MAX;

/// A snapshot that arrived whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The source's number for it.
    pub generation: u64,
    /// Valid rows in the file's order.
    pub rows: Vec<Row>,
    /// Rows with a bad field.
    pub errors: Vec<RowError>,
    /// Fields that this version does not know.
    pub unknown_fields: BTreeSet<String>,
}

/// Why a snapshot is not used at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The first line is no header.
    #[error("line 1 is no snapshot header; expected {{\"snapshot\":{{\"facet\":\"base\",\"generation\":1}}}}")]
    NoHeader,
    /// A header for something else.
    #[error("line 1: the snapshot is of facet `{facet}`; expected `base`")]
    WrongFacet {
        /// As the header says.
        facet: String,
    },
    /// A line that is not JSON.
    #[error("line {line} is not JSON ({reason}); nothing of the file is used")]
    BrokenJson {
        /// Counted from 1.
        line: usize,
        /// The JSON reader's words.
        reason: String,
    },
    /// The file stops before its end.
    #[error("the file stops after line {line} without {{\"end\":{{\"count\":…}}}}, so it may be cut off")]
    NoEnd {
        /// The last line.
        line: usize,
    },
    /// The end names another number of rows.
    #[error("line {line}: the end says {expected} rows, but {found} were read, so some may be missing")]
    WrongCount {
        /// The end's line.
        line: usize,
        /// What it says.
        expected: u64,
        /// What there is.
        found: usize,
    },
    /// Something follows the end.
    #[error("line {line} follows the end of the snapshot; expected nothing there")]
    AfterEnd {
        /// The first such line.
        line: usize,
    },
    /// More rows than a store holds.
    #[error("line {line}: more than {SNAPSHOT_ROWS_MAX} rows, the most that a store holds")]
    TooManyRows {
        /// Where it went over.
        line: usize,
    },
}

#[derive(Deserialize)]
struct HeaderLine {
    snapshot: Header,
}

#[derive(Deserialize)]
struct Header {
    facet: String,
    generation: u64,
}

#[derive(Deserialize)]
struct EndLine {
    end: End,
}

#[derive(Deserialize)]
struct End {
    count: u64,
}

/// Reads a catalog file: a snapshot of the base facet.
pub fn read_catalog(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    let mut lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n').zip(1..);
    let first = lines.next().map_or(&[][..], |(line, _)| line);
    let HeaderLine { snapshot: header } = serde_json::from_slice(first).map_err(|_| SnapshotError::NoHeader)?;
    if header.facet != Facet::Base.as_str() {
        return Err(SnapshotError::WrongFacet { facet: header.facet });
    }
    let mut parsed = Parsed::default();
    let mut last = 1;
    for (bytes, line) in lines.by_ref() {
        let value = json(bytes, line)?;
        let found = line - 2;
        if let Ok(EndLine { end }) = EndLine::deserialize(&value) {
            check_end(&end, line, found)?;
            return match lines.next() {
                Some((_, line)) => Err(SnapshotError::AfterEnd { line }),
                None => Ok(snapshot(header.generation, parsed)),
            };
        }
        if found >= SNAPSHOT_ROWS_MAX {
            return Err(SnapshotError::TooManyRows { line });
        }
        parsed.read_snapshot_row(Facet::Base, Place::Line(line), &value);
        last = line;
    }
    Err(SnapshotError::NoEnd { line: last })
}

fn json(bytes: &[u8], line: usize) -> Result<Value, SnapshotError> {
    serde_json::from_slice(bytes).map_err(|error| SnapshotError::BrokenJson { line, reason: error.to_string() })
}

fn check_end(end: &End, line: usize, found: usize) -> Result<(), SnapshotError> {
    if u64::try_from(found) == Ok(end.count) {
        return Ok(());
    }
    Err(SnapshotError::WrongCount { line, expected: end.count, found })
}

fn snapshot(generation: u64, parsed: Parsed) -> Snapshot {
    Snapshot { generation, rows: parsed.rows, errors: parsed.errors, unknown_fields: parsed.unknown_fields }
}

/// One product with its promotions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductFile {
    /// The product.
    pub sku: Sku,
    /// Its row, then its promotions' rows.
    pub rows: Vec<Row>,
    /// Fields that this version does not know.
    pub unknown_fields: BTreeSet<String>,
}

/// Why a file is no product file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProductFileError {
    /// Something in it is wrong; the first thing that is.
    #[error(transparent)]
    Row(#[from] RowError),
    /// No product, a deleted one, or several.
    #[error("the file holds {found} products; expected one base event, such as {{\"sku\":\"1101\",\"revision\":1,…}}")]
    NotOneProduct {
        /// How many it holds.
        found: usize,
    },
}

/// Reads a product file: one base event, its promotions inside.
pub fn read_product(bytes: &[u8]) -> Result<ProductFile, ProductFileError> {
    let Parsed { rows, errors, unknown_fields, .. } = parse(Facet::Base, bytes);
    if let Some(error) = errors.into_iter().next() {
        return Err(error.into());
    }
    let skus: Vec<&Sku> = rows
        .iter()
        .filter_map(|row| if let Change::Base(product) = &row.change { Some(&product.sku) } else { None })
        .collect();
    match skus[..] {
        [sku] => Ok(ProductFile { sku: sku.clone(), rows, unknown_fields }),
        _ => Err(ProductFileError::NotOneProduct { found: skus.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"snapshot":{"facet":"base","generation":4,"seq":812}}"#;
    const ROW: &str = r#"{"sku":"1101","revision":7,"price":"59.90"}"#;

    #[track_caller]
    fn check(lines: &[&str], sentence: &str) {
        assert_eq!(read_catalog(lines.join("\n").as_bytes()).unwrap_err().to_string(), sentence);
    }

    #[test]
    fn a_whole_snapshot_is_read() {
        let bad = r#"{"sku":"1102","revision":7,"price":59.9}"#;
        let lines = [HEADER, ROW, bad, r#"{"end":{"count":2}}"#, ""].join("\n");
        let snapshot = read_catalog(lines.as_bytes()).unwrap();
        assert_eq!((snapshot.generation, snapshot.rows.len()), (4, 1));
        assert_eq!(
            snapshot.errors[0].to_string(),
            "base line 3, sku `1102`: `price` is the number 59.9; expected an amount as a decimal string such as \"59.90\""
        );
        let windows = lines.replace('\n', "\r\n");
        assert_eq!(read_catalog(windows.as_bytes()), Ok(snapshot));
    }

    #[test]
    fn a_doubtful_snapshot_is_rejected_whole() {
        let no_header = r#"line 1 is no snapshot header; expected {"snapshot":{"facet":"base","generation":1}}"#;
        check(&[], no_header);
        check(&[ROW], no_header);
        check(
            &[r#"{"snapshot":{"facet":"stock","generation":4}}"#],
            "line 1: the snapshot is of facet `stock`; expected `base`",
        );
        check(
            &[HEADER, ROW, "{"],
            "line 3 is not JSON (EOF while parsing an object at line 1 column 1); nothing of the file is used",
        );
        check(&[HEADER, ROW], "the file stops after line 2 without {\"end\":{\"count\":…}}, so it may be cut off");
        check(
            &[HEADER, ROW, r#"{"end":{"count":2}}"#],
            "line 3: the end says 2 rows, but 1 were read, so some may be missing",
        );
        check(
            &[HEADER, ROW, r#"{"end":{"count":1}}"#, ROW],
            "line 4 follows the end of the snapshot; expected nothing there",
        );
    }

    #[test]
    fn a_product_file_holds_one_product() {
        assert_eq!(read_product(ROW.as_bytes()).unwrap().sku.as_str(), "1101");
        let two = format!("[{ROW},{ROW}]");
        assert_eq!(
            read_product(two.as_bytes()).unwrap_err().to_string(),
            "the file holds 2 products; expected one base event, such as {\"sku\":\"1101\",\"revision\":1,…}"
        );
        assert!(matches!(
            read_product(br#"{"sku":"1101","revision":8,"deleted":true}"#),
            Err(ProductFileError::NotOneProduct { found: 0 })
        ));
        assert!(matches!(read_product(b"{}"), Err(ProductFileError::Row(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..256)) {
            let _ = read_catalog(&bytes);
            let _ = read_catalog(&[HEADER.as_bytes(), b"\n", &bytes].concat());
            let _ = read_product(&bytes);
        }
    }
}
