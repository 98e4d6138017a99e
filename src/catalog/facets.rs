//! What the smaller sources say of a product: stock, returns, ratings, and whether the store sells it.
//!
//! Their serde forms are what the view keeps on disk, as for [`super::product::Product`].

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::text_form::word_enum;

/// The stock system's word: how much of it there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// Pieces in the store; a count that went below zero stays so.
    pub quantity: i64,
    /// Pieces below which it is ordered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reorder_level: Option<i64>,
    /// Pieces sold on an average day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sold_per_day: Option<Decimal>,
}

/// The returns system's word: a returned piece that is sold again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returns {
    /// Its Y-code.
    pub y_code: SmolStr,
    /// Its condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<SmolStr>,
}

/// The data warehouse's word: what customers think of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// The average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Decimal>,
    /// How many have rated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// The source's class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<SmolStr>,
}

word_enum! {
    /// Whether the store sells a product.
    Membership, "membership", MembershipError {
        /// It does.
        In = "in",
        /// It does not.
        Out = "out",
    }
}
