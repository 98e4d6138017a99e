//! What there is only while a session is open: what is in flight, and what waits for the link.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::auth::{SEAL_BYTES, SessionKey};
use gondola_protocol::message::{Action, Clock, Command, Credits, Downlink, Lane, Staged, Transfer, Welcome};
use gondola_protocol::{LabelId, Moment, SequenceNumber, TransferNumber};

use super::{HeadOptions, Room, TIME_SYNC_PERIOD};
use crate::batch::{Batch, Oversize};
use crate::clock::{ClockReport, ClockWatch};
use crate::link::{Link, LinkOptions};

/// Most cancels in one message: they fit a frame of 1,024 bytes, the smallest that a station may ask for.
const CANCELS_MAX: usize = 250;

/// Most labels in one command, for the same reason.
const COMMAND_LABELS_MAX: usize = 80;

/// A time sync that took longer there and back is made again: its frame was repeated on the way, and the station
/// is late by as much.
const TIME_SYNC_SLOW: Duration = Duration::from_millis(100);

/// Time syncs in a row, so that a line that is always slow is not filled with them.
const TIME_SYNCS_MAX: u32 = 4;

/// Of so many messages with pictures one is for those sent ahead, whatever else waits.
const STAGE_SHARE: u32 = 4;

/// An open session.
#[derive(Debug)]
pub(super) struct Open {
    welcome: Welcome,
    link: Link,
    pictures: Batch<Transfer>,
    staged: Batch<Staged>,
    /// Messages with pictures since the last one with pictures sent ahead.
    since_staged: u32,
    /// Commands to send: at most as many labels as there are transfers in flight.
    commands: VecDeque<Command>,
    /// Packed bytes of each picture without an outcome: at most the welcome's or the last credits' `transfers_max`.
    in_flight: BTreeMap<TransferNumber, usize>,
    /// Their sum.
    bytes_in_flight: usize,
    /// Cancels to send, each of something in flight.
    cancels: BTreeSet<TransferNumber>,
    time_sync_at: Moment,
    /// Time syncs in a row that were slow.
    time_syncs: u32,
    clock: ClockWatch,
}

impl Open {
    pub(super) fn new(now: Moment, options: &HeadOptions, welcome: Welcome, seal: Option<SessionKey>) -> Self {
        let HeadOptions { ack_timeout, bytes_per_second, linger, .. } = *options;
        let payload_max = usize::try_from(welcome.payload_max).expect("a welcome's payload_max is below 96 KiB");
        let payload_max = payload_max - if seal.is_some() { SEAL_BYTES } else { 0 };
        let link = LinkOptions { ack_timeout, bytes_per_second };
        Self {
            link: Link::new(welcome.session, welcome.window, link).sealed(seal),
            pictures: Batch::new(linger, payload_max),
            staged: Batch::new(linger, payload_max),
            since_staged: 0,
            commands: VecDeque::new(),
            in_flight: BTreeMap::new(),
            bytes_in_flight: 0,
            cancels: BTreeSet::new(),
            time_sync_at: now,
            time_syncs: 0,
            clock: ClockWatch::default(),
            welcome,
        }
    }

    pub(super) const fn version(&self) -> u8 {
        self.welcome.version
    }

    pub(super) const fn encodings(&self) -> u8 {
        self.welcome.encodings
    }

    pub(super) fn bytes_max(&self) -> usize {
        usize::try_from(self.welcome.bytes_max).unwrap_or(usize::MAX)
    }

    pub(super) fn room(&self) -> Room {
        Room {
            transfers: usize::from(self.welcome.transfers_max).saturating_sub(self.in_flight.len()),
            bytes: self.bytes_max().saturating_sub(self.bytes_in_flight),
        }
    }

    /// Puts something in flight, for which the room was asked before.
    pub(super) fn book(&mut self, number: TransferNumber, raw: usize) {
        let before = self.in_flight.insert(number, raw);
        assert!(before.is_none(), "transfer {number} is in flight already");
        self.bytes_in_flight += raw;
    }

    /// Something in flight was packed, and takes so many bytes.
    pub(super) fn rebook(&mut self, number: TransferNumber, packed: usize) {
        if let Some(bytes) = self.in_flight.get_mut(&number) {
            self.bytes_in_flight = self.bytes_in_flight - *bytes + packed;
            *bytes = packed;
        }
    }

    /// Ends something's flight. Answers whether it was in flight.
    pub(super) fn release(&mut self, number: TransferNumber) -> bool {
        self.cancels.remove(&number);
        let raw = self.in_flight.remove(&number);
        self.bytes_in_flight -= raw.unwrap_or_default();
        raw.is_some()
    }

    /// Everything that has no outcome.
    pub(super) fn into_numbers(self) -> impl Iterator<Item = TransferNumber> {
        self.in_flight.into_keys()
    }

    pub(super) fn push(&mut self, now: Moment, transfer: Transfer) -> Result<(), Oversize> {
        self.pictures.push(now, transfer)
    }

    pub(super) fn push_staged(&mut self, now: Moment, staged: Staged) -> Result<(), Oversize> {
        self.staged.push(now, staged)
    }

    pub(super) fn push_command(&mut self, action: Action, lane: Lane, labels: &[(TransferNumber, LabelId)]) {
        let messages =
            labels.chunks(COMMAND_LABELS_MAX).map(|labels| Command { action, lane, labels: labels.to_vec() });
        self.commands.extend(messages);
    }

    /// Takes back what has not left, and answers whether there was any such thing; what has left is cancelled at
    /// the station.
    pub(super) fn withdraw(&mut self, number: TransferNumber) -> bool {
        if self.pictures.remove(number).is_some() || self.staged.remove(number).is_some() {
            return true;
        }
        for command in &mut self.commands {
            if let Some(at) = command.labels.iter().position(|(other, _)| *other == number) {
                command.labels.remove(at);
                return true;
            }
        }
        if self.in_flight.contains_key(&number) {
            self.cancels.insert(number);
        }
        false
    }

    pub(super) fn handle_data(&mut self, sequence: SequenceNumber, body: Bytes) -> Option<Bytes> {
        self.link.handle_data(sequence, body)
    }

    pub(super) fn handle_ack(&mut self, now: Moment, next: SequenceNumber) {
        self.link.handle_ack(now, next);
    }

    pub(super) fn handle_credits(&mut self, credits: Credits) {
        self.welcome.transfers_max = credits.transfers_max;
        self.welcome.bytes_max = credits.bytes_max;
    }

    pub(super) fn handle_clock(&mut self, now: Moment, clock: Clock) -> Option<ClockReport> {
        let report = self.clock.handle(now, clock)?;
        if report.round_trip <= TIME_SYNC_SLOW {
            self.time_syncs = 0;
        } else if self.time_syncs < TIME_SYNCS_MAX {
            self.time_sync_at = now;
        }
        Some(report)
    }

    /// Does what is due; breaks when the link has given up.
    pub(super) fn handle_timeout(&mut self, now: Moment) -> ControlFlow<()> {
        self.link.handle_timeout(now);
        if self.link.gave_up() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// With a full window nothing but an ack, or its absence, lets anything on.
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let ready = [self.pictures.ready_at(), self.staged.ready_at(), Some(self.time_sync_at)];
        let ready = self.link.has_room().then(|| ready.into_iter().flatten());
        self.link.poll_timeout().into_iter().chain(ready.into_iter().flatten()).min()
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.link.poll_transmit()
    }

    pub(super) const fn retransmissions(&self) -> u64 {
        self.link.retransmissions()
    }

    pub(super) const fn unawaited_acks(&self) -> u64 {
        self.link.unawaited_acks()
    }

    /// Fills the link's window with what is ready.
    pub(super) fn advance(&mut self, now: Moment) {
        while self.link.has_room() {
            let Some(message) = self.next_message(now) else {
                return;
            };
            self.link.submit(now, message.encode()).expect("the link has room");
        }
    }

    /// The next message that is ready. The time goes first, for it ages; cancels go before new
    /// pictures, for they make room; commands are short, and somebody waits for them.
    fn next_message(&mut self, now: Moment) -> Option<Downlink> {
        if self.time_sync_at <= now {
            self.time_sync_at = now + TIME_SYNC_PERIOD;
            self.time_syncs += 1;
            return Some(Downlink::TimeSync(now));
        }
        if !self.cancels.is_empty() {
            let numbers = std::iter::from_fn(|| self.cancels.pop_first()).take(CANCELS_MAX);
            return Some(Downlink::Cancel(numbers.collect()));
        }
        while let Some(command) = self.commands.pop_front() {
            if !command.labels.is_empty() {
                return Some(Downlink::Command(command));
            }
        }
        if self.since_staged < STAGE_SHARE - 1
            && let Some(pictures) = self.pictures.take(now)
        {
            self.since_staged += 1;
            return Some(Downlink::Batch(pictures));
        }
        self.since_staged = 0;
        self.staged.take(now).map(Downlink::Stage).or_else(|| self.pictures.take(now).map(Downlink::Batch))
    }
}
