//! What the journal records.

use gondola_protocol::{Digest, Edition, LabelId, Panel};
use serde::{Deserialize, Serialize};

use crate::accounts;
use crate::catalog::approvals::Verdict;
use crate::catalog::history::PricePoint;
use crate::catalog::sku::{PromotionId, Sku};
use crate::catalog::wire::RowKey;

/// One decision or proof. Its JSON is on disk for years: fields are added, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A label may be used in this store.
    Registered {
        /// The label.
        label: LabelId,
        /// Its display.
        panel: Panel,
        /// Where it hangs.
        #[serde(default)]
        position: Position,
    },
    /// A label was removed from this store.
    Removed {
        /// The label.
        label: LabelId,
    },
    /// A label shows these products from now on.
    Bound {
        /// The label.
        label: LabelId,
        /// 1 to 8 products.
        skus: Vec<Sku>,
        /// A template by name, instead of the rules' choice.
        template: Option<String>,
    },
    /// A label shows no product any more.
    Unbound {
        /// The label.
        label: LabelId,
    },
    /// Products cost something else from an instant on: what a struck-through price is proven by.
    Prices {
        /// The changes, in the order of their instants.
        points: Vec<PricePoint>,
    },
    /// A person decided a change that waited.
    Decided {
        /// What it was about.
        row: RowKey,
        /// The revision that waited.
        revision: u64,
        /// What the person said.
        verdict: Verdict,
    },
    /// A label has proven what its glass shows.
    Proof {
        /// The label.
        label: LabelId,
        /// What the label computed from the planes it shows.
        digest: Digest,
        /// The edition that the label reports.
        edition: Edition,
        /// The render key of the picture, 32 hexadecimal digits; none for a picture that is not ours.
        key: Option<crate::template::RenderKey>,
        /// What the picture showed; empty for a picture that is not ours.
        shown: Vec<Shown>,
    },
    /// How many bound labels agreed: once an hour.
    Accuracy {
        /// Bound labels.
        bound: u32,
        /// Of those, the ones whose glass was proven to agree.
        agreeing: u32,
    },
    /// Something about users and tokens, or who did what: in the process's own journal, in no store's.
    Account(accounts::Change),
}

/// Where a label hangs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Position {
    /// Aisle.
    pub aisle: String,
    /// Shelf within the aisle.
    pub shelf: String,
    /// Slot on the shelf.
    pub slot: String,
}

/// A product's price as a picture showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The product.
    pub sku: Sku,
    /// Revision of its base facet; none when the product was unknown.
    pub revision: Option<u64>,
    /// The promotion that made the price.
    pub promotion_id: Option<PromotionId>,
    /// Its revision.
    pub promotion_revision: Option<u64>,
    /// The price for everyone; none when the picture showed no price.
    pub price: Option<String>,
}
