//! How long a label's battery lasts: published, so that anybody can check it.
//!
//! ```text
//! hours = capacity ⁄ (sleep + wake · wake time ⁄ wake period + refreshes a day · refresh · refresh time ⁄ 86,400 s)
//! ```
//!
//! Currents in mA, capacity in mAh. The controller counts the refreshes of each label itself; what a label draws comes
//! from its data sheet, and [`Draw::TYPICAL`] stands for one nobody has given. The plateau of lithium cells, their
//! ageing and the cold are left out: the forecast says what the way a label is used costs, its voltage says when it is
//! over.

use std::time::Duration;

/// Hours of a year.
const YEAR_HOURS: f64 = 8_766.0;

const DAY: Duration = Duration::from_hours(24);

/// What a label draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// Capacity of its battery, mAh.
    pub capacity_mah: f64,
    /// Asleep, mA.
    pub sleep_ma: f64,
    /// Awake with the radio on, mA.
    pub wake_ma: f64,
    /// How long it is awake each time.
    pub wake: Duration,
    /// From one wake to the next.
    pub wake_period: Duration,
    /// While its display changes, mA.
    pub refresh_ma: f64,
    /// How long that takes.
    pub refresh: Duration,
}

impl Draw {
    /// One CR2450, a poll each 20 s, a panel with a third colour.
    pub const TYPICAL: Self = Self {
        capacity_mah: 620.0,
        sleep_ma: 0.001,
        wake_ma: 10.0,
        wake: Duration::from_millis(10),
        wake_period: Duration::from_secs(20),
        refresh_ma: 20.0,
        refresh: Duration::from_secs(3),
    };

    /// How many years a full battery lasts with so many refreshes a day.
    #[must_use]
    pub fn years(&self, refreshes_a_day: f64) -> f64 {
        let share = |on: Duration, period: Duration| on.as_secs_f64() / period.as_secs_f64();
        let wake_ma = self.wake_ma * share(self.wake, self.wake_period);
        let refresh_ma = refreshes_a_day * self.refresh_ma * share(self.refresh, DAY);
        self.capacity_mah / (self.sleep_ma + wake_ma + refresh_ma) / YEAR_HOURS
    }
}

/// Refreshes a day, from a count and the time that it covers. A day at least: the first pictures of a label say nothing
/// about its life.
#[must_use]
pub fn refreshes_a_day(refreshes: u32, over: Duration) -> f64 {
    f64::from(refreshes) / (over.max(DAY).as_secs_f64() / DAY.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example_is_about_eight_years_and_four_refreshes_an_hour_cost_a_third() {
        let years = Draw::TYPICAL.years(4.0);
        assert!((years - 8.06).abs() < 0.01, "{years}");
        let often = Draw::TYPICAL.years(96.0);
        assert!(often < 1.0, "a refresh each quarter of an hour: {often}");
        let asleep = Draw { wake: Duration::ZERO, ..Draw::TYPICAL }.years(0.0);
        assert!((asleep - 620.0 / 0.001 / 8_766.0).abs() < 1e-9);
    }

    #[test]
    fn a_label_is_not_judged_by_its_first_hour() {
        assert!((refreshes_a_day(6, Duration::from_hours(1)) - 6.0).abs() < 1e-9);
        assert!((refreshes_a_day(6, Duration::from_hours(72)) - 2.0).abs() < 1e-9);
    }
}
