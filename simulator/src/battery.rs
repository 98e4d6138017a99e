//! A label's battery: what it takes, and a straight line from full to empty.
//!
//! Q = 1 µA · (time since start) + 10 mA · (radio time) + 20 mA · (refresh time); a CR2450 cell holds 620 mAh.
//! U = U₀ − 600 mV · Q ⁄ 620 mAh, where U₀ is 3000 to 3050 mV by seed and 2400 mV is empty. The plateau and the dependence
//! on temperature of real lithium cells are left out. With a wake of 10 ms every 20 s and four refreshes of 3 s a day it
//! lasts eight years, as vendors' arithmetic has it.

use std::time::Duration;

use gondola_protocol::{Millivolts, Moment};

/// From full to empty.
const SPAN_MV: u128 = 600;

/// 620 mAh in nanocoulombs.
const CAPACITY_NC: u64 = 2_232_000_000_000;

/// Sleep current, 1 µA, in nA.
const SLEEP_NA: u64 = 1_000;

/// Current with the radio on: mA, which times µs is nC.
const RADIO_MA: u64 = 10;

/// Current while the display refreshes, in mA.
const REFRESH_MA: u64 = 20;

/// The lowest voltage at which radio and controller work (2.0 V by the data sheet of the CC2530).
const CUT_OFF: Millivolts = Millivolts(2_000);

/// How long a battery lasts, in years, that gave so many nanocoulombs in a time; infinite if it gave none.
#[must_use]
pub fn years(spent_nc: u64, within: Duration) -> f64 {
    const YEAR_S: f64 = 365.25 * 86_400.0;
    CAPACITY_NC as f64 / spent_nc as f64 * within.as_secs_f64() / YEAR_S
}

/// A label's battery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Battery {
    full_mv: u16,
    started: Moment,
    /// What radio and display have taken, and what leaked until [`Battery::leak`] was said last, in nC.
    active_nc: u64,
    /// What leaks through a bad cell, in nA, and since when.
    leak_na: u64,
    leaks_since: Moment,
}

impl Battery {
    pub(crate) const fn new(full_mv: u16, started: Moment) -> Self {
        Self { full_mv, started, active_nc: 0, leak_na: 0, leaks_since: started }
    }

    /// The radio was on for `time`.
    pub(crate) fn send(&mut self, time: Duration) {
        self.take(time, RADIO_MA);
    }

    /// The display refreshed for `time`.
    pub(crate) fn refresh(&mut self, time: Duration) {
        self.take(time, REFRESH_MA);
    }

    /// So much of its charge goes at once, in millionths.
    pub(crate) fn drain(&mut self, millionths: u64) {
        self.active_nc = self.active_nc.saturating_add(CAPACITY_NC / 1_000_000 * millionths);
    }

    /// From now on so much leaks through it, in nA.
    pub(crate) fn leak(&mut self, now: Moment, leak_na: u64) {
        self.active_nc = self.active_nc.saturating_add(self.leaked_nc(now));
        (self.leak_na, self.leaks_since) = (leak_na, now);
    }

    fn leaked_nc(&self, now: Moment) -> u64 {
        charge_nc(now.as_micros().saturating_sub(self.leaks_since.as_micros()), self.leak_na)
    }

    fn take(&mut self, time: Duration, current_ma: u64) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.active_nc = self.active_nc.saturating_add(micros.saturating_mul(current_ma));
    }

    /// The same after the radio was on for `time`, so many times.
    pub(crate) fn after(mut self, time: Duration, times: u64) -> Self {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.send(Duration::from_micros(micros.saturating_mul(times)));
        self
    }

    /// What it has given, in nC.
    pub(crate) fn spent_nc(&self, now: Moment) -> u64 {
        let asleep_nc = charge_nc(now.as_micros().saturating_sub(self.started.as_micros()), SLEEP_NA);
        asleep_nc.saturating_add(self.leaked_nc(now)).saturating_add(self.active_nc)
    }

    /// Whether it no longer drives the label's circuit.
    pub(crate) fn is_empty(&self, now: Moment) -> bool {
        self.voltage(now) < CUT_OFF
    }

    pub(crate) fn voltage(&self, now: Moment) -> Millivolts {
        let fallen = u128::from(self.spent_nc(now)) * SPAN_MV / u128::from(CAPACITY_NC);
        Millivolts(self.full_mv.saturating_sub(u16::try_from(fallen).unwrap_or(u16::MAX)))
    }
}

/// What a current in nA takes in so many microseconds, in nC.
fn charge_nc(micros: u64, current_na: u64) -> u64 {
    u64::try_from(u128::from(micros) * u128::from(current_na) / 1_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_battery_falls_by_its_formula() {
        let mut battery = Battery::new(3_000, Moment::ZERO);
        assert_eq!(battery.voltage(Moment::ZERO), Millivolts(3_000));
        // 1 µA for ten years are 87.6 mAh: 84.7 mV.
        assert_eq!(battery.voltage(Moment::from_secs(10 * 365 * 86_400)), Millivolts(2_916));
        // 10 mA for 62 hours are the whole 620 mAh, and so are 20 mA for 31.
        battery.send(Duration::from_secs(31 * 3_600));
        assert_eq!(battery.voltage(Moment::ZERO), Millivolts(2_700));
        battery.drain(250_000);
        assert_eq!(battery.voltage(Moment::ZERO), Millivolts(2_550));
        battery.refresh(Duration::from_secs(15 * 3_600 + 1_800));
        assert_eq!(battery.voltage(Moment::ZERO), Millivolts(2_250));
    }

    #[test]
    fn a_bad_cell_leaks_until_it_is_empty() {
        let hours = |hours: u64| Moment::from_secs(hours * 3_600);
        let mut battery = Battery::new(3_000, Moment::ZERO);
        battery.drain(500_000);
        // 62 mA for five hours are the half that is left.
        battery.leak(hours(1), 62_000_000);
        assert_eq!(battery.voltage(hours(1)), Millivolts(2_700));
        assert_eq!(battery.voltage(hours(6)), Millivolts(2_400));
        assert!(!battery.is_empty(hours(12)) && battery.is_empty(hours(13)));
        battery.leak(hours(6), 0);
        assert_eq!(battery.voltage(hours(100)), Millivolts(2_400));
    }

    #[test]
    fn vendors_arithmetic_is_reproduced() {
        // 0.001 mA asleep, 10 mA × 10 ms every 20 s, four refreshes a day of 20 mA × 3 s, 620 mAh: about 8 years.
        let by_hand =
            620.0 / (0.001 * 24.0 + 86_400.0 / 20.0 * 10.0 * 0.010 / 3_600.0 + 4.0 * 20.0 * 3.0 / 3_600.0) / 365.25;
        let day = Duration::from_secs(86_400);
        let mut battery = Battery::new(3_000, Moment::ZERO).after(Duration::from_millis(10), 86_400 / 20);
        battery.refresh(4 * Duration::from_secs(3));
        let years = years(battery.spent_nc(Moment::ZERO + day), day);
        assert!((years / by_hand - 1.0).abs() < 0.02 && (years - 8.0).abs() < 0.16, "{years} years, {by_hand} by hand");
    }
}
