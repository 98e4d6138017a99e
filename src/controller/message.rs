//! What goes into the core and what comes out of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gondola_drivers::Action;
use gondola_drivers::encode::Packed;
use gondola_drivers::head::{Ahead, HeadEvent, Picture};
use gondola_protocol::message::Lane;
use gondola_protocol::{Digest, LabelId, Millivolts, Moment, Panel, Planes, StationId, TransferNumber};

use crate::alert::{self, Alert, Rule};
use crate::catalog::approvals::{HeldId, Verdict};
use crate::catalog::guard::Suspicion;
use crate::catalog::sku::Sku;
use crate::catalog::wire::{Facet, Row, RowKey};
use crate::catalog::{Applied, SnapshotPart};
use crate::confirmation::Confirmation;
use crate::fleet::ahead::Switch;
use crate::fleet::health::{Health, Problem};
use crate::fleet::label::SKUS_MAX;
use crate::instant;
use crate::journal::Position as JournalPosition;
use crate::journal::entry::{Entry, Position};
use crate::storage::ViewChange;
use crate::template::{Scene, SceneError, Templates};

use super::trials::{Draft, TRIALS_MAX};

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
        /// Whose message it is.
        facet: Facet,
        /// The rows.
        rows: Vec<Row>,
        /// The running numbers of the message's elements.
        seqs: Vec<u64>,
    },
    /// A part of a snapshot that was received whole and found to be in order.
    Snapshot(SnapshotPart),
    /// A full reload is over, one way or the other.
    ReloadEnded {
        /// Of which facet.
        facet: Facet,
        /// What it brought, or why it failed: a sentence that says what was attempted, on what, and why it failed.
        outcome: Result<ReloadReport, String>,
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
    /// A base station that is not configured came to our port, and was turned away.
    TurnedAway(StationId),
    /// A picture was made.
    Rendered {
        /// For which transfer.
        number: TransferNumber,
        /// The picture.
        planes: Planes,
        /// The same, packed as was asked for.
        packed: Option<Packed>,
    },
    /// Render threads or base station had no room for a transfer after all.
    Unsent(TransferNumber),
    /// The journal holds the first so many of the appended batches for good.
    Synced {
        /// How many.
        batches: u64,
        /// Its newest record, if its shell has one.
        head: Option<JournalPosition>,
    },
    /// The journal cannot be written to, and says why; what it was given waits, and it goes on by itself.
    JournalFailed(String),
    /// The view holds the first `n` of the stored batches.
    Stored(u64),
    /// Templates were changed: these hold from now on.
    Templates(Arc<Templates>),
    /// How much room the disk has on which the journal lies.
    Disk {
        /// Bytes that are free for us.
        free: u64,
        /// Bytes that there are.
        total: u64,
    },
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
    /// Make a picture, and pack it.
    Render {
        /// For which transfer.
        number: TransferNumber,
        /// What to draw.
        scene: Scene,
        /// The encodings to choose from when it is packed, a bit each.
        encodings: u8,
        /// The digest of the picture that its label holds: it is packed as the difference to that, where that is still
        /// at hand and the difference is smaller.
        base: Option<Digest>,
    },
    /// Hand a picture to a base station.
    Send {
        /// Which one.
        station: StationId,
        /// The picture.
        picture: Picture,
        /// The digest of the picture that its label holds, to be sent along where it is still at hand.
        base: Option<Digest>,
        /// When the label is to show it; none for at once.
        ahead: Option<Ahead>,
    },
    /// Let a base station tell labels to do something.
    Command {
        /// Which one.
        station: StationId,
        /// What they are to do.
        action: Action,
        /// How it waits.
        lane: Lane,
        /// Who, each under the number that gets an outcome.
        labels: Vec<(TransferNumber, LabelId)>,
    },
    /// Tell a base station that a transfer is no longer wanted.
    Cancel(StationId, TransferNumber),
    /// Acknowledge feed messages to the broker.
    Acknowledge(Delivery),
    /// Answer a request.
    Reply(Ticket, Result<Answer, Refusal>),
    /// Something changed: whoever watches it may look again.
    Changed(Changed),
    /// A person should know.
    Notice(Notice),
    /// Fetch a facet whole.
    Reload {
        /// Which one.
        facet: Facet,
        /// What for.
        why: ReloadReason,
    },
    /// Tell the outside.
    Publish(Publication),
}

/// What changed. It says where to look, not what is to be seen there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// The store: a base station came or went, a reload ended, or the journal began or ceased to fail.
    Store,
    /// A label.
    Label(LabelId),
    /// Somebody pressed a label's button; its buttons are counted from 1.
    Button(LabelId, u8),
    /// An alert, by its id.
    Alert(String),
    /// A change that waits for a person, or waited.
    Approval(RowKey),
}

/// What may be asked of the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Something about one label.
    Label(LabelRequest),
    /// Take in rows that came otherwise than over the feed.
    Apply {
        /// The rows.
        rows: Vec<Row>,
    },
    /// Decide a change that waits for a person.
    Decide {
        /// Which change.
        id: HeldId,
        /// What the person says.
        verdict: Verdict,
    },
    /// Note that somebody looks after an alert.
    Acknowledge {
        /// What the alert is about.
        rule: Rule,
        /// Whom or what it concerns.
        subject: String,
        /// Who: a user's name, or `token <id>`.
        by: String,
    },
    /// Let labels do something: carried out once the base stations have room.
    Command {
        /// Who.
        labels: Vec<LabelId>,
        /// What.
        action: Action,
    },
    /// Look at labels again, and send what differs.
    Push(PushOrder),
    /// Reload facets whole.
    Reload {
        /// Which ones.
        facets: Vec<Facet>,
    },
    /// Let a label show a draft of a template for a while. It is not kept: a restart ends it.
    Try {
        /// The label.
        label: LabelId,
        /// The draft; none ends what it tries.
        draft: Option<Draft>,
    },
    /// Register every label that reports within a time, or no more of them.
    Enrol {
        /// How long, at most [`ENROLMENT_MAX`]; zero ends it.
        within: Duration,
    },
}

/// Longest time for which labels are registered unasked: an afternoon of hanging labels. A window that is forgotten
/// takes in the neighbour's.
pub const ENROLMENT_MAX: Duration = Duration::from_hours(4);

/// What may be asked about one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelRequest {
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
        template: Option<Box<str>>,
        /// Whether products that nobody has told of yet are fine.
        unknown: UnknownSkus,
    },
    /// Let a label show nothing.
    Unbind {
        /// The label.
        label: LabelId,
    },
    /// Let another device take a label's place: its position, its products and its template. The label shows nothing
    /// and hangs nowhere from then on.
    Replace {
        /// The label.
        label: LabelId,
        /// The other device, which is registered where it is not yet.
        with: LabelId,
    },
}

impl LabelRequest {
    /// Which label it is about.
    #[must_use]
    pub const fn label(&self) -> LabelId {
        match self {
            Self::Register { label, .. }
            | Self::Remove { label }
            | Self::Bind { label, .. }
            | Self::Unbind { label }
            | Self::Replace { label, .. } => *label,
        }
    }
}

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is carried out, and the journal holds it.
    Done,
    /// What became of each row, in their order; journal and view hold those that were applied.
    Rows(Vec<Applied>),
    /// It is under way, under this number.
    Started(u64),
}

/// Which labels are pushed, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushOrder {
    /// The labels that show one of these products.
    pub skus: Vec<Sku>,
    /// These labels.
    pub labels: Vec<LabelId>,
    /// Which of all labels, where neither products nor labels are named.
    pub reach: Reach,
    /// What is done with a label whose glass is proven to agree.
    pub mode: PushMode,
}

/// Which labels a push without a list concerns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// Every bound label.
    #[default]
    Store,
    /// The labels of products that the store sells.
    Assortment,
}

/// What a push does with a label whose glass is proven to agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PushMode {
    /// Leave it out.
    #[default]
    Incremental,
    /// Verify it.
    Full,
    /// Send it its picture again.
    Resend,
}

/// Why a facet is reloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadReason {
    /// Messages are missing.
    Gap,
    /// Somebody asked for it.
    Asked,
}

/// What a full reload brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// Rows that the snapshot had.
    pub rows: usize,
    /// Of those, rows with an invalid field.
    pub invalid: usize,
    /// Whether the source said that nothing has changed, and sent nothing.
    pub freshness: Freshness,
}

/// Whether a reload brought anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Freshness {
    /// A snapshot was applied.
    #[default]
    Applied,
    /// The source has no newer one.
    Unmodified,
}

/// Something that other systems are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// How far the shelf is with a product's price.
    Confirmation(Confirmation),
    /// A change waits for a person, or no longer does.
    Held {
        /// What it is about.
        key: RowKey,
        /// The revision that waits.
        revision: u64,
        /// Why it waits; none when it no longer does.
        reason: Option<Suspicion>,
    },
    /// An alert begins, changes or ends.
    Alert(Alert),
    /// How a label is.
    Label(LabelState),
    /// How far the journal goes, once a day: whoever keeps it can tell that the chain up to there was not rewritten.
    JournalHead {
        /// The newest record and its hash.
        head: JournalPosition,
        /// When that was so.
        at: Moment,
    },
}

/// How a label is, as others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelState {
    /// The label.
    pub label: LabelId,
    /// Its health.
    pub health: Health,
    /// What else is to be known.
    pub problems: Vec<Problem>,
    /// Battery under load.
    pub battery_mv: Option<Millivolts>,
    /// Last sign of life.
    pub last_check_in: Option<Moment>,
}

impl From<LabelRequest> for Request {
    fn from(request: LabelRequest) -> Self {
        Self::Label(request)
    }
}

/// What to do with a binding to a product that nobody has told of yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownSkus {
    /// Bind: the product will come.
    Allow,
    /// Refuse: it is more likely a slip of the scanner.
    Refuse,
}

/// Why a request is not carried out. Nothing has changed, unless the refusal says that this is not known.
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
    /// A label that is to take its own place.
    #[error("a label cannot take its own place")]
    SameLabel,
    /// A label whose place cannot be taken.
    #[error("label {0} shows no product that another could take over")]
    NothingToTakeOver(LabelId),
    /// A label that cannot take a place.
    #[error("label {0} shows {skus} already; unbind it first", skus = list(.1))]
    Bound(LabelId, Vec<Sku>),
    /// An alert that does not hold.
    #[error("there is no alert `{0}`, or it is over")]
    NoAlert(String),
    /// Products that nobody has told of.
    #[error("no source has told of sku {}; pass \"allow_unknown\": true to bind it all the same", list(.0))]
    UnknownSkus(Vec<Sku>),
    /// Too few or too many products.
    #[error("a label shows 1 to {SKUS_MAX} products, not {0}")]
    SkuCount(usize),
    /// A held change that a newer revision has replaced, or somebody has decided already.
    #[error("change {0} no longer waits: a newer revision has come, or somebody has decided it")]
    NotHeld(HeldId),
    /// A held change that never was.
    #[error("there is no change {0} that waits")]
    UnknownHeld(HeldId),
    /// The journal takes nothing.
    #[error("nothing can be changed now, because it could not be kept: {0}; try again once that is mended")]
    NotDurable(String),
    /// The journal stopped taking anything after the request was decided.
    #[error(
        "whether this will be kept is not known yet: {0}; look again once that is mended, and repeat it if it is not there"
    )]
    Unsure(String),
    /// A template that does not exist.
    #[error("template `{0}` does not exist; there are {known}", known = .1.join(", "))]
    UnknownTemplate(String, Vec<String>),
    /// A draft for a label without products.
    #[error("label {0} is not bound, so there is nothing that it could show; bind it first")]
    NotBound(LabelId),
    /// A draft that the label cannot show.
    #[error(transparent)]
    NoScene(#[from] SceneError),
    /// Too many drafts.
    #[error("{TRIALS_MAX} labels show drafts already; end one of these trials first")]
    TooManyTrials,
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
    /// Messages of a source are missing.
    Gap(Facet),
    /// An alert begins, changes or ends.
    Alert(Alert),
    /// A boundary of promotions changed what labels are to show.
    Switched(Switch),
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
            Self::Gap(facet) => write!(f, "feed: messages of {facet} are missing; the facet is reloaded"),
            Self::Alert(alert) => match (&alert.acknowledged, alert.state) {
                (Some(seen), alert::State::Raised) => write!(f, "alert {} acknowledged by {}", alert.id(), seen.by),
                _ => write!(f, "alert {} {}: {}", alert.id(), alert.state, alert.text),
            },
            Self::Switched(Switch { at, labels, staged, .. }) => {
                let at = instant::utc(*at);
                write!(f, "switch at {at}: {staged} of {labels} labels kept their new picture in time")
            }
            Self::StationUp(station) => write!(f, "base station `{station}` is up"),
            Self::StationDown { station, reason } => write!(f, "base station `{station}` is away: {reason}"),
            Self::Dropped { station, reason } => write!(f, "base station `{station}`: {reason}"),
        }
    }
}
