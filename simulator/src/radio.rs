//! The air between a station and its labels: what a message costs in time and bytes.
//!
//! The figures are those of IEEE 802.15.4 at 2.4 GHz, as open shelf labels use it.

use std::time::Duration;

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

/// Bytes and time that something took on the air.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Airtime {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

/// The air, the same everywhere in the shop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Radio {
    /// Share of exchanges and of blocks that are lost, each as a whole.
    pub(crate) loss: Loss,
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

    fn airtime(bytes: u64, dice: &mut Dice) -> Airtime {
        let micros = bytes * MICROS_PER_BYTE + TURNAROUND_MIN_US + dice.below(TURNAROUND_SPREAD_US);
        Airtime { bytes, time: Duration::from_micros(micros) }
    }
}
