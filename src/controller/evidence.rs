//! Evidence from base stations and labels: the only thing that changes what is known of the glass.

use std::time::Duration;

use gondola_drivers::Action;
use gondola_drivers::head::{Capacity, HeadEvent, Outcome, Telemetry, Wake};
use gondola_protocol::message::{Firmware, Lane, Slot, Status};
use gondola_protocol::{Digest, Edition, LabelId, Moment, StationId, TransferNumber};

use super::message::{Changed, Notice, Output};
use super::{Booking, Controller};
use crate::alert::Rule;
use crate::fleet::ahead::{Kept, SLOT};
use crate::fleet::choice::FAILURES_MAX;
use crate::fleet::label::{Content, CoolDown, Doubt, Heard, Label, LastWord, Reported, Trouble, UnderWay, Unproven};
use crate::fleet::{News, SeenLabel, Shows};
use crate::journal::entry::{CONFIRMED_MAX, Confirmed, Entry, Position, Shown};
use crate::template::RenderKey;

/// How long a proof is awaited after a picture was delivered.
///
/// Longer than the slowest refresh we know (30 s in four colours, more when cold) and a lost report's way
/// round; shorter than a walk along the aisle.
pub(super) const PROOF_WAIT: Duration = Duration::from_secs(90);

/// First wait after a label refused a picture or did not show it; doubled at each refusal in a row.
const REFUSAL_WAIT: Duration = Duration::from_secs(30);

/// Longest wait between two attempts at a label that refuses: often enough to heal by itself within the
/// hour, seldom enough that the attempts cost less battery than its regular wakes.
const REFUSAL_WAIT_MAX: Duration = Duration::from_mins(30);

/// Wait after a base station gave a transfer back unsent; its label's next check-in ends it.
pub(super) const SILENCE_WAIT: Duration = Duration::from_secs(5);

/// A transfer or a command that is over.
#[derive(Debug)]
pub(super) struct Ended {
    label: LabelId,
    station: StationId,
    /// What the label was told to do; none for a picture.
    action: Option<Action>,
    /// The picture; none for a command, and when the label is gone since.
    sent: Option<Box<UnderWay>>,
}

/// A label that goes on to show its picture is recorded as doing so this often.
///
/// Until then only memory knows of its later check-ins, which a restart loses for a label that never comes back; and an
/// audit looks back through as much of the journal before it finds the label. 30,000 labels make 120 records of 50 KB a
/// day, a tenth of their proofs.
const CONFIRMED_PERIOD: Duration = Duration::from_hours(6);

impl Controller {
    pub(super) fn handle_station(&mut self, now: Moment, station: StationId, event: HeadEvent) {
        match event {
            HeadEvent::Up { capacity, .. } => self.station_up(now, &station, capacity),
            HeadEvent::Down(reason) => {
                self.judge_station(now, &station, &reason);
                self.station_down(now, &station, reason.to_string());
            }
            HeadEvent::Room(_) => {}
            HeadEvent::Keeps { label, encodings, slots } => self.handle_kept(label, encodings, &slots),
            HeadEvent::Firmware(label, name) => self.handle_firmware(label, &name),
            HeadEvent::Clock(report) => {
                if let Some(station) = self.fleet.station_mut(&station) {
                    station.clock = Some(report);
                }
            }
            HeadEvent::Packed { number, bytes } => self.shrink(number, bytes),
            HeadEvent::CheckIn(check_in) => {
                let shows = Shows { edition: check_in.edition, digest: check_in.digest };
                self.handle_word(now, &station, &Telemetry::from(&check_in), Some(shows));
            }
            HeadEvent::Heard(said) => self.handle_word(now, &station, &said, None),
            HeadEvent::Present(label) => self.handle_presence(now, &station, label),
            HeadEvent::Outcome { number, outcome } => self.handle_outcome(now, number, outcome),
            HeadEvent::Dropped(dropped) => self.notice(Notice::Dropped { station, reason: dropped.to_string() }),
        }
    }

    fn station_up(&mut self, now: Moment, id: &StationId, capacity: Capacity) {
        let Some(station) = self.fleet.station_mut(id) else { return };
        station.capacity = Some(capacity);
        station.since = Some(now);
        station.away_because = None;
        self.look_at_all_heard_by(id);
        self.clear(now, Rule::Impostor, id.as_str());
        self.outputs.push_back(Output::Changed(Changed::Store));
        self.notice(Notice::StationUp(id.clone()));
    }

    fn station_down(&mut self, now: Moment, id: &StationId, reason: String) {
        let Some(station) = self.fleet.station_mut(id) else { return };
        if station.capacity.take().is_some() || station.since.is_none() {
            station.since = Some(now);
        }
        // An outage is told once, however often connecting fails while it lasts.
        if station.away_because.replace(reason.clone()).is_none() {
            self.outputs.push_back(Output::Changed(Changed::Store));
            self.notice(Notice::StationDown { station: id.clone(), reason });
        }
        self.look_at_all_heard_by(id);
    }

    fn look_at_all_heard_by(&mut self, station: &StationId) {
        let heard = self.fleet.labels().filter(|label| label.heard_by.contains_key(station));
        self.round.extend(heard.map(|label| label.id));
    }

    fn handle_presence(&mut self, now: Moment, station: &StationId, id: LabelId) {
        self.enrol(now, id);
        let Some(label) = self.fleet.label_mut(id) else { return };
        label.last_check_in = Some(now);
        if let Some(heard) = label.heard_by.get_mut(station) {
            heard.at = now;
        }
        if label.end_silence() {
            self.look_again(id, Lane::Routine);
        }
    }

    /// A label said how it is and, if its hardware can, what it shows.
    pub(super) fn handle_word(&mut self, now: Moment, station: &StationId, said: &Telemetry, shows: Option<Shows>) {
        let Some(label) = self.fleet.label_mut(said.label) else {
            self.note_unregistered(SeenLabel { said: said.clone(), shows, station: station.clone(), at: now });
            return self.enrol(now, said.label);
        };
        label.last_check_in = Some(now);
        let Telemetry { panel, wake, lqi, .. } = *said;
        label.last_word = Some(LastWord { panel, wake, lqi, says_picture: shows.is_some() });
        let failures = label.heard_by.get(station).map_or(0, |heard| heard.failures);
        label.heard_by.insert(station.clone(), Heard { at: now, rssi_dbm: said.rssi_dbm, failures });
        label.battery_mv = Some(said.battery_mv);
        label.temperature_c = Some(said.temperature_c);
        label.firmware = Some(said.firmware);
        label.end_silence();
        let panel = label.panel;
        match shows {
            Some(shows) => self.handle_proof(now, said, shows),
            None if said.wake.has_started() => self.forget_proof(said.label),
            None => {}
        }
        if panel != said.panel {
            let (says, registered) = (said.panel, panel);
            let fault = format!("it says that its panel is {says}, but it is registered with {registered}");
            self.set_fault(said.label, fault);
        }
        if let Wake::Button(number) = said.wake {
            self.outputs.push_back(Output::Changed(Changed::Button(said.label, number)));
        }
        self.look_again(said.label, Lane::Routine);
        self.changed.insert(said.label);
    }

    /// A label said what it keeps for later, and what it can decode.
    fn handle_kept(&mut self, id: LabelId, encodings: u8, slots: &[Slot]) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        label.encodings = encodings;
        let said = slots.iter().find(|slot| slot.slot == SLOT).copied();
        if label.kept.as_ref().map(|kept| kept.slot) == said {
            return;
        }
        label.edition_last = label.edition_last.max(said.map_or(Edition(0), |slot| slot.edition));
        label.kept = said.map(|slot| Box::new(Kept { slot, is_said: true, is_dropping: false }));
        self.look_again(id, Lane::Routine);
        self.changed.insert(id);
    }

    fn handle_firmware(&mut self, id: LabelId, name: &Firmware) {
        if let Some(label) = self.fleet.label_mut(id) {
            label.firmware_name = Some(name.as_str().into());
            self.changed.insert(id);
        }
    }

    /// Registers a label that was seen, while such are registered unasked.
    fn enrol(&mut self, now: Moment, id: LabelId) {
        if self.enrols_until(now).is_none() || self.journal_trouble().is_some() || self.is_far_behind() {
            return;
        }
        if let Some(seen) = self.fleet.seen_label(id) {
            let entry = Entry::Registered { label: id, panel: seen.said.panel, position: Position::default() };
            self.append(vec![entry.clone()]);
            self.carry_out(now, &entry);
        }
    }

    fn note_unregistered(&mut self, seen: SeenLabel) {
        let (label, panel, station) = (seen.said.label, seen.said.panel, seen.station.clone());
        if self.fleet.note_seen(label, seen) == News::First {
            self.notice(Notice::UnregisteredLabel { label, panel, station });
        }
    }

    /// A label said what it shows. That is a proof; everything else is hearsay.
    fn handle_proof(&mut self, now: Moment, said: &Telemetry, shows: Shows) {
        let (id, Shows { digest, edition }) = (said.label, shows);
        let Some(label) = self.fleet.label_mut(id) else { return };
        label.edition_last = label.edition_last.max(edition);
        let told = label.reported.as_mut().filter(|told| (told.digest, told.edition) == (digest, edition));
        let told = told.map(|told| told.confirmed = now).is_some();
        let content = label.content_of(digest);
        let goes_back = label.reported.as_ref().is_some_and(|told| edition < told.edition);
        if let Some(unproven) = label.unproven.take_if(|unproven| unproven.is_settled_by(now, edition, said.wake))
            && edition >= unproven.edition
        {
            // It shows what it takes.
            label.relieve(Trouble::forget_blame);
        }
        if !told {
            self.record_proof(now, id, shows, content);
            self.measure_wait(now, id);
        }
        if goes_back && !said.wake.has_started() {
            self.contradicts_itself(now, id);
        }
        if let Some(label) = self.fleet.label_mut(id) {
            label.relieve(|trouble| trouble.resend = trouble.resend.filter(|resend| edition < *resend));
        }
        self.raise_edition(now, id);
    }

    /// A label that cannot say what it shows has started anew: it may show anything.
    fn forget_proof(&mut self, id: LabelId) {
        if let Some(label) = self.fleet.label_mut(id) {
            (label.reported, label.unproven) = (None, None);
        }
    }

    /// A label has proven another picture than before: from now on that is what is known of its glass.
    fn record_proof(&mut self, now: Moment, id: LabelId, shows: Shows, content: Option<Content>) {
        let sequence = self.journal_sequence + 1;
        let Some(label) = self.fleet.label_mut(id) else { return };
        let Shows { digest, edition } = shows;
        let before = label.reported.as_ref().filter(|before| before.confirmed > before.since);
        let previous_until = before.map(|before| before.confirmed);
        label.displayed_at = Some(now);
        let (key, shown) = content.as_ref().map_or((None, Vec::new()), |it| (Some(it.key), it.shown.to_vec()));
        label.reported =
            Some(Reported { digest, edition, since: now, content, confirmed: now, recorded: now, sequence });
        self.append(vec![Entry::Proof { label: id, digest, edition, key, shown, previous_until }]);
    }

    /// Brings into the journal until when labels have confirmed their pictures, as far as that is news of
    /// [`CONFIRMED_PERIOD`] or more.
    pub(super) fn record_confirmations(&mut self) {
        let mut labels = Vec::new();
        for label in self.fleet.labels_mut() {
            let id = label.id;
            if let Some(reported) = &mut label.reported
                && reported.confirmed.since(reported.recorded) >= CONFIRMED_PERIOD
            {
                reported.recorded = reported.confirmed;
                labels.push(Confirmed { label: id, proof: reported.sequence, until: reported.confirmed });
            }
        }
        for labels in labels.chunks(CONFIRMED_MAX) {
            self.append(vec![Entry::Confirmed { labels: labels.to_vec() }]);
        }
    }

    /// A label that shows another picture with an edition at or above the desired one would refuse the
    /// desired picture: it is given a higher number.
    fn raise_edition(&mut self, now: Moment, id: LabelId) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        let reported = label.reported.as_ref().map_or(Edition(0), |reported| reported.edition);
        if label.desired.as_ref().is_some_and(|desired| desired.edition <= reported && !label.shows(desired)) {
            label.renumber(now);
            self.cancel(id);
        }
    }

    /// Takes up a proof that the journal holds from an earlier run.
    pub(super) fn recall_proof(
        &mut self,
        at: Moment,
        label: LabelId,
        digest: Digest,
        edition: Edition,
        key: Option<RenderKey>,
        shown: &[Shown],
    ) {
        let sequence = self.journal_sequence;
        let Some(label) = self.fleet.label_mut(label) else { return };
        let content = key.map(|key| Content { key, shown: shown.into() });
        label.reported = Some(Reported { digest, edition, since: at, content, confirmed: at, recorded: at, sequence });
        label.edition_last = label.edition_last.max(edition);
        label.displayed_at = Some(at);
    }

    /// Takes up confirmations that the journal holds from an earlier run.
    pub(super) fn recall_confirmations(&mut self, labels: &[Confirmed]) {
        for Confirmed { label, proof, until } in labels {
            let reported = self.fleet.label_mut(*label).and_then(|label| label.reported.as_mut());
            if let Some(reported) = reported.filter(|reported| reported.sequence == *proof) {
                (reported.confirmed, reported.recorded) = (*until, *until);
            }
        }
    }

    pub(super) fn handle_outcome(&mut self, now: Moment, number: TransferNumber, outcome: Outcome) {
        let Some(ended) = self.end_transfer(number) else { return };
        let Ended { label: id, station, action, sent } = ended;
        if let Some(heard) = self.fleet.label_mut(id).and_then(|label| label.heard_by.get_mut(&station)) {
            heard.count(outcome);
        }
        match (action, sent) {
            (Some(action), _) => self.handle_command_outcome(now, id, number, action, outcome),
            (None, Some(sent)) => self.handle_picture_outcome(now, id, *sent, outcome),
            (None, None) => {}
        }
        self.look_again(id, Lane::Routine);
        self.changed.insert(id);
    }

    fn handle_picture_outcome(&mut self, now: Moment, id: LabelId, sent: UnderWay, outcome: Outcome) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        match outcome {
            Outcome::Status(Status::Delivered) if sent.activate_at.is_some() => label.note_staged(sent),
            Outcome::Status(Status::Delivered) => {
                label.acknowledged_at = Some(now);
                label.doubt(sent, Doubt::Delivered, now + PROOF_WAIT);
            }
            Outcome::Taken { proof_by } => {
                label.acknowledged_at = Some(now);
                label.doubt(sent, Doubt::Delivered, proof_by);
            }
            Outcome::Status(Status::Staged) if sent.activate_at.is_some() => label.note_staged(sent),
            // Its moment came while this was on its way.
            Outcome::Status(Status::Staged) => label.doubt(sent, Doubt::Switching, now + PROOF_WAIT),
            // The label may keep it: its next report tells.
            Outcome::Lost if sent.activate_at.is_some() => {
                label.trouble_mut().cool_down = Some(CoolDown::Silence(now + SILENCE_WAIT));
                label.note_staged(sent);
                if let Some(kept) = &mut label.kept {
                    kept.is_said = false;
                }
            }
            // The label may have taken it just before the base station went away, or take it still.
            Outcome::Lost => label.doubt(sent, Doubt::Lost, now + SILENCE_WAIT),
            Outcome::Status(Status::Cancelled) => {}
            Outcome::Status(Status::NoRoom | Status::Expired) => {
                label.trouble_mut().cool_down = Some(CoolDown::Silence(now + SILENCE_WAIT));
            }
            Outcome::Status(Status::OlderEdition) => label.was_older(now, &sent),
            // It holds another picture than it had proven: the whole one follows at once.
            Outcome::Status(Status::Undecodable) if sent.base.is_some() => label.trouble_mut().refusals += 1,
            Outcome::Status(Status::Undecodable) => {
                self.refused(now, id, "it could not decode its picture; replace it if this goes on");
            }
            Outcome::Status(Status::WrongPanel) => {
                self.refused(now, id, "its display is another than registered; remove it and register it anew");
            }
            Outcome::Status(Status::UnknownEncoding) => {
                self.refused(now, id, "it and its base station decode nothing that we can send; update their firmware");
            }
            Outcome::Status(Status::Unsupported) => label.cannot_keep(&sent),
        }
    }

    /// A picture takes less room at its base station than was kept for it.
    fn shrink(&mut self, number: TransferNumber, packed: usize) {
        let Some(booking) = self.transfers.get_mut(&number) else { return };
        let freed = booking.bytes.saturating_sub(packed);
        booking.bytes -= freed;
        if let Some(station) = self.fleet.station_mut(&booking.station) {
            station.bytes = station.bytes.saturating_sub(freed);
        }
    }

    /// Frees what a transfer or a command held, and answers whose it was and what.
    pub(super) fn end_transfer(&mut self, number: TransferNumber) -> Option<Ended> {
        let Booking { label: id, station, bytes, action } = self.transfers.remove(&number)?;
        if let Some(station) = self.fleet.station_mut(&station) {
            station.release(bytes);
        }
        let label = self.fleet.label_mut(id);
        let sent = label.and_then(|label| label.under_way.take_if(|under_way| under_way.number == number));
        Some(Ended { label: id, station, action, sent })
    }

    fn refused(&mut self, now: Moment, id: LabelId, why: &str) {
        if let Some(label) = self.fleet.label_mut(id) {
            label.refuse(now);
        }
        self.set_fault(id, why.to_owned());
    }

    pub(super) fn set_fault(&mut self, id: LabelId, fault: String) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        if label.trouble().fault.as_ref() != Some(&fault) {
            label.trouble_mut().fault = Some(fault.clone());
            self.changed.insert(id);
            self.notice(Notice::Fault { label: id, fault });
        }
    }

    /// The wait for a proof is over: the label took the picture and never showed it. What it does show
    /// stays unknown until it says so.
    pub(super) fn give_up_proof(&mut self, now: Moment, id: LabelId) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        let overdue = |unproven: &&mut Box<Unproven>| unproven.doubt == Doubt::Delivered && unproven.until <= now;
        if let Some(unproven) = label.unproven.as_mut().filter(overdue) {
            unproven.doubt = Doubt::Overdue;
            label.refuse(now);
            self.changed.insert(id);
        }
    }
}

impl Label {
    /// It keeps a picture that was sent ahead. One that it has shown already, because its moment had come, is as good:
    /// either way it needs no second sending, and its next report tells.
    fn note_staged(&mut self, sent: UnderWay) {
        let Some((digest, activate_at)) = sent.digest().zip(sent.activate_at) else { return };
        let slot = Slot { slot: SLOT, edition: sent.edition, digest, activate_at };
        self.kept = Some(Box::new(Kept { slot, is_said: true, is_dropping: false }));
    }

    /// It has nowhere to keep pictures, or its station does not pass them on.
    fn cannot_keep(&mut self, sent: &UnderWay) {
        if let Some(upcoming) = self.upcoming.as_mut().filter(|upcoming| upcoming.desired.edition == sent.edition) {
            upcoming.is_unsupported = true;
        }
    }

    /// It holds a higher edition than the one sent. One that has said how far it is has been given a higher number
    /// already.
    fn was_older(&mut self, now: Moment, sent: &UnderWay) {
        if sent.activate_at.is_some() {
            self.upcoming = None;
            self.refuse(now);
        } else if self.desired.as_ref().is_some_and(|desired| desired.edition <= sent.edition) {
            self.renumber(now);
            self.refuse(now);
        }
    }

    /// A picture may have reached the label: until a proof comes, nobody knows what the glass shows.
    fn doubt(&mut self, sent: UnderWay, doubt: Doubt, until: Moment) {
        let Some(digest) = sent.digest() else { return };
        // The proof may have come before the delivery was told.
        if self.reported.as_ref().is_some_and(|reported| reported.edition >= sent.edition) {
            return;
        }
        self.set_unproven(Unproven {
            digest,
            edition: sent.edition,
            content: sent.content,
            doubt,
            until,
            earlier: Vec::new(),
        });
    }

    /// Gives the desired picture a number above every other.
    pub(super) fn renumber(&mut self, now: Moment) {
        let edition = self.next_edition(now);
        if let Some(desired) = &mut self.desired {
            desired.edition = edition;
        }
    }

    fn refuse(&mut self, now: Moment) {
        let trouble = self.trouble_mut();
        let wait = REFUSAL_WAIT.saturating_mul(1 << trouble.refusals.min(16)).min(REFUSAL_WAIT_MAX);
        trouble.refusals += 1;
        trouble.cool_down = Some(CoolDown::Refusal(now + wait));
    }

    /// It is heard again. Answers whether it was left alone because it was not.
    fn end_silence(&mut self) -> bool {
        let is_silent = matches!(self.trouble().cool_down, Some(CoolDown::Silence(_)));
        if is_silent {
            self.relieve(|trouble| trouble.cool_down = None);
        }
        is_silent
    }
}

impl Heard {
    /// What a station owes to its labels is that they get what it was given; what they refuse is not its fault.
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Taken { .. } | Outcome::Status(Status::Delivered | Status::Staged) => self.failures = 0,
            Outcome::Lost | Outcome::Status(Status::NoRoom | Status::Expired) => {
                self.failures = (self.failures + 1).min(FAILURES_MAX);
            }
            Outcome::Status(_) => {}
        }
    }
}

impl Unproven {
    /// Whether the label's word ends the doubt. As long as a refresh may take, an older picture on the glass
    /// says nothing about the next one, unless the label has forgotten that since.
    fn is_settled_by(&self, now: Moment, edition: Edition, wake: Wake) -> bool {
        edition >= self.edition || wake.has_started() || self.until <= now
    }
}
