//! The air between a station and its labels: what a message costs in time and bytes, and whose turn it is.
//!
//! The figures are those of IEEE 802.15.4 at 2.4 GHz, as open shelf labels use it.

use std::time::Duration;

use gondola_protocol::Moment;

use crate::dice::{Dice, Loss};

/// Bytes of picture data that a label asks for at once: the RAM that a small label's firmware sets aside.
pub(crate) const BLOCK_BYTES: usize = 4_096;

/// Picture bytes of one radio frame; a block is sent as a burst of them.
const PART_BYTES: usize = 99;

/// Bytes around a part: preamble, addresses, counters and checksum of a 127-byte 802.15.4 frame.
const PART_OVERHEAD: usize = 28;

/// A poll with its check-in, and the station's answer.
const EXCHANGE_BYTES: u64 = 60 + 60;

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

/// Bytes and time that something took on the air.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Airtime {
    pub(crate) bytes: u64,
    /// With turnaround and channel access.
    pub(crate) time: Duration,
    /// Of that, in which nobody else can be heard.
    pub(crate) occupied: Duration,
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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channel {
    free_at: Moment,
    /// Millionths of the time that idle polls leave.
    left: u64,
}

impl Channel {
    /// For labels that wake after these times.
    pub(crate) fn new(wakes: impl Iterator<Item = Duration>) -> Self {
        let poll_us = EXCHANGE_BYTES * MICROS_PER_BYTE;
        let share = |wake: Duration| poll_us * 1_000_000 / u64::try_from(wake.as_micros()).unwrap_or(u64::MAX).max(1);
        Self { free_at: Moment::ZERO, left: 1_000_000 - wakes.map(share).sum::<u64>().min(IDLE_SHARE_MAX) }
    }

    /// Takes the air for something, as soon as it is free. Answers how long it has to wait.
    pub(crate) fn take(&mut self, now: Moment, airtime: Airtime) -> Duration {
        let start = self.free_at.max(now);
        self.free_at = start + self.stretched(airtime.occupied);
        start.since(now)
    }

    /// What something takes of the time, with the idle polls that come between.
    pub(crate) fn stretched(&self, occupied: Duration) -> Duration {
        let micros = u64::try_from(occupied.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(micros.saturating_mul(1_000_000) / self.left)
    }
}

/// The air, the same everywhere in the shop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Radio {
    /// Share of exchanges and of blocks that are lost, each as a whole.
    pub(crate) loss: Loss,
    /// Whether labels show whatever they are sent.
    pub(crate) ignores_editions: bool,
}

impl Radio {
    /// A short message and its answer.
    pub(crate) fn exchange(dice: &mut Dice) -> Airtime {
        Self::airtime(EXCHANGE_BYTES, dice)
    }

    /// A request for a block and the block of `length` picture bytes.
    pub(crate) fn block(length: usize, dice: &mut Dice) -> Airtime {
        let bytes = BLOCK_REQUEST_BYTES + length + length.div_ceil(PART_BYTES) * PART_OVERHEAD;
        Self::airtime(bytes as u64, dice)
    }

    /// What an idle poll costs on average, with its repetitions: `tries` at most.
    pub(crate) fn idle_poll(self, tries: u32) -> Airtime {
        let lost = self.loss.0;
        let expected: f64 = std::iter::successors(Some(1.0), |sent| Some(sent * lost)).take(tries as usize).sum();
        let turnaround = TURNAROUND_MIN_US + TURNAROUND_SPREAD_US / 2;
        let scaled = |micros: u64| Duration::from_micros(micros).mul_f64(expected);
        let occupied = scaled(EXCHANGE_BYTES * MICROS_PER_BYTE);
        let bytes = u64::try_from((occupied / u32::try_from(MICROS_PER_BYTE).unwrap_or(1)).as_micros()).unwrap_or(0);
        Airtime { bytes, time: occupied + scaled(turnaround), occupied }
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
        let bytes = BLOCK_REQUEST_BYTES * blocks + length + length.div_ceil(PART_BYTES) * PART_OVERHEAD;
        Duration::from_micros((3 * EXCHANGE_BYTES + bytes as u64) * MICROS_PER_BYTE)
    }

    fn airtime(bytes: u64, dice: &mut Dice) -> Airtime {
        let occupied = bytes * MICROS_PER_BYTE;
        let micros = occupied + TURNAROUND_MIN_US + dice.below(TURNAROUND_SPREAD_US);
        Airtime { bytes, time: Duration::from_micros(micros), occupied: Duration::from_micros(occupied) }
    }
}
