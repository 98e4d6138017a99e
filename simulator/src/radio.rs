//! The air between a station and its labels: what a message costs in time and bytes, and whose turn it is.
//!
//! The figures are those of IEEE 802.15.4 at 2.4 GHz, as open shelf labels use it.

use std::collections::BTreeSet;
use std::time::Duration;

use gondola_protocol::{LabelId, Moment};

use crate::dice::{Dice, Loss};
use crate::link::Bursts;
use crate::propagation;

/// Bytes of picture data that a label asks for at once: the RAM that a small label's firmware sets aside.
pub(crate) const BLOCK_BYTES: usize = 4_096;

/// Picture bytes of one radio frame; a block is sent as a burst of them.
const PART_BYTES: usize = 99;

/// Bytes around a part: preamble, addresses, counters and checksum of a 127-byte 802.15.4 frame.
const PART_OVERHEAD: usize = 28;

/// A poll with its check-in, and the station's answer.
const EXCHANGE_BYTES: u64 = 2 * MESSAGE_BYTES;

/// A poll, and what is answered.
const MESSAGE_BYTES: u64 = 60;

/// Asking for a block, before the burst.
const BLOCK_REQUEST_BYTES: usize = 36;

/// 250 kbit/s.
const MICROS_PER_BYTE: u64 = 32;

/// Shortest turnaround from receiving to sending.
const TURNAROUND_MIN_US: u64 = 2_000;

/// Turnaround and channel access vary by this much.
const TURNAROUND_SPREAD_US: u64 = 10_000;

/// What a station's labels may take of its air with idle polls: the rest is for those that have something to say.
const IDLE_SHARE_MAX: u64 = 900_000;

/// A label that was not heard, or has to wait, calls after up to so many backoff periods of IEEE 802.15.4 (its macMinBE
/// is 3, its unit 20 symbols).
const BACKOFFS: u64 = 1 << 3;
const BACKOFF_US: u64 = 320;

/// Calls are remembered until nobody can ask for them any more.
const CALLS_KEPT: Duration = Duration::from_secs(1);

/// What idle polls leave of a station's duty cycle at least.
const DUTY_MIN: f64 = 0.001;

/// How the air treats what is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RadioOptions {
    /// Labels and base stations stand on the shop's floor plan, and what noise takes depends on what arrives of a signal;
    /// a label without a station of its own polls the one that it hears best. Else all are near one another.
    pub floor: bool,
    /// Interference; none for none.
    pub bursts: Option<Bursts>,
    /// Labels that call at the same time are not heard. Else they take turns.
    pub collisions: bool,
    /// Share of the time in which a base station may send; 1 for always. Pictures wait for it.
    pub duty_cycle: f64,
}

impl Default for RadioOptions {
    /// An air that takes nothing by itself.
    fn default() -> Self {
        Self { floor: false, bursts: None, collisions: false, duty_cycle: 1.0 }
    }
}

impl RadioOptions {
    /// Whether they can be.
    pub(crate) fn are_possible(&self) -> bool {
        self.duty_cycle > 0.0 && self.duty_cycle <= 1.0 && self.bursts.is_none_or(|bursts| bursts.are_possible())
    }
}

/// Bytes and time that something took on the air.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Airtime {
    pub(crate) bytes: u64,
    /// With turnaround and channel access.
    pub(crate) time: Duration,
    /// Of that, in which nobody else can be heard.
    pub(crate) occupied: Duration,
    /// Of that, in which the station sends.
    pub(crate) sent: Duration,
}

/// How long so many bytes are on the air.
#[must_use]
pub const fn airtime(bytes: u64) -> Duration {
    Duration::from_micros(bytes * MICROS_PER_BYTE)
}

/// A station's air: it hears one label at a time, and the others in the order in which they came.
///
/// Idle polls of sleeping labels are no events; they take an even share of the time, which makes everything else
/// take longer.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    free_at: Moment,
    /// Millionths of the time that idle polls leave.
    left: u64,
    /// Share of the time in which the station may send pictures.
    duty: f64,
    /// When it may send the next one.
    sends_at: Moment,
    /// Calls of labels, by when they began.
    calls: BTreeSet<(Moment, LabelId)>,
    /// Billionths of the time in which one of the labels calls that have nothing to say.
    idle_calls: u64,
}

impl Channel {
    /// For labels that wake after these times.
    pub(crate) fn new(wakes: impl Iterator<Item = Duration>, duty_cycle: f64) -> Self {
        let poll_us = EXCHANGE_BYTES * MICROS_PER_BYTE;
        let share = |wake: Duration| poll_us * 1_000_000 / u64::try_from(wake.as_micros()).unwrap_or(u64::MAX).max(1);
        let idle = wakes.map(share).sum::<u64>().min(IDLE_SHARE_MAX);
        Self {
            free_at: Moment::ZERO,
            left: 1_000_000 - idle,
            // Half of an exchange is the answer.
            duty: (duty_cycle - idle as f64 / 2_000_000.0).max(DUTY_MIN),
            sends_at: Moment::ZERO,
            calls: BTreeSet::new(),
            idle_calls: 0,
        }
    }

    /// Takes the air for something, as soon as it is free. Answers how long it has to wait. Answers count for the duty
    /// cycle, and pictures wait for it.
    pub(crate) fn take(&mut self, now: Moment, airtime: Airtime, is_picture: bool) -> Duration {
        let mut start = self.free_at.max(now);
        if self.duty < 1.0 {
            if is_picture {
                start = start.max(self.sends_at);
            }
            self.sends_at = self.sends_at.max(start) + airtime.sent.div_f64(self.duty);
        }
        self.free_at = start + self.stretched(airtime.occupied);
        start.since(now)
    }

    /// A label calls as soon as what was granted to others is over. Answers when that is.
    pub(crate) fn call(&mut self, now: Moment, label: LabelId, dice: &mut Dice) -> Moment {
        let start = if self.free_at > now { self.free_at + backoff(dice) } else { now };
        while self.calls.first().is_some_and(|(at, _)| *at + CALLS_KEPT < now) {
            self.calls.pop_first();
        }
        self.calls.insert((start, label));
        start
    }

    /// Whether another call overlapped one that began at `start`, or one of a label that has nothing to say.
    pub(crate) fn is_spoiled(&self, start: Moment, label: LabelId, dice: &mut Dice) -> bool {
        let around = start - CALL + Duration::from_micros(1)..start + CALL;
        let others = self.calls.range((around.start, LabelId(0))..(around.end, LabelId(0)));
        let is_hit = others.into_iter().any(|(_, other)| *other != label);
        dice.loses(Loss(propagation::collision_rate(self.idle_calls as f64 / 1e9))) || is_hit
    }

    /// So many billionths of the time more, or fewer, are calls of labels with nothing to say.
    pub(crate) const fn add_idle(&mut self, billionths: u64) {
        self.idle_calls += billionths;
    }

    pub(crate) const fn remove_idle(&mut self, billionths: u64) {
        self.idle_calls = self.idle_calls.saturating_sub(billionths);
    }

    /// What something takes of the time, with the idle polls that come between.
    pub(crate) fn stretched(&self, occupied: Duration) -> Duration {
        let micros = u64::try_from(occupied.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(micros.saturating_mul(1_000_000) / self.left)
    }
}

/// The time that a poll takes.
pub(crate) const CALL: Duration = Duration::from_micros(MESSAGE_BYTES * MICROS_PER_BYTE);

/// How long a label waits that was not heard.
pub(crate) fn backoff(dice: &mut Dice) -> Duration {
    Duration::from_micros(dice.below(BACKOFFS) * BACKOFF_US)
}

/// Billionths of the time in which a label calls that wakes after such a time and has nothing to say.
pub(crate) fn idle_calls(period_us: u64) -> u64 {
    MESSAGE_BYTES * MICROS_PER_BYTE * 1_000_000_000 / period_us.max(1)
}

/// The air, the same everywhere in the shop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Radio {
    /// What labels go through.
    pub(crate) options: RadioOptions,
    /// Share of exchanges and of blocks that are lost, each as a whole.
    pub(crate) loss: Loss,
    /// Whether labels show whatever they are sent.
    pub(crate) ignores_editions: bool,
}

impl Radio {
    /// A short message and its answer.
    pub(crate) fn exchange(dice: &mut Dice) -> Airtime {
        Self::airtime(EXCHANGE_BYTES, MESSAGE_BYTES, dice)
    }

    /// A request for a block and the block of `length` picture bytes.
    pub(crate) fn block(length: usize, dice: &mut Dice) -> Airtime {
        let sent = length + parts(length) * PART_OVERHEAD;
        Self::airtime((BLOCK_REQUEST_BYTES + sent) as u64, sent as u64, dice)
    }

    /// What an idle poll costs on average, with its repetitions: `tries` at most, of which a share `lost` is lost beside
    /// what is lost everywhere.
    pub(crate) fn idle_poll(self, tries: u32, lost: f64) -> Airtime {
        let lost = if lost > 0.0 { 1.0 - (1.0 - self.loss.0) * (1.0 - lost) } else { self.loss.0 };
        let expected: f64 = std::iter::successors(Some(1.0), |sent| Some(sent * lost)).take(tries as usize).sum();
        let turnaround = TURNAROUND_MIN_US + TURNAROUND_SPREAD_US / 2;
        let scaled = |micros: u64| Duration::from_micros(micros).mul_f64(expected);
        let occupied = scaled(EXCHANGE_BYTES * MICROS_PER_BYTE);
        let bytes = u64::try_from((occupied / u32::try_from(MICROS_PER_BYTE).unwrap_or(1)).as_micros()).unwrap_or(0);
        Airtime { bytes, time: occupied + scaled(turnaround), occupied, sent: occupied / 2 }
    }

    /// ⌈log n ⁄ log 1⁄p⌉: after so many tries more than `labels` − 1 of them have had one that was not lost.
    pub(crate) fn wakes_of_the_unluckiest(self, labels: u64) -> u32 {
        let (mut left, mut wakes) = (labels as f64, 0);
        while left > 1.0 && self.loss.0 > 0.0 && self.loss.0 < 1.0 {
            left *= self.loss.0;
            wakes += 1;
        }
        wakes
    }

    /// What the air has to carry for one picture of `length` packed bytes, at the least: poll, blocks, outcome and
    /// the report of the display.
    pub(crate) fn picture(length: usize) -> Duration {
        let blocks = length.div_ceil(BLOCK_BYTES);
        let bytes = BLOCK_REQUEST_BYTES * blocks + length + parts(length) * PART_OVERHEAD;
        Duration::from_micros((3 * EXCHANGE_BYTES + bytes as u64) * MICROS_PER_BYTE)
    }

    fn airtime(bytes: u64, sent: u64, dice: &mut Dice) -> Airtime {
        let micros = bytes * MICROS_PER_BYTE + TURNAROUND_MIN_US + dice.below(TURNAROUND_SPREAD_US);
        Airtime { bytes, time: Duration::from_micros(micros), occupied: airtime(bytes), sent: airtime(sent) }
    }
}

/// Radio frames of so many picture bytes.
pub(crate) const fn parts(length: usize) -> usize {
    length.div_ceil(PART_BYTES)
}

/// Picture bytes of so many radio frames.
pub(crate) const fn bytes_of_parts(parts: usize) -> usize {
    parts * PART_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls of labels that begin at random, `load` of them in the time of one, a share `idle` of which are of labels
    /// with nothing to say. Answers the share that is not heard.
    fn spoiled(load: f64, idle: f64) -> f64 {
        const CALLS: u64 = 20_000;
        let mut channel = Channel::new(std::iter::empty(), 1.0);
        let quiet = Duration::from_secs(1).mul_f64(load * idle);
        channel.add_idle(u64::try_from(quiet.as_nanos()).unwrap());
        let (mut dice, mut now, mut lost) = (Dice::of(7, *b"test    ", 0), Moment::from_secs(1), 0);
        let mut before = None;
        for label in (0..CALLS).map(LabelId) {
            now += CALL.mul_f64(dice.exponential() / (load * (1.0 - idle)));
            let start = channel.call(now, label, &mut dice);
            assert_eq!(start, now, "the air is granted to nobody");
            // The label before knows by now who called next.
            let (start, label) = before.replace((start, label)).unwrap_or((start, LabelId(u64::MAX)));
            lost += u32::from(channel.is_spoiled(start, label, &mut dice));
        }
        f64::from(lost) / CALLS as f64
    }

    #[test]
    fn calls_collide_as_often_as_in_aloha() {
        for (load, idle) in [(0.05, 0.0), (0.2, 0.0), (0.5, 0.0), (0.2, 0.5), (0.2, 0.9)] {
            let (lost, textbook) = (spoiled(load, idle), propagation::collision_rate(load));
            assert!((lost - textbook).abs() < 0.01, "load {load}, {idle} of it idle: {lost}, not {textbook}");
        }
    }

    #[test]
    fn a_station_sends_no_longer_than_its_duty_cycle() {
        let mut dice = Dice::of(7, *b"test    ", 0);
        for duty_cycle in [0.01, 0.1, 0.5, 1.0] {
            let mut channel = Channel::new(std::iter::empty(), duty_cycle);
            let (mut now, mut sent) = (Moment::ZERO, Duration::ZERO);
            for _ in 0..1_000 {
                let block = Radio::block(BLOCK_BYTES, &mut dice);
                now = now + channel.take(now, block, true) + block.occupied;
                sent += block.sent;
            }
            let share = sent.as_secs_f64() / now.as_micros() as f64 * 1e6;
            let most = duty_cycle.min(sent.as_secs_f64() / (sent.as_secs_f64() + 1_000.0 * 36.0 * 32e-6));
            assert!((share / most - 1.0).abs() < 0.01, "{share}, not {most}");
        }
    }
}
