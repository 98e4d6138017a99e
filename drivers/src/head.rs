//! One base station as the controller sees it: session, link and batch joined. Bytes in; bytes, events
//! and time-outs out.
//!
//! It never touches a socket or a clock, never reconnects and never decides what a label should show.

mod event;
mod open;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::auth::StationKey;
use gondola_protocol::frame::FrameDecoder;
use gondola_protocol::message::{Frame, Lane, Report, Staged, Status, Transfer, Uplink, VERSION_MAX, Welcome};
use gondola_protocol::{Edition, LabelId, Moment, Planes, SessionId, StationId, TransferNumber};

use crate::action::Action;
use crate::encode::{self, Packed};
use crate::link::TIMEOUTS_MAX;
use crate::session::{DownReason, Opened, Session, SessionOptions, Unsealed};
pub use event::{Capacity, ClockReport, Counters, Dropped, HeadEvent, Outcome, Room, Telemetry, Wake};
use open::Open;

/// How often a station is told the time: its clock, at 20 ppm, is then off by 12 ms at most.
pub const TIME_SYNC_PERIOD: Duration = Duration::from_secs(600);

/// How a head behaves on its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadOptions {
    /// How long a hello waits for its welcome.
    pub hello_timeout: Duration,
    /// Hellos that go out before the connection is dropped.
    pub hellos_max: u32,
    /// What an ack takes beside the bytes on the wire.
    pub ack_timeout: Duration,
    /// Speed of the line: it lengthens the ack timeout of large frames.
    pub bytes_per_second: u32,
    /// How long a picture waits for company in its batch.
    pub linger: Duration,
    /// Silence after which the connection is dropped.
    pub silence_max: Duration,
    /// Highest version of shelflink that is offered.
    pub version_max: u8,
    /// The station's key: with one, only a station that has it too is driven.
    pub key: Option<StationKey>,
}

impl Default for HeadOptions {
    /// The specification's times, for TCP over a shop's network.
    fn default() -> Self {
        Self {
            hello_timeout: Duration::from_millis(800),
            hellos_max: 5,
            ack_timeout: Duration::from_millis(300),
            // A little below the slowest Ethernet; only a retransmission waits for it.
            bytes_per_second: 1_000_000,
            // Long enough to gather what one change of a catalog yields, too short for a person to notice.
            linger: Duration::from_millis(20),
            // Three keep-alives of a station.
            silence_max: Duration::from_secs(45),
            version_max: VERSION_MAX,
            key: None,
        }
    }
}

impl HeadOptions {
    /// The same for a serial line: 10 bits carry a byte.
    #[must_use]
    pub const fn at_baud(self, baud: u32) -> Self {
        Self { bytes_per_second: baud / 10, ..self }
    }
}

/// A picture on its way to a label, before it is packed for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Names it in cancels and outcomes; never used twice in a controller's run.
    pub number: TransferNumber,
    /// Whom it is for.
    pub label: LabelId,
    /// The picture's running number.
    pub edition: Edition,
    /// How it waits at the station.
    pub lane: Lane,
    /// What the label is to show.
    pub planes: Planes,
    /// What it is proven to show, so that only the difference need be sent; none when that is not known, or when
    /// it has refused a difference.
    pub held: Option<Planes>,
    /// Encodings that the label decodes, a bit each as in [`Welcome::encodings`]; all where it has not said.
    pub encodings: u8,
    /// The picture as `encode::pack` has packed it for these encodings and `held`, where somebody has: packing costs a
    /// millisecond or so, which a head has better uses for. One without is packed when it is submitted.
    pub packed: Option<Box<Packed>>,
}

/// Where a picture that is sent ahead waits, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// The label's slot, 1 to [`SLOTS_MAX`](gondola_protocol::message::SLOTS_MAX).
    pub slot: u8,
    /// When the label shows it by itself; [`Moment::ZERO`] for a page.
    pub activate_at: Moment,
}

/// The controller's side of one base station.
#[derive(Debug)]
pub struct Head {
    options: HeadOptions,
    decoder: FrameDecoder,
    session: Session,
    /// What there is only while the session is open.
    open: Option<Open>,
    /// Drained by the owner after each call. One call adds at most one event per two bytes that it ends
    /// (two bytes of noise are the shortest piece; the unfinished frame before them has 96 KiB at most),
    /// one per picture in flight, and three more.
    events: VecDeque<HeadEvent>,
    /// The room as the owner knows it.
    told: Room,
    counters: Counters,
}

impl Head {
    /// A head for the station of that name, without a connection.
    #[must_use]
    pub fn new(station: StationId, options: HeadOptions) -> Self {
        let HeadOptions { hello_timeout, hellos_max, silence_max, version_max, key, .. } = options;
        let session = SessionOptions { hello_timeout, hellos_max, silence_max, version_max, key };
        Self {
            options,
            decoder: FrameDecoder::default(),
            session: Session::new(station, session),
            open: None,
            events: VecDeque::new(),
            told: Room::default(),
            counters: Counters::default(),
        }
    }

    /// A connection came about: the hello goes out. `session` must not be the last one's id.
    pub fn connected(&mut self, now: Moment, session: SessionId) {
        self.disconnected(now);
        self.decoder = FrameDecoder::default();
        self.session.greet(now, session);
    }

    /// The connection is closed, by either end.
    pub fn disconnected(&mut self, _now: Moment) {
        if self.session.is_active() {
            self.end(DownReason::Disconnected);
        }
        self.session.reset();
    }

    /// Takes bytes from the stream, in any pieces.
    pub fn handle_bytes(&mut self, now: Moment, bytes: &[u8]) {
        self.counters.bytes_received += bytes.len() as u64;
        let mut found = Vec::new();
        self.decoder.read(bytes, |piece| found.push(piece));
        for piece in found {
            match piece {
                Ok(payload) => self.handle_payload(now, payload),
                Err(error) => self.drop_with(Dropped::Frame(error)),
            }
        }
        self.advance(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Moment) {
        if let Err(reason) = self.session.handle_timeout(now) {
            self.end(reason);
        }
        if let Some(open) = &mut self.open
            && open.handle_timeout(now).is_break()
        {
            self.end(DownReason::GaveUp { timeouts: TIMEOUTS_MAX });
        }
        self.advance(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let open = self.open.as_ref().and_then(Open::poll_timeout);
        self.session.poll_timeout().into_iter().chain(open).min()
    }

    /// The next bytes for the stream.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        let hello = self.session.poll_transmit();
        let bytes = hello.or_else(|| self.open.as_mut()?.poll_transmit())?;
        self.counters.frames_sent += 1;
        self.counters.bytes_sent += bytes.len() as u64;
        Some(bytes)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<HeadEvent> {
        self.events.pop_front()
    }

    /// Whether the session is over: close the connection, then call [`disconnected`](Self::disconnected).
    #[must_use]
    pub fn wants_disconnect(&self) -> bool {
        self.session.is_over()
    }

    /// What the station can take now: nothing while the session is not open.
    #[must_use]
    pub fn room(&self) -> Room {
        self.open.as_ref().map_or_else(Room::default, Open::room)
    }

    /// Accepts one picture, or hands it back when there is no room for it.
    ///
    /// A picture larger than the station ever takes is accepted and fails alone, with [`Status::NoRoom`].
    ///
    /// # Errors
    /// The picture itself: the session is not open, or [`room`](Self::room) is too small.
    ///
    /// # Panics
    /// Its number is in flight already.
    pub fn submit(&mut self, now: Moment, picture: Picture) -> Result<(), Picture> {
        self.take(now, picture, None)
    }

    /// Accepts one picture that the label shall keep and show later: as [`submit`](Self::submit), with
    /// [`Status::Staged`] in the end. A label that comes for it too late shows it at once and is *delivered*; a
    /// station of version 1 answers [`Status::Unsupported`].
    ///
    /// # Errors
    /// As of [`submit`](Self::submit).
    ///
    /// # Panics
    /// As [`submit`](Self::submit), and without a slot of that number.
    pub fn stage(&mut self, now: Moment, picture: Picture, ahead: Ahead) -> Result<(), Picture> {
        assert!((1..=gondola_protocol::message::SLOTS_MAX).contains(&ahead.slot), "slot {}", ahead.slot);
        self.take(now, picture, Some(ahead))
    }

    /// Accepts one action for a group of labels, or none of it when there is no room for all: each label takes
    /// the place of a transfer until its outcome, which is [`Status::Delivered`] once the label has done it. What
    /// shelflink does not know is [`Status::Unsupported`].
    ///
    /// # Errors
    /// The labels themselves.
    ///
    /// # Panics
    /// A number is in flight already.
    pub fn command(
        &mut self,
        now: Moment,
        action: Action,
        lane: Lane,
        labels: Vec<(TransferNumber, LabelId)>,
    ) -> Result<(), Vec<(TransferNumber, LabelId)>> {
        let Some(open) = self.open.as_mut().filter(|open| open.room().transfers >= labels.len()) else {
            return Err(labels);
        };
        for (number, _) in &labels {
            open.book(*number, 0);
        }
        match action.in_shelflink().filter(|_| open.version() >= 2) {
            Some(action) => open.push_command(action, lane, &labels),
            None => labels.iter().for_each(|(number, _)| self.settle(*number, Status::Unsupported)),
        }
        self.advance(now);
        Ok(())
    }

    /// Withdraws a picture or a label's action. One that has not left is cancelled at once; for one that has,
    /// the station is asked, and its status tells whether the label had taken it before.
    pub fn cancel(&mut self, now: Moment, number: TransferNumber) {
        let Some(open) = &mut self.open else {
            return;
        };
        if open.withdraw(number) {
            self.settle(number, Status::Cancelled);
        }
        self.advance(now);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters;
        if let Some(open) = &self.open {
            counters.retransmissions += open.retransmissions();
            counters.unawaited_acks += open.unawaited_acks();
        }
        counters
    }

    fn take(&mut self, now: Moment, picture: Picture, ahead: Option<Ahead>) -> Result<(), Picture> {
        let Some(open) = &mut self.open else {
            return Err(picture);
        };
        let (raw, room, bytes_max) = (picture.planes.bytes().len(), open.room(), open.bytes_max());
        if room.transfers == 0 || (raw > room.bytes && raw <= bytes_max) {
            return Err(picture);
        }
        open.book(picture.number, raw);
        if ahead.is_some() && open.version() < 2 {
            self.settle(picture.number, Status::Unsupported);
        } else if raw > bytes_max {
            self.refuse_oversize(&picture, raw, bytes_max);
        } else {
            self.pack(now, &picture, ahead);
        }
        self.advance(now);
        Ok(())
    }

    fn handle_payload(&mut self, now: Moment, payload: Bytes) {
        match self.session.unseal(payload) {
            Ok(payload) => match Frame::decode(&payload) {
                Ok(frame) => self.handle_frame(now, frame),
                Err(error) => self.drop_with(Dropped::Message(error)),
            },
            Err(Unsealed::Early) => self.counters.stale_frames += 1,
            Err(Unsealed::Forged) => {
                self.counters.frames_forged += 1;
                self.drop_with(Dropped::Forged);
                if self.session.is_greeting() {
                    self.end(DownReason::Forged);
                }
            }
        }
    }

    fn handle_frame(&mut self, now: Moment, frame: Frame) {
        self.counters.frames_received += 1;
        match frame {
            Frame::Hello(_) | Frame::Knock(_) | Frame::Answer { .. } => self.drop_with(Dropped::Hello),
            Frame::Welcome(welcome) => self.handle_welcome(now, welcome),
            Frame::Challenge { session, nonce } => self.session.handle_challenge(now, session, nonce),
            Frame::Refused { session, refusal } => {
                if let Err(reason) = self.session.handle_refusal(session, refusal) {
                    self.end(reason);
                }
            }
            Frame::Announce(station) => {
                if let Err(reason) = self.session.handle_announce(&station) {
                    self.end(reason);
                }
            }
            Frame::Data { session, sequence, body } => {
                let body = self.open_in(now, session).and_then(|open| open.handle_data(sequence, body));
                match body.map(|body| Uplink::decode(&body)) {
                    Some(Ok(uplink)) => self.handle_uplink(now, uplink),
                    Some(Err(error)) => self.drop_with(Dropped::Message(error)),
                    None => {}
                }
            }
            Frame::Ack { session, next } => {
                if let Some(open) = self.open_in(now, session) {
                    open.handle_ack(now, next);
                }
            }
        }
    }

    /// The open session that a frame belongs to, which is thereby heard; else the frame is stale.
    fn open_in(&mut self, now: Moment, session: SessionId) -> Option<&mut Open> {
        if self.open.is_none() || !self.session.is(session) {
            self.counters.stale_frames += 1;
            return None;
        }
        self.session.heard(now);
        self.open.as_mut()
    }

    fn handle_welcome(&mut self, now: Moment, welcome: Welcome) {
        if !self.session.is(welcome.session) {
            self.counters.stale_frames += 1;
            return;
        }
        match self.session.handle_welcome(now, &welcome) {
            Ok(Opened::Before) => {}
            Ok(Opened::Now) => {
                self.counters.sessions += 1;
                self.open = Some(Open::new(now, &self.options, welcome.clone(), self.session.seal().cloned()));
                let (capacity, epoch) = (Capacity::from(&welcome), Some(welcome.epoch));
                self.events.push_back(HeadEvent::Up { capacity, epoch });
            }
            Err(reason) => self.end(reason),
        }
    }

    fn handle_uplink(&mut self, now: Moment, uplink: Uplink) {
        match uplink {
            Uplink::Statuses(statuses) => {
                for (number, status) in statuses {
                    self.settle(number, status);
                }
            }
            Uplink::CheckIns(check_ins) => self.events.extend(check_ins.into_iter().map(HeadEvent::CheckIn)),
            Uplink::Presence(labels) => self.events.extend(labels.into_iter().map(HeadEvent::Present)),
            Uplink::Reports(reports) => {
                for Report { check_in, encodings, slots } in reports {
                    let label = check_in.label;
                    self.events.push_back(HeadEvent::CheckIn(check_in));
                    self.events.push_back(HeadEvent::Keeps { label, encodings, slots });
                }
            }
            Uplink::Clock(clock) => {
                let report = self.open.as_mut().and_then(|open| open.handle_clock(now, clock));
                self.events.extend(report.map(HeadEvent::Clock));
            }
            Uplink::Credits(credits) => {
                if let Some(open) = &mut self.open {
                    open.handle_credits(credits);
                }
            }
            Uplink::Firmware(labels) => {
                self.events.extend(labels.into_iter().map(|(label, firmware)| HeadEvent::Firmware(label, firmware)));
            }
        }
    }

    /// Packs a picture that is in flight into the batch.
    fn pack(&mut self, now: Moment, picture: &Picture, ahead: Option<Ahead>) {
        let open = self.open.as_mut().expect("a picture is packed in an open session");
        let encodings = open.encodings() & picture.encodings;
        let packed = picture.packed.as_deref().filter(|packed| encodings & packed.encoding.bit() != 0);
        let packed = packed.cloned().or_else(|| encode::pack(&picture.planes, encodings, picture.held.as_ref()));
        let Some(packed) = packed else {
            return self.settle(picture.number, Status::UnknownEncoding);
        };
        let (encoding, bytes) = (packed.encoding, packed.data.len());
        let transfer = Transfer {
            number: picture.number,
            label: picture.label,
            panel: picture.planes.panel(),
            edition: picture.edition,
            digest: picture.planes.digest(),
            lane: picture.lane,
            encoding,
            data: packed.data,
        };
        let pushed = match ahead {
            None => open.push(now, transfer),
            Some(Ahead { slot, activate_at }) => open.push_staged(now, Staged { slot, activate_at, transfer }),
        };
        match pushed {
            Ok(()) => {
                self.counters.pictures_by_encoding[encoding as usize] += 1;
                open.rebook(picture.number, bytes);
                self.events.push_back(HeadEvent::Packed { number: picture.number, bytes });
            }
            Err(oversize) => self.refuse_oversize(picture, oversize.bytes, oversize.bytes_max),
        }
    }

    fn refuse_oversize(&mut self, picture: &Picture, bytes: usize, bytes_max: usize) {
        self.events.push_back(HeadEvent::Dropped(Dropped::Oversize { label: picture.label, bytes, bytes_max }));
        self.settle(picture.number, Status::NoRoom);
    }

    fn drop_with(&mut self, dropped: Dropped) {
        self.counters.frames_dropped += 1;
        self.events.push_back(HeadEvent::Dropped(dropped));
    }

    /// Ends a picture's flight.
    fn settle(&mut self, number: TransferNumber, status: Status) {
        let Some(open) = &mut self.open else {
            return;
        };
        if open.release(number) {
            self.events.push_back(HeadEvent::Outcome { number, outcome: Outcome::Status(status) });
        } else {
            self.drop_with(Dropped::Unawaited(number));
        }
    }

    /// Puts what is ready on the link, and says when the room grew.
    fn advance(&mut self, now: Moment) {
        if let Some(open) = &mut self.open {
            open.advance(now);
        }
        let room = self.room();
        if room.transfers > self.told.transfers || room.bytes > self.told.bytes {
            self.events.push_back(HeadEvent::Room(room));
        }
        self.told = room;
    }

    /// Ends the session: everything in flight is lost.
    fn end(&mut self, reason: DownReason) {
        self.counters = self.counters();
        if let Some(open) = self.open.take() {
            let lost = |number| HeadEvent::Outcome { number, outcome: Outcome::Lost };
            self.events.extend(open.into_numbers().map(lost));
        }
        self.counters.impostors += u64::from(reason.is_impostor());
        self.told = Room::default();
        self.session.end();
        self.events.push_back(HeadEvent::Down(reason));
    }
}
