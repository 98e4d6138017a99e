//! What goes into the core and what comes out of it.

use std::collections::BTreeSet;
use std::fmt;

use gondola_drivers::head::{HeadEvent, Picture};
use gondola_protocol::{Digest, LabelId, Panel, Planes, StationId, TransferNumber};

use crate::catalog::sku::Sku;
use crate::catalog::wire::{Row, RowKey};
use crate::fleet::label::SKUS_MAX;
use crate::journal::entry::{Entry, Position};
use crate::storage::ViewChange;
use crate::template::Scene;

/// Names a feed message until it may be acknowledged to the broker.
pub type Delivery = u64;

/// Names a request until it is answered.
pub type Ticket = u64;

/// Something happened.
#[derive(Debug)]
pub enum Input {
    /// A feed message's valid rows, in their order.
    Feed {
        /// What to acknowledge once the rows are safe; none for rows that no broker sent.
        delivery: Option<Delivery>,
        /// The rows.
        rows: Vec<Row>,
    },
    /// Somebody wants something.
    Request {
        /// What the reply carries.
        ticket: Ticket,
        /// What is wanted.
        request: Request,
    },
    /// A base station's head has news.
    Station(StationId, HeadEvent),
    /// A picture was made.
    Rendered {
        /// For which transfer.
        number: TransferNumber,
        /// The picture.
        planes: Planes,
    },
    /// Render threads or base station had no room for a transfer after all.
    Unsent(TransferNumber),
    /// The journal holds the first `n` of the appended batches for good.
    Synced(u64),
    /// The view holds the first `n` of the stored batches.
    Stored(u64),
}

/// Something is to be done.
#[derive(Debug)]
pub enum Output {
    /// Append to the journal, as one batch.
    Append(Vec<Entry>),
    /// Write to the view, as one batch.
    Store(Vec<ViewChange>),
    /// Drop every kept picture but these and the newest.
    KeepPictures(BTreeSet<Digest>),
    /// Make a picture.
    Render {
        /// For which transfer.
        number: TransferNumber,
        /// What to draw.
        scene: Scene,
    },
    /// Hand a picture to a base station, with the picture of this digest as the one that its label holds, where
    /// that is still at hand.
    Send(StationId, Picture, Option<Digest>),
    /// Tell a base station that a transfer is no longer wanted.
    Cancel(StationId, TransferNumber),
    /// Acknowledge feed messages to the broker.
    Acknowledge(Delivery),
    /// Answer a request.
    Reply(Ticket, Result<(), Refusal>),
    /// A label's state changed: whoever watches it may look again.
    Changed(LabelId),
    /// A person should know.
    Notice(Notice),
}

/// What may be asked of the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Use a label in this store. Registering it again updates its position.
    Register {
        /// The label.
        label: LabelId,
        /// Its display.
        panel: Panel,
        /// Where it hangs.
        position: Position,
    },
    /// Stop using a label.
    Remove {
        /// The label.
        label: LabelId,
    },
    /// Let a label show products.
    Bind {
        /// The label.
        label: LabelId,
        /// 1 to 8 products.
        skus: Vec<Sku>,
        /// A template by name, instead of the rules' choice.
        template: Option<String>,
        /// Whether products that nobody has told of yet are fine.
        unknown: UnknownSkus,
    },
    /// Let a label show nothing.
    Unbind {
        /// The label.
        label: LabelId,
    },
}

/// What to do with a binding to a product that nobody has told of yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownSkus {
    /// Bind: the product will come.
    Allow,
    /// Refuse: it is more likely a slip of the scanner.
    Refuse,
}

/// Why a request is not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The label is not registered in this store.
    #[error("label {0} is not registered in this store; register it first")]
    UnknownLabel(LabelId),
    /// The label is registered as another device.
    #[error("label {label} is registered with panel {registered}, not {asked}; remove it first")]
    OtherPanel {
        /// The label.
        label: LabelId,
        /// As registered.
        registered: Panel,
        /// As asked for.
        asked: Panel,
    },
    /// Products that nobody has told of.
    #[error("no source has told of sku {}; pass \"allow_unknown\": true to bind it all the same", list(.0))]
    UnknownSkus(Vec<Sku>),
    /// Too few or too many products.
    #[error("a label shows 1 to {SKUS_MAX} products, not {0}")]
    SkuCount(usize),
    /// A template that does not exist.
    #[error("template `{0}` does not exist; there are {known}", known = .1.join(", "))]
    UnknownTemplate(String, Vec<String>),
}

fn list(skus: &[Sku]) -> String {
    skus.iter().map(Sku::as_str).collect::<Vec<_>>().join(", ")
}

/// Something that a person should know, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A label that is not ours wants to be served.
    UnregisteredLabel {
        /// The label.
        label: LabelId,
        /// Its display.
        panel: Panel,
        /// Who heard it.
        station: StationId,
    },
    /// A label has a fault, or lost it.
    Fault {
        /// The label.
        label: LabelId,
        /// What is wrong.
        fault: String,
    },
    /// A source sent a row older than what is known: late, or its system was restored.
    Regressed {
        /// Which row.
        row: RowKey,
        /// The revision that is known.
        stored: u64,
    },
    /// A source sent a row that the catalog cannot take.
    RefusedRow {
        /// Which row.
        row: RowKey,
        /// Why.
        reason: String,
    },
    /// A base station opened a session.
    StationUp(StationId),
    /// A base station went away.
    StationDown {
        /// Which one.
        station: StationId,
        /// Why.
        reason: String,
    },
    /// A frame or message was no good.
    Dropped {
        /// From which base station.
        station: StationId,
        /// What was wrong with it.
        reason: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnregisteredLabel { label, panel, station } => write!(
                f,
                "label {label} ({panel}), heard by base station `{station}`, is not registered in this store: \
                 it gets nothing until somebody registers it"
            ),
            Self::Fault { label, fault } => write!(f, "label {label}: {fault}"),
            Self::Regressed { row, stored } => {
                write!(f, "feed: {row} is ignored, its revision is below {stored}, which is known already")
            }
            Self::RefusedRow { row, reason } => write!(f, "feed: {row} is refused: {reason}"),
            Self::StationUp(station) => write!(f, "base station `{station}` is up"),
            Self::StationDown { station, reason } => write!(f, "base station `{station}` is away: {reason}"),
            Self::Dropped { station, reason } => write!(f, "base station `{station}`: {reason}"),
        }
    }
}
