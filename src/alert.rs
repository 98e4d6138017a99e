//! What a person should look into: raised once, told again only when its text changes, and cleared by the state
//! that it speaks of.
//!
//! What is told is journalled like every decision, so that a restart neither forgets what holds nor tells it again.

mod cause;
pub mod quiet;
pub mod rules;
pub mod told;
pub mod words;

use std::collections::{BTreeMap, VecDeque};

use gondola_protocol::Moment;
use serde::{Deserialize, Serialize};

use crate::catalog::text_form::word_enum;
pub use cause::{Cause, suspicion};

/// News that a store remembers, some 300 bytes each: weeks of an ordinary shop, and what a receiver that was away can
/// still be told. A price list gone wrong holds ten thousand changes at once, of which the newest are told.
pub const NEWS_MAX: usize = 1_000;

word_enum! {
    /// What an alert is about.
    Rule, "rule", RuleError {
        /// Labels show a product that the store does not sell.
        NotForSale = "not_for_sale",
        /// A price change waits for a person.
        Held = "held",
        /// A full reload failed.
        ReloadFailed = "reload_failed",
        /// A source sends rows older than what is known.
        Regressed = "regressed",
        /// What answers as a base station is another one, or cannot prove that it is ours.
        Impostor = "impostor",
        /// A base station that is not configured wants to come in.
        Stranger = "stranger",
        /// Two labels answer to one id.
        DuplicateId = "duplicate_id",
        /// The journal cannot be written to.
        Journal = "journal",
        /// Too few labels show what they should.
        Accuracy = "accuracy",
        /// Labels answer, and show something else than they should.
        StaleLabels = "stale_labels",
        /// A base station is away.
        StationDown = "station_down",
        /// Labels have low batteries.
        LowBatteries = "low_batteries",
        /// The disk is nearly full.
        Disk = "disk",
    }
}

impl Rule {
    /// Whether it is told in quiet hours, too: what is lost by the morning if nobody looks.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::Journal | Self::Disk)
    }

    /// Whether its news goes into the journal; that about the journal itself cannot.
    #[must_use]
    pub const fn is_journalled(self) -> bool {
        !matches!(self, Self::Journal)
    }
}

word_enum! {
    /// Whether an alert holds.
    State, "state", StateError {
        /// It does.
        Raised = "raised",
        /// It no longer does.
        Cleared = "cleared",
    }
}

/// One alert as it was when there was news of it. Its JSON is a part of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Names this news: above the number of every earlier news of the store, and no smaller than the milliseconds since
    /// 1970 at which it was made, so that no number is given twice even where the journal has lost one.
    pub number: u64,
    /// What it is about.
    pub rule: Rule,
    /// Whom or what it concerns: a SKU, a facet, a promotion, a base station, the store.
    pub subject: String,
    /// Whether it holds.
    pub state: State,
    /// What is wrong, as a sentence in English.
    pub text: String,
    /// The same in its parts; none where an earlier version told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Since when it holds, or no longer does.
    #[serde(with = "micros")]
    pub at: Moment,
    /// When it began.
    #[serde(with = "micros")]
    pub since: Moment,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
}

/// Somebody has seen an alert and looks after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// A user's name, or `token <id>`.
    pub by: String,
    /// When.
    #[serde(with = "micros")]
    pub at: Moment,
}

impl Alert {
    /// What is wrong, in Chinese where its parts are known.
    #[must_use]
    pub fn chinese(&self) -> String {
        self.cause.as_ref().map_or_else(|| self.text.clone(), |cause| cause.chinese(&self.subject))
    }

    /// Its name: the same for the same trouble, however often it comes.
    #[must_use]
    pub fn id(&self) -> String {
        id(self.rule, &self.subject)
    }
}

/// An alert's name.
#[must_use]
pub fn id(rule: Rule, subject: &str) -> String {
    format!("{rule}:{subject}")
}

/// What an alert's name names; none for a text that is none.
#[must_use]
pub fn parse_id(id: &str) -> Option<(Rule, String)> {
    let (rule, subject) = id.split_once(':')?;
    Some((rule.parse().ok()?, subject.to_owned()))
}

/// The alerts of one store that hold, at most one for each rule and subject, and the newest news.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    raised: BTreeMap<(Rule, String), Alert>,
    /// At most [`NEWS_MAX`], oldest first.
    news: VecDeque<Alert>,
    last: u64,
}

impl Alerts {
    /// Every alert that holds.
    pub fn raised(&self) -> impl Iterator<Item = &Alert> {
        self.raised.values()
    }

    /// An alert that holds.
    #[must_use]
    pub fn get(&self, rule: Rule, subject: &str) -> Option<&Alert> {
        self.raised.get(&(rule, subject.to_owned()))
    }

    /// What those of a rule that hold are about.
    #[must_use]
    pub fn subjects(&self, rule: Rule) -> Vec<String> {
        let of_rule = self.raised.keys().filter(|(of, _)| *of == rule);
        of_rule.map(|(_, subject)| subject.clone()).collect()
    }

    /// The newest news, oldest first.
    pub fn news(&self) -> impl DoubleEndedIterator<Item = &Alert> {
        self.news.iter()
    }

    /// An alert holds. Answers it if that is news; another cause is another trouble, which nobody has seen yet.
    pub fn raise(&mut self, now: Moment, rule: Rule, subject: &str, cause: Cause) -> Option<Alert> {
        let (text, cause) = (cause.english(subject), Some(cause));
        let known = self.get(rule, subject);
        if known.is_some_and(|known| known.text == text) {
            return None;
        }
        let at = known.map_or(now, |known| known.at);
        let (number, subject) = (self.next_number(now), subject.to_owned());
        let state = State::Raised;
        let alert = Alert { number, rule, subject, state, text, cause, at, since: at, acknowledged: None };
        self.take(alert.clone());
        Some(alert)
    }

    /// An alert goes on to hold, in other words: those who look see them, and nobody is told again.
    pub fn reword(&mut self, rule: Rule, subject: &str, cause: Cause) {
        if let Some(known) = self.raised.get_mut(&(rule, subject.to_owned())) {
            known.text = cause.english(subject);
            known.cause = Some(cause);
        }
    }

    /// An alert no longer holds. Answers it if that is news.
    pub fn clear(&mut self, now: Moment, rule: Rule, subject: &str) -> Option<Alert> {
        let known = self.get(rule, subject)?.clone();
        let alert = Alert { number: self.next_number(now), state: State::Cleared, at: now, ..known };
        self.take(alert.clone());
        Some(alert)
    }

    /// What it comes to that somebody looks after an alert; none where none holds. The first who does so stands.
    #[must_use]
    pub fn acknowledged(&self, now: Moment, rule: Rule, subject: &str, by: String) -> Option<Alert> {
        let known = self.get(rule, subject)?.clone();
        let acknowledged = Some(Acknowledged { by, at: now });
        Some(Alert { number: self.next_number(now), acknowledged, ..known })
    }

    /// Takes news up: just made, or from the journal.
    pub fn take(&mut self, alert: Alert) {
        self.last = self.last.max(alert.number);
        let key = (alert.rule, alert.subject.clone());
        match alert.state {
            State::Raised => drop(self.raised.insert(key, alert.clone())),
            State::Cleared => drop(self.raised.remove(&key)),
        }
        if self.news.len() == NEWS_MAX {
            self.news.pop_front();
        }
        self.news.push_back(alert);
    }

    fn next_number(&self, now: Moment) -> u64 {
        now.as_millis().max(self.last + 1)
    }
}

/// Moments on disk: microseconds since the Unix epoch.
mod micros {
    use gondola_protocol::Moment;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(moment: &Moment, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(moment.as_micros())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        u64::deserialize(deserializer).map(Moment::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment::from_secs(second)
    }

    const fn disk(free_percent: u8) -> Cause {
        Cause::Disk { free_percent, free_mib: 100 }
    }

    #[test]
    fn an_alert_is_told_when_it_begins_changes_and_ends() {
        let mut alerts = Alerts::default();
        let raised = alerts.raise(at(1), Rule::Held, "1101", Cause::NotForSale { labels: 1 }).unwrap();
        assert_eq!((raised.id().as_str(), raised.state, raised.at), ("held:1101", State::Raised, at(1)));
        assert_eq!(alerts.raise(at(2), Rule::Held, "1101", Cause::NotForSale { labels: 1 }), None);
        let changed = alerts.raise(at(3), Rule::Held, "1101", Cause::NotForSale { labels: 2 }).unwrap();
        assert_eq!(changed.at, at(1));
        let cleared = alerts.clear(at(4), Rule::Held, "1101").unwrap();
        assert_eq!((cleared.state, cleared.at, cleared.since), (State::Cleared, at(4), at(1)));
        assert_eq!(alerts.clear(at(5), Rule::Held, "1101"), None);
        assert_eq!(alerts.raised().count(), 0);
        let numbers: Vec<u64> = alerts.news().map(|news| news.number).collect();
        assert_eq!(numbers, [1_000, 3_000, 4_000]);
        assert_eq!(parse_id("held:base 1:2"), Some((Rule::Held, "base 1:2".to_owned())));
        assert_eq!(parse_id("held"), None);
    }

    #[test]
    fn whoever_looks_after_an_alert_stands_beside_it_until_it_is_another_trouble() {
        let mut alerts = Alerts::default();
        assert_eq!(alerts.acknowledged(at(1), Rule::Disk, "hz-001", "ann".to_owned()), None);
        alerts.raise(at(1), Rule::Disk, "hz-001", disk(9));
        let seen = alerts.acknowledged(at(2), Rule::Disk, "hz-001", "ann".to_owned()).unwrap();
        alerts.take(seen);
        alerts.reword(Rule::Disk, "hz-001", disk(8));
        let shown = alerts.get(Rule::Disk, "hz-001").unwrap();
        assert_eq!((shown.cause.clone(), shown.at, shown.number), (Some(disk(8)), at(1), 2_000));
        assert_eq!(shown.acknowledged, Some(Acknowledged { by: "ann".to_owned(), at: at(2) }));
        let other = alerts.raise(at(3), Rule::Disk, "hz-001", disk(7)).unwrap();
        assert_eq!(other.acknowledged, None);
    }

    #[test]
    fn numbers_grow_whatever_the_clock_does_and_the_oldest_news_gives_way() {
        let mut alerts = Alerts::default();
        for turn in 0..2_000_u32 {
            let cause = Cause::StaleLabels { labels: turn };
            alerts.raise(at(100 - u64::from(turn % 50)), Rule::StaleLabels, "hz-001", cause);
        }
        let numbers: Vec<u64> = alerts.news().map(|news| news.number).collect();
        assert_eq!(numbers.len(), NEWS_MAX);
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        assert_eq!(alerts.raised().next().unwrap().cause, Some(Cause::StaleLabels { labels: 1_999 }));
    }

    #[test]
    fn the_journals_form_is_pinned() {
        let mut alerts = Alerts::default();
        let cause = Cause::StationDown { why: Some("refused".to_owned()) };
        let alert = alerts.raise(at(1), Rule::StationDown, "front", cause).unwrap();
        let alert = Alert { acknowledged: Some(Acknowledged { by: "ann".to_owned(), at: at(2) }), ..alert };
        let text = r#"{"number":1000,"rule":"station_down","subject":"front","state":"raised","text":"base station `front` is away: refused","cause":{"station_down":{"why":"refused"}},"at":1000000,"since":1000000,"acknowledged":{"by":"ann","at":2000000}}"#;
        assert_eq!(serde_json::to_string(&alert).unwrap(), text);
        assert_eq!(serde_json::from_str::<Alert>(text).unwrap(), alert);
        // As earlier versions wrote it.
        let old = text.replace(r#""cause":{"station_down":{"why":"refused"}},"#, "");
        assert_eq!(serde_json::from_str::<Alert>(&old).unwrap(), Alert { cause: None, ..alert });
    }
}
