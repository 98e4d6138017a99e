//! One radio as the controller sees it: pictures in, evidence out.
//!
//! Level-triggered: what waits for a label is in its [`Known`], what its slot should say follows from that, and the
//! radio is told where it says something else. A slot that ran out, a radio that forgot everything and an answer that
//! was lost all look the same from here, and nothing is ever given up but for the label's own silence.

mod outbox;
mod slots;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::message::{CheckIn, Encoding, Reason, Status};
use gondola_protocol::{LabelId, Millivolts, Moment, TransferNumber};

use super::known::{Known, PROOF_MAX};
use super::label_type::{LabelTypes, Offered};
use super::line::{BAUD_FAST, Description, Line, LineOptions, News};
use super::turns::Turns;
use super::wire::{self, Report, Said, Version};
use crate::head::{Capacity, Counters, HeadEvent, Outcome, Picture, Room, Telemetry};
use crate::session::DownReason;
use outbox::{OUTBOX_BYTES_MAX, OUTBOX_MAX};

/// Labels that are remembered: more than a radio can serve, and a neighbour's within earshot.
const KNOWN_MAX: usize = 4_096;

/// Labels that draw a picture again when they are asked for it are asked only once it has stood for so long: one that
/// was overtaken until then needs no proof.
const REDRAWN_AFTER: Duration = Duration::from_mins(5);

/// Times that a label may fetch a picture again, or confirm what it cannot have, before it is given up.
const ODDITIES_MAX: u8 = 2;

/// What a radio is driven with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RadioOptions {
    /// Channel, power and speed.
    pub line: LineOptions,
    /// The types of labels.
    pub label_types: LabelTypes,
}

impl Default for RadioOptions {
    fn default() -> Self {
        Self { line: LineOptions { channel: 11, power: 10, baud: BAUD_FAST }, label_types: LabelTypes::default() }
    }
}

/// What a radio's head has counted beside [`Counters`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RadioCounters {
    /// Blocks handed over.
    pub blocks: u64,
    /// Requests for blocks that nobody has.
    pub blocks_unknown: u64,
    /// Slots filled, freed or overwritten.
    pub slot_commands: u64,
    /// Times that the radio had no slot.
    pub slots_full: u64,
    /// Starts of the radio while the line was open.
    pub restarts: u64,
    /// Pictures proven.
    pub proofs: u64,
    /// Confirmations of what had not been fetched, or of what was not offered.
    pub confirmations_doubted: u64,
}

/// The controller's side of one radio.
#[derive(Debug)]
pub struct RadioHead {
    line: Line,
    label_types: LabelTypes,
    is_open: bool,
    description: Description,
    known: BTreeMap<LabelId, Known>,
    /// The labels of the pictures and orders that have no outcome.
    numbers: BTreeMap<TransferNumber, LabelId>,
    /// Raw bytes of each picture among them.
    bytes: BTreeMap<TransferNumber, usize>,
    bytes_waiting: usize,
    /// Pictures that wait to be packed, the oldest first.
    unpacked: VecDeque<Picture>,
    /// The one that is being packed.
    packing: Option<Picture>,
    turns: Turns,
    /// When each label is to be looked at again: at most one for each.
    wakes: BTreeSet<(Moment, LabelId)>,
    wake_of: BTreeMap<LabelId, Moment>,
    /// Labels of whose slots the radio must be told.
    untold: BTreeSet<LabelId>,
    /// Labels whose wanted slot is some: at most [`slots::SLOTS_MAX`].
    with_slot: BTreeSet<LabelId>,
    /// Labels that wait for a slot.
    without_slot: BTreeSet<LabelId>,
    /// The radio had no slot: none is filled before.
    full_until: Moment,
    /// Drained by the owner after each call. One call adds at most three for each nine bytes that it is given, and two
    /// for each picture that waits.
    events: VecDeque<HeadEvent>,
    told: Room,
    counters: Counters,
    radio: RadioCounters,
}

impl RadioHead {
    /// A head for a radio, without a connection.
    #[must_use]
    pub fn new(options: RadioOptions) -> Self {
        Self {
            line: Line::new(options.line),
            label_types: options.label_types,
            is_open: false,
            description: Description::default(),
            known: BTreeMap::new(),
            numbers: BTreeMap::new(),
            bytes: BTreeMap::new(),
            bytes_waiting: 0,
            unpacked: VecDeque::new(),
            packing: None,
            turns: Turns::default(),
            wakes: BTreeSet::new(),
            wake_of: BTreeMap::new(),
            untold: BTreeSet::new(),
            with_slot: BTreeSet::new(),
            without_slot: BTreeSet::new(),
            full_until: Moment::ZERO,
            events: VecDeque::new(),
            told: Room::default(),
            counters: Counters::default(),
            radio: RadioCounters::default(),
        }
    }

    /// The line is there: the radio is asked who it is.
    pub fn connected(&mut self, now: Moment) {
        self.disconnected(now);
        self.line.open(now);
    }

    /// The line is gone.
    pub fn disconnected(&mut self, now: Moment) {
        if !self.line.is_closed() {
            self.line.close();
            self.end(now, DownReason::Disconnected);
        }
    }

    /// Takes bytes from the line, in any pieces.
    pub fn handle_bytes(&mut self, now: Moment, bytes: &[u8]) {
        self.counters.bytes_received += bytes.len() as u64;
        let mut news = Vec::new();
        self.line.read(now, bytes, &mut news);
        self.take_news(now, news);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Moment) {
        let mut news = Vec::new();
        self.line.handle_timeout(now, &mut news);
        self.take_news(now, news);
        while let Some((_, label)) = self.wakes.pop_first_if_due(now) {
            self.wake_of.remove(&label);
            self.look(now, label);
        }
        self.advance(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let wake = self.wakes.first().filter(|_| self.is_open).map(|(at, _)| *at);
        let is_told_late = !self.untold.is_empty() && self.line.room() > 0;
        let has_slots = !self.without_slot.is_empty() && self.with_slot.len() < slots::SLOTS_MAX;
        let full = (self.is_open && (is_told_late || has_slots)).then_some(self.full_until);
        [self.line.poll_timeout(), wake, full].into_iter().flatten().min()
    }

    /// The next bytes for the line.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        let bytes = self.line.poll_transmit()?;
        self.counters.frames_sent += 1;
        self.counters.bytes_sent += bytes.len() as u64;
        Some(bytes)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<HeadEvent> {
        self.events.pop_front()
    }

    /// Whether the radio does not answer: close the line, then call [`disconnected`](Self::disconnected).
    #[must_use]
    pub fn wants_disconnect(&self) -> bool {
        self.line.is_closed()
    }

    /// The speed at which bytes must be sent and read now.
    #[must_use]
    pub const fn baud(&self) -> u32 {
        self.line.baud()
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// What the radio last said of itself.
    #[must_use]
    pub const fn description(&self) -> Description {
        self.description
    }

    /// What was counted beside.
    #[must_use]
    pub const fn radio_counters(&self) -> RadioCounters {
        self.radio
    }

    fn take_news(&mut self, now: Moment, news: Vec<News>) {
        for one in news {
            match one {
                News::Open(description) => self.opened(now, description),
                News::Restarted => self.restarted(),
                News::Away(reason) => self.end(now, reason),
                News::Answered(label, reply) => self.answered(now, label, reply),
                News::Unanswered(labels) => self.unanswered(labels),
                News::Said(said) => self.hear(now, said),
            }
        }
        self.advance(now);
    }

    fn opened(&mut self, now: Moment, description: Description) {
        self.description = description;
        if !self.is_open {
            self.is_open = true;
            self.counters.sessions += 1;
            let capacity = Capacity {
                transfers: OUTBOX_MAX,
                bytes: OUTBOX_BYTES_MAX,
                // Its labels have no clock.
                stages: false,
                // The head packs pictures itself, for each label's type.
                encodings: Encoding::Raw.bit(),
            };
            self.events.push_back(HeadEvent::Up { capacity, epoch: None });
        }
        let waiting: Vec<LabelId> =
            self.known.iter().filter(|(_, known)| !known.is_idle()).map(|(label, _)| *label).collect();
        for label in waiting {
            self.look(now, label);
        }
    }

    fn hear(&mut self, now: Moment, said: Said) {
        match said {
            Said::CheckIn(report) => self.checks_in(now, report),
            Said::BlockRequest { label, version, block } => self.serve(now, label, version, block),
            Said::Complete(label) => self.complete(now, label),
            Said::TimedOut(label) => {
                if let Some(known) = self.known.get_mut(&label) {
                    known.slot_freed();
                }
                self.look(now, label);
            }
            Said::Returned(_) | Said::Reply(_) | Said::Booted | Said::Info(_) => {}
        }
    }

    fn checks_in(&mut self, now: Moment, report: Report) {
        self.counters.frames_received += 1;
        let label = report.label;
        self.make_room_for(label);
        let known = self.known.entry(label).or_insert_with(|| Known::new(now));
        known.checks_in(now);
        self.turns.leave(label);
        if report.is_short() {
            self.events.push_back(HeadEvent::Present(label));
        } else {
            if report.wake.has_started() {
                (known.holds, known.proven) = (None, None);
            }
            known.report = Some(report);
            if let Some(label_type) = self.label_types.get(report.label_type) {
                let telemetry = telemetry(&report, label_type.panel);
                self.events.push_back(HeadEvent::Heard(telemetry));
            } else {
                let label_type = report.label_type;
                self.events.push_back(HeadEvent::Dropped(crate::head::Dropped::LabelType { label, label_type }));
            }
        }
        self.look(now, label);
    }

    /// Forgets the label that was silent longest, should there be too many.
    fn make_room_for(&mut self, label: LabelId) {
        if self.known.len() < KNOWN_MAX || self.known.contains_key(&label) {
            return;
        }
        let idle = self.known.iter().filter(|(_, known)| known.is_idle());
        if let Some(oldest) = idle.min_by_key(|(_, known)| known.heard).map(|(label, _)| *label) {
            self.known.remove(&oldest);
            self.wake(oldest, None);
        }
    }

    /// A label wants a block: it goes out before anything else.
    fn serve(&mut self, now: Moment, label: LabelId, version: Version, block: u8) {
        self.make_room_for(label);
        let known = self.known.entry(label).or_insert_with(|| Known::new(now));
        let item = known.item.as_mut().filter(|item| item.payload.version == version);
        let Some((item, bytes)) = item.and_then(|item| {
            let bytes = item.payload.block(block).map(wire::block_reply)?;
            Some((item, bytes))
        }) else {
            // Something from another time is in its slot.
            self.radio.blocks_unknown += 1;
            known.in_doubt = true;
            return self.look(now, label);
        };
        self.line.send_block(now, bytes);
        self.radio.blocks += 1;
        item.fetched |= usize::from(block) + 1 == item.payload.blocks();
        // A request says as much as a check-in whose report was lost on the line.
        known.is_offered = known.told.is_some();
        known.visit = Some(now);
        self.look(now, label);
    }

    /// A label says that it has everything.
    fn complete(&mut self, now: Moment, label: LabelId) {
        let Some(known) = self.known.get_mut(&label) else { return };
        let told = known.told.filter(|_| known.is_offered).map(|slot| slot.offer);
        known.slot_freed();
        known.visit = None;
        let order = known.order.take_if(|order| told.is_some_and(|told| told == order.order.offer()));
        if let Some(order) = order {
            self.settle(order.number, Outcome::Status(Status::Delivered));
        } else if let Some(item) = &known.item
            && told.is_some_and(|told| told.version == item.payload.version)
        {
            self.confirmed(now, label);
        } else {
            self.radio.confirmations_doubted += 1;
        }
        self.look(now, label);
    }

    /// A label says that it has the picture that it was offered.
    fn confirmed(&mut self, now: Moment, label: LabelId) {
        let Some(known) = self.known.get_mut(&label) else { return };
        let Some(item) = &mut known.item else { return };
        let version = item.payload.version;
        if !std::mem::take(&mut item.fetched) {
            return if known.holds == Some(version) { self.proven(now, label) } else { self.doubted(label) };
        }
        // Fetched again in answer to the question whether it has it: it had not.
        item.oddities += u8::from(item.number.is_none());
        known.holds = Some(version);
        let redraws = known.report.and_then(|report| self.label_types.get(report.label_type));
        if redraws.is_some_and(|label_type| label_type.offered == Offered::Redrawn) {
            item.not_before = now + REDRAWN_AFTER;
        }
        item.since = now;
        let (number, gives_up) = (item.number.take(), item.oddities > ODDITIES_MAX);
        if gives_up {
            known.item = None;
        }
        if let Some(number) = number {
            self.settle(number, Outcome::Taken { proof_by: now + PROOF_MAX });
        }
    }

    /// It holds what it was offered, has fetched it from us before, and did not need to fetch it again.
    fn proven(&mut self, now: Moment, label: LabelId) {
        let Some(known) = self.known.get_mut(&label) else { return };
        let (Some(item), Some(report)) = (known.item.take(), known.report) else { return };
        known.proven = known.holds;
        self.radio.proofs += 1;
        if let Some(number) = item.number {
            self.settle(number, Outcome::Taken { proof_by: now + PROOF_MAX });
        }
        let panel = item.panel;
        let Telemetry { battery_mv, rssi_dbm, temperature_c, firmware, .. } = telemetry(&report, panel);
        self.events.push_back(HeadEvent::CheckIn(CheckIn {
            label,
            panel,
            reason: Reason::Displayed,
            edition: item.edition,
            digest: item.digest,
            battery_mv,
            rssi_dbm,
            temperature_c,
            firmware,
        }));
    }

    /// It says that it has what it never fetched from us. It may have it from another time, or have thrown it away
    /// unread: in another form it cannot have it.
    fn doubted(&mut self, label: LabelId) {
        self.radio.confirmations_doubted += 1;
        let Some(known) = self.known.get_mut(&label) else { return };
        let Some(item) = &mut known.item else { return };
        item.oddities += 1;
        item.variant = item.variant.other();
        match item.forms.payload(item.variant).filter(|_| item.oddities <= ODDITIES_MAX) {
            Some(payload) => item.payload = payload,
            None => {
                let number = item.number;
                known.item = None;
                number.into_iter().for_each(|number| self.settle(number, Outcome::Status(Status::Undecodable)));
            }
        }
    }

    /// The radio is away. What has no outcome may have reached its label; what only lacks its proof is kept.
    fn end(&mut self, _now: Moment, reason: DownReason) {
        self.is_open = false;
        self.forget_slots();
        for known in self.known.values_mut() {
            known.item.take_if(|item| item.number.is_some());
            known.order = None;
            known.wanted = None;
        }
        self.with_slot.clear();
        self.without_slot.clear();
        self.unpacked.clear();
        let numbers: Vec<TransferNumber> = self.numbers.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.settle(number, Outcome::Lost));
        self.told = Room::default();
        self.events.push_back(HeadEvent::Down(reason));
    }
}

/// What a report says of its label.
fn telemetry(report: &Report, panel: gondola_protocol::Panel) -> Telemetry {
    Telemetry {
        label: report.label,
        panel,
        wake: report.wake,
        battery_mv: Millivolts(report.battery_mv),
        rssi_dbm: report.rssi_dbm,
        lqi: Some(report.lqi),
        temperature_c: report.temperature_c,
        firmware: report.firmware,
    }
}

/// A set of moments from which what is due is taken.
trait PopDue {
    fn pop_first_if_due(&mut self, now: Moment) -> Option<(Moment, LabelId)>;
}

impl PopDue for BTreeSet<(Moment, LabelId)> {
    fn pop_first_if_due(&mut self, now: Moment) -> Option<(Moment, LabelId)> {
        if self.first()?.0 <= now { self.pop_first() } else { None }
    }
}
