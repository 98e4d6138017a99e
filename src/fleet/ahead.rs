//! Pictures sent ahead: what a label is to show from an instant on, what it says that it keeps for it, and what
//! follows from comparing the two.
//!
//! The same as for the glass, one instant earlier: *upcoming* is wanted, *kept* is what the label has said, and
//! work is found by comparing them.

use std::time::Duration;

use gondola_protocol::message::Slot;
use gondola_protocol::{Edition, Moment};

use super::label::{Desired, Label};

/// The slot that a picture waits in. Labels have up to seven; the others are for pages.
pub const SLOT: u8 = 1;

/// Pictures are sent this long ahead at most: time for the slowest station to reach every label beside its regular
/// work, and short enough that few prices change meanwhile, each of which costs a second sending.
pub const AHEAD_MAX: Duration = Duration::from_hours(2);

/// A picture whose instant is nearer than this is not sent ahead: its label may not wake before.
pub const AHEAD_MIN: Duration = Duration::from_secs(10);

/// What a label is to show from an instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcoming {
    /// The picture; wanted since the instant at which it is to be shown.
    pub desired: Desired,
    /// Whether its label has said that it cannot keep pictures.
    pub is_unsupported: bool,
}

impl Upcoming {
    /// The instant at which it is to be shown.
    #[must_use]
    pub const fn activate_at(&self) -> Moment {
        self.desired.since
    }

    /// Whether it is what a label keeps in this slot.
    #[must_use]
    pub fn is(&self, kept: &Slot) -> bool {
        kept.edition == self.desired.edition
            && Some(kept.digest) == self.desired.digest
            && kept.activate_at == self.activate_at()
    }
}

/// What a label keeps for later, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The picture.
    pub slot: Slot,
    /// Whether the label, or its base station for it, has said so; else it may keep the picture, because the station
    /// went away with it.
    pub is_said: bool,
    /// Whether it has been told to forget it.
    pub is_dropping: bool,
}

/// What is to be done about a label's slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotNeed {
    /// Nothing.
    Nothing,
    /// The upcoming picture is to be sent ahead.
    Stage,
    /// What the label keeps is wanted no more, and it must not show it.
    Drop,
}

impl Label {
    /// Whether it keeps its upcoming picture, by its own word.
    #[must_use]
    pub fn keeps_upcoming(&self) -> bool {
        let kept = self.kept.as_deref().filter(|kept| kept.is_said);
        self.upcoming.as_deref().is_some_and(|upcoming| kept.is_some_and(|kept| upcoming.is(&kept.slot)))
    }

    /// Whether it may have shown what it keeps by now, without having proven it: it was called off, and nobody could tell
    /// the label.
    #[must_use]
    pub fn may_have_switched(&self, now: Moment) -> bool {
        let kept = self.kept.as_deref();
        kept.is_some_and(|kept| kept.slot.activate_at <= now && kept.slot.edition > self.shown_edition())
    }

    /// What is to be done about its slot at `now`.
    #[must_use]
    pub fn slot_need(&self, now: Moment) -> SlotNeed {
        match (self.upcoming.as_deref(), self.kept.as_deref()) {
            (Some(upcoming), kept) => {
                let is_kept = kept.is_some_and(|kept| kept.is_said && upcoming.is(&kept.slot));
                let is_late = upcoming.activate_at() < now + AHEAD_MIN;
                if is_kept || is_late || upcoming.is_unsupported { SlotNeed::Nothing } else { SlotNeed::Stage }
            }
            // One that is older than what the glass shows is never shown.
            (None, Some(Kept { slot, is_dropping: false, .. }))
                if slot.activate_at > now && slot.edition > self.shown_edition() =>
            {
                SlotNeed::Drop
            }
            (None, _) => SlotNeed::Nothing,
        }
    }

    fn shown_edition(&self) -> Edition {
        self.reported.as_ref().map_or(Edition(0), |reported| reported.edition)
    }
}

/// How a switch of a store went: the labels whose pictures changed at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// The instant.
    pub at: Moment,
    /// Labels that were to show another picture from then on.
    pub labels: usize,
    /// Of those, the ones that had said in time that they keep it.
    pub staged: usize,
    /// Whether people were told.
    pub(crate) is_told: bool,
}
