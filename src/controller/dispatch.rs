//! From what labels need to transfers and commands on their way: places in line, room at base stations, pictures.

use gondola_drivers::Action;
use gondola_drivers::encode::Packed;
use gondola_drivers::head::{Ahead, Picture};
use gondola_protocol::message::Lane;
use gondola_protocol::{Digest, LabelId, Moment, Planes, StationId, TransferNumber};

use super::message::Output;
use super::{Booking, Controller, RENDERS_MAX, Wake};
use crate::fleet::ahead::SLOT;
use crate::fleet::label::{Desired, Label, Stage, UnderWay};
use crate::planner::Need;

/// Whether the line before a base station may move on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    MovesOn,
    Waits,
}

impl Controller {
    /// Tells the base station to drop a label's transfer, which a newer picture has overtaken.
    pub(super) fn cancel(&mut self, id: LabelId) {
        let Some(under_way) = self.fleet.label_mut(id).and_then(|label| label.under_way.as_mut()) else { return };
        if let Stage::Sent { digest } = under_way.stage {
            under_way.stage = Stage::Cancelling { digest };
            self.outputs.push_back(Output::Cancel(under_way.station.clone(), under_way.number));
        }
    }

    /// The same for a picture that was sent ahead.
    pub(super) fn cancel_stage(&mut self, id: LabelId) {
        let under_way = self.fleet.label(id).and_then(|label| label.under_way.as_ref());
        if under_way.is_some_and(|under_way| under_way.activate_at.is_some()) {
            self.cancel(id);
        }
    }

    /// Puts a label in line, takes it out, or arranges to look at it later.
    pub(super) fn queue(&mut self, now: Moment, id: LabelId) {
        let Some(label) = self.fleet.label(id) else {
            self.wake_for(id, None);
            return self.planner.leave(id);
        };
        let need = Need::of(label, now);
        let place = need.place(label).and_then(|place| {
            // Where nobody hears it, its next check-in looks again.
            let station = self.fleet.station_for(label)?;
            let stages = station.capacity.is_some_and(|capacity| capacity.stages);
            (stages || !matches!(need, Need::Stage | Need::Drop)).then_some((place, station))
        });
        match place {
            Some(((lane, since), station)) => self.planner.enter(id, lane, since, &station.id),
            None => self.planner.leave(id),
        }
        self.wake_for(id, if let Need::Patience(until) = need { Some(until) } else { None });
    }

    /// Asks to be woken for a label then, or not at all, in place of what was asked before.
    fn wake_for(&mut self, id: LabelId, at: Option<Moment>) {
        let before = match at {
            Some(at) => self.label_wakes.insert(id, at),
            None => self.label_wakes.remove(&id),
        };
        if let Some(before) = before {
            self.wakes.remove(&(before, Wake::Label(id)));
        }
        self.wakes.extend(at.map(|at| (at, Wake::Label(id))));
    }

    /// Starts transfers and commands as far as the base stations have room.
    pub(super) fn plan(&mut self, now: Moment) {
        if self.planner.waiting() == 0 || self.is_far_behind() {
            return;
        }
        let mut stations: Vec<StationId> = self.fleet.stations().map(|station| station.id.clone()).collect();
        if !stations.is_empty() {
            self.turn = (self.turn + 1) % stations.len();
            stations.rotate_left(self.turn);
        }
        for station in stations {
            while let Some(label) = self.planner.first(&station) {
                if self.serve(now, &station, label) == Line::Waits {
                    break;
                }
            }
        }
    }

    /// Gives the first label in a station's line what it needs.
    fn serve(&mut self, now: Moment, station: &StationId, id: LabelId) -> Line {
        let Some(label) = self.fleet.label(id) else {
            self.planner.leave(id);
            return Line::MovesOn;
        };
        let need = Need::of(label, now);
        let bytes = label.panel.picture_bytes();
        let has_room = self.fleet.station_mut(station).is_some_and(|station| match need {
            Need::Transfer | Need::Stage => station.has_room(bytes),
            _ => station.has_place(),
        });
        if !has_room || self.rendering.len() >= RENDERS_MAX {
            return Line::Waits;
        }
        self.planner.leave(id);
        match need {
            Need::Command => self.send_command(id, station),
            Need::Drop => self.send_drop(id, station),
            Need::Transfer | Need::Stage => self.start_transfer(now, station, id),
            Need::Nothing | Need::Patience(_) => {}
        }
        if need == Need::Command {
            // It may need a picture as well.
            self.queue(now, id);
        }
        Line::MovesOn
    }

    /// Starts the transfer of a label's desired picture, or of its upcoming one.
    fn start_transfer(&mut self, now: Moment, station: &StationId, id: LabelId) {
        self.set_pictures(now, id, Lane::Routine);
        let Some(label) = self.fleet.label(id) else { return };
        let (picture, activate_at): (Option<&Desired>, _) = match Need::of(label, now) {
            Need::Transfer => (label.desired.as_ref(), None),
            Need::Stage => {
                let picture = label.upcoming.as_ref().map(|upcoming| &upcoming.desired);
                (picture, picture.map(|picture| picture.since))
            }
            _ => return self.queue(now, id),
        };
        let Some(picture) = picture else { return };
        let scene = match self.scene(label, activate_at.unwrap_or(now)) {
            Ok(Some(scene)) if scene.key() == picture.content.key => scene,
            // What was known of its products does not hold.
            Ok(_) => return self.look_anew(id),
            Err(error) => return self.set_fault(id, error.to_string()),
        };
        let (edition, content) = (picture.edition, picture.content.clone());
        let bytes = label.panel.picture_bytes();
        let base = label.base();
        let passed_on = self.fleet.station(station).and_then(|station| station.capacity);
        let passed_on = passed_on.map_or(0, |capacity| capacity.encodings);
        let number = self.book(id, station, bytes, None);
        let Some(label) = self.fleet.label_mut(id) else { return };
        let encodings = label.encodings & passed_on;
        label.under_way = Some(Box::new(UnderWay {
            number,
            station: station.clone(),
            edition,
            content,
            base,
            stage: Stage::Rendering,
            activate_at,
        }));
        label.carrier = Some(station.clone());
        self.rendering.insert(number);
        self.outputs.push_back(Output::Render { number, scene, encodings, base });
    }

    fn look_anew(&mut self, id: LabelId) {
        self.fleet.label_mut(id).into_iter().for_each(Label::forget_looks);
        self.look_again(id, Lane::Routine);
    }

    /// Takes room at a base station for something that gets an outcome.
    pub(super) fn book(
        &mut self,
        label: LabelId,
        station: &StationId,
        bytes: usize,
        action: Option<Action>,
    ) -> TransferNumber {
        let number = TransferNumber(self.transfer_last.0.wrapping_add(1));
        self.transfer_last = number;
        if let Some(station) = self.fleet.station_mut(station) {
            station.reserve(bytes);
        }
        self.transfers.insert(number, Booking { label, station: station.clone(), bytes, action });
        number
    }

    /// A picture was made: it goes to its base station, unless the label is proven to have it already or a newer one
    /// is wanted by now.
    pub(super) fn handle_rendered(
        &mut self,
        now: Moment,
        number: TransferNumber,
        planes: Planes,
        packed: Option<Packed>,
    ) {
        self.rendering.remove(&number);
        let Some(id) = self.transfers.get(&number).map(|booking| booking.label) else { return };
        if let Some(label) = self.fleet.label_mut(id)
            && let Some(output) = label.dispatch(now, number, planes, packed)
        {
            self.outputs.push_back(output);
        } else {
            self.end_transfer(number);
            self.look_again(id, Lane::Routine);
        }
        self.changed.insert(id);
    }
}

impl Label {
    /// Sends a picture on its way, if it is still wanted and the label is not proven to have it.
    fn dispatch(
        &mut self,
        now: Moment,
        number: TransferNumber,
        planes: Planes,
        packed: Option<Packed>,
    ) -> Option<Output> {
        let under_way = self.under_way.as_ref().filter(|under_way| under_way.number == number)?;
        let (edition, key, activate_at) = (under_way.edition, under_way.content.key, under_way.activate_at);
        let wanted = match activate_at {
            None => self.desired.as_mut(),
            Some(_) => self.upcoming.as_mut().map(|upcoming| &mut upcoming.desired),
        };
        let wanted = wanted.filter(|wanted| (wanted.edition, wanted.content.key) == (edition, key))?;
        let (digest, lane) = (planes.digest(), wanted.lane);
        wanted.digest = Some(digest);
        let is_there = if activate_at.is_some() { self.adopts_kept(digest) } else { self.is_in_sync() };
        if is_there {
            return None;
        }
        let base = self.base();
        let encodings = self.encodings;
        let under_way = self.under_way.as_mut()?;
        under_way.stage = Stage::Sent { digest };
        // What it holds may have become uncertain meanwhile.
        let packed = packed.filter(|_| under_way.base == base).map(Box::new);
        under_way.base = base;
        let ahead = activate_at.map(|activate_at| Ahead { slot: SLOT, activate_at });
        let lane = if ahead.is_some() { Lane::Routine } else { lane };
        if ahead.is_none() {
            self.sent_at = Some(now);
        }
        let picture = Picture { number, label: self.id, edition, lane, planes, held: None, encodings, packed };
        Some(Output::Send { station: self.under_way.as_ref()?.station.clone(), picture, base, ahead })
    }

    /// Whether the label keeps this very picture for the very instant, though under another number: then that number
    /// is the picture's.
    fn adopts_kept(&mut self, digest: Digest) -> bool {
        let Some((upcoming, kept)) = self.upcoming.as_mut().zip(self.kept.as_ref()) else { return false };
        let desired = self.desired.as_ref().map(|desired| desired.edition);
        let is_same = kept.slot.digest == digest
            && kept.slot.activate_at == upcoming.activate_at()
            && Some(kept.slot.edition) > desired
            && kept.is_said
            && !kept.is_dropping;
        if is_same {
            upcoming.desired.edition = kept.slot.edition;
        }
        is_same
    }
}
