//! What can be wrong with a row of the feed, each said in one sentence.

use std::fmt;

use super::{Facet, ROWS_MAX, RowKey};

/// A row, or a message, that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The facet that the message was for.
    pub facet: Facet,
    /// Where it stands.
    pub place: Place,
    /// Whose row it is, where that much could be read.
    pub key: Option<RowKey>,
    /// What was found and what was expected.
    pub problem: Problem,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.facet, self.place)?;
        if let Some(key) = &self.key {
            write!(f, ", {key}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for RowError {}

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The message as a whole.
    Message,
    /// A row of a message, counted from 1.
    Row(usize),
    /// A line of a snapshot, counted from 1.
    Line(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message => f.write_str("message"),
            Self::Row(number) => write!(f, "row {number}"),
            Self::Line(number) => write!(f, "line {number}"),
        }
    }
}

/// What was found, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Broken JSON.
    #[error("not JSON ({reason}); expected one object or an array of at most {ROWS_MAX} objects")]
    NotJson {
        /// The JSON reader's words, with line and column.
        reason: String,
    },
    /// JSON, but neither an object nor an array.
    #[error("found {found}; expected one object or an array of at most {ROWS_MAX} objects")]
    NotRows {
        /// What stands there.
        found: String,
    },
    /// An array that is too long.
    #[error("found {count} rows; expected at most {ROWS_MAX}")]
    TooManyRows {
        /// Its length.
        count: usize,
    },
    /// A row that is no object.
    #[error("found {found}; expected an object")]
    NotAnObject {
        /// What stands there.
        found: String,
    },
    /// A field without which the row means nothing.
    #[error("`{field}` is missing; expected {expected}")]
    Missing {
        /// Its name.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A field with a value that it cannot have.
    #[error("`{field}` is {found}; expected {expected}")]
    Field {
        /// Its name.
        field: String,
        /// What stands there.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A field that means nothing, where that is an error.
    #[error("`{field}` is not a field of this item; leave it out")]
    UnknownField {
        /// Its name.
        field: String,
    },
    /// A SKU that an assortment both adds and removes.
    #[error("sku `{sku}` is in `add` and in `remove`; expected it in one of them")]
    Both {
        /// The SKU.
        sku: String,
    },
}
