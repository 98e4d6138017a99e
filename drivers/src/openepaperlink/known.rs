//! One label as a radio's head knows it: its last report, its rhythm, what waits for it, and what its slot says.

use std::time::Duration;

use gondola_protocol::{Digest, Edition, Moment, Panel, TransferNumber};

use super::order::Order;
use super::payload::{Forms, Payload, Variant};
use super::wire::{DataKind, NextCheckIn, Offer, Report, Slot, Version};

/// How often a label comes that was not told when: its shortest sleep, and some.
pub(super) const RHYTHM: Duration = Duration::from_secs(45);

/// A label that was told comes within so much: its clock is no crystal's.
pub(super) const EXACT: Duration = Duration::from_millis(100);

/// A label that was not told comes within so much of its rhythm.
const VAGUE_MIN: Duration = Duration::from_millis(200);
const VAGUE_MAX: Duration = Duration::from_millis(1_500);

/// A label that was silent for so long may be somewhere else: what waits for it is given back, so that another radio
/// can have it.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long a proof is awaited. A label is asked for it when it comes again, half a minute later or a quarter of an
/// hour.
pub(super) const PROOF_MAX: Duration = Duration::from_mins(30);

/// Gaps between two check-ins that tell a rhythm; shorter ones are repetitions, longer ones absences.
const RHYTHMS: std::ops::RangeInclusive<Duration> = Duration::from_secs(20)..=Duration::from_mins(20);

/// A picture on its way to a label, until it is proven.
#[derive(Debug)]
pub(super) struct Item {
    /// None once it was told that the label has taken it: then only its proof is awaited.
    pub(super) number: Option<TransferNumber>,
    pub(super) edition: Edition,
    pub(super) digest: Digest,
    pub(super) panel: Panel,
    pub(super) forms: Forms,
    pub(super) variant: Variant,
    /// The forms' payload of that variant.
    pub(super) payload: Payload,
    /// Since when it has waited for the label, or for its proof.
    pub(super) since: Moment,
    /// Whether the label has asked for its last block since it was last offered.
    pub(super) fetched: bool,
    /// How often something went otherwise than it should: fetched again, or confirmed without having been fetched.
    pub(super) oddities: u8,
    /// It is not offered before this.
    pub(super) not_before: Moment,
}

impl Item {
    /// When it is given back because its label, last heard then, does not come; or when its proof is late.
    pub(super) fn expires(&self, heard: Moment, patience: Duration) -> Moment {
        match self.number {
            Some(_) => self.since.max(heard) + patience,
            None => self.since + PROOF_MAX,
        }
    }
}

/// An order on its way to a label.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ordered {
    pub(super) number: TransferNumber,
    pub(super) order: Order,
    pub(super) since: Moment,
}

/// When a label is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) at: Moment,
    /// By how much it may come earlier or later.
    pub(super) around: Duration,
    /// Whether it was told to come then, so that it comes to the second.
    pub(super) is_told: bool,
}

impl Expected {
    /// A label that was told to come in so many seconds.
    pub(super) fn told(now: Moment, seconds: u16) -> Self {
        Self { at: now + Duration::from_secs(seconds.into()), around: EXACT, is_told: true }
    }
}

/// One label.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) heard: Moment,
    /// Its last full report.
    pub(super) report: Option<Report>,
    rhythm: Duration,
    /// How far off its rhythm it comes.
    vague: Duration,
    /// How long it may be silent before it is taken to be elsewhere.
    pub(super) patience: Duration,
    pub(super) expected: Option<Expected>,
    pub(super) item: Option<Item>,
    pub(super) order: Option<Ordered>,
    /// What its slot should say.
    pub(super) wanted: Option<Slot>,
    /// What its slot says, as far as the radio has acknowledged it.
    pub(super) told: Option<Slot>,
    /// When it acknowledged that.
    pub(super) told_at: Moment,
    /// What the radio was told and has not acknowledged yet; `Some(None)`: to free the slot.
    pub(super) sent: Option<Option<Slot>>,
    /// Nobody knows what its slot says.
    pub(super) in_doubt: bool,
    /// Whether it has checked in since its slot says what it says: only then is it this that it confirms.
    pub(super) is_offered: bool,
    /// When it was last served in the visit that goes on now.
    pub(super) visit: Option<Moment>,
    /// What it has last fetched whole from us and not forgotten since.
    pub(super) holds: Option<Version>,
    /// What it has proven to hold.
    pub(super) proven: Option<Version>,
}

impl Known {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            heard: now,
            report: None,
            rhythm: RHYTHM,
            vague: VAGUE_MAX,
            patience: PATIENCE,
            expected: None,
            item: None,
            order: None,
            wanted: None,
            told: None,
            told_at: now,
            sent: None,
            in_doubt: false,
            is_offered: false,
            visit: None,
            holds: None,
            proven: None,
        }
    }

    /// Takes a check-in: the label has been answered what its slot says.
    pub(super) fn checks_in(&mut self, now: Moment) {
        let gap = now.since(self.heard);
        let was_told = self.expected.is_some_and(|expected| expected.is_told);
        if !was_told && RHYTHMS.contains(&gap) {
            self.vague = (gap.abs_diff(self.rhythm) * 2).clamp(VAGUE_MIN, VAGUE_MAX);
            self.rhythm = gap;
            self.patience = PATIENCE.max(gap * 5);
        }
        self.heard = now;
        self.is_offered = self.told.is_some();
        let told = self.told.map(|slot| slot.offer);
        self.expected = Some(match told {
            Some(Offer { kind: DataKind::None, next: NextCheckIn::Seconds(seconds), .. }) => {
                Expected::told(now, seconds)
            }
            _ => self.by_itself(now),
        });
        self.visit = told.filter(|offer| offer.kind != DataKind::None).map(|_| now);
    }

    /// When it comes if nobody tells it.
    pub(super) fn by_itself(&self, now: Moment) -> Expected {
        Expected { at: now + self.rhythm, around: self.vague, is_told: false }
    }

    /// When something that waits for it expires; none when nothing waits.
    pub(super) fn expires(&self) -> Option<Moment> {
        let order = self.order.map(|order| order.since.max(self.heard) + self.patience);
        let item = self.item.as_ref().map(|item| item.expires(self.heard, self.patience));
        [order, item].into_iter().flatten().min()
    }

    /// Its slot is free.
    pub(super) const fn slot_freed(&mut self) {
        self.told = None;
        self.is_offered = false;
    }

    /// Whether the radio must be told something about its slot.
    pub(super) fn is_untold(&self) -> bool {
        self.sent.is_none() && (self.in_doubt || self.wanted != self.told)
    }

    /// Whether anything waits for it.
    pub(super) const fn is_idle(&self) -> bool {
        self.item.is_none() && self.order.is_none() && self.told.is_none() && self.sent.is_none() && !self.in_doubt
    }
}
