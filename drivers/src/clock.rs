//! How fast a station's clock runs against ours, from its answers to time syncs.
//!
//! It never sets a clock: a station is told the time, and this says how well it keeps it.

use std::time::Duration;

use gondola_protocol::Moment;
use gondola_protocol::message::Clock;

/// A drift is told once its two ends lie this far apart: over a minute, 10 ms on the line are 170 ppm at most.
const BASELINE_MIN: Duration = Duration::from_secs(60);

/// What is known of a station's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReport {
    /// From the time sync to its answer.
    pub round_trip: Duration,
    /// How much faster the station's clock runs than ours, in billionths; none before a minute has passed.
    pub drift_ppb: Option<i64>,
    /// How far off that can be at most, because nobody knows where in its round trip a time sync arrived.
    pub uncertainty_ppb: i64,
}

/// One time sync and its answer: our time at its middle, half its round trip, and the station's clock.
#[derive(Debug, Clone, Copy)]
struct Sample {
    ours_us: i64,
    error_us: i64,
    station_us: i64,
}

/// The answers of one session.
#[derive(Debug, Default)]
pub(crate) struct ClockWatch {
    /// The best of the first ones: what the others are compared with.
    first: Option<Sample>,
}

impl ClockWatch {
    /// Takes an answer. One to a time sync that lies ahead of us is nonsense and yields nothing.
    pub(crate) fn handle(&mut self, now: Moment, clock: Clock) -> Option<ClockReport> {
        if clock.told > now {
            return None;
        }
        let round_trip = now.since(clock.told);
        let half_us = micros(round_trip) / 2;
        let station_us = i64::try_from(clock.station.as_micros()).ok()?;
        let sample = Sample {
            ours_us: i64::try_from(clock.told.as_micros()).ok()?.checked_add(half_us)?,
            error_us: half_us,
            station_us,
        };
        let first = *self.first.get_or_insert(sample);
        let span_us = sample.ours_us.saturating_sub(first.ours_us);
        if span_us < micros(BASELINE_MIN) {
            if sample.error_us < first.error_us {
                self.first = Some(sample);
            }
            return Some(ClockReport { round_trip, drift_ppb: None, uncertainty_ppb: 0 });
        }
        let billionths = |us: i64| i64::try_from(i128::from(us) * 1_000_000_000 / i128::from(span_us)).ok();
        let gained_us = sample.station_us.checked_sub(first.station_us)?.checked_sub(span_us)?;
        let uncertainty_ppb = billionths(first.error_us + sample.error_us)?;
        Some(ClockReport { round_trip, drift_ppb: Some(billionths(gained_us)?), uncertainty_ppb })
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer to a time sync told at `told_us` that took `there_us` and `back_us`, by a clock that drifts.
    fn answer(watch: &mut ClockWatch, told_us: u64, there_us: u64, back_us: u64, ppm: i64) -> Option<ClockReport> {
        let arrived = i64::try_from(told_us + there_us).unwrap();
        let station = u64::try_from(77_000_000 + arrived + arrived * ppm / 1_000_000).unwrap();
        let clock = Clock { told: Moment::from_micros(told_us), station: Moment::from_micros(station) };
        watch.handle(Moment::from_micros(told_us + there_us + back_us), clock)
    }

    #[test]
    fn a_drift_is_told_after_a_minute_with_its_uncertainty() {
        let mut watch = ClockWatch::default();
        let first = answer(&mut watch, 0, 1_000, 3_000, 20).unwrap();
        assert_eq!((first.round_trip, first.drift_ppb), (Duration::from_millis(4), None));
        let later = answer(&mut watch, 600_000_000, 3_000, 1_000, 20).unwrap();
        // 4 ms in doubt over ten minutes.
        assert_eq!(later.uncertainty_ppb, 6_666);
        assert!((later.drift_ppb.unwrap() - 20_000).abs() <= later.uncertainty_ppb, "{later:?}");
    }

    #[test]
    fn the_quickest_of_the_first_answers_is_the_base() {
        let mut watch = ClockWatch::default();
        answer(&mut watch, 0, 900_000, 900_000, 0);
        answer(&mut watch, 2_000_000, 500, 500, 0);
        assert_eq!(answer(&mut watch, 602_000_000, 500, 500, 0).unwrap().uncertainty_ppb, 1_666);
    }

    proptest! {
        #[test]
        fn the_truth_is_within_the_uncertainty(
            delays in prop::array::uniform4(0_u64..500_000), ppm in -100_i64..100, minutes in 2_u64..1_000,
        ) {
            let mut watch = ClockWatch::default();
            answer(&mut watch, 0, delays[0], delays[1], ppm);
            let report = answer(&mut watch, minutes * 60_000_000, delays[2], delays[3], ppm).unwrap();
            // The drift itself acts on the delays, too: a thousandth is far more than that.
            let off = (report.drift_ppb.unwrap() - ppm * 1_000).abs();
            prop_assert!(off <= report.uncertainty_ppb + report.uncertainty_ppb / 1_000 + 200, "{report:?}");
        }

        #[test]
        fn no_answer_panics(told in prop::num::u64::ANY, station in prop::num::u64::ANY, now in prop::num::u64::ANY) {
            let mut watch = ClockWatch::default();
            for told in [0, told] {
                let clock = Clock { told: Moment::from_micros(told), station: Moment::from_micros(station) };
                watch.handle(Moment::from_micros(now), clock);
            }
        }
    }
}
