//! Desired against reported: which label gets a transfer next, and through which base station.
//!
//! Nothing is queued here but places in line: a label stands in at most one line, and what it would be sent
//! is decided only when its turn comes.

use std::collections::{BTreeMap, BTreeSet};

use gondola_protocol::message::Lane;
use gondola_protocol::{LabelId, Moment, StationId};

use crate::fleet::label::Label;

/// What a label needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it agrees, shows nothing by intention, or its transfer is under way.
    Nothing,
    /// To be looked at again then, unless evidence comes first.
    Patience(Moment),
    /// A transfer, as soon as a base station has room.
    Transfer,
}

impl Need {
    /// What `label` needs at `now`.
    #[must_use]
    pub fn of(label: &Label, now: Moment) -> Self {
        let Some(desired) = &label.desired else { return Self::Nothing };
        if label.under_way.is_some() || label.is_in_sync() {
            return Self::Nothing;
        }
        let proof = label.unproven.as_ref().filter(|unproven| unproven.edition == desired.edition);
        let waits = [proof.map(|unproven| unproven.until), label.cool_down.map(|cool_down| cool_down.until())];
        match waits.into_iter().flatten().max() {
            Some(until) if until > now => Self::Patience(until),
            _ => Self::Transfer,
        }
    }
}

/// A place in line: lane first, then how long the picture has been wanted.
type Place = (Lane, Moment, LabelId);

/// The lines before the base stations.
#[derive(Debug, Default)]
pub struct Planner {
    lines: BTreeMap<StationId, BTreeSet<Place>>,
    places: BTreeMap<LabelId, (StationId, Place)>,
}

impl Planner {
    /// Puts a label in line before a base station, or moves it there.
    pub fn enter(&mut self, label: LabelId, lane: Lane, since: Moment, station: &StationId) {
        self.leave(label);
        let place = (lane, since, label);
        self.lines.entry(station.clone()).or_default().insert(place);
        self.places.insert(label, (station.clone(), place));
    }

    /// Takes a label out of line.
    pub fn leave(&mut self, label: LabelId) {
        if let Some((station, place)) = self.places.remove(&label)
            && let Some(line) = self.lines.get_mut(&station)
        {
            line.remove(&place);
        }
    }

    /// Who is first in a base station's line.
    #[must_use]
    pub fn first(&self, station: &StationId) -> Option<LabelId> {
        self.lines.get(station)?.first().map(|(_, _, label)| *label)
    }

    /// Labels in line before all base stations.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_go_before_age_and_a_label_stands_in_one_line() {
        let [front, back]: [StationId; 2] = ["front", "back"].map(|id| id.parse().unwrap());
        let mut planner = Planner::default();
        planner.enter(LabelId(1), Lane::Routine, Moment::from_secs(1), &front);
        planner.enter(LabelId(2), Lane::Price, Moment::from_secs(9), &front);
        planner.enter(LabelId(3), Lane::Price, Moment::from_secs(5), &front);
        assert_eq!(planner.first(&front), Some(LabelId(3)));
        planner.enter(LabelId(3), Lane::Price, Moment::from_secs(5), &back);
        assert_eq!((planner.first(&front), planner.first(&back)), (Some(LabelId(2)), Some(LabelId(3))));
        planner.leave(LabelId(2));
        assert_eq!((planner.first(&front), planner.waiting()), (Some(LabelId(1)), 2));
    }
}
