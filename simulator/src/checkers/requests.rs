//! I3, I6: what was asked for is answered once, and what was acknowledged outlives a crash.

use std::collections::{BTreeMap, BTreeSet};

use super::{Claim, Fact, Found, Invariant};

/// What was asked for, and what holds.
#[derive(Debug, Default)]
pub(super) struct RequestChecker {
    /// Without an answer.
    asked: BTreeMap<u64, Claim>,
    /// Without an outcome.
    taken: BTreeSet<u32>,
    /// What was acknowledged, by what it is about.
    sure: BTreeMap<String, Option<String>>,
}

impl RequestChecker {
    pub(super) fn see(&mut self, fact: &Fact) -> Found {
        match fact {
            Fact::Asked { number, claim } => _ = self.asked.insert(*number, claim.clone()),
            Fact::Answered { number, granted } => match self.asked.remove(number) {
                Some(Claim { key, value }) if *granted => _ = self.sure.insert(key, value),
                Some(_) => {}
                None => return unasked(format!("request {number} was answered, and nobody waited for that")),
            },
            Fact::Taken { number } => _ = self.taken.insert(*number),
            Fact::Settled { number } => return self.see_settled(*number),
            Fact::Restarted { holds } => return self.see_restart(holds),
            _ => {}
        }
        None
    }

    fn see_settled(&mut self, number: u32) -> Found {
        if self.taken.remove(&number) {
            return None;
        }
        unasked(format!("transfer {number} was settled, and nobody waited for that"))
    }

    /// Whatever waited for the one that died waits no more; its requests may have been carried out or not.
    fn see_restart(&mut self, holds: &BTreeMap<String, String>) -> Found {
        self.taken.clear();
        let asked: Vec<Claim> = std::mem::take(&mut self.asked).into_values().collect();
        let mut lost = None;
        for (key, value) in &mut self.sure {
            let held = holds.get(key);
            let may_be = |claim: &Claim| claim.key == *key && claim.value.as_ref() == held;
            if held != value.as_ref() && !asked.iter().any(may_be) {
                let [said, found] =
                    [value.as_deref(), held.map(String::as_str)].map(|value| value.unwrap_or("nothing"));
                lost = Some(format!("{key} was acknowledged to be {said}, and after a crash it is {found}"));
            }
            *value = held.cloned();
        }
        lost.map(|text| (Invariant::Durable, None, text))
    }

    pub(super) fn finish(&self) -> Found {
        if let Some(number) = self.asked.keys().next() {
            return unasked(format!("request {number} was never answered"));
        }
        self.taken.first().and_then(|number| unasked(format!("transfer {number} was never settled")))
    }
}

fn unasked(text: String) -> Found {
    Some((Invariant::Once, None, text))
}
