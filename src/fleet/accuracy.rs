//! A store's accuracy, which is the share of its bound labels whose glass is proven to agree, now and over time; and how
//! long a picture takes from being wanted to being proven on the glass.

use std::collections::VecDeque;
use std::time::Duration;

use gondola_protocol::Moment;

/// Samples of the last day.
const MINUTE: Duration = Duration::from_mins(1);

/// Samples of the last week.
const HOUR: Duration = Duration::from_hours(1);

const MINUTES_MAX: usize = 24 * 60;

/// Hours that a store looks back on.
pub const HOURS_MAX: usize = 7 * 24;

/// Buckets of a histogram: a tenth of a second, then each half as long again as the one before, to half a day and beyond.
const BUCKETS: usize = 34;

/// Hours that the percentiles look back.
const SPAN_HOURS: usize = 24;

/// How many bound labels there were, and how many of them agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Moment,
    /// Bound labels.
    pub bound: u32,
    /// Of those, the ones whose glass was proven to agree.
    pub agreeing: u32,
}

impl Sample {
    /// The share, 0 to 1; 1 where there is nothing to be wrong.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.bound == 0 { 1.0 } else { f64::from(self.agreeing) / f64::from(self.bound) }
    }
}

/// Samples of a store: each minute of the last day, each hour of the last week. Some 40 KB.
#[derive(Debug, Clone, Default)]
pub struct Accuracy {
    minutes: VecDeque<Sample>,
    hours: VecDeque<Sample>,
    waits: Waits,
}

impl Accuracy {
    /// When the next sample is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Moment {
        self.minutes.back().map_or(Moment::ZERO, |last| last.at + MINUTE)
    }

    /// Takes a sample. Answers it if it is one for the hour, which is worth keeping.
    pub fn note(&mut self, sample: Sample) -> Option<Sample> {
        push(&mut self.minutes, sample, MINUTES_MAX);
        let is_hourly = self.hours.back().is_none_or(|last| sample.at >= last.at + HOUR || sample.at < last.at);
        if is_hourly {
            push(&mut self.hours, sample, HOURS_MAX);
        }
        is_hourly.then_some(sample)
    }

    /// Takes up an hour's sample from an earlier run.
    pub fn recall(&mut self, sample: Sample) {
        push(&mut self.hours, sample, HOURS_MAX);
    }

    /// The samples of the last day, oldest first.
    pub fn day(&self) -> impl Iterator<Item = &Sample> {
        self.minutes.iter()
    }

    /// The samples of the last week, oldest first.
    pub fn week(&self) -> impl Iterator<Item = &Sample> {
        self.hours.iter()
    }

    /// A picture was proven, so long after it was wanted.
    pub fn note_wait(&mut self, now: Moment, wait: Duration) {
        self.waits.note(now, wait);
    }

    /// How long pictures took in the last day.
    #[must_use]
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    /// How many pictures a bound label was given in a day, on average; none before a day has been counted.
    #[must_use]
    pub fn pictures_a_day(&self) -> Option<f64> {
        let bound = self.minutes.back().filter(|_| self.minutes.len() == MINUTES_MAX)?.bound;
        (bound > 0).then(|| self.waits.count() as f64 / f64::from(bound))
    }
}

fn push(samples: &mut VecDeque<Sample>, sample: Sample, max: usize) {
    // A clock that was set back makes the later samples' place uncertain.
    while samples.back().is_some_and(|last| last.at >= sample.at) {
        samples.pop_back();
    }
    if samples.len() == max {
        samples.pop_front();
    }
    samples.push_back(sample);
}

/// Waits of the last day, by the hour in which they ended.
#[derive(Debug, Clone, Default)]
pub struct Waits {
    hours: VecDeque<(u64, [u32; BUCKETS])>,
}

impl Waits {
    fn note(&mut self, now: Moment, wait: Duration) {
        let hour = now.as_micros() / 3_600_000_000;
        self.hours.retain(|(of, _)| *of <= hour && of + SPAN_HOURS as u64 > hour);
        if self.hours.back().is_none_or(|(of, _)| *of != hour) {
            self.hours.push_back((hour, [0; BUCKETS]));
        }
        if let Some((_, buckets)) = self.hours.back_mut() {
            let bucket = (0..BUCKETS - 1).find(|bucket| wait <= upper(*bucket)).unwrap_or(BUCKETS - 1);
            buckets[bucket] = buckets[bucket].saturating_add(1);
        }
    }

    /// How many pictures were proven.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.hours.iter().flat_map(|(_, buckets)| buckets).map(|count| u64::from(*count)).sum()
    }

    /// The wait that so many in a hundred did not exceed, to within half of itself; none before the first.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        (0..BUCKETS).find_map(|bucket| {
            seen += self.hours.iter().map(|(_, buckets)| u64::from(buckets[bucket])).sum::<u64>();
            (seen >= rank).then(|| upper(bucket))
        })
    }
}

/// The longest wait of a bucket.
fn upper(bucket: usize) -> Duration {
    Duration::from_micros((0..bucket).fold(100_000_u64, |micros, _| micros + micros / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(minute: u64, agreeing: u32) -> Sample {
        Sample { at: Moment::from_secs(minute * 60), bound: 10, agreeing }
    }

    #[test]
    fn a_day_of_minutes_and_a_week_of_hours_are_kept() {
        let mut accuracy = Accuracy::default();
        let hourly = (0..10 * 24 * 60).filter(|minute| accuracy.note(sample(*minute, 9)).is_some()).count();
        assert_eq!(hourly, 240);
        assert_eq!((accuracy.day().count(), accuracy.week().count()), (MINUTES_MAX, HOURS_MAX));
        assert_eq!(accuracy.poll_timeout(), Moment::from_secs(10 * 86_400));
        assert!((accuracy.day().last().unwrap().share() - 0.9).abs() < 1e-9);
        (0..25).for_each(|_| accuracy.note_wait(Moment::from_secs(10 * 86_400), MINUTE));
        assert_eq!(accuracy.pictures_a_day(), Some(2.5));
        let mut young = Accuracy::default();
        young.note(sample(0, 10));
        assert_eq!(young.pictures_a_day(), None);
    }

    #[test]
    fn a_clock_that_was_set_back_leaves_one_sample_for_each_minute() {
        let mut accuracy = Accuracy::default();
        for minute in [1, 2, 3, 2, 3, 4] {
            accuracy.note(sample(minute, 10));
        }
        let minutes: Vec<u64> = accuracy.day().map(|sample| sample.at.as_micros() / 60_000_000).collect();
        assert_eq!(minutes, [1, 2, 3, 4]);
    }

    #[test]
    fn percentiles_are_right_to_within_half_and_forget_yesterday() {
        let mut waits = Waits::default();
        assert_eq!(waits.percentile(50), None);
        for tenth in 1..=1_000 {
            waits.note(Moment::from_secs(3_600), Duration::from_millis(100 * tenth));
        }
        for (percent, exact) in [(50, 50.0), (99, 99.0)] {
            let told = waits.percentile(percent).unwrap().as_secs_f64();
            assert!((exact..=exact * 1.5).contains(&told), "{percent} %: {told}");
        }
        assert_eq!(waits.count(), 1_000);
        waits.note(Moment::from_secs(26 * 3_600), Duration::from_hours(100));
        assert_eq!((waits.count(), waits.percentile(50)), (1, Some(upper(BUCKETS - 1))));
    }

    #[test]
    fn the_last_bucket_is_longer_than_a_night() {
        assert!(upper(BUCKETS - 2) > Duration::from_hours(10), "{:?}", upper(BUCKETS - 2));
    }
}
