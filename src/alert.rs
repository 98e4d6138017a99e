//! What a person should look into: raised once, told again only when its text changes, and cleared by the state
//! that it speaks of.

use std::collections::BTreeMap;

use gondola_protocol::Moment;

use crate::catalog::text_form::word_enum;

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

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is about.
    pub rule: Rule,
    /// Whom or what it concerns: a SKU, a facet, a promotion.
    pub subject: String,
    /// Whether it holds.
    pub state: State,
    /// What is wrong and what to do, as a sentence.
    pub text: String,
    /// Since when it holds, or no longer does.
    pub at: Moment,
}

impl Alert {
    /// Its name: the same for the same trouble, however often it comes.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}:{}", self.rule, self.subject)
    }
}

/// The alerts of one store that hold: at most one for each rule and subject.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    raised: BTreeMap<(Rule, String), Alert>,
}

impl Alerts {
    /// Every alert that holds.
    pub fn raised(&self) -> impl Iterator<Item = &Alert> {
        self.raised.values()
    }

    /// An alert holds. Answers it if that is news.
    pub fn raise(&mut self, now: Moment, rule: Rule, subject: &str, text: String) -> Option<Alert> {
        let known = self.raised.get(&(rule, subject.to_owned()));
        if known.is_some_and(|known| known.text == text) {
            return None;
        }
        let at = known.map_or(now, |known| known.at);
        let alert = Alert { rule, subject: subject.to_owned(), state: State::Raised, text, at };
        self.raised.insert((rule, subject.to_owned()), alert.clone());
        Some(alert)
    }

    /// An alert no longer holds. Answers it if that is news.
    pub fn clear(&mut self, now: Moment, rule: Rule, subject: &str) -> Option<Alert> {
        let alert = self.raised.remove(&(rule, subject.to_owned()))?;
        Some(Alert { state: State::Cleared, at: now, ..alert })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_told_when_it_begins_changes_and_ends() {
        let mut alerts = Alerts::default();
        let at = Moment::from_secs;
        let raised = alerts.raise(at(1), Rule::Held, "1101", "the price would be 0".to_owned()).unwrap();
        assert_eq!((raised.id().as_str(), raised.state, raised.at), ("held:1101", State::Raised, at(1)));
        assert_eq!(alerts.raise(at(2), Rule::Held, "1101", "the price would be 0".to_owned()), None);
        let changed = alerts.raise(at(3), Rule::Held, "1101", "the price would be 599".to_owned()).unwrap();
        assert_eq!(changed.at, at(1));
        let cleared = alerts.clear(at(4), Rule::Held, "1101").unwrap();
        assert_eq!((cleared.state, cleared.at), (State::Cleared, at(4)));
        assert_eq!(alerts.clear(at(5), Rule::Held, "1101"), None);
        assert_eq!(alerts.raised().count(), 0);
    }
}
