//! How long a label's battery will last: the arithmetic that vendors publish, from the label's own voltage and from how
//! often its store changes pictures.
//!
//! ```text
//! left   = 620 mAh · (U − 2,400 mV) ÷ 600 mV            a CR2450 cell, 3,000 mV full and 2,400 mV empty
//! drawn  = 0.001 mA + 10 mA · 10 ms ÷ 20 s + n · 20 mA · 3 s ÷ 86,400 s
//!          asleep     a wake every 20 s       n pictures a day
//! time   = left ÷ drawn
//! ```
//!
//! With four pictures a day a full cell lasts 8.1 years. Voltage falls in a straight line here; real lithium cells stay
//! near 3 V for most of their life, so that the forecast of a young battery says little and that of an old one more.

use gondola_protocol::Millivolts;

/// Pictures a day that are assumed before a day has been counted.
pub const PICTURES_A_DAY: f64 = 4.0;

const CAPACITY_MAH: f64 = 620.0;
const EMPTY_MV: u16 = 2_400;
const SPAN_MV: f64 = 600.0;
/// Asleep, and with a wake of 10 ms at 10 mA every 20 s.
const IDLE_MA: f64 = 0.001 + 10.0 * 0.010 / 20.0;
/// One picture a day: 20 mA for 3 s.
const PICTURE_MA: f64 = 20.0 * 3.0 / 86_400.0;

/// Whole days until a battery is empty, with so many pictures a day.
#[must_use]
pub fn days_left(battery: Millivolts, pictures_a_day: f64) -> u32 {
    let left_mah = CAPACITY_MAH * f64::from(battery.0.saturating_sub(EMPTY_MV)) / SPAN_MV;
    let hours = left_mah / (IDLE_MA + pictures_a_day.max(0.0) * PICTURE_MA);
    // At most 270 years, of the largest number of millivolts.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is not negative, and far below u32"
    )]
    let days = (hours / 24.0) as u32;
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cell_with_four_pictures_a_day_lasts_eight_years() {
        let years = f64::from(days_left(Millivolts(3_000), PICTURES_A_DAY)) / 365.25;
        assert!((years - 8.06).abs() < 0.01, "{years}");
    }

    #[test]
    fn more_pictures_and_less_voltage_leave_less() {
        let days = |battery, pictures| days_left(Millivolts(battery), pictures);
        assert_eq!(days(2_700, 4.0), days(3_000, 4.0) / 2);
        // A vendor's published 5.57 years charges four an hour, of a larger cell.
        assert_eq!(days(3_000, 96.0), 355);
        assert_eq!([days(2_400, 4.0), days(0, 4.0)], [0, 0]);
        assert!(days(u16::MAX, 0.0) > days(3_000, 0.0));
    }
}
