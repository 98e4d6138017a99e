//! What stands in which slot: who gets one, whose turn it is, and what the radio is told.

use std::time::Duration;

use gondola_protocol::message::Status;
use gondola_protocol::{LabelId, Moment};

use super::RadioHead;
use crate::head::{HeadEvent, Outcome};
use crate::openepaperlink::known::{EXACT, Expected, Item, Known};
use crate::openepaperlink::line::BAUD_FAST;
use crate::openepaperlink::wire::{Command, NextCheckIn, Offer, Reply, Slot};

/// Slots that a radio has.
pub(super) const SLOTS_MAX: usize = 250;

/// How long the radio keeps a slot with data by itself; it is filled again long before.
///
/// Each minute the radio takes one from the number that says when to come again, even from seconds, and goes on below
/// zero: a label would be told to sleep for weeks. So no slot is kept for more minutes than that number has.
const DATA_MINUTES: u16 = 25;

/// A slot that stands for so long is filled anew.
const ANEW: Duration = Duration::from_mins(10);

/// A slot without data outlives the moment at which its label is expected by so much.
const IDLE_MINUTES: u16 = 3;

/// The radio serves no other label for so long after a label's last request.
const EXCLUSIVE: Duration = Duration::from_millis(1_220);

/// What a block takes, from its request to the next one.
const BLOCK_FAST: Duration = Duration::from_millis(450);
const BLOCK_SLOW: Duration = Duration::from_millis(850);

/// What a check-in takes before its first request.
const BEFORE: Duration = Duration::from_millis(50);

/// A label that was told to come is not told to before this: its slot must be filled until then.
const AHEAD_MIN: Duration = Duration::from_secs(2);

/// The furthest turn that a label is told: a radio serves all of its slots in less.
const SECONDS_MAX: u16 = 1_800;

/// A label that does not come so long after it was expected comes whenever it comes.
const LATE_MAX: Duration = Duration::from_secs(4);

/// A label that was not heard for so long during its visit has gone.
const VISIT_MAX: Duration = Duration::from_secs(3);

/// Half a minute after it has taken a picture a label is asked for it; those that listen to us come then.
const PROOF_AFTER: NextCheckIn = NextCheckIn::Seconds(30);

/// How long no slot is filled after the radio had none.
const FULL_REST: Duration = Duration::from_secs(5);

impl RadioHead {
    /// Finds out what a label's slot should say, and when that is to be found out again.
    pub(super) fn look(&mut self, now: Moment, label: LabelId) {
        if !self.is_open {
            return;
        }
        let until = self.decide(now, label);
        self.wake(label, until);
        let Some(known) = self.known.get(&label) else { return };
        if known.is_untold() {
            self.untold.insert(label);
        } else {
            self.untold.remove(&label);
        }
    }

    /// Sets what a label's slot should say; until when that holds by itself.
    fn decide(&mut self, now: Moment, label: LabelId) -> Option<Moment> {
        self.expire(now, label);
        let known = self.known.get_mut(&label)?;
        let (order, item) = (known.order.map(|order| order.order.offer()), &known.item);
        let Some(expires) = known.expires() else {
            self.want(label, None);
            return None;
        };
        if let Some(item) = item.as_ref().filter(|item| order.is_none() && item.not_before > now) {
            let not_before = item.not_before;
            self.want(label, None);
            return Some(not_before);
        }
        if !self.has_slot(now, label) {
            return Some(expires);
        }
        let known = self.known.get_mut(&label)?;
        let anew = known.told.map(|_| known.told_at + ANEW);
        if anew.is_some_and(|anew| anew <= now) {
            (known.in_doubt, known.told_at) = (true, now);
        }
        if let Some(visit) = known.visit.filter(|visit| *visit + VISIT_MAX > now) {
            self.want_data(label);
            return Some(visit + VISIT_MAX);
        }
        if known.visit.take().is_some() {
            // It was sent away, or what we said was lost: it comes again by itself. What its slot says is told anew,
            // in case that was the reason.
            known.expected = Some(known.by_itself(known.heard.max(now - VISIT_MAX)));
            known.in_doubt = true;
        }
        let until = self.take_turn(now, label);
        [until, anew.filter(|anew| *anew > now), Some(expires)].into_iter().flatten().min()
    }

    /// Gives back what a label does not come for, and gives up a proof that is late.
    fn expire(&mut self, now: Moment, label: LabelId) {
        let Some(known) = self.known.get_mut(&label) else { return };
        let order = known.order.take_if(|order| known.heard.max(order.since) + known.patience <= now);
        let item = known.item.take_if(|item| item.expires(known.heard, known.patience) <= now);
        let status = if item.as_ref().is_some_and(|item| item.fetched) {
            Outcome::Lost
        } else {
            Outcome::Status(Status::Expired)
        };
        order.into_iter().for_each(|order| self.settle(order.number, Outcome::Status(Status::Expired)));
        item.and_then(|item| item.number).into_iter().for_each(|number| self.settle(number, status));
    }

    /// Whether a label has a slot, or gets one now.
    fn has_slot(&mut self, now: Moment, label: LabelId) -> bool {
        if self.with_slot.contains(&label) {
            return true;
        }
        self.without_slot.insert(label);
        if self.with_slot.len() >= SLOTS_MAX || self.full_until > now {
            return false;
        }
        self.without_slot.remove(&label);
        self.with_slot.insert(label);
        true
    }

    /// Who needs no slot leaves it to the label that was heard last of those that wait: it is awake.
    fn want(&mut self, label: LabelId, slot: Option<Slot>) {
        if let Some(known) = self.known.get_mut(&label) {
            known.wanted = slot;
        }
        if slot.is_none() {
            self.turns.leave(label);
            self.with_slot.remove(&label);
            self.without_slot.remove(&label);
        }
    }

    fn want_data(&mut self, label: LabelId) {
        let Some(known) = self.known.get(&label) else { return };
        let picture = |item: &Item| Offer {
            version: item.payload.version,
            size: u32::try_from(item.payload.bytes.len()).expect("a payload is below 1 MiB"),
            kind: item.payload.kind,
            // Drawn in full: some labels throw away what asks for anything else.
            argument: 0,
            next: if item.number.is_some() { PROOF_AFTER } else { NextCheckIn::LabelDecides },
        };
        let order = known.order.map(|order| order.order.offer());
        let offer = order.or_else(|| known.item.as_ref().map(picture));
        let slot = offer.map(|offer| Slot { offer, minutes: DATA_MINUTES, label });
        self.want(label, slot);
    }

    /// Offers a label its data if it comes when nobody else does, and else tells it to come when nobody else does.
    /// Answers when it is to be looked at again.
    fn take_turn(&mut self, now: Moment, label: LabelId) -> Option<Moment> {
        let length = self.known.get(&label).and_then(|known| self.service(known));
        let known = self.known.get_mut(&label)?;
        known.expected.take_if(|expected| expected.at + LATE_MAX <= now);
        let (Some(Expected { at, around, .. }), Some(length)) = (known.expected, length) else {
            self.turns.leave(label);
            self.want_data(label);
            return None;
        };
        if self.turns.has(label) {
            return Some(at + LATE_MAX);
        }
        let (from, length_there) = (at - around, length + around * 2);
        if self.turns.free_at(from, length_there) == from {
            self.turns.take(label, from, length_there);
            self.want_data(label);
            return Some(at + LATE_MAX);
        }
        let Some(seconds) = self.next_turn(label, at, length + EXACT * 2) else {
            self.want_data(label);
            return Some(at + LATE_MAX);
        };
        let minutes = u16::try_from(at.since(now).as_secs() / 60).unwrap_or(0) + IDLE_MINUTES;
        let minutes = minutes.min(seconds);
        let offer = Offer::nothing(NextCheckIn::Seconds(seconds));
        self.want(label, Some(Slot { offer, minutes, label }));
        Some(at + LATE_MAX)
    }

    /// Takes the next turn that begins a whole number of seconds after a label's next check-in, which it is not to be
    /// served at. None when there is none that can be told.
    fn next_turn(&mut self, label: LabelId, check_in: Moment, length: Duration) -> Option<u16> {
        let mut free = check_in + AHEAD_MIN - EXACT;
        loop {
            // Upwards, so that each round looks further ahead.
            let seconds = (free + EXACT).since(check_in).as_micros().div_ceil(1_000_000);
            let seconds = u16::try_from(seconds).ok().filter(|seconds| *seconds <= SECONDS_MAX)?;
            let start = check_in + Duration::from_secs(seconds.into()) - EXACT;
            free = self.turns.free_at(start, length);
            if free == start {
                self.turns.take(label, start, length);
                return Some(seconds);
            }
        }
    }

    /// How long the radio is taken up by a label; none by one that need not fetch anything.
    fn service(&self, known: &Known) -> Option<Duration> {
        let block = if self.line.baud() == BAUD_FAST { BLOCK_FAST } else { BLOCK_SLOW };
        let blocks = match &known.item {
            Some(item) if known.order.is_none() && known.holds != Some(item.payload.version) => item.payload.blocks(),
            _ => 0,
        };
        let before_last = u32::try_from(blocks).ok().and_then(|blocks| blocks.checked_sub(1))?;
        Some(BEFORE + block * before_last + EXCLUSIVE.max(block))
    }

    /// Asks to be woken for a label then, or not at all, in place of what was asked before.
    pub(super) fn wake(&mut self, label: LabelId, at: Option<Moment>) {
        let before = match at {
            Some(at) => self.wake_of.insert(label, at),
            None => self.wake_of.remove(&label),
        };
        if let Some(before) = before {
            self.wakes.remove(&(before, label));
        }
        self.wakes.extend(at.map(|at| (at, label)));
    }

    /// Tells the radio what it does not know yet, and the owner when the room grew.
    pub(super) fn advance(&mut self, now: Moment) {
        if self.is_open {
            self.hand_out_slots(now);
            self.tell_radio(now);
        }
        let room = self.room();
        if room.transfers > self.told.transfers || room.bytes > self.told.bytes {
            self.events.push_back(HeadEvent::Room(room));
        }
        self.told = room;
    }

    fn hand_out_slots(&mut self, now: Moment) {
        while self.with_slot.len() < SLOTS_MAX && self.full_until <= now {
            let awake = self.without_slot.iter().max_by_key(|label| self.known.get(label).map(|known| known.heard));
            let Some(label) = awake.copied() else { return };
            self.look(now, label);
            self.without_slot.remove(&label);
        }
    }

    fn tell_radio(&mut self, now: Moment) {
        let mut commands = Vec::new();
        let room = self.line.room();
        let may_arm = self.full_until <= now;
        let ready = self.untold.iter().filter(|label| {
            may_arm || self.known.get(label).is_none_or(|known| known.wanted.is_none() || known.told.is_some())
        });
        let labels: Vec<LabelId> = ready.take(room).copied().collect();
        for label in labels {
            self.untold.remove(&label);
            let Some(known) = self.known.get_mut(&label) else { continue };
            known.in_doubt = false;
            known.sent = Some(known.wanted);
            // What it confirms from now on may be this or that.
            known.is_offered = false;
            commands.push((label, known.wanted.map_or(Command::Free(label), Command::Arm)));
        }
        if !commands.is_empty() {
            self.radio.slot_commands += commands.len() as u64;
            self.line.send(now, &commands);
        }
    }

    /// The radio answered what it was told of a slot.
    pub(super) fn answered(&mut self, now: Moment, label: LabelId, reply: Reply) {
        let Some(known) = self.known.get_mut(&label) else { return };
        let Some(sent) = known.sent.take() else { return };
        match reply {
            Reply::Ack => {
                // A check-in that was heard before was answered from what stood there before.
                known.is_offered &= known.told == sent;
                (known.told, known.told_at) = (sent, now);
            }
            Reply::Nok => known.in_doubt = true,
            Reply::Full => {
                self.radio.slots_full += 1;
                known.slot_freed();
                self.full_until = now + FULL_REST;
                known.wanted = None;
                self.with_slot.remove(&label);
            }
        }
        self.look(now, label);
    }

    /// Nobody knows what the radio made of slots.
    pub(super) fn unanswered(&mut self, labels: Vec<LabelId>) {
        self.counters.retransmissions += 1;
        for label in labels {
            let Some(known) = self.known.get_mut(&label) else { continue };
            known.sent = None;
            known.slot_freed();
            known.in_doubt = true;
            self.untold.insert(label);
        }
    }

    /// The radio has started: every slot is free.
    pub(super) fn restarted(&mut self) {
        self.radio.restarts += 1;
        self.forget_slots();
    }

    pub(super) fn forget_slots(&mut self) {
        self.turns.clear();
        self.untold.clear();
        for (label, known) in &mut self.known {
            known.sent = None;
            known.slot_freed();
            known.visit = None;
            // A line that was gone may have left slots behind.
            known.in_doubt = false;
            if known.is_untold() {
                self.untold.insert(*label);
            }
        }
    }
}
