//! A label's crystal: when it wakes, and how long it takes a time to be.

use std::time::Duration;

use gondola_protocol::Moment;

use crate::dice::Dice;

/// Crystals are this many parts per million fast or slow at most.
const DRIFT_PPM_MAX: u64 = 20;

/// When a label wakes: its own crystal, its own phase.
#[derive(Debug)]
pub(super) struct WakeClock {
    pub(super) first: Moment,
    pub(super) period_us: u64,
    /// The crystal's ticks in a true second, in millionths.
    ppm: u64,
}

impl WakeClock {
    pub(super) fn new(start: Moment, wake: Duration, dice: &mut Dice) -> Self {
        let nominal_us = u64::try_from(wake.as_micros()).unwrap_or(u64::MAX).max(1);
        let million = 1_000_000;
        let ppm = million - DRIFT_PPM_MAX + dice.below(2 * DRIFT_PPM_MAX + 1);
        let drifted = u128::from(nominal_us) * u128::from(ppm) / u128::from(million);
        let period_us = u64::try_from(drifted).unwrap_or(u64::MAX).max(1);
        Self { first: start + Duration::from_micros(dice.below(period_us)), period_us, ppm }
    }

    /// Wake-ups up to and with `now`.
    pub(super) fn count(&self, now: Moment) -> u64 {
        if now < self.first { 0 } else { (now.as_micros() - self.first.as_micros()) / self.period_us + 1 }
    }

    /// The last wake-up up to and with `now`.
    pub(super) fn last(&self, now: Moment) -> Option<Moment> {
        let before = self.count(now).checked_sub(1)?;
        Some(self.first + Duration::from_micros(before.saturating_mul(self.period_us)))
    }

    /// When the crystal has counted `span` from `now` on.
    pub(super) fn after(&self, now: Moment, span: Duration) -> Moment {
        let drifted = span.as_micros() * u128::from(self.ppm) / 1_000_000;
        now + Duration::from_micros(u64::try_from(drifted).unwrap_or(u64::MAX))
    }

    /// The first wake-up after `now`.
    pub(super) fn next(&self, now: Moment) -> Moment {
        self.first + Duration::from_micros(self.count(now).saturating_mul(self.period_us))
    }
}
