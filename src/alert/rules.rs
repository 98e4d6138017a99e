//! When measures of a store are trouble: past a threshold for long enough, and over only when they have been well again
//! for long enough, so that what swings about a threshold is told once.

use std::time::Duration;

use gondola_protocol::Moment;
use serde::{Deserialize, Serialize};

use super::Rule;

/// A store's accuracy is well again when it is so many hundredths above its threshold, or whole.
const ACCURACY_MARGIN: u32 = 1;

/// A disk is well again when so many hundredths more of it are free than its threshold.
const DISK_MARGIN: u32 = 5;

/// From where on measures are trouble. Each rule can be switched off with 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertRules {
    /// Fewer hundredths of the bound labels than this show what they should, for a quarter of an hour.
    pub accuracy_percent: u32,
    /// So many labels answer, and have shown something else for a quarter of an hour.
    pub stale_labels: u32,
    /// A base station is away for so many minutes.
    pub station_down_minutes: u32,
    /// So many labels have low batteries.
    pub low_batteries: u32,
    /// Less than so many hundredths of the disk are free.
    pub disk_percent: u32,
}

impl Default for AlertRules {
    fn default() -> Self {
        // A wave over a shop is a quarter of an hour at worst, so what is wrong longer than that is no wave. One label
        // with a wrong price or an empty battery is worth a walk. A base station restarts within two minutes. A tenth of
        // a small disk is weeks of a large shop's journal.
        Self { accuracy_percent: 98, stale_labels: 1, station_down_minutes: 5, low_batteries: 1, disk_percent: 10 }
    }
}

impl AlertRules {
    /// Nothing that is measured is told.
    pub const OFF: Self =
        Self { accuracy_percent: 0, stale_labels: 0, station_down_minutes: 0, low_batteries: 0, disk_percent: 0 };

    /// What a share of labels that agree means, of `bound` labels `agreeing`.
    #[must_use]
    pub fn of_accuracy(&self, bound: u32, agreeing: u32) -> Reading {
        // In wide numbers: neither side can overflow.
        let (share, whole) = (u64::from(agreeing) * 100, u64::from(bound));
        let below = |percent: u32| share < whole * u64::from(percent);
        match self.accuracy_percent {
            0 => Reading::Well,
            percent if below(percent) => Reading::Trouble,
            percent if agreeing < bound && below(percent + ACCURACY_MARGIN) => Reading::Between,
            _ => Reading::Well,
        }
    }

    /// What a count means whose threshold is `from`.
    #[must_use]
    pub const fn of_count(count: u32, from: u32) -> Reading {
        if from > 0 && count >= from { Reading::Trouble } else { Reading::Well }
    }

    /// What `free` of `total` bytes of a disk mean.
    #[must_use]
    pub fn of_disk(&self, free: u64, total: u64) -> Reading {
        let below = |percent: u32| u128::from(free) * 100 < u128::from(total) * u128::from(percent);
        match self.disk_percent {
            0 => Reading::Well,
            percent if below(percent) => Reading::Trouble,
            percent if below(percent + DISK_MARGIN) => Reading::Between,
            _ => Reading::Well,
        }
    }

    /// How long a rule's trouble lasts before it is told, and how long it is well before that is told.
    #[must_use]
    pub fn patience(&self, rule: Rule) -> Patience {
        let minutes = Duration::from_mins;
        let (raise, clear) = match rule {
            Rule::Accuracy => (minutes(15), minutes(5)),
            // Their own quarter of an hour is over already.
            Rule::StaleLabels => (Duration::ZERO, minutes(5)),
            Rule::StationDown => (minutes(u64::from(self.station_down_minutes)), minutes(1)),
            // A battery's voltage sinks with the cold and under load.
            Rule::LowBatteries => (minutes(60), minutes(60)),
            _ => (Duration::ZERO, Duration::ZERO),
        };
        Patience { raise, clear }
    }
}

/// What a measure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It is past its threshold.
    Trouble,
    /// It is neither past its threshold nor well again: what held before goes on.
    Between,
    /// It is well.
    Well,
}

/// How long something lasts before it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Trouble.
    pub raise: Duration,
    /// Its end.
    pub clear: Duration,
}

/// Follows one measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    trouble_since: Option<Moment>,
    well_since: Option<Moment>,
}

/// What is to be done with an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Let it hold.
    Raise,
    /// Leave it as it is.
    Leave,
    /// Let it end.
    Clear,
}

impl Watch {
    /// Takes a reading, and says what it comes to together with those before.
    pub fn look(&mut self, now: Moment, reading: Reading, patience: Patience) -> Verdict {
        match reading {
            Reading::Trouble => {
                self.well_since = None;
                let since = *self.trouble_since.get_or_insert(now);
                if now.since(since) >= patience.raise { Verdict::Raise } else { Verdict::Leave }
            }
            Reading::Between => {
                (self.trouble_since, self.well_since) = (None, None);
                Verdict::Leave
            }
            Reading::Well => {
                self.trouble_since = None;
                let since = *self.well_since.get_or_insert(now);
                if now.since(since) >= patience.clear { Verdict::Clear } else { Verdict::Leave }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_have_a_margin() {
        let rules = AlertRules::default();
        let shares = [(979, Reading::Trouble), (980, Reading::Between), (989, Reading::Between), (990, Reading::Well)];
        for (agreeing, reading) in shares {
            assert_eq!(rules.of_accuracy(1_000, agreeing), reading, "{agreeing}");
        }
        assert_eq!(rules.of_accuracy(3, 3), Reading::Well, "whole is well, whatever the margin");
        assert_eq!(rules.of_accuracy(0, 0), Reading::Well);
        for (free, reading) in [(99, Reading::Trouble), (100, Reading::Between), (150, Reading::Well)] {
            assert_eq!(rules.of_disk(free << 40, 1_000 << 40), reading, "{free}");
        }
        assert_eq!(AlertRules::of_count(1, 1), Reading::Trouble);
        let off = AlertRules::OFF;
        assert_eq!(
            [off.of_accuracy(9, 0), AlertRules::of_count(9, off.stale_labels), off.of_disk(0, 9)],
            [Reading::Well; 3]
        );
    }

    #[test]
    fn what_swings_about_a_threshold_is_told_once() {
        use Reading::{Between, Trouble, Well};
        let patience = Patience { raise: Duration::from_mins(2), clear: Duration::from_mins(2) };
        let mut watch = Watch::default();
        let readings = [Trouble, Well, Trouble, Trouble, Trouble, Well, Between, Well, Trouble, Well, Well, Well];
        let mut told = Vec::new();
        let mut holds = false;
        for (minute, reading) in readings.into_iter().enumerate() {
            let verdict = watch.look(Moment::from_secs(60 * minute as u64), reading, patience);
            match verdict {
                Verdict::Raise if !holds => (holds, told) = (true, [told, vec![(minute, true)]].concat()),
                Verdict::Clear if holds => (holds, told) = (false, [told, vec![(minute, false)]].concat()),
                _ => {}
            }
        }
        assert_eq!(told, [(4, true), (11, false)]);
    }
}
