//! A station's sending side of one session: what waits for the controller, and go-back-N.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::message::{Clock, Credits, Firmware, Frame, Report, Uplink};
use gondola_protocol::{LabelId, Moment, SequenceNumber, SessionId};

use crate::waiting::Settled;

/// How long the oldest data frame waits for its ack before all are sent again.
const RESEND_AFTER: Duration = Duration::from_millis(300);

/// The wait doubles with each time-out in a row, up to 8 times the first.
const DOUBLINGS_MAX: u32 = 3;

/// A presence summary at least this often. The rule is 15 s; 12 s leave room for a frame that is lost.
const PRESENCE_PERIOD: Duration = Duration::from_secs(12);

/// Check-ins that wait while the window is full: 45 KB, two minutes of a controller that does not answer
/// with eight labels a second.
pub(crate) const CHECK_INS_MAX: usize = 1_024;

/// Statuses that wait before the station takes no more data frames. They are never dropped, so the
/// controller has to take some before it can send more; one frame may bring up to 2,091 above this.
const STATUSES_MAX: usize = 4_096;

/// Items in one message, so that none is above a few kilobytes.
const STATUSES_PER_FRAME: usize = 512;
const CHECK_INS_PER_FRAME: usize = 64;
const PRESENCES_PER_FRAME: usize = 512;

/// Whether a check-in found a place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    Yes,
    Full,
}

/// The sending side of a session.
#[derive(Debug)]
pub(crate) struct UplinkQueue {
    session: SessionId,
    window: usize,
    /// Sequence number of the next new frame.
    next: SequenceNumber,
    /// Frames without an ack, the oldest first; at most `window`.
    unacked: VecDeque<Bytes>,
    timeouts: u32,
    resend_at: Option<Moment>,
    version: u8,
    statuses: VecDeque<Settled>,
    check_ins: VecDeque<Report>,
    /// The answer to the last time sync.
    clock: Option<Clock>,
    credits: Option<Credits>,
    /// One for each label at most.
    firmware: BTreeMap<LabelId, Firmware>,
    /// Labels heard since the last presence; at most all labels of the station.
    heard: BTreeSet<LabelId>,
    presence_at: Moment,
    presence_due: bool,
}

impl UplinkQueue {
    pub(crate) fn new(now: Moment, session: SessionId, version: u8, window: usize) -> Self {
        Self {
            session,
            version,
            clock: None,
            credits: None,
            firmware: BTreeMap::new(),
            window,
            next: SequenceNumber(0),
            unacked: VecDeque::new(),
            timeouts: 0,
            resend_at: None,
            statuses: VecDeque::new(),
            check_ins: VecDeque::new(),
            heard: BTreeSet::new(),
            presence_at: now + PRESENCE_PERIOD,
            presence_due: false,
        }
    }

    pub(crate) fn push_statuses(&mut self, statuses: impl IntoIterator<Item = Settled>) {
        self.statuses.extend(statuses);
    }

    /// Whether the time for a presence has come.
    pub(crate) fn presence_is_due(&self, now: Moment) -> bool {
        self.presence_at <= now
    }

    /// Whether so many statuses wait that no further transfers may come in.
    pub(crate) fn is_choked(&self) -> bool {
        self.statuses.len() >= STATUSES_MAX
    }

    /// Queues a check-in; in a full queue it replaces the one of its label, if there is one.
    pub(crate) fn push_check_in(&mut self, report: Report) -> Queued {
        if self.check_ins.len() < CHECK_INS_MAX {
            self.check_ins.push_back(report);
            return Queued::Yes;
        }
        match self.check_ins.iter_mut().find(|queued| queued.check_in.label == report.check_in.label) {
            Some(queued) => *queued = report,
            None => return Queued::Full,
        }
        Queued::Yes
    }

    pub(crate) fn push_clock(&mut self, clock: Clock) {
        self.clock = Some(clock);
    }

    pub(crate) fn push_credits(&mut self, credits: Credits) {
        self.credits = Some(credits);
    }

    pub(crate) fn push_firmware(&mut self, label: LabelId, firmware: Firmware) {
        self.firmware.insert(label, firmware);
    }

    pub(crate) fn push_heard(&mut self, label: LabelId) {
        self.heard.insert(label);
    }

    /// Whether an ack is for a frame that this session has not sent.
    pub(crate) const fn is_ahead(&self, next: SequenceNumber) -> bool {
        matches!(next.0.wrapping_sub(self.next.0), 1..=0x7FFF_FFFF)
    }

    /// Everything below `next` has arrived. An ack of what was never sent is ignored.
    pub(crate) fn handle_ack(&mut self, now: Moment, next: SequenceNumber) {
        let outstanding = self.next.0.wrapping_sub(next.0) as usize;
        if outstanding >= self.unacked.len() {
            return;
        }
        self.unacked.drain(..self.unacked.len() - outstanding);
        self.timeouts = 0;
        self.resend_at = (outstanding > 0).then(|| now + RESEND_AFTER);
    }

    /// The link is up again: nothing is overdue before the controller had its chance.
    pub(crate) fn restart_timers(&mut self, now: Moment) {
        self.timeouts = 0;
        self.resend_at = (!self.unacked.is_empty()).then(|| now + RESEND_AFTER);
        self.presence_at = now + PRESENCE_PERIOD;
    }

    pub(crate) fn poll_timeout(&self) -> Moment {
        self.resend_at.map_or(self.presence_at, |resend_at| resend_at.min(self.presence_at))
    }

    /// Frames to send again, because their ack is overdue.
    pub(crate) fn handle_timeout(&mut self, now: Moment) -> Vec<Bytes> {
        if self.presence_at <= now {
            self.presence_due = true;
            self.presence_at = now + PRESENCE_PERIOD;
        }
        if self.resend_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.timeouts = (self.timeouts + 1).min(DOUBLINGS_MAX);
        self.resend_at = Some(now + RESEND_AFTER * (1 << self.timeouts));
        self.unacked.iter().cloned().collect()
    }

    /// The next new frame, while the window has room. Statuses go first, then check-ins.
    pub(crate) fn poll_frame(&mut self, now: Moment) -> Option<(Uplink, Bytes)> {
        if self.unacked.len() == self.window {
            return None;
        }
        let message = self.next_message()?;
        let frame = Frame::Data { session: self.session, sequence: self.next, body: message.encode() };
        let frame = Bytes::from(frame.encode());
        self.next = SequenceNumber(self.next.0.wrapping_add(1));
        self.unacked.push_back(frame.clone());
        self.resend_at.get_or_insert(now + RESEND_AFTER);
        Some((message, frame))
    }

    fn next_message(&mut self) -> Option<Uplink> {
        fn some_of<T>(queue: &mut VecDeque<T>, count: usize) -> Option<Vec<T>> {
            let count = count.min(queue.len());
            (count > 0).then(|| queue.drain(..count).collect())
        }
        if let Some(clock) = self.clock.take() {
            return Some(Uplink::Clock(clock));
        }
        if let Some(credits) = self.credits.take() {
            return Some(Uplink::Credits(credits));
        }
        if let Some(statuses) = some_of(&mut self.statuses, STATUSES_PER_FRAME) {
            return Some(Uplink::Statuses(statuses));
        }
        if let Some(reports) = some_of(&mut self.check_ins, CHECK_INS_PER_FRAME) {
            return Some(match self.version {
                1 => Uplink::CheckIns(reports.into_iter().map(|report| report.check_in).collect()),
                _ => Uplink::Reports(reports),
            });
        }
        if !self.firmware.is_empty() {
            let some = std::iter::from_fn(|| self.firmware.pop_first()).take(CHECK_INS_PER_FRAME);
            return Some(Uplink::Firmware(some.collect()));
        }
        if !self.presence_due {
            return None;
        }
        let labels: Vec<LabelId> = self.heard.iter().take(PRESENCES_PER_FRAME).copied().collect();
        for label in &labels {
            self.heard.remove(label);
        }
        self.presence_due = !self.heard.is_empty();
        Some(Uplink::Presence(labels))
    }
}

#[cfg(test)]
mod tests {
    use gondola_protocol::message::{CheckIn, Reason};
    use gondola_protocol::{Edition, Millivolts, Planes};

    use super::*;

    fn check_in(label: u64, edition: u64) -> Report {
        let panel = "bw-8x1".parse().unwrap();
        let check_in = CheckIn {
            label: LabelId(label),
            panel,
            reason: Reason::Regular,
            edition: Edition(edition),
            digest: Planes::white(panel).digest(),
            battery_mv: Millivolts(3_000),
            rssi_dbm: -60,
            temperature_c: 20,
            firmware: 1,
        };
        Report { check_in, encodings: 3, slots: vec![] }
    }

    #[test]
    fn a_full_queue_keeps_the_newest_of_each_label_and_takes_no_other() {
        let mut uplink = UplinkQueue::new(Moment::ZERO, SessionId(1), 1, 1);
        for label in 0..CHECK_INS_MAX as u64 {
            assert_eq!(uplink.push_check_in(check_in(label, 1)), Queued::Yes);
        }
        assert_eq!(uplink.push_check_in(check_in(5, 2)), Queued::Yes);
        assert_eq!(uplink.push_check_in(check_in(9_999, 1)), Queued::Full);
        let (message, _) = uplink.poll_frame(Moment::ZERO).unwrap();
        let Uplink::CheckIns(first) = message else { panic!("{message:?}") };
        assert_eq!((first.len(), first[5].edition), (CHECK_INS_PER_FRAME, Edition(2)));
        assert!(uplink.poll_frame(Moment::ZERO).is_none(), "the window is full");
    }

    #[test]
    fn the_wait_doubles_up_to_eight_times_and_an_ack_ends_it() {
        let mut uplink = UplinkQueue::new(Moment::ZERO, SessionId(1), 1, 4);
        uplink.push_check_in(check_in(1, 1));
        uplink.poll_frame(Moment::ZERO).unwrap();
        for at_ms in [300, 900, 2_100, 4_500, 6_900, 9_300] {
            let at = Moment::from_millis(at_ms);
            assert_eq!(uplink.poll_timeout(), at);
            assert!(uplink.handle_timeout(at - Duration::from_micros(1)).is_empty());
            assert_eq!(uplink.handle_timeout(at).len(), 1);
        }
        uplink.handle_ack(Moment::from_secs(10), SequenceNumber(2));
        assert_eq!(uplink.unacked.len(), 1, "nobody sent frame 1");
        uplink.handle_ack(Moment::from_secs(10), SequenceNumber(1));
        assert_eq!((uplink.unacked.len(), uplink.poll_timeout()), (0, Moment::ZERO + PRESENCE_PERIOD));
    }
}
