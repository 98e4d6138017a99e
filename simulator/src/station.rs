//! A base station: one byte stream to a controller, and transfers that wait for labels to wake.
//!
//! It never asks a label for anything and never looks into a picture.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::frame::{self, FrameDecoder, PAYLOAD_MAX};
use gondola_protocol::message::{
    CheckIn, Downlink, Encoding, Frame, Hello, Reason, Status, Transfer, Uplink, VERSION, Welcome,
};
use gondola_protocol::{
    Digest, Edition, LabelId, Millivolts, Moment, Panel, SequenceNumber, SessionId, StationId, TransferNumber,
};

use crate::counters::Counters;
use crate::dice::{Dice, Loss};
use crate::radio::BLOCK_BYTES;
use crate::uplink::{Queued, UplinkQueue};
use crate::waiting::{Settled, Waiting};

/// A check-in that says nothing new is forwarded after this time all the same.
const FORWARD_PERIOD: Duration = Duration::from_secs(15 * 60);

/// A battery that moved by this much is news.
const BATTERY_STEP_MV: u16 = 50;

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
    pub(crate) encoding: Encoding,
    pub(crate) length: usize,
}

impl Offer {
    fn of(transfer: &Transfer) -> Self {
        Self {
            number: transfer.number,
            panel: transfer.panel,
            edition: transfer.edition,
            digest: transfer.digest,
            encoding: transfer.encoding,
            length: transfer.data.len(),
        }
    }

    /// Whether it brings the same bytes as `later`, under whatever number.
    pub(crate) fn continues(&self, later: &Self) -> bool {
        Self { number: later.number, ..*self } == *later
    }
}

/// Whether a station took charge of a check-in, so that the label need not report the same again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Taken,
    NotTaken,
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
    link: Link,
    decoder: FrameDecoder,
    session: Option<Session>,
    out: VecDeque<Bytes>,
    counters: Counters,
}

/// Everything that a new session voids.
#[derive(Debug)]
struct Session {
    id: SessionId,
    /// Sequence number of the controller's next data frame.
    expected: SequenceNumber,
    waiting: Waiting,
    uplink: UplinkQueue,
    forwarded: BTreeMap<LabelId, Forwarded>,
}

/// What the controller was last told of a label.
#[derive(Debug, Clone, Copy)]
struct Forwarded {
    at: Moment,
    panel: Panel,
    edition: Edition,
    digest: Digest,
    battery_mv: Millivolts,
}

impl Forwarded {
    fn is_news(&self, now: Moment, check_in: &CheckIn) -> bool {
        check_in.reason != Reason::Regular
            || (check_in.edition, check_in.digest, check_in.panel) != (self.edition, self.digest, self.panel)
            || check_in.battery_mv.0.abs_diff(self.battery_mv.0) >= BATTERY_STEP_MV
            || now.since(self.at) >= FORWARD_PERIOD
    }
}

impl Station {
    pub(crate) fn new(options: StationOptions, seed: u64, loss: f64) -> Self {
        Self {
            dice: Dice::of_station(seed, &options.id),
            options,
            loss: Loss(loss),
            link: Link::Down,
            decoder: FrameDecoder::default(),
            session: None,
            out: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    pub(crate) fn id(&self) -> &StationId {
        &self.options.id
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

    pub(crate) fn handle_bytes(&mut self, now: Moment, bytes: &[u8]) {
        if self.link == Link::Down {
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
                self.transmit(&frame);
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
        match Frame::decode(payload) {
            Ok(Frame::Hello(hello)) => self.handle_hello(now, &hello),
            Ok(Frame::Data { session, sequence, body }) => self.handle_data(now, session, sequence, &body),
            Ok(Frame::Ack { session: id, next }) => {
                if let Some(session) = self.session.as_mut().filter(|session| session.id == id) {
                    session.uplink.handle_ack(now, next);
                }
            }
            // A welcome is a station's to say; what else cannot be read is the controller's to repeat.
            Ok(Frame::Welcome(_)) | Err(_) => self.counters.frames_broken += 1,
        }
    }

    fn handle_hello(&mut self, now: Moment, hello: &Hello) {
        if !(hello.version_min..=hello.version_max).contains(&VERSION) {
            return;
        }
        if self.session.as_ref().is_none_or(|session| session.id != hello.session) {
            self.counters.voided += self.session.as_ref().map_or(0, |session| session.waiting.len() as u64);
            self.counters.sessions += 1;
            self.session = Some(Session::new(now, hello.session, &self.options));
            self.out.clear();
        } else if self.link == Link::Silent
            && let Some(session) = &mut self.session
        {
            session.uplink.restart_timers(now);
        }
        self.link = Link::Greeted;
        self.transmit(&Frame::Welcome(self.welcome(hello.session)).encode());
    }

    fn welcome(&self, session: SessionId) -> Welcome {
        Welcome {
            session,
            version: VERSION,
            station: self.options.id.clone(),
            // The simulated station never restarts.
            epoch: 1,
            encodings: self.options.encodings,
            window: self.options.window,
            payload_max: u32::try_from(PAYLOAD_MAX).expect("96 KiB fit"),
            transfers_max: self.options.transfers_max,
            bytes_max: self.options.bytes_max,
        }
    }

    fn handle_data(&mut self, now: Moment, id: SessionId, sequence: SequenceNumber, body: &Bytes) {
        let Some(session) = self.session.as_mut().filter(|session| session.id == id) else { return };
        let accepted = sequence == session.expected && !session.uplink.is_choked();
        if accepted {
            session.expected = SequenceNumber(sequence.0.wrapping_add(1));
        }
        let ack = Frame::Ack { session: id, next: session.expected };
        self.transmit(&ack.encode());
        if accepted {
            match Downlink::decode(body) {
                Ok(message) => self.handle_message(now, message),
                Err(_) => self.counters.frames_broken += 1,
            }
        }
    }

    fn handle_message(&mut self, now: Moment, message: Downlink) {
        let Some(session) = &mut self.session else { return };
        let settled = match message {
            Downlink::Batch(transfers) => {
                self.counters.transfers += transfers.len() as u64;
                let encodings = self.options.encodings;
                let add = |transfer: Transfer| {
                    if transfer.encoding.bit() & encodings == 0 {
                        vec![(transfer.number, Status::UnknownEncoding)]
                    } else {
                        session.waiting.add(now, transfer)
                    }
                };
                transfers.into_iter().flat_map(add).collect()
            }
            Downlink::Cancel(numbers) => session.waiting.cancel(&numbers.into_iter().collect::<BTreeSet<_>>()),
            // Nothing that this station does depends on the time of day.
            Downlink::TimeSync(_) => Vec::new(),
        };
        self.settle(settled);
    }

    fn settle(&mut self, settled: Vec<Settled>) {
        for (_, status) in &settled {
            let counter = match status {
                Status::Delivered => &mut self.counters.delivered,
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
                Uplink::Presence(_) => self.counters.presences += 1,
                Uplink::Statuses(_) => {}
            }
            self.transmit(&frame);
        }
    }

    fn transmit(&mut self, payload: &[u8]) {
        if self.link != Link::Greeted {
            return;
        }
        self.counters.frames_up += 1;
        if self.dice.loses(self.loss) {
            self.counters.frames_lost_up += 1;
        } else if self.out.len() == FRAMES_OUT_MAX {
            self.counters.frames_dropped += 1;
        } else {
            let mut encoded = Vec::new();
            frame::encode(payload, &mut encoded);
            self.out.push_back(encoded.into());
        }
    }

    // The radio.

    /// A label polls: forwards its check-in if there is a reason to, and offers what waits for it.
    pub(crate) fn handle_poll(&mut self, now: Moment, check_in: &CheckIn) -> (Heard, Option<Offer>) {
        let Some(session) = &mut self.session else { return (Heard::NotTaken, None) };
        let heard = session.forward(now, check_in);
        let offer = session.waiting.of(check_in.label).map(Offer::of);
        self.transmit_new(now);
        (heard, offer)
    }

    /// A block of an offered picture; none when the offer no longer holds.
    pub(crate) fn block(&self, label: LabelId, offer: &Offer, start: usize) -> Option<Bytes> {
        let transfer = self.session.as_ref()?.waiting.of(label).filter(|held| Offer::of(held) == *offer)?;
        let end = (start + BLOCK_BYTES).min(transfer.data.len());
        Some(transfer.data.slice(start.min(end)..end))
    }

    /// A label tells what became of an offer; ignored when the offer no longer holds.
    pub(crate) fn handle_outcome(&mut self, now: Moment, label: LabelId, offer: &Offer, status: Status) {
        let Some(session) = &mut self.session else { return };
        if session.waiting.of(label).is_some_and(|held| Offer::of(held) == *offer) {
            session.waiting.remove(label);
            self.settle(vec![(offer.number, status)]);
            self.transmit_new(now);
        }
    }
}

impl Session {
    fn new(now: Moment, id: SessionId, options: &StationOptions) -> Self {
        let bytes_max = usize::try_from(options.bytes_max).unwrap_or(usize::MAX);
        Self {
            id,
            expected: SequenceNumber(0),
            waiting: Waiting::new(usize::from(options.transfers_max), bytes_max),
            uplink: UplinkQueue::new(now, id, usize::from(options.window)),
            forwarded: BTreeMap::new(),
        }
    }

    /// Forwards a check-in that says something new, while work waits for the label, or after a while;
    /// else the label stands in the next presence.
    fn forward(&mut self, now: Moment, check_in: &CheckIn) -> Heard {
        let known = self.forwarded.get(&check_in.label);
        let is_news = known.is_none_or(|known| known.is_news(now, check_in));
        if !is_news && self.waiting.of(check_in.label).is_none() {
            self.uplink.push_heard(check_in.label);
            return Heard::Taken;
        }
        if self.uplink.push_check_in(check_in.clone()) == Queued::Full {
            self.uplink.push_heard(check_in.label);
            return Heard::NotTaken;
        }
        let CheckIn { label, panel, edition, digest, battery_mv, .. } = *check_in;
        self.forwarded.insert(label, Forwarded { at: now, panel, edition, digest, battery_mv });
        Heard::Taken
    }
}
