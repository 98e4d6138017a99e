//! What one receiver has been told of one store's alerts, and what it is to be told next.
//!
//! There is no queue: what is to be told follows from the store's news and from this.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Alert, State};

/// What a receiver has been told of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Everything up to this news; 0 for one who has never been told everything that holds.
    up_to: u64,
    /// Later news, at most as many as the store remembers.
    ahead: BTreeSet<u64>,
    /// Whether what happened in quiet hours is still to be told.
    slept: bool,
    /// The newest record of the journal whose hash was told.
    journal: u64,
}

/// What may be told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hour {
    /// Everything.
    Any,
    /// Only what is urgent.
    Quiet,
}

impl Told {
    /// What is to be told, oldest first, of the news that the store remembers.
    ///
    /// What began and ended in quiet hours is not told, and a receiver that hears of the store for the first time is told
    /// only what still holds.
    pub fn pending<'a>(&mut self, news: &'a [Alert], hour: Hour) -> Vec<&'a Alert> {
        let untold = news.iter().filter(|it| it.number > self.up_to && !self.ahead.contains(&it.number));
        if hour == Hour::Quiet {
            self.slept = true;
            return untold.filter(|it| it.rule.is_urgent()).collect();
        }
        let wakes = self.slept || self.up_to == 0;
        let pending: Vec<&Alert> = untold.filter(|it| !(wakes && self.is_past(news, it))).collect();
        if pending.is_empty() {
            self.up_to = self.up_to.max(news.last().map_or(1, |newest| newest.number));
            self.ahead.clear();
            self.slept = false;
        }
        pending
    }

    /// Whether an alert is over of which the receiver has heard nothing.
    fn is_past(&self, news: &[Alert], it: &Alert) -> bool {
        let mut same =
            news.iter().filter(|other| (other.rule, &other.subject, other.since) == (it.rule, &it.subject, it.since));
        let is_over = same.clone().any(|other| other.state == State::Cleared);
        // Its first news is forgotten by the store, perhaps, but its number was no smaller than its beginning.
        let is_heard = it.since.as_millis() <= self.up_to || same.any(|other| self.ahead.contains(&other.number));
        is_over && !is_heard
    }

    /// The receiver has been told of a news.
    pub fn note(&mut self, number: u64) {
        self.ahead.insert(number);
    }

    /// The newest record of the journal whose hash the receiver has been told.
    #[must_use]
    pub const fn journal(&self) -> u64 {
        self.journal
    }

    /// The receiver has been told the hash of a record.
    pub const fn note_journal(&mut self, sequence: u64) {
        self.journal = sequence;
    }
}

#[cfg(test)]
mod tests {
    use gondola_protocol::Moment;

    use super::*;
    use crate::alert::{Alerts, Cause, Rule};

    /// A store's alerts, by the second.
    #[derive(Default)]
    struct Shop {
        alerts: Alerts,
        second: u64,
    }

    impl Shop {
        fn now(&mut self) -> Moment {
            self.second += 1;
            Moment::from_secs(self.second)
        }

        fn raise(&mut self, rule: Rule, subject: &str) {
            let now = self.now();
            self.alerts.raise(now, rule, subject, Cause::Stranger).unwrap();
        }

        fn clear(&mut self, rule: Rule, subject: &str) {
            let now = self.now();
            self.alerts.clear(now, rule, subject).unwrap();
        }

        fn news(&self) -> Vec<Alert> {
            self.alerts.news().cloned().collect()
        }
    }

    /// Tells everything that is pending, and answers it.
    fn tell(told: &mut Told, shop: &Shop, hour: Hour) -> Vec<String> {
        let news = shop.news();
        let mut heard = Vec::new();
        while let Some(next) = told.pending(&news, hour).first().copied() {
            heard.push(format!("{} {}", next.subject, next.state));
            told.note(next.number);
            // As over a restart.
            *told = serde_json::from_str(&serde_json::to_string(told).unwrap()).unwrap();
        }
        heard
    }

    #[test]
    fn news_are_told_once_and_in_order() {
        let (mut shop, mut told) = (Shop::default(), Told::default());
        assert_eq!(tell(&mut told, &shop, Hour::Any), [""; 0]);
        shop.raise(Rule::StationDown, "front");
        shop.raise(Rule::Held, "base 1101");
        shop.clear(Rule::StationDown, "front");
        assert_eq!(tell(&mut told, &shop, Hour::Any), ["front raised", "base 1101 raised", "front cleared"]);
        assert_eq!(tell(&mut told, &shop, Hour::Any), [""; 0]);
        shop.clear(Rule::Held, "base 1101");
        assert_eq!(tell(&mut told, &shop, Hour::Any), ["base 1101 cleared"]);
        assert_eq!(told.ahead.len(), 0);
    }

    #[test]
    fn a_new_receiver_is_told_what_holds() {
        let mut shop = Shop::default();
        shop.raise(Rule::StationDown, "front");
        shop.raise(Rule::StationDown, "back");
        shop.clear(Rule::StationDown, "front");
        let mut told = Told::default();
        assert_eq!(tell(&mut told, &shop, Hour::Any), ["back raised"]);
        shop.clear(Rule::StationDown, "back");
        shop.raise(Rule::StationDown, "front");
        shop.clear(Rule::StationDown, "front");
        assert_eq!(tell(&mut told, &shop, Hour::Any), ["back cleared", "front raised", "front cleared"]);
    }

    #[test]
    fn nobody_is_woken_for_what_is_over_by_the_morning() {
        let (mut shop, mut told) = (Shop::default(), Told::default());
        shop.raise(Rule::Held, "evening");
        tell(&mut told, &shop, Hour::Any);
        shop.clear(Rule::Held, "evening");
        shop.raise(Rule::StationDown, "front");
        shop.clear(Rule::StationDown, "front");
        shop.raise(Rule::StationDown, "back");
        shop.raise(Rule::Disk, "hz-001");
        assert_eq!(tell(&mut told, &shop, Hour::Quiet), ["hz-001 raised"]);
        assert_eq!(tell(&mut told, &shop, Hour::Quiet), [""; 0]);
        shop.clear(Rule::Disk, "hz-001");
        assert_eq!(tell(&mut told, &shop, Hour::Any), ["evening cleared", "back raised", "hz-001 cleared"]);
        assert_eq!(tell(&mut told, &shop, Hour::Any), [""; 0]);
    }

    #[test]
    fn news_that_the_store_has_forgotten_stop_nobody() {
        let (mut shop, mut told) = (Shop::default(), Told::default());
        shop.raise(Rule::StationDown, "front");
        tell(&mut told, &shop, Hour::Any);
        for sku in 0..crate::alert::NEWS_MAX + 5 {
            shop.raise(Rule::Held, &sku.to_string());
        }
        let heard = tell(&mut told, &shop, Hour::Any);
        assert_eq!((heard.len(), heard[0].as_str()), (crate::alert::NEWS_MAX, "5 raised"));
    }
}
