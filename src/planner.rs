//! Desired against reported: which label gets a transfer next, and through which base station.
//!
//! Nothing is queued here but places in line: a label stands in at most one line, and what it would be sent
//! is decided only when its turn comes.

use std::collections::{BTreeMap, BTreeSet};

use gondola_protocol::message::Lane;
use gondola_protocol::{LabelId, Moment, StationId};

use crate::fleet::ahead::SlotNeed;
use crate::fleet::label::{CommandState, Label, Unproven};

/// What a label needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it agrees, shows nothing by intention, or its transfer is under way.
    Nothing,
    /// To be looked at again then, unless evidence comes first.
    Patience(Moment),
    /// To be told something that waits.
    Command,
    /// A transfer of its desired picture.
    Transfer,
    /// A transfer of its upcoming picture, to be kept.
    Stage,
    /// To forget the picture that it keeps.
    Drop,
}

impl Need {
    /// What `label` needs at `now`, as soon as a base station has room.
    #[must_use]
    pub fn of(label: &Label, now: Moment) -> Self {
        if label.command.as_ref().is_some_and(|command| command.state == CommandState::Waiting) {
            return Self::Command;
        }
        if label.under_way.is_some() {
            return Self::Nothing;
        }
        let wrong = label.desired.as_ref().filter(|_| !label.is_in_sync());
        let need = match (wrong, label.slot_need(now)) {
            (Some(_), _) => Self::Transfer,
            (None, SlotNeed::Stage) => Self::Stage,
            (None, SlotNeed::Drop) => Self::Drop,
            (None, SlotNeed::Nothing) => return Self::Nothing,
        };
        let is_awaited = |unproven: &&Unproven| wrong.is_some_and(|desired| desired.edition == unproven.edition);
        let proof = label.unproven.as_deref().filter(is_awaited);
        let waits =
            [proof.map(|unproven| unproven.until), label.trouble().cool_down.map(|cool_down| cool_down.until())];
        match waits.into_iter().flatten().max() {
            Some(until) if until > now => Self::Patience(until),
            _ => need,
        }
    }

    /// Where a label with this need stands in line: its lane, and since when it is wanted. None where it needs no room.
    #[must_use]
    pub fn place(self, label: &Label) -> Option<(Lane, Moment)> {
        match self {
            Self::Nothing | Self::Patience(_) => None,
            Self::Command => label.command.as_ref().map(|command| (Lane::Interactive, command.asked_at)),
            Self::Transfer => label.desired.as_ref().map(|desired| (desired.lane, desired.since)),
            // The nearest instant first.
            Self::Stage => label.upcoming.as_ref().map(|upcoming| (Lane::Routine, upcoming.activate_at())),
            Self::Drop => label.kept.as_ref().map(|kept| (Lane::Price, kept.slot.activate_at)),
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
        let place = (lane, since, label);
        if let Some((station, place)) = self.places.insert(label, (station.clone(), place)) {
            self.lines.get_mut(&station).map(|line| line.remove(&place));
        }
        match self.lines.get_mut(station) {
            Some(line) => line.insert(place),
            None => self.lines.entry(station.clone()).or_default().insert(place),
        };
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
