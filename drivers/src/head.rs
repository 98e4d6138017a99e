//! One base station as the controller sees it: session, link and batch joined. Bytes in; bytes, events
//! and time-outs out.
//!
//! It never touches a socket or a clock, never reconnects and never decides what a label should show.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::frame::{FrameDecoder, FrameError};
use gondola_protocol::message::{CheckIn, Downlink, Encoding, Frame, Lane, MessageError, Status, Transfer};
use gondola_protocol::message::{Uplink, Welcome};
use gondola_protocol::{Edition, LabelId, Moment, Planes, SessionId, StationId, TransferNumber};

use crate::batch::Batch;
use crate::encode;
use crate::link::{Link, LinkOptions, TIMEOUTS_MAX};
use crate::session::{DownReason, Opened, Session, SessionOptions};

/// How often a station is told the time: its clock, at 20 ppm, is then off by 12 ms at most.
pub const TIME_SYNC_PERIOD: Duration = Duration::from_secs(600);

/// Most cancels in one message: they fit a frame of 1,024 bytes, the smallest that a station may ask for.
const CANCELS_MAX: usize = 250;

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
        }
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
}

/// What a station can take now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Pictures.
    pub transfers: usize,
    /// Bytes, counted as raw pictures: more than they take once packed.
    pub bytes: usize,
}

/// What became of a picture: exactly one for each that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The station's word, or the head's own when the picture never left it.
    Status(Status),
    /// The session ended before the station said: the label may or may not have it.
    Lost,
}

/// What a head tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadEvent {
    /// The session is open.
    Up(Welcome),
    /// The session is over; an [`Outcome::Lost`] per picture in flight came before.
    Down(DownReason),
    /// The room grew: look again.
    Room(Room),
    /// A label reported.
    CheckIn(CheckIn),
    /// A label was heard and had nothing new to say.
    Present(LabelId),
    /// What became of a picture.
    Outcome {
        /// The picture.
        number: TransferNumber,
        /// Its end.
        outcome: Outcome,
    },
    /// Something was no good and was dropped.
    Dropped(Dropped),
}

/// A frame, message or picture that was no good. `Display` gives the full sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// Bytes that are no frame.
    #[error("{0}")]
    Frame(FrameError),
    /// A frame that is no message.
    #[error("{0}")]
    Message(MessageError),
    /// Only controllers send hellos.
    #[error("hello dropped: it came from the station's end; is this a loop, or another controller?")]
    Hello,
    /// A status that does not belong to a picture in flight.
    #[error("status dropped: transfer {0} is not in flight; did the station report it twice?")]
    Unawaited(TransferNumber),
    /// A picture that the station can never take.
    #[error("picture for label {label} dropped: it has {bytes} bytes, the station takes {bytes_max} at once")]
    Oversize {
        /// Whom it was for.
        label: LabelId,
        /// Its bytes.
        bytes: usize,
        /// The station's limit on such bytes.
        bytes_max: usize,
    },
}

/// What a head has counted since it was made, all sessions together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions that opened.
    pub sessions: u64,
    /// Frames put on the wire, repeated ones included.
    pub frames_sent: u64,
    /// Frames that arrived whole.
    pub frames_received: u64,
    /// Data frames put on the wire again.
    pub retransmissions: u64,
    /// Bytes put on the wire.
    pub bytes_sent: u64,
    /// Bytes that arrived.
    pub bytes_received: u64,
    /// Frames, messages and statuses that were no good.
    pub frames_dropped: u64,
    /// Frames of no session or of another one.
    pub stale_frames: u64,
    /// Acks that acknowledged nothing new.
    pub unawaited_acks: u64,
    /// Pictures packed, by the code of their [`Encoding`].
    pub pictures_by_encoding: [u64; Encoding::ALL.len()],
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

/// An open session.
#[derive(Debug)]
struct Open {
    welcome: Welcome,
    link: Link,
    batch: Batch,
    /// Raw bytes of each picture without an outcome: at most the welcome's `transfers_max`.
    in_flight: BTreeMap<TransferNumber, usize>,
    /// Their sum.
    bytes_in_flight: usize,
    /// Cancels to send, each of a picture in flight.
    cancels: BTreeSet<TransferNumber>,
    time_sync_at: Moment,
}

impl Head {
    /// A head for the station of that name, without a connection.
    #[must_use]
    pub fn new(station: StationId, options: HeadOptions) -> Self {
        let HeadOptions { hello_timeout, hellos_max, silence_max, .. } = options;
        Self {
            options,
            decoder: FrameDecoder::default(),
            session: Session::new(station, SessionOptions { hello_timeout, hellos_max, silence_max }),
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
            let frame =
                piece.map_err(Dropped::Frame).and_then(|payload| Frame::decode(&payload).map_err(Dropped::Message));
            match frame {
                Ok(frame) => self.handle_frame(now, frame),
                Err(dropped) => self.drop_with(dropped),
            }
        }
        self.advance(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Moment) {
        if let Err(reason) = self.session.handle_timeout(now) {
            self.end(reason);
        }
        if let Some(open) = &mut self.open {
            open.link.handle_timeout(now);
            if open.link.gave_up() {
                self.end(DownReason::GaveUp { timeouts: TIMEOUTS_MAX });
            }
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
        let bytes = hello.or_else(|| self.open.as_mut()?.link.poll_transmit())?;
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
        let Some(open) = &mut self.open else {
            return Err(picture);
        };
        let (raw, room, bytes_max) = (picture.planes.bytes().len(), open.room(), open.bytes_max());
        if room.transfers == 0 || (raw > room.bytes && raw <= bytes_max) {
            return Err(picture);
        }
        let before = open.in_flight.insert(picture.number, raw);
        assert!(before.is_none(), "transfer {} is in flight already", picture.number);
        open.bytes_in_flight += raw;
        if raw > bytes_max {
            self.refuse_oversize(&picture, raw, bytes_max);
        } else {
            self.pack(now, &picture);
        }
        self.advance(now);
        Ok(())
    }

    /// Withdraws a picture. One that still waits in the batch is cancelled at once; for one that left,
    /// the station is asked, and its status tells whether the label had taken it before.
    pub fn cancel(&mut self, now: Moment, number: TransferNumber) {
        let Some(open) = &mut self.open else {
            return;
        };
        if open.batch.remove(number).is_some() {
            self.settle(number, Status::Cancelled);
        } else if open.in_flight.contains_key(&number) {
            open.cancels.insert(number);
        }
        self.advance(now);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters;
        if let Some(open) = &self.open {
            counters.retransmissions += open.link.retransmissions();
            counters.unawaited_acks += open.link.unawaited_acks();
        }
        counters
    }

    fn handle_frame(&mut self, now: Moment, frame: Frame) {
        self.counters.frames_received += 1;
        match frame {
            Frame::Hello(_) => self.drop_with(Dropped::Hello),
            Frame::Welcome(welcome) => self.handle_welcome(now, welcome),
            Frame::Data { session, sequence, body } => {
                let body = self.open_in(now, session).and_then(|open| open.link.handle_data(sequence, body));
                match body.map(|body| Uplink::decode(&body)) {
                    Some(Ok(uplink)) => self.handle_uplink(uplink),
                    Some(Err(error)) => self.drop_with(Dropped::Message(error)),
                    None => {}
                }
            }
            Frame::Ack { session, next } => {
                if let Some(open) = self.open_in(now, session) {
                    open.link.handle_ack(now, next);
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
                self.open = Some(Open::new(now, &self.options, welcome.clone()));
                self.events.push_back(HeadEvent::Up(welcome));
            }
            Err(reason) => self.end(reason),
        }
    }

    fn handle_uplink(&mut self, uplink: Uplink) {
        match uplink {
            Uplink::Statuses(statuses) => {
                for (number, status) in statuses {
                    self.settle(number, status);
                }
            }
            Uplink::CheckIns(check_ins) => self.events.extend(check_ins.into_iter().map(HeadEvent::CheckIn)),
            Uplink::Presence(labels) => self.events.extend(labels.into_iter().map(HeadEvent::Present)),
        }
    }

    /// Packs a picture that is in flight into the batch.
    fn pack(&mut self, now: Moment, picture: &Picture) {
        let open = self.open.as_mut().expect("a picture is packed in an open session");
        let Some(packed) = encode::pack(&picture.planes, open.welcome.encodings, picture.held.as_ref()) else {
            return self.settle(picture.number, Status::UnknownEncoding);
        };
        let encoding = packed.encoding;
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
        match open.batch.push(now, transfer) {
            Ok(()) => self.counters.pictures_by_encoding[encoding as usize] += 1,
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
        open.cancels.remove(&number);
        if let Some(raw) = open.in_flight.remove(&number) {
            open.bytes_in_flight -= raw;
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
            self.events.extend(open.in_flight.into_keys().map(lost));
        }
        self.told = Room::default();
        self.session.end();
        self.events.push_back(HeadEvent::Down(reason));
    }
}

impl Open {
    fn new(now: Moment, options: &HeadOptions, welcome: Welcome) -> Self {
        let HeadOptions { ack_timeout, bytes_per_second, linger, .. } = *options;
        let payload_max = usize::try_from(welcome.payload_max).expect("a welcome's payload_max is below 96 KiB");
        Self {
            link: Link::new(welcome.session, welcome.window, LinkOptions { ack_timeout, bytes_per_second }),
            batch: Batch::new(linger, payload_max),
            in_flight: BTreeMap::new(),
            bytes_in_flight: 0,
            cancels: BTreeSet::new(),
            time_sync_at: now,
            welcome,
        }
    }

    fn bytes_max(&self) -> usize {
        usize::try_from(self.welcome.bytes_max).unwrap_or(usize::MAX)
    }

    fn room(&self) -> Room {
        Room {
            transfers: usize::from(self.welcome.transfers_max) - self.in_flight.len(),
            bytes: self.bytes_max().saturating_sub(self.bytes_in_flight),
        }
    }

    /// Fills the link's window with what is ready.
    fn advance(&mut self, now: Moment) {
        while self.link.has_room() {
            let Some(message) = self.next_message(now) else {
                return;
            };
            self.link.submit(now, message.encode()).expect("the link has room");
        }
    }

    /// The next message that is ready. The time goes first, for it ages; cancels go before new
    /// pictures, for they make room.
    fn next_message(&mut self, now: Moment) -> Option<Downlink> {
        if self.time_sync_at <= now {
            self.time_sync_at = now + TIME_SYNC_PERIOD;
            return Some(Downlink::TimeSync(now));
        }
        if !self.cancels.is_empty() {
            let numbers = std::iter::from_fn(|| self.cancels.pop_first()).take(CANCELS_MAX);
            return Some(Downlink::Cancel(numbers.collect()));
        }
        self.batch.take(now).map(Downlink::Batch)
    }

    /// With a full window nothing but an ack, or its absence, lets anything on.
    fn poll_timeout(&self) -> Option<Moment> {
        let ready = self.link.has_room().then(|| self.batch.ready_at().into_iter().chain([self.time_sync_at]));
        self.link.poll_timeout().into_iter().chain(ready.into_iter().flatten()).min()
    }
}
