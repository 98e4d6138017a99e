//! A label's battery: a straight line from full to empty.
//!
//! U = U₀ − 600 mV · Q ⁄ 1100 mAh, where Q = 1.2 µA · (time since start) + 8 mA · (radio time + refresh
//! time) and U₀ is 3000 to 3050 mV by seed: two CR2450 cells, empty at 2400 mV. The plateau and the
//! dependence on temperature of real lithium cells are left out.

use std::time::Duration;

use gondola_protocol::{Millivolts, Moment};

/// From full to empty.
const SPAN_MV: u128 = 600;

/// 1100 mAh in nanocoulombs.
const CAPACITY_NC: u128 = 3_960_000_000_000;

/// Current with the radio on or the display refreshing: mA, which times µs is nC.
const ACTIVE_MA: u64 = 8;

/// Sleep current, 1.2 µA, in nA.
const SLEEP_NA: u64 = 1_200;

/// A label's battery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Battery {
    full_mv: u16,
    started: Moment,
    /// What radio and display have taken, in nC.
    spent_nc: u64,
}

impl Battery {
    pub(crate) const fn new(full_mv: u16, started: Moment) -> Self {
        Self { full_mv, started, spent_nc: 0 }
    }

    /// Radio or display were on for `time`.
    pub(crate) fn spend(&mut self, time: Duration) {
        self.spent_nc = self.spent_nc.saturating_add((Moment::ZERO + time).as_micros().saturating_mul(ACTIVE_MA));
    }

    pub(crate) fn voltage(&self, now: Moment) -> Millivolts {
        let asleep_us = now.as_micros().saturating_sub(self.started.as_micros());
        let asleep_nc = u128::from(asleep_us) * u128::from(SLEEP_NA) / 1_000_000;
        let fallen = (asleep_nc + u128::from(self.spent_nc)) * SPAN_MV / CAPACITY_NC;
        Millivolts(self.full_mv.saturating_sub(u16::try_from(fallen).unwrap_or(u16::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_battery_falls_by_its_formula() {
        let mut battery = Battery::new(3_000, Moment::ZERO);
        assert_eq!(battery.voltage(Moment::ZERO), Millivolts(3_000));
        // 1.2 µA for ten years are 105 mAh: 57 mV.
        assert_eq!(battery.voltage(Moment::from_secs(10 * 365 * 86_400)), Millivolts(2_943));
        // 8 mA for 137.5 hours are the whole 1100 mAh.
        battery.spend(Duration::from_secs(137 * 3_600 + 1_800));
        assert_eq!(battery.voltage(Moment::ZERO), Millivolts(2_400));
    }
}
