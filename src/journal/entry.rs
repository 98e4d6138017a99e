//! What the journal records.

mod kind;

use std::fmt;

use gondola_protocol::{Digest, Edition, LabelId, Moment, Panel};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::accounts;
use crate::alert::{Alert, Rule, State};
use crate::catalog::approvals::Verdict;
use crate::catalog::history::PricePoint;
use crate::catalog::sku::{PromotionId, Sku};
use crate::catalog::wire::RowKey;

/// Defines the entries, and what reads one whose kind is known.
macro_rules! entries {
    ($(#[$doc:meta])* pub enum Entry { $($variants:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum Entry { $($variants)* }

        #[derive(Deserialize)]
        #[serde(remote = "Entry", rename_all = "snake_case")]
        enum OfKind { $($variants)* }
    };
}

entries! {
    /// One decision or proof. Its JSON is on disk for years: fields are added, never changed.
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
            template: Option<Box<str>>,
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
            /// When the label last confirmed the picture before this one, in microseconds since the Unix epoch; none
            /// where it never did after that one's proof.
            #[serde(default, skip_serializing_if = "Option::is_none", with = "micros")]
            previous_until: Option<Moment>,
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
        /// Labels have confirmed, at check-ins, that they still show what they had proven.
        Confirmed {
            /// Which, at most [`CONFIRMED_MAX`].
            labels: Vec<Confirmed>,
        },
        /// There is news of an alert: it holds, somebody looks after it, or it is over.
        Alert(Alert),
        /// Another device took a label's place, with all that it showed.
        Replaced {
            /// The label, which shows nothing and hangs nowhere from now on.
            label: LabelId,
            /// Its display.
            panel: Panel,
            /// What took its place.
            with: LabelId,
            /// The display of that.
            with_panel: Panel,
            /// Where it hangs now.
            #[serde(default)]
            position: Position,
            /// What it shows now, 1 to 8 products.
            skus: Vec<Sku>,
            /// A template by name, instead of the rules' choice.
            template: Option<Box<str>>,
        },
    }
}

impl Entry {
    /// Whether it says something of a label.
    #[must_use]
    pub fn is_about(&self, id: LabelId) -> bool {
        match self {
            Self::Registered { label, .. }
            | Self::Removed { label }
            | Self::Bound { label, .. }
            | Self::Unbound { label }
            | Self::Proof { label, .. } => *label == id,
            Self::Replaced { label, with, .. } => [*label, *with].contains(&id),
            Self::Confirmed { labels } => labels.iter().any(|confirmed| confirmed.label == id),
            Self::Alert(alert) => alert.rule == Rule::DuplicateId && alert.subject == id.to_string(),
            Self::Prices { .. } | Self::Decided { .. } | Self::Accuracy { .. } | Self::Account(_) => false,
        }
    }

    /// Whether it names a product.
    #[must_use]
    pub fn names(&self, sku: &Sku) -> bool {
        match self {
            Self::Bound { skus, .. } | Self::Replaced { skus, .. } => skus.contains(sku),
            Self::Prices { points } => points.iter().any(|point| point.sku == *sku),
            Self::Decided { row, .. } => matches!(row, RowKey::Sku(_, of) if of == sku),
            Self::Proof { shown, .. } => shown.iter().any(|shown| shown.sku == *sku),
            Self::Alert(alert) => alert.rule == Rule::NotForSale && alert.subject == sku.as_str(),
            Self::Registered { .. }
            | Self::Removed { .. }
            | Self::Unbound { .. }
            | Self::Confirmed { .. }
            | Self::Accuracy { .. }
            | Self::Account(_) => false,
        }
    }
}

/// As a sentence for people; of many products or labels how many they are.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { label, panel, position } => {
                write!(f, "label {label} registered with panel {panel}")?;
                let Position { aisle, shelf, slot } = position;
                let is_known = !(aisle.is_empty() && shelf.is_empty() && slot.is_empty());
                if is_known { write!(f, " at aisle {aisle}, shelf {shelf}, slot {slot}") } else { Ok(()) }
            }
            Self::Removed { label } => write!(f, "label {label} removed"),
            Self::Bound { label, skus, template } => {
                write!(f, "label {label} bound to {}", list(skus.iter().map(Sku::to_string)))?;
                template.iter().try_for_each(|template| write!(f, " with template {template}"))
            }
            Self::Unbound { label } => write!(f, "label {label} unbound"),
            Self::Prices { points } => {
                let price = |point: &PricePoint| {
                    let price = point.price.map_or_else(|| "no price".to_owned(), |price| price.to_string());
                    format!("{} {price}", point.sku)
                };
                write!(f, "prices changed: {}", list(points.iter().map(price)))
            }
            Self::Decided { row, revision, verdict } => {
                let verdict = if *verdict == Verdict::Approved { "approved" } else { "rejected" };
                write!(f, "{row}, revision {revision}, {verdict}")
            }
            Self::Proof { label, digest, edition, shown, .. } => {
                write!(f, "label {label} proved edition {edition}, digest {digest}")?;
                let price = |it: &Shown| format!("{} {}", it.sku, it.price.as_deref().unwrap_or("no price"));
                if shown.is_empty() { Ok(()) } else { write!(f, ", showing {}", list(shown.iter().map(price))) }
            }
            Self::Accuracy { bound, agreeing } => write!(f, "{agreeing} of {bound} bound labels agreed"),
            Self::Account(change) => write!(f, "{change}"),
            Self::Replaced { label, with, skus, .. } => {
                write!(f, "label {label} replaced with {with}, showing {}", list(skus.iter().map(Sku::to_string)))
            }
            Self::Alert(alert) => match (&alert.acknowledged, alert.state) {
                (Some(seen), State::Raised) => write!(f, "alert {} acknowledged by {}", alert.id(), seen.by),
                _ => write!(f, "alert {} {}: {}", alert.id(), alert.state, alert.text),
            },
            Self::Confirmed { labels } => {
                let name = |confirmed: &Confirmed| confirmed.label.to_string();
                write!(f, "still shown as proven: {}", list(labels.iter().map(name)))
            }
        }
    }
}

/// Things that a line for people names; of more it says how many.
const LISTED_MAX: usize = 8;

fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(LISTED_MAX);
    let mut text = names.take(LISTED_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

/// Labels in one [`Entry::Confirmed`]: some 50 KB, so that a large store's confirmations are a few dozen records.
pub const CONFIRMED_MAX: usize = 1_000;

/// A label's last word that its picture is still there. On disk it is `[label, proof, until]`, because there are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(LabelId, u64, u64)", from = "(LabelId, u64, u64)")]
pub struct Confirmed {
    /// The label.
    pub label: LabelId,
    /// The record of the proof that it confirms.
    pub proof: u64,
    /// When the label last said so.
    pub until: Moment,
}

impl From<Confirmed> for (LabelId, u64, u64) {
    fn from(Confirmed { label, proof, until }: Confirmed) -> Self {
        (label, proof, until.as_micros())
    }
}

impl From<(LabelId, u64, u64)> for Confirmed {
    fn from((label, proof, until): (LabelId, u64, u64)) -> Self {
        Self { label, proof, until: Moment::from_micros(until) }
    }
}

mod micros {
    use gondola_protocol::Moment;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(moment: &Option<Moment>, serializer: S) -> Result<S::Ok, S::Error> {
        moment.map(Moment::as_micros).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Moment>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Moment::from_micros))
    }
}

/// Where a label hangs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Position {
    /// Aisle.
    pub aisle: SmolStr,
    /// Shelf within the aisle.
    pub shelf: SmolStr,
    /// Slot on the shelf.
    pub slot: SmolStr,
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
    pub price: Option<SmolStr>,
}
