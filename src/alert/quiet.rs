//! Quiet hours: a part of each day, on a store's clock, in which only what is urgent is told.

use std::time::Duration;

use gondola_protocol::Moment;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::instant;

/// From a time of day to another, over midnight where the first is the later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// They begin.
    pub from: Time,
    /// They are over.
    pub to: Time,
}

impl QuietHours {
    /// How long they still last at `now` on the clock of `zone`; none outside them. On the night on which clocks are
    /// changed they end an hour early or late by it, and whoever waits looks again.
    #[must_use]
    pub fn left(&self, now: Moment, zone: &TimeZone) -> Option<Duration> {
        let time = instant::local_time(now, zone);
        let is_quiet = if self.from <= self.to {
            self.from <= time && time < self.to
        } else {
            self.from <= time || time < self.to
        };
        is_quiet.then(|| {
            let day = 24 * 3_600;
            let left = (seconds(self.to) + day - seconds(time)) % day;
            Duration::from_secs(left.max(1))
        })
    }
}

fn seconds(time: Time) -> u64 {
    let part = |number: i8| u64::from(number.unsigned_abs());
    part(time.hour()) * 3_600 + part(time.minute()) * 60 + part(time.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: &str, to: &str, at: &str, left: Option<u64>) {
        let quiet = QuietHours { from: from.parse().unwrap(), to: to.parse().unwrap() };
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let now = instant::parse(&format!("2026-11-25T{at}+08:00")).unwrap();
        assert_eq!(quiet.left(now, &zone).map(|left| left.as_secs()), left, "{at}");
    }

    #[test]
    fn quiet_hours_are_on_the_stores_clock_and_go_over_midnight() {
        check("22:00", "06:30", "21:59:59", None);
        check("22:00", "06:30", "22:00:00", Some(8 * 3_600 + 1_800));
        check("22:00", "06:30", "06:29:59", Some(1));
        check("22:00", "06:30", "06:30:00", None);
        check("12:00", "13:00", "12:30:00", Some(1_800));
        check("12:00", "13:00", "13:00:00", None);
        check("12:00", "12:00", "12:00:00", None);
    }
}
