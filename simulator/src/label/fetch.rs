//! How a label gets a picture: it calls, asks for one block after another, and decodes what has arrived.

use std::time::Duration;

use gondola_protocol::Moment;
use gondola_protocol::message::{Lane, Status};

use super::display::{Kept, Picture};
use super::{Air, EXCHANGE_TRIES_MAX, Label, Phase};
use crate::faults::Fault;
use crate::radio::{self, Airtime, BLOCK_BYTES, Radio};
use crate::station::Offer;

/// A block is asked for this often within one wake; what has arrived is kept for the next.
const BLOCK_TRIES_MAX: u32 = 4;

/// What has arrived of a picture, kept over sleeps.
#[derive(Debug)]
pub(super) struct Partial {
    offer: Offer,
    bytes: Vec<u8>,
}

impl Label {
    /// Calls the station, as whoever else wakes may do at the same time.
    pub(super) fn call(&mut self, now: Moment, tries: u32, air: &mut Air<'_>) {
        let airtime = Radio::exchange(&mut self.dice);
        air.counters.count_air(None, airtime.bytes);
        self.battery.send(airtime.time);
        let start = air.station.channel().call(now, self.id, &mut self.dice);
        self.go_on(start + airtime.time, Phase::Calling { start, tries });
    }

    /// It hears an answer, or calls again.
    pub(super) fn called(&mut self, now: Moment, start: Moment, tries: u32, air: &mut Air<'_>) {
        let is_spoiled = air.station.channel().is_spoiled(start, self.id, &mut self.dice);
        air.counters.collisions += u64::from(is_spoiled);
        if self.is_answered(now, air) && !is_spoiled {
            self.talk(now, Duration::ZERO, air);
        } else if tries + 1 < EXCHANGE_TRIES_MAX {
            let again = now + radio::backoff(&mut self.dice);
            self.call(again, tries + 1, air);
        } else {
            self.sleep(now);
        }
    }

    /// A picture is refused before any of it is sent where its header is enough to know.
    pub(super) fn consider(&mut self, now: Moment, at: Moment, offer: Offer, time: Option<Moment>, air: &mut Air<'_>) {
        if offer.ahead.slot > 0 && time.is_none() {
            // Nobody knows when it is to be shown; the station soon will.
            return self.sleep(now);
        }
        if let Some(refusal) = self.refusal(&offer, air) {
            self.tell(now, offer, refusal, air);
            return self.sleep(now);
        }
        let bytes = match self.partial.take() {
            Some(partial) if partial.offer.continues(&offer) => partial.bytes,
            _ => Vec::new(),
        };
        self.partial = Some(Partial { offer, bytes });
        self.ask(at, offer, (0, usize::MAX), air);
    }

    /// Why it does not want a picture.
    pub(super) fn refusal(&self, offer: &Offer, air: &Air<'_>) -> Option<Status> {
        let slot = offer.ahead.slot;
        let has_room = slot == 0 || self.kept.contains_key(&slot) || self.kept.len() < self.memory.pictures.into();
        if offer.panel != self.panel() {
            Some(Status::WrongPanel)
        } else if offer.encoding.bit() & self.memory.encodings == 0 {
            Some(Status::UnknownEncoding)
        } else if !has_room {
            Some(Status::Unsupported)
        } else if offer.edition < self.frame_buffer.edition && !air.radio.ignores_editions {
            Some(Status::OlderEdition)
        } else {
            None
        }
    }

    /// Asks for the next block, or for what is missing of it; its end is heard after its time on the air.
    pub(super) fn ask(&mut self, at: Moment, offer: Offer, (tries, missing): (u32, usize), air: &mut Air<'_>) {
        let start = self.partial.as_ref().map_or(0, |partial| partial.bytes.len());
        let block = offer.length.saturating_sub(start).min(BLOCK_BYTES);
        let missing = missing.min(radio::parts(block));
        let airtime = Radio::block(block.min(radio::bytes_of_parts(missing)), &mut self.dice);
        let waited = self.spend(at, airtime, Some(offer.lane), air);
        self.go_on(at + waited + airtime.time, Phase::Receiving { offer, tries, missing });
    }

    pub(super) fn receive(&mut self, now: Moment, offer: Offer, (tries, missing): (u32, usize), air: &mut Air<'_>) {
        let Some(partial) = &mut self.partial else { return self.sleep(now) };
        let Some(block) = air.station.block(self.id, &offer, partial.bytes.len()) else {
            // Cancelled, or a newer one came: asks what is wanted now.
            return self.go_on(now, Phase::Polling);
        };
        let bursts = air.radio.options.bursts.as_ref();
        let lost = if self.dice.loses(air.radio.loss) {
            missing
        } else {
            self.link.parts_lost(now, missing, bursts, &mut self.dice)
        };
        if lost > 0 {
            air.counters.blocks_lost += 1;
            if tries + 1 == BLOCK_TRIES_MAX {
                return self.sleep(now);
            }
            return self.ask(now, offer, (tries + 1, lost), air);
        }
        partial.bytes.extend_from_slice(&block);
        if partial.bytes.len() < offer.length {
            return self.ask(now, offer, (0, usize::MAX), air);
        }
        let bytes = std::mem::take(&mut partial.bytes);
        self.partial = None;
        self.take(now, offer, bytes, air);
    }

    /// All of a picture has arrived.
    pub(super) fn take(&mut self, now: Moment, offer: Offer, bytes: Vec<u8>, air: &mut Air<'_>) {
        let decoded = air.decoded.decode(offer.encoding, bytes, &self.frame_buffer.planes);
        let picture = decoded.map(|planes| Picture { planes, edition: offer.edition });
        let Some(picture) = picture.filter(|picture| picture.planes.digest() == offer.digest) else {
            self.tell(now, offer, Status::Undecodable, air);
            return self.sleep(now);
        };
        let time = air.station.time(now).filter(|_| offer.ahead.slot > 0);
        if let Some(time) = time
            && (offer.ahead.activate_at > time || offer.ahead.activate_at == Moment::ZERO)
        {
            let kept = Kept { picture, activate_at: offer.ahead.activate_at, due: None };
            self.kept.insert(offer.ahead.slot, kept);
            self.set_clock(now, time);
            self.tell(now, offer, Status::Staged, air);
            // What it keeps is news.
            return self.go_on(now, Phase::Polling);
        }
        self.tell(now, offer, Status::Delivered, air);
        self.under_page = None;
        self.begin_refresh(now, picture);
    }

    /// Tells the station what became of its offer; unheard, it is told with the next poll.
    pub(super) fn tell(&mut self, now: Moment, offer: Offer, status: Status, air: &mut Air<'_>) {
        if self.exchange(now, air).is_some() {
            air.station.handle_outcome(now, self.id, &offer, status);
        } else {
            self.outcome = Some((offer, status));
        }
    }

    /// A short message and its answer, tried a few times: the time that it took, or none if all were lost.
    pub(super) fn exchange(&mut self, now: Moment, air: &mut Air<'_>) -> Option<Duration> {
        let mut took = Duration::ZERO;
        for _ in 0..EXCHANGE_TRIES_MAX {
            let airtime = Radio::exchange(&mut self.dice);
            took += self.spend(now + took, airtime, None, air) + airtime.time;
            if self.is_answered(now + took, air) {
                return Some(took);
            }
        }
        None
    }

    /// Whether a message comes through, and its answer.
    pub(super) fn is_answered(&mut self, now: Moment, air: &Air<'_>) -> bool {
        let is_heard = self.fault != Some(Fault::Mute) && air.station.is_on();
        let is_lost = self.dice.loses(air.radio.loss)
            || self.link.loses_exchange(now, air.radio.options.bursts.as_ref(), &mut self.dice);
        !is_lost && is_heard
    }

    /// Takes the air for something, for a picture of a lane or for a short message. Answers how long that has to
    /// wait: the station says when its turn comes, and the label sleeps until then.
    pub(super) fn spend(&mut self, now: Moment, airtime: Airtime, lane: Option<Lane>, air: &mut Air<'_>) -> Duration {
        air.counters.count_air(lane, airtime.bytes);
        self.battery.send(airtime.time);
        // Nobody has to wait for the turn of those whom a station without power does not hear.
        if air.station.is_on() { air.station.occupy(now, airtime, lane.is_some()) } else { Duration::ZERO }
    }
}
