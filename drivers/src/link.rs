//! Numbered messages that arrive once and in order, over a stream that loses frames: go-back-N with
//! cumulative acks, the same at both ends.
//!
//! It never opens a session, reads a message or drops a connection: it says that it gave up, and its
//! owner acts.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::auth::{Sealer, SessionKey};
use gondola_protocol::frame;
use gondola_protocol::message::Frame;
use gondola_protocol::{Moment, SequenceNumber, SessionId};

/// Time-outs in a row, without one frame acknowledged, after which the session is given up.
///
/// With the doubling below they span 79 ack timeouts: 24 s of a station that hears nothing, shorter
/// than its 45 s of silence would take, longer than a station's restart.
pub const TIMEOUTS_MAX: u32 = 12;

/// An ack timeout is doubled at each time-out in a row, at most this often: 8 times its length.
///
/// More would leave a line that has come back unused for longer than a reconnect takes.
const DOUBLINGS_MAX: u32 = 3;

/// How long a link waits for its acks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkOptions {
    /// What an ack takes beside the bytes on the wire.
    pub ack_timeout: Duration,
    /// Speed of the wire.
    pub bytes_per_second: u32,
}

/// As many frames are on their way as the window allows; an ack makes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} frames are on their way, which is the window")]
pub struct LinkFull(pub u8);

/// One end of a session's numbered messages, sending and receiving.
///
/// It holds at most `window` frames: 32 of 96 KiB, 3 MiB, at the very most.
#[derive(Debug)]
pub struct Link {
    session: SessionId,
    seal: Option<SessionKey>,
    options: LinkOptions,
    window: u8,
    /// Sequence number of the first frame in flight, or of the next one when there is none.
    first: u32,
    /// Frames without an ack, oldest first.
    in_flight: VecDeque<Sent>,
    /// Index in `in_flight` of the next frame to put on the wire.
    next: usize,
    /// When the oldest frame in flight was submitted, sent again, or became the oldest.
    since: Moment,
    /// Time-outs since the last progress.
    timeouts: u32,
    /// Sequence number of the next frame to receive.
    expected: u32,
    /// Acks to put on the wire, one for each data frame that came.
    acks_due: u32,
    retransmissions: u64,
    unawaited_acks: u64,
}

/// A frame in flight: made once, sent again byte for byte.
#[derive(Debug)]
struct Sent {
    stream: Bytes,
    transmissions: u32,
}

impl Link {
    /// A link at the start of a session: both directions at 0.
    #[must_use]
    pub fn new(session: SessionId, window: u8, options: LinkOptions) -> Self {
        Self {
            session,
            seal: None,
            options,
            window,
            first: 0,
            in_flight: VecDeque::new(),
            next: 0,
            since: Moment::ZERO,
            timeouts: 0,
            expected: 0,
            acks_due: 0,
            retransmissions: 0,
            unawaited_acks: 0,
        }
    }

    /// The same link with everything that it sends sealed.
    #[must_use]
    pub fn sealed(self, seal: Option<SessionKey>) -> Self {
        Self { seal, ..self }
    }

    /// Whether [`submit`](Self::submit) takes another message.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.in_flight.len() < usize::from(self.window)
    }

    /// Numbers one message and puts it in flight.
    ///
    /// # Errors
    /// The window is full.
    ///
    /// # Panics
    /// A body that does not fit a frame: who makes messages keeps to the station's `payload_max`.
    pub fn submit(&mut self, now: Moment, body: Bytes) -> Result<(), LinkFull> {
        if !self.has_room() {
            return Err(LinkFull(self.window));
        }
        if self.in_flight.is_empty() {
            self.since = now;
        }
        let ahead = u32::try_from(self.in_flight.len()).expect("a window is at most 255 frames");
        let sequence = SequenceNumber(self.first.wrapping_add(ahead));
        let stream = on_stream(&Frame::Data { session: self.session, sequence, body }, self.seal.as_ref());
        self.in_flight.push_back(Sent { stream, transmissions: 0 });
        Ok(())
    }

    /// Takes an ack: everything below `next` has arrived.
    ///
    /// An ack that nobody waits for is counted and ignored: it costs no attempt.
    pub fn handle_ack(&mut self, now: Moment, next: SequenceNumber) {
        let acked = usize::try_from(next.0.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        let sent = self.in_flight.iter().take_while(|sent| sent.transmissions > 0).count();
        if acked == 0 || acked > sent {
            self.unawaited_acks += 1;
            return;
        }
        self.in_flight.drain(..acked);
        self.first = next.0;
        self.next = self.next.saturating_sub(acked);
        self.since = now;
        self.timeouts = 0;
    }

    /// Takes a data frame of this session and returns its body when it is the next in order.
    ///
    /// It is answered with an ack whether it was the next, a repeated one, or one ahead.
    pub fn handle_data(&mut self, sequence: SequenceNumber, body: Bytes) -> Option<Bytes> {
        self.acks_due += 1;
        if sequence.0 != self.expected {
            return None;
        }
        self.expected = self.expected.wrapping_add(1);
        Some(body)
    }

    /// Sends everything in flight again when the oldest frame's ack is overdue.
    pub fn handle_timeout(&mut self, now: Moment) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.timeouts += 1;
            self.next = 0;
            self.since = now;
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        if self.in_flight.is_empty() || self.gave_up() {
            return None;
        }
        Some(self.since + self.ack_timeout() * 2_u32.pow(self.timeouts.min(DOUBLINGS_MAX)))
    }

    /// Whether [`TIMEOUTS_MAX`] passed without progress. The session is over; nothing is sent any more.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.timeouts >= TIMEOUTS_MAX
    }

    /// The next frame for the wire, an ack first: it is short, and the other end waits for it.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        if self.gave_up() {
            return None;
        }
        if self.acks_due > 0 {
            self.acks_due -= 1;
            let ack = Frame::Ack { session: self.session, next: SequenceNumber(self.expected) };
            return Some(on_stream(&ack, self.seal.as_ref()));
        }
        let sent = self.in_flight.get_mut(self.next)?;
        self.next += 1;
        self.retransmissions += u64::from(sent.transmissions > 0);
        sent.transmissions += 1;
        Some(sent.stream.clone())
    }

    /// Frames sent again so far.
    #[must_use]
    pub const fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    /// Acks so far that acknowledged nothing new.
    #[must_use]
    pub const fn unawaited_acks(&self) -> u64 {
        self.unawaited_acks
    }

    /// For the frames in flight now, before any doubling: there and back at the speed of the wire.
    fn ack_timeout(&self) -> Duration {
        let bytes: usize = self.in_flight.iter().map(|sent| sent.stream.len()).sum();
        let micros = 2 * bytes as u64 * 1_000_000 / u64::from(self.options.bytes_per_second.max(1));
        self.options.ack_timeout + Duration::from_micros(micros)
    }
}

/// A frame as the stream carries it, sealed in a keyed session.
pub(crate) fn on_stream(frame: &Frame, seal: Option<&SessionKey>) -> Bytes {
    let mut payload = frame.encode();
    if let Some(seal) = seal {
        seal.seal(Sealer::Controller, &mut payload);
    }
    let mut stream = Vec::new();
    frame::encode(&payload, &mut stream);
    stream.into()
}

#[cfg(test)]
mod tests;
