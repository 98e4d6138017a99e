//! What customers pay: one till that raises a price as soon as it is published, and one that waits until every label
//! has proven to show it; each against what is on the glasses.

use std::collections::{BTreeMap, BTreeSet};

use gondola_protocol::{Digest, Moment};

/// Two tills before one shelf. Labels and products have the same numbers; prices are in cents.
#[derive(Debug, Default)]
pub(super) struct Tills {
    /// What each picture says, as far as it was a product's price.
    pictures: BTreeMap<Digest, u64>,
    /// What each label's glass says.
    glass: BTreeMap<usize, u64>,
    hasty: Till,
    patient: Till,
}

/// A till.
#[derive(Debug, Default)]
pub(super) struct Till {
    asks: BTreeMap<usize, u64>,
    /// Labels that say less than it asks.
    unfair: BTreeSet<usize>,
    /// How many there were, from when on.
    pub(super) counts: Vec<(Moment, usize)>,
}

impl Till {
    fn compare(&mut self, now: Moment, number: usize, glass: Option<u64>) {
        let is_unfair = glass.is_some_and(|glass| self.asks.get(&number).is_some_and(|asked| *asked > glass));
        let changed = if is_unfair { self.unfair.insert(number) } else { self.unfair.remove(&number) };
        if changed {
            match self.counts.last_mut() {
                Some((at, count)) if *at == now => *count = self.unfair.len(),
                _ => self.counts.push((now, self.unfair.len())),
            }
        }
    }

    /// Labels that ever said less, at the most at one moment.
    pub(super) fn most_unfair(&self) -> usize {
        self.counts.iter().map(|(_, count)| *count).max().unwrap_or(0)
    }
}

impl Tills {
    /// What both ask, and what the glass says, at the beginning.
    pub(super) fn open(&mut self, number: usize, cents: u64, picture: Digest) {
        self.pictures.insert(picture, cents);
        self.glass.insert(number, cents);
        self.hasty.asks.insert(number, cents);
        self.patient.asks.insert(number, cents);
    }

    /// A product has another price, which such a picture says.
    pub(super) fn publish(&mut self, now: Moment, number: usize, cents: u64, picture: Digest) {
        self.pictures.insert(picture, cents);
        self.hasty.asks.insert(number, cents);
        let asked = self.patient.asks.entry(number).or_insert(cents);
        *asked = cents.min(*asked);
        self.compare(now, number);
    }

    /// Every label of a product is proven to show a price.
    pub(super) fn confirm(&mut self, now: Moment, number: usize, cents: u64) {
        self.patient.asks.insert(number, cents);
        self.compare(now, number);
    }

    /// A glass shows a picture.
    pub(super) fn see(&mut self, now: Moment, number: usize, picture: Digest) {
        match self.pictures.get(&picture) {
            Some(cents) => self.glass.insert(number, *cents),
            None => self.glass.remove(&number),
        };
        self.compare(now, number);
    }

    fn compare(&mut self, now: Moment, number: usize) {
        let glass = self.glass.get(&number).copied();
        self.hasty.compare(now, number, glass);
        self.patient.compare(now, number, glass);
    }

    /// The one that raises prices as soon as they are published.
    pub(super) const fn hasty(&self) -> &Till {
        &self.hasty
    }

    /// The one that waits for the confirmation.
    pub(super) const fn patient(&self) -> &Till {
        &self.patient
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hasty_till_asks_for_more_than_the_glass_says() {
        let (old, new, picture) = (1_000, 1_200, |byte| Digest([byte; 16]));
        let at = Moment::from_secs;
        let mut tills = Tills::default();
        tills.open(0, old, picture(1));
        tills.publish(at(1), 0, new, picture(2));
        tills.see(at(5), 0, picture(2));
        tills.confirm(at(6), 0, new);
        assert_eq!(tills.hasty().counts, [(at(1), 1), (at(5), 0)]);
        assert_eq!(tills.patient().most_unfair(), 0);
        // A lower price holds at once.
        tills.publish(at(7), 0, old, picture(1));
        assert_eq!((tills.hasty().most_unfair(), tills.patient().asks[&0]), (1, old));
        // A confirmation that came too early would be found.
        tills.confirm(at(8), 0, new + 1);
        assert_eq!(tills.patient().most_unfair(), 1);
    }
}
