//! A base station: one byte stream to a controller, and transfers that wait for labels to wake.
//!
//! It never asks a label for anything and never looks into a picture.

mod handshake;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::auth::{Sealer, SessionKey, StationKey};
use gondola_protocol::frame::{self, FrameDecoder};
use gondola_protocol::message::{
    Action, Clock, Credits, Downlink, Encoding, Firmware, Frame, Lane, Reason, Refusal, Report, Slot, Staged, Status,
    Transfer, Uplink, VERSION_MAX,
};
use gondola_protocol::{
    Digest, Edition, LabelId, Millivolts, Moment, Panel, SequenceNumber, SessionId, StationId, TransferNumber,
};

use self::handshake::Knocked;
use crate::counters::Counters;
use crate::dice::{Dice, Loss};
use crate::radio::{Airtime, BLOCK_BYTES, Channel, Radio};
use crate::uplink::{Queued, UplinkQueue};
use crate::waiting::{Ahead, Settled, Waiting};

/// A check-in that says nothing new is forwarded after this time all the same.
const FORWARD_PERIOD: Duration = Duration::from_secs(15 * 60);

/// A battery that moved by this much is news.
const BATTERY_STEP_MV: u16 = 50;

/// Crystals are this many parts per million fast or slow at most.
const DRIFT_PPM_MAX: u64 = 20;

/// What simulated labels call their firmware.
const FIRMWARE: &str = "gondola-simulator 1.0";

/// Frames that nobody has taken from the station yet: two windows of data and their acks with room to
/// spare, below a megabyte. Beyond that they are dropped as line noise would; the sender repeats them.
const FRAMES_OUT_MAX: usize = 256;

/// What a simulated station can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationOptions {
    /// Its name.
    pub id: StationId,
    /// Data frames without an ack, each way, 1 to 32.
    pub window: u8,
    /// Transfers that it holds, at least 1.
    pub transfers_max: u16,
    /// Bytes of picture data that it holds.
    pub bytes_max: u32,
    /// Encodings that it passes on, a bit each.
    pub encodings: u8,
    /// Highest version of shelflink that it speaks, 1 or 2.
    pub version_max: u8,
    /// Its key: with one it serves only a controller that has it, too.
    pub key: Option<StationKey>,
}

impl Default for StationOptions {
    /// `front`, a station with the memory of an ESP32-S3: 256 transfers in 1 MiB, 8 frames in flight.
    fn default() -> Self {
        Self {
            id: "front".parse().expect("`front` is a station's name"),
            window: 8,
            transfers_max: 256,
            bytes_max: 1 << 20,
            encodings: Encoding::ALL.iter().fold(0, |bits, encoding| bits | encoding.bit()),
            version_max: VERSION_MAX,
            key: None,
        }
    }
}

/// What a station tells a label that polls while work waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    number: TransferNumber,
    pub(crate) panel: Panel,
    pub(crate) edition: Edition,
    pub(crate) digest: Digest,
    pub(crate) lane: Lane,
    pub(crate) encoding: Encoding,
    pub(crate) length: usize,
    pub(crate) ahead: Ahead,
}

impl Offer {
    fn of((ahead, transfer): (Ahead, &Transfer)) -> Self {
        Self {
            ahead,
            number: transfer.number,
            panel: transfer.panel,
            edition: transfer.edition,
            digest: transfer.digest,
            lane: transfer.lane,
            encoding: transfer.encoding,
            length: transfer.data.len(),
        }
    }

    /// Whether it brings the same bytes as `later`, under whatever number.
    pub(crate) fn continues(&self, later: &Self) -> bool {
        Self { number: later.number, ..*self } == *later
    }
}

/// What a station answers to a label that polls.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) heard: Heard,
    /// What the station takes for the controller's time; none until it was told.
    pub(crate) time: Option<Moment>,
    pub(crate) commands: Vec<(TransferNumber, Action)>,
    pub(crate) offer: Option<Offer>,
}

/// Whether a station took charge of a check-in, so that the label need not report the same again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Taken,
    NotTaken,
    /// There is no session in which it could.
    Nobody,
}

/// The byte stream's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down,
    /// Open, no hello yet: the station stays silent.
    Silent,
    Greeted,
}

/// A base station.
#[derive(Debug)]
pub(crate) struct Station {
    options: StationOptions,
    loss: Loss,
    dice: Dice,
    nonces: Dice,
    is_on: bool,
    link: Link,
    decoder: FrameDecoder,
    knocked: Option<Knocked>,
    session: Option<Session>,
    /// Counts its starts.
    epoch: u32,
    /// When it was started last.
    started_at: Moment,
    /// How much faster its crystal runs than it should, in millionths.
    drift_ppm: i64,
    out: VecDeque<Bytes>,
    channel: Channel,
    /// A session has begun or ended since somebody last asked.
    turned_over: bool,
    counters: Counters,
}

/// Everything that a new session voids.
#[derive(Debug)]
struct Session {
    id: SessionId,
    version: u8,
    seal: Option<SessionKey>,
    /// The controller's time as it was told, and the station's own at that moment.
    time: Option<Clock>,
    /// Sequence number of the controller's next data frame.
    expected: SequenceNumber,
    waiting: Waiting,
    uplink: UplinkQueue,
    forwarded: BTreeMap<LabelId, Forwarded>,
}

/// What the controller was last told of a label.
#[derive(Debug, Clone)]
struct Forwarded {
    at: Moment,
    panel: Panel,
    edition: Edition,
    digest: Digest,
    battery_mv: Millivolts,
    slots: Vec<Slot>,
}

impl Forwarded {
    fn is_news(&self, now: Moment, Report { check_in, slots, .. }: &Report) -> bool {
        check_in.reason != Reason::Regular
            || *slots != self.slots
            || (check_in.edition, check_in.digest, check_in.panel) != (self.edition, self.digest, self.panel)
            || check_in.battery_mv.0.abs_diff(self.battery_mv.0) >= BATTERY_STEP_MV
            || now.since(self.at) >= FORWARD_PERIOD
    }
}

impl Station {
    pub(crate) fn new(options: StationOptions, channel: Channel, seed: u64, loss: f64, start: Moment) -> Self {
        let mut crystal = Dice::of_crystal(seed, &options.id);
        Self {
            dice: Dice::of_station(seed, &options.id),
            drift_ppm: crystal.within_ppm(DRIFT_PPM_MAX),
            nonces: crystal,
            knocked: None,
            epoch: 1,
            started_at: start,
            options,
            loss: Loss(loss),
            is_on: true,
            link: Link::Down,
            decoder: FrameDecoder::default(),
            session: None,
            out: VecDeque::new(),
            channel,
            turned_over: false,
            counters: Counters::default(),
        }
    }

    pub(crate) fn id(&self) -> &StationId {
        &self.options.id
    }

    pub(crate) fn set_loss(&mut self, loss: f64) {
        self.loss = Loss(loss);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    // The byte stream.

    /// A new byte stream replaces the old one; the session lives until the next hello.
    pub(crate) fn connect(&mut self) {
        self.decoder = FrameDecoder::default();
        self.out.clear();
        self.link = Link::Silent;
    }

    pub(crate) fn disconnect(&mut self) {
        self.connect();
        self.link = Link::Down;
    }

    pub(crate) fn set_power(&mut self, now: Moment, is_on: bool) {
        if is_on && !self.is_on {
            self.is_on = true;
            self.reboot(now);
        } else if !is_on {
            self.forget();
            self.is_on = false;
        }
    }

    /// Everything that it held is gone, and it is silent until a hello.
    fn forget(&mut self) {
        self.counters.voided += self.session.as_ref().map_or(0, |session| session.waiting.len() as u64);
        self.session = None;
        self.turned_over = true;
        self.knocked = None;
        if self.link != Link::Down {
            self.connect();
        }
    }

    /// It loses power for a moment: everything that it held is gone, and it is silent until a hello.
    pub(crate) fn reboot(&mut self, now: Moment) {
        if !self.is_on {
            return;
        }
        self.forget();
        self.counters.reboots += 1;
        self.epoch += 1;
        self.started_at = now;
        if self.link != Link::Down && self.options.version_max >= 2 {
            self.send(Frame::Announce(self.options.id.clone()).encode());
        }
    }

    /// Another device takes its place.
    pub(crate) fn exchange(&mut self, now: Moment, key: Option<StationKey>) {
        self.options.key = key;
        self.reboot(now);
    }

    /// What it holds at once changes, and its controller is told.
    pub(crate) fn set_credits(&mut self, now: Moment, credits: Credits) {
        self.options.transfers_max = credits.transfers_max;
        self.options.bytes_max = credits.bytes_max;
        if let Some(session) = &mut self.session {
            session.waiting.resize(&credits);
            if session.version >= 2 {
                session.uplink.push_credits(credits);
            }
        }
        self.transmit_new(now);
    }

    pub(crate) fn handle_bytes(&mut self, now: Moment, bytes: &[u8]) {
        if self.link == Link::Down || !self.is_on {
            return;
        }
        let mut found = Vec::new();
        self.decoder.read(bytes, |frame| found.push(frame));
        for frame in found {
            match frame {
                Ok(payload) => self.handle_payload(now, &payload),
                Err(_) => self.counters.frames_broken += 1,
            }
        }
        self.transmit_new(now);
    }

    /// Whether it has something to say to its controller.
    pub(crate) fn is_speaking(&self) -> bool {
        !self.out.is_empty()
    }

    /// The next piece of the byte stream to the controller.
    pub(crate) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        let session = self.session.as_ref()?;
        let uplink = (self.link == Link::Greeted).then(|| session.uplink.poll_timeout());
        [uplink, session.waiting.deadline()].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        let Some(session) = &mut self.session else { return };
        let expired = session.waiting.expire(now);
        self.settle(expired);
        if self.link == Link::Greeted
            && let Some(session) = &mut self.session
        {
            let again = session.uplink.handle_timeout(now);
            self.counters.retransmissions += again.len() as u64;
            for frame in again {
                self.transmit_sealed(frame.to_vec());
            }
        }
        self.transmit_new(now);
    }

    fn handle_payload(&mut self, now: Moment, payload: &Bytes) {
        self.counters.frames_down += 1;
        if self.dice.loses(self.loss) {
            self.counters.frames_lost_down += 1;
            return;
        }
        let Some(payload) = self.unseal(payload.clone()) else { return };
        match Frame::decode(&payload) {
            Ok(Frame::Hello(hello)) => self.handle_hello(now, &hello),
            Ok(Frame::Knock(knock)) => self.handle_knock(&knock),
            Ok(Frame::Answer { session }) => self.handle_answer(now, session),
            Ok(Frame::Data { session, sequence, body }) => self.handle_data(now, session, sequence, &body),
            Ok(Frame::Ack { session: id, next }) => {
                let Some(session) = self.session.as_mut().filter(|session| session.id == id) else { return };
                if session.uplink.is_ahead(next) {
                    // A hello that came again opened it after a restart: it is not the controller's.
                    self.session = None;
                    self.turned_over = true;
                    return self.refuse(id, Refusal::UnknownSession);
                }
                session.uplink.handle_ack(now, next);
            }
            // The rest is a station's to say; what cannot be read is the controller's to repeat.
            Ok(Frame::Welcome(_) | Frame::Challenge { .. } | Frame::Refused { .. } | Frame::Announce(_)) | Err(_) => {
                self.counters.frames_broken += 1;
            }
        }
    }

    fn handle_data(&mut self, now: Moment, id: SessionId, sequence: SequenceNumber, body: &Bytes) {
        if self.session.is_none() {
            return self.refuse(id, Refusal::UnknownSession);
        }
        let Some(session) = self.session.as_mut().filter(|session| session.id == id) else { return };
        let accepted = sequence == session.expected && !session.uplink.is_choked();
        if accepted {
            session.expected = SequenceNumber(sequence.0.wrapping_add(1));
        }
        let ack = Frame::Ack { session: id, next: session.expected };
        self.transmit_sealed(ack.encode());
        if accepted {
            match Downlink::decode(body) {
                Ok(message) => self.handle_message(now, message),
                Err(_) => self.counters.frames_broken += 1,
            }
        }
    }

    fn handle_message(&mut self, now: Moment, message: Downlink) {
        let own_clock = self.own_clock(now);
        let Some(session) = &mut self.session else { return };
        let settled = match message {
            Downlink::Batch(transfers) => {
                let glass = Ahead::default();
                transfers.into_iter().flat_map(|transfer| self.add(now, glass, transfer)).collect()
            }
            Downlink::Stage(staged) => {
                let add = |Staged { slot, activate_at, transfer }| self.add(now, Ahead { slot, activate_at }, transfer);
                staged.into_iter().flat_map(add).collect()
            }
            Downlink::Command(command) => {
                let orders = command.labels.iter();
                orders
                    .filter_map(|(number, label)| session.waiting.order(now, *number, *label, command.action))
                    .collect()
            }
            Downlink::Cancel(numbers) => session.waiting.cancel(&numbers.into_iter().collect::<BTreeSet<_>>()),
            Downlink::TimeSync(told) => {
                let clock = Clock { told, station: own_clock };
                session.time = Some(clock);
                if session.version >= 2 {
                    session.uplink.push_clock(clock);
                }
                Vec::new()
            }
        };
        self.settle(settled);
    }

    fn add(&mut self, now: Moment, ahead: Ahead, transfer: Transfer) -> Vec<Settled> {
        self.counters.transfers += 1;
        self.counters.bytes_packed += transfer.data.len() as u64;
        let Some(session) = &mut self.session else { return Vec::new() };
        if transfer.encoding.bit() & self.options.encodings == 0 {
            return vec![(transfer.number, Status::UnknownEncoding)];
        }
        session.waiting.add(now, ahead, transfer)
    }

    /// Microseconds since the start, by its own crystal.
    fn own_clock(&self, now: Moment) -> Moment {
        let true_us = i64::try_from(now.since(self.started_at).as_micros()).unwrap_or(i64::MAX);
        let drifted = true_us.saturating_add(true_us / 1_000 * self.drift_ppm / 1_000);
        Moment::from_micros(u64::try_from(drifted).unwrap_or_default())
    }

    /// What it takes for the controller's time.
    pub(crate) fn time(&self, now: Moment) -> Option<Moment> {
        let clock = self.session.as_ref()?.time?;
        Some(clock.told + self.own_clock(now).since(clock.station))
    }

    fn settle(&mut self, settled: Vec<Settled>) {
        for (_, status) in &settled {
            let counter = match status {
                Status::Delivered => &mut self.counters.delivered,
                Status::Staged => &mut self.counters.staged,
                Status::Cancelled => &mut self.counters.cancelled,
                Status::NoRoom => &mut self.counters.no_room,
                Status::Expired => &mut self.counters.expired,
                _ => &mut self.counters.refused,
            };
            *counter += 1;
        }
        if let Some(session) = &mut self.session {
            session.uplink.push_statuses(settled);
        }
    }

    /// Sends what the window has room for.
    fn transmit_new(&mut self, now: Moment) {
        while self.link == Link::Greeted
            && let Some(session) = &mut self.session
            && let Some((message, frame)) = session.uplink.poll_frame(now)
        {
            match message {
                Uplink::CheckIns(check_ins) => self.counters.check_ins += check_ins.len() as u64,
                Uplink::Reports(reports) => self.counters.check_ins += reports.len() as u64,
                Uplink::Presence(_) => self.counters.presences += 1,
                Uplink::Statuses(_) | Uplink::Clock(_) | Uplink::Credits(_) | Uplink::Firmware(_) => {}
            }
            self.transmit_sealed(frame.to_vec());
        }
    }

    /// From now on it speaks on this byte stream.
    fn greet(&mut self) {
        self.link = Link::Greeted;
    }

    /// A payload of the session.
    fn transmit_sealed(&mut self, mut payload: Vec<u8>) {
        if let Some(seal) = self.session.as_ref().and_then(|session| session.seal.as_ref()) {
            seal.seal(Sealer::Station, &mut payload);
        }
        self.transmit(payload);
    }

    fn transmit(&mut self, payload: Vec<u8>) {
        if self.link == Link::Greeted {
            self.send(payload);
        }
    }

    fn send(&mut self, payload: Vec<u8>) {
        self.counters.frames_up += 1;
        if self.dice.loses(self.loss) {
            self.counters.frames_lost_up += 1;
        } else if self.out.len() == FRAMES_OUT_MAX {
            self.counters.frames_dropped += 1;
        } else {
            let mut encoded = Vec::new();
            frame::encode(&payload, &mut encoded);
            self.out.push_back(encoded.into());
        }
    }

    // The radio.

    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether a controller has a session with it over an open byte stream.
    pub(crate) fn is_connected(&self) -> bool {
        self.link == Link::Greeted && self.session.is_some()
    }

    /// Whether it holds a picture for a label's glass.
    pub(crate) fn has_picture(&self, label: LabelId) -> bool {
        self.session.as_ref().is_some_and(|session| session.waiting.in_slot(label, 0).is_some())
    }

    /// Takes the air for something. Answers how long it has to wait for that.
    pub(crate) fn occupy(&mut self, now: Moment, airtime: Airtime, is_picture: bool) -> Duration {
        self.channel.take(now, airtime, is_picture)
    }

    /// Its air, for calls that nobody has granted.
    pub(crate) const fn channel(&mut self) -> &mut Channel {
        &mut self.channel
    }

    /// The air that so many pictures need, so many packed bytes together, with what is lost of it; and then the wakes that
    /// the unluckiest of the labels needs, of which each one wakes every `period`.
    pub(crate) fn bound(&self, pictures: u64, bytes: u64, radio: Radio, period: Duration) -> Duration {
        let Some(length) = bytes.checked_div(pictures) else { return Duration::ZERO };
        let once = Radio::picture(usize::try_from(length).unwrap_or(usize::MAX)).as_secs_f64();
        let lost = radio.loss.0;
        let airtime = self.channel.stretched(Duration::from_secs_f64(once * pictures as f64 / (1.0 - lost)));
        airtime + period * (1 + radio.wakes_of_the_unluckiest(pictures))
    }

    /// Until when a label with nothing new to say, and for which nothing waits, is none of the controller's business.
    pub(crate) fn quiet_until(&self, now: Moment, label: LabelId) -> Moment {
        let forwarded = self.session.as_ref().and_then(|session| session.forwarded.get(&label));
        forwarded.map_or(now, |forwarded| forwarded.at) + FORWARD_PERIOD
    }

    /// Labels that got work since the last call; none for all of the station's, because a session began or ended.
    pub(crate) fn take_roused(&mut self) -> Option<Vec<LabelId>> {
        let roused = self.session.as_mut().map(|session| session.waiting.take_roused());
        if std::mem::take(&mut self.turned_over) { None } else { Some(roused.unwrap_or_default()) }
    }

    /// Whether it is about to say which labels it heard.
    pub(crate) fn presence_is_due(&self, now: Moment) -> bool {
        self.link == Link::Greeted && self.session.as_ref().is_some_and(|session| session.uplink.presence_is_due(now))
    }

    /// A label was heard that had nothing new to say.
    pub(crate) fn hear(&mut self, label: LabelId) {
        if let Some(session) = &mut self.session {
            session.uplink.push_heard(label);
        }
    }

    /// Transfers and commands that it holds, and their bytes.
    pub(crate) fn holds(&self) -> (usize, usize) {
        self.session.as_ref().map_or((0, 0), |session| (session.waiting.len(), session.waiting.bytes()))
    }

    /// A label polls: forwards its report if there is a reason to, and offers what waits for it.
    pub(crate) fn handle_poll(&mut self, now: Moment, report: &Report) -> Answer {
        let time = self.time(now);
        let Some(session) = &mut self.session else {
            return Answer { heard: Heard::Nobody, time, commands: Vec::new(), offer: None };
        };
        let heard = session.forward(now, report);
        let label = report.check_in.label;
        let commands = session.waiting.commands(label).collect();
        let offer = session.waiting.of(label).map(Offer::of);
        self.transmit_new(now);
        Answer { heard, time, commands, offer }
    }

    /// A block of an offered picture; none when the offer no longer holds.
    pub(crate) fn block(&self, label: LabelId, offer: &Offer, start: usize) -> Option<Bytes> {
        let (_, transfer) = self.session.as_ref()?.waiting.of(label).filter(|held| Offer::of(*held) == *offer)?;
        let end = (start + BLOCK_BYTES).min(transfer.data.len());
        Some(transfer.data.slice(start.min(end)..end))
    }

    /// A label tells what became of an offer; ignored when the offer no longer holds.
    pub(crate) fn handle_outcome(&mut self, now: Moment, label: LabelId, offer: &Offer, status: Status) {
        let Some(session) = &mut self.session else { return };
        if session.waiting.in_slot(label, offer.ahead.slot).is_some_and(|held| Offer::of((offer.ahead, held)) == *offer)
        {
            session.waiting.remove(label, offer.ahead.slot);
            self.settle(vec![(offer.number, status)]);
            self.transmit_new(now);
        }
    }

    /// A label has done what it was told; ignored when that was withdrawn meanwhile.
    pub(crate) fn handle_done(&mut self, now: Moment, label: LabelId, number: TransferNumber, status: Status) {
        let Some(session) = &mut self.session else { return };
        let Some(action) = session.waiting.remove_command(label, number) else { return };
        if action == Action::Firmware {
            session.uplink.push_firmware(label, Firmware::new(FIRMWARE).expect("the text is short"));
        }
        self.settle(vec![(number, status)]);
        self.transmit_new(now);
    }
}

impl Session {
    fn new(now: Moment, id: SessionId, version: u8, seal: Option<SessionKey>, options: &StationOptions) -> Self {
        let bytes_max = usize::try_from(options.bytes_max).unwrap_or(usize::MAX);
        Self {
            id,
            version,
            seal,
            time: None,
            expected: SequenceNumber(0),
            waiting: Waiting::new(usize::from(options.transfers_max), bytes_max),
            uplink: UplinkQueue::new(now, id, version, usize::from(options.window)),
            forwarded: BTreeMap::new(),
        }
    }

    /// Forwards a report that says something new, while work waits for the label, or after a while;
    /// else the label stands in the next presence.
    fn forward(&mut self, now: Moment, report: &Report) -> Heard {
        let label = report.check_in.label;
        let is_news = self.forwarded.get(&label).is_none_or(|known| known.is_news(now, report));
        if !is_news && !self.waiting.has_work(label) {
            self.uplink.push_heard(label);
            return Heard::Taken;
        }
        if self.uplink.push_check_in(report.clone()) == Queued::Full {
            self.uplink.push_heard(label);
            return Heard::NotTaken;
        }
        let (check_in, slots) = (&report.check_in, report.slots.clone());
        let (panel, edition, digest) = (check_in.panel, check_in.edition, check_in.digest);
        self.forwarded
            .insert(label, Forwarded { at: now, panel, edition, digest, battery_mv: check_in.battery_mv, slots });
        Heard::Taken
    }
}
