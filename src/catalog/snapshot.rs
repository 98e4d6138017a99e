//! Snapshots of a facet as NDJSON, and product files.
//!
//! A header, one row per line, an end with the count. Whatever makes the whole doubtful rejects it whole; a row
//! with a bad field is reported and the others stand. A snapshot is read line by line, so that its size costs no
//! memory; what is read is verified only once its end was seen. Opening files is the caller's business.

use std::collections::BTreeSet;
use std::io::{BufRead, Read};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sku::Sku;
use super::wire::{Change, Facet, Parsed, Place, Row, RowError, parse};

/// Most rows of a snapshot: what a store can hold.
pub const SNAPSHOT_ROWS_MAX: usize = super::PRODUCTS_MAX;

/// Longest line: a promotion that names the most products by the longest names has 3.4 MB.
pub const LINE_MAX: usize = 4 << 20;

/// Most rows of one part: as many as a message has at most, which the core applies without a pause.
pub const PART_ROWS_MAX: usize = 1_000;

/// A part with this many bytes ends: a message's size, so that large rows do not make a long pause.
const PART_BYTES_MAX: usize = 1 << 20;

/// What a snapshot says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Of which source.
    pub facet: Facet,
    /// The source's number for it.
    pub generation: u64,
    /// Change messages up to this number are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Whether lower revisions than the stored ones hold: the source was restored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

/// A snapshot that arrived whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its first line.
    pub header: Header,
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
    #[error("line 1 is no snapshot header; expected {{\"snapshot\":{{\"facet\":\"{facet}\",\"generation\":1}}}}")]
    NoHeader {
        /// What was asked for.
        facet: Facet,
    },
    /// A header for something else.
    #[error("line 1: the snapshot is of facet `{found}`; expected `{facet}`")]
    WrongFacet {
        /// What was asked for.
        facet: Facet,
        /// As the header says.
        found: Facet,
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
    /// A line that no row needs.
    #[error("line {line} is longer than {LINE_MAX} bytes")]
    LongLine {
        /// Which one.
        line: usize,
    },
    /// What it is read from failed.
    #[error("line {line} cannot be read ({reason})")]
    Unreadable {
        /// Which one.
        line: usize,
        /// The system's words.
        reason: String,
    },
}

#[derive(Deserialize)]
struct HeaderLine {
    snapshot: Header,
}

#[derive(Deserialize)]
struct EndLine {
    end: End,
}

#[derive(Deserialize)]
struct End {
    count: u64,
}

/// Reads a snapshot's lines one after the other.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    header: Header,
    /// The line that was read last.
    line: usize,
    text: Vec<u8>,
    is_whole: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// It is none, or one of another facet.
    pub fn open(facet: Facet, source: R) -> Result<Self, SnapshotError> {
        let header = Header { facet, generation: 0, seq: None, reset: false };
        let mut reader = Self { source, header, line: 0, text: Vec::new(), is_whole: false };
        reader.read_line()?;
        let header = serde_json::from_slice(&reader.text).map_err(|_| SnapshotError::NoHeader { facet })?;
        let HeaderLine { snapshot: header } = header;
        if header.facet != facet {
            return Err(SnapshotError::WrongFacet { facet, found: header.facet });
        }
        reader.header = header;
        Ok(reader)
    }

    /// What the snapshot says of itself.
    #[must_use]
    pub const fn header(&self) -> Header {
        self.header
    }

    /// The line that was read last, counted from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Reads to the end without a look at the rows' fields, and answers how many rows there are.
    ///
    /// # Errors
    /// The snapshot is not whole.
    pub fn verify(mut self) -> Result<usize, SnapshotError> {
        while self.next_row()?.is_some() {}
        Ok(self.line - 2)
    }

    /// The next rows, at most [`PART_ROWS_MAX`] lines; none after the end.
    ///
    /// # Errors
    /// The snapshot is not whole.
    pub fn next_part(&mut self) -> Result<Option<Parsed>, SnapshotError> {
        let mut part = Parsed::default();
        let (mut lines, mut bytes) = (0, 0);
        while lines < PART_ROWS_MAX && bytes < PART_BYTES_MAX {
            let Some(row) = self.next_row()? else { break };
            part.read_snapshot_row(self.header.facet, Place::Line(self.line), &row);
            lines += 1;
            bytes += self.text.len();
        }
        Ok((lines > 0).then_some(part))
    }

    /// The next row as it stands; none after the end.
    ///
    /// # Errors
    /// The snapshot is not whole.
    pub fn next_row(&mut self) -> Result<Option<Value>, SnapshotError> {
        if self.is_whole {
            return Ok(None);
        }
        let last = self.line;
        if !self.read_line()? {
            return Err(SnapshotError::NoEnd { line: last });
        }
        let (line, found) = (self.line, self.line - 2);
        let value: Value = serde_json::from_slice(&self.text)
            .map_err(|error| SnapshotError::BrokenJson { line, reason: error.to_string() })?;
        if let Ok(EndLine { end }) = EndLine::deserialize(&value) {
            if u64::try_from(found) != Ok(end.count) {
                return Err(SnapshotError::WrongCount { line, expected: end.count, found });
            }
            if self.read_line()? {
                return Err(SnapshotError::AfterEnd { line: self.line });
            }
            self.line = line;
            self.is_whole = true;
            return Ok(None);
        }
        if found >= SNAPSHOT_ROWS_MAX {
            return Err(SnapshotError::TooManyRows { line });
        }
        Ok(Some(value))
    }

    /// Reads the next line without its end. Answers whether there is one.
    fn read_line(&mut self) -> Result<bool, SnapshotError> {
        self.line += 1;
        self.text.clear();
        let mut limited = (&mut self.source).take(LINE_MAX as u64 + 1);
        let unreadable =
            |error: std::io::Error| SnapshotError::Unreadable { line: self.line, reason: error.to_string() };
        let read = limited.read_until(b'\n', &mut self.text).map_err(unreadable)?;
        if self.text.last() == Some(&b'\n') {
            self.text.pop();
        }
        if self.text.len() > LINE_MAX {
            return Err(SnapshotError::LongLine { line: self.line });
        }
        Ok(read > 0)
    }
}

/// Reads a catalog file: a snapshot of the base facet.
///
/// # Errors
/// The snapshot is not whole.
pub fn read_catalog(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    let mut reader = Reader::open(Facet::Base, bytes)?;
    let (mut rows, mut errors, mut unknown_fields) = (Vec::new(), Vec::new(), BTreeSet::new());
    while let Some(part) = reader.next_part()? {
        rows.extend(part.rows);
        errors.extend(part.errors);
        unknown_fields.extend(part.unknown_fields);
    }
    Ok(Snapshot { header: reader.header(), rows, errors, unknown_fields })
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
        let header = Header { facet: Facet::Base, generation: 4, seq: Some(812), reset: false };
        assert_eq!((snapshot.header, snapshot.rows.len()), (header, 1));
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
    fn a_snapshot_cut_at_any_byte_is_rejected() {
        let whole = [HEADER, ROW, r#"{"end":{"count":1}}"#].join("\n");
        let read = |bytes: &[u8]| Reader::open(Facet::Base, bytes).and_then(Reader::verify);
        assert_eq!(read(whole.as_bytes()), Ok(1));
        for cut in 0..whole.len() {
            assert!(read(&whole.as_bytes()[..cut]).is_err(), "cut at byte {cut}");
        }
    }

    #[test]
    fn parts_have_a_bounded_number_of_rows_and_bytes() {
        let parts = |rows: usize, row: &str| {
            let rows = format!("{row}\n").repeat(rows);
            let text = format!("{HEADER}\n{rows}{{\"end\":{{\"count\":{}}}}}", rows.lines().count());
            let mut reader = Reader::open(Facet::Base, text.as_bytes()).unwrap();
            std::iter::from_fn(|| reader.next_part().unwrap()).map(|part| part.rows.len()).collect::<Vec<_>>()
        };
        assert_eq!(parts(2_500, ROW), [1_000, 1_000, 500]);
        assert_eq!(parts(0, ROW), [0; 0]);
        let long = format!(r#"{{"sku":"1101","revision":7,"unknown":"{}"}}"#, "x".repeat(400_000));
        assert_eq!(parts(4, &long), [3, 1]);
    }

    #[test]
    fn a_line_without_an_end_is_rejected() {
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        assert_eq!(Reader::open(Facet::Base, endless).unwrap_err(), SnapshotError::LongLine { line: 1 });
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

        #[test]
        fn a_snapshot_verifies_as_its_parts_are_read(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let text = [HEADER.as_bytes(), b"\n", ROW.as_bytes(), &bytes, b"\n{\"end\":{\"count\":1}}"].concat();
            let verified = Reader::open(Facet::Base, &text[..]).and_then(Reader::verify).map(|_| ());
            proptest::prop_assert_eq!(verified, read_catalog(&text).map(|_| ()));
        }
    }
}
