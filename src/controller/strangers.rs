//! Devices that are not what they seem: base stations that come to our port under a name that is not configured or
//! answer for one of ours without being it, and two labels that answer to one id.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_drivers::session::DownReason;
use gondola_protocol::{LabelId, Moment, StationId};

use super::Controller;
use crate::alert::{Cause, Rule};

/// Names that are remembered: a shop's worth. Others are only counted, where they are turned away.
const STRANGERS_MAX: usize = 256;

/// One that did not come again for so long has been dealt with. Stations try every few seconds.
const GONE_AFTER: Duration = Duration::from_hours(1);

/// Labels that are suspected at once: beyond that something else is wrong than an id.
const TWINS_MAX: usize = 1_024;

/// So many contradictions within [`TWINS_FORGIVEN_AFTER`] are two devices: one may be a report that came late.
const CONTRADICTIONS: u32 = 2;

/// A label that has not contradicted itself for a day is one device.
const TWINS_FORGIVEN_AFTER: Duration = Duration::from_hours(24);

/// Who is not what it seems.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// Stations that were turned away, and when last.
    stations: BTreeMap<StationId, Moment>,
    /// How often a label has contradicted itself, and when last.
    twins: BTreeMap<LabelId, (u32, Moment)>,
}

impl Controller {
    /// A base station that is not configured wants to come in.
    pub(super) fn turned_away(&mut self, now: Moment, station: StationId) {
        if self.strangers.stations.len() >= STRANGERS_MAX && !self.strangers.stations.contains_key(&station) {
            return;
        }
        self.raise(now, Rule::Stranger, station.as_str(), Cause::Stranger);
        self.strangers.stations.insert(station, now);
    }

    /// Who was suspected in an earlier run is forgotten or forgiven as if seen now for the last time.
    pub(super) fn recall_strangers(&mut self, now: Moment) {
        for subject in self.alerts.subjects(Rule::Stranger) {
            match subject.parse() {
                Ok(station) if self.fleet.station(&station).is_none() => {
                    self.strangers.stations.insert(station, now);
                }
                _ => self.clear(now, Rule::Stranger, &subject),
            }
        }
        for subject in self.alerts.subjects(Rule::DuplicateId) {
            match subject.parse() {
                Ok(label) if self.fleet.label(label).is_some() => {
                    self.strangers.twins.insert(label, (CONTRADICTIONS, now));
                }
                _ => self.clear(now, Rule::DuplicateId, &subject),
            }
        }
    }

    pub(super) fn forget_strangers(&mut self, now: Moment) {
        let is_gone = |_: &StationId, last: &mut Moment| now.since(*last) >= GONE_AFTER;
        let gone: Vec<StationId> = self.strangers.stations.extract_if(.., is_gone).map(|(id, _)| id).collect();
        for station in gone {
            self.clear(now, Rule::Stranger, station.as_str());
        }
        let is_one = |_: &LabelId, (_, last): &mut (u32, Moment)| now.since(*last) >= TWINS_FORGIVEN_AFTER;
        let forgiven: Vec<LabelId> = self.strangers.twins.extract_if(.., is_one).map(|(id, _)| id).collect();
        for label in forgiven {
            self.clear(now, Rule::DuplicateId, &label.to_string());
        }
    }

    /// A label says that it shows an older picture than it has proven, and has not restarted: no label goes back by
    /// itself.
    pub(super) fn contradicts_itself(&mut self, now: Moment, label: LabelId) {
        if self.strangers.twins.len() >= TWINS_MAX && !self.strangers.twins.contains_key(&label) {
            return;
        }
        let (count, last) = self.strangers.twins.entry(label).or_insert((0, now));
        (*count, *last) = (*count + 1, now);
        if *count >= CONTRADICTIONS {
            self.raise(now, Rule::DuplicateId, &label.to_string(), Cause::DuplicateId);
        }
    }

    /// Whether what answers for a base station of ours is that station.
    pub(super) fn judge_station(&mut self, now: Moment, station: &StationId, reason: &DownReason) {
        if reason.is_impostor() {
            self.raise(now, Rule::Impostor, station.as_str(), Cause::Impostor { why: reason.to_string() });
        }
    }
}
