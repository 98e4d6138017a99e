//! The running numbers of one source's messages: what is missing is noticed, and nothing else is decided by them.

use std::collections::VecDeque;
use std::time::Duration;

use gondola_protocol::Moment;

/// A number that is missing for this long is a gap: brokers reorder by milliseconds.
pub const MISSING_FOR: Duration = Duration::from_secs(5);

/// A gap is told no sooner than this after the last one: a flood that comes out of order is one matter, and each
/// telling costs the source a snapshot.
pub const TOLD_EVERY: Duration = Duration::from_mins(1);

/// Missing spans that are watched at once; more of them are a gap at once.
const SPANS_MAX: usize = 64;

/// Whether a message had something new in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// At least one row was applied.
    Some,
    /// Every row was known already, or no good.
    None,
}

/// A source's numbers in one store.
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    /// The number that comes next; none before the first.
    next: Option<u64>,
    /// Spans of numbers that were passed over, and since when, in their order of arrival.
    missing: VecDeque<(u64, u64, Moment)>,
    /// Since when there is a gap for certain: the source counts anew, or too much is missing.
    gap_since: Option<Moment>,
    told_at: Option<Moment>,
}

impl Sequence {
    /// Takes in the numbers of a message. A number from before that brings news is a source that counts anew.
    pub fn note(&mut self, now: Moment, numbers: &[u64], news: News) {
        for number in numbers {
            match self.next {
                Some(next) if *number > next => {
                    self.missing.push_back((next, number - 1, now));
                    if self.missing.len() > SPANS_MAX {
                        self.missing.clear();
                        self.gap_since.get_or_insert(now);
                    }
                    self.next = Some(number + 1);
                }
                Some(next) if *number < next => {
                    if !self.fill(*number) && news == News::Some {
                        self.gap_since.get_or_insert(now);
                        self.next = Some(number + 1);
                    }
                }
                _ => self.next = Some(number + 1),
            }
        }
    }

    /// A snapshot that holds everything up to this number.
    pub fn close(&mut self, number: u64) {
        self.missing.retain(|(_, last, _)| *last > number);
        for (first, _, _) in &mut self.missing {
            *first = (*first).max(number + 1);
        }
        self.next = Some(self.next.map_or(number + 1, |next| next.max(number + 1)));
    }

    /// When a gap is to be told.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        let missing = self.missing.front().map(|(_, _, since)| *since + MISSING_FOR);
        let at = [missing, self.gap_since].into_iter().flatten().min()?;
        Some(self.told_at.map_or(at, |told| at.max(told + TOLD_EVERY)))
    }

    /// Whether a gap is to be told at `now`. Each is told once: what was missing is given up.
    pub fn take_gap(&mut self, now: Moment) -> bool {
        let is_due = self.poll_timeout().is_some_and(|at| at <= now);
        if is_due {
            self.missing.clear();
            self.gap_since = None;
            self.told_at = Some(now);
        }
        is_due
    }

    /// Takes a number out of the missing ones. Answers whether it was one of them.
    fn fill(&mut self, number: u64) -> bool {
        let holds = |(first, last, _): &(u64, u64, Moment)| (*first..=*last).contains(&number);
        let Some(index) = self.missing.iter().position(holds) else { return false };
        let Some((first, last, since)) = self.missing.remove(index) else { return false };
        if number < last {
            self.missing.insert(index, (number + 1, last, since));
        }
        if first < number {
            self.missing.insert(index, (first, number - 1, since));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers at seconds; whether there is a gap at each of these seconds.
    #[track_caller]
    fn check(messages: &[(u64, &[u64], News)], gaps: &[(u64, bool)]) {
        let mut sequence = Sequence::default();
        for (at, numbers, news) in messages {
            sequence.note(Moment::from_secs(*at), numbers, *news);
        }
        for (at, gap) in gaps {
            assert_eq!(sequence.take_gap(Moment::from_secs(*at)), *gap, "at {at} s");
        }
    }

    #[test]
    fn numbers_in_order_have_no_gap_wherever_they_begin() {
        check(&[(0, &[812, 813], News::Some), (0, &[814], News::None)], &[(100, false)]);
    }

    #[test]
    fn a_number_that_comes_late_is_no_gap_and_one_that_does_not_come_is() {
        check(&[(0, &[1, 2, 5], News::Some), (3, &[4], News::Some), (4, &[3], News::Some)], &[(100, false)]);
        check(&[(0, &[1, 5], News::Some), (3, &[3], News::Some)], &[(4, false), (5, true), (100, false)]);
    }

    #[test]
    fn a_repeat_is_no_gap_and_a_source_that_counts_anew_is() {
        check(&[(0, &[7, 8, 9], News::Some), (1, &[7, 8], News::None), (1, &[10], News::Some)], &[(100, false)]);
        check(&[(0, &[7, 8, 9], News::Some), (1, &[1], News::Some), (2, &[2], News::Some)], &[(2, true), (100, false)]);
    }

    #[test]
    fn a_snapshot_closes_the_gap_up_to_its_number() {
        let mut sequence = Sequence::default();
        sequence.note(Moment::ZERO, &[1, 10, 20], News::Some);
        sequence.close(15);
        sequence.note(Moment::ZERO, &[16, 17, 18, 19], News::Some);
        assert!(!sequence.take_gap(Moment::from_secs(100)));
        sequence.close(30);
        sequence.note(Moment::ZERO, &[25], News::None);
        sequence.note(Moment::ZERO, &[31], News::Some);
        assert!(!sequence.take_gap(Moment::from_secs(100)));
    }

    #[test]
    fn what_is_watched_is_bounded_and_a_flood_out_of_order_is_told_once_a_minute() {
        let mut sequence = Sequence::default();
        let mut told = Vec::new();
        for second in 0..120 {
            for number in 0..100 {
                sequence.note(Moment::from_secs(second), &[(second * 100 + number) * 2], News::Some);
                assert!(sequence.missing.len() <= SPANS_MAX);
                told.extend(sequence.take_gap(Moment::from_secs(second)).then_some(second));
            }
        }
        assert_eq!(told, [0, 60]);
        assert_eq!(sequence.poll_timeout(), Some(Moment::from_secs(120)), "the last of them are not forgotten");
    }
}
