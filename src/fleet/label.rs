//! A label: what should be on its glass, what is known to be there, and what is under way.

use std::sync::Arc;

use gondola_drivers::head::Wake;
use gondola_drivers::{Action, Telemetry};
use gondola_protocol::message::{Lane, Status};
use gondola_protocol::{Digest, Edition, LabelId, Millivolts, Moment, Panel, StationId, TransferNumber};

use super::ahead::{Kept, Upcoming};
use super::few::Few;
use super::hearing::Hearing;
use super::{SeenLabel, Shows};
use crate::catalog::sku::Sku;
use crate::journal::entry::{Position, Shown};
use crate::template::RenderKey;

/// Products that one label may show; the rows of the largest strip label.
pub const SKUS_MAX: usize = 8;

/// Label to products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// 1 to [`SKUS_MAX`] products.
    pub skus: Few<Sku>,
    /// A template by name, instead of the rules' choice.
    pub template: Option<Box<str>>,
}

/// A picture by what it is and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Hash of everything that decides the pixels.
    pub key: RenderKey,
    /// The products and prices in it.
    pub shown: Arc<[Shown]>,
}

/// When it was last found what a picture says, and how long that holds while the catalog stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// The catalog's version.
    pub(crate) version: u64,
    /// The instant that was looked at.
    pub(crate) from: Moment,
    /// The next boundary of the label's products; none where nothing lies ahead.
    pub(crate) until: Option<Moment>,
}

impl Look {
    /// It holds at no instant.
    const OUTDATED: Self = Self { version: 0, from: Moment::ZERO, until: Some(Moment::ZERO) };
}

/// What should be on the glass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The picture.
    pub content: Content,
    pub(crate) look: Look,
    /// Its running number.
    pub edition: Edition,
    /// Digest of its planes, once they have been made.
    pub digest: Option<Digest>,
    /// The template that draws it.
    pub template: Arc<str>,
    /// Since when it is wanted.
    pub since: Moment,
    /// How urgent it is.
    pub lane: Lane,
}

/// What a label has proven to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Digest that the label computed.
    pub digest: Digest,
    /// Edition that the label reports.
    pub edition: Edition,
    /// First proof.
    pub since: Moment,
    /// Which picture of ours that is; none for a picture that is not ours.
    pub content: Option<Content>,
    /// Last proof: the label's last word was that it still shows this.
    pub confirmed: Moment,
    /// Of that, what the journal holds or is about to.
    pub recorded: Moment,
    /// The record of the first proof in the journal.
    pub sequence: u64,
}

/// A picture that a label may hold without having proven it: it was delivered, or its station went away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproven {
    /// Digest of its planes.
    pub digest: Digest,
    /// Its running number.
    pub edition: Edition,
    /// What it says.
    pub content: Content,
    /// Why nobody knows.
    pub doubt: Doubt,
    /// Until then a proof is awaited; after it the label is planned anew.
    pub until: Moment,
    /// What pictures said that it may still show from before, if this one did not reach it: at most [`EARLIER_MAX`].
    pub earlier: Vec<Content>,
}

/// Pictures before the unproven one that a label may show. With more of them nothing is believed any more but a new
/// proof: see [`Label::possible`].
pub const EARLIER_MAX: usize = 3;

/// Why it is not known whether a label shows a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It has taken the picture, and its refresh is awaited.
    Delivered,
    /// It has taken the picture, and no refresh can take that long.
    Overdue,
    /// Its base station went away with the picture.
    Lost,
    /// It kept the picture, and its moment has come.
    Switching,
}

/// A transfer that has no outcome yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// The transfer.
    pub number: TransferNumber,
    /// Through which base station.
    pub station: StationId,
    /// Which edition it carries.
    pub edition: Edition,
    /// What it says.
    pub content: Content,
    /// The picture that the label was proven to show when it was sent, against which it may be a difference.
    pub base: Option<Digest>,
    /// How far it is.
    pub stage: Stage,
    /// When the label is to show it; none for at once.
    pub activate_at: Option<Moment>,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its pixels are being made.
    Rendering,
    /// It is with the base station.
    Sent {
        /// Digest of its planes.
        digest: Digest,
    },
    /// It is with the base station, which has been told to drop it.
    Cancelling {
        /// Digest of its planes.
        digest: Digest,
    },
}

/// Something that a label is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What.
    pub action: Action,
    /// When it was asked for.
    pub asked_at: Moment,
    /// What became of it.
    pub state: CommandState,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandState {
    /// It waits for room at a base station.
    Waiting,
    /// It is with a base station, under this number.
    Sent(TransferNumber),
    /// It is over.
    Over {
        /// When.
        at: Moment,
        /// The station's word; none if the station went away before it gave it.
        status: Option<Status>,
    },
}

/// Why a label is left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoolDown {
    /// It did not come for its picture: its next check-in ends the wait.
    Silence(Moment),
    /// It refused, or never showed what it took: asking sooner would only empty its battery.
    Refusal(Moment),
}

impl CoolDown {
    /// When the wait ends by itself.
    #[must_use]
    pub const fn until(self) -> Moment {
        match self {
            Self::Silence(until) | Self::Refusal(until) => until,
        }
    }
}

/// A base station that hears a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// When it last did.
    pub at: Moment,
    /// How well.
    pub rssi_dbm: i8,
    /// Transfers in a row that did not come through.
    pub failures: u8,
}

/// What a label said last, beside what is known of it anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastWord {
    pub(crate) panel: Panel,
    pub(crate) wake: Wake,
    pub(crate) lqi: Option<u8>,
    /// Whether it said what it shows.
    pub(crate) says_picture: bool,
}

/// What is not as it should be with a label. Few labels have any, so that it lies beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Why it is left alone.
    pub cool_down: Option<CoolDown>,
    /// Refusals in a row.
    pub refusals: u32,
    /// What is wrong with it, as a sentence for people.
    pub fault: Option<String>,
    /// Somebody wants its picture sent again, whatever the glass is proven to show: proven from this edition on.
    pub resend: Option<Edition>,
}

impl Trouble {
    /// It did nothing wrong.
    pub(crate) fn forget_blame(&mut self) {
        (self.refusals, self.fault) = (0, None);
    }
}

/// One registered label. A chain has a million: what few of them have is boxed.
#[derive(Debug, Clone)]
pub struct Label {
    /// Its address.
    pub id: LabelId,
    /// Its display, as registered.
    pub panel: Panel,
    /// Where it hangs.
    pub position: Position,
    /// What it should show.
    pub binding: Option<Binding>,
    /// The picture that it should show.
    pub desired: Option<Desired>,
    /// The picture that it has proven to show.
    pub reported: Option<Reported>,
    /// A picture that it may show without having proven it.
    pub unproven: Option<Box<Unproven>>,
    /// The picture that it should show from an instant on.
    pub upcoming: Option<Box<Upcoming>>,
    /// The picture that it keeps for later, by its own word.
    pub kept: Option<Box<Kept>>,
    /// The transfer in progress.
    pub under_way: Option<Box<UnderWay>>,
    /// The last thing that it was told to do.
    pub command: Option<Box<Command>>,
    /// Last transfer that was handed to a base station.
    pub sent_at: Option<Moment>,
    /// Last transfer that it took whole.
    pub acknowledged_at: Option<Moment>,
    /// Last picture that it has proven.
    pub displayed_at: Option<Moment>,
    /// Last sign of life.
    pub last_check_in: Option<Moment>,
    /// What it said last.
    pub(crate) last_word: Option<LastWord>,
    /// The base stations that hear it.
    pub heard_by: Hearing,
    /// The base station that carried its last transfer.
    pub carrier: Option<StationId>,
    /// Battery under load.
    pub battery_mv: Option<Millivolts>,
    /// Temperature at the label.
    pub temperature_c: Option<i8>,
    /// Firmware as the vendor counts it.
    pub firmware: Option<u16>,
    /// Firmware by its name, where it was asked for.
    pub firmware_name: Option<Box<str>>,
    /// Encodings that it decodes, a bit each; all while it has not said.
    pub encodings: u8,
    /// Highest edition ever given or heard.
    pub edition_last: Edition,
    trouble: Option<Box<Trouble>>,
}

/// The allocator's next sizes are 640 and 768.
const _: () = assert!(size_of::<Label>() <= 512);

impl Label {
    pub(crate) fn new(id: LabelId, panel: Panel, position: Position) -> Self {
        Self {
            id,
            panel,
            position,
            binding: None,
            desired: None,
            reported: None,
            unproven: None,
            upcoming: None,
            kept: None,
            under_way: None,
            command: None,
            sent_at: None,
            acknowledged_at: None,
            displayed_at: None,
            last_check_in: None,
            last_word: None,
            heard_by: Hearing::default(),
            carrier: None,
            battery_mv: None,
            temperature_c: None,
            firmware: None,
            firmware_name: None,
            encodings: u8::MAX,
            edition_last: Edition(0),
            trouble: None,
        }
    }

    /// What is not as it should be with it.
    #[must_use]
    pub fn trouble(&self) -> &Trouble {
        static NONE: Trouble = Trouble { cool_down: None, refusals: 0, fault: None, resend: None };
        self.trouble.as_deref().unwrap_or(&NONE)
    }

    /// The same, to add to it.
    pub(crate) fn trouble_mut(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    /// The same, to take from it.
    pub(crate) fn relieve(&mut self, of: impl FnOnce(&mut Trouble)) {
        if let Some(trouble) = &mut self.trouble {
            of(trouble);
            self.trouble.take_if(|trouble| **trouble == Trouble::default());
        }
    }

    /// Whether the glass is proven to agree, and nothing is on its way that could change it.
    #[must_use]
    pub fn is_in_sync(&self) -> bool {
        let is_sent = self.transfer().is_some_and(|under_way| under_way.digest().is_some());
        let edition = self.reported.as_ref().map_or(Edition(0), |reported| reported.edition);
        self.unproven.is_none()
            && !is_sent
            && self.trouble().resend.is_none_or(|resend| edition >= resend)
            && self.desired.as_ref().is_some_and(|desired| self.shows(desired))
    }

    /// What its pictures say is to be looked at anew, though the catalog stays as it is.
    pub(crate) fn forget_looks(&mut self) {
        let upcoming = self.upcoming.as_mut().map(|upcoming| &mut upcoming.desired);
        self.desired.iter_mut().chain(upcoming).for_each(|picture| picture.look = Look::OUTDATED);
    }

    /// Takes note that a label may show a picture without having proven it. What it may have shown before stays possible.
    pub(crate) fn set_unproven(&mut self, mut unproven: Unproven) {
        if let Some(before) = self.unproven.take() {
            for content in before.earlier.into_iter().chain([before.content]) {
                let is_known = |other: &Content| other.key == content.key;
                if content.key != unproven.content.key && !unproven.earlier.iter().any(is_known) {
                    unproven.earlier.push(content);
                }
            }
            // As long as there are too many, `possible` says so.
            unproven.earlier.truncate(EARLIER_MAX + 1);
        }
        self.unproven = Some(Box::new(unproven));
    }

    /// What pictures say that a label may show beside the one that it has proven; none where that could be anything.
    pub(crate) fn possible(&self) -> Option<impl Iterator<Item = &Content>> {
        let unproven = self.unproven.as_deref();
        if unproven.is_some_and(|unproven| unproven.earlier.len() > EARLIER_MAX) {
            return None;
        }
        let unproven = unproven.into_iter().flat_map(|unproven| unproven.earlier.iter().chain([&unproven.content]));
        let sent = self.transfer().filter(|under_way| under_way.digest().is_some());
        Some(unproven.chain(sent.map(|under_way| &under_way.content)))
    }

    /// Why it last reported; none if nothing was heard of it since the start.
    #[must_use]
    pub fn woke(&self) -> Option<Wake> {
        self.last_word.map(|word| word.wake)
    }

    /// What it is once it is not registered any more; none if nothing was heard of it since the start.
    pub(crate) fn as_seen(&self) -> Option<SeenLabel> {
        let LastWord { panel, wake, lqi, says_picture } = self.last_word?;
        let (station, heard) = self.heard_by.iter().max_by_key(|(_, heard)| heard.at)?;
        let said = Telemetry {
            label: self.id,
            panel,
            wake,
            battery_mv: self.battery_mv?,
            rssi_dbm: heard.rssi_dbm,
            lqi,
            temperature_c: self.temperature_c?,
            firmware: self.firmware?,
        };
        let shown = self.reported.as_ref().filter(|_| says_picture);
        let shows = shown.map(|shown| Shows { edition: shown.edition, digest: shown.digest });
        Some(SeenLabel { said, shows, station: station.clone(), at: heard.at })
    }

    /// The transfer in progress, if its picture is to be shown at once.
    #[must_use]
    pub fn transfer(&self) -> Option<&UnderWay> {
        self.under_way.as_deref().filter(|under_way| under_way.activate_at.is_none())
    }

    /// Whether the last proof is of the desired picture.
    pub(crate) fn shows(&self, desired: &Desired) -> bool {
        self.reported.as_ref().is_some_and(|reported| {
            desired.digest == Some(reported.digest)
                || reported.content.as_ref().is_some_and(|content| content.key == desired.content.key)
        })
    }

    /// The next edition: above every one given or heard, and not below the clock, so that a controller that
    /// lost its memory still counts upwards. A label takes an edition that is its own, so that even one which
    /// claims the highest of all can be served.
    pub(crate) fn next_edition(&mut self, now: Moment) -> Edition {
        self.edition_last = Edition(self.edition_last.0.saturating_add(1).max(now.as_millis()));
        self.edition_last
    }

    /// Which picture of ours has this digest, as far as this label may hold it.
    pub(crate) fn content_of(&self, digest: Digest) -> Option<Content> {
        let desired = self.desired.as_ref().filter(|desired| desired.digest == Some(digest));
        let reported = self.reported.as_ref().filter(|reported| reported.digest == digest);
        let unproven = self.unproven.as_ref().filter(|unproven| unproven.digest == digest);
        let sent = self.under_way.as_ref().filter(|under_way| under_way.digest() == Some(digest));
        let upcoming = self.upcoming.as_ref().map(|upcoming| &upcoming.desired);
        desired
            .or_else(|| upcoming.filter(|upcoming| upcoming.digest == Some(digest)))
            .map(|desired| &desired.content)
            .or_else(|| unproven.map(|unproven| &unproven.content))
            .or_else(|| sent.map(|sent| &sent.content))
            .or_else(|| reported.and_then(|reported| reported.content.as_ref()))
            .cloned()
    }

    /// The picture that the label certainly holds, so that the next may be sent as a difference: none while it may
    /// show another, and none after a refusal until it has proven a picture again.
    pub(crate) fn base(&self) -> Option<Digest> {
        let is_certain = self.trouble().refusals == 0 && self.unproven.is_none();
        self.reported.as_ref().filter(|_| is_certain).map(|reported| reported.digest)
    }

    /// The digests of every picture that this label wants, shows or may hold.
    pub fn digests(&self) -> impl Iterator<Item = Digest> + '_ {
        let desired = self.desired.as_ref().and_then(|desired| desired.digest);
        let reported = self.reported.as_ref().map(|reported| reported.digest);
        let unproven = self.unproven.as_ref().map(|unproven| unproven.digest);
        let sent = self.under_way.as_deref().and_then(UnderWay::digest);
        let upcoming = self.upcoming.as_ref().and_then(|upcoming| upcoming.desired.digest);
        [desired, reported, unproven, sent, upcoming].into_iter().flatten()
    }
}

impl UnderWay {
    /// Digest of its planes, once they have been made.
    #[must_use]
    pub const fn digest(&self) -> Option<Digest> {
        match self.stage {
            Stage::Rendering => None,
            Stage::Sent { digest } | Stage::Cancelling { digest } => Some(digest),
        }
    }
}
