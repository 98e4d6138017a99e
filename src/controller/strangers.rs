//! Base stations that are not ours: whoever comes to our port under a name that is not configured, and whoever answers
//! for one of our stations without being it.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_drivers::session::DownReason;
use gondola_protocol::{Moment, StationId};

use super::Controller;
use crate::alert::Rule;

/// Names that are remembered: a shop's worth. Others are only counted, where they are turned away.
const STRANGERS_MAX: usize = 256;

/// One that did not come again for so long has been dealt with. Stations try every few seconds.
const GONE_AFTER: Duration = Duration::from_hours(1);

/// Who was turned away, and when last.
#[derive(Debug, Default)]
pub(super) struct Strangers(BTreeMap<StationId, Moment>);

impl Controller {
    /// A base station that is not configured wants to come in.
    pub(super) fn turned_away(&mut self, now: Moment, station: StationId) {
        if self.strangers.0.len() >= STRANGERS_MAX && !self.strangers.0.contains_key(&station) {
            return;
        }
        let text = format!(
            "a base station that calls itself `{station}` is turned away: add it to the configuration, or switch it off"
        );
        self.raise(now, Rule::Stranger, station.as_str(), text);
        self.strangers.0.insert(station, now);
    }

    pub(super) fn forget_strangers(&mut self, now: Moment) {
        let gone: Vec<StationId> =
            self.strangers.0.extract_if(.., |_, last| now.since(*last) >= GONE_AFTER).map(|(id, _)| id).collect();
        for station in gone {
            self.clear(now, Rule::Stranger, station.as_str());
        }
    }

    /// Whether what answers for a base station of ours is that station.
    pub(super) fn judge_station(&mut self, now: Moment, station: &StationId, reason: &DownReason) {
        if reason.is_impostor() {
            let text = format!(
                "what answers for base station `{station}` is not driven: {reason}; look at what stands there, and at its key"
            );
            self.raise(now, Rule::Impostor, station.as_str(), text);
        }
    }
}
