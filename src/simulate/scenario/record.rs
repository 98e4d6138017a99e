//! What happened in a played scenario, as far as its expectations and its plot ask.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gondola_protocol::{Digest, Moment};

use super::State;

/// What a label should show changed, and its glass followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// The label's number.
    pub(super) number: usize,
    /// Since when its glass was wrong.
    pub(super) wrong_since: Moment,
    /// When what it should show changed last.
    pub(super) since: Moment,
    /// When its glass showed it; none while it does not.
    pub(super) shown_at: Option<Moment>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Every change of what a label should show that its glass has followed.
    pub(super) changes: Vec<Change>,
    /// Those that it has yet to follow, by the label's number.
    wrong: BTreeMap<usize, Change>,
    /// What is on each glass, and what should be.
    glass: BTreeMap<usize, Digest>,
    wanted: BTreeMap<usize, Digest>,
    /// When each label was bound, by its number.
    pub(super) bound_at: BTreeMap<usize, Moment>,
    /// When which glass changed.
    pub(super) refreshes: Vec<(Moment, usize)>,
    /// How many labels were known to be in a state, now and then.
    pub(super) samples: Vec<(Moment, BTreeMap<State, usize>)>,
}

/// Labels, and a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) labels: &'a BTreeSet<usize>,
    pub(super) from: Moment,
    pub(super) until: Moment,
}

impl Window<'_> {
    fn holds(&self, at: Moment) -> bool {
        (self.from..self.until).contains(&at)
    }
}

impl Record {
    /// From now on a label should show a picture.
    pub(super) fn want(&mut self, now: Moment, number: usize, picture: Digest) {
        self.wanted.insert(number, picture);
        if self.glass.get(&number) == Some(&picture) {
            self.settle(now, number);
        } else {
            self.begin(now, number).since = now;
        }
    }

    /// A glass shows a picture.
    pub(super) fn see(&mut self, now: Moment, number: usize, picture: Digest) {
        self.glass.insert(number, picture);
        match self.wanted.get(&number) {
            Some(wanted) if *wanted == picture => self.settle(now, number),
            Some(_) => _ = self.begin(now, number),
            None => {}
        }
    }

    fn begin(&mut self, now: Moment, number: usize) -> &mut Change {
        self.wrong.entry(number).or_insert(Change { number, wrong_since: now, since: now, shown_at: None })
    }

    fn settle(&mut self, now: Moment, number: usize) {
        if let Some(change) = self.wrong.remove(&number) {
            self.changes.push(Change { shown_at: Some(now), ..change });
        }
    }

    /// Nothing is to come any more.
    pub(super) fn end(&mut self) {
        self.changes.extend(std::mem::take(&mut self.wrong).into_values());
    }

    /// How many of the changes in a window there are, and how many of them were on the glass within a time.
    pub(super) fn shown(&self, window: Window<'_>, within: Duration) -> (usize, usize) {
        let changes =
            self.changes.iter().filter(|change| window.labels.contains(&change.number) && window.holds(change.since));
        let is_shown = |change: &&Change| change.shown_at.is_some_and(|at| at.since(change.since) <= within);
        let changes: Vec<&Change> = changes.collect();
        (changes.len(), changes.into_iter().filter(is_shown).count())
    }

    /// The smallest share of the labels that is right at any moment of a window, and when.
    pub(super) fn least_accuracy(&self, window: Window<'_>) -> (f64, Moment) {
        let mut most = (self.wrong_at(window.labels, window.from), window.from);
        for (at, wrong) in self.wrong(window.labels) {
            if window.holds(at) && wrong > most.0 {
                most = (wrong, at);
            }
        }
        (1.0 - most.0 as f64 / window.labels.len().max(1) as f64, most.1)
    }

    /// How often the label of a window changed its display that did so most.
    pub(super) fn most_refreshes(&self, window: Window<'_>) -> usize {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for (at, number) in &self.refreshes {
            if window.labels.contains(number) && window.holds(*at) {
                *counts.entry(*number).or_default() += 1;
            }
        }
        counts.into_values().max().unwrap_or(0)
    }

    /// Labels that are wrong, by the moment from which on it is so many.
    pub(super) fn wrong(&self, labels: &BTreeSet<usize>) -> Vec<(Moment, usize)> {
        let concerned = self.changes.iter().filter(|change| labels.contains(&change.number));
        let mut steps: BTreeMap<Moment, (usize, usize)> = BTreeMap::new();
        for change in concerned {
            steps.entry(change.wrong_since).or_default().0 += 1;
            if let Some(at) = change.shown_at {
                steps.entry(at).or_default().1 += 1;
            }
        }
        let mut wrong = 0;
        let count = |(at, (more, fewer))| {
            wrong = wrong + more - fewer;
            (at, wrong)
        };
        steps.into_iter().map(count).collect()
    }

    fn wrong_at(&self, labels: &BTreeSet<usize>, at: Moment) -> usize {
        self.wrong(labels).into_iter().take_while(|(since, _)| *since <= at).last().map_or(0, |(_, wrong)| wrong)
    }

    /// Labels that are bound, by the moment from which on it is so many.
    pub(super) fn bound(&self) -> Vec<(Moment, usize)> {
        let mut at: Vec<Moment> = self.bound_at.values().copied().collect();
        at.sort_unstable();
        at.into_iter().zip(1..).collect()
    }

    /// Labels that were bound and show their product, likewise.
    pub(super) fn first_shown(&self) -> Vec<(Moment, usize)> {
        let mut first: BTreeMap<usize, Moment> = BTreeMap::new();
        for change in &self.changes {
            if let Some(at) = change.shown_at {
                let earliest = first.entry(change.number).or_insert(at);
                *earliest = at.min(*earliest);
            }
        }
        let mut at: Vec<Moment> = first.into_values().collect();
        at.sort_unstable();
        at.into_iter().zip(1..).collect()
    }

    /// Labels that were known to be in a state, now and then.
    pub(super) fn known(&self, state: State) -> Vec<(Moment, usize)> {
        self.samples.iter().map(|(at, counts)| (*at, counts.get(&state).copied().unwrap_or(0))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: u64) -> Moment {
        Moment::from_secs(second)
    }

    fn record() -> Record {
        let change = |number, wrong_since, since, shown: u64| Change {
            number,
            wrong_since: at(wrong_since),
            since: at(since),
            shown_at: (shown > 0).then(|| at(shown)),
        };
        Record {
            changes: vec![change(0, 10, 10, 15), change(1, 10, 12, 40), change(2, 50, 50, 0)],
            refreshes: vec![(at(15), 0), (at(20), 1), (at(40), 1)],
            ..Record::default()
        }
    }

    #[test]
    fn changes_are_seen_on_the_glass() {
        let (mut record, picture) = (Record::default(), |byte| Digest([byte; 16]));
        record.want(at(0), 0, picture(1));
        record.see(at(1), 0, picture(1));
        record.want(at(10), 0, picture(2));
        record.want(at(12), 0, picture(3));
        record.see(at(13), 0, picture(2));
        record.see(at(14), 0, picture(3));
        // Back to what it shows, before it has followed.
        record.want(at(20), 0, picture(4));
        record.want(at(21), 0, picture(3));
        // It forgets everything.
        record.see(at(30), 0, picture(0));
        record.end();
        let found: Vec<_> =
            record.changes.iter().map(|change| (change.wrong_since, change.since, change.shown_at)).collect();
        let expected = [
            (at(0), at(0), Some(at(1))),
            (at(10), at(12), Some(at(14))),
            (at(20), at(20), Some(at(21))),
            (at(30), at(30), None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_record_answers_what_is_asked() {
        let (record, labels) = (record(), (0..4).collect());
        let window = |from, until| Window { labels: &labels, from: at(from), until: at(until) };
        assert_eq!(record.shown(window(0, 100), Duration::from_secs(5)), (3, 1));
        assert_eq!(record.shown(window(0, 50), Duration::from_secs(28)), (2, 2));
        assert_eq!(record.wrong(&labels), [(at(10), 2), (at(15), 1), (at(40), 0), (at(50), 1)]);
        assert_eq!(record.least_accuracy(window(0, 100)), (0.5, at(10)));
        // What began to be wrong before counts, too.
        assert_eq!(record.least_accuracy(window(20, 30)), (0.75, at(20)));
        assert_eq!(record.least_accuracy(window(41, 50)), (1.0, at(41)));
        assert_eq!(record.most_refreshes(window(0, 100)), 2);
        assert_eq!(record.most_refreshes(window(0, 40)), 1);
        assert_eq!(record.first_shown(), [(at(15), 1), (at(40), 2)]);
    }
}
