//! Evidence from base stations and labels: the only thing that changes what is known of the glass.

use std::time::Duration;

use gondola_drivers::head::{HeadEvent, Outcome, Telemetry};
use gondola_protocol::message::{Lane, Reason, Status, Welcome};
use gondola_protocol::{Digest, Edition, LabelId, Moment, StationId, TransferNumber};

use super::message::Notice;
use super::{Booking, Controller};
use crate::fleet::choice::FAILURES_MAX;
use crate::fleet::label::{Content, CoolDown, Doubt, Heard, Label, Reported, UnderWay, Unproven};
use crate::fleet::{News, SeenLabel, Shows};
use crate::journal::entry::{Entry, Shown};
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
const SILENCE_WAIT: Duration = Duration::from_secs(5);

impl Controller {
    pub(super) fn handle_station(&mut self, now: Moment, station: StationId, event: HeadEvent) {
        match event {
            HeadEvent::Up(welcome) => self.station_up(now, &station, &welcome),
            HeadEvent::Down(reason) => self.station_down(now, &station, reason.to_string()),
            HeadEvent::Room(_) | HeadEvent::Keeps { .. } | HeadEvent::Firmware(..) | HeadEvent::Clock(_) => {}
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

    fn station_up(&mut self, now: Moment, id: &StationId, welcome: &Welcome) {
        let Some(station) = self.fleet.station_mut(id) else { return };
        station.capacity = Some(welcome.into());
        station.since = Some(now);
        station.away_because = None;
        self.look_at_all_heard_by(id);
        self.notice(Notice::StationUp(id.clone()));
    }

    fn station_down(&mut self, now: Moment, id: &StationId, reason: String) {
        let Some(station) = self.fleet.station_mut(id) else { return };
        if station.capacity.take().is_some() || station.since.is_none() {
            station.since = Some(now);
        }
        // An outage is told once, however often connecting fails while it lasts.
        if station.away_because.replace(reason.clone()).is_none() {
            self.notice(Notice::StationDown { station: id.clone(), reason });
        }
        self.look_at_all_heard_by(id);
    }

    fn look_at_all_heard_by(&mut self, station: &StationId) {
        let heard: Vec<LabelId> =
            self.fleet.labels().filter(|label| label.heard_by.contains_key(station)).map(|label| label.id).collect();
        for label in heard {
            self.look_again(label, Lane::Routine);
        }
    }

    fn handle_presence(&mut self, now: Moment, station: &StationId, id: LabelId) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        label.last_check_in = Some(now);
        if let Some(heard) = label.heard_by.get_mut(station) {
            heard.at = now;
        }
        if matches!(label.cool_down, Some(CoolDown::Silence(_))) {
            label.cool_down = None;
            self.look_again(id, Lane::Routine);
        }
    }

    /// A label said how it is and, if its hardware can, what it shows.
    pub(super) fn handle_word(&mut self, now: Moment, station: &StationId, said: &Telemetry, shows: Option<Shows>) {
        let seen = SeenLabel { said: said.clone(), shows, station: station.clone(), at: now };
        let Some(label) = self.fleet.label_mut(said.label) else {
            self.note_unregistered(seen);
            return;
        };
        label.last_check_in = Some(now);
        label.last_word = Some(seen);
        let failures = label.heard_by.get(station).map_or(0, |heard| heard.failures);
        label.heard_by.insert(station.clone(), Heard { at: now, rssi_dbm: said.rssi_dbm, failures });
        label.battery_mv = Some(said.battery_mv);
        label.temperature_c = Some(said.temperature_c);
        label.firmware = Some(said.firmware);
        if matches!(label.cool_down, Some(CoolDown::Silence(_))) {
            label.cool_down = None;
        }
        let panel = label.panel;
        match shows {
            Some(shows) => self.handle_proof(now, said, shows),
            None if said.reason == Reason::Boot => self.forget_proof(said.label),
            None => {}
        }
        if panel != said.panel {
            let (says, registered) = (said.panel, panel);
            let fault = format!("it says that its panel is {says}, but it is registered with {registered}");
            self.set_fault(said.label, fault);
        }
        self.look_again(said.label, Lane::Routine);
        self.changed.insert(said.label);
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
        let told = label.reported.as_ref().is_some_and(|told| (told.digest, told.edition) == (digest, edition));
        let content = label.content_of(digest);
        if let Some(unproven) = label.unproven.take_if(|unproven| unproven.is_settled_by(now, edition, said.reason))
            && edition >= unproven.edition
        {
            // It shows what it takes.
            label.refusals = 0;
            label.fault = None;
        }
        if !told {
            label.displayed_at = Some(now);
            label.reported = Some(Reported { digest, edition, since: now, content: content.clone() });
            let (key, shown) = content.map_or((None, Vec::new()), |content| (Some(content.key), content.shown));
            self.append(vec![Entry::Proof { label: id, digest, edition, key, shown }]);
        }
        if let Some(label) = self.fleet.label_mut(id) {
            label.resend.take_if(|resend| edition >= *resend);
        }
        self.raise_edition(now, id);
    }

    /// A label that cannot say what it shows has started anew: it may show anything.
    fn forget_proof(&mut self, id: LabelId) {
        if let Some(label) = self.fleet.label_mut(id) {
            (label.reported, label.unproven) = (None, None);
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
        let Some(label) = self.fleet.label_mut(label) else { return };
        let content = key.map(|key| Content { key, shown: shown.to_vec() });
        label.reported = Some(Reported { digest, edition, since: at, content });
        label.edition_last = label.edition_last.max(edition);
        label.displayed_at = Some(at);
    }

    pub(super) fn handle_outcome(&mut self, now: Moment, number: TransferNumber, outcome: Outcome) {
        let Some((id, Some(sent))) = self.end_transfer(number) else { return };
        let Some(label) = self.fleet.label_mut(id) else { return };
        if let Some(heard) = label.heard_by.get_mut(&sent.station) {
            heard.count(outcome);
        }
        match outcome {
            Outcome::Status(Status::Delivered) => {
                label.acknowledged_at = Some(now);
                label.doubt(sent, Doubt::Delivered, now + PROOF_WAIT);
            }
            Outcome::Taken { proof_by } => {
                label.acknowledged_at = Some(now);
                label.doubt(sent, Doubt::Delivered, proof_by);
            }
            // The label may have taken it just before the base station went away, or take it still.
            Outcome::Lost => label.doubt(sent, Doubt::Lost, now + SILENCE_WAIT),
            Outcome::Status(Status::Cancelled) => {}
            Outcome::Status(Status::NoRoom | Status::Expired) => {
                label.cool_down = Some(CoolDown::Silence(now + SILENCE_WAIT));
            }
            Outcome::Status(Status::OlderEdition) => {
                // A label that has said how far it is has been given a higher number already.
                if label.desired.as_ref().is_some_and(|desired| desired.edition <= sent.edition) {
                    label.renumber(now);
                    label.refuse(now);
                }
            }
            // It holds another picture than it had proven: the whole one follows at once.
            Outcome::Status(Status::Undecodable) if sent.base.is_some() => label.refusals += 1,
            Outcome::Status(Status::Undecodable) => {
                self.refused(now, id, "it could not decode its picture; replace it if this goes on");
            }
            Outcome::Status(Status::WrongPanel) => {
                self.refused(now, id, "its display is another than registered; remove it and register it anew");
            }
            Outcome::Status(Status::UnknownEncoding) => {
                self.refused(now, id, "its base station cannot pass on this encoding; update the station's firmware");
            }
            // Nothing is staged or commanded yet.
            Outcome::Status(Status::Staged | Status::Unsupported) => {}
        }
        self.look_again(id, Lane::Routine);
        self.changed.insert(id);
    }

    /// Frees what a transfer held, and answers whose it was and what; none when its label is gone since.
    pub(super) fn end_transfer(&mut self, number: TransferNumber) -> Option<(LabelId, Option<UnderWay>)> {
        let Booking { label: id, station, bytes } = self.transfers.remove(&number)?;
        if let Some(station) = self.fleet.station_mut(&station) {
            station.release(bytes);
        }
        let label = self.fleet.label_mut(id);
        Some((id, label.and_then(|label| label.under_way.take_if(|under_way| under_way.number == number))))
    }

    fn refused(&mut self, now: Moment, id: LabelId, why: &str) {
        if let Some(label) = self.fleet.label_mut(id) {
            label.refuse(now);
        }
        self.set_fault(id, why.to_owned());
    }

    pub(super) fn set_fault(&mut self, id: LabelId, fault: String) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        if label.fault.as_ref() != Some(&fault) {
            label.fault = Some(fault.clone());
            self.changed.insert(id);
            self.notice(Notice::Fault { label: id, fault });
        }
    }

    /// The wait for a proof is over: the label took the picture and never showed it. What it does show
    /// stays unknown until it says so.
    pub(super) fn give_up_proof(&mut self, now: Moment, id: LabelId) {
        let Some(label) = self.fleet.label_mut(id) else { return };
        let overdue = |unproven: &&mut Unproven| unproven.doubt == Doubt::Delivered && unproven.until <= now;
        if let Some(unproven) = label.unproven.as_mut().filter(overdue) {
            unproven.doubt = Doubt::Overdue;
            label.refuse(now);
            self.changed.insert(id);
        }
    }
}

impl Label {
    /// A picture may have reached the label: until a proof comes, nobody knows what the glass shows.
    fn doubt(&mut self, sent: UnderWay, doubt: Doubt, until: Moment) {
        let Some(digest) = sent.digest() else { return };
        // The proof may have come before the delivery was told.
        if self.reported.as_ref().is_some_and(|reported| reported.edition >= sent.edition) {
            return;
        }
        self.unproven = Some(Unproven { digest, edition: sent.edition, content: sent.content, doubt, until });
    }

    /// Gives the desired picture a number above every other.
    pub(super) fn renumber(&mut self, now: Moment) {
        let edition = self.next_edition(now);
        if let Some(desired) = &mut self.desired {
            desired.edition = edition;
        }
    }

    fn refuse(&mut self, now: Moment) {
        let wait = REFUSAL_WAIT.saturating_mul(1 << self.refusals.min(16)).min(REFUSAL_WAIT_MAX);
        self.refusals += 1;
        self.cool_down = Some(CoolDown::Refusal(now + wait));
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
    fn is_settled_by(&self, now: Moment, edition: Edition, reason: Reason) -> bool {
        edition >= self.edition || reason == Reason::Boot || self.until <= now
    }
}
